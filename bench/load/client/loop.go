package client

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/bench/load/frame"
	"holdfast/bench/load/poll"
	"holdfast/bench/load/secure"
)

const (
	readBytes = 64 << 10
	// readsPerTurn bounds what one connection gets before the others.
	readsPerTurn = 16
	headBytesMax = 16 << 10
	// opening is how many handshakes of one loop are under way at once.
	opening = 64
)

// errStopped ends the loops whose load failed on another loop.
var errStopped = errors.New("another loop failed")

// load is what the loop leaves to the three loads. They end a run by the loop's fail.
type load interface {
	// opened is called when a connection's handshake is done.
	opened(c *conn)
	// received is called with the bytes that came, which are valid only meanwhile.
	received(c *conn, b []byte)
	// writable is called when a connection that was blocked takes bytes again.
	writable(c *conn)
}

// loop is the part of a load's event loop that all loads have: it connects, shakes
// hands, reads and tells. It belongs to one goroutine, but for stop and Wake.
type loop struct {
	to       *destination
	load     load
	poller   *poll.Poller
	conns    []conn
	buf      []byte
	queue    []*conn // connections that were not read to the end
	next     []*conn
	patience time.Duration
	progress time.Duration // when bytes last came or went
	secure   *security     // nil without TLS
	dialed   int           // connections so far, for their source addresses
	ready    int           // handshakes done so far
	err      error
	stop     atomic.Bool
}

// conn is one connection. The fields below are the load's.
type conn struct {
	fd         int32
	index      uint32
	generation uint32
	phase      phase
	readable   bool
	ended      bool // the peer's FIN may be in front: a short read says nothing
	queued     bool
	blocked    bool // the last send was not taken whole
	decoder    frame.Decoder
	head       []byte // a response head that has not come whole
	held       []byte // what was not taken of a message
	read       secure.Direction
	write      secure.Direction
	sealed     []byte // the beginning of a record that has not come whole

	due    time.Duration // when the message or the session under way had to start
	sent   uint64        // messages sent, or bytes of the stream
	came   uint64        // messages back, or bytes of payload
	owed   uint64        // messages that are due
	stream *frame.Stream
}

type phase uint8

const (
	unused phase = iota
	connecting
	shaking
	open
)

func newLoop(t Target, to *destination, connections int) (*loop, error) {
	p, err := poll.New()
	if err != nil {
		return nil, err
	}
	l := &loop{to: to, poller: p, conns: make([]conn, connections), buf: make([]byte, readBytes), patience: t.patience}
	if l.patience == 0 {
		l.patience = Patience
	}
	for i := range l.conns {
		l.conns[i].index, l.conns[i].fd = uint32(i), -1
	}
	if to.dialer != nil {
		l.secure = &security{dialer: to.dialer}
	}
	return l, nil
}

func (l *loop) base() *loop { return l }

func (l *loop) close() {
	for i := range l.conns {
		l.hangUp(&l.conns[i])
	}
	if l.secure != nil {
		l.endHandshakes()
	}
	l.poller.Close()
}

// fail ends the run with an error; the first one counts.
func (l *loop) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// openAll opens the loop's connections, some at a time.
func (l *loop) openAll() error {
	l.progress = poll.Now()
	next := 0
	for l.err == nil {
		if l.ready == len(l.conns) {
			return nil
		}
		for next < len(l.conns) && next-l.ready < opening && l.err == nil {
			l.dial(&l.conns[next])
			next++
		}
		l.turn(time.Second, true)
	}
	return l.err
}

// turn waits at most d for events and handles them. busy tells that something is
// expected, so that the patience may come to its end.
func (l *loop) turn(d time.Duration, busy bool) {
	if len(l.queue) > 0 {
		d = 0
	}
	n := l.poller.Wait(min(max(d, 0), time.Second, l.patience))
	for i := range n {
		bits, data := l.poller.Event(i)
		if data == poll.WakeData {
			if l.secure != nil {
				l.admit()
			}
			continue
		}
		c := &l.conns[uint32(data)]
		if c.generation != uint32(data>>32) {
			continue // closed in this batch
		}
		l.event(c, bits)
	}
	now := l.queue
	l.queue = l.next[:0]
	for _, c := range now {
		if c.queued {
			c.queued = false
			l.read(c)
		}
	}
	l.next = now
	switch {
	case l.stop.Load():
		if l.err == nil {
			l.err = errStopped
		}
	case n > 0 || len(now) > 0:
	case !busy:
		l.progress = poll.Now()
	case poll.Now()-l.progress > l.patience:
		l.fail("no progress for %v", l.patience)
	}
}

func (l *loop) event(c *conn, bits uint32) {
	if bits&poll.RdHup != 0 {
		c.ended = true
	}
	if bits&poll.Out != 0 {
		switch {
		case c.phase == connecting:
			l.shake(c)
		case c.blocked:
			c.blocked = false
			l.progress = poll.Now()
			l.load.writable(c)
		}
	}
	if bits&(poll.In|poll.RdHup) != 0 {
		c.readable = true
		l.read(c)
	}
}

