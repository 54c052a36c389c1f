package admin

import (
	"time"

	"holdfast/observe"
)

// Source is where the admin endpoints get their numbers. Both methods are called from
// several goroutines at once, never from a shard's thread.
type Source interface {
	// Counters returns a copy of each shard's counters, by shard.
	Counters() []observe.Counters
	// Info returns what else there is to know about the process.
	Info() Info
}

// Info describes the running process.
type Info struct {
	Version     string
	Pid         int
	StartTime   time.Time
	Shards      int
	SessionsMax int // how many sessions all shards together may hold
	FdsMax      int // the limit of open file descriptors
	ConfigPath  string
	Draining    bool // no new sessions are accepted any more
	// HandshakesActive and HandshakesQueued are the TLS handshakes under way, and those that
	// wait for their turn.
	HandshakesActive, HandshakesQueued int
	Resolver                           ResolverInfo
	Reload                             ReloadInfo
	Mirrors                            MirrorInfo
	StateNames                         []string     // by state number, for observe.Counters.Sessions
	Peers                              []PeerInfo   // of all groups, and removed ones that still have tunnels
	Sticky                             []StickyInfo // the upstreams with sticky
	Limits                             []LimitInfo  // the zones of limit_req and limit_conn
}

// PeerInfo is one upstream peer.
type PeerInfo struct {
	Group       string
	Name        string
	Tunnels     int64
	Connections int64
	Requests    uint64
	Fails       uint64
	Available   bool        // may be picked now
	Health      *HealthInfo // nil where no health check looks at it
}
