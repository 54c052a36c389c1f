package limit

import (
	"sync"

	"github.com/cespare/xxhash/v2"
)

const (
	// KeyMax is the longest key in bytes.
	KeyMax = 255

	partBits  = 6
	partCount = 1 << partBits
	// entryCost is what an entry counts as beside its key, in bytes, so that a size of nginx's
	// holds about as many entries here: there an address takes 64 bytes or 128.
	entryCost = 56
	slotBits  = 28
	slotsMax  = 1 << slotBits
	none      = ^uint32(0)
)

// Zone is a table of counts by key. It belongs to the Zones that opened it and is safe for
// every shard at once. An entry lives while its count is above zero.
type Zone struct {
	name  string
	size  int64
	id    uint32
	parts [partCount]part
}

// part is one of the tables that a zone is made of: a key is in the part that its hash says.
type part struct {
	mu      sync.Mutex
	heads   []uint32 // chains of entries by hash; the length is a power of two
	entries []entry
	keys    [][]byte // by entry; a freed entry keeps its key's memory
	free    uint32   // the first of a chain of free entries
	used    int      // entries in use
	bytes   int64    // what the entries in use count as
	most    int64
	_       [24]byte // parts don't share cache lines
}

// entry is a key's count, or free if the count is 0.
type entry struct {
	hash  uint64
	next  uint32
	count uint32
}

func newZone(id uint32, name string, size int64) *Zone {
	z := &Zone{name: name, size: size, id: id}
	for i := range z.parts {
		p := &z.parts[i]
		p.free, p.most = none, size/partCount
		p.heads = emptyHeads(8)
	}
	return z
}

func emptyHeads(n int) []uint32 {
	heads := make([]uint32, n)
	for i := range heads {
		heads[i] = none
	}
	return heads
}

// Acquire counts one more for key, whose bytes are copied. ok is false, and nothing is
// counted, if the key has limit already, or if it is new and the table is full, as in nginx.
// A key must have 1 to KeyMax bytes; others are refused.
func (z *Zone) Acquire(key []byte, limit uint32) (ref Ref, ok bool) {
	if len(key) == 0 || len(key) > KeyMax {
		return 0, false
	}
	hash := xxhash.Sum64(key)
	number := uint32(hash & (partCount - 1))
	p := &z.parts[number]
	p.mu.Lock()
	at, ok := p.acquire(key, hash, limit)
	p.mu.Unlock()
	if !ok {
		return 0, false
	}
	return newRef(z.id, number, at), true
}

func (p *part) acquire(key []byte, hash uint64, limit uint32) (at uint32, ok bool) {
	if at = p.find(key, hash); at != none {
		e := &p.entries[at]
		if e.count >= limit {
			return 0, false
		}
		e.count++
		return at, true
	}
	cost := int64(len(key) + entryCost)
	if limit == 0 || p.bytes+cost > p.most || p.used >= slotsMax {
		return 0, false
	}
	at = p.add(key, hash)
	p.bytes += cost
	return at, true
}

func (p *part) head(hash uint64) *uint32 { return &p.heads[hash>>partBits&uint64(len(p.heads)-1)] }

func (p *part) find(key []byte, hash uint64) uint32 {
	for at := *p.head(hash); at != none; at = p.entries[at].next {
		if p.entries[at].hash == hash && string(p.keys[at]) == string(key) {
			return at
		}
	}
	return none
}

// add makes an entry with the count 1.
func (p *part) add(key []byte, hash uint64) (at uint32) {
	if p.used == len(p.heads) {
		p.grow()
	}
	if at = p.free; at != none {
		p.free = p.entries[at].next
	} else {
		at = uint32(len(p.entries))
		p.entries = append(p.entries, entry{})
		p.keys = append(p.keys, nil)
	}
	p.keys[at] = append(p.keys[at][:0], key...)
	head := p.head(hash)
	p.entries[at] = entry{hash: hash, next: *head, count: 1}
	*head = at
	p.used++
	return at
}

// grow doubles the chains.
func (p *part) grow() {
	p.heads = emptyHeads(2 * len(p.heads))
	for at := range p.entries {
		e := &p.entries[at]
		if e.count > 0 {
			head := p.head(e.hash)
			e.next, *head = *head, uint32(at)
		}
	}
}

func (z *Zone) release(number, at uint32) {
	p := &z.parts[number]
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &p.entries[at]
	if e.count--; e.count > 0 {
		return
	}
	link := p.head(e.hash)
	for *link != at {
		link = &p.entries[*link].next
	}
	*link = e.next
	p.bytes -= int64(len(p.keys[at]) + entryCost)
	e.next, p.free = p.free, at
	p.used--
}

// Len is the number of keys in the table. It takes every lock in turn: not for a shard's
// thread.
func (z *Zone) Len() int {
	n := 0
	for i := range z.parts {
		p := &z.parts[i]
		p.mu.Lock()
		n += p.used
		p.mu.Unlock()
	}
	return n
}

// Name is the zone's name.
func (z *Zone) Name() string { return z.name }
