package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/proc"
)

// direct is the peer that is none: clients speak to the backends themselves. It costs the
// kernel the two sockets that every measurement through a proxy costs besides the proxy's.
const direct peers.Kind = "direct"

// moment is what was used at one moment of the course.
type moment struct {
	Proxy   use
	Machine machine
}

// idle is what happened in a window in which every tunnel was silent.
type idle struct {
	Seconds         float64
	CPUMsPerSecond  float64 // of the proxy, exact
	Ticks           int64   // of the proxy, as the kernel samples it
	MachineMsPerSec float64 // of all cores, whoever ran
	NetRXPerSecond  float64
	TimerPerSecond  float64
	ProbesPerSecond float64
	Dropped         int64   // packets, because the queue of a core was full
	TimedOut        int64   // TCP connections that the kernel gave up
	GCPerMinute     float64 // of all processes of holdfast
	GCPauseMean     float64 // milliseconds a cycle, since the start
	GCPauseWorst    float64 // milliseconds, since the start
	HeapInUse       float64 // bytes
	Goroutines      float64
}

// result is everything that is measured with one peer.
type result struct {
	Peer        peers.Kind
	Version     string
	Plan        plan
	Threads     int // of each process of the proxy
	Seed        uint64
	Opened      int
	OpenSeconds float64
	Retries     int
	Reasons     map[string]int `json:",omitempty"`
	Base        moment         // before the tunnels
	Held        moment         // all open, none has carried anything
	Used        moment         // after each carried a message
	Closed      moment         // after all closed
	Idle        idle
	Sampled     int    // tunnels picked at random that echoed while the others were idle
	Echoed      int    // tunnels that echoed when all were probed
	Dead        int    // tunnels that ended by themselves
	Aborted     string `json:",omitempty"` // why the course ended early
}

// course measures one peer.
type course struct {
	o        options
	plan     plan
	r        *result
	peer     *peer // nil without a proxy
	clients  crew
	backends crew
	say      func(format string, values ...any)
}

// measure runs the whole course with one peer. The result has what was reached, also when
// the course failed. When ctx ends every process is killed.
func measure(ctx context.Context, o options, kind peers.Kind) (result, error) {
	r := result{Peer: kind, Seed: o.seed, Version: peers.Version(kind, o.binary)}
	c := course{o: o, r: &r, say: func(format string, values ...any) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", kind, fmt.Sprintf(format, values...))
	}}
	defer func() {
		atOnce := ctx.Err() != nil
		c.clients.stop(atOnce)
		if c.peer != nil {
			c.peer.stop(atOnce)
		}
		c.backends.stop(atOnce)
	}()
	err := c.run(ctx, kind)
	if ctx.Err() != nil {
		// The workers were killed, which is what the error speaks of.
		r.Opened = max(r.Opened, c.clients.done())
		err = fmt.Errorf("%w; %d of %d tunnels were open", context.Cause(ctx), r.Opened, o.tunnels)
	}
	if err != nil {
		r.Aborted = err.Error()
	}
	return r, err
}

func (c *course) run(ctx context.Context, kind peers.Kind) error {
	if err := c.start(ctx, kind); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"base", func(ctx context.Context) error { return c.settled(ctx, &c.r.Base) }},
		{"open", c.open},
		{"held", func(ctx context.Context) error { return c.settled(ctx, &c.r.Held) }},
		{"probe", c.probe},
		{"idle", c.watchIdle},
		{"dead", c.countDead},
		{"close", c.close},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if c.peer != nil {
			if err := c.peer.alive(); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
		}
	}
	return nil
}

// start starts everything, and passes some tunnels through that do not count, so that
// what a proxy allocates once is not divided by the tunnels.
func (c *course) start(ctx context.Context, kind peers.Kind) error {
	files, err := fileLimit()
	if err != nil {
		return err
	}
	if c.plan, err = planFor(c.o.tunnels, files); err != nil {
		return err
	}
	c.r.Plan, c.r.Threads = c.plan, c.plan.threads()
	backends, targets, err := startBackends(ctx, c.plan)
	c.backends = backends
	if err != nil {
		return err
	}
	switch {
	case c.o.running != nil:
		c.peer, targets = c.o.running, []netip.AddrPort{c.o.running.address}
	case kind != direct:
		if c.peer, err = startPeer(kind, c.o, c.plan, targets); err != nil {
			return err
		}
		targets = []netip.AddrPort{c.peer.address}
	}
	c.say("%d client and %d backend processes, %s", c.plan.Clients, c.plan.Backends, c.describe())
	if err := c.warm(ctx, targets); err != nil {
		return err
	}
	c.clients, err = startClients(ctx, c.plan, c.o, targets)
	return err
}

func (c *course) describe() string {
	if c.peer == nil {
		return "no proxy"
	}
	return fmt.Sprintf("%d of the proxy, at most %d tunnels each", len(c.peer.pids), c.plan.Share)
}

