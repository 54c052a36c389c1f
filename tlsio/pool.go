package tlsio

import (
	"crypto/tls"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// PoolOptions bound the handshakes of a process.
type PoolOptions struct {
	Computing int // handshakes that compute at the same time, each on a thread; 0: one for every two processors
	ActiveMax int // handshakes under way, each with a goroutine; 0: 1,024
	QueueMax  int // handshakes that wait for one to end, past which new ones are refused; 0: 16,384
	// Stall is how long a handshake may wait for its peer's next bytes while others wait to
	// begin and ActiveMax are under way: then it ends. 0: 5 s.
	Stall time.Duration
}

// Pool runs handshakes. Its methods may be called from any thread and never block.
//
// It has a worker for each of the handshakes that may compute at the same time: a
// goroutine with a thread of its own, of lower priority than those of the shards. A
// worker runs its handshakes as coroutines, so that one that waits for its peer costs a
// stack, and one that computes never has company.
type Pool struct {
	opt     PoolOptions
	outer   *tls.Config // of every server's handshake until its hello has been read
	workers []*worker
	begin   sync.Once
	closed  atomic.Bool
	orders  atomic.Int64 // ordered and not ended
	active  atomic.Int64
	refused atomic.Uint64
}

// NewPool makes a pool. Its workers start with the first handshake.
func NewPool(opt PoolOptions) *Pool {
	opt.Computing = Computing(opt.Computing)
	if opt.ActiveMax <= 0 {
		opt.ActiveMax = 1024
	}
	if opt.QueueMax <= 0 {
		opt.QueueMax = 16384
	}
	if opt.Stall <= 0 {
		opt.Stall = 5 * time.Second
	}
	opt.Computing = min(opt.Computing, opt.ActiveMax)
	p := &Pool{opt: opt, outer: &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: choose}}
	for i := range opt.Computing {
		// The handshakes under way are shared out; the first workers get what is left over.
		share := opt.ActiveMax / opt.Computing
		if i < opt.ActiveMax%opt.Computing {
			share++
		}
		p.workers = append(p.workers, &worker{pool: p, activeMax: share, bell: make(chan struct{}, 1)})
	}
	return p
}

// Computing is how many handshakes compute at the same time with that PoolOptions.Computing.
func Computing(asked int) int {
	if asked > 0 {
		return asked
	}
	return max(1, runtime.NumCPU()/2)
}

// Stats is how many handshakes are under way, wait, and were refused since the start.
func (p *Pool) Stats() (active, queued int, refused uint64) {
	active = int(p.active.Load())
	return active, max(0, int(p.orders.Load())-active), p.refused.Load()
}

// Start orders a handshake. ok is false if it is refused because too many wait; Done is
// not called then.
func (p *Pool) Start(o Order) (h *Handshake, ok bool) {
	if p.orders.Add(1) > int64(p.opt.ActiveMax+p.opt.QueueMax) || p.closed.Load() {
		p.orders.Add(-1)
		p.refused.Add(1)
		if p.closed.Load() {
			p.Close() // a worker may have seen this order and stayed
		}
		return nil, false
	}
	p.begin.Do(p.startWorkers)
	w := p.leastLoaded()
	w.load.Add(1)
	h = &Handshake{order: o, w: w}
	h.post.run = h.turn
	w.send(&h.post)
	return h, true
}

// Close has the workers end once the handshakes already ordered have ended. It doesn't
// wait for that. Start refuses from now on.
func (p *Pool) Close() {
	p.closed.Store(true)
	for _, w := range p.workers {
		w.ring()
	}
}

func (p *Pool) startWorkers() {
	for _, w := range p.workers {
		go w.work()
	}
}

func (p *Pool) leastLoaded() *worker {
	best, least := p.workers[0], int64(math.MaxInt64)
	for _, w := range p.workers {
		if n := w.load.Load(); n < least {
			best, least = w, n
		}
	}
	return best
}
