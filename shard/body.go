package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
)

// startBody writes the response head to the client, with what is at hand of the body.
func (sh *Shard) startBody(s *Session, r *Request, framing httpparse.Framing, rest []byte) {
	e := &r.env
	if (r.bodyless() || r.req.MethodID == httpparse.MethodHead) && framing.Kind != httpparse.BodyNone {
		framing, rest, r.keepUp = httpparse.Framing{}, nil, false
	}
	down := framing
	rechunk := false
	unknown := framing.Kind == httpparse.BodyChunked || framing.Kind == httpparse.BodyClose
	switch set := r.settings(); {
	case framing.Kind == httpparse.BodyNone:
	case (unknown || set.Trailers.Any(r.answerStatus(r.resp.Status))) && r.req.Minor == 1 && !set.NoChunked:
		down.Kind, rechunk = httpparse.BodyChunked, true
	case unknown:
		down.Kind, r.keepDown = httpparse.BodyClose, false
	}
	r.keepUp = r.keepUp && framing.Kind != httpparse.BodyClose && r.resp.KeepAlive(e.RespHead)
	r.keepDown = r.keepDown && r.up.ended && !r.cut && !sh.ends(s)
	trailers := rechunk && r.settings().PassTrailers
	e.Status = r.answerStatus(r.resp.Status) // for texts with $status
	out := r.proxy.AppendResponse(sh.out[:0], e, route.ResponseForm{
		Framing: down, Keepalive: r.keepDown, Status: r.status, Trailers: trailers,
	})
	headLen := len(out)
	r.down.begin(framing, rechunk)
	if trailers {
		r.down.keepTrailers()
	}
	if rechunk && r.down.ended { // nothing but trailers
		out, _ = sh.appendEnd(r, &r.down, out)
	}
	out, used, perr := sh.encode(r, &r.down, out, rest)
	sh.out = out[:0]
	if perr != httpparse.OK {
		sh.putBuf(&r.down.trailers)
		sh.forgetResponse(e)
		sh.badResponse(s, perr.String())
		return
	}
	r.group.OK(r.peer)
	sh.countOutcome(r, observe.OutcomeRefused)
	r.buffers = !r.proxy.Unbuffered(e, !r.settings().Buffering)
	sh.paceAnswer(r)
	sh.paceSource(r)
	sh.begun(r, r.answerStatus(r.resp.Status))
	sh.setState(s, Body)
	if used < len(rest) {
		sh.tooMuch(s, r)
	}
	r.headSent += int64(headLen)
	if !sh.send(&s.Down, &r.down, out) {
		sh.clientWriteFailed(s)
		return
	}
	if r.down.ended && r.up.ended && !r.up.pending() {
		if !r.down.pending() {
			sh.finish(s, r)
			return
		}
		sh.leaveUpstream(s, r)
	}
	sh.keepRespHead(r)
}

// answerStatus is the status of an answer whose own is given.
func (r *Request) answerStatus(own int) int {
	if r.status != 0 {
		return r.status
	}
	return own
}

// bodyless reports whether error_page gave the answer a status that has no body.
func (r *Request) bodyless() bool { return r.status == 204 || r.status == 304 }

// begun books that an answer with this status is on its way to the client.
func (sh *Shard) begun(r *Request, status int) {
	r.answered = true
	r.env.Status = status
	if status != 101 && !r.connect {
		sh.forgetCount(r) // no tunnel comes of it
	}
	if class := status / 100; class < len(sh.counters.Responses) {
		sh.counters.Responses[class]++
	}
}

// keepRespHead moves the response head out of the shared buffer: the log line at the
// end may want its fields.
func (sh *Shard) keepRespHead(r *Request) {
	e := &r.env
	if r.respHead != 0 {
		return // the head is in a buffer of its own already
	}
	id, buf := sh.bufs.Get(len(e.RespHead))
	buf.W = copy(buf.B, e.RespHead)
	r.respHead = id
	e.RespHead = buf.Bytes()
}

// tooMuch notes that the upstream sent bytes behind its response: they go nowhere, and
// the connection is not used again.
func (sh *Shard) tooMuch(s *Session, r *Request) {
	r.keepUp = false
	sh.logError(s, observe.LevelWarn, "upstream sent more data than its response has", nil)
}

// onBody relays the response body, and the rest of the request body.
func (sh *Shard) onBody(s *Session) (again bool) {
	r := sh.cold(s)
	if !r.up.ended || r.up.pending() {
		if !sh.pumpUp(s, r) {
			return false
		}
	}
	for range pumpRounds {
		done, ok := sh.flush(&s.Down, &r.down)
		switch {
		case !ok:
			sh.clientWriteFailed(s)
			return false
		case !done && !sh.readsAhead(s, r):
			sh.awaitClient(s, r)
			return false
		case r.down.ended:
			return sh.finish(s, r)
		case s.Up.Bits&relay.CanRead == 0:
			if !sh.clientGone(s, r) {
				sh.await(s, r, waitUpstreamRead)
			}
			return false
		case sh.pauseSource(s, r):
			return false
		}
		if !sh.readBody(s, r) {
			return false
		}
	}
	if r.down.pending() {
		sh.awaitClient(s, r)
	} else {
		sh.await(s, r, waitUpstreamRead)
	}
	sh.enqueue(s)
	return false
}

// readsAhead reports whether more of the response may be read although the client has
// yet to take what there is (proxy_buffering).
func (sh *Shard) readsAhead(s *Session, r *Request) bool {
	if !r.buffers || r.down.ended || r.down.pipe != 0 || s.Up.Bits&relay.CanRead == 0 || sh.memoryShort() {
		return false
	}
	return int64(sh.heldBy(&r.down)) < r.settings().BuffersSize && sh.readRoom(&r.down, 1) > 0
}

