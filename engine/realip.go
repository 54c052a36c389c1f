package engine

import (
	"net/netip"

	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
)

// realIPKey tells whether two levels take the client's address in the same way; levels that
// inherit a list share its first member.
type realIPKey struct {
	from      *netip.Prefix
	networks  int
	unixFrom  bool
	header    string
	recursive bool
}

// realIP compiles set_real_ip_from and what belongs to it. In stream, where there are no
// fields, header is always empty: the PROXY protocol's.
func (b *builder) realIP(s *config.RealIPSettings, header string) *route.RealIP {
	if len(s.From) == 0 && !s.UnixFrom {
		return nil
	}
	key := realIPKey{networks: len(s.From), unixFrom: s.UnixFrom, header: header, recursive: s.Recursive}
	if len(s.From) > 0 {
		key.from = &s.From[0]
	}
	if done := b.shared.realIPs[key]; done != nil {
		return done
	}
	compiled := route.NewRealIP(&route.RealIPSpec{
		From: s.From, UnixFrom: s.UnixFrom, Header: header, Recursive: s.Recursive,
	})
	b.shared.realIPs[key] = compiled
	return compiled
}

// proxyHeader says how connections at a listener begin with the PROXY protocol's header.
func proxyHeader(info *shard.ListenerInfo, l *config.Listener) {
	if l.ProxyProtocol {
		info.ProxyProtocol, info.ProxyHeaderMs = true, max(ms(l.Default.Settings.ProxyProtocolTimeout), 1)
	}
}
