package relay

import "holdfast/internal/sys"

// copyUnheld is copy for the time when memory in flight is at its limit: what the
// destination does not take stays in the source's socket. Bytes are looked at,
// written, and only then read away. That costs one system call more, and keeps
// receivers that do not read from stopping everybody else.
func (m *Mover) copyUnheld(h, other *Half, into []byte) int {
	if other.Bits&CanWrite == 0 {
		h.State = Blocked
		return 0
	}
	n, errno := sys.Peek(h.FD, into)
	if !h.readResult(n, errno) {
		return 0
	}
	w, errno := sys.Write(other.FD, into[:n])
	if errno != 0 && !m.writeFailed(h, other, errno) {
		return n
	}
	h.Bytes += uint64(w)
	switch {
	case w < n:
		other.Bits &^= CanWrite
		h.State = Blocked
	case n < len(into):
		h.shortRead()
	}
	for b := into[:w]; len(b) > 0; {
		r, errno := sys.Recv(h.FD, b)
		if !h.readResult(r, errno) {
			return w
		}
		h.Messages += h.frames.follow(b[:r])
		b = b[r:]
	}
	return w
}
