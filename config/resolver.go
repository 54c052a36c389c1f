package config

import (
	"net/netip"
	"strings"
	"time"
)

// ResolverSettings say whom names are asked of that are not known when the configuration is
// read (resolver).
type ResolverSettings struct {
	Position
	// Servers are the name servers; empty means that there are none to ask.
	Servers []netip.AddrPort
	// Valid is how long an answer is used (valid=); 0 means as long as the answer says.
	Valid time.Duration
	// NoIPv4 and NoIPv6 leave out the addresses of a family.
	NoIPv4, NoIPv6 bool
	// Timeout bounds one question (resolver_timeout).
	Timeout time.Duration
	// TimeoutSet says that resolver_timeout was written.
	TimeoutSet bool
}

func defaultResolverSettings() ResolverSettings { return ResolverSettings{Timeout: 30 * time.Second} }

// resolverDirectives are the rows about names that are resolved while running.
func resolverDirectives() []Directive {
	const everywhere = ctxAll | CtxUpstream | ctxStreams | CtxStreamUpstream
	return []Directive{
		{
			Name: "resolver", Contexts: everywhere,
			Args: "address[:port] ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=name]",
			Doc: "Which name servers are asked, in turn, for names that only a request yields (proxy_pass with " +
				"variables, tunnel_pass) and for servers with resolve.",
			Deviation: "When asking fails, the last good answer is used for up to a day. An answer is used for at least " +
				"a second unless valid= says less. status_zone= has no effect: the counts of all resolvers are in /metrics.",
			min: 1, max: -1, read: readResolver,
		},
		{
			Name: "resolver_timeout", Contexts: everywhere, Args: "time", Default: "30s",
			Doc: "How long the resolving of one name may take.",
			min: 1, max: 1, read: readResolverTimeout,
		},
	}
}

const hintResolver = "write the address of a name server, valid=TIME, ipv4=off or ipv6=off"

// readResolver reads addresses of name servers and parameters.
func readResolver(l *level, n *node) {
	l.resolvers = append(l.resolvers, n)
	r := ResolverSettings{Position: n.Position, Timeout: l.set.Resolver.Timeout, TimeoutSet: l.set.Resolver.TimeoutSet}
	for _, arg := range n.args {
		name, value, isParameter := strings.Cut(arg, "=")
		ok := true
		switch {
		case isParameter && name == "valid":
			r.Valid, ok = parseTime(value)
		case isParameter && (name == "ipv4" || name == "ipv6"):
			ok = isFlag(value)
			if name == "ipv4" {
				r.NoIPv4 = ok && !isOn(value)
			} else {
				r.NoIPv6 = ok && !isOn(value)
			}
		case isParameter && name == "status_zone":
			ok = value != ""
		case isParameter:
			ok = false
		default:
			servers, fault := l.nameServers(arg)
			if fault != "" {
				l.add(Error, n.Position, hintResolver, "%s in resolver %q", fault, arg)
				return
			}
			r.Servers = append(r.Servers, servers...)
		}
		if !ok {
			l.add(Error, n.Position, hintResolver, "invalid parameter %q in %q directive", arg, n.name)
			return
		}
	}
	switch {
	case len(r.Servers) == 0:
		l.add(Error, n.Position, "write the address of a name server", "no name servers defined")
	case r.NoIPv4 && r.NoIPv6:
		l.add(Error, n.Position, "remove one", `"ipv4" and "ipv6" cannot both be "off"`)
	default:
		l.set.Resolver = r
	}
}

// nameServers reads an address with or without a port; a name is resolved now, by the system.
// fault says what is wrong with it, or is "".
func (l *loader) nameServers(text string) (servers []netip.AddrPort, fault string) {
	const dns = 53
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" { // an address of IPv6 without brackets
		return []netip.AddrPort{netip.AddrPortFrom(addr, dns)}, ""
	}
	host, port, fault := splitHostPort(text)
	if fault != "" {
		return nil, fault
	}
	number, ok := parsePort(port)
	if !ok {
		number = dns
	}
	for _, addr := range l.lookup(host) {
		servers = append(servers, netip.AddrPortFrom(addr, number))
	}
	if servers == nil {
		return nil, hostNotFound
	}
	return servers, ""
}

// noResolverTimeout is what resolver_timeout 0 means: nobody has waited that long.
const noResolverTimeout = time.Hour

func readResolverTimeout(l *level, n *node) {
	d, ok := parseTime(n.args[0])
	if !ok {
		l.invalid(n, n.args[0], hintTime)
		return
	}
	if d == 0 {
		d = noResolverTimeout
	}
	l.set.Resolver.Timeout, l.set.Resolver.TimeoutSet = d, true
}

// checkResolvers gives upstream blocks the resolver that they inherit, and judges resolver
// once everything that could need one is known.
func (l *loader) checkResolvers() {
	needed := l.tunnels() || l.variablePass != nil || len(l.resolvings) > 0
	for _, s := range l.cfg.Stream.Servers {
		needed = needed || s.Stream.ProxyPass != nil && s.Stream.ProxyPass.Variables
	}
	for i := range l.resolvings {
		l.resolvings[i].settle(l)
	}
	if needed {
		return
	}
	for _, n := range l.resolvers {
		l.warnNoEffect(n, "names are resolved when the configuration is read")
	}
}

// resolving is an upstream block some of whose servers are resolved while running, with the
// settings in it and around it, which are complete only once all is read.
type resolving struct {
	upstream   *Upstream
	own, outer *Settings
}

// resolveLater notes a block if some server in it is resolved while running.
func (l *level) resolveLater(u *Upstream, inner *level) {
	for i := range u.Servers {
		if u.Servers[i].Resolve {
			l.resolvings = append(l.resolvings, resolving{u, inner.set, l.set})
			return
		}
	}
}

// settle finds whom the servers of a block are asked of.
func (r *resolving) settle(l *loader) {
	own, u := r.own.Resolver, r.upstream
	if u.Resolver = own; len(own.Servers) == 0 {
		u.Resolver = r.outer.Resolver
		if own.TimeoutSet {
			u.Resolver.Timeout = own.Timeout
		}
	} else if !own.TimeoutSet {
		u.Resolver.Timeout = r.outer.Resolver.Timeout
	}
	for i := range u.Servers {
		if s := &u.Servers[i]; s.Resolve && len(u.Resolver.Servers) == 0 {
			l.add(Error, s.Position, "write: resolver ADDRESS; in this block or around it",
				"no resolver defined to resolve names at run time in upstream %q", u.Name)
		}
	}
}

// tunnels says whether there is a tunnel_pass whose names are resolved for each request.
func (l *loader) tunnels() bool {
	for _, s := range l.cfg.HTTP.Servers {
		if s.TunnelPass != nil && s.TunnelPass.Variables || tunnelsIn(s.Locations) || tunnelsIn(s.Named) {
			return true
		}
	}
	return false
}

func tunnelsIn(list []*Location) bool {
	for _, loc := range list {
		if loc.TunnelPass != nil && loc.TunnelPass.Variables || tunnelsIn(loc.Nested) {
			return true
		}
	}
	return false
}
