package relay

import (
	"holdfast/internal/assert"
	"holdfast/pool"
	"holdfast/tlsio"
)

// pipeBit tells a pipe's index from a buffer's in Half.loan; 0 is no loan.
const pipeBit = 1 << 31

// Hold gives a half bytes to deliver before anything it reads itself: what stood
// behind a request or response head. It must be called on a half that holds
// nothing; b is copied.
func (m *Mover) Hold(h *Half, b []byte) {
	if len(b) == 0 {
		return
	}
	m.hold(h, b)
	if h.Bits&Secured == 0 {
		h.Messages += h.frames.follow(b)
	}
}

func (m *Mover) hold(h *Half, b []byte) {
	if h.Bits&Secured != 0 {
		m.TLS.Unread(h.loan, b)
		h.Bits |= CanRead
		return
	}
	assert.That(h.loan == 0, "a half holds one loan at a time")
	id, buf := m.Bufs.Get(len(b))
	buf.W = copy(buf.B, b)
	h.loan = id
}

// Held is the number of bytes the half holds for its destination. What a secured half owes
// is kept by the TLS layer.
func (m *Mover) Held(h *Half) int {
	switch {
	case h.loan == 0 || h.Bits&Secured != 0:
		return 0
	case h.loan&pipeBit != 0:
		return m.Pipes.At(h.loan &^ pipeBit).Held
	}
	return m.Bufs.At(h.loan).Len()
}

// Drop returns whatever the half has on loan; bytes inside are lost.
func (m *Mover) Drop(h *Half) {
	switch {
	case h.loan == 0 || h.Bits&Secured != 0:
		return
	case h.loan&pipeBit != 0:
		m.Pipes.Put(h.loan &^ pipeBit)
	default:
		m.Bufs.Put(h.loan)
	}
	h.loan = 0
}

// Mover is what a shard's halves share: the buffer every copy goes through and
// the pools that lend.
type Mover struct {
	Scratch []byte // 64 KiB; its content is meaningless between two calls
	Bufs    *pool.Bufs
	Pipes   *pool.Pipes
	TLS     *tlsio.Layer
}
