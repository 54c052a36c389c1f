package shard

import (
	"net/netip"

	"holdfast/internal/sys"
	"holdfast/observe"
)

// acceptBatch bounds how many connections one event takes from a listener, so that
// a storm of new connections doesn't starve the tunnels.
const acceptBatch = 64

type listener struct {
	fd     int32 // -1: closed, or a unix socket whose connections come by Adopt
	paused bool  // out of descriptors: tried again by house
	more   bool  // connections may still wait in the queue
}

// accept takes new connections. The listener is edge-triggered: what a batch left
// over, or a lack of descriptors, is remembered and taken up again.
func (sh *Shard) accept(i int) {
	l := &sh.listeners[i]
	for range acceptBatch {
		if l.fd < 0 {
			return
		}
		fd, peer, errno := sys.Accept(l.fd)
		switch errno {
		case 0:
			sh.accepted++
			sh.admit(fd, i, peer)
		case sys.EAGAIN:
			return
		case sys.ECONNABORTED, sys.EPROTO:
			sh.counters.AcceptErrors++ // the client left before we came: the next one
		default:
			sh.counters.AcceptErrors++
			l.paused, sh.acceptPaused = true, true
			sh.houseSoon()
			sh.logErrno("accept4() failed, accepting pauses", errno)
			return
		}
	}
	l.more, sh.acceptMore = true, true
}

// acceptRest takes up the listeners whose batch was full.
func (sh *Shard) acceptRest() {
	if !sh.acceptMore {
		return
	}
	sh.acceptMore = false
	for i := range sh.listeners {
		if l := &sh.listeners[i]; l.more {
			l.more = false
			sh.accept(i)
		}
	}
}

// retryAccept takes up accepting where it paused. It reports whether any listener
// is paused still.
func (sh *Shard) retryAccept() (more bool) {
	for i := range sh.listeners {
		if l := &sh.listeners[i]; l.paused {
			l.paused = false
			sh.accept(i)
			more = more || l.paused
		}
	}
	sh.acceptPaused = more
	return more
}

// LoadUnavailable is the load of a shard that takes no connections for now: more than any
// number of sessions.
const LoadUnavailable = 1 << 31

// publishLoad tells the program that chooses shards what this one has. It does so at the
// end of a turn, when the connections that had come are accepted.
func (sh *Shard) publishLoad() {
	if sh.opt.Load == nil {
		return
	}
	load := uint64(sh.sessions.Len())
	if sh.acceptPaused || sh.quitting || sh.stopping {
		load = LoadUnavailable
	}
	load = load<<32 | uint64(sh.accepted)
	if load != sh.load {
		sh.load = load
		sh.opt.Load.Store(load)
	}
}

// RefusalsMax is how many connections a shard takes past its limit, for as long as it
// takes to answer them with a 503. What comes on top of those is reset.
const RefusalsMax = 64

// refusalHeadMs bounds the head of a request that can only be refused.
const refusalHeadMs = 5000

// admit makes a session of a client's socket. At the limit an idle keep-alive
// connection gives way; where there is none the new one's request is refused.
func (sh *Shard) admit(fd int32, listener int, peer netip.AddrPort) {
	if sh.stopping || sh.quitting {
		sys.Close(fd)
		return
	}
	over := sh.sessions.Len()-len(sh.closed) >= sh.opt.SessionsMax && !sh.evictIdle()
	if over {
		sh.logError(nil, observe.LevelAlert, "worker_connections are not enough", nil)
		if sh.sessions.Len()-len(sh.closed) >= sh.opt.SessionsMax+RefusalsMax {
			sh.counters.Accepted++
			sh.counters.SessionCloses[observe.ReasonOverload][observe.SideProxy]++
			sys.ResetOnClose(fd)
			sys.Close(fd)
			return
		}
	}
	if !sh.snapshot.hasListener(uint16(listener)) && sh.former.of[uint16(listener)] == nil {
		sys.Close(fd)
		return
	}
	h, s := sh.sessions.Alloc()
	sh.addresses.put(h, peer)
	s.slot = h.Slot
	s.id = sh.opt.NextID()
	s.listener = uint16(listener)
	s.policy = sh.snapshotOf(s).Table.Default(listener).Settings.Policy
	s.openedTick = sh.tick
	s.Down.Open(fd)
	s.Up.FD = -1
	sh.counters.Accepted++
	if over {
		s.flags |= flagRefused
	}
	sh.greet(s)
	if errno := sh.poller.Add(fd, eventData(h, legDown)); errno != 0 {
		sh.close(s, observe.ReasonOverload, observe.SideProxy)
	}
}

// greet begins a connection as its listener asks.
func (sh *Shard) greet(s *Session) {
	if l := &sh.snapshotOf(s).Listeners[s.listener]; l.ProxyProtocol {
		sh.setState(s, ProxyHeader)
		wait := l.ProxyHeaderMs
		if s.has(flagRefused) {
			wait = min(wait, refusalHeadMs)
		}
		sh.timers.Set(s.slot, sh.nowMs+wait)
		return
	}
	sh.afterProxyHeader(s)
}

// evictIdle closes the first idle keep-alive connection behind the one evicted last: in
// slab order, so that all get their turn, and not by age, which would cost a list.
func (sh *Shard) evictIdle() bool {
	if sh.counters.Sessions[Idle] == 0 {
		return false
	}
	for range evictScan {
		s := sh.sessions.Next(&sh.evictAt)
		if s == nil {
			return false
		}
		if s.state == Idle && sh.mustStayMs(s) == 0 {
			sh.close(s, observe.ReasonEvicted, observe.SideProxy)
			return true
		}
	}
	return false
}

const evictScan = 1024
