package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/relay"
	"holdfast/upstream"
)

// pooledConn is a connection to a peer that may serve more than one request. It is
// registered with the poller once, under its own handle, and keeps that whether a session
// uses it or it idles.
type pooledConn struct {
	sinceMs  int64  // when it became idle
	limitMs  int64  // keepalive_timeout of its group
	bornMs   int64  // when it was made
	user     uint32 // slot + 1 of the session that uses it, 0: it is idle
	fd       int32
	peer     uint32
	tls      uint32 // its TLS connection, 0: none
	identity uint32 // Request.identity of those that may use it
	requests uint32 // sent on it before the present one
	older    uint32 // slot + 1 in the list of the idle ones, by age
	newer    uint32
	below    uint32 // slot + 1 in the stack of its peer
	above    uint32
}

// pooledList holds a shard's reusable upstream connections. The idle ones are on a stack
// for each peer, the last one put being the first one taken, and on a list by age for
// expiry.
type pooledList struct {
	slab   pool.Slab[pooledConn]
	idle   int
	top    []uint32 // by peer ID: slot + 1
	count  []int32  // by peer ID
	oldest uint32   // slot + 1
	newest uint32
}

// Len is the number of idle connections.
func (l *pooledList) Len() int { return l.idle }

// reusable reports whether a connection made for this request may serve others after it.
func (r *Request) reusable() bool {
	return r.stream == nil && !r.connect && r.upgrade == httpparse.UpgradeNone && r.group.Keepalive > 0 &&
		r.proxyProtocol() == 0 && !r.proxy.Bind().Dynamic()
}

// registerUpstream registers a new connection with the poller: under the session's handle,
// or under one of its own if other requests may follow on it.
func (sh *Shard) registerUpstream(s *Session, r *Request, fd int32, peer *upstream.Peer) sys.Errno {
	if !r.reusable() {
		return sh.poller.Add(fd, eventData(sh.handle(s), legUp))
	}
	h, c := sh.pooled.slab.Alloc()
	if errno := sh.poller.Add(fd, kindBit|eventData(h, 0)); errno != 0 {
		sh.pooled.slab.Free(h.Slot)
		return errno
	}
	*c = pooledConn{
		bornMs: sh.nowMs, user: s.slot + 1, fd: fd, peer: peer.ID, // the rest is set when it becomes idle
	}
	r.upConn = h.Slot + 1
	return 0
}

// poolUpstream puts the session's upstream connection on its peer's stack and takes it
// off the session. Past a limit of the group (keepalive, keepalive_time), or where more
// has come than the response, the connection is closed instead.
func (sh *Shard) poolUpstream(s *Session, r *Request) {
	g, l := r.group, &sh.pooled
	for int(s.peer) >= len(l.top) {
		l.top = append(l.top, 0)
		l.count = append(l.count, 0)
	}
	if r.upConn == 0 || int(l.count[s.peer]) >= g.Keepalive || sh.quitting || sh.stopping ||
		g.KeepaliveTimeMs > 0 && sh.nowMs-l.slab.At(r.upConn-1).bornMs >= g.KeepaliveTimeMs ||
		sh.isLeaving(s.peer) || !sh.upstreamSilent(s) {
		sh.dropUpstream(s)
		return
	}
	slot := r.upConn - 1
	c := l.slab.At(slot)
	c.user, c.sinceMs, c.limitMs = 0, sh.nowMs, g.KeepaliveTimeoutMs
	c.requests++
	c.tls, c.identity = s.Up.TLS(), r.identity
	l.link(slot, c)
	r.peer.Release()
	s.Up = relay.Half{FD: -1}
	s.peer, r.upConn = 0, 0
	s.flags &^= flagReusedUp
	sh.houseSoon()
}

// upstreamSilent reports whether nothing has come behind the response. A short read has
// shown that already, and whatever comes later has an event.
func (sh *Shard) upstreamSilent(s *Session) bool {
	if id := s.Up.TLS(); id != 0 && sh.mover.TLS.Holds(id) {
		return false
	}
	if s.Up.Bits&relay.CanRead == 0 {
		return true
	}
	return sh.silent(s.Up.FD)
}

// silent asks the kernel whether nothing has come at fd, not even its end.
func (sh *Shard) silent(fd int32) bool {
	_, errno := sys.Peek(fd, sh.mover.Scratch[:1])
	return errno == sys.EAGAIN
}

