package shard

import (
	"holdfast/internal/assert"
	"holdfast/internal/sys"
	"holdfast/internal/wheel"
	"holdfast/relay"
)

// stepsMax bounds the state changes of one session in one go; the rest waits for
// the run queue, so that a client that pipelines can't hold the loop.
const stepsMax = 16

// turn is one round of the loop: wait, events, run queue, mailbox, timers, and
// last the slots that closed meanwhile.
func (sh *Shard) turn() {
	n, errno := sh.poller.Wait(sh.waitMs())
	sh.readClock()
	if errno != 0 {
		n = 0
		sh.logErrno("epoll_pwait() failed", errno)
	}
	sh.counters.LoopTurns++
	if n > 0 {
		sh.counters.LoopWakes++
	}
	sh.batchFull = n == eventBatch
	if sh.pooled.slab.Len() > 0 {
		sh.seePooled(n)
	}
	for i := range n {
		sh.dispatch(sh.poller.Event(i))
	}
	sh.acceptRest()
	sh.runQueued()
	sh.expire()
	sh.feedStarved()
	sh.house()
	sh.flushLogs()
	sh.freeClosed()
	sh.publishLoad()
	sh.publishTotals()
	if assert.On {
		sh.checkInvariants()
	}
}

// waitMs is how long the poller may sleep, -1 for ever: not at all while there is
// something to do.
func (sh *Shard) waitMs() int {
	if sh.queueHead != 0 || sh.acceptMore || sh.stopping || len(sh.closed) > 0 ||
		len(sh.starved) > 0 && !sh.bufs.Full() {
		return 0
	}
	wait := sh.timers.NextWaitMs(sh.nowMs)
	if sh.houseAtMs > 0 {
		if d := int(max(sh.houseAtMs-sh.nowMs, 1)); wait < 0 || d < wait {
			wait = d
		}
	}
	return wait
}

func (sh *Shard) readClock() {
	sh.nowMs = sys.NowMs()
	sh.tick = uint32((sh.nowMs-sh.startMs)/wheel.TickMs) + 1
}

// dispatch books one event. An event is a hint that its socket may have become
// ready; one for a slot that has moved on is counted and dropped.
func (sh *Shard) dispatch(ev sys.Event) {
	switch {
	case ev.Data == sys.WakeData:
		sh.poller.Woken()
		sh.readMailbox()
		return
	case ev.Data&kindBit != 0:
		h, _ := eventHandle(ev.Data)
		if h.Gen == 0 {
			sh.accept(int(h.Slot))
		} else {
			sh.onPooledEvent(h)
		}
		return
	}
	h, leg := eventHandle(ev.Data)
	s := sh.sessions.Get(h)
	if s == nil || s.state == Closed {
		sh.counters.StaleEvents++
		return
	}
	half := &s.Down
	if leg == legUp {
		half = &s.Up
	}
	if half.FD < 0 {
		sh.counters.StaleEvents++ // of an upstream's connection closed in this turn
		return
	}
	half.Bits |= eventBits(ev.Bits)
	sh.advance(s)
}

// eventBits turns epoll's bits into readiness. An error or hang-up makes both
// directions worth trying: the system call then says what it is.
func eventBits(e uint32) (b relay.Bits) {
	if e&(sys.EventRead|sys.EventRdHup|sys.EventErr|sys.EventHup) != 0 {
		b |= relay.CanRead
	}
	if e&(sys.EventWrite|sys.EventErr|sys.EventHup) != 0 {
		b |= relay.CanWrite
	}
	if e&(sys.EventRdHup|sys.EventHup) != 0 {
		b |= relay.RdHup
	}
	if e&(sys.EventErr|sys.EventHup) != 0 {
		b |= relay.Alarm
	}
	return b
}

// advance lets a session get on as far as it can.
func (sh *Shard) advance(s *Session) {
	for range stepsMax {
		if !sh.step(s) {
			return
		}
	}
	sh.enqueue(s)
}

