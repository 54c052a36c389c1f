package upstream

import (
	"net/netip"
	"sync/atomic"
)

// linePad keeps what many shards write apart from what they only read: two cache
// lines, because the prefetcher fetches them in pairs.
type linePad [128]byte

// Peer is one address of one group. There is exactly one Peer for a group name and
// an address, in every configuration generation, so its counters and its failure
// state outlive reloads. Everything outside Counters is immutable or internal.
type Peer struct {
	// ID names the peer in records that hold no pointers. It is never 0, and it is
	// not given to another peer as long as a Group with this peer is reachable or
	// Active, Tunnels or Connections is not 0.
	ID uint32
	// Group is the name of the group the peer belongs to.
	Group string
	// Name is the address as logged: "127.0.0.1:8080" or "unix:/path".
	Name string
	// Addr is the TCP address; not valid for a unix socket.
	Addr netip.AddrPort
	// Unix is the path of a unix socket; empty for TCP.
	Unix string

	groups atomic.Int32 // reachable Groups with this peer

	_ linePad
	Counters
	_ linePad
	health
	timing
	// Health is what active health checks say, for status pages.
	Health Checked
}

// Counters are a peer's numbers, shared by all shards: touched when something
// opens, closes or ends, never for a message. They stand together on purpose: the
// shard that changes one usually changes two or three.
type Counters struct {
	Active      atomic.Int64 // gauge: requests in progress and tunnels, from Pick to Release
	Tunnels     atomic.Int64 // gauge: tunnels towards the peer
	Connections atomic.Int64 // gauge: connections to the peer, idle ones and connecting ones too

	Connects atomic.Uint64 // connections begun
	Fails    atomic.Uint64 // failed attempts, counted by Group.Fail
	Requests atomic.Uint64 // requests sent
	Bytes    atomic.Uint64 // bytes moved to and from the peer, added when a request or tunnel ends
}

// live tells whether a record may still hold the peer's ID.
func (p *Peer) live() bool {
	return p.groups.Load() != 0 || p.Active.Load() != 0 || p.Tunnels.Load() != 0 || p.Connections.Load() != 0
}

// Release gives a peer back that Pick has lent: the try, or the tunnel it became, is over.
// Every Pick needs exactly one.
func (p *Peer) Release() {
	p.Active.Add(-1)
	p.answered()
}

// InUse tells whether a group that can still be picked from has the peer; false
// for one that a reload removed and that only drains.
func (p *Peer) InUse() bool { return p.groups.Load() != 0 }
