package shard

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"sync/atomic"

	"holdfast/access"
	"holdfast/limit"
	"holdfast/route"
	"holdfast/tlsio"
	"holdfast/upstream"
)

// Snapshot is one validated configuration, compiled and immutable. A shard reads
// the current one when a request begins; the request keeps it until it ends, a
// tunnel does not.
type Snapshot struct {
	Table *route.Table
	// Groups are indexed by route.Proxy.Group.
	Groups []*upstream.Group
	// Balancing is what the choices of Groups depend on beside them, by the same index.
	Balancing []Balancing
	// GroupByName finds the group of a proxy_pass with variables.
	GroupByName map[string]*upstream.Group
	// StreamGroupByName is the same for the stream context; its groups are in Groups too.
	StreamGroupByName map[string]*upstream.Group
	// Resolvers are indexed by route.TunnelPass.Resolver - 1.
	Resolvers []*upstream.Resolver
	// Users are indexed by route.Auth.Users.
	Users []*access.Users
	// Zones are indexed by route.LimitConn.Zone.
	Zones []*limit.Zone
	// RateZones are indexed by route.LimitReq.Zone.
	RateZones []RateZone
	// StubStatus says that a location answers with the shards' numbers (stub_status).
	StubStatus bool
	// Listeners are indexed by a listener's number, which is also its number in Table.
	Listeners []ListenerInfo
	// UpstreamTLS is indexed by route.Proxy.TLS - 1.
	UpstreamTLS []*UpstreamTLS
}

// RateZone is a limit_req_zone: its table, which may outlive the configuration, and its rate
// in thousandths of a request a second.
type RateZone struct {
	Zone *limit.RateZone
	Rate int64
}

// ListenerInfo is what a request may want to know about where it came in.
type ListenerInfo struct {
	// Gone says that no listener has this number; it is that of one of an earlier configuration.
	Gone     bool
	Addr     netip.AddrPort // not valid for a unix socket
	Unix     string
	Wildcard bool // the local address differs from connection to connection
	// SpreadKeepalive has the connections of tunnels probed at times of their own
	// (so_keepalive without values).
	SpreadKeepalive bool
	// TLS says what a client gets by its hello (listen … ssl); nil for a plain listener.
	TLS func(*tls.ClientHelloInfo) *tlsio.ServerConfig
	// HandshakeMs bounds the TLS handshake, in milliseconds (ssl_handshake_timeout).
	HandshakeMs int64
	// Stream is what holds for connections at a listener of the stream context; nil at others.
	Stream *route.StreamServer
	// ProxyProtocol has every connection begin with its header (listen … proxy_protocol), for
	// which the client has ProxyHeaderMs milliseconds (proxy_protocol_timeout).
	ProxyProtocol bool
	ProxyHeaderMs int64
}

// UpstreamTLS is how a location speaks TLS with its upstream (proxy_pass https://).
type UpstreamTLS struct {
	// Name is proxy_ssl_name.
	Name *route.Template
	// Config is the configuration of a handshake with a server of that name: it goes out where
	// proxy_ssl_server_name says so, and the certificate is judged by it where proxy_ssl_verify
	// does. It is called on a shard's thread; the result is not changed.
	Config func(name string) *tls.Config
	// ID tells connections made with different settings apart: it is the same for the same
	// settings, from 1 on.
	ID uint32
}

// Policy is what holds for a session beyond its request: while it is a tunnel,
// while it lingers. Times are in milliseconds, 0 means no limit.
type Policy struct {
	TunnelReadMs    int64  // silence in both directions
	TunnelBlockedMs int64  // a destination that takes nothing
	LingerMs        int64  // whole lingering close
	LingerReadMs    int64  // wait for one read within it
	KeepaliveMinMs  int64  // an idle client connection is not closed to end the process, or to make room
	LifetimeMs      int64  // age at which a tunnel is ended (tunnel_max_lifetime)
	LifetimeJitter  uint8  // percent by which that differs from tunnel to tunnel, either way
	TunnelCount     uint32 // number of the count that a tunnel is in (tunnels_max), 0: none
	EndsAtFin       bool   // one direction's end is the end of both (proxy_half_close off)
	DeadPeers       bool   // the kernel looks for a dead upstream (proxy_socket_keepalive)
	Logs            LogSet // who gets the line at a tunnel's close
	Errors          ErrorTargets
}

// Policies interns policies for the life of the process: a tunnel keeps a small
// number, and equal settings of two configurations share it.
type Policies struct {
	mu   sync.Mutex
	list atomic.Pointer[[]Policy]
}

// policiesMax is how many numbers fit a session record.
const policiesMax = 1 << 16

// Intern returns the number of p. ok is false when 65,536 different policies have
// been seen. Not for a shard's thread.
func (ps *Policies) Intern(p Policy) (id uint16, ok bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var list []Policy
	if l := ps.list.Load(); l != nil {
		list = *l
	}
	for i := range list {
		if list[i] == p {
			return uint16(i), true
		}
	}
	if len(list) == policiesMax {
		return 0, false
	}
	grown := append(list[:len(list):len(list)], p)
	ps.list.Store(&grown)
	return uint16(len(grown) - 1), true
}

// At is the policy with that number.
func (ps *Policies) At(id uint16) *Policy { return &(*ps.list.Load())[id] }
