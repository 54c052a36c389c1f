package relay

import "holdfast/internal/sys"

// Progress is how a call of Pump ended.
type Progress uint8

// The ends of a Pump.
const (
	Drained Progress = iota // the source has nothing more to read for now
	Stuck                   // the destination takes no more for now
	More                    // the budget is used up: call again soon
	Ended                   // the half is Shut
)

// spliceAbove is how much of one frame must be left for a splice to pay, in bytes.
const spliceAbove = 64 << 10

// fullReads is how many full reads in a row make a blind half splice.
const fullReads = 2

// spliceFrames is how large frames that follow one another must be to be spliced with their
// headers, in bytes. Each takes a look at its header and a splice: below 8 KiB that saves
// nothing, and throughput suffers first (bench/results/splice.md).
const spliceFrames = 16 << 10

// Pump moves what it can from h's socket to other's, at most about budget bytes,
// and returns why it stopped. It reads only when it holds nothing, so a half never
// has more than one buffer or pipe in flight. While the lent memory is at its limit
// it goes on without holding anything. A budget smaller than Scratch is also the most that
// is read at once, and nothing is spliced then.
func (m *Mover) Pump(h, other *Half, budget int) Progress {
	into := m.Scratch[:min(len(m.Scratch), max(budget, 0))]
	for {
		if h.owes() {
			if p := m.flush(h, other); p != Drained {
				return p
			}
		}
		switch {
		case h.State == Shut:
			return Ended
		case h.State == Eof:
			return m.finish(h, other)
		case h.Bits&CanRead == 0:
			return Drained
		case budget <= 0:
			return More
		}
		var moved int
		switch {
		case (h.Bits|other.Bits)&Secured != 0:
			moved = m.copySecured(h, other, into)
		case m.Bufs.Full():
			moved = m.copyUnheld(h, other, into)
		case len(into) == len(m.Scratch) && m.wantsSplice(h):
			moved = m.fill(h, other)
		default:
			moved = m.copy(h, other, into)
		}
		budget -= max(moved, 1)
	}
}

func (m *Mover) wantsSplice(h *Half) bool {
	switch {
	case h.full == noSplice:
		return false
	case h.frames.phase() == phaseBlind:
		return h.full >= fullReads
	}
	return h.full == framed || h.frames.payloadLeft() > spliceAbove
}

// copy does one read, into a part of Scratch, and one write. What the destination refuses
// is held.
func (m *Mover) copy(h, other *Half, into []byte) int {
	n, errno := sys.Recv(h.FD, into)
	if !h.readResult(n, errno) {
		return 0
	}
	if n < len(into) {
		if h.full != noSplice {
			h.full = 0
		}
		h.shortRead()
	} else if h.full < fullReads {
		h.full++
	}
	b := into[:n]
	messages := h.frames.follow(b)
	h.Messages += messages
	if h.full == fullReads && int(messages) <= n/spliceFrames && h.frames.phase() != phaseBlind {
		h.full = framed
	}
	w := 0
	if other.Bits&CanWrite != 0 {
		w, errno = sys.Write(other.FD, b)
		if errno != 0 && !m.writeFailed(h, other, errno) {
			return n
		}
		h.Bytes += uint64(w)
	}
	if w < n {
		other.Bits &^= CanWrite
		h.State = Blocked
		m.hold(h, b[w:])
	}
	return n
}

// shortRead books that a read emptied the socket. Where RdHup is set it did not
// always: what is next comes without an event.
func (h *Half) shortRead() {
	if h.Bits&RdHup == 0 {
		h.Bits &^= CanRead
	}
}

// readResult books what a read or splice from h's socket returned and reports
// whether there are bytes. A reset is reported once only: where a write has met it,
// the read after it finds what looks like an end of the stream. (EPIPE is no reset:
// there the FIN came first.)
func (h *Half) readResult(n int, errno sys.Errno) bool {
	switch {
	case errno == sys.EAGAIN:
		h.Bits &^= CanRead
		return false
	case errno != 0:
		h.fail(ReadDead, uint8(errno))
		h.State = Eof
		return false
	case n == 0 && h.Bits&WriteDead != 0 && h.Err != uint8(sys.EPIPE):
		h.fail(ReadDead, h.Err)
		h.State = Eof
		return false
	case n == 0:
		h.Bits |= AtEOF
		h.State = Eof
		return false
	}
	return true
}

// writeFailed books an errno of a write to other's socket and reports whether the
// destination is merely full. A dead destination ends the half; its socket is
// read once more, because that tells whether it is dead in both directions.
func (m *Mover) writeFailed(h, other *Half, errno sys.Errno) (full bool) {
	if errno == sys.EAGAIN {
		other.Bits &^= CanWrite
		return true
	}
	other.fail(WriteDead, uint8(errno))
	other.Bits |= CanRead
	m.Drop(h)
	h.State = Shut
	return false
}

// flush writes what h holds. Drained means that nothing is held any more.
func (m *Mover) flush(h, other *Half) Progress {
	switch {
	case other.Bits&CanWrite == 0:
		return h.block()
	case other.Bits&Secured != 0:
		if errno := m.TLS.Flush(other.loan, other.FD); errno != 0 {
			return m.refused(h, other, errno)
		}
	}
	switch {
	case h.loan == 0 || h.Bits&Secured != 0:
		return h.unblock()
	case h.loan&pipeBit != 0:
		return m.drain(h, other)
	}
	buf := m.Bufs.At(h.loan)
	for buf.Len() > 0 {
		n, errno := m.Write(other, buf.Bytes())
		if errno != 0 {
			return m.refused(h, other, errno)
		}
		buf.R += n
		h.Bytes += uint64(n)
	}
	m.Drop(h)
	if m.Pending(other) {
		return m.refused(h, other, sys.EAGAIN)
	}
	return h.unblock()
}

// refused is how flushing ends with an errno.
func (m *Mover) refused(h, other *Half, errno sys.Errno) Progress {
	if m.writeFailed(h, other, errno) {
		return h.block()
	}
	return Ended
}

func (h *Half) block() Progress {
	if h.State == Flow {
		h.State = Blocked
	}
	return Stuck
}

func (h *Half) unblock() Progress {
	if h.State == Blocked {
		h.State = Flow
	}
	return Drained
}

// finish passes FIN on once nothing is held (RFC 9293 section 3.6, half-close). Where the
// other half has ended too, both sockets are about to be closed, which does the same.
func (m *Mover) finish(h, other *Half) Progress {
	if other.Bits&WriteDead == 0 && (other.State != Shut || other.Bits&AtEOF == 0 || other.Bits&Secured != 0) {
		if errno := m.Shutdown(other); errno == sys.EAGAIN {
			return Stuck
		}
	}
	h.State = Shut
	return Ended
}
