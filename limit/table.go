package limit

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"sync"

	"github.com/cespare/xxhash/v2"
)

const (
	partBits  = 6
	partCount = 1 << partBits
	// partSize is how much of a zone's size is worth a part of its own, in bytes.
	partSize = 64 << 10

	slotBits = 28
	slotsMax = 1 << slotBits
	none     = ^uint32(0)

	// inlineKey is how long a key may be that its entry holds itself: as long as any address.
	inlineKey = 46
	// longKept is how much memory for a long key a free entry keeps, in bytes.
	longKept = 256
)

// What nginx's zones are made of, in bytes: a zone here shall hold as many keys as there.
const (
	pageSize   = 4096
	pageHeader = 24
	poolHeader = 704
)

// zoneBytes is what a zone of nginx with that size has for its entries.
func zoneBytes(size int64) int64 {
	return max(size-poolHeader, 0) / (pageSize + pageHeader) * pageSize
}

// entryBytes is what n bytes take of a zone: the next power of two, or whole pages.
func entryBytes(n int) int64 {
	if n > pageSize/2 {
		return int64((n + pageSize - 1) / pageSize * pageSize)
	}
	return 1 << bits.Len(uint(n-1))
}

// part is one of the tables that a zone is made of: a key is in the part that its hash says.
type part struct {
	mu sync.Mutex
	table
	_ [24]byte // parts don't share cache lines
}

// parts are the parts of a zone; their number is a power of two.
type parts []part

// newParts makes the parts of a zone of that size in bytes. overhead is what an entry takes
// beside its key in nginx.
func newParts(size int64, overhead int) parts {
	n := 1
	for n < partCount && int64(2*n)*partSize <= size {
		n *= 2
	}
	ps := make(parts, n)
	for i := range ps {
		t := &ps[i].table
		t.free, t.oldest, t.newest = none, none, none
		t.most, t.overhead = zoneBytes(size)/int64(n), overhead
		t.heads = emptyHeads(8)
	}
	return ps
}

// of is the number of the part with the keys of that hash.
func (ps parts) of(hash uint64) uint32 { return uint32(hash) & uint32(len(ps)-1) }

func (ps parts) used() (n int) {
	for i := range ps {
		p := &ps[i]
		p.mu.Lock()
		n += p.table.used
		p.mu.Unlock()
	}
	return n
}

// entry is what is known of a key. It is free if size is 0.
type entry struct {
	hash   uint64
	lastMs int64  // RateZone: when excess was right
	excess int64  // RateZone: what is in the bucket, in thousandths of a request
	count  uint32 // Zone: connections; RateZone: trials under way
	chain  uint32 // the next with the same head, or the next free one
	older  uint32
	newer  uint32
	size   uint16 // of the key
	key    [inlineKey]byte
}

// table finds entries by key and knows in which order they were touched.
type table struct {
	heads          []uint32 // chains of entries by hash; the length is a power of two
	entries        []entry
	long           [][]byte // keys that their entry can't hold, by entry; shorter than entries
	oldest, newest uint32
	free           uint32 // the first of a chain of free entries
	used           int    // entries in use
	overhead       int
	bytes, most    int64 // what the entries in use take, and may take
}

func emptyHeads(n int) []uint32 {
	heads := make([]uint32, n)
	for i := range heads {
		heads[i] = none
	}
	return heads
}

// Both seeds are of this process alone, so that nobody can choose keys that all meet in one part
// or one chain. That of xxhash is no secret to who finds keys with one hash under any seed, which
// is why chains go by another hash.
var (
	partSeed  = rand.Uint64()
	chainSeed = maphash.MakeSeed()
)

// hashOf is a key's hash: its lowest bits say in which part it is, the others in which chain.
func hashOf(key []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(partSeed)
	_, _ = d.Write(key) // never fails
	return d.Sum64()&(partCount-1) | maphash.Bytes(chainSeed, key)&^(partCount-1)
}

func (t *table) head(hash uint64) *uint32 { return &t.heads[hash>>partBits&uint64(len(t.heads)-1)] }

func (t *table) keyOf(at uint32) []byte {
	e := &t.entries[at]
	if int(e.size) <= inlineKey {
		return e.key[:e.size]
	}
	return t.long[at]
}

func (t *table) find(key []byte, hash uint64) uint32 {
	for at := *t.head(hash); at != none; at = t.entries[at].chain {
		if t.entries[at].hash == hash && string(t.keyOf(at)) == string(key) {
			return at
		}
	}
	return none
}

// fits reports whether there is room for one key more.
func (t *table) fits(key []byte) bool {
	return t.used < slotsMax && t.bytes+entryBytes(t.overhead+len(key)) <= t.most
}

// add makes an entry for a key that has none, as the newest.
func (t *table) add(key []byte, hash uint64) (at uint32) {
	if t.used == len(t.heads) {
		t.grow()
	}
	if at = t.free; at != none {
		t.free = t.entries[at].chain
	} else {
		at = uint32(len(t.entries))
		t.entries = append(t.entries, entry{})
	}
	head := t.head(hash)
	e := &t.entries[at]
	*e = entry{hash: hash, chain: *head, size: uint16(len(key))}
	if len(key) <= inlineKey {
		copy(e.key[:], key)
	} else {
		for len(t.long) <= int(at) {
			t.long = append(t.long, nil)
		}
		t.long[at] = append(t.long[at][:0], key...)
	}
	*head = at
	t.link(at)
	t.used++
	t.bytes += entryBytes(t.overhead + len(key))
	return at
}

// remove frees an entry.
func (t *table) remove(at uint32) {
	e := &t.entries[at]
	link := t.head(e.hash)
	for *link != at {
		link = &t.entries[*link].chain
	}
	*link = e.chain
	t.unlink(at)
	t.used--
	t.bytes -= entryBytes(t.overhead + int(e.size))
	if int(at) < len(t.long) && cap(t.long[at]) > longKept {
		t.long[at] = nil
	}
	e.size, e.chain, t.free = 0, t.free, at
}

// link makes an entry the newest.
func (t *table) link(at uint32) {
	e := &t.entries[at]
	e.older, e.newer = t.newest, none
	if t.newest != none {
		t.entries[t.newest].newer = at
	} else {
		t.oldest = at
	}
	t.newest = at
}

func (t *table) unlink(at uint32) {
	e := &t.entries[at]
	if e.older != none {
		t.entries[e.older].newer = e.newer
	} else {
		t.oldest = e.newer
	}
	if e.newer != none {
		t.entries[e.newer].older = e.older
	} else {
		t.newest = e.older
	}
}

// touch makes an entry the newest again.
func (t *table) touch(at uint32) {
	if t.newest != at {
		t.unlink(at)
		t.link(at)
	}
}

// grow doubles the chains.
func (t *table) grow() {
	t.heads = emptyHeads(2 * len(t.heads))
	for at := range t.entries {
		e := &t.entries[at]
		if e.size > 0 {
			head := t.head(e.hash)
			e.chain, *head = *head, uint32(at)
		}
	}
}