// dial starts a connection; its head goes out with it if the connect is done at once.
func (l *loop) dial(c *conn) {
	if l.secure != nil {
		l.shakeSecurely(c)
		return
	}
	fd, e := poll.Dial(l.to.source(l.dialed), &l.to.address)
	l.dialed++
	if e != 0 && e != unix.EINPROGRESS {
		l.fail("connect to %v: %w", &l.to.address, e)
		return
	}
	l.renew(c, fd)
	l.shake(c)
	if e := l.poller.Add(fd, uint64(c.index)|uint64(c.generation)<<32); e != 0 {
		l.fail("epoll: %w", e)
	}
}

// renew makes a record that of a new connection; it keeps its memory.
func (l *loop) renew(c *conn, fd int32) {
	*c = conn{fd: fd, index: c.index, generation: c.generation, phase: connecting, due: c.due,
		head: c.head[:0], held: c.held[:0], sealed: c.sealed[:0]}
}

// shake sends the upgrade request.
func (l *loop) shake(c *conn) {
	n, e := poll.Send(c.fd, l.to.request)
	switch {
	case e == unix.EAGAIN:
		return // not connected yet
	case e != 0:
		l.fail("connect to %v: %w", &l.to.address, e)
		return
	case n < len(l.to.request):
		l.fail("a fresh connection takes only %d bytes", n)
		return
	}
	c.phase = shaking
}

// read reads what has come and hands it on.
func (l *loop) read(c *conn) {
	for range readsPerTurn {
		if !c.readable || l.err != nil || c.phase < shaking {
			return
		}
		kept := copy(l.buf, c.sealed)
		n, e := poll.Recv(c.fd, l.buf[kept:])
		switch {
		case e == unix.EAGAIN:
			c.readable = false
			return
		case e == unix.EINTR:
			continue
		case e != 0:
			l.fail("connection %d: read: %w", c.index, e)
			return
		case n == 0:
			l.fail("connection %d: the other side closed it", c.index)
			return
		}
		if n < len(l.buf)-kept && !c.ended {
			c.readable = false
		}
		if l.secure != nil {
			l.unseal(c, l.buf[:kept+n])
			continue
		}
		l.deliver(c, l.buf[:n])
	}
	if c.readable && !c.queued && c.phase == open {
		c.queued = true
		l.queue = append(l.queue, c)
	}
}

// deliver hands on bytes that came, without TLS.
func (l *loop) deliver(c *conn, b []byte) {
	if c.phase == shaking {
		l.answered(c, b)
		return
	}
	l.load.received(c, b)
}

var headEnd = []byte("\r\n\r\n")

// answered takes bytes of the response head.
func (l *loop) answered(c *conn, b []byte) {
	l.progress = poll.Now()
	if len(c.head) > 0 {
		c.head = append(c.head, b...)
		b = c.head
	}
	size := bytes.Index(b, headEnd)
	if size < 0 {
		if len(b) > headBytesMax {
			l.fail("connection %d: the response head does not end", c.index)
		}
		if len(c.head) == 0 {
			c.head = append(c.head, b...)
		}
		return
	}
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 101")) {
		l.fail("connection %d: the upgrade was answered %q", c.index, line)
		return
	}
	if !bytes.Contains(b[:size], []byte(l.to.accept)) {
		l.fail("connection %d: the 101 does not say %q", c.index, l.to.accept)
		return
	}
	if len(b) > size+len(headEnd) {
		l.fail("connection %d: %d bytes behind the 101 that nobody asked for", c.index, len(b)-size-len(headEnd))
		return
	}
	c.phase, c.head = open, c.head[:0]
	l.ready++
	l.load.opened(c)
}

// send sends b whole, or holds what the kernel does not take; then blocked is set.
func (l *loop) send(c *conn, b []byte) {
	if l.secure != nil {
		l.secure.out = l.secure.pump.Seal(l.secure.out[:0], &c.write, b)
		b = l.secure.out
	}
	l.push(c, b)
}

// push sends b as it is.
func (l *loop) push(c *conn, b []byte) {
	n, e := poll.Send(c.fd, b)
	if e != 0 && e != unix.EAGAIN && e != unix.EINTR {
		l.fail("connection %d: write: %w", c.index, e)
		return
	}
	if n < len(b) {
		c.blocked = true
		c.held = append(c.held[:0], b[n:]...)
	}
}

// sendHeld sends what is held; it returns false when it is blocked again.
func (l *loop) sendHeld(c *conn) bool {
	if len(c.held) > 0 {
		b := c.held
		c.held = c.held[:0]
		l.push(c, b)
	}
	return !c.blocked && l.err == nil
}

// hangUp closes a connection by FIN and frees its record.
func (l *loop) hangUp(c *conn) {
	if c.phase == unused {
		return
	}
	if c.fd >= 0 {
		poll.Close(c.fd)
	}
	c.fd, c.phase, c.queued = -1, unused, false
	c.generation++
}
