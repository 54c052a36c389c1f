package relay

import "holdfast/internal/sys"

// securedShort is what is read at once of a secured tunnel while memory in flight is at
// its limit: what its destination does not take is held all the same, in bytes.
const securedShort = 4 << 10

// Secure makes h's socket one that carries TLS, under a number of Mover.TLS. The half must
// not hold anything. It is never spliced.
func (h *Half) Secure(id uint32) {
	h.Bits |= Secured | CanRead // records may have come with the end of the handshake
	h.loan = id
}

// Unsecure takes its TLS connection off a half, which must be closed by then.
func (h *Half) Unsecure() {
	h.Bits &^= Secured
	h.loan = 0
}

// TLS is the number of the half's TLS connection, 0 if it has none.
func (h *Half) TLS() uint32 {
	if h.Bits&Secured == 0 {
		return 0
	}
	return h.loan
}

// Recv reads from h's socket, through TLS where it has that (sys.Recv, tlsio.Layer.Recv).
func (m *Mover) Recv(h *Half, b []byte) (n int, errno sys.Errno) {
	if h.Bits&Secured != 0 {
		return m.TLS.Recv(h.loan, h.FD, b)
	}
	return sys.Recv(h.FD, b)
}

// Write writes to h's socket, through TLS where it has that (sys.Write, tlsio.Layer.Write).
// A secured half may have records Pending afterwards.
func (m *Mover) Write(h *Half, b []byte) (n int, errno sys.Errno) {
	if h.Bits&Secured != 0 {
		return m.TLS.Write(h.loan, h.FD, b)
	}
	return sys.Write(h.FD, b)
}

// ShortRead books that a Recv left room in its buffer: nothing more will come without an
// event, unless the end of the stream does (RDHUP), or TLS has it already.
func (m *Mover) ShortRead(h *Half) {
	if h.Bits&Secured == 0 || !m.TLS.Ready(h.loan) {
		h.shortRead()
	}
}

// Pending reports whether h's socket has yet to take what Write has taken.
func (m *Mover) Pending(h *Half) bool {
	return h.Bits&Secured != 0 && m.TLS.Pending(h.loan)
}

// Shutdown ends the stream to h's socket: with TLS by its close_notify, then by FIN. EAGAIN
// means that the socket has to become writable first.
func (m *Mover) Shutdown(h *Half) sys.Errno {
	if h.Bits&Secured != 0 {
		if h.Bits&CanWrite == 0 {
			return sys.EAGAIN
		}
		if errno := m.TLS.CloseNotify(h.loan, h.FD); errno == sys.EAGAIN {
			h.Bits &^= CanWrite
			return sys.EAGAIN
		}
	}
	return sys.ShutdownWrite(h.FD)
}

// copySecured is copy where one of the two sockets carries TLS. What the destination does
// not take goes back to the TLS layer if it came from there.
func (m *Mover) copySecured(h, other *Half, into []byte) int {
	if m.Bufs.Full() || m.TLS.Full() {
		if other.Bits&CanWrite == 0 {
			h.State = Blocked
			return 0
		}
		into = into[:min(len(into), securedShort)]
	}
	n, errno := m.Recv(h, into)
	if !h.readResult(n, errno) {
		return 0
	}
	if n < len(into) {
		m.ShortRead(h)
	}
	b := into[:n]
	w := 0
	if other.Bits&CanWrite != 0 {
		w, errno = m.Write(other, b)
		if errno != 0 && !m.writeFailed(h, other, errno) {
			h.Messages += h.frames.follow(b)
			return n
		}
		h.Bytes += uint64(w)
	}
	if w < n || m.Pending(other) {
		other.Bits &^= CanWrite
		h.State = Blocked
	}
	if h.Bits&Secured != 0 {
		h.Messages += h.frames.follow(b[:w]) // the rest comes once more
	} else {
		h.Messages += h.frames.follow(b)
	}
	if w < n {
		m.hold(h, b[w:])
	}
	return n
}
