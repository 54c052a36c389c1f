// Package mirror sends copies of requests to servers whose answers nobody waits for (the
// directive mirror). It works on goroutines of its own, away from the shards: a copy costs the
// request it was made of nothing but the copying.
package mirror

import (
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/sys"
)

// Options bound a Pool.
type Options struct {
	// ActiveMax is how many copies are sent at a time, each over a connection of its own.
	ActiveMax int
	// QueueMax is how many wait for their turn.
	QueueMax int
	// BytesMax bounds the bytes of all of them.
	BytesMax int64
}

// Stats are what became of copies, since the start.
type Stats struct {
	Answered atomic.Uint64 // the head of an answer came
	Failed   atomic.Uint64 // no server took it, or it gave no answer
	Dropped  atomic.Uint64 // too many were on their way
	Skipped  atomic.Uint64 // no copy was made
}

// Pool sends copies. Lend and Send are for shards: they don't wait.
type Pool struct {
	// Stats may be read at any time. Skipped is the callers' to count.
	Stats Stats

	opt     Options
	spare   sync.Pool
	inbox   atomic.Pointer[Copy] // a stack, so that a shard has nothing to lock
	asleep  atomic.Bool
	closed  atomic.Bool
	bell    chan struct{}
	turns   chan struct{}
	waiting atomic.Int64
	bytes   atomic.Int64
	sending sync.WaitGroup
	ended   chan struct{}
}

// NewPool starts a pool.
func NewPool(opt Options) *Pool {
	p := &Pool{
		opt: opt, bell: make(chan struct{}, 1), turns: make(chan struct{}, max(opt.ActiveMax, 1)),
		ended: make(chan struct{}),
	}
	p.spare.New = func() any { return new(Copy) }
	go p.deal()
	return p
}

// Lend is an empty copy to fill in, for Send or Return.
func (p *Pool) Lend() *Copy { return p.spare.Get().(*Copy) }

// spareMax is how much memory a copy keeps for the next request, in bytes.
const spareMax = 64 << 10

// Return takes back a copy that is not sent.
func (p *Pool) Return(c *Copy) {
	request, answer := c.Request[:0], c.answer
	if cap(request) > spareMax {
		request = nil
	}
	c.parsed.Reset()
	*c = Copy{Request: request, answer: answer, parsed: c.parsed}
	p.spare.Put(c)
}

// Send has c sent, with the peer it was lent, and takes it over in any case. false: too many
// are on their way, and c was dropped.
func (p *Pool) Send(c *Copy) bool {
	size := int64(cap(c.Request))
	c.size = size
	waiting, bytes := p.waiting.Add(1), p.bytes.Add(size)
	if waiting > int64(p.opt.QueueMax) || bytes > p.opt.BytesMax || p.closed.Load() {
		p.waiting.Add(-1)
		p.bytes.Add(-size)
		p.Stats.Dropped.Add(1)
		c.Peer.Release()
		p.Return(c)
		return false
	}
	c.beganMs = sys.NowMs()
	for {
		c.next = p.inbox.Load()
		if p.inbox.CompareAndSwap(c.next, c) {
			break
		}
	}
	if p.asleep.CompareAndSwap(true, false) {
		p.ring()
	}
	return true
}

func (p *Pool) ring() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// Close sends what is waiting, but waits no longer than within for the end of it.
func (p *Pool) Close(within time.Duration) {
	p.closed.Store(true)
	p.ring()
	done := make(chan struct{})
	go func() {
		<-p.ended
		p.sending.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(within):
	}
}

// deal gives each copy a goroutine when its turn comes.
func (p *Pool) deal() {
	defer close(p.ended)
	for {
		for next := p.take(); next != nil; {
			c := next
			next, c.next = c.next, nil
			p.turns <- struct{}{}
			p.waiting.Add(-1)
			p.sending.Go(func() { p.work(c) })
		}
		if p.closed.Load() && p.inbox.Load() == nil {
			return
		}
		p.asleep.Store(true)
		if p.inbox.Load() == nil && !p.closed.Load() {
			<-p.bell
		}
		p.asleep.Store(false)
	}
}

// take is what was sent since, first things first.
func (p *Pool) take() (first *Copy) {
	for c := p.inbox.Swap(nil); c != nil; {
		next := c.next
		c.next = first
		first, c = c, next
	}
	return first
}

// work sends one copy.
func (p *Pool) work(c *Copy) {
	if c.send() {
		p.Stats.Answered.Add(1)
	} else {
		p.Stats.Failed.Add(1)
	}
	p.bytes.Add(-c.size)
	p.Return(c)
	<-p.turns
}
