package upstream

import "math/rand/v2"

// random is the method random: any member, the heavier the likelier.
type random struct {
	*roundRobin
	ranges
}

// next draws until a member can take the request; after 20 that can't, round robin goes on.
func (r *random) next(s *set, c *Choice, nowMs int64) int {
	for !s.single && r.total() > 0 && c.draws <= drawsMax {
		if i := r.at(rand.Uint64N(r.total())); s.take(i, c, nowMs) {
			return i
		}
		c.draws++
	}
	return r.roundRobin.next(s, c, nowMs)
}

// randomTwo is random two: the better of two members.
type randomTwo struct {
	*roundRobin
	Balance
	ranges
}

// next draws two different members that can take the request, as random does.
func (r *randomTwo) next(s *set, c *Choice, nowMs int64) int {
	first := -1
	for !s.single && r.total() > 0 && c.draws <= drawsMax {
		i := r.at(rand.Uint64N(r.total()))
		switch {
		case i == first || !s.free(i, c, nowMs):
		case first < 0:
			first = i
			continue
		default:
			if r.better(s, first, i, nowMs) {
				i = first
			}
			if s.take(i, c, nowMs) {
				return i
			}
		}
		c.draws++
	}
	return r.roundRobin.next(s, c, nowMs)
}

// better tells whether the first of two members is the better one.
func (r *randomTwo) better(s *set, first, second int, nowMs int64) bool {
	// A member that was never measured is as fast as the other.
	unmeasured := 0.0
	if r.By != ByConns {
		unmeasured = max(s.members[first].peer.time(r.Balance, nowMs), s.members[second].peer.time(r.Balance, nowMs))
	}
	a, b := s.judge(first, r.Balance, unmeasured, nowMs), s.judge(second, r.Balance, unmeasured, nowMs)
	return b.cost*a.weight > a.cost*b.weight
}