func (c *course) warm(ctx context.Context, targets []netip.AddrPort) error {
	p := c.plan
	p.Tunnels, p.Clients = 64*p.Proxies, 1
	clients, err := startClients(ctx, p, c.o, targets)
	defer clients.stop(false)
	for _, command := range []string{"open", "echo", "close"} {
		if err == nil {
			_, err = clients.ask(command)
		}
	}
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

func (c *course) look(m *moment) (err error) {
	if m.Machine, err = readMachine(); err != nil {
		return err
	}
	if c.peer != nil {
		m.Proxy, err = c.peer.measure()
	}
	return err
}

// settled looks after everything was left alone for a while.
func (c *course) settled(ctx context.Context, m *moment) error {
	if err := pause(ctx, c.o.settle); err != nil {
		return err
	}
	return c.look(m)
}

// pause waits, unless everything ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *course) open(context.Context) error {
	start := time.Now()
	stop := c.meter("opening", c.o.tunnels)
	a, err := c.clients.ask("open")
	stop()
	c.r.Opened, c.r.Retries, c.r.Reasons = a.Count, a.Retries, a.Reasons
	c.r.OpenSeconds = time.Since(start).Seconds()
	if err == nil {
		c.say("%d tunnels open in %.1f s, %d tries were repeated", a.Count, c.r.OpenSeconds, a.Retries)
	}
	return err
}

// watchIdle accounts CPU, softirqs, probes and garbage collections while all is silent. It
// comes behind the measures of memory: what it asks makes the proxy allocate.
func (c *course) watchIdle(ctx context.Context) error {
	collected, err1 := c.collected()
	// What the question cost is not idleness.
	if err := errors.Join(err1, pause(ctx, time.Second)); err != nil {
		return err
	}
	c.say("idle for %v", c.o.idle)
	var before, after moment
	err2 := c.look(&before)
	start := time.Now()
	if err := pause(ctx, c.o.idle); err != nil {
		return err
	}
	elapsed := time.Since(start)
	err3 := c.look(&after)
	later, err4 := c.collected()
	if err := errors.Join(err2, err3, err4); err != nil {
		return err
	}
	c.r.Idle = idleBetween(before, after, elapsed.Seconds())
	c.r.Idle.GCPerMinute = (later.Cycles - collected.Cycles) * 60 / elapsed.Seconds()
	c.r.Idle.HeapInUse, c.r.Idle.Goroutines = later.HeapInUse, later.Goroutines
	c.r.Idle.GCPauseWorst = later.PauseWorst * 1000
	if later.Cycles > 0 {
		c.r.Idle.GCPauseMean = later.PauseSum / later.Cycles * 1000
	}
	return nil
}

// collected is what the proxy tells about garbage collection.
func (c *course) collected() (garbage, error) {
	if c.peer == nil {
		return garbage{}, nil
	}
	return readGarbage(c.peer.admins)
}

func idleBetween(a, b moment, seconds float64) idle {
	rate := func(n int64) float64 { return float64(n) / seconds }
	return idle{
		Seconds:         seconds,
		CPUMsPerSecond:  rate((b.Proxy.CPU - a.Proxy.CPU).Microseconds()) / 1000,
		Ticks:           b.Proxy.Ticks - a.Proxy.Ticks,
		MachineMsPerSec: rate((b.Machine.Run - a.Machine.Run).Microseconds()) / 1000,
		NetRXPerSecond:  rate(b.Machine.NetRX - a.Machine.NetRX),
		TimerPerSecond:  rate(b.Machine.Timer - a.Machine.Timer),
		ProbesPerSecond: rate(b.Machine.Probes - a.Machine.Probes),
		Dropped:         b.Machine.Dropped - a.Machine.Dropped,
		TimedOut:        b.Machine.TimedOut - a.Machine.TimedOut,
	}
}

// sampleStep picks the tunnels whose echo is verified while the others are idle: 1 in 100.
const sampleStep = 100

// probe sends a message on some tunnels, then on all, unless only some are asked for.
func (c *course) probe(ctx context.Context) error {
	a, err := c.clients.ask(fmt.Sprintf("echo %d %d", c.o.seed, sampleStep))
	c.r.Sampled = a.Count
	if err == nil && c.o.probe == "all" {
		stop := c.meter("probing", c.r.Opened)
		a, err = c.clients.ask("echo")
		stop()
		c.r.Echoed = a.Count
	}
	if err != nil {
		c.say("%v", err) // the dead are counted below
	}
	if err := c.settled(ctx, &c.r.Used); err != nil {
		return err
	}
	return nil
}

// countDead counts the tunnels that did not survive all this.
func (c *course) countDead(context.Context) error {
	a, err := c.clients.ask("dead")
	c.r.Dead = a.Count
	if err != nil && a.Count == 0 {
		return err
	}
	return nil
}

// close closes all tunnels and waits until the backends have none, and the proxy as few
// descriptors as before.
func (c *course) close(ctx context.Context) error {
	if _, err := c.clients.ask("close"); err != nil {
		return err
	}
	var last error
	_ = proc.Poll(proc.Patience, func() error {
		var a answer
		if a, last = c.backends.ask("count"); last != nil {
			return nil //nolint:nilerr // it ends the polling; last is judged below
		}
		if a.Count > 0 {
			return fmt.Errorf("%d connections at the backends", a.Count)
		}
		if c.peer == nil {
			return nil
		}
		fds, err := c.peer.fds()
		if last = err; err == nil && fds > c.r.Base.Proxy.Fds {
			return fmt.Errorf("%d descriptors", fds)
		}
		return nil
	})
	if last != nil {
		return last
	}
	return c.settled(ctx, &c.r.Closed)
}
