package upstream

// policy is a way to choose among the members of a set. An implementation keeps its
// own state in atomics and allocates nothing in next.
type policy interface {
	// next returns the index of a member for which s.take was true, or -1 if there is
	// none.
	next(s *set, c *Choice, nowMs int64) int
}

// triedBits is the size of a Choice's memory, in members.
const triedBits = 256

// Choice remembers, for one request, which peers were tried. Its zero value is for a
// new request; it holds no pointers. In a set of more than 256 members, those that
// share a bit with a tried one are passed over, so a request tries 256 peers at most.
type Choice struct {
	tried  [triedBits / 64]uint64
	backup bool // the primaries are used up
}

func (c *Choice) has(i int) bool { return c.tried[i/64%len(c.tried)]&(1<<(i%64)) != 0 }

func (c *Choice) add(i int) { c.tried[i/64%len(c.tried)] |= 1 << (i % 64) }

// Pick chooses a peer for a request that has tried those in c, and notes it there. No
// peer is returned twice for one Choice. Backup servers are used when no primary is
// left that is neither down, failed, nor tried; then the request stays with them. It
// returns nil when no peer is left: nginx's "no live upstreams", a 502.
func (g *Group) Pick(c *Choice, nowMs int64) *Peer {
	if !c.backup {
		if p := g.primary.pick(c, nowMs); p != nil {
			return p
		}
		*c = Choice{backup: true}
	}
	return g.backup.pick(c, nowMs)
}

func (s *set) pick(c *Choice, nowMs int64) *Peer {
	i := s.policy.next(s, c, nowMs)
	if i < 0 {
		return nil
	}
	c.add(i)
	return s.members[i].peer
}

// take tells whether member i may have the request. If it does, it must get it: the
// answer may have claimed the one probe of a failed peer.
func (s *set) take(i int, c *Choice, nowMs int64) bool {
	m := &s.members[i]
	return !m.down && !c.has(i) && (s.single || m.claim(nowMs))
}
