package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/bench/load"
)

// freshEvery is how many messages there are for each new tunnel.
const freshEvery = 10

// talk sends messages over tunnels at a fixed rate until it is ended.
type talk struct {
	target        load.Target
	fresh, failed atomic.Int64
	stop          context.CancelFunc
	running       sync.WaitGroup

	mu      sync.Mutex // of what follows
	tunnels []*held
	why     error
	times   *hdrhistogram.Histogram // microseconds
}

// held is one tunnel that stays open. It carries one message at a time.
type held struct {
	mu     sync.Mutex
	tunnel *load.Tunnel
	dead   bool
}

// latencies are microseconds.
type latencies struct{ p50, p99, max, count int64 }

// String is for the table.
func (l latencies) String() string { return fmt.Sprintf("%d, %d, %d µs", l.p50, l.p99, l.max) }

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

func newTalk(target load.Target) *talk { return &talk{target: target, times: newHistogram()} }

// start begins to send over the tunnels that were added.
func (t *talk) start(rate float64) {
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.running.Go(func() { t.run(ctx, rate) })
}

// add opens n more tunnels that stay.
func (t *talk) add(n int) error {
	opened, err := load.OpenMany(context.Background(), t.target, 0, n, 64)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tunnel := range opened {
		t.tunnels = append(t.tunnels, &held{tunnel: tunnel})
	}
	return err
}

// close closes all tunnels.
func (t *talk) close() {
	for _, h := range t.tunnels {
		h.tunnel.Close()
	}
}

func (t *talk) run(ctx context.Context, rate float64) {
	start := time.Now()
	for i := 0; ; i++ {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return
		}
		t.running.Go(func() { t.message(i, due) })
		if i%freshEvery == 0 {
			t.running.Go(func() { t.open(ctx, i) })
		}
	}
}

var payload = bytes.Repeat([]byte("m"), 64)

// message sends the i-th message and waits for it; a tunnel that fails sends no more.
func (t *talk) message(i int, due time.Time) {
	t.mu.Lock()
	h := t.tunnels[i%len(t.tunnels)]
	t.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return
	}
	if err := h.tunnel.Echo(payload); err != nil {
		h.dead = true
		t.note(fmt.Errorf("an old tunnel: %w", err))
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.times.RecordValue(min(time.Since(due).Microseconds(), t.times.HighestTrackableValue()))
}

// open opens a new tunnel, sends one message and closes it.
func (t *talk) open(ctx context.Context, i int) {
	fresh, err := load.Dial(ctx, t.target, i)
	if err == nil {
		err = fresh.Echo(payload)
		fresh.Close()
	}
	if ctx.Err() != nil {
		return
	}
	if t.fresh.Add(1); err != nil {
		t.failed.Add(1)
		t.note(fmt.Errorf("a new tunnel: %w", err))
	}
}

func (t *talk) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == nil {
		t.why = err
	}
}

// take is the latencies since it was called before.
func (t *talk) take() latencies {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.times
	t.times = newHistogram()
	return latencies{p50: h.ValueAtQuantile(50), p99: h.ValueAtQuantile(99), max: h.Max(), count: h.TotalCount()}
}

// end stops the messages and waits for those under way.
func (t *talk) end() {
	t.stop()
	t.running.Wait()
}

// lost is how many of the tunnels have ended. To be called after end.
func (t *talk) lost() int {
	n := 0
	for _, h := range t.tunnels {
		if err := h.tunnel.Alive(); err != nil || h.dead {
			n++
		}
	}
	return n
}

func (t *talk) firstFailure() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == nil {
		return ""
	}
	return t.why.Error()
}
