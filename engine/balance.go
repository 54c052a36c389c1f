package engine

import (
	"fmt"

	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
	"holdfast/upstream"
)

// upstreams makes the groups of http.
func (b *builder) upstreams() {
	for _, u := range b.cfg.HTTP.Upstreams {
		b.sn.GroupByName[u.Name] = b.upstream(u, u.Name, b.compiler)
	}
}

// streamUpstreams appends the groups of stream to those of http.
func (b *builder) streamUpstreams() {
	for _, u := range b.cfg.Stream.Upstreams {
		b.sn.StreamGroupByName[u.Name] = b.upstream(u, streamGroup+u.Name, b.stream)
	}
}

// upstream makes the group of u and what it is chosen by, with the compiler of its context.
func (b *builder) upstream(u *config.Upstream, name string, c *route.Compiler) *upstream.Group {
	spec := groupSpec(u)
	spec.Name, spec.Number, spec.Sticky = name, len(b.sn.Groups), u.Sticky != nil
	g, err := upstream.NewGroup(b.registry, spec)
	if err != nil {
		b.fail(u.Position, err)
		g = &upstream.Group{Number: spec.Number}
	}
	key, err := c.Compile(u.Balance.Key)
	if err != nil {
		b.fail(u.Balance.Position, fmt.Errorf("hash: %w", err))
	}
	b.groups[u] = spec.Number
	b.removals[name] = shard.Removal{Policy: removalPolicies[u.Tunnels], SpreadMs: ms(u.DrainTime)}
	b.named(u, g)
	b.sn.Groups = append(b.sn.Groups, g)
	b.sn.Balancing = append(b.sn.Balancing, shard.Balancing{Key: key, Sticky: b.sticky(u)})
	return g
}

// groupSpec describes the group of u as far as its servers have addresses already.
func groupSpec(u *config.Upstream) upstream.GroupSpec {
	spec := upstream.GroupSpec{
		Mandatory: u.CheckMandatory,
		Name:      u.Name, Keepalive: u.Keepalive, KeepaliveRequests: int(u.KeepaliveRequests),
		KeepaliveTimeoutMs: ms(u.KeepaliveTimeout), KeepaliveTimeMs: ms(u.KeepaliveTime),
		Balance: upstream.Balance{
			Method: methods[u.Balance.Method], By: balanceBy[u.Balance.By], Inflight: u.Balance.Inflight,
		},
	}
	for i := range u.Servers {
		s := &u.Servers[i]
		spec.Resolved = spec.Resolved || s.Resolve
		for _, a := range s.Addrs {
			spec.Servers = append(spec.Servers, serverSpec(s, a))
		}
	}
	return spec
}

// serverSpec is the server s at one of its addresses.
func serverSpec(s *config.UpstreamServer, a config.Addr) upstream.ServerSpec {
	return upstream.ServerSpec{
		Name: a.String(), Server: s.Name, Addr: a.IP, Unix: a.Unix, Weight: s.Weight, MaxConns: s.MaxConns,
		MaxFails: s.MaxFails, FailTimeoutMs: ms(s.FailTimeout), SlowStartMs: ms(s.SlowStart),
		Down: s.Down, Backup: s.Backup, Drain: s.Drain, Route: s.Route,
	}
}

var methods = map[config.Method]upstream.Method{
	config.RoundRobin: upstream.RoundRobin, config.LeastConn: upstream.LeastConn, config.LeastTime: upstream.LeastTime,
	config.IPHash: upstream.IPHash, config.Hash: upstream.Hash, config.ConsistentHash: upstream.ConsistentHash,
	config.Random: upstream.Random, config.RandomTwo: upstream.RandomTwo,
}

var balanceBy = map[config.BalanceBy]upstream.By{
	config.ByConns: upstream.ByConns, config.ByHeader: upstream.ByHeader, config.ByLastByte: upstream.ByLastByte,
}
