package config

import (
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
	// Addrs are the addresses that Name resolved to when the file was read; never empty.
	Addrs []Addr
	// Weight is at least 1.
	Weight int
	// MaxFails failures within FailTimeout take the server out for FailTimeout; 0
	// means never.
	MaxFails    int
	FailTimeout time.Duration
	// Down and Backup are the parameters of the same names.
	Down, Backup bool
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
	switch {
	case inner.refused:
	case len(u.Servers) == 0:
		l.add(Error, n.Position, "write: server ADDRESS;", "no servers are inside upstream")
	case !slices.ContainsFunc(u.Servers, func(s UpstreamServer) bool { return !s.Backup }):
		l.add(Error, n.Position, "leave one server without backup", "no servers in upstream %q", u.Name)
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
	var fault string
	if s.Addrs, fault = l.upstreamAddrs(s.Name); fault != "" {
		l.refused = true
		if !l.brokenAny || fault != hostNotFound {
			l.add(Error, n.Position, "write an address such as 127.0.0.1:8080, host:8080 or unix:/path",
				"%s in upstream %q", fault, s.Name)
		}
		return
	}
	l.upstream.Servers = append(l.upstream.Servers, s)
}

// upstreamRefused are the parameters of server that would choose other peers than
// this version does.
var upstreamRefused = []string{
	"max_conns", "slow_start", "resolve", "route", "service", "drain", "sid", "id",
}

func (l *level) upstreamParameter(s *UpstreamServer, n *node, arg string) (ok bool) {
	name, value, _ := strings.Cut(arg, "=")
	hint := ""
	switch {
	case arg == "down":
		s.Down, ok = true, true
	case arg == "backup":
		s.Backup, ok = true, true
	case slices.Contains(upstreamRefused, name):
		l.add(Error, n.Position, "it is not in this version; remove it", "%q of \"server\" is not supported", name)
		return false
	case name == "weight":
		s.Weight, ok = parseInt(value, 1)
		hint = "write a number from 1 on"
	case name == "max_fails":
		s.MaxFails, ok = parseInt(value, 0)
		hint = hintNumber
	case name == "fail_timeout":
		s.FailTimeout, ok = parseSeconds(value)
		hint = "write a time in seconds such as 30s"
	}
	if !ok {
		l.add(Error, n.Position, hint, "invalid parameter %q", arg)
	}
	return ok
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
