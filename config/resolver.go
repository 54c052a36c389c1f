package config

import (
	"net/netip"
	"strings"
	"time"
)

// ResolverSettings say whom names are asked of that only a request yields (resolver).
type ResolverSettings struct {
	Position
	// Servers are the name servers; empty means that there are none to ask.
	Servers []netip.AddrPort
	// Valid is how long an answer is used (valid=); 0 leaves it to the resolver.
	Valid time.Duration
	// NoIPv4 and NoIPv6 leave out the addresses of a family.
	NoIPv4, NoIPv6 bool
	// Timeout bounds one question (resolver_timeout).
	Timeout time.Duration
}

func defaultResolverSettings() ResolverSettings { return ResolverSettings{Timeout: 30 * time.Second} }

// readResolver reads addresses of name servers and parameters.
func readResolver(l *level, n *node) {
	l.resolvers = append(l.resolvers, n)
	r := ResolverSettings{Position: n.Position, Timeout: l.set.Resolver.Timeout}
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
		default:
			var server netip.AddrPort
			if server, ok = nameServer(arg); ok {
				r.Servers = append(r.Servers, server)
			}
		}
		if !ok {
			l.invalid(n, arg, "write the address of a name server, valid=TIME, ipv4=off or ipv6=off")
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

// nameServer reads an address with or without a port. Names would have to be resolved first.
func nameServer(text string) (netip.AddrPort, bool) {
	if addr, err := netip.ParseAddrPort(text); err == nil {
		return addr, addr.Port() != 0
	}
	const dns = 53
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return netip.AddrPortFrom(addr, dns), err == nil && addr.Zone() == ""
}

func readResolverTimeout(l *level, n *node) {
	var ok bool
	if l.set.Resolver.Timeout, ok = parseTime(n.args[0]); !ok {
		l.invalid(n, n.args[0], hintTime)
	}
}

// checkResolvers judges resolver once all proxy_pass and tunnel_pass are known.
func (l *loader) checkResolvers() {
	for _, n := range l.resolvers {
		switch {
		case l.variablePass != nil:
			l.add(Error, n.Position, "remove it, and let the variables yield names of upstream blocks or addresses",
				"%q is not supported with the variables of the proxy_pass at %s", n.name, l.variablePass.Position)
		case !l.tunnels():
			l.warnNoEffect(n, "names are resolved when the configuration is read")
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
