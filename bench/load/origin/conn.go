package origin

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"holdfast/bench/load/poll"
	"holdfast/test/wire"
)

// serve does what a connection can do now: send what is held back, then read.
func (l *loop) serve(c *conn) {
	if !l.flush(c) {
		return
	}
	for range readsPerTurn {
		if !c.readable {
			return
		}
		n, e := poll.Recv(c.fd, l.buf[room:])
		switch {
		case e == unix.EAGAIN:
			c.readable = false
			return
		case e == unix.EINTR:
			continue
		case e != 0:
			l.close(c)
			return
		case n == 0: // all answers went out before this read
			l.close(c)
			return
		}
		if n < readBytes && !c.ended {
			c.readable = false
		}
		if !l.received(c, l.buf[:room+n], room) {
			return
		}
	}
	if c.readable {
		l.later(c)
	}
}

// received handles the bytes of b from at on. It returns false if the connection must
// not be read now: it is closed, or the answer has not gone out.
func (l *loop) received(c *conn, b []byte, at int) bool {
	switch c.state {
	case reading:
		return l.requests(c, b, at)
	case echoing:
		if c.raw {
			return l.send(c, b[at:])
		}
		answer, closed, ok := c.decoder.Echo(b, at)
		if !ok {
			l.close(c)
			return false
		}
		if closed {
			c.state, c.finish = draining, true
		}
		return l.send(c, answer)
	case waiting:
		c.state = draining
		c.stream, c.position = l.makeStream(streamKey{bytes: c.want, size: c.size}), 0
		return l.flush(c)
	case sinking:
		return l.sink(c, b[at:])
	}
	return true
}

// sink counts what came and answers when it was enough.
func (l *loop) sink(c *conn, b []byte) bool {
	n, ok := uint64(len(b)), true
	if !c.raw {
		n, ok = c.decoder.Count(b, true)
	}
	c.got += n
	if !ok || c.got > c.want {
		l.close(c)
		return false
	}
	if c.got < c.want || c.decoder.Within() {
		return true
	}
	return l.count(c)
}

// count sends the answer of a sink.
func (l *loop) count(c *conn) bool {
	c.state = draining
	l.out = l.out[:0]
	if !c.raw {
		l.out = wire.AppendHeader(l.out, wire.FrameHeader{Op: wire.OpBinary, Fin: true, Length: 8})
	}
	l.out = binary.BigEndian.AppendUint64(l.out, c.got)
	return l.send(c, l.out)
}

// send sends b behind what is held back, and holds back what the kernel does not take.
// It returns false like received.
func (l *loop) send(c *conn, b []byte) bool {
	if len(b) > 0 && c.held == nil {
		n, e := poll.Send(c.fd, b)
		if e != 0 && e != unix.EAGAIN && e != unix.EINTR {
			l.close(c)
			return false
		}
		b = b[n:]
		if len(b) == 0 && !c.closing && !c.finish && c.stream == nil {
			return true
		}
	}
	if len(b) > 0 {
		l.hold(c, b)
	}
	return l.flush(c)
}

func (l *loop) hold(c *conn, b []byte) {
	if c.held == nil {
		if n := len(l.spare); n > 0 {
			c.held = l.spare[n-1]
			l.spare = l.spare[:n-1]
		} else {
			c.held = make([]byte, 0, readBytes)
		}
		c.heldAt = 0
	}
	c.held = append(c.held, b...)
}

// flush sends what is held back, then the stream, and ends the connection if that was
// asked for. It returns false if not all went out or the connection is closed.
func (l *loop) flush(c *conn) bool {
	for c.held != nil {
		n, e := poll.Send(c.fd, c.held[c.heldAt:])
		if e == unix.EAGAIN {
			return false
		}
		if e != 0 && e != unix.EINTR {
			l.close(c)
			return false
		}
		if c.heldAt += n; c.heldAt == len(c.held) {
			l.spare = append(l.spare, c.held[:0])
			c.held = nil
		}
	}
	if c.stream != nil && !l.pump(c) {
		return false
	}
	switch {
	case c.closing:
		l.close(c)
		return false
	case c.finish:
		c.finish = false
		poll.CloseWrite(c.fd)
	}
	return true
}

// pump sends a stream; it returns false like flush.
func (l *loop) pump(c *conn) bool {
	start := c.position
	for c.position < c.stream.Bytes() {
		if c.position-start >= sentPerTurn {
			l.later(c)
			return false
		}
		n, e := poll.Send(c.fd, c.stream.Piece(c.position))
		if e == unix.EAGAIN {
			return false
		}
		if e != 0 && e != unix.EINTR {
			l.close(c)
			return false
		}
		c.position += uint64(n)
	}
	c.stream = nil
	if c.state == reading && len(c.head) > 0 { // requests that came behind this one
		b := append(make([]byte, room, room+len(c.head)), c.head...)
		c.head = c.head[:0]
		return l.requests(c, b, room)
	}
	return true
}
