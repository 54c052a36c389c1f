package limit

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
)

// zonesMax is how many zones a process may open over its life: their number is a part of
// every Ref.
const zonesMax = 1 << 16

// Ref is one count in one zone, held until it is given back to Zones.Release. The zero
// value holds nothing. It is no pointer: whoever holds it may live for months, and outlive
// the configuration that opened the zone.
type Ref uint64

func newRef(zone, part, slot uint32) Ref {
	return Ref(1)<<63 | Ref(zone)<<(partBits+slotBits) | Ref(part)<<slotBits | Ref(slot)
}

func (r Ref) zone() uint32 { return uint32(r &^ (1 << 63) >> (partBits + slotBits)) }
func (r Ref) part() uint32 { return uint32(r>>slotBits) & (partCount - 1) }
func (r Ref) slot() uint32 { return uint32(r) & (slotsMax - 1) }

// identity tells zones apart.
type identity struct {
	name, key string
	size      int64
}

// Name is the zone's name.
func (i *identity) Name() string { return i.name }

// Key is the text whose value is a key of the zone.
func (i *identity) Key() string { return i.key }

func newIdentity(name, key string, size int64) identity {
	return identity{strings.Clone(name), strings.Clone(key), size}
}

// Zones are the zones of a process, over all its configurations. The zero value is ready.
type Zones struct {
	mu    sync.Mutex
	list  atomic.Pointer[[]*Zone]
	rates []*RateZone
}

// Open returns the zone of connections with that name, text of the key and size in bytes: the
// one that an earlier configuration opened, with its counts, or a new one. A size of 10 MiB
// holds about 160,000 addresses. Not for a shard's thread.
func (zs *Zones) Open(name, key string, size int64) (*Zone, error) {
	zs.mu.Lock()
	defer zs.mu.Unlock()
	var list []*Zone
	if l := zs.list.Load(); l != nil {
		list = *l
	}
	id := newIdentity(name, key, size)
	for _, z := range list {
		if z.identity == id {
			return z, nil
		}
	}
	if len(list) == zonesMax {
		return nil, errors.New("too many different zones have been in use since the start")
	}
	z := &Zone{identity: id, id: uint32(len(list)), parts: newParts(size, connOverhead)}
	grown := append(list[:len(list):len(list)], z)
	zs.list.Store(&grown)
	return z, nil
}

// OpenRate is Open for a zone of rates. 10 MiB hold about 80,000 addresses.
func (zs *Zones) OpenRate(name, key string, size int64) *RateZone {
	zs.mu.Lock()
	defer zs.mu.Unlock()
	id := newIdentity(name, key, size)
	for _, z := range zs.rates {
		if z.identity == id {
			return z
		}
	}
	z := &RateZone{identity: id, parts: newParts(size, rateOverhead)}
	zs.rates = append(zs.rates, z)
	return z
}

// Release gives back what Acquire counted. The zero Ref is ignored. A Ref must be given
// back once.
func (zs *Zones) Release(ref Ref) {
	if ref == 0 {
		return
	}
	(*zs.list.Load())[ref.zone()].release(ref.part(), ref.slot())
}
