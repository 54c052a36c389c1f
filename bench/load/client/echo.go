package client

import (
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/bench/load/poll"
)

// EchoOptions describe an echo load.
type EchoOptions struct {
	Target
	Connections int
	Size        int           // bytes of a message's payload, at least 1
	Rate        float64       // messages sent a second over all connections; zero: the closed loop
	Duration    time.Duration // of the sending
}

// Echo sends messages on open connections and takes their echoes.
//
// At a fixed rate every message has its time beforehand, and its latency counts from that
// time, whether or not the sender was held up: a stall shows in all messages that it
// delayed, not in one. In the closed loop a connection sends its next message when the
// last one is back, and one at least.
//
// With an error comes what was counted until then.
func Echo(o EchoOptions) (Result, error) {
	r := Result{Scenario: "echo"}
	if o.Connections < o.Loops || o.Size < 1 || o.Rate < 0 || o.Duration <= 0 {
		return r, errors.New("echo: want a connection for each loop, a size and a duration")
	}
	to, err := o.resolve("")
	if err != nil {
		return r, err
	}
	var loops []*echo
	var latencies []*hdrhistogram.Histogram
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
		l := &echo{loop: base, message: newMessage(o.Size, o.Raw), latency: newHistogram()}
		l.load = l
		loops = append(loops, l)
		latencies = append(latencies, l.latency)
	}
	if err = parallel(loops, (*echo).openAll); err != nil {
		r.Errors = 1
		return r, err
	}
	watch := start()
	for i, l := range loops {
		l.start = watch.at
		l.until = watch.at + o.Duration
		if o.Rate > 0 {
			// The loops' messages lie evenly between each other.
			l.interval = float64(o.Loops) / o.Rate * float64(time.Second)
			l.start += time.Duration(l.interval * float64(i) / float64(o.Loops))
			l.total = uint64(max(1, float64(l.until-l.start)/l.interval))
		}
	}
	err = parallel(loops, (*echo).run)
	for _, l := range loops {
		r.Count += int64(l.done)
	}
	r.Bytes = r.Count * int64(o.Size)
	watch.finish(&r, latencies, err)
	return r, err
}

// echo is one loop of the load.
type echo struct {
	*loop
	*message
	latency      *hdrhistogram.Histogram
	start, until time.Duration
	interval     float64                 // nanoseconds between two messages; zero: the closed loop
	total        uint64                  // messages to send at the fixed rate
	scheduled    uint64                  // messages that had their time
	begun, done  uint64                  // messages sent and back
	everyTurn    func()                  // nil: nothing
	lateness     *hdrhistogram.Histogram // of the sending; nil: not wanted
}

func (l *echo) run() error {
	l.progress = poll.Now()
	if l.interval == 0 {
		return l.closed()
	}
	connections := uint64(len(l.conns))
	for l.err == nil && l.done < l.total {
		if l.everyTurn != nil {
			l.everyTurn()
		}
		now := poll.Now()
		for l.scheduled < l.total && l.dueAt(l.scheduled) <= now {
			if l.lateness != nil {
				_ = l.lateness.RecordValue(int64(now - l.dueAt(l.scheduled)))
			}
			c := &l.conns[l.scheduled%connections]
			l.scheduled++
			c.owed++
			if !c.blocked {
				l.pay(c)
			}
		}
		wait := time.Second
		if l.scheduled < l.total {
			wait = l.dueAt(l.scheduled) - poll.Now()
		}
		l.turn(wait, l.done < l.scheduled)
	}
	return l.err
}

// closed runs the closed loop.
func (l *echo) closed() error {
	for i := range l.conns {
		l.again(&l.conns[i])
	}
	for l.err == nil && l.done < l.begun {
		l.turn(time.Second, true)
	}
	return l.err
}

func (l *echo) again(c *conn) {
	c.due = poll.Now()
	c.owed++
	l.pay(c)
}

// dueAt is the time of a message of this loop.
func (l *echo) dueAt(n uint64) time.Duration {
	return l.start + time.Duration(float64(n)*l.interval)
}

// pay sends the messages that a connection owes, as far as it can.
func (l *echo) pay(c *conn) {
	for c.owed > 0 && !c.blocked && l.err == nil {
		c.owed--
		l.begun++
		l.send(c, l.numbered(c.sent))
		c.sent++
	}
}

func (l *echo) opened(*conn) {}

func (l *echo) writable(c *conn) {
	if l.sendHeld(c) {
		l.pay(c)
	}
}

func (l *echo) received(c *conn, b []byte) {
	now := poll.Now()
	l.progress = now
	for len(b) > 0 {
		if c.came == c.sent {
			l.fail("connection %d: %d bytes that nobody asked for", c.index, len(b))
			return
		}
		n, done, ok := l.check(&c.decoder, c.came, b)
		if !ok {
			l.fail("connection %d: message %d: the echo is not what was sent", c.index, c.came)
			return
		}
		b = b[n:]
		if !done {
			continue
		}
		due := c.due
		if l.interval > 0 {
			due = l.dueAt(c.came*uint64(len(l.conns)) + uint64(c.index))
		}
		c.came++
		l.done++
		if err := l.latency.RecordValue(int64(max(now-due, 0))); err != nil {
			l.fail("connection %d: latency: %w", c.index, err)
			return
		}
		if l.interval == 0 && now < l.until {
			l.again(c)
		}
	}
}
