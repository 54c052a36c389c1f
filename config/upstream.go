package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Upstream is an upstream block, or the one that a proxy_pass to an address
// stands for.
type Upstream struct {
	Position
	// Name is the block's name; for an implicit upstream "host:port" or
	// "unix:path" as written.
	Name string
	// Implicit says that the upstream comes from a proxy_pass without a block.
	Implicit bool
	// Servers is never empty, and at least one is no backup.
	Servers []UpstreamServer
	// Balance is how one of them is chosen.
	Balance Balance
	// Sticky says which requests stay with a server; nil if none do.
	Sticky *Sticky
	// Resolver is whom the names of servers with Resolve are asked of; empty without any.
	Resolver ResolverSettings
	// Tunnels is what becomes of tunnels to servers that are gone, and DrainTime how long
	// DrainTunnels takes.
	Tunnels   TunnelPolicy
	DrainTime time.Duration
	// CheckMandatory says that a health_check … mandatory asks its servers.
	CheckMandatory bool
	// Keepalive is the number of idle connections kept per shard; 0 means none.
	Keepalive int
	// KeepaliveRequests is the number of requests per upstream connection.
	KeepaliveRequests int64
	// KeepaliveTimeout is how long an idle upstream connection is kept.
	KeepaliveTimeout time.Duration
	// KeepaliveTime is how long an upstream connection may carry new requests.
	KeepaliveTime time.Duration
}

// UpstreamServer is one server line of an upstream.
type UpstreamServer struct {
	Position
	// Name is the address as written.
	Name string
	// Addrs are the addresses that Name resolved to when the file was read; empty only with
	// Resolve.
	Addrs []Addr
	// Resolve says that Name is resolved while running (resolve); Service is the name of an SRV
	// record that is asked for instead of addresses, empty if none (service=).
	Resolve bool
	Service string
	// Host and Port are the parts of Name, for Resolve; Port is 80 unless written, and has no
	// meaning with Service.
	Host string
	Port uint16
	// Weight is at least 1.
	Weight int
	// MaxConns is how many requests and tunnels it may have at a time; 0 means no limit.
	MaxConns int
	// MaxFails failures within FailTimeout take the server out for FailTimeout; 0
	// means never.
	MaxFails    int
	FailTimeout time.Duration
	// SlowStart is how long a server that is back takes to its whole weight.
	SlowStart time.Duration
	// Down, Backup and Drain are the parameters of the same names.
	Down, Backup, Drain bool
	// Route is what sticky calls the server; empty if nothing is written.
	Route string
}

// defaultFailTimeout is the fail_timeout of a server that names none.
const defaultFailTimeout = 10 * time.Second

// defaultUpstream has the values of a block in which nothing but servers is written.
func defaultUpstream(at Position, name string) *Upstream {
	return &Upstream{
		Position: at, Name: name,
		Keepalive: 32, KeepaliveRequests: 1000, KeepaliveTimeout: 60 * time.Second, KeepaliveTime: time.Hour,
	}
}

func readUpstream(l *level, n *node) { l.readUpstreamBlock(n, CtxUpstream) }

func (l *level) readUpstreamBlock(n *node, ctx Context) {
	u := defaultUpstream(n.Position, n.args[0])
	key := strings.ToLower(u.Name)
	if first := l.upstreams[key]; first != nil {
		l.add(Error, n.Position, "choose another name; the first is at "+first.Position.String(),
			"duplicate upstream %q", u.Name)
		return
	}
	l.upstreams[key] = u
	l.blocks = append(l.blocks, u)
	inner := l.inner(ctx)
	inner.upstream = u
	inner.walk(n.block)
	l.resolveLater(u, inner)
	switch {
	case inner.refused:
	case len(u.Servers) == 0:
		l.add(Error, n.Position, "write: server ADDRESS;", "no servers are inside upstream")
	case !slices.ContainsFunc(u.Servers, func(s UpstreamServer) bool { return !s.Backup }):
		l.add(Error, n.Position, "leave one server without backup", "no servers in upstream %q", u.Name)
	default:
		l.checkSlowStart(u)
		l.checkSticky(u)
	}
}

