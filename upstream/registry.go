// Package upstream holds the groups of servers that requests are passed to: their
// peers, the choice among them (one file for each policy), and their passive
// failure state. Pick, Fail, OK and ByID are for shards: no lock, no allocation.
package upstream

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// sweepMin is how many peers a registry holds before it looks for unused ones.
const sweepMin = 64

// Registry interns peers by group name and address for the life of the process. It
// grows with the peers that are in use, not with the number of reloads. The zero
// value is not ready; use NewRegistry.
type Registry struct {
	mu    sync.Mutex
	byKey map[peerKey]*Peer
	free  []uint32 // IDs below len(slots) that no peer has
	// sweepAt is the number of peers at which the next sweep pays: twice what the
	// last one left, so a rebuild of many groups does not sweep for each of them.
	sweepAt int

	// slots[id] is the peer. A grown copy replaces it; an ID is known to a reader
	// only after the copy that holds it was stored.
	slots atomic.Pointer[[]atomic.Pointer[Peer]]
}

type peerKey struct{ group, name string }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	r := &Registry{byKey: map[peerKey]*Peer{}, sweepAt: sweepMin}
	slots := make([]atomic.Pointer[Peer], 1, sweepMin) // ID 0 stays empty
	r.slots.Store(&slots)
	return r
}

// ByID returns the peer with that ID, or nil if there is none. See Peer.ID for how
// long an ID stays good.
func (r *Registry) ByID(id uint32) *Peer {
	slots := *r.slots.Load()
	if int(id) >= len(slots) {
		return nil
	}
	return slots[id].Load()
}

// AppendPeers appends every peer that a group or a live connection uses, in the
// order of their IDs. It takes the registry's lock: not for a shard's thread.
func (r *Registry) AppendPeers(dst []*Peer) []*Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	slots := *r.slots.Load()
	for id := range slots {
		if p := slots[id].Load(); p != nil && p.live() {
			dst = append(dst, p)
		}
	}
	return dst
}

// intern returns the peers of the servers, in order, and counts a group for each.
func (r *Registry) intern(group string, servers []ServerSpec) []*Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	peers := make([]*Peer, len(servers))
	known := slices.ContainsFunc(servers, func(s ServerSpec) bool { return r.byKey[peerKey{group, s.Name}] != nil })
	for i := range servers {
		s := &servers[i]
		key := peerKey{group, s.Name}
		p := r.byKey[key]
		if p == nil || p.Addr != s.Addr || p.Unix != s.Unix {
			p = r.add(key, s)
			if known { // it joins others that are there already
				p.risesMs.Store(-1)
			}
		}
		p.groups.Add(1)
		peers[i] = p
	}
	if r.interned() >= r.sweepAt {
		r.sweep()
	}
	return peers
}

// interned is the number of peers that have an ID.
func (r *Registry) interned() int { return len(*r.slots.Load()) - 1 - len(r.free) }

// add makes a peer. The strings are copied: they often are parts of a whole
// configuration file, which a peer must not keep in memory.
func (r *Registry) add(key peerKey, s *ServerSpec) *Peer {
	name := strings.Clone(key.name)
	p := &Peer{Group: strings.Clone(key.group), Name: name, Addr: s.Addr, Unix: strings.Clone(s.Unix)}
	slots := *r.slots.Load()
	if n := len(r.free); n > 0 {
		p.ID = r.free[n-1]
		r.free = r.free[:n-1]
	} else {
		p.ID = uint32(len(slots))
		slots = grown(slots)
	}
	slots[p.ID].Store(p)
	r.slots.Store(&slots)
	r.byKey[peerKey{p.Group, name}] = p
	return p
}

// grown returns slots with one more empty slot, in the same array if it has room.
// A reader of the shorter slice never looks at the new slot.
func grown(slots []atomic.Pointer[Peer]) []atomic.Pointer[Peer] {
	if len(slots) < cap(slots) {
		return slots[:len(slots)+1]
	}
	larger := make([]atomic.Pointer[Peer], len(slots)+1, 2*len(slots))
	for i := range slots {
		larger[i].Store(slots[i].Load())
	}
	return larger
}

// sweep forgets the peers that nothing can name any more.
func (r *Registry) sweep() {
	slots := *r.slots.Load()
	for id := range slots {
		p := slots[id].Load()
		if p == nil || p.live() {
			continue
		}
		slots[id].Store(nil)
		r.free = append(r.free, uint32(id))
		if key := (peerKey{p.Group, p.Name}); r.byKey[key] == p {
			delete(r.byKey, key)
		}
	}
	r.sweepAt = max(2*r.interned(), sweepMin)
}
