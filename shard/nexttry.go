package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/route"
)

// failTry books a failed try and goes on with the next peer, or answers. errno is that of the
// system call that failed; 0 if none did.
func (sh *Shard) failTry(s *Session, f failure, errno sys.Errno) {
	r := sh.cold(s)
	// A connection that idled may have been closed meanwhile: not the peer's fault.
	if f != failClosed && f != failSend || !s.has(flagReusedUp) || r.gotBytes {
		if f == failConnectTimeout || f == failHandshakeTimeout {
			sh.counters.UpstreamConnectFails++
		}
		sh.logFailure(s, f, errno)
		sh.blame(s, r, f)
	}
	sh.retryOrGiveUp(s, r, f)
}

func (sh *Shard) retryOrGiveUp(s *Session, r *Request, f failure) {
	stale := s.has(flagReusedUp) && (f == failClosed || f == failSend) && !r.gotBytes
	sh.endTry(r, f)
	sh.dropUpstream(s)
	sh.countPeerBytes(r)
	switch {
	case stale && r.replayable() && r.repeatable():
		// The same peer once more, on a fresh connection: nginx does not count it.
		sh.rewind(r)
		r.tries--
		sh.redial(s, r)
	case sh.mayTryNext(r, f):
		sh.rewind(r)
		sh.nextTry(s, r, &f)
	default:
		sh.giveUp(s, f)
	}
}

// endTry notes a failed try for the lists of $upstream_status and the times.
func (sh *Shard) endTry(r *Request, f failure) {
	status := failures[f].status
	if f == failStatus {
		status = 0 // it has its own
	}
	r.env.FailTry(status, sh.nowMs-r.tryMs)
}

// redial connects anew to the peer whose idle connection had gone.
func (sh *Shard) redial(s *Session, r *Request) {
	r.tries++
	r.env.BeginTry(r.peer.Name, r.up.sent)
	r.tryMs = sh.nowMs
	r.sentHead = false
	r.peer.Active.Add(1) // as Pick does
	if !sh.dial(s, r, r.peer) {
		sh.retryOrGiveUp(s, r, failConnect)
	}
}

// mayTryNext says whether proxy_next_upstream lets the request go to another peer.
func (sh *Shard) mayTryNext(r *Request, f failure) bool {
	want := route.NextOnError
	switch {
	case f == failInvalid:
		want = route.NextOnInvalidHeader
	case f == failStatus:
		want = nextOnStatus(r.resp.Status)
	case failures[f].timeout:
		want = route.NextOnTimeout
	}
	set := r.settings()
	switch {
	case set.NextUpstream&want == 0, !r.replayable():
		return false
	case !r.repeatable() && set.NextUpstream&route.NextNonIdempotent == 0:
		return false
	case set.NextUpstreamTries > 0 && r.tries >= int(set.NextUpstreamTries):
		return false
	}
	return set.NextUpstreamTimeout <= 0 || sh.nowMs-r.passedMs < set.NextUpstreamTimeout
}

// nextOnStatus is what proxy_next_upstream calls an answer with this status.
func nextOnStatus(status int) route.NextUpstream {
	switch status {
	case 500:
		return route.NextOn500
	case 502:
		return route.NextOn502
	case 503:
		return route.NextOn503
	case 504:
		return route.NextOn504
	case 403:
		return route.NextOn403
	case 404:
		return route.NextOn404
	case 429:
		return route.NextOn429
	}
	return 0
}

// triesOther lets another peer answer in the place of one whose answer has a status that
// proxy_next_upstream names. Without another peer that answer is the client's. As in nginx a
// 403 or 404 is no failure of the peer.
func (sh *Shard) triesOther(s *Session, r *Request) bool {
	status := r.resp.Status
	if nextOnStatus(status) == 0 || r.tries >= r.group.Len() || !sh.mayTryNext(r, failStatus) {
		return false
	}
	if status != 403 && status != 404 {
		sh.blame(s, r, failStatus)
	}
	r.lastStatus = status
	sh.forgetResponse(&r.env)
	sh.retryOrGiveUp(s, r, failStatus)
	return true
}

// repeatable reports whether another try can't do twice what must be done once.
func (r *Request) repeatable() bool { return !r.sentHead || r.asGet || r.idempotent() }

// idempotent methods may be sent twice (RFC 9110 section 9.2.2, RFC 4918 section 9, and the
// others that RFC 9110 section 16.1.1 has registered so); one that nobody defined may not.
func (r *Request) idempotent() bool {
	switch r.req.MethodID {
	case httpparse.MethodGet, httpparse.MethodHead, httpparse.MethodPut, httpparse.MethodDelete,
		httpparse.MethodOptions, httpparse.MethodTrace:
		return true
	case httpparse.MethodOther:
		switch string(r.req.Method.Of(r.env.Head)) {
		case "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "UNLOCK", "REPORT", "SEARCH", "ACL", "MKCALENDAR",
			"VERSION-CONTROL", "CHECKIN", "CHECKOUT", "UNCHECKOUT", "LABEL", "MERGE", "UPDATE", "MKWORKSPACE", "MKACTIVITY":
			return true
		}
	}
	return false
}

// replayable reports whether all of the request that an upstream may have seen is
// still at hand: the head always is.
func (r *Request) replayable() bool { return !r.sentHead || r.whole || r.asGet }

// rewind readies the request for another try. What was read of its body stays read.
func (sh *Shard) rewind(r *Request) {
	sh.dropOut(&r.up)
	if r.respHead != 0 {
		sh.bufs.Put(r.respHead)
		r.respHead = 0
	}
	r.resp.Reset()
}

// giveUp answers for an upstream that did not.
func (sh *Shard) giveUp(s *Session, f failure) {
	r := sh.cold(s)
	s.cause(failures[f].reason, observe.SideUpstream)
	r.upFailed = true
	status := failures[f].status
	if f == failStatus {
		status = r.lastStatus // all others have failed since
	}
	sh.refuse(s, status)
}
