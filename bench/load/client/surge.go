package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"holdfast/bench/load/poll"
	"holdfast/test/wire"
)

// SurgeOptions describe a surge: many new connections at once beside tunnels that echo.
type SurgeOptions struct {
	EchoOptions     // Rate must be set; Duration is that of the part before the surge
	Newcomers   int // connections that are opened at once
	// Elsewhere opens the newcomers in another process, by Newcomers: here they would
	// keep the scheduler from the echoes. nil opens them here.
	Elsewhere func(newcomers int) (Arrivals, error)
}

// Arrivals are newcomers. Opened have shaken hands, upgraded and echoed a message, all of
// them held open together; Refused could not.
type Arrivals struct {
	Opened  int            `json:"opened"`
	Refused int            `json:"refused"`
	Reasons map[string]int `json:"reasons,omitempty"`
	Seconds float64        `json:"seconds"` // until the last one was done
}

// Surge is what a surge saw.
type Surge struct {
	Arrivals
	// Quiet, During and After are the latencies of the echoes that came back in each part.
	Quiet  Latency `json:"quiet"`
	During Latency `json:"during"`
	After  Latency `json:"after"`
	// Late is how long after their time the messages of the surge were sent: the part of
	// the latencies that is this program's.
	Late Latency `json:"late"`
}

// The parts of a surge.
const (
	quiet int32 = iota
	during
	after
	over
)

// instrumentNice is the priority of the thread that echoes; only root may have it.
const instrumentNice = -10

// afterSurge is how long the echoes go on after the last newcomer.
const afterSurge = time.Second / 2

// RunSurge echoes at a fixed rate on open tunnels, and then opens many more at once.
// A newcomer that fails is counted; an echo that fails is an error.
func RunSurge(o SurgeOptions) (Result, error) {
	r := Result{Scenario: "surge"}
	if o.Connections < 1 || o.Loops != 1 || o.Size < 1 || o.Rate <= 0 || o.Duration <= 0 || o.Newcomers < 1 {
		return r, errors.New("surge: want one loop, connections, a size, a rate, a duration and newcomers")
	}
	to, err := o.resolve("")
	if err == nil && to.dialer == nil {
		err = errors.New("surge: want wss://")
	}
	if err != nil {
		return r, err
	}
	base, err := newLoop(o.Target, to, o.Connections)
	if err != nil {
		return r, err
	}
	s := &surge{echo: &echo{loop: base, message: newMessage(o.Size, o.Raw)}, o: o}
	defer s.close()
	s.load = s.echo
	for range over {
		s.parts = append(s.parts, newHistogram())
	}
	s.latency = s.parts[quiet]
	late := newHistogram()
	if err = parallel([]*echo{s.echo}, (*echo).openAll); err != nil {
		r.Errors = 1
		return r, err
	}
	watch := start()
	err = s.run(watch.at, late)
	r.Count = int64(s.done)
	r.Bytes = r.Count * int64(o.Size)
	surge := s.result
	surge.Late = quantiles(late)
	surge.Quiet, surge.During, surge.After = quantiles(s.parts[quiet]), quantiles(s.parts[during]), quantiles(s.parts[after])
	r.Surge = &surge
	watch.finish(&r, s.parts, err)
	return r, err
}

// surge is an echo load whose latencies are told apart by the part they lie in.
type surge struct {
	*echo
	o      SurgeOptions
	part   atomic.Int32
	parts  []*hdrhistogram.Histogram
	result Surge
}

func (s *surge) run(at time.Duration, late *hdrhistogram.Histogram) error {
	s.start, s.interval = at, float64(time.Second)/s.o.Rate
	s.total = 1 << 62
	s.everyTurn = func() {
		part := s.part.Load()
		if part == over {
			s.total = s.scheduled
			part = after
		}
		s.latency = s.parts[part]
		if s.lateness = nil; part == during {
			s.lateness = late
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- parallel([]*echo{s.echo}, func(e *echo) error {
			// What is measured is the proxy's latency: the load goes first, where it may.
			_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), instrumentNice)
			defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 0) }()
			return e.run()
		})
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(s.o.Duration):
	}
	s.part.Store(during)
	arrivals, failure := s.come()
	s.result.Arrivals = arrivals
	s.part.Store(after)
	time.Sleep(afterSurge)
	s.part.Store(over)
	s.poller.Wake()
	return errors.Join(<-ended, failure)
}

func (s *surge) come() (Arrivals, error) {
	if s.o.Elsewhere != nil {
		return s.o.Elsewhere(s.o.Newcomers)
	}
	return Newcomers(s.o.Target, s.o.Newcomers, s.o.Size)
}

// StandBack makes the whole process nice, from 0 to 19: real clients bring processors of
// their own. It must come before the work: threads that start later inherit it.
func StandBack(nice int) error {
	names, err := os.ReadDir("/proc/self/task")
	for _, name := range names {
		if tid, bad := strconv.Atoi(name.Name()); bad == nil {
			err = errors.Join(err, unix.Setpriority(unix.PRIO_PROCESS, tid, nice))
		}
	}
	return err
}

// arriving are newcomers under way.
type arriving struct {
	to   *destination
	size int
	mu   sync.Mutex
	seen Arrivals // guarded by mu
}

// Newcomers opens n WebSockets at once, echoes a message of size bytes on each, and
// closes them when the last is done. One that fails is counted.
func Newcomers(t Target, n, size int) (Arrivals, error) {
	to, err := t.resolve("")
	if err == nil && (to.dialer == nil || n < 1 || size < 1) {
		err = errors.New("newcomers: want wss://, a number and a size")
	}
	if err != nil {
		return Arrivals{}, err
	}
	a := &arriving{to: to, size: size}
	began := poll.Now()
	var done, closed sync.WaitGroup
	all := make(chan struct{})
	for i := range n {
		done.Add(1)
		closed.Go(func() {
			leave, err := a.newcomer(i)
			a.count(err)
			done.Done()
			<-all
			if leave != nil {
				leave()
			}
		})
	}
	done.Wait()
	a.seen.Seconds = (poll.Now() - began).Seconds()
	close(all)
	closed.Wait()
	return a.seen, nil
}

func (a *arriving) count(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.seen.Opened++
		return
	}
	a.seen.Refused++
	if a.seen.Reasons == nil {
		a.seen.Reasons = map[string]int{}
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner // the innermost names no ports
	}
	a.seen.Reasons[err.Error()]++
}

// newcomer opens a WebSocket and echoes a message on it.
func (a *arriving) newcomer(i int) (leave func(), err error) {
	c, err := a.to.dialer.Dial(context.Background(), a.to.tcpSource(i), a.to.address.String())
	if err != nil {
		return nil, err
	}
	leave = func() { c.NetConn().Close() }
	_ = c.SetDeadline(time.Now().Add(Patience))
	if _, err := c.Write(a.to.request); err != nil {
		return leave, err
	}
	in := bufio.NewReaderSize(c, 1024)
	head, err := wire.ReadHead(in)
	if err != nil {
		return leave, err
	}
	if head.Status() != 101 {
		return leave, fmt.Errorf("the upgrade was answered %q", head.Start)
	}
	payload := make([]byte, a.size)
	if _, err := c.Write(wire.ClientFrame(wire.OpBinary, payload)); err != nil {
		return leave, err
	}
	_, got, err := wire.ReadFrame(in, uint64(len(payload)))
	if err == nil && !slices.Equal(got, payload) {
		err = errors.New("the echo differs from what was sent")
	}
	return leave, err
}
