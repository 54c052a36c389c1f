package upstream

import (
	"strings"
	"sync"
	"sync/atomic"
)

// StickyStats counts what sticky said about requests for one upstream.
type StickyStats struct {
	Hits   atomic.Uint64 // went to the server that they were bound to
	Misses atomic.Uint64 // brought something, and went to another server
	New    atomic.Uint64 // brought nothing
}

// StickyStore has what sticky keeps for the life of a process, over all its configurations. The
// zero value is ready. It is for no shard's thread.
type StickyStore struct {
	mu    sync.Mutex
	zones []*Sessions
	stats map[string]*StickyStats
}

// Open returns the zone of sessions with that name and size in bytes of an upstream: the one that
// an earlier configuration opened, with what it has learned, or a new one.
func (st *StickyStore) Open(name, group string, size int64) *Sessions {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, z := range st.zones {
		if z.name == name && z.group == group && z.size == size {
			return z
		}
	}
	z := newSessions(strings.Clone(name), strings.Clone(group), size)
	st.zones = append(st.zones, z)
	return z
}

// Stats are the counts of an upstream.
func (st *StickyStore) Stats(group string) *StickyStats {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.stats[group]
	if s == nil {
		if st.stats == nil {
			st.stats = map[string]*StickyStats{}
		}
		s = &StickyStats{}
		st.stats[strings.Clone(group)] = s
	}
	return s
}
