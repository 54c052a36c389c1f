package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/route"
)

// startSend writes the request head for the upstream, with what is held of the body,
// and enters SendHead.
func (sh *Shard) startSend(s *Session, r *Request) {
	sh.setState(s, SendHead)
	keep := r.upConn != 0 && int(sh.pooled.slab.At(r.upConn-1).requests)+1 < r.group.KeepaliveRequests
	expect := r.expects && !r.up.ended && r.proxy.Minor == 1 && !r.settings().RequestBuffering
	out, sent := r.proxy.AppendRequest(sh.out[:0], &r.env, route.RequestForm{
		Framing: r.framingUp(), Upgrade: r.upgrade, Keepalive: keep && r.proxy.Minor == 1,
		Expect: expect, Trailers: r.settings().PassTrailers && r.proxy.Minor == 1, Get: r.asGet,
		Subrequest: r.sub != nil,
	})
	r.askedUp, r.asked100, r.methodUp = sent.Upgrade, sent.Expect, sent.Method
	r.keepUp = keep && !sent.Close && !sent.Upgrade && sent.Minor == 1
	out = sh.appendHeld(r, out)
	r.peer.Requests.Add(1)
	r.wait = waitNone
	sh.await(s, r, waitUpstreamWrite)
	ok := sh.send(&s.Up, &r.up, out)
	sh.out = out[:0]
	if !ok {
		sh.upstreamWriteFailed(s, r) // sentHead is false: it has nothing of this request
		return
	}
	r.sentHead = true
	if r.sub == nil && !r.whole { // a subrequest leaves the client's body alone
		sh.putBuf(&r.body)
	}
}

// framingUp is how the request's body is delimited towards the upstream.
func (r *Request) framingUp() httpparse.Framing {
	if r.replacesBody() {
		return r.ownFraming()
	}
	if r.asGet {
		return httpparse.Framing{}
	}
	return r.up.framing
}

// bodyTooLarge reports whether more of a chunked body was read, or announced by the size
// of its present chunk, than allowed; one with a length was refused with its head.
func (r *Request) bodyTooLarge() bool {
	limit := r.settings().ClientMaxBodySize
	return limit > 0 && r.up.read+r.up.chunks.Left() > limit
}

func (sh *Shard) refuseLargeBody(s *Session) {
	s.cause(observe.ReasonRefused, observe.SideProxy)
	sh.logError(s, observe.LevelError, "client intended to send too large chunked body", nil)
	sh.cold(s).cut = true
	sh.refuse(s, 413)
}

// onSendHead waits until the upstream has taken the head.
func (sh *Shard) onSendHead(s *Session) (again bool) {
	r := sh.cold(s)
	if sh.clientGone(s, r) {
		return false
	}
	done, ok := sh.flush(&s.Up, &r.up)
	if !ok {
		sh.upstreamWriteFailed(s, r)
		return true
	}
	if !done {
		sh.await(s, r, waitUpstreamWrite)
		return false
	}
	sh.setState(s, ReadResp)
	sh.sendContinue(s, r)
	sh.armExchange(s, r)
	return true
}

// upstreamWriteFailed deals with a failed write of the head. An upstream that took a
// part of it may have answered before it closed, so it is read, unless the request can
// simply be repeated.
func (sh *Shard) upstreamWriteFailed(s *Session, r *Request) {
	s.trail = s.trail.Note(observe.SideUpstream, observe.EventWriteFailed)
	if r.replayable() && r.repeatable() {
		sh.failTry(s, failSend, sys.Errno(s.Up.Err))
		return
	}
	sh.setState(s, ReadResp)
	sh.cutBody(s, r)
	sh.armExchange(s, r)
}

// sendContinue lets a client that waits for it send its body (RFC 9110 section 10.1.1).
// Where the body is streamed the upstream was asked, and its word is awaited.
func (sh *Shard) sendContinue(s *Session, r *Request) {
	if !r.expects || r.asked100 {
		return
	}
	r.expects = false
	sh.send(&s.Down, &r.down, continueLine)
	r.headSent += int64(len(continueLine))
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")
