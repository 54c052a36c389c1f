package upstream

import "sync/atomic"

const (
	// cycleMax bounds the length of a precomputed cycle; larger weights are scaled
	// down to it, each server keeping at least one place.
	cycleMax = 4096
	// probesMax is how many places a pick advances the shared position over members
	// that cannot take the request, before it scans the set.
	probesMax = 32
)

// roundRobin is nginx's smooth weighted round robin, the default policy: with weights
// 5, 1, 1 the order is a a b a c a a. The order repeats after as many picks as the
// weights sum up to, so it is computed once, and a pick is one step of one shared
// position: all shards together stay even. (nginx also lowers a failing server's
// weight until as many requests were served as it is heavy; here a failed attempt only
// counts towards max_fails.)
type roundRobin struct {
	cycle []uint16 // member indexes

	_        linePad
	position atomic.Uint64
	_        linePad
}

func newRoundRobin(members []member) *roundRobin {
	return &roundRobin{cycle: smoothCycle(cycleWeights(members))}
}

// next takes the members in the order of the cycle. A member that cannot take the
// request uses its place up, which leaves the others with their proportions.
func (rr *roundRobin) next(s *set, c *Choice, nowMs int64) int {
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

// step moves the shared position on and returns the member that stood there. There must be one.
func (rr *roundRobin) step() int {
	return int(rr.cycle[(rr.position.Add(1)-1)%uint64(len(rr.cycle))])
}

// round is what every policy has: it is or has a round robin.
func (rr *roundRobin) round() *roundRobin { return rr }

// resume goes on where the policy before was, so that changing servers does not favour the
// first.
func (rr *roundRobin) resume(before policy) {
	if b, ok := before.(interface{ round() *roundRobin }); ok {
		rr.position.Store(b.round().position.Load())
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
