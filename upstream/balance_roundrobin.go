package upstream

import (
	"runtime"
	"sync/atomic"
)

const (
	// cycleMax bounds the length of a precomputed cycle; larger weights are scaled
	// down to it, each server keeping at least one place.
	cycleMax = 4096
	// probesMax is how many places a pick advances the shared position over members
	// that cannot take the request, before it scans the set.
	probesMax = 32
	// gainsMax is how many members a set may have for picks that look at each of them.
	gainsMax = 256
)

// roundRobin is nginx's smooth weighted round robin, the default policy: with weights
// 5, 1, 1 the order is a a b a c a a.
//
// A pick that has the gains to itself chooses as nginx does: each member that can take
// the request gains its weight, the one with the most is chosen and pays what all have
// gained. A member that failed weighs less for a while. A pick that finds another shard
// at it does not wait: it goes by a cycle, the same order computed once, and one shared
// position. Each of the two keeps the shares, so both together do.
type roundRobin struct {
	cycle []uint16 // member indexes

	_        linePad
	position atomic.Uint64
	busy     atomic.Bool // some shard is at the gains
	gains    []gain      // of the members; nil in a large set
	_        linePad
}

// gain is the state of one member.
type gain struct {
	gained int64
	weight int64
	// loss is what failures have taken from the weight; each pick that looks at the member
	// gives one back.
	loss atomic.Int64
}

func newRoundRobin(members []member) *roundRobin {
	rr := &roundRobin{cycle: smoothCycle(cycleWeights(members))}
	if len(members) <= gainsMax {
		rr.gains = make([]gain, len(members))
		for i := range members {
			rr.gains[i].weight = int64(members[i].weight)
		}
	}
	return rr
}

// next is the member with the most, or where another shard is at the gains the next one of the
// cycle. A member that cannot take the request uses its place there up, which leaves the others
// with their proportions.
func (rr *roundRobin) next(s *set, c *Choice, nowMs int64) int {
	for range contendedMax {
		i, looked := rr.richest(s, c, nowMs, nil)
		if looked && i < 0 {
			return -1
		}
		if !looked {
			break
		}
		if s.claim(i, nowMs) {
			return i
		}
	}
	if len(rr.cycle) == 0 {
		return -1
	}
	i := 0
	for range min(len(rr.cycle), probesMax) {
		i = rr.step()
		if s.rises(i, nowMs) && s.take(i, c, nowMs) {
			return i
		}
	}
	for range s.members {
		if i++; i == len(s.members) {
			i = 0
		}
		if s.take(i, c, nowMs) {
			return i
		}
	}
	return -1
}

// richest lets the members gain and one of them pay, and returns that, or -1 where none can take
// the request; looked is false if another shard is at it. Only those that among accepts take
// part, where it is not nil.
func (rr *roundRobin) richest(s *set, c *Choice, nowMs int64, among func(i int) bool) (best int, looked bool) {
	if rr.gains == nil || !rr.busy.CompareAndSwap(false, true) {
		return -1, false
	}
	best = -1
	total := int64(0)
	for i := range rr.gains {
		if !s.free(i, c, nowMs) || among != nil && !among(i) {
			continue
		}
		g := &rr.gains[i]
		weight := g.weight
		if loss := g.loss.Load(); loss > 0 {
			weight = max(weight-loss, 0)
			g.loss.CompareAndSwap(loss, loss-1)
		}
		if s.slow {
			weight *= s.members[i].ramp(nowMs)
		}
		g.gained += weight
		total += weight
		if best < 0 || g.gained > rr.gains[best].gained {
			best = i
		}
	}
	if best >= 0 {
		rr.gains[best].gained -= total
	}
	rr.busy.Store(false)
	return best, true
}

// lower takes from the weight of member i, for a failed attempt: as many failures as make it
// unavailable take all of it.
func (rr *roundRobin) lower(i int, m *member) {
	if rr.gains == nil || m.maxFails == 0 {
		return
	}
	g := &rr.gains[i]
	for range contendedMax {
		loss := g.loss.Load()
		if g.loss.CompareAndSwap(loss, min(loss+g.weight/int64(m.maxFails), g.weight)) {
			return
		}
	}
}

// step moves the shared position on and returns the member that stood there. There must be one.
func (rr *roundRobin) step() int {
	return int(rr.cycle[(rr.position.Add(1)-1)%uint64(len(rr.cycle))])
}

// turns is what every policy has: it is or has a round robin.
func (rr *roundRobin) turns() *roundRobin { return rr }

// resume goes on where the set before was, so that changing servers favours nobody. It waits for
// shards that are at its gains: not for a shard's thread.
func (rr *roundRobin) resume(members []member, before *set) {
	if before == nil {
		return
	}
	old := before.policy.turns()
	rr.position.Store(old.position.Load())
	if rr.gains == nil || old.gains == nil {
		return
	}
	for !old.busy.CompareAndSwap(false, true) {
		runtime.Gosched()
	}
	defer old.busy.Store(false)
	for i := range members {
		if at := before.index(members[i].peer.ID); at >= 0 {
			rr.gains[i].gained = old.gains[at].gained
			rr.gains[i].loss.Store(min(old.gains[at].loss.Load(), rr.gains[i].weight))
		}
	}
}

// cycleWeights are the members' weights divided by what they have in common, and
// scaled so that their sum is at most about cycleMax; 0 for a server that is down or drains.
func cycleWeights(members []member) []int {
	weights := make([]int, len(members))
	divisor, sum := 0, 0
	for i := range members {
		if !members[i].down && !members[i].drain {
			weights[i] = members[i].weight
			divisor = gcd(divisor, weights[i])
			sum += weights[i]
		}
	}
	if divisor == 0 {
		return weights
	}
	sum /= divisor
	for i, w := range weights {
		w /= divisor
		if sum > cycleMax && w > 0 {
			w = max(1, (w*cycleMax+sum/2)/sum)
		}
		weights[i] = w
	}
	return weights
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// smoothCycle is one period of the smooth order: at each step every server gains its
// weight, the first with the most is chosen and pays the sum of all weights.
func smoothCycle(weights []int) []uint16 {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	cycle := make([]uint16, 0, sum)
	gained := make([]int, len(weights))
	for range sum {
		best := -1
		for i, w := range weights {
			if w == 0 {
				continue
			}
			gained[i] += w
			if best < 0 || gained[i] > gained[best] {
				best = i
			}
		}
		gained[best] -= sum
		cycle = append(cycle, uint16(best))
	}
	return cycle
}
