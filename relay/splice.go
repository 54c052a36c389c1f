package relay

import (
	"holdfast/internal/sys"
	"holdfast/pool"
)

// Values of Half.full beside the count of full reads.
const (
	framed   = 3   // large frames follow one another: their headers are looked at, all is spliced
	noSplice = 255 // the kernel refused to splice from this socket
)

// fill splices from h's socket into a pipe on loan and returns the bytes moved.
// The pipe is emptied by the next turn of Pump, before anything else is read.
//
// It copies without a pipe, from a socket that can't be spliced, and wherever splice
// moved nothing: what that means only a read tells. TCP's urgent mark stops a splice
// with EAGAIN, or with 0 behind a FIN, while bytes stand behind it.
func (m *Mover) fill(h, other *Half) int {
	id, ok := m.Pipes.Get()
	if !ok {
		return m.copy(h, other, m.Scratch)
	}
	pipe := m.Pipes.At(id)
	var errno sys.Errno
	more := true
	for more && pipe.Held < pipe.Room {
		more, errno = m.load(h, pipe)
	}
	if pipe.Held > 0 {
		h.loan = id | pipeBit
		return pipe.Held
	}
	m.Pipes.Put(id)
	switch {
	case h.State == Eof || h.Bits&CanRead == 0:
		return 0
	case errno == 0 || errno == sys.EAGAIN:
		if h.full != framed {
			h.full = 0
		}
		return m.copy(h, other, m.Scratch)
	case errno == sys.EINVAL || errno == sys.ENOSYS || errno == sys.EPERM:
		h.full = noSplice
		return m.copy(h, other, m.Scratch)
	}
	h.readResult(0, errno)
	return 0
}

// load splices once: the rest of the present frame, the next frame with its header, or
// whatever comes of a blind stream. more means that the pipe may take another frame.
func (m *Mover) load(h *Half, pipe *pool.Pipe) (more bool, errno sys.Errno) {
	want := pipe.Room - pipe.Held
	var header []byte
	switch h.frames.phase() {
	case phaseBlind:
	case phasePayload:
		want = int(min(uint64(want), h.frames.left()))
	case phaseStart:
		var payload uint64
		if header, payload = m.nextHeader(h); header == nil {
			return false, 0
		}
		want = int(min(uint64(want), uint64(len(header))+payload))
	default: // inside a header
		return false, 0
	}
	n, errno := sys.Splice(h.FD, pipe.W, want)
	if errno != 0 || n == 0 {
		return false, errno
	}
	pipe.Held += n
	inHeader := min(n, len(header))
	h.Messages += h.frames.follow(header[:inHeader]) + h.frames.skip(uint64(n-inHeader))
	return n == want && h.full == framed && h.frames.phase() == phaseStart, 0
}

// nextHeader looks at the header of the frame that comes next, without reading it away.
// It is nil where it is not there as a whole, and where its frame is too small for a
// splice: then h does without from here on.
func (m *Mover) nextHeader(h *Half) (header []byte, payload uint64) {
	if h.full != framed {
		return nil, 0
	}
	n, errno := sys.Peek(h.FD, m.Scratch[:headerMax])
	if !h.readResult(n, errno) {
		return nil, 0
	}
	size, payload := headerOf(m.Scratch[:n])
	if size == 0 || payload < spliceFrames {
		h.full = 0
		return nil, 0
	}
	return m.Scratch[:size], payload
}

// drain splices h's pipe into the other socket. The pipe goes back as soon as it
// is empty. EAGAIN can only mean a full socket: the pipe is known to hold bytes.
func (m *Mover) drain(h, other *Half) Progress {
	pipe := m.Pipes.At(h.loan &^ pipeBit)
	for pipe.Held > 0 {
		n, errno := sys.Splice(pipe.R, other.FD, pipe.Held)
		if errno != 0 || n == 0 {
			if errno == 0 {
				errno = sys.EPIPE
			}
			return m.refused(h, other, errno)
		}
		pipe.Held -= n
		h.Bytes += uint64(n)
	}
	m.Drop(h)
	return h.unblock()
}