func (l *pooledList) link(slot uint32, c *pooledConn) {
	id := slot + 1
	c.above, c.newer = 0, 0
	c.below = l.top[c.peer]
	if c.below != 0 {
		l.slab.At(c.below - 1).above = id
	}
	l.top[c.peer] = id
	l.count[c.peer]++
	c.older = l.newest
	if c.older != 0 {
		l.slab.At(c.older - 1).newer = id
	} else {
		l.oldest = id
	}
	l.newest = id
	l.idle++
}

// takePooled gives the session an idle connection to peer, if there is one.
func (sh *Shard) takePooled(s *Session, r *Request, peer *upstream.Peer) bool {
	l := &sh.pooled
	if int(peer.ID) >= len(l.top) {
		return false
	}
	at := l.find(peer.ID, r.identity)
	// Behind a full batch there may be events that seePooled has not seen.
	for sh.batchFull && at != 0 && !sh.silent(l.slab.At(at-1).fd) {
		l.discard(sh, at-1)
		at = l.find(peer.ID, r.identity)
	}
	if at == 0 {
		return false
	}
	slot := at - 1
	c := l.slab.At(slot)
	l.unlink(slot)
	c.user = s.slot + 1
	r.upConn = slot + 1
	s.Up.Open(c.fd)
	if c.tls != 0 {
		s.Up.Secure(c.tls)
		s.Up.Bits &^= relay.CanRead // it idled because it was silent
	}
	s.peer = peer.ID
	s.flags |= flagReusedUp
	sh.counters.UpstreamReuses++
	return true
}

// find is the connection to a peer, 1 + its slot, that was used last by requests of the same
// identity; 0: there is none.
func (l *pooledList) find(peer, identity uint32) (id uint32) {
	for id = l.top[peer]; id != 0; id = l.slab.At(id - 1).below {
		if l.slab.At(id-1).identity == identity {
			return id
		}
	}
	return 0
}

func (l *pooledList) unlink(slot uint32) {
	c := l.slab.At(slot)
	if c.above != 0 {
		l.slab.At(c.above - 1).below = c.below
	} else {
		l.top[c.peer] = c.below
	}
	if c.below != 0 {
		l.slab.At(c.below - 1).above = c.above
	}
	if c.newer != 0 {
		l.slab.At(c.newer - 1).older = c.older
	} else {
		l.newest = c.older
	}
	if c.older != 0 {
		l.slab.At(c.older - 1).newer = c.newer
	} else {
		l.oldest = c.newer
	}
	l.count[c.peer]--
	l.idle--
}

// seePooled books the events that this turn has for reusable connections before any of them
// is acted on. Idle ones that have one are closed: their peers closed them, or sent what
// nobody asked for, which a request of this turn could take for its answer. And of one that
// becomes idle in this turn it must be known by then that its end has come.
func (sh *Shard) seePooled(events int) {
	for i := range events {
		ev := sh.poller.Event(i)
		h, _ := eventHandle(ev.Data)
		if ev.Data&kindBit == 0 || ev.Data == sys.WakeData || h.Gen == 0 {
			continue
		}
		switch c := sh.pooled.slab.Get(h); {
		case c == nil:
		case c.user != 0:
			sh.sessions.At(c.user - 1).Up.Bits |= eventBits(ev.Bits)
		case ev.Bits&^sys.EventWrite != 0:
			sh.pooled.discard(sh, h.Slot)
		}
	}
}

// onPooledEvent lets the session get on that uses a connection with an event; seePooled has
// booked it.
func (sh *Shard) onPooledEvent(h pool.Handle) {
	if c := sh.pooled.slab.Get(h); c != nil && c.user != 0 {
		sh.advance(sh.sessions.At(c.user - 1))
	}
}

// discard closes an idle connection.
func (l *pooledList) discard(sh *Shard, slot uint32) {
	c := l.slab.At(slot)
	if c.tls != 0 {
		sh.closeTLS(c.tls, c.fd)
	}
	sys.Close(c.fd)
	if peer := sh.opt.Peers.ByID(c.peer); peer != nil {
		peer.Connections.Add(-1)
	}
	l.unlink(slot)
	l.slab.Free(slot)
}

// expire closes what has idled past its time and reports whether any are left.
func (l *pooledList) expire(sh *Shard) (more bool) {
	for at := l.oldest; at != 0; {
		c := l.slab.At(at - 1)
		newer := c.newer
		if sh.nowMs-c.sinceMs >= c.limitMs {
			l.discard(sh, at-1)
		} else {
			more = true
		}
		at = newer
	}
	return more
}

func (l *pooledList) closeAll(sh *Shard) {
	for l.oldest != 0 {
		l.discard(sh, l.oldest-1)
	}
}
