package main

import (
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/test/proc"
	"holdfast/test/procfs"
	"holdfast/test/slow"
)

// round is one measurement of each kind. Latencies are in microseconds.
type round struct {
	quiet, loaded *hdrhistogram.Histogram
}

// result is everything that was found.
type result struct {
	rounds              []round
	before, peak, after sample
	lost                int           // connections of the crowd that did not live through its stay
	sipped              int64         // bytes the slow readers took
	limit               int64         // bytes of buffers that the configuration allows the crowd
	left                error         // what was not given back
	filled              time.Duration // until the crowd's socket buffers were full, at most
}

// warmCrowd is enough for what the proxy allocates once.
func warmCrowd(c slow.Crowd) slow.Crowd {
	return slow.Crowd{Heads: c.Heads / 5, Bodies: c.Bodies / 5, Readers: c.Readers / 5, Pause: c.Pause}
}

// bufferLimit is what a crowd may make the proxy hold in buffers: each head the first
// buffer of a head, each body that and one for the body, each reader that and what is read
// ahead, and the shard's own 64 KiB each way.
func bufferLimit(c slow.Crowd, connections int) int64 {
	return int64(c.Heads+connections)*headBuffer + int64(c.Bodies)*(headBuffer+bodyBuffer) +
		int64(c.Readers)*(headBuffer+aheadBuffers) + 128<<10
}

func measure(o options) (*result, error) {
	origin, address, err := startRole("-origin")
	if err != nil {
		return nil, err
	}
	defer origin.stop()
	p, err := startProxy(o, address)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	r := &result{limit: bufferLimit(o.crowd, o.steady.connections)}
	start, err := p.look()
	if err != nil {
		return nil, err
	}
	warm := o
	warm.crowd, warm.steady.duration = warmCrowd(o.crowd), time.Second
	if _, err := r.beside(warm, p, start); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	if r.before, err = p.look(); err != nil {
		return nil, err
	}
	r.peak, r.lost, r.sipped, r.filled = sample{}, 0, 0, 0
	for i := range o.rounds {
		fmt.Fprintf(os.Stderr, "slow: round %d of %d\n", i+1, o.rounds)
		var one round
		if one.quiet, err = o.steady.run(p.address); err != nil {
			return nil, fmt.Errorf("quiet: %w", err)
		}
		if one.loaded, err = r.beside(o, p, start); err != nil {
			return nil, fmt.Errorf("beside the crowd: %w", err)
		}
		r.rounds = append(r.rounds, one)
	}
	r.after, err = p.look()
	return r, err
}

// beside measures beside a crowd, watches the proxy's memory meanwhile, and waits until
// the proxy has given everything back.
func (r *result) beside(o options, p *proxy, start sample) (*hdrhistogram.Histogram, error) {
	crowd, err := startCrowd(p.address, o.crowd)
	if err != nil {
		return nil, err
	}
	if err := r.settle(p); err != nil {
		crowd.stop()
		return nil, err
	}
	over, watched := make(chan struct{}), make(chan error, 1)
	go func() { watched <- r.watch(p, over) }()
	h, err := o.steady.run(p.address)
	close(over)
	if failed := <-watched; err == nil {
		err = failed
	}
	var open, lost int
	var read int64
	if _, failed := fmt.Sscan(crowd.stop(), &open, &lost, &read); failed != nil && err == nil {
		err = fmt.Errorf("the crowd's last words: %w", failed)
	}
	if open != o.crowd.Size() && err == nil {
		err = fmt.Errorf("%d of %d slow clients were connected in the end", open, o.crowd.Size())
	}
	r.lost += lost
	r.sipped += read
	if left := proc.Poll(proc.Patience, func() error {
		s, err := p.look()
		if err != nil {
			return err
		}
		return s.leftFrom(start)
	}); left != nil {
		r.left = left
	}
	return h, err
}

// settle waits until the proxy is calm. The huge responses fill every socket buffer on
// their way first, a bulk transfer as large as the kernel allows (tcp_rmem, tcp_wmem),
// which is not the load that is meant.
func (r *result) settle(p *proxy) error {
	const window = 500 * time.Millisecond
	began := time.Now()
	for time.Since(began) < patience {
		before, err := procfs.RunTime(p.PID())
		if err != nil {
			return err
		}
		time.Sleep(window)
		after, err := procfs.RunTime(p.PID())
		if err != nil {
			return err
		}
		if after-before < window/10 {
			r.filled = max(r.filled, time.Since(began)-window)
			return nil
		}
	}
	return fmt.Errorf("the proxy is not calm beside the crowd after %v", patience)
}

// watch keeps the highest figures in r.peak.
func (r *result) watch(p *proxy, over <-chan struct{}) error {
	every := time.NewTicker(500 * time.Millisecond)
	defer every.Stop()
	for {
		s, err := p.look()
		if err != nil {
			return err
		}
		r.peak.PSS, r.peak.BufBytes = max(r.peak.PSS, s.PSS), max(r.peak.BufBytes, s.BufBytes)
		r.peak.BufsOut, r.peak.PipesOut = max(r.peak.BufsOut, s.BufsOut), max(r.peak.PipesOut, s.PipesOut)
		r.peak.RequestsOut = max(r.peak.RequestsOut, s.RequestsOut)
		r.peak.kernel = max(r.peak.kernel, s.kernel)
		if s.Files.Total > r.peak.Files.Total {
			r.peak.Files = s.Files
		}
		select {
		case <-over:
			return nil
		case <-every.C:
		}
	}
}
