package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
)

// startSend writes the request head for the upstream, with what is at hand of the
// body, and enters SendHead.
func (sh *Shard) startSend(s *Session, r *Request) {
	sh.setState(s, SendHead)
	keep := r.group.Keepalive > 0 && int(r.upRequests)+1 < r.group.KeepaliveRequests
	out, sent := r.proxy.AppendRequest(sh.out[:0], &r.env, route.RequestForm{
		Framing: r.up.framing, Upgrade: r.upgrade, Keepalive: keep && r.proxy.Minor == 1,
	})
	r.askedUp = sent.Upgrade
	r.keepUp = keep && !sent.Close && !sent.Upgrade && sent.Minor == 1
	r.inHead = true
	if !sent.Upgrade {
		out = sh.takeGluedBody(s, r, out)
	}
	if s.state != SendHead {
		return // the glued body was refused
	}
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
}

// takeGluedBody appends the part of the request body that came with the head.
func (sh *Shard) takeGluedBody(s *Session, r *Request, out []byte) []byte {
	buf := sh.headBuf(r)
	if buf.Len() == 0 || r.up.ended {
		return out
	}
	out, used, perr := r.up.encode(out, buf.Bytes())
	if perr != httpparse.OK {
		sh.refuseBody(s, perr)
		return out
	}
	buf.R += used
	r.env.RequestLength = int64(r.req.HeadLen + used)
	if r.bodyTooLarge() {
		sh.refuseLargeBody(s)
	}
	return out
}

// bodyTooLarge reports whether more of a chunked body was read than allowed; one with a
// length was refused with its head.
func (r *Request) bodyTooLarge() bool {
	limit := r.settings().ClientMaxBodySize
	return limit > 0 && r.up.read > limit
}

func (sh *Shard) refuseLargeBody(s *Session) {
	s.cause(observe.ReasonRefused, observe.SideProxy)
	sh.logError(s, observe.LevelError, "client intended to send too large chunked body", nil)
	sh.refuse(s, 413)
}

// refuseBody answers a request body that breaks its coding.
func (sh *Shard) refuseBody(s *Session, perr httpparse.Error) {
	s.cause(observe.ReasonBadRequest, observe.SideClient)
	sh.logError(s, observe.LevelInfo, "client sent an invalid body:", []byte(perr.String()))
	sh.refuse(s, perr.Status())
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
	sh.armExchange(s, r)
	sh.sendContinue(s, r)
	return true
}

// upstreamWriteFailed deals with a failed write of the head. An upstream that took a
// part of it may have answered before it closed, so it is read, unless the request can
// simply be repeated.
func (sh *Shard) upstreamWriteFailed(s *Session, r *Request) {
	s.trail = s.trail.Note(observe.SideUpstream, observe.EventWriteFailed)
	if !r.sentHead || r.replayable() && r.repeatable() {
		sh.failTry(s, failSend)
		return
	}
	sh.setState(s, ReadResp)
	sh.cutBody(s, r)
	sh.armExchange(s, r)
}

// sendContinue lets a client that waits for it send its body (RFC 9110 section
// 10.1.1). The upstream does not see the expectation, as with nginx.
func (sh *Shard) sendContinue(s *Session, r *Request) {
	if r.up.ended || r.req.Minor == 0 || sh.headBuf(r).Len() > 0 {
		return
	}
	if v, ok := r.req.Find(r.env.Head, httpparse.FieldExpect); ok && httpparse.EqualFold(v, "100-continue") {
		sh.send(&s.Down, &r.down, continueLine)
		r.headSent += int64(len(continueLine))
	}
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// send writes b to a half's socket; what it does not take is held in f, and kept in
// order behind what is held already. false means that the socket failed.
func (sh *Shard) send(to *relay.Half, f *flow, b []byte) (ok bool) {
	if len(b) == 0 {
		return true
	}
	n := 0
	if f.out == 0 && to.Bits&relay.CanWrite != 0 {
		var errno sys.Errno
		n, errno = sys.Write(to.FD, b)
		if errno == sys.EAGAIN {
			n, errno = 0, 0
		}
		if errno != 0 {
			to.Err = uint8(errno)
			return false
		}
		if n < len(b) {
			to.Bits &^= relay.CanWrite
		}
		f.sent += int64(n)
	}
	sh.holdBack(f, b[n:])
	return true
}

// holdBack keeps b for a socket that takes no more.
func (sh *Shard) holdBack(f *flow, b []byte) {
	if len(b) == 0 {
		return
	}
	if f.out == 0 {
		id, buf := sh.bufs.Get(len(b))
		buf.W = copy(buf.B, b)
		f.out = id
		return
	}
	old := sh.bufs.At(f.out)
	if len(old.B)-old.W < len(b) {
		id, buf := sh.bufs.Get(old.Len() + len(b))
		buf.W = copy(buf.B, old.Bytes())
		sh.bufs.Put(f.out)
		f.out, old = id, buf
	}
	old.W += copy(old.B[old.W:], b)
}

// flush writes what f holds. done means that nothing is held any more, ok that the
// socket has not failed.
func (sh *Shard) flush(to *relay.Half, f *flow) (done, ok bool) {
	for f.out != 0 {
		if to.Bits&relay.CanWrite == 0 {
			return false, true
		}
		buf := sh.bufs.At(f.out)
		n, errno := sys.Write(to.FD, buf.Bytes())
		switch {
		case errno == sys.EAGAIN:
			to.Bits &^= relay.CanWrite
			return false, true
		case errno != 0:
			to.Err = uint8(errno)
			return false, false
		}
		f.sent += int64(n)
		if buf.R += n; buf.Len() == 0 {
			sh.bufs.Put(f.out)
			f.out = 0
		}
	}
	return true, true
}
