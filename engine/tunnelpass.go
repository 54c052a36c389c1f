package engine

import (
	"fmt"

	"holdfast/config"
	"holdfast/route"
	"holdfast/upstream"
)

// tunnelPass compiles a tunnel_pass; nil if there is none.
func (b *builder) tunnelPass(pass *config.TunnelPass, set *config.Settings) *route.TunnelPass {
	if pass == nil {
		return nil
	}
	t := &set.Tunnel
	spec := route.TunnelPassSpec{
		Target: pass.Text, Groups: b.namedGroups(), AllowPrivate: t.AllowPrivate, Bind: t.Bind.Text,
	}
	if pass.Upstream != nil {
		spec.Group = b.groups[pass.Upstream]
	} else {
		spec.Resolver = b.resolver(&set.Resolver)
	}
	for _, r := range t.AllowPorts {
		spec.Ports = append(spec.Ports, route.PortRange{Low: r.Low, High: r.High})
	}
	for _, h := range t.AllowHosts {
		spec.Hosts = append(spec.Hosts, route.ServerName{Text: h.Text, Regexp: h.Regexp})
	}
	compiled, err := b.compiler.NewTunnelPass(&spec)
	if err != nil {
		at := pass.Position
		if _, bad := b.compiler.Compile(t.Bind.Text); bad != nil {
			at = t.Bind.Position
		}
		b.fail(at, err)
	}
	return compiled
}

// namedGroups are the upstream blocks by name: not the groups that stand for an address
// written in some proxy_pass, which a client could name.
func (b *builder) namedGroups() map[string]int {
	groups := map[string]int{}
	for _, u := range b.cfg.HTTP.Upstreams {
		if !u.Implicit {
			groups[u.Name] = b.groups[u]
		}
	}
	return groups
}

// tunnelSettings are the settings of a location with tunnel_pass: where those of http have
// a directive for proxy_pass and one for tunnel_pass, the one for tunnel_pass counts.
func tunnelSettings(set *config.Settings) *config.Settings {
	changed := *set
	p, t := &changed.Proxy, &set.Tunnel
	p.ConnectTimeout = t.ConnectTimeout
	p.ReadTimeout, p.ReadTimeoutSet = t.ReadTimeout, t.ReadTimeoutSet
	p.SendTimeoutSet = false
	p.NextUpstream, p.NextUpstreamTries = t.NextUpstream, t.NextUpstreamTries
	p.NextUpstreamTimeout = t.NextUpstreamTimeout
	p.SocketKeepalive = t.SocketKeepalive
	return &changed
}

// resolver is 1 + the index of the resolver for the settings, 0 if they name no server.
// Equal settings share one.
func (b *builder) resolver(set *config.ResolverSettings) int {
	if len(set.Servers) == 0 {
		return 0
	}
	key := fmt.Sprint(set.Servers, set.Timeout, set.Valid, set.NoIPv4, set.NoIPv6)
	if index, done := b.resolvers[key]; done {
		return index
	}
	resolver := b.life.resolvers[key] // with what it remembers
	if resolver == nil {
		resolver = upstream.NewResolver(upstream.ResolverOptions{
			Servers: set.Servers, Timeout: set.Timeout, Valid: set.Valid, NoIPv4: set.NoIPv4, NoIPv6: set.NoIPv6,
		})
	}
	b.keptResolvers[key] = resolver
	b.sn.Resolvers = append(b.sn.Resolvers, resolver)
	b.resolvers[key] = len(b.sn.Resolvers)
	return len(b.sn.Resolvers)
}
