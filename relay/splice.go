package relay

import "holdfast/internal/sys"

// noSplice in Half.full: the kernel refused to splice from this socket.
const noSplice = 255

// fill splices from h's socket into a pipe on loan and returns the bytes moved.
// The pipe is emptied by the next turn of Pump, before anything else is read.
//
// It copies without a pipe, from a socket that can't be spliced, and wherever splice
// moved nothing: what that means only a read tells. TCP's urgent mark stops a splice
// with EAGAIN, or with 0 behind a FIN, while bytes stand behind it.
func (m *Mover) fill(h, other *Half) int {
	id, ok := m.Pipes.Get()
	if !ok {
		return m.copy(h, other)
	}
	pipe := m.Pipes.At(id)
	want := pipe.Room
	if left := h.frames.payloadLeft(); left > 0 && uint64(want) > left {
		want = int(left)
	}
	n, errno := sys.Splice(h.FD, pipe.W, want)
	if errno == 0 && n > 0 {
		pipe.Held = n
		h.loan = id | pipeBit
		h.Messages += h.frames.skip(uint64(n))
		return n
	}
	m.Pipes.Put(id)
	switch errno {
	case 0, sys.EAGAIN:
		h.full = 0
		return m.copy(h, other)
	case sys.EINVAL, sys.ENOSYS, sys.EPERM:
		h.full = noSplice
		return m.copy(h, other)
	}
	h.readResult(0, errno)
	return 0
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
