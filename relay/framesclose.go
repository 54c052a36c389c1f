package relay

import (
	"encoding/binary"

	"holdfast/internal/sys"
)

// opClose is the opcode of a Close frame (RFC 6455 section 5.2).
const opClose = 8

// CloseMax is the length of the longest frame of AppendClose in bytes.
const CloseMax = 8

// AppendClose appends a Close frame with this status code and no text (RFC 6455 section
// 5.5.1). masked is for frames that go to a server; key is their masking key, which nobody
// may foresee (section 5.3).
func AppendClose(dst []byte, code uint16, masked bool, key uint32) []byte {
	dst = append(dst, 0x80|opClose)
	if !masked {
		return binary.BigEndian.AppendUint16(append(dst, 2), code)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, 0x80|2), key)
	return binary.BigEndian.AppendUint16(dst, code^uint16(key>>16))
}

// Follows reports whether the half knows where it is in the WebSocket framing.
func (h *Half) Follows() bool { return h.frames.phase() != phaseBlind }

// Closed reports whether a Close frame has come from h's socket, or its beginning.
func (h *Half) Closed() bool { return h.frames&closeCame != 0 }

// AtBoundary reports whether what h has delivered ends with a frame, so that another frame
// may follow.
func (h *Half) AtBoundary() bool { return h.frames.phase() == phaseStart && !h.owes() }

// owed is how many bytes there are at least before the next frame boundary; 0 at one, and
// where nobody knows.
func (f frames) owed() uint64 {
	switch f.phase() {
	case phaseSecond:
		return 1
	case phaseLength:
		return uint64(f.need())
	case phaseLengthThenMask:
		return uint64(f.need()) + 4
	case phaseMask:
		return uint64(f.need()) + f.left()
	case phasePayload:
		return f.left()
	}
	return 0
}

// PumpFrame is Pump that stops at the end of the frame that h is in: no byte behind it is
// read. Drained means that h is AtBoundary, or that there is nothing more to read for now.
func (m *Mover) PumpFrame(h, other *Half, budget int) Progress {
	for {
		if h.owes() {
			if p := m.flush(h, other); p != Drained {
				return p
			}
		}
		left := h.frames.owed()
		switch {
		case h.State == Shut:
			return Ended
		case left == 0:
			return Drained
		case h.State == Eof:
			return m.finish(h, other)
		case h.Bits&CanRead == 0:
			return Drained
		case budget <= 0:
			return More
		}
		into := m.Scratch[:min(left, uint64(len(m.Scratch)), uint64(budget))]
		var moved int
		switch {
		case (h.Bits|other.Bits)&Secured != 0:
			moved = m.copySecured(h, other, into)
		case m.Bufs.Full():
			moved = m.copyUnheld(h, other, into)
		default:
			moved = m.copy(h, other, into)
		}
		budget -= max(moved, 1)
	}
}

// Say writes bytes of our own to other's socket and returns how many it has taken. done says
// that it took all of them; gone, that it will never take any.
func (m *Mover) Say(other *Half, b []byte) (n int, done, gone bool) {
	if other.Bits&WriteDead != 0 {
		return 0, false, true
	}
	if other.Bits&CanWrite == 0 {
		return 0, false, false
	}
	var errno sys.Errno
	switch {
	case len(b) > 0:
		n, errno = m.Write(other, b)
	case other.Bits&Secured != 0:
		errno = m.TLS.Flush(other.loan, other.FD)
	}
	if errno != 0 && errno != sys.EAGAIN {
		other.fail(WriteDead, uint8(errno))
		return 0, false, true
	}
	done = n == len(b) && errno == 0 && !m.Pending(other)
	if !done {
		other.Bits &^= CanWrite
	}
	return n, done, false
}

// Discard reads what comes from h's socket and drops it, until a Close frame has come or the
// stream has ended: done. more says that the budget, in bytes, was used up before.
func (m *Mover) Discard(h *Half, budget int) (done, more bool) {
	for !h.Closed() && h.Bits&(AtEOF|ReadDead) == 0 {
		switch {
		case h.Bits&CanRead == 0:
			return false, false
		case budget <= 0:
			return false, true
		}
		state := h.State
		n, errno := m.Recv(h, m.Scratch)
		if !h.readResult(n, errno) {
			h.State = state // whatever ends here, nothing is passed on
			continue
		}
		if n < len(m.Scratch) {
			m.ShortRead(h)
		}
		h.frames.follow(m.Scratch[:n])
		budget -= n
	}
	return true, false
}
