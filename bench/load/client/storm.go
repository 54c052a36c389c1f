package client

import (
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/bench/load/poll"
)

// StormOptions describe a connect storm.
type StormOptions struct {
	Target
	Sessions int     // in all
	AtOnce   int     // sessions under way at any time
	Size     int     // bytes of the message of each session
	Rate     float64 // sessions started a second; zero: each as soon as there is room
}

// Storm opens connections, upgrades each, echoes one message on it and closes it by FIN.
// A session's latency counts from its connect to its echo; at a rate, from the time when
// it had to start. With an error comes what was counted until then.
func Storm(o StormOptions) (Result, error) {
	r := Result{Scenario: "storm"}
	if o.Sessions < o.Loops || o.AtOnce < o.Loops || o.Size < 1 || o.Rate < 0 {
		return r, errors.New("storm: want a session and one at once for each loop, and a size")
	}
	to, err := o.resolve("")
	if err != nil {
		return r, err
	}
	var loops []*storm
	var latencies []*hdrhistogram.Histogram
	defer func() {
		for _, l := range loops {
			l.close()
		}
	}()
	for i := range o.Loops {
		base, err := newLoop(o.Target, to, share(o.AtOnce, o.Loops, i))
		if err != nil {
			return r, err
		}
		l := &storm{loop: base, message: newMessage(o.Size, o.Raw), latency: newHistogram(), total: share(o.Sessions, o.Loops, i)}
		l.load = l
		for i := range l.conns {
			l.idle = append(l.idle, uint32(i))
		}
		loops = append(loops, l)
		latencies = append(latencies, l.latency)
	}
	watch := start()
	for i, l := range loops {
		l.start = watch.at
		l.dialed = i * sources / o.Loops // not all from the same address
		if o.Rate > 0 {
			l.interval = float64(o.Loops) / o.Rate * float64(time.Second)
			l.start += time.Duration(l.interval * float64(i) / float64(o.Loops))
		}
	}
	err = parallel(loops, (*storm).run)
	for _, l := range loops {
		r.Count += int64(l.done)
	}
	r.Bytes = r.Count * int64(o.Size)
	watch.finish(&r, latencies, err)
	return r, err
}

// storm is one loop of the load.
type storm struct {
	*loop
	*message
	latency  *hdrhistogram.Histogram
	start    time.Duration
	interval float64  // nanoseconds between two sessions; zero: none
	idle     []uint32 // records without a session
	total    int      // sessions to make
	begun    int
	done     int
}

func (l *storm) run() error {
	l.progress = poll.Now()
	for l.err == nil && l.done < l.total {
		wait := l.begin()
		l.turn(wait, l.done < l.begun)
	}
	return l.err
}

// begin starts the sessions that are due and have room, and returns the time until the
// next one may.
func (l *storm) begin() time.Duration {
	for len(l.idle) > 0 && l.begun < l.total && l.err == nil {
		now := poll.Now()
		due := now
		if l.interval > 0 {
			due = l.start + time.Duration(float64(l.begun)*l.interval)
			if due > now {
				return due - now
			}
		}
		c := &l.conns[l.idle[len(l.idle)-1]]
		l.idle = l.idle[:len(l.idle)-1]
		l.begun++
		c.due = due
		l.dial(c)
	}
	return time.Second
}

func (l *storm) opened(c *conn) {
	c.sent = 1
	l.send(c, l.numbered(uint64(c.generation)))
}

func (l *storm) writable(c *conn) { l.sendHeld(c) }

func (l *storm) received(c *conn, b []byte) {
	n, done, ok := l.check(&c.decoder, uint64(c.generation), b)
	if !ok || n != len(b) {
		l.fail("connection %d: the echo is not what was sent", c.index)
		return
	}
	if !done {
		return
	}
	now := poll.Now()
	l.progress = now
	l.done++
	if err := l.latency.RecordValue(int64(max(now-c.due, 0))); err != nil {
		l.fail("connection %d: latency: %w", c.index, err)
	}
	l.hangUp(c)
	l.idle = append(l.idle, c.index)
}
