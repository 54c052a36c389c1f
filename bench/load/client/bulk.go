package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/bench/load/frame"
	"holdfast/bench/load/poll"
	"holdfast/test/wire"
)

// sentPerTurn bounds what one connection sends before the others, bytes.
const sentPerTurn = 1 << 20

// sealedAtOnce is how much of a stream is made records of before they are sent, bytes.
const sealedAtOnce = 64 << 10

// BulkOptions describe a bulk load.
type BulkOptions struct {
	Target
	Connections int
	Frame       uint64 // payload bytes of a frame; ignored when Raw
	Up          bool   // from the client to the origin
	Bytes       uint64 // of payload, over all connections
}

// Bulk moves bytes one way on open connections as fast as it can. Down, the origin's
// /source sends frames, whose headers are followed and whose payload is counted; up, its
// /sink counts. A count that differs is an error. With an error comes what arrived until
// then.
func Bulk(o BulkOptions) (Result, error) {
	r := Result{Scenario: "bulk"}
	if o.Connections < o.Loops || o.Bytes < uint64(o.Connections) || o.Frame < 1 && !o.Raw {
		return r, errors.New("bulk: want a connection for each loop, a byte for each connection and a frame size")
	}
	if o.Raw {
		o.Frame = 0
	}
	each := o.Bytes / uint64(o.Connections)
	below := fmt.Sprintf("/source?frame=%d&bytes=%d", o.Frame, each)
	if o.Up {
		below = fmt.Sprintf("/sink?bytes=%d", each)
	}
	to, err := o.resolve(below)
	if err != nil {
		return r, err
	}
	var loops []*bulk
	defer func() {
		for _, l := range loops {
			l.close()
		}
	}()
	for i := range o.Loops {
		base, err := newLoop(o.Target, to, share(o.Connections, o.Loops, i))
		if err != nil {
			return r, err
		}
		l := &bulk{loop: base, raw: o.Raw, up: o.Up, each: each}
		l.load = l
		loops = append(loops, l)
	}
	if err = parallel(loops, (*bulk).openAll); err != nil {
		r.Errors = 1
		return r, err
	}
	stream := frame.NewStream(each, o.Frame, true)
	if !o.Up {
		stream = frame.NewStream(1, min(o.Frame, 1), true) // the byte that starts the source
	}
	watch := start()
	err = parallel(loops, func(l *bulk) error { return l.run(stream) })
	for _, l := range loops {
		r.Count += int64(l.done)
		for i := range l.conns {
			r.Bytes += int64(l.conns[i].came)
		}
	}
	watch.finish(&r, nil, err)
	return r, err
}

// bulk is one loop of the load.
type bulk struct {
	*loop
	raw, up bool
	each    uint64 // bytes of payload on each connection
	sending []*conn
	rest    []*conn // the memory of sending's other half
	done    int     // connections that have moved all
}

func (l *bulk) run(stream *frame.Stream) error {
	l.progress = poll.Now()
	for i := range l.conns {
		c := &l.conns[i]
		c.stream = stream
		l.sending = append(l.sending, c)
	}
	for l.err == nil && l.done < len(l.conns) {
		now := l.sending
		l.sending = l.rest[:0]
		for _, c := range now {
			l.pump(c)
		}
		l.rest = now
		wait := time.Second
		if len(l.sending) > 0 {
			wait = 0
		}
		l.turn(wait, true)
	}
	return l.err
}

// pump sends some of a connection's stream.
func (l *bulk) pump(c *conn) {
	if !l.sendHeld(c) {
		return
	}
	for first := c.sent; c.sent < c.stream.Bytes() && l.err == nil; {
		if c.sent-first >= sentPerTurn {
			l.sending = append(l.sending, c)
			return
		}
		if l.secure != nil {
			piece := c.stream.Piece(c.sent)
			piece = piece[:min(len(piece), sealedAtOnce)]
			c.sent += uint64(len(piece))
			l.progress = poll.Now()
			if l.send(c, piece); c.blocked {
				return
			}
			continue
		}
		n, e := poll.Send(c.fd, c.stream.Piece(c.sent))
		switch e {
		case 0, unix.EINTR:
		case unix.EAGAIN:
			c.blocked = true
			return
		default:
			l.fail("connection %d: write: %w", c.index, e)
		}
		c.sent += uint64(n)
		l.progress = poll.Now()
	}
}

func (l *bulk) opened(*conn) {}

func (l *bulk) writable(c *conn) { l.pump(c) }

func (l *bulk) received(c *conn, b []byte) {
	l.progress = poll.Now()
	if l.up {
		l.counted(c, b)
		return
	}
	n, ok := uint64(len(b)), true
	if !l.raw {
		n, ok = c.decoder.Count(b, false)
	}
	c.came += n
	switch {
	case !ok:
		l.fail("connection %d: no data frame of a server behind %d bytes", c.index, c.came)
	case c.came > l.each:
		l.fail("connection %d: %d bytes more than asked for", c.index, c.came-l.each)
	case c.came == l.each && !c.decoder.Within():
		l.done++
	}
}

// counted takes the answer of a sink: 8 bytes, in a frame unless raw.
func (l *bulk) counted(c *conn, b []byte) {
	c.head = append(c.head, b...)
	answer := c.head
	if !l.raw {
		header := wire.AppendHeader(nil, wire.FrameHeader{Op: wire.OpBinary, Fin: true, Length: 8})
		if n := min(len(header), len(answer)); string(answer[:n]) != string(header[:n]) {
			l.fail("connection %d: the sink's answer is no binary message of 8 bytes", c.index)
			return
		}
		answer = answer[min(len(header), len(answer)):]
	}
	if len(answer) < 8 {
		return
	}
	if n := binary.BigEndian.Uint64(answer); n != l.each || len(answer) > 8 || c.sent != c.stream.Bytes() {
		l.fail("connection %d: the sink counted %d bytes of %d", c.index, n, l.each)
		return
	}
	c.came = l.each
	l.done++
}
