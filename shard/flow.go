package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/relay"
)

// flow is one message body on its way: how its end is found at the source, how it is
// framed towards the destination, and what the destination has not taken yet.
type flow struct {
	framing  httpparse.Framing
	chunks   httpparse.Chunked
	left     int64  // BodyLength: bytes not read yet
	read     int64  // payload bytes read
	sent     int64  // bytes the destination has taken, heads included
	out      uint32 // buffer with bytes for the destination, 0: none
	pipe     uint32 // pipe with bytes that go behind those of out, 0: none
	trailers uint32 // buffer with the trailer section so far, 0: none
	sealed   bool   // the destination's TLS has records that its socket has yet to take
	rechunk  bool   // the destination gets the chunked coding
	keeps    bool   // trailers go on
	ended    bool   // the whole body was read
	pacing   pacing
}

// begin readies the flow for a body. What it holds already goes first.
func (f *flow) begin(framing httpparse.Framing, rechunk bool) {
	*f = flow{framing: framing, left: framing.Length, rechunk: rechunk, out: f.out, sent: f.sent, sealed: f.sealed}
	f.ended = framing.Kind == httpparse.BodyNone || (framing.Kind == httpparse.BodyLength && framing.Length == 0)
}

// keepTrailers lets the trailers of a chunked body go on. Call it before any of the
// body is read.
func (f *flow) keepTrailers() {
	if f.framing.Kind == httpparse.BodyChunked && f.rechunk && f.read == 0 {
		f.keeps = true
		f.chunks.KeepTrailers()
	}
}

// pending reports whether the destination has yet to take something.
func (f *flow) pending() bool { return f.out != 0 || f.pipe != 0 || f.sealed }

// decode takes body bytes from raw, which it overwrites: payload and trailers, a part
// of the trailer section, alias it. used is how many bytes of raw belonged to the body.
func (f *flow) decode(raw []byte) (payload, trailers []byte, used int, err httpparse.Error) {
	if f.ended {
		return nil, nil, 0, httpparse.OK
	}
	switch f.framing.Kind {
	case httpparse.BodyLength:
		used = int(min(f.left, int64(len(raw))))
		payload = raw[:used]
		f.left -= int64(used)
		f.ended = f.left == 0
	case httpparse.BodyChunked:
		var n int
		n, used, f.ended, err = f.chunks.Decode(raw)
		payload = raw[:n]
		if f.keeps {
			trailers = raw[n : n+f.chunks.Kept()]
		}
	default:
		payload, used = raw, len(raw)
	}
	f.read += int64(len(payload))
	return payload, trailers, used, err
}

func (f *flow) appendPayload(dst, payload []byte) []byte {
	if !f.rechunk {
		return append(dst, payload...)
	}
	if len(payload) == 0 {
		return dst
	}
	dst = httpparse.AppendChunkHeader(dst, len(payload))
	dst = append(dst, payload...)
	return append(dst, '\r', '\n')
}

// encode takes body bytes from raw and appends them to dst as the destination gets
// them. used is how many bytes of raw belonged to the body.
func (sh *Shard) encode(r *Request, f *flow, dst, raw []byte) (_ []byte, used int, err httpparse.Error) {
	if f.ended {
		return dst, 0, httpparse.OK
	}
	payload, trailers, used, err := f.decode(raw)
	dst = f.appendPayload(dst, payload)
	sh.keepTrailers(f, trailers)
	if f.ended && err == httpparse.OK {
		dst, err = sh.appendEnd(r, f, dst)
	}
	return dst, used, err
}

func (sh *Shard) keepTrailers(f *flow, part []byte) {
	if len(part) > 0 {
		sh.store(&f.trailers, part)
	}
}

