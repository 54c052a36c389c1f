package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
)

// What a group uses where the configuration says nothing.
const (
	DefaultMaxFails           = 1      // max_fails
	DefaultFailTimeoutMs      = 10_000 // fail_timeout
	DefaultKeepalive          = 32     // keepalive
	DefaultKeepaliveRequests  = 1000   // keepalive_requests
	DefaultKeepaliveTimeoutMs = 60_000 // keepalive_timeout of an upstream block

	// PeersMax bounds the servers of one group.
	PeersMax = 4096
	// WeightMax bounds the weight of one server.
	WeightMax = 1 << 20
)

// GroupSpec describes a group: an upstream block, or a proxy_pass with an address,
// which is a group of one server. Every value is taken as it is.
type GroupSpec struct {
	Name    string
	Servers []ServerSpec

	Keepalive          int   // idle connections a shard keeps; 0: none
	KeepaliveRequests  int   // requests on one connection
	KeepaliveTimeoutMs int64 // how long a connection may idle
	KeepaliveTimeMs    int64 // how long a connection may carry new requests; 0: no limit
}

// ServerSpec is one address of a group (a server directive of an upstream block; one
// for each address its name resolves to).
type ServerSpec struct {
	Name          string         // as logged: "127.0.0.1:8080" or "unix:/path"
	Addr          netip.AddrPort // for TCP
	Unix          string         // path of a unix socket; then Addr is not valid
	Weight        int            // at least 1
	MaxFails      int            // 0: never unavailable
	FailTimeoutMs int64
	Down, Backup  bool
}

// Group is a set of peers and the way to choose one. It does not change after
// NewGroup but for its counters and position, and is safe for every shard at once.
type Group struct {
	Name               string
	Keepalive          int   // idle connections a shard keeps; 0: none
	KeepaliveRequests  int   // requests on one connection
	KeepaliveTimeoutMs int64 // how long a connection may idle
	KeepaliveTimeMs    int64 // how long a connection may carry new requests; 0: no limit

	primary, backup set
	// single: one server and no backup. nginx then ignores max_fails, because
	// declaring the only server dead helps nobody.
	single bool
}

// set is the primary or the backup servers of a group.
type set struct {
	members []member
	policy  policy
	single  bool
}

// member is a peer with what this generation of the configuration says about it.
type member struct {
	peer          *Peer
	weight        int
	maxFails      int32
	down          bool
	failTimeoutMs int64
}

// NewGroup builds a group and interns its peers in reg. The peers keep their IDs as
// long as the group is reachable: a request that uses a peer holds the group until
// it has counted itself in Peer.Connections or Peer.Tunnels.
//
// A server that stands twice in the list with the same address is one peer with the
// sum of the weights; if it is primary and backup, the backup entry is dropped.
func NewGroup(reg *Registry, spec GroupSpec) (*Group, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("upstream %q: %w", spec.Name, err)
	}
	servers := merged(spec.Servers)
	peers := reg.intern(spec.Name, servers)
	g := &Group{
		Name:               strings.Clone(spec.Name),
		Keepalive:          spec.Keepalive,
		KeepaliveRequests:  spec.KeepaliveRequests,
		KeepaliveTimeoutMs: spec.KeepaliveTimeoutMs,
		KeepaliveTimeMs:    spec.KeepaliveTimeMs,
		single:             len(servers) == 1,
	}
	for i := range servers {
		s := &servers[i]
		to := &g.primary
		if s.Backup {
			to = &g.backup
		}
		to.members = append(to.members, member{
			peer: peers[i], weight: s.Weight, maxFails: int32(s.MaxFails),
			failTimeoutMs: s.FailTimeoutMs, down: s.Down,
		})
	}
	g.primary.single = g.single
	g.primary.policy = newRoundRobin(g.primary.members)
	g.backup.policy = newRoundRobin(g.backup.members)
	// Requests in flight keep an old generation's groups reachable, and nobody
	// counts them; the collector knows when the last one has ended.
	runtime.AddCleanup(g, func(peers []*Peer) {
		for _, p := range peers {
			p.groups.Add(-1)
		}
	}, peers)
	return g, nil
}

func (s *GroupSpec) validate() error {
	primaries := 0
	for i := range s.Servers {
		server := &s.Servers[i]
		if err := server.validate(); err != nil {
			return fmt.Errorf("server %q: %w", server.Name, err)
		}
		if !server.Backup {
			primaries++
		}
	}
	switch {
	case len(s.Servers) > PeersMax:
		return fmt.Errorf("%d servers, at most %d are supported", len(s.Servers), PeersMax)
	case primaries == 0:
		return errors.New("no servers are inside upstream")
	case s.Keepalive < 0 || s.KeepaliveRequests < 0 || s.KeepaliveTimeoutMs < 0:
		return errors.New("negative keepalive setting")
	}
	return nil
}

func (s *ServerSpec) validate() error {
	switch {
	case s.Name == "":
		return errors.New("no name")
	case s.Addr.IsValid() == (s.Unix != ""):
		return errors.New("needs either an address with a port or the path of a unix socket")
	case s.Addr.IsValid() && s.Addr.Port() == 0:
		return errors.New("port 0")
	case s.Weight < 1 || s.Weight > WeightMax:
		return fmt.Errorf("weight=%d, must be 1 to %d", s.Weight, WeightMax)
	case s.MaxFails < 0 || s.MaxFails > 1<<30:
		return fmt.Errorf("max_fails=%d, must be 0 to %d", s.MaxFails, 1<<30)
	case s.FailTimeoutMs < 0:
		return errors.New("negative fail_timeout")
	}
	return nil
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
		case result[at].Down:
			result[at] = s
		case !s.Down:
			result[at].Weight += s.Weight
		}
	}
	return result
}

// AppendPeers appends the group's peers to dst: the primaries, then the backups.
func (g *Group) AppendPeers(dst []*Peer) []*Peer {
	for _, s := range []*set{&g.primary, &g.backup} {
		for i := range s.members {
			dst = append(dst, s.members[i].peer)
		}
	}
	return dst
}

// member finds p in the group, or nil. A scan: it serves failures and status pages.
func (g *Group) member(p *Peer) *member {
	for _, s := range []*set{&g.primary, &g.backup} {
		for i := range s.members {
			if s.members[i].peer == p {
				return &s.members[i]
			}
		}
	}
	return nil
}