func readUpstreamServer(l *level, n *node) {
	s := UpstreamServer{
		Position: n.Position, Name: n.args[0], Weight: 1, MaxFails: 1, FailTimeout: defaultFailTimeout,
	}
	for _, arg := range n.args[1:] {
		if !l.upstreamParameter(&s, n, arg) {
			l.refused = true
			return
		}
	}
	if fault := l.findServer(&s); fault != "" {
		l.refused = true
		if !l.brokenAny || fault != hostNotFound {
			hint := "write an address such as 127.0.0.1:8080, host:8080 or unix:/path"
			if _, address, isURL := strings.Cut(s.Name, "://"); isURL {
				hint = "write: server " + strings.TrimRight(address, "/") + ";"
			}
			l.add(Error, n.Position, hint,
				"%s in upstream %q", fault, s.Name)
		}
		return
	}
	if s.Service != "" && !s.Resolve {
		l.refused = true
		l.add(Error, n.Position, "write resolve behind it", "service upstream %q requires \"resolve\" parameter", s.Name)
		return
	}
	l.upstream.Servers = append(l.upstream.Servers, s)
}

// findServer fills in the addresses of a server, or what is to be resolved later. fault says
// what is wrong with its name, or is "".
func (l *loader) findServer(s *UpstreamServer) (fault string) {
	if !s.Resolve && s.Service == "" || strings.HasPrefix(s.Name, "unix:") {
		s.Addrs, fault = l.upstreamAddrs(s.Name)
		s.Resolve = false
		return fault
	}
	host, port, fault := splitHostPort(s.Name)
	number, isNumber := parsePort(port)
	switch {
	case fault != "":
		return fault
	case strings.Contains(s.Name, "/"):
		return "invalid host"
	case s.Service != "" && port != "":
		return "a service has no port of its own:"
	case !isNumber:
		number = 80
	}
	s.Host, s.Port = host, number
	if ip, err := netip.ParseAddr(host); err == nil && s.Service == "" { // there is nothing to resolve
		s.Addrs, s.Resolve = withPort([]netip.Addr{ip}, number), false
	}
	return ""
}

const hostNotFound = "host not found"

// upstreamAddrs turns the address of an upstream server into addresses; port 80 is
// the default. fault says what is wrong, or is "".
func (l *loader) upstreamAddrs(name string) (addrs []Addr, fault string) {
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		return []Addr{{Unix: path}}, unixPathFault(path)
	}
	if strings.Contains(name, "/") {
		return nil, "invalid host"
	}
	host, port, fault := splitHostPort(name)
	if fault != "" {
		return nil, fault
	}
	number, ok := parsePort(port)
	if !ok {
		number = 80
	}
	found := l.lookup(host)
	if found == nil {
		return nil, hostNotFound
	}
	return withPort(found, number), ""
}

func readKeepalive(l *level, n *node) {
	var ok bool
	if l.upstream.Keepalive, ok = parseInt(n.args[0], 0); !ok {
		l.invalid(n, n.args[0], "write a number; 0 turns it off")
	}
}

func readUpstreamRequests(l *level, n *node) {
	var ok bool
	if l.upstream.KeepaliveRequests, ok = parseNumber(n.args[0]); !ok {
		l.invalid(n, n.args[0], hintNumber)
	}
}

func readUpstreamTimeout(l *level, n *node) {
	var ok bool
	if l.upstream.KeepaliveTimeout, ok = parseTime(n.args[0]); !ok {
		l.invalid(n, n.args[0], hintTime)
	}
}

func readUpstreamTime(l *level, n *node) {
	var ok bool
	if l.upstream.KeepaliveTime, ok = parseTime(n.args[0]); !ok {
		l.invalid(n, n.args[0], hintTime)
	}
}
