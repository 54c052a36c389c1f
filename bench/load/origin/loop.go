package origin

import (
	"time"

	"golang.org/x/sys/unix"

	"holdfast/bench/load/frame"
	"holdfast/bench/load/poll"
)

const (
	// listenerData is the event data of the listening socket; a connection's is its index
	// and, above it, its generation.
	listenerData = poll.WakeData - 1
	readBytes    = 64 << 10
	// room is what an echo may need before the bytes just read.
	room = frame.HeaderBytesMax
	// chunk is how many records are allocated at a time; they never move.
	chunk = 1024
	// readsPerTurn and sentPerTurn bound what one connection gets before the others.
	readsPerTurn = 16
	sentPerTurn  = 1 << 20
	// retryAccept is the pause after an accept that found no descriptor left.
	retryAccept = 100 * time.Millisecond
)

// loop is one event loop with its connections. Only its goroutine touches it, but for
// the counters.
type loop struct {
	counters
	poller   *poll.Poller
	listener int32
	full     bool // the last accept found no descriptor left
	chunks   [][]conn
	free     []uint32
	used     uint32
	queue    []uint32 // connections that have more to do without an event
	next     []uint32 // the memory of the queue's other half
	buf      []byte
	out      []byte   // an answer in the making
	spare    [][]byte // buffers of answers that were held back once
	stream   *frame.Stream
	streamOf streamKey
}

// conn is one connection.
type conn struct {
	fd         int32
	index      uint32
	generation uint32
	state      state
	raw        bool // upgraded without frames
	readable   bool // no EAGAIN since the last event
	ended      bool // the peer's FIN may be in front: a short read says nothing
	queued     bool
	closing    bool // close when all is sent
	finish     bool // send FIN when all is sent, then wait for the peer's
	decoder    frame.Decoder
	head       []byte // a request head that has not come whole
	held       []byte // what the kernel did not take yet
	heldAt     int
	stream     *frame.Stream // sent behind held, from position on
	position   uint64
	skip       uint64 // bytes of a request's body to come
	want, got  uint64 // payload bytes of a source or sink, and those that came to a sink
	size       uint64 // payload bytes of a source's frames; 0: no frames
}

// state is what the next byte of a connection means.
type state uint8

const (
	reading  state = iota // a request head, or its body
	echoing               // a tunnel's bytes, to be sent back
	waiting               // the byte that starts a source
	sinking               // bytes to count
	draining              // nothing: dropped until the end
)

func (l *loop) run() {
	defer poll.Lock()()
	defer l.closeAll()
	for !l.stop.Load() {
		wait := time.Duration(-1)
		switch {
		case len(l.queue) > 0:
			wait = 0
		case l.full:
			wait = retryAccept
		}
		n := l.poller.Wait(wait)
		for i := range n {
			l.event(l.poller.Event(i))
		}
		if l.full {
			l.accept()
		}
		l.turn()
	}
}

// turn serves those that have more to do.
func (l *loop) turn() {
	now := l.queue
	l.queue = l.next[:0]
	for _, index := range now {
		if c := l.conn(index); c.queued { // else it was closed meanwhile
			c.queued = false
			l.serve(c)
		}
	}
	l.next = now
}

func (l *loop) event(bits uint32, data uint64) {
	switch data {
	case poll.WakeData:
		return
	case listenerData:
		l.accept()
		return
	}
	c := l.conn(uint32(data))
	if c.generation != uint32(data>>32) {
		return // closed in this batch
	}
	if bits&(poll.In|poll.RdHup) != 0 {
		c.readable = true
		c.ended = c.ended || bits&poll.RdHup != 0
	}
	l.serve(c)
}

func (l *loop) conn(index uint32) *conn { return &l.chunks[index/chunk][index%chunk] }

func (l *loop) accept() {
	l.full = false
	for {
		fd, e := poll.Accept(l.listener)
		switch e {
		case 0:
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EAGAIN:
			return
		default:
			l.full = true
			return
		}
		c := l.take()
		c.fd = fd
		if e := l.poller.Add(fd, uint64(c.index)|uint64(c.generation)<<32); e != 0 {
			l.close(c)
		}
	}
}

// take returns a fresh record.
func (l *loop) take() *conn {
	l.open.Add(1)
	if n := len(l.free); n > 0 {
		index := l.free[n-1]
		l.free = l.free[:n-1]
		return l.conn(index)
	}
	if l.used%chunk == 0 {
		l.chunks = append(l.chunks, make([]conn, chunk))
	}
	c := l.conn(l.used)
	c.index = l.used
	l.used++
	return c
}

// close closes a connection by FIN, or by RST if it did not read all, and frees its record.
func (l *loop) close(c *conn) {
	poll.Close(c.fd)
	if c.held != nil {
		l.spare = append(l.spare, c.held[:0])
	}
	*c = conn{fd: -1, index: c.index, generation: c.generation + 1, head: c.head[:0]}
	l.free = append(l.free, c.index)
	l.open.Add(-1)
}

func (l *loop) closeAll() {
	for i := range l.used {
		if c := l.conn(i); c.fd >= 0 {
			l.close(c)
		}
	}
}

// later serves a connection again in the next turn.
func (l *loop) later(c *conn) {
	if !c.queued {
		c.queued = true
		l.queue = append(l.queue, c.index)
	}
}
