package access

import (
	"runtime"
	"sync/atomic"
	"time"

	"holdfast/internal/sys"
)

// Verdict is what verifying credentials came to.
type Verdict uint8

// The verdicts.
const (
	Granted       Verdict = iota + 1
	NoSuchUser            // the file does not have the user
	WrongPassword         // it has, with another password
	NoFile                // there is no file
	BadFile               // it can't be read
)

// Pool verifies credentials on threads of low priority.
type Pool struct {
	workers []*worker
	next    atomic.Uint32
	max     int64
	waiting atomic.Int64 // orders that were not begun
	closed  atomic.Bool
}

// worker takes orders from shards, whose threads must not wait for one of low priority: the
// inbox is a stack that nobody has to lock.
type worker struct {
	inbox  atomic.Pointer[order]
	asleep atomic.Bool
	bell   chan struct{}
}

// order is one verification.
type order struct {
	users       *Users
	credentials []byte
	until       time.Time
	done        func(Verdict)
	next        *order
}

// NewPool starts as many workers; queueMax bounds the orders that wait for one.
func NewPool(workers, queueMax int) *Pool {
	p := &Pool{max: int64(queueMax)}
	for range max(workers, 1) {
		w := &worker{bell: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		go p.work(w)
	}
	return p
}

// Verify judges credentials, user:password, of which it keeps a copy, and calls done on a
// thread of its own. If that takes longer than within, done is perhaps never called. false:
// too many wait already, and done is not called.
func (p *Pool) Verify(u *Users, credentials []byte, within time.Duration, done func(Verdict)) bool {
	if p.waiting.Add(1) > p.max {
		p.waiting.Add(-1)
		return false
	}
	o := &order{users: u, credentials: append([]byte(nil), credentials...), until: time.Now().Add(within), done: done}
	w := p.workers[int(p.next.Add(1))%len(p.workers)]
	for {
		o.next = w.inbox.Load()
		if w.inbox.CompareAndSwap(o.next, o) {
			break
		}
	}
	if w.asleep.CompareAndSwap(true, false) {
		w.ring()
	}
	return true
}

// Close lets the workers end. Orders that wait are dropped.
func (p *Pool) Close() {
	p.closed.Store(true)
	for _, w := range p.workers {
		w.ring()
	}
}

func (w *worker) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// work is a worker's goroutine. Its thread ends with it, since its priority can't be raised
// again.
func (p *Pool) work(w *worker) {
	runtime.LockOSThread()
	sys.YieldToOthers()
	c := NewChecker()
	for !p.closed.Load() {
		for o := w.take(); o != nil && !p.closed.Load(); o = o.next {
			p.waiting.Add(-1)
			if time.Now().Before(o.until) {
				o.done(judge(o, c))
			}
			clear(o.credentials)
		}
		w.asleep.Store(true)
		if w.inbox.Load() == nil {
			<-w.bell
		}
		w.asleep.Store(false)
	}
}

// take is what was ordered, first things first.
func (w *worker) take() (first *order) {
	for o := w.inbox.Swap(nil); o != nil; {
		next := o.next
		o.next = first
		first, o = o, next
	}
	return first
}

// judge verifies one order. A hash that the library can't stand is nobody's password.
func judge(o *order, c *Checker) (v Verdict) {
	defer func() {
		if recover() != nil {
			v = WrongPassword
		}
	}()
	o.users.refresh(false)
	return o.users.verify(c, o.credentials)
}
