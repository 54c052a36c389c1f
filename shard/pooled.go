package shard

import (
	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/upstream"
)

// pooledConn is an idle keep-alive connection to a peer, registered with the poller
// under its own handle so that the peer's close is noticed.
type pooledConn struct {
	sinceMs  int64
	limitMs  int64 // keepalive_timeout of its group
	bornMs   int64 // when it was made
	fd       int32
	peer     uint32
	requests uint32 // sent on it so far
	older    uint32 // slot + 1 in the list of all, by age
	newer    uint32
	below    uint32 // slot + 1 in the stack of its peer
	above    uint32
}

// pooledList holds a shard's idle upstream connections: a stack for each peer, the
// last one put is the first one taken, and a list of all by age for expiry.
type pooledList struct {
	slab   pool.Slab[pooledConn]
	top    []uint32 // by peer ID: slot + 1
	count  []int32  // by peer ID
	oldest uint32   // slot + 1
	newest uint32
}

// Len is the number of idle connections.
func (l *pooledList) Len() int { return l.slab.Len() }

// poolUpstream puts the session's upstream connection on its peer's stack and takes it
// off the session. Past a limit of the group (keepalive, keepalive_time) the connection
// is closed instead.
func (sh *Shard) poolUpstream(s *Session, r *Request) {
	g := r.group
	if g.KeepaliveTimeMs > 0 && sh.nowMs-r.upBornMs >= g.KeepaliveTimeMs {
		sh.dropUpstream(s)
		return
	}
	l := &sh.pooled
	for int(s.peer) >= len(l.top) {
		l.top = append(l.top, 0)
		l.count = append(l.count, 0)
	}
	if int(l.count[s.peer]) >= g.Keepalive || sh.quitting || sh.stopping {
		sh.dropUpstream(s)
		return
	}
	h, c := l.slab.Alloc()
	if sh.poller.RenameQuiet(s.Up.FD, kindBit|eventData(h, 0)) != 0 {
		l.slab.Free(h.Slot)
		sh.dropUpstream(s)
		return
	}
	*c = pooledConn{
		sinceMs: sh.nowMs, limitMs: g.KeepaliveTimeoutMs, bornMs: r.upBornMs,
		fd: s.Up.FD, peer: s.peer, requests: r.upRequests + 1,
	}
	l.link(h.Slot, c)
	s.Up.FD, s.Up.Bits, s.peer = -1, 0, 0
	s.flags &^= flagReusedUp
	sh.houseSoon()
}

func (l *pooledList) link(slot uint32, c *pooledConn) {
	id := slot + 1
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
}

// takePooled gives the session an idle connection to peer, if there is one.
func (sh *Shard) takePooled(s *Session, r *Request, peer *upstream.Peer) bool {
	l := &sh.pooled
	for int(peer.ID) < len(l.top) && l.top[peer.ID] != 0 {
		slot := l.top[peer.ID] - 1
		c := l.slab.At(slot)
		// What came since the last response would be taken for the answer to this
		// request; its event may not have been seen yet.
		_, errno := sys.Read(c.fd, sh.mover.Scratch[:1])
		if errno != sys.EAGAIN || sh.poller.Rename(c.fd, eventData(sh.handle(s), legUp)) != 0 {
			l.discard(sh, slot)
			continue
		}
		s.Up.Open(c.fd)
		s.peer = peer.ID
		s.flags |= flagReusedUp
		r.upRequests, r.upBornMs = c.requests, c.bornMs
		l.unlink(slot)
		sh.counters.UpstreamReuses++
		return true
	}
	return false
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
	l.slab.Free(slot)
}

// onPooledEvent closes an idle connection: its peer closed it, or sent what nobody
// asked for.
func (sh *Shard) onPooledEvent(h pool.Handle) {
	if c := sh.pooled.slab.Get(h); c != nil {
		sh.pooled.discard(sh, h.Slot)
	} else {
		sh.counters.StaleEvents++
	}
}

func (l *pooledList) discard(sh *Shard, slot uint32) {
	c := l.slab.At(slot)
	sys.Close(c.fd)
	if peer := sh.opt.Peers.ByID(c.peer); peer != nil {
		peer.Connections.Add(-1)
	}
	l.unlink(slot)
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
