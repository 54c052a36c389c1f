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
	// Nice is by how much the newcomers' side of the work stands back behind everything
	// else on the machine: real clients bring processors of their own.
	Nice int
}

// Surge is what a surge saw.
type Surge struct {
	// Opened newcomers have shaken hands, upgraded and echoed a message, all of them held
	// open together; Refused could not.
	Opened  int            `json:"opened"`
	Refused int            `json:"refused"`
	Reasons map[string]int `json:"reasons,omitempty"`
	Seconds float64        `json:"seconds"` // until the last newcomer was done
	// Quiet, During and After are the latencies of the echoes that came back in each part.
	Quiet  Latency `json:"quiet"`
	During Latency `json:"during"`
	After  Latency `json:"after"`
}

// The parts of a surge.
const (
	quiet int32 = iota
	during
	after
	over
)

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
	if err = parallel([]*echo{s.echo}, (*echo).openAll); err != nil {
		r.Errors = 1
		return r, err
	}
	watch := start()
	err = s.run(watch.at)
	r.Count = int64(s.done)
	r.Bytes = r.Count * int64(o.Size)
	surge := s.result
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
	thread atomic.Int32 // of the echoes
	parts  []*hdrhistogram.Histogram
	mu     sync.Mutex
	result Surge // guarded by mu
}

func (s *surge) run(at time.Duration) error {
	s.start, s.interval = at, float64(time.Second)/s.o.Rate
	s.total = 1 << 62
	s.everyTurn = func() {
		part := s.part.Load()
		if part == over {
			s.total = s.scheduled
			part = after
		}
		s.latency = s.parts[part]
	}
	ended := make(chan error, 1)
	go func() {
		ended <- parallel([]*echo{s.echo}, func(e *echo) error {
			s.thread.Store(int32(unix.Gettid()))
			return e.run()
		})
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(s.o.Duration):
	}
	s.standBack()
	s.part.Store(during)
	s.newcomers()
	s.part.Store(after)
	time.Sleep(afterSurge)
	s.part.Store(over)
	s.poller.Wake()
	return <-ended
}

// standBack makes all threads but that of the echoes nice; threads that are started
// later inherit it.
func (s *surge) standBack() {
	names, _ := os.ReadDir("/proc/self/task")
	for _, name := range names {
		tid, err := strconv.Atoi(name.Name())
		if err == nil && int32(tid) != s.thread.Load() {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, s.o.Nice)
		}
	}
}

// newcomers opens all newcomers at once, and closes them when the last is done.
func (s *surge) newcomers() {
	began := poll.Now()
	var done, closed sync.WaitGroup
	all := make(chan struct{})
	for i := range s.o.Newcomers {
		done.Add(1)
		closed.Go(func() {
			leave, err := s.newcomer(i)
			s.mu.Lock()
			if s.result.Opened++; err != nil {
				s.result.Opened--
				s.refused(err)
			}
			s.mu.Unlock()
			done.Done()
			<-all
			if leave != nil {
				leave()
			}
		})
	}
	done.Wait()
	s.result.Seconds = (poll.Now() - began).Seconds()
	close(all)
	closed.Wait()
}

func (s *surge) refused(err error) {
	s.result.Refused++
	if s.result.Reasons == nil {
		s.result.Reasons = map[string]int{}
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner // the innermost names no ports
	}
	s.result.Reasons[err.Error()]++
}

// newcomer opens a WebSocket and echoes a message on it.
func (s *surge) newcomer(i int) (leave func(), err error) {
	c, err := s.to.dialer.Dial(context.Background(), s.to.tcpSource(i), s.to.address.String())
	if err != nil {
		return nil, err
	}
	leave = func() { c.NetConn().Close() }
	_ = c.SetDeadline(time.Now().Add(Patience))
	if _, err := c.Write(s.to.request); err != nil {
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
	payload := make([]byte, s.o.Size)
	if _, err := c.Write(wire.ClientFrame(wire.OpBinary, payload)); err != nil {
		return leave, err
	}
	_, got, err := wire.ReadFrame(in, uint64(len(payload)))
	if err == nil && !slices.Equal(got, payload) {
		err = errors.New("the echo differs from what was sent")
	}
	return leave, err
}