// step calls the function of the session's state. It returns true where the next
// state should be tried at once.
func (sh *Shard) step(s *Session) (again bool) {
	switch s.state {
	case Tunnel, HalfClosed:
		return sh.onTunnel(s)
	case Closing:
		return sh.onClosing(s)
	case ReadHead:
		return sh.onReadHead(s)
	case Delay:
		return sh.onDelay(s)
	case Access:
		return sh.onAccess(s)
	case ReadBody:
		return sh.onReadBody(s)
	case Connect:
		return sh.onConnect(s)
	case SendHead:
		return sh.onSendHead(s)
	case ReadResp:
		return sh.onReadResp(s)
	case Body:
		return sh.onBody(s)
	case Switch:
		return sh.onSwitch(s)
	case Idle:
		return sh.onIdle(s)
	case Reply:
		return sh.onReply(s)
	case Linger:
		return sh.onLinger(s)
	case Handshake:
		return sh.onHandshake(s)
	case UpHandshake:
		return sh.onUpHandshake(s)
	case ProxyHeader:
		return sh.onProxyHeader(s)
	case Preread:
		return sh.onPreread(s)
	}
	return false
}

// enqueue puts a session with work left on the run queue, once.
func (sh *Shard) enqueue(s *Session) {
	if s.has(flagQueued) || s.state == Closed {
		return
	}
	s.flags |= flagQueued
	s.queueNext = 0
	if sh.queueHead == 0 {
		sh.queueHead = s.slot + 1
	} else {
		sh.sessions.At(sh.queueTail - 1).queueNext = s.slot + 1
	}
	sh.queueTail = s.slot + 1
}

// runQueued advances the sessions that stood on the queue when it began. Those
// that are queued meanwhile wait for the next turn, after its events.
func (sh *Shard) runQueued() {
	next := sh.queueHead
	sh.queueHead, sh.queueTail = 0, 0
	for next != 0 {
		s := sh.sessions.At(next - 1)
		next = s.queueNext
		s.flags &^= flagQueued
		if s.state != Closed {
			sh.advance(s)
		}
	}
}

// feedStarved retries the requests that found the memory in flight at its limit, until
// it is there again. Tunnels go on without buffers then, so they are not among them.
func (sh *Shard) feedStarved() {
	if len(sh.starved) == 0 || sh.bufs.Full() {
		return
	}
	list := sh.starved
	sh.starved = sh.starvedSpare[:0]
	for i, h := range list {
		if sh.bufs.Full() {
			// Those that had no turn go first the next time.
			kept := append(list[:0], list[i:]...)
			sh.starved, sh.starvedSpare = append(kept, sh.starved...), sh.starved
			return
		}
		if s := sh.sessions.Get(h); s != nil && s.state != Closed {
			s.flags &^= flagStarved
			sh.advance(s)
		}
	}
	sh.starvedSpare = list
}

// starve has the session tried again once memory is free.
func (sh *Shard) starve(s *Session) {
	if !s.has(flagStarved) {
		s.flags |= flagStarved
		sh.starved = append(sh.starved, sh.handle(s))
	}
}

func (sh *Shard) expire() {
	if sh.timers.Len() == 0 {
		return
	}
	sh.expired = sh.timers.Expire(sh.nowMs, sh.expired[:0])
	for _, slot := range sh.expired {
		s := sh.sessions.At(slot)
		if s.state != Closed && s.state != Free && !s.timer.Armed() {
			sh.onTimer(s)
		}
	}
}

// freeClosed ends the quarantine of the slots that closed in this turn. One that
// is still linked in the run queue waits for the next.
func (sh *Shard) freeClosed() {
	kept := sh.closed[:0]
	for _, slot := range sh.closed {
		s := sh.sessions.At(slot)
		if s.has(flagQueued) {
			kept = append(kept, slot)
			continue
		}
		sh.setState(s, Free)
		sh.sessions.Free(slot)
	}
	sh.closed = kept
}
