package tlsio

import (
	"bytes"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"
)

// What is taken of the records behind a handshake, in search of tickets.
const (
	ticketRecordsMax = 4
	ticketBytesMax   = 64 << 10
	ticketWait       = 10 * time.Second
)

// Tickets takes the records behind a client's handshake, for as long as they are tickets.
// It lives until the first record with data, but no longer than its limits say.
type Tickets struct {
	w     *worker
	post  post
	inbox atomic.Pointer[records]
	ended atomic.Bool
	timer *time.Timer

	// What follows belongs to the worker's thread.
	wire  *wire
	conn  *tls.Conn
	taken int // records
	bytes int
}

// records were handed to Tickets, the latest first.
type records struct {
	b    []byte
	next *records
}

func newTickets(w *worker, c *wire, conn *tls.Conn) *Tickets {
	t := &Tickets{w: w, wire: c, conn: conn}
	t.post.run = t.turn
	t.timer = time.AfterFunc(ticketWait, t.End)
	return t
}

// Take is given whole records as they came from the socket, from the first one behind
// the handshake on, in order. It copies them, returns at once and works elsewhere. None at
// all means that no more tickets will come.
func (t *Tickets) Take(b []byte) {
	if t.ended.Load() {
		return
	}
	r := &records{b: bytes.Clone(b)}
	for {
		r.next = t.inbox.Load()
		if t.inbox.CompareAndSwap(r.next, r) {
			break
		}
	}
	t.w.send(&t.post)
}

// Ended reports whether Take has nothing to do any more. It may be called from any thread.
func (t *Tickets) Ended() bool { return t.ended.Load() }

// End has Tickets take nothing more. It may be called from any thread.
func (t *Tickets) End() {
	t.ended.Store(true)
	t.w.send(&t.post)
}

// turn shows crypto/tls the records that came.
func (t *Tickets) turn() {
	var in *records
	for r := t.inbox.Swap(nil); r != nil; {
		next := r.next
		r.next = in
		in, r = r, next
	}
	for ; in != nil && !t.ended.Load(); in = in.next {
		if len(in.b) == 0 || !t.read(in.b) {
			t.ended.Store(true)
		}
	}
	if t.ended.Load() {
		t.timer.Stop()
		t.conn, t.wire = nil, nil
	}
}

// read reports whether more records may be tickets.
func (t *Tickets) read(b []byte) (more bool) {
	defer func() {
		if recover() != nil { // as in run
			more = false
		}
	}()
	for len(b) >= recordHeader {
		n := recordHeader + int(b[3])<<8 + int(b[4])
		if n > len(b) || t.bytes+n > ticketBytesMax {
			return false
		}
		t.wire.feed = b[:n]
		t.bytes += n
		t.taken++
		var data [1]byte
		if _, err := t.conn.Read(data[:]); !errors.Is(err, wouldBlock{}) || t.taken >= ticketRecordsMax {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}
