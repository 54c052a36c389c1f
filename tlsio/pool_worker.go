package tlsio

import (
	"iter"
	"runtime"
	"sync/atomic"
	"time"

	"holdfast/internal/sys"
)

// post is what other threads send a worker: a function to run on its thread. One that was
// sent and has not run yet is not sent again.
type post struct {
	run  func()
	sent atomic.Bool
	next *post
}

// worker runs handshakes, one at a time. What comes from other threads comes through the
// inbox, a stack that nobody has to lock: the senders are shards, whose threads must not
// wait for one of low priority.
type worker struct {
	pool   *Pool
	load   atomic.Int64 // orders it has
	inbox  atomic.Pointer[post]
	asleep atomic.Bool
	bell   chan struct{}

	// What follows belongs to its thread.
	activeMax int
	active    int
	backlog   list // ordered, not begun
	waiting   list // under way, and waiting for the peer; the longest wait first
	alarm     *time.Timer
}

func (w *worker) send(p *post) {
	if p.sent.Swap(true) {
		return
	}
	for {
		head := w.inbox.Load()
		p.next = head
		if w.inbox.CompareAndSwap(head, p) {
			break
		}
	}
	if w.asleep.CompareAndSwap(true, false) {
		w.ring()
	}
}

func (w *worker) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// work is the worker's goroutine. Its thread ends with it, since its priority can't be
// raised again.
func (w *worker) work() {
	runtime.LockOSThread()
	sys.YieldToOthers()
	for {
		read := w.readInbox()
		if w.backlog.first != nil && w.active < w.activeMax {
			// Only one: those under way come first, so that what they hold is free soon.
			w.start(w.backlog.first)
			continue
		}
		w.makeWay()
		if read {
			continue
		}
		if w.pool.closed.Load() && w.pool.orders.Load() == 0 {
			return
		}
		w.sleep()
	}
}

func (w *worker) sleep() {
	w.asleep.Store(true)
	if w.inbox.Load() == nil {
		<-w.bell
	}
	w.asleep.Store(false)
}

// readInbox runs what was sent, in order, and reports whether there was anything.
func (w *worker) readInbox() bool {
	var in *post
	for p := w.inbox.Swap(nil); p != nil; {
		next := p.next
		p.next = in
		in, p = p, next
	}
	any := in != nil
	for in != nil {
		p := in
		in, p.next = p.next, nil
		p.sent.Store(false) // before it runs: what is sent meanwhile counts anew
		p.run()
	}
	return any
}

// turn does for a handshake what can be done now.
func (h *Handshake) turn() {
	w := h.w
	switch h.step {
	case stepOrdered:
		if !h.order.Deadline.IsZero() {
			h.timer = time.AfterFunc(time.Until(h.order.Deadline), h.expire)
		}
		h.step = stepBacklog
		w.backlog.push(h)
		fallthrough
	case stepBacklog:
		if f := h.interrupted(); f != nil {
			w.backlog.remove(h)
			h.end(&Result{Err: f})
		}
	case stepActive:
		w.waiting.remove(h)
		w.step(h)
	}
}

// start gives the backlog's first a coroutine.
func (w *worker) start(h *Handshake) {
	w.backlog.remove(h)
	if f := h.interrupted(); f != nil {
		h.end(&Result{Err: f})
		return
	}
	h.step = stepActive
	w.active++
	w.pool.active.Add(1)
	h.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		h.yield = yield
		h.result = h.run()
	})
	w.step(h)
}

// step runs the coroutine until the handshake waits or has ended.
func (w *worker) step(h *Handshake) {
	if _, more := h.resume(); more {
		h.since = time.Now()
		w.waiting.push(h)
		return
	}
	w.active--
	w.pool.active.Add(-1)
	h.end(h.result)
}

// pause is called by the coroutine when its socket has nothing for it. The error says
// that the handshake must end.
func (h *Handshake) pause() error {
	if f := h.interrupted(); f != nil {
		return f
	}
	h.yield(struct{}{})
	if f := h.interrupted(); f != nil {
		return f
	}
	return nil
}

// end reports a handshake's result. It gives up every reference, as the shard may keep
// the handshake for a while.
func (h *Handshake) end(r *Result) {
	done := h.order.Done
	if h.timer != nil {
		h.timer.Stop()
	}
	h.step = stepEnded
	h.order, h.resume, h.yield, h.result, h.timer = Order{}, nil, nil, nil, nil
	h.w.load.Add(-1)
	last := h.w.pool.orders.Add(-1) == 0
	done(r)
	if last && h.w.pool.closed.Load() {
		h.w.pool.Close() // the other workers may end now
	}
}

// makeWay ends the handshake that has waited longest for its peer, if others wait to
// begin and it had its time: else a few silent peers could keep everybody out.
func (w *worker) makeWay() {
	if w.backlog.first == nil || w.waiting.first == nil {
		return
	}
	h := w.waiting.first
	if left := w.pool.opt.Stall - time.Since(h.since); left > 0 {
		if w.alarm == nil {
			w.alarm = time.AfterFunc(left, w.ring)
		} else {
			w.alarm.Reset(left)
		}
		return
	}
	h.evict = true
	w.send(&h.post)
}

// list is a list of handshakes, each in one list at most.
type list struct{ first, last *Handshake }

func (l *list) push(h *Handshake) {
	h.prev, h.next = l.last, nil
	if l.last == nil {
		l.first = h
	} else {
		l.last.next = h
	}
	l.last = h
}

func (l *list) remove(h *Handshake) {
	if h.prev == nil {
		l.first = h.next
	} else {
		h.prev.next = h.next
	}
	if h.next == nil {
		l.last = h.prev
	} else {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
}
