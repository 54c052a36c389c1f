package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	Number  int // Group.Number
	Servers []ServerSpec
	Balance Balance
	// Mandatory keeps requests from servers that no health check has seen (health_check …
	// mandatory).
	Mandatory bool
	// Resolved allows a group without servers: they come by SetServers.
	Resolved bool
	// Sticky gives servers the names that Group.Bind knows them by.
	Sticky bool

	Keepalive          int   // idle connections a shard keeps; 0: none
	KeepaliveRequests  int   // requests on one connection
	KeepaliveTimeoutMs int64 // how long a connection may idle
	KeepaliveTimeMs    int64 // how long a connection may carry new requests; 0: no limit
}

// ServerSpec is one address of a group (a server directive of an upstream block; one
// for each address its name resolves to).
type ServerSpec struct {
	Name string         // as logged: "127.0.0.1:8080" or "unix:/path"
	Addr netip.AddrPort // for TCP
	Unix string         // path of a unix socket; then Addr is not valid
	// Server is the address as written in the configuration, which consistent hashing goes by;
	// empty: Name.
	Server        string
	Weight        int // at least 1
	MaxConns      int // requests and tunnels at a time; 0: no limit
	MaxFails      int // 0: never unavailable
	FailTimeoutMs int64
	SlowStartMs   int64 // how long a peer that is back takes to its whole weight; 0: no time
	Down, Backup  bool
	Drain         bool   // only requests that are bound to the server go there
	Route         string // what sticky calls the server; empty: nothing
}

// Group is a set of peers and the way to choose one. But for its counters, its position and
// its servers (SetServers) it does not change after NewGroup, and is safe for every shard at
// once.
type Group struct {
	Name string
	// Number is the group's index in the snapshot, -1 for one that is in none.
	Number             int
	Keepalive          int   // idle connections a shard keeps; 0: none
	KeepaliveRequests  int   // requests on one connection
	KeepaliveTimeoutMs int64 // how long a connection may idle
	KeepaliveTimeMs    int64 // how long a connection may carry new requests; 0: no limit

	balance   Balance
	timed     bool // answers are timed: least_time
	mandatory bool // GroupSpec.Mandatory
	sticky    bool // GroupSpec.Sticky
	registry  *Registry
	changing  sync.Mutex // held while the servers are replaced
	watcher   func()     // told when they were
	servers   atomic.Pointer[servers]
}

// NewGroup builds a group and interns its peers in reg. The peers keep their IDs as
// long as the group is reachable: a request that uses a peer has it on loan (Group.Pick)
// until it has counted itself in Peer.Connections or Peer.Tunnels.
//
// A server that stands twice in the list with the same address is one peer with the
// sum of the weights; if it is primary and backup, the backup entry is dropped.
func NewGroup(reg *Registry, spec GroupSpec) (*Group, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("upstream %q: %w", spec.Name, err)
	}
	b := spec.Balance
	g := &Group{
		Name:               strings.Clone(spec.Name),
		Number:             spec.Number,
		Keepalive:          spec.Keepalive,
		KeepaliveRequests:  spec.KeepaliveRequests,
		KeepaliveTimeoutMs: spec.KeepaliveTimeoutMs,
		KeepaliveTimeMs:    spec.KeepaliveTimeMs,
		balance:            b,
		timed:              (b.Method == LeastTime || b.Method == RandomTwo) && b.By != ByConns,
		mandatory:          spec.Mandatory,
		sticky:             spec.Sticky,
		registry:           reg,
	}
	g.servers.Store(g.newServers(spec.Servers, nil))
	return g, nil
}

func (s *GroupSpec) validate() error {
	if err := s.Balance.validate(s.Servers); err != nil {
		return err
	}
	switch {
	case !s.Resolved && !slices.ContainsFunc(s.Servers, func(s ServerSpec) bool { return !s.Backup }):
		return errors.New("no servers are inside upstream")
	case s.Keepalive < 0 || s.KeepaliveRequests < 0 || s.KeepaliveTimeoutMs < 0:
		return errors.New("negative keepalive setting")
	}
	return nil
}

// validate judges the servers that a group may have.
func (b Balance) validate(servers []ServerSpec) error {
	if len(servers) > PeersMax {
		return fmt.Errorf("%d servers, at most %d are supported", len(servers), PeersMax)
	}
	sum := 0
	for i := range servers {
		if err := servers[i].validate(); err != nil {
			return fmt.Errorf("server %q: %w", servers[i].Name, err)
		}
		sum += servers[i].Weight
	}
	if b.Method == ConsistentHash && sum > ConsistentWeightMax {
		return fmt.Errorf("the weights add up to %d, at most %d are supported with consistent hashing",
			sum, ConsistentWeightMax)
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
	case s.FailTimeoutMs < 0 || s.SlowStartMs < 0:
		return errors.New("negative fail_timeout or slow_start")
	case s.MaxConns < 0:
		return errors.New("negative max_conns")
	case len(s.Route) > SIDMax:
		return fmt.Errorf("route=%s is longer than %d bytes", s.Route, SIDMax)
	}
	return nil
}
