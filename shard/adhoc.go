package shard

import (
	"bytes"
	"net/netip"
	"strconv"

	"holdfast/route"
	"holdfast/upstream"
)

// adHocMax bounds the groups a shard makes for addresses that proxy_pass renders. Past
// it all of them are forgotten; those in use are made again.
const adHocMax = 1024

// adHocKeepaliveMs is keepalive_time of an ad hoc group, as of an upstream block that
// does not say.
const adHocKeepaliveMs = 3600_000

// findGroup is the group of the configuration that a proxy_pass with variables leads
// to, or nil.
func (sn *Snapshot) findGroup(target *route.Endpoint) *upstream.Group {
	if len(target.Unix) > 0 {
		return sn.GroupByName["unix:"+string(target.Unix)]
	}
	if g := sn.GroupByName[string(target.Name)]; g != nil {
		return g
	}
	return sn.GroupByName[string(target.Host)+":"+string(target.Port)]
}

// adHocGroup is a group of one peer for an IP address or a unix socket's path that the
// configuration doesn't have, or nil if target is neither. The groups are kept until
// the configuration changes.
func (sh *Shard) adHocGroup(target *route.Endpoint) *upstream.Group {
	key := string(target.Name)
	if len(target.Unix) > 0 {
		key = "unix:" + string(target.Unix)
	}
	if g := sh.adHoc[key]; g != nil {
		return g
	}
	server, ok := adHocServer(target)
	if !ok {
		return nil
	}
	g, err := upstream.NewGroup(sh.opt.Peers, upstream.GroupSpec{
		Name: server.Name, Servers: []upstream.ServerSpec{server},
		Keepalive:          upstream.DefaultKeepalive,
		KeepaliveRequests:  upstream.DefaultKeepaliveRequests,
		KeepaliveTimeoutMs: upstream.DefaultKeepaliveTimeoutMs,
		KeepaliveTimeMs:    adHocKeepaliveMs,
	})
	if err != nil {
		return nil
	}
	if sh.adHoc == nil || len(sh.adHoc) >= adHocMax {
		sh.adHoc = map[string]*upstream.Group{}
	}
	sh.adHoc[key] = g
	return g
}

func adHocServer(target *route.Endpoint) (server upstream.ServerSpec, ok bool) {
	server = upstream.ServerSpec{
		Weight: 1, MaxFails: upstream.DefaultMaxFails, FailTimeoutMs: upstream.DefaultFailTimeoutMs,
	}
	if len(target.Unix) > 0 {
		server.Unix = string(target.Unix)
		server.Name = "unix:" + server.Unix
		return server, true
	}
	host := bytes.TrimSuffix(bytes.TrimPrefix(target.Host, []byte("[")), []byte("]"))
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Zone() != "" {
		return server, false
	}
	port, err := strconv.ParseUint(string(target.Port), 10, 16)
	if err != nil {
		return server, false
	}
	server.Addr = netip.AddrPortFrom(addr, uint16(port))
	server.Name = server.Addr.String()
	return server, true
}