// appendEnd appends what ends the body towards the destination: for the chunked coding
// the last chunk and the trailers that may go on.
func (sh *Shard) appendEnd(r *Request, f *flow, dst []byte) ([]byte, httpparse.Error) {
	if !f.rechunk {
		return dst, httpparse.OK
	}
	added := f == &r.down && r.settings().Trailers != nil
	if f.trailers == 0 && !added {
		return append(dst, httpparse.LastChunk...), httpparse.OK
	}
	dst = append(dst, "0\r\n"...)
	first := len(dst)
	if added {
		dst = r.settings().Trailers.Append(dst, &r.env, r.answerStatus(r.resp.Status))
	}
	if f.trailers == 0 {
		r.env.KeepTrailers(nil, nil, dst[first:])
		return append(dst, '\r', '\n'), httpparse.OK
	}
	section := sh.bufs.At(f.trailers).Bytes()
	fields, err := httpparse.ParseFields(section, sh.trailerFields[:0], 0)
	sh.trailerFields = fields[:0]
	if f == &r.up {
		dst = r.proxy.AppendRequestTrailers(dst, section, fields)
	} else {
		dst = r.proxy.AppendResponseTrailers(dst, section, fields)
		r.env.KeepTrailers(section, fields, dst[first:])
	}
	return append(dst, '\r', '\n'), err
}

// sourceEnded books the end of the source's stream. It reports whether that is where
// the body was to end; dst gets what closes the destination's framing.
func (sh *Shard) sourceEnded(r *Request, f *flow, dst []byte) (_ []byte, whole bool) {
	if f.framing.Kind != httpparse.BodyClose {
		return dst, false
	}
	f.ended = true
	dst, _ = sh.appendEnd(r, f, dst)
	return dst, true
}

// send writes b to a half's socket; what it does not take is held in f, and kept in
// order behind what is held already. false means that the socket failed.
func (sh *Shard) send(to *relay.Half, f *flow, b []byte) (ok bool) {
	if len(b) == 0 {
		return true
	}
	n, part := 0, b[:sh.room(f, len(b))]
	if !f.pending() && to.Bits&relay.CanWrite != 0 && len(part) > 0 {
		var errno sys.Errno
		n, errno = sh.mover.Write(to, part)
		if errno == sys.EAGAIN {
			n, errno = 0, 0
		}
		if errno != 0 {
			to.Err = uint8(errno)
			return false
		}
		f.sealed = sh.mover.Pending(to)
		if n < len(part) || f.sealed {
			to.Bits &^= relay.CanWrite
		}
		f.sent += int64(n)
	}
	if n < len(b) {
		sh.store(&f.out, b[n:])
	}
	return true
}

// store appends b to the buffer numbered *id, which it lends or exchanges for a larger
// one as needed.
func (sh *Shard) store(id *uint32, b []byte) {
	if *id == 0 {
		fresh, buf := sh.bufs.Get(len(b))
		buf.W = copy(buf.B, b)
		*id = fresh
		return
	}
	old := sh.bufs.At(*id)
	if len(old.B)-old.W < len(b) {
		fresh, buf := sh.bufs.Get(old.Len() + len(b))
		buf.W = copy(buf.B, old.Bytes())
		sh.bufs.Put(*id)
		*id, old = fresh, buf
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
		part := buf.Bytes()[:sh.room(f, buf.Len())]
		if len(part) == 0 {
			return false, true
		}
		n, errno := sh.mover.Write(to, part)
		switch {
		case errno == sys.EAGAIN:
			to.Bits &^= relay.CanWrite
			return false, true
		case errno != 0:
			to.Err = uint8(errno)
			return false, false
		}
		f.sent += int64(n)
		if f.sealed = sh.mover.Pending(to); f.sealed {
			to.Bits &^= relay.CanWrite
		}
		if buf.R += n; buf.Len() == 0 {
			sh.bufs.Put(f.out)
			f.out = 0
		}
	}
	if f.pipe != 0 {
		return sh.drainPipe(to, f)
	}
	if f.sealed {
		return sh.flushSealed(to, f)
	}
	return true, true
}

// drop gives back what f holds.
func (sh *Shard) drop(f *flow) {
	sh.dropOut(f)
	sh.putBuf(&f.trailers)
}

// putBuf gives back the buffer numbered *id, if there is one.
func (sh *Shard) putBuf(id *uint32) {
	if *id != 0 {
		sh.bufs.Put(*id)
		*id = 0
	}
}

// dropOut gives back what f's destination has not taken. Trailers stay: they belong to
// a body that may be sent once more.
func (sh *Shard) dropOut(f *flow) {
	sh.putBuf(&f.out)
	f.sealed = false
	if f.pipe != 0 {
		sh.pipes.Put(f.pipe)
		f.pipe = 0
	}
}
