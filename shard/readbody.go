package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
)

// holdsBody takes what came of the request body with its head, and decides whether the
// rest is waited for (proxy_request_buffering). It returns true when the session has
// left its state. What is held can be sent to another peer.
func (sh *Shard) holdsBody(s *Session, r *Request) bool {
	set := r.settings()
	if set.PassTrailers {
		r.up.keepTrailers()
	}
	if !sh.takeGlued(s, r) {
		return true
	}
	limit := set.ClientBodyBufferSize
	holds := set.RequestBuffering || r.up.framing.Kind == httpparse.BodyChunked && r.proxy.Minor == 0
	if r.up.ended || !r.replacesBody() && (!holds || r.up.left+r.up.read > limit || sh.memoryShort()) {
		return false
	}
	sh.setState(s, ReadBody)
	sh.sendContinue(s, r)
	r.wait = waitNone
	sh.await(s, r, waitClientBody)
	return true
}

// takeGlued takes the part of the request body that came with the head. A body with a
// length that is there whole stays where it is. false means that it was refused.
func (sh *Shard) takeGlued(s *Session, r *Request) bool {
	buf := sh.headBuf(r)
	if buf.Len() == 0 {
		return true
	}
	payload, trailers, used, perr := r.up.decode(buf.Bytes())
	r.env.RequestLength += int64(used)
	if !sh.bodyFits(s, r, perr) {
		return false
	}
	buf.R += used
	if r.up.ended && r.up.framing.Kind == httpparse.BodyLength {
		r.glued = len(payload)
	} else {
		sh.holdBody(r, payload, trailers)
	}
	sh.bodyHeld(r)
	return true
}

// holdsIt reports whether what is read of the body is kept, for the upstream or for copies.
func (r *Request) holdsIt() bool { return r.mirrors || !r.replacesBody() }

func (sh *Shard) holdBody(r *Request, payload, trailers []byte) {
	if r.discarded || !r.holdsIt() && (!r.server.KeepsBody() || r.up.read > r.settings().ClientBodyBufferSize) {
		r.discarded = r.discarded || r.up.read > 0
		sh.putBuf(&r.body)
		return
	}
	if len(payload) > 0 {
		sh.store(&r.body, payload)
	}
	sh.keepTrailers(&r.up, trailers)
}

// bodyHeld notes when all of the body is at hand. One that came in chunks gets a length
// where bodies are to be held anyway, unless there are trailers, which need the chunks,
// and always for HTTP/1.0, which has neither.
func (sh *Shard) bodyHeld(r *Request) {
	if !r.up.ended {
		return
	}
	r.whole = true
	if r.server.KeepsBody() && !r.discarded {
		r.env.KeepBody(sh.heldBody(r))
	}
	r.noteChunked()
	minor0 := r.proxy != nil && r.proxy.Minor == 0
	known := r.settings().RequestBuffering || minor0
	if minor0 {
		sh.putBuf(&r.up.trailers)
	}
	if known && r.up.framing.Kind == httpparse.BodyChunked && r.up.trailers == 0 {
		r.up.framing = httpparse.Framing{Kind: httpparse.BodyLength, Length: r.up.read}
		r.up.rechunk = false
	}
}

// noteChunked notes for $content_length how long a body is that came in chunks, once it was read.
func (r *Request) noteChunked() {
	if r.up.ended && r.up.framing.Kind == httpparse.BodyChunked && !r.cut {
		r.env.SetChunkedLength(r.up.read)
	}
}

// heldBody is a whole request body without its coding.
func (sh *Shard) heldBody(r *Request) []byte {
	if r.body != 0 {
		return sh.bufs.At(r.body).Bytes()
	}
	return sh.headBuf(r).B[r.req.HeadLen : r.req.HeadLen+r.glued]
}

// appendHeld appends what is held of the request body as the upstream gets it.
func (sh *Shard) appendHeld(r *Request, out []byte) []byte {
	if r.replacesBody() {
		return append(out, r.ownBody...)
	}
	if r.asGet {
		return out
	}
	if r.body != 0 {
		out = r.up.appendPayload(out, sh.bufs.At(r.body).Bytes())
	} else if r.glued > 0 {
		out = r.up.appendPayload(out, sh.headBuf(r).B[r.req.HeadLen:r.req.HeadLen+r.glued])
	}
	if r.whole && r.up.rechunk {
		out, _ = sh.appendEnd(r, &r.up, out)
	}
	return out
}

// onReadBody holds the request body until it is whole or larger than what may be held;
// then the upstream is asked.
func (sh *Shard) onReadBody(s *Session) (again bool) {
	r := sh.cold(s)
	if _, ok := sh.flush(&s.Down, &r.down); !ok { // a 100
		sh.clientWriteFailed(s)
		return false
	}
	for range pumpRounds {
		switch {
		case r.up.ended, r.holdsIt() && (r.up.read > r.settings().ClientBodyBufferSize || sh.memoryShort()):
			if r.mirrors {
				sh.mirrorHeld(s, r)
				sh.runPhases(s, r)
			} else {
				sh.startProxy(s, r)
			}
			return true
		case s.Down.Bits&relay.CanRead == 0:
			sh.await(s, r, waitClientBody)
			return false
		}
		if !sh.readBodyHeld(s, r) {
			return s.state != Closed
		}
	}
	sh.await(s, r, waitClientBody)
	sh.enqueue(s)
	return false
}

// chunkRoom is what may be read beyond client_body_buffer_size, for the sake of the
// chunked coding, in bytes.
const chunkRoom = 1 << 10

// readBodyHeld reads once and holds what came. false means that the session has left
// its state.
func (sh *Shard) readBodyHeld(s *Session, r *Request) bool {
	raw := sh.mover.Scratch
	room := r.settings().ClientBodyBufferSize - r.up.read + chunkRoom
	if room < int64(len(raw)) && r.holdsIt() {
		raw = raw[:room]
	}
	if r.up.framing.Kind == httpparse.BodyLength && r.up.left < int64(len(raw)) {
		raw = raw[:r.up.left]
	}
	n, errno := sh.mover.Recv(&s.Down, raw)
	if errno == sys.EAGAIN {
		s.Down.Bits &^= relay.CanRead
		return true
	}
	if errno != 0 || n == 0 {
		sh.clientAborted(s, r, errno)
		return false
	}
	payload, trailers, used, perr := r.up.decode(raw[:n])
	r.env.RequestLength += int64(used)
	if !sh.bodyFits(s, r, perr) {
		return false
	}
	surplus := raw[used:n]
	if len(surplus) > 0 {
		sh.store(&r.ahead, surplus)
	}
	sh.holdBody(r, payload, trailers)
	sh.bodyHeld(r)
	return true
}

// refuseBody answers a request body that breaks its coding.
func (sh *Shard) refuseBody(s *Session, perr httpparse.Error) {
	s.cause(observe.ReasonBadRequest, observe.SideClient)
	sh.logError(s, observe.LevelInfo, "client sent an invalid body:", []byte(perr.String()))
	sh.cold(s).cut = true
	sh.refuse(s, perr.Status())
}
