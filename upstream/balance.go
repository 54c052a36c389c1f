package upstream

import "runtime"

// policy is a way to choose among the members of a set. An implementation keeps its
// own state in atomics and allocates nothing in next.
type policy interface {
	// next returns the index of a member for which s.take was true, or -1 if there is
	// none.
	next(s *set, c *Choice, nowMs int64) int
	// turns is the round robin that it is, or falls back to.
	turns() *roundRobin
}

// triedBits is the size of a Choice's memory, in members.
const triedBits = 256

// Choice remembers, for one request, which peers were tried. Its zero value is for a
// new request; it holds no pointers. In a set of more than 256 members, those that
// share a bit with a tried one are passed over, so a request tries 256 peers at most.
// When the group's servers change between two tries, what was tried is forgotten.
type Choice struct {
	// Key is what the hash methods choose by: HashKey of the rendered key where the group
	// wants WantsKey, AddressKey of the client's address where it wants WantsAddress.
	Key uint64
	// Prefer is the ID of the peer that the request is bound to (sticky), 0: none. It is
	// taken at once if it may be, draining or not.
	Prefer uint32

	generation uint32 // of the servers that tried and backup speak of
	tried      [triedBits / 64]uint64
	hash       uint32 // where the hash methods stand
	preferred  uint32 // the peer that was taken because of Prefer
	draws      uint8  // how many members were drawn that could not take the request
	rehashes   uint8  // how often the key was hashed
	backup     bool   // the primaries are used up
}

// drawsMax is how many members ip_hash, hash and random draw for one request that can't
// take it, before round robin goes on: as nginx does.
const drawsMax = 20

func (c *Choice) has(i int) bool { return c.tried[i/64%len(c.tried)]&(1<<(i%64)) != 0 }

func (c *Choice) add(i int) { c.tried[i/64%len(c.tried)] |= 1 << (i % 64) }

// Fresh tells whether nothing was picked for the request yet: Key and Prefer are to be filled
// in then.
func (c *Choice) Fresh() bool { return c.generation == 0 }

// restart makes c one for servers that it has tried nothing of.
func (c *Choice) restart(generation uint32, backup bool) {
	*c = Choice{
		Key: c.Key, Prefer: c.Prefer, preferred: c.preferred, generation: generation, backup: backup,
	}
}

// Pick chooses a peer for a request that has tried those in c, and notes it there. No
// peer is returned twice for one Choice. Backup servers are used when no primary is
// left that is neither down, failed, unhealthy, full (max_conns), nor tried; then the request stays
// with them. It returns nil when no peer is left: nginx's "no live upstreams", a 502.
//
// The peer is lent: Peer.Active counts it until the caller gives it back by Peer.Release.
func (g *Group) Pick(c *Choice, nowMs int64) *Peer {
	v := g.servers.Load()
	if v == nil {
		return nil
	}
	if c.generation != v.generation {
		c.restart(v.generation, false)
	}
	p := v.pick(c, nowMs)
	// The peer keeps its ID until here because v has it, from here on because it is lent.
	runtime.KeepAlive(v)
	return p
}

func (v *servers) pick(c *Choice, nowMs int64) *Peer {
	if c.Prefer != 0 && c.Prefer != c.preferred {
		if p := v.prefer(c, nowMs); p != nil {
			return p
		}
	}
	if !c.backup {
		if p := v.primary.pick(c, nowMs); p != nil {
			return p
		}
		c.restart(v.generation, true)
		// The one that was preferred may be a backup.
		if i := v.backup.index(c.preferred); i >= 0 {
			c.add(i)
		}
	}
	return v.backup.pick(c, nowMs)
}

// prefer takes the peer that the request is bound to, or returns nil. It is asked for once.
func (v *servers) prefer(c *Choice, nowMs int64) *Peer {
	c.preferred = c.Prefer
	s, backup := &v.primary, false
	i := s.index(c.Prefer)
	if i < 0 {
		s, backup = &v.backup, true
		i = s.index(c.Prefer)
	}
	if i < 0 || s.members[i].down || !s.members[i].healthy() || backup == c.backup && c.has(i) || !s.claim(i, nowMs) {
		c.preferred = 0
		return nil
	}
	if backup == c.backup {
		c.add(i)
	}
	return s.members[i].peer
}

func (s *set) pick(c *Choice, nowMs int64) *Peer {
	i := s.policy.next(s, c, nowMs)
	if i < 0 {
		return nil
	}
	c.add(i)
	return s.members[i].peer
}

// index is the place of the peer with that ID, or -1.
func (s *set) index(id uint32) int {
	for i := range s.members {
		if s.members[i].peer.ID == id {
			return i
		}
	}
	return -1
}

// free tells whether member i may have the request, without taking it.
func (s *set) free(i int, c *Choice, nowMs int64) bool {
	m := &s.members[i]
	return !m.down && !m.drain && !c.has(i) && !m.full() && m.healthy() && (s.single || m.available(nowMs))
}

// take tells whether member i may have the request. If it does, it must get it: it is lent,
// and that may be the one probe of a failed peer.
func (s *set) take(i int, c *Choice, nowMs int64) bool {
	return s.free(i, c, nowMs) && s.claim(i, nowMs)
}

// claim lends member i unless it is full or failed.
func (s *set) claim(i int, nowMs int64) bool {
	m := &s.members[i]
	if active := m.peer.Active.Add(1); m.maxConns > 0 && active > m.maxConns ||
		!s.single && !m.claim(nowMs) {
		m.peer.Active.Add(-1)
		return false
	}
	if s.timed {
		m.peer.asked(nowMs)
	}
	return true
}
