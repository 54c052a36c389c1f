package upstream

// Method is a way to choose among the servers of a group.
type Method uint8

// The methods, by their directives in an upstream block.
const (
	RoundRobin     Method = iota // weighted, smooth: the default
	LeastConn                    // least_conn
	LeastTime                    // least_time
	IPHash                       // ip_hash
	Hash                         // hash key
	ConsistentHash               // hash key consistent
	Random                       // random
	RandomTwo                    // random two
)

// By is what LeastTime and RandomTwo compare.
type By uint8

// What is compared.
const (
	ByConns    By = iota // Peer.Active
	ByHeader             // the average time to an answer's head, times the requests in progress
	ByLastByte           // the same to its last byte
)

// Balance is how a group chooses.
type Balance struct {
	Method Method
	// By is for LeastTime and RandomTwo.
	By By
	// Inflight has an answer that is outstanding count with the time that it has taken so far
	// (least_time … inflight).
	Inflight bool
}

// Want is what a group needs in Choice.Key.
type Want uint8

// The wants.
const (
	WantsNothing Want = iota
	WantsKey          // HashKey of the rendered key
	WantsAddress      // AddressKey of the client's address
)

// Wants tells what Choice.Key has to hold before the first Pick of a request.
func (g *Group) Wants() Want {
	switch g.balance.Method {
	case IPHash:
		return WantsAddress
	case Hash, ConsistentHash:
		return WantsKey
	}
	return WantsNothing
}

// newPolicy makes the policy of the primaries. before are those that they replace, or nil.
func (b Balance) newPolicy(members []member, before *set) policy {
	rr := newRoundRobin(members)
	rr.resume(members, before)
	switch b.Method {
	case LeastConn, LeastTime:
		return &least{roundRobin: rr, Balance: b}
	case IPHash:
		return &ipHash{roundRobin: rr, ranges: newRanges(members)}
	case Hash:
		return &keyHash{roundRobin: rr, ranges: newRanges(members)}
	case ConsistentHash:
		return newConsistent(rr, members)
	case Random:
		return &random{roundRobin: rr, ranges: newRanges(members)}
	case RandomTwo:
		return &randomTwo{roundRobin: rr, Balance: b, ranges: newRanges(members)}
	}
	return rr
}

// backupPolicy is that of the backups: round robin where the method looks at something that
// only holds for the primaries, as in nginx.
func (b Balance) backupPolicy(members []member, before *set) policy {
	if b.Method != LeastConn && b.Method != LeastTime {
		b = Balance{}
	}
	return b.newPolicy(members, before)
}

// ranges finds a member by a number below the sum of all weights: the heavier, the likelier.
type ranges struct {
	ends []uint64 // for each member, where its numbers end
}

func newRanges(members []member) ranges {
	r := ranges{ends: make([]uint64, len(members))}
	var sum uint64
	for i := range members {
		sum += uint64(members[i].weight)
		r.ends[i] = sum
	}
	return r
}

// total is the sum of all weights, 0 without members.
func (r *ranges) total() uint64 {
	if len(r.ends) == 0 {
		return 0
	}
	return r.ends[len(r.ends)-1]
}

// at is the member that has the number, which is below the total.
func (r *ranges) at(number uint64) int {
	low, high := 0, len(r.ends)-1
	for low < high {
		if middle := (low + high) / 2; number < r.ends[middle] {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}