// What is read at once of a body while memory is short, and past its limit, in bytes:
// with what the chunked coding adds a buffer of the smallest size holds the least.
const (
	shortRead = 4 << 10
	leastRead = 1000
)

// readMax is how much of a body is read at once: what its destination does not take is
// held. Even past the limit it is not nothing, since bodies hold memory, and give it back
// only when they come to their end.
func (sh *Shard) readMax() int {
	switch {
	case sh.bufs.Full():
		return leastRead
	case sh.memoryShort():
		return shortRead
	}
	return len(sh.mover.Scratch)
}

// memoryShort reports whether half of the memory for requests is lent. From there on
// slow readers get less of it, so that new requests find some.
func (sh *Shard) memoryShort() bool {
	_, bytes := sh.bufs.Lent()
	return bytes > sh.opt.InFlightMax/4
}

// readBody reads once from the upstream and passes it on. false means that the
// session has closed.
func (sh *Shard) readBody(s *Session, r *Request) bool {
	if r.down.splices(&s.Up, &s.Down) {
		n, ok := sh.spliceBody(&s.Up, &s.Down, &r.down)
		r.env.UpstreamBytesReceived += int64(n)
		if !ok {
			sh.clientWriteFailed(s)
			return false
		}
		if n > 0 {
			return true
		}
	}
	raw := sh.mover.Scratch[:sh.readRoom(&r.down, sh.readMax())]
	if r.down.out != 0 {
		room := r.settings().BuffersSize - int64(sh.bufs.At(r.down.out).Len())
		raw = raw[:max(min(room, int64(len(raw))), 1)]
	}
	n, errno := sh.mover.Recv(&s.Up, raw)
	switch {
	case errno == sys.EAGAIN:
		s.Up.Bits &^= relay.CanRead
		return true
	case errno != 0:
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventReadFailed)
		sh.logTLS(s, errno, observe.SideUpstream)
		sh.upstreamCut(s, errnoReason(errno))
		return false
	case n == 0:
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventFin)
		out, whole := sh.sourceEnded(r, &r.down, sh.out[:0])
		whole = whole && !sh.truncated(&s.Up)
		if !whole {
			sh.upstreamCut(s, observe.ReasonAborted)
			return false
		}
		return sh.passBody(s, r, out)
	}
	if n < len(raw) {
		sh.mover.ShortRead(&s.Up)
	}
	r.env.UpstreamBytesReceived += int64(n)
	out, used, perr := sh.encode(r, &r.down, sh.out[:0], raw[:n])
	if perr != httpparse.OK {
		sh.logError(s, observe.LevelError, "upstream sent invalid chunked response"+readingBody, nil)
		sh.abort(s, observe.ReasonBadResponse, observe.SideUpstream)
		return false
	}
	if used < n {
		sh.tooMuch(s, r)
	}
	return sh.passBody(s, r, out)
}

func (sh *Shard) passBody(s *Session, r *Request, out []byte) bool {
	sh.out = out[:0]
	if !sh.send(&s.Down, &r.down, out) {
		sh.clientWriteFailed(s)
		return false
	}
	if r.down.ended && r.up.ended && !r.up.pending() {
		sh.leaveUpstream(s, r)
	}
	return true
}

// upstreamCut ends an answer whose upstream stopped in the middle.
func (sh *Shard) upstreamCut(s *Session, reason observe.CloseReason) {
	sh.logError(s, observe.LevelError, "upstream prematurely closed connection"+readingBody, nil)
	sh.abort(s, reason, observe.SideUpstream)
}

// finish ends a response that was written whole: the upstream's connection goes to
// the idle pool, the client's waits for the next request, or ends.
func (sh *Shard) finish(s *Session, r *Request) (again bool) {
	r.env.Completed = true
	sh.leaveUpstream(s, r)
	whole := r.up.ended && !r.cut
	if r.keepDown && whole && !sh.ends(s) {
		return sh.enterIdle(s, r)
	}
	return sh.endConnection(s, r, whole)
}

// leaveUpstream ends the part of an upstream that has answered whole: its connection
// goes to the idle pool. The client may take its time for what is held.
func (sh *Shard) leaveUpstream(s *Session, r *Request) {
	if s.Up.FD < 0 {
		return
	}
	r.env.UpstreamResponseMs = sh.nowMs - r.tryMs
	r.env.UpstreamResponseLength = r.down.read
	r.group.Took(r.peer, r.env.UpstreamHeaderMs, r.env.UpstreamResponseMs)
	sh.learnEnd(r)
	if r.keepUp && r.up.ended && !r.cut && !r.up.pending() && s.Up.Bits&relay.RdHup == 0 {
		sh.poolUpstream(s, r)
	} else {
		sh.dropUpstream(s)
	}
}

// endConnection closes the client's connection after its last answer. Where the
// client may still be sending it lingers (lingering_close).
func (sh *Shard) endConnection(s *Session, r *Request, whole bool) (again bool) {
	set := r.settings()
	more := r.ahead != 0 || sh.headBuf(r).Len() > 0 || s.Down.Bits&relay.CanRead != 0
	unread := !whole || more || r.up.read > 0 || r.env.Pipelined // nginx's guess
	if set.LingeringClose == route.LingeringAlways || set.LingeringClose == route.LingeringOn && unread {
		s.cause(observe.ReasonDone, observe.SideProxy)
		sh.enterLinger(s)
		return true
	}
	sh.close(s, observe.ReasonDone, observe.SideProxy)
	return false
}
