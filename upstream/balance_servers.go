package upstream

import (
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
)

// servers are the members of a group at one time: immutable, like all that hangs from them but
// for the policies' positions and the peers.
type servers struct {
	primary, backup set
	// single: one server and no backup. nginx then ignores max_fails, because
	// declaring the only server dead helps nobody.
	single bool
	// generation is not that of any other servers, of any group.
	generation uint32
	peers      []*Peer
	inUse      int       // servers that are not marked down
	stickies   *stickies // nil unless the group is sticky
}

// generations counts all servers ever made. Choices tell by it what their bits speak of.
var generations atomic.Uint32

// set is the primary or the backup servers of a group.
type set struct {
	members []member
	policy  policy
	single  bool
	slow    bool // some member has slow_start
	timed   bool // answers are timed
}

// member is a peer with what this generation of the configuration says about it.
type member struct {
	peer          *Peer
	server        string // as written in the configuration
	route         string // what sticky calls it
	weight        int
	maxConns      int64 // 0: no limit
	maxFails      int32
	down, drain   bool
	mandatory     bool // gets no requests before health checks have seen it
	failTimeoutMs int64
	slowMs        int64
}

// full tells whether the member has as many requests and tunnels as it may (max_conns).
func (m *member) full() bool { return m.maxConns > 0 && m.peer.Active.Load() >= m.maxConns }

// newServers interns the peers of the servers. before are those that are replaced, or nil.
func (g *Group) newServers(list []ServerSpec, before *servers) *servers {
	list = merged(list)
	v := &servers{
		single: len(list) == 1, generation: generations.Add(1), peers: g.registry.intern(g.Name, list),
	}
	for v.generation == 0 { // the one of a Choice that has tried nothing
		v.generation = generations.Add(1)
	}
	for i := range list {
		s := &list[i]
		to := &v.primary
		if s.Backup {
			to = &v.backup
		}
		to.members = append(to.members, newMember(v.peers[i], s))
		to.members[len(to.members)-1].mandatory = g.mandatory
		to.slow = to.slow || s.SlowStartMs > 0
		if !s.Down {
			v.inUse++
		}
	}
	var primary, backup *set
	if before != nil {
		primary, backup = &before.primary, &before.backup
	}
	v.primary.policy = g.balance.newPolicy(v.primary.members, primary)
	v.backup.policy = g.balance.backupPolicy(v.backup.members, backup)
	v.primary.single = v.single
	v.primary.timed, v.backup.timed = g.timed, g.timed
	if g.sticky {
		v.stickies = newStickies(v)
	}
	// Requests in flight keep an old generation's servers reachable, and nobody
	// counts them; the collector knows when the last one has ended.
	runtime.AddCleanup(v, func(peers []*Peer) {
		for _, p := range peers {
			p.groups.Add(-1)
		}
	}, v.peers)
	return v
}

func newMember(p *Peer, s *ServerSpec) member {
	server := s.Server
	if server == "" {
		server = s.Name
	}
	return member{
		peer: p, server: strings.Clone(server), route: strings.Clone(s.Route), weight: s.Weight,
		maxConns: int64(s.MaxConns), maxFails: int32(s.MaxFails), failTimeoutMs: s.FailTimeoutMs,
		slowMs: s.SlowStartMs, down: s.Down, drain: s.Drain,
	}
}

// SetServers replaces the servers of the group at once for all shards. Peers that stay keep
// their counters and their state; gone are those that are no longer chosen from now on, with
// the tunnels and requests they have. There may be none left. With an error nothing has
// changed. It is for no shard's thread; several callers are fine.
func (g *Group) SetServers(list []ServerSpec) (gone []*Peer, err error) {
	if err := g.balance.validate(list); err != nil {
		return nil, err
	}
	g.changing.Lock()
	defer g.changing.Unlock()
	before := g.servers.Load()
	after := g.newServers(list, before)
	g.servers.Store(after)
	if g.watcher != nil {
		g.watcher()
	}
	for _, p := range before.peers {
		if after.member(p) == nil {
			gone = append(gone, p)
		}
	}
	return gone, nil
}

// merged returns the servers with each address once.
func merged(servers []ServerSpec) []ServerSpec {
	type address struct {
		addr netip.AddrPort
		unix string
	}
	seen := make(map[address]int, len(servers))
	result := make([]ServerSpec, 0, len(servers))
	for _, s := range servers {
		key := address{s.Addr, s.Unix}
		at, again := seen[key]
		switch {
		case !again:
			seen[key] = len(result)
			result = append(result, s)
		case result[at].Backup != s.Backup:
			if !s.Backup {
				result[at] = s
			}
		case result[at].Down && !s.Down:
			result[at] = s
		case result[at].Down == s.Down:
			result[at].Weight += s.Weight
		}
	}
	return result
}

// Len is how many servers a request may try: all that are not marked down, the backups among
// them.
func (g *Group) Len() int {
	if v := g.servers.Load(); v != nil {
		return v.inUse
	}
	return 0
}

// AppendPeers appends the group's peers to dst: the primaries, then the backups.
func (g *Group) AppendPeers(dst []*Peer) []*Peer {
	v := g.servers.Load()
	if v == nil {
		return dst
	}
	for _, s := range [...]*set{&v.primary, &v.backup} {
		for i := range s.members {
			dst = append(dst, s.members[i].peer)
		}
	}
	return dst
}

// find looks p up: the set and the place in it, or nil. A scan: it serves failures and status
// pages.
func (v *servers) find(p *Peer) (s *set, at int) {
	for _, s := range [...]*set{&v.primary, &v.backup} {
		for i := range s.members {
			if s.members[i].peer == p {
				return s, i
			}
		}
	}
	return nil, -1
}

// member is what the servers say about p, nil if it is none of them.
func (v *servers) member(p *Peer) *member {
	s, at := v.find(p)
	if s == nil {
		return nil
	}
	return &s.members[at]
}
