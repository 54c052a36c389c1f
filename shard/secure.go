package shard

import (
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
)

// secured reports whether either of two sockets carries TLS: what lies between them can't
// be moved without being read.
func secured(a, b *relay.Half) bool { return (a.Bits|b.Bits)&relay.Secured != 0 }

// atEnd reports whether the stream from h's socket has ended, and nothing of it is left to
// read.
func (sh *Shard) atEnd(h *relay.Half) bool {
	if h.Bits&relay.Secured == 0 {
		return sys.PeekEOF(h.FD)
	}
	if sh.mover.TLS.AtEnd(h.TLS(), h.FD) {
		return true
	}
	if sh.mover.TLS.Ready(h.TLS()) { // plaintext, or a failure that the next read is to see
		h.Bits |= relay.CanRead
	}
	return false
}

// closeHalf closes a half's socket, with TLS after its close_notify as far as the socket
// takes that.
func (sh *Shard) closeHalf(h *relay.Half) {
	if id := h.TLS(); id != 0 {
		sh.closeTLS(id, h.FD)
		if h.Bits&relay.CanRead != 0 {
			sh.discard(h.FD)
		}
		h.Unsecure()
	}
	sys.Close(h.FD)
}

// discard reads what has come by now. A socket that is closed with something unread resets
// its connection, and that may take the alert from the peer that was sent last.
func (sh *Shard) discard(fd int32) {
	for range lingerReads {
		if n, errno := sys.Recv(fd, sh.mover.Scratch); errno != 0 || n < len(sh.mover.Scratch) {
			return
		}
	}
}

// closeTLS ends a TLS connection whose socket is about to be closed.
func (sh *Shard) closeTLS(id uint32, fd int32) {
	sh.mover.TLS.CloseNotify(id, fd)
	sh.mover.TLS.Close(id)
}

// peekClient looks at what a client has sent before anything is read from it in the clear. 0
// means that there is nothing yet, or that the client has gone and the session is closed.
func (sh *Shard) peekClient(s *Session, b []byte) (n int) {
	if s.Down.Bits&relay.CanRead == 0 {
		return 0
	}
	n, errno := sys.Peek(s.Down.FD, b)
	switch {
	case errno == sys.EAGAIN:
		s.Down.Bits &^= relay.CanRead
		return 0
	case errno != 0:
		s.trail = s.trail.Note(observe.SideClient, observe.EventReadFailed)
		sh.close(s, errnoReason(errno), observe.SideClient)
		return 0
	case n == 0:
		s.trail = s.trail.Note(observe.SideClient, observe.EventFin)
		sh.close(s, observe.ReasonDone, observe.SideClient)
	}
	return n
}

// truncated reports whether the stream from h's socket ended without TLS saying so: someone
// between the two ends may have cut it (RFC 8446 section 6.1).
func (sh *Shard) truncated(h *relay.Half) bool {
	id := h.TLS()
	return id != 0 && sh.mover.TLS.Truncated(id)
}

// endEvent is how the stream from h's socket ended, for the trail.
func (sh *Shard) endEvent(h *relay.Half) observe.Event {
	if sh.truncated(h) {
		return observe.EventTruncated
	}
	return observe.EventFin
}

// logTLS logs what TLS found wrong, where that is why a read or a write failed.
func (sh *Shard) logTLS(s *Session, errno sys.Errno, side observe.Side) {
	if errno != sys.EBADMSG && errno != sys.EPROTO {
		return
	}
	if side == observe.SideClient {
		sh.logError(s, observe.LevelInfo, "TLS failed on the client's connection:", []byte(sh.mover.TLS.Problem()))
	} else {
		sh.logError(s, observe.LevelError, "TLS failed on the upstream's connection:", []byte(sh.mover.TLS.Problem()))
	}
}

// heldBy is how many bytes f holds for its destination in a buffer.
func (sh *Shard) heldBy(f *flow) int {
	if f.out == 0 {
		return 0
	}
	return sh.bufs.At(f.out).Len()
}

// unsent is how many bytes TLS has that h's socket has yet to take: they count as sent.
func (sh *Shard) unsent(h *relay.Half) int64 {
	if id := h.TLS(); id != 0 {
		return int64(sh.mover.TLS.Unsent(id))
	}
	return 0
}

// flushSealed writes the records that TLS has for f's destination. done and ok are those of
// flush.
func (sh *Shard) flushSealed(to *relay.Half, f *flow) (done, ok bool) {
	if to.Bits&relay.CanWrite == 0 {
		return false, true
	}
	switch errno := sh.mover.TLS.Flush(to.TLS(), to.FD); errno {
	case 0:
		f.sealed = false
		return true, true
	case sys.EAGAIN:
		to.Bits &^= relay.CanWrite
		return false, true
	default:
		to.Err = uint8(errno)
		return false, false
	}
}
