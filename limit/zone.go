package limit

// KeyMax is the longest key of a Zone in bytes.
const KeyMax = 255

// connOverhead is what nginx takes for a key beside its bytes.
const connOverhead = 36

// Zone is a table of counts by key (limit_conn_zone). It belongs to the Zones that opened it
// and is safe for every shard at once. An entry lives while its count is above zero: nothing
// is given up for a new key.
type Zone struct {
	Stats Stats

	identity
	id    uint32
	parts parts
}

// Taken is what came of the wish to count one more.
type Taken uint8

// The values of Taken.
const (
	Counted Taken = iota // it is counted
	Reached              // its key has its limit already
	Full                 // the key is new, and there is no room for it
)

// Acquire counts one more for key, whose bytes are copied. Unless that is Counted nothing is
// counted. A key must have 1 to KeyMax bytes; others are refused as Full.
func (z *Zone) Acquire(key []byte, limit uint32) (Ref, Taken) {
	if len(key) == 0 || len(key) > KeyMax {
		return 0, Full
	}
	hash := hashOf(key)
	number := z.parts.of(hash)
	p := &z.parts[number]
	p.mu.Lock()
	at, taken := p.acquire(key, hash, limit)
	p.mu.Unlock()
	if taken != Counted {
		return 0, taken
	}
	return newRef(z.id, number, at), Counted
}

func (t *table) acquire(key []byte, hash uint64, limit uint32) (at uint32, taken Taken) {
	switch at = t.find(key, hash); {
	case at != none && t.entries[at].count >= limit, limit == 0:
		return none, Reached
	case at == none && !t.fits(key):
		return none, Full
	case at == none:
		at = t.add(key, hash)
	}
	t.entries[at].count++
	return at, Counted
}

func (z *Zone) release(number, at uint32) {
	p := &z.parts[number]
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &p.entries[at]
	if e.count--; e.count == 0 {
		p.remove(at)
	}
}

// Len is the number of keys in the table. It takes every lock in turn: not for a shard's
// thread.
func (z *Zone) Len() int { return z.parts.used() }
