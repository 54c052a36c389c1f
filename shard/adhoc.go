package shard

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"holdfast/route"
	"holdfast/upstream"
)

// adHocMax bounds the groups a shard makes for addresses and names that proxy_pass renders.
// Past it the one is forgotten that was used least recently.
const adHocMax = 1024

// adHocKeepaliveMs is keepalive_time of an ad hoc group, as of an upstream block that
// does not say.
const adHocKeepaliveMs = 3600_000

// adHocGroups are the groups that the configuration doesn't have, by what proxy_pass rendered.
// They are kept until the configuration changes. Their peers and the idle connections to
// these are the registry's and the pool's, and outlive them.
type adHocGroups struct {
	byKey          map[string]*adHocGroup
	newest, oldest *adHocGroup
}

type adHocGroup struct {
	key          string
	group        *upstream.Group
	newer, older *adHocGroup
	// Of a name: who resolved it to what, and when it is to be asked again. The resolver of an
	// address is nil.
	resolver *upstream.Resolver
	addrs    []netip.Addr
	untilMs  int64
}

func (a *adHocGroups) len() int { return len(a.byKey) }

// get finds a group and makes it the newest; nil: there is none.
func (a *adHocGroups) get(key []byte) *adHocGroup {
	g := a.byKey[string(key)]
	if g != nil && g != a.newest {
		a.unlink(g)
		a.link(g)
	}
	return g
}

// put adds a group, or takes the place of the one with its key.
func (a *adHocGroups) put(g *adHocGroup) {
	if a.byKey == nil {
		a.byKey = map[string]*adHocGroup{}
	}
	gone := a.byKey[g.key]
	if gone == nil && len(a.byKey) >= adHocMax {
		gone = a.oldest
	}
	if gone != nil {
		a.unlink(gone)
		delete(a.byKey, gone.key)
	}
	a.byKey[g.key] = g
	a.link(g)
}

func (a *adHocGroups) link(g *adHocGroup) {
	g.older, g.newer = a.newest, nil
	if a.newest != nil {
		a.newest.newer = g
	} else {
		a.oldest = g
	}
	a.newest = g
}

func (a *adHocGroups) unlink(g *adHocGroup) {
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		a.newest = g.older
	}
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		a.oldest = g.newer
	}
}

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

// adHocKey appends what tells targets apart: path, or host and port, in lower case.
func adHocKey(dst []byte, target *route.Endpoint) []byte {
	if len(target.Unix) > 0 {
		return append(append(dst, "unix:"...), target.Unix...)
	}
	for _, c := range target.Host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return append(append(dst, ':'), target.Port...)
}

// adHocGroup is a group of one peer for an IP address or a unix socket's path that the
// configuration doesn't have, or nil if target is neither.
func (sh *Shard) adHocGroup(target *route.Endpoint) *upstream.Group {
	key := adHocKey(sh.uri[:0], target)
	sh.uri = key[:0]
	if g := sh.adHoc.get(key); g != nil && g.resolver == nil {
		return g.group
	}
	server, ok := adHocServer(target)
	if !ok {
		return nil
	}
	g := sh.newAdHoc(server.Name, []upstream.ServerSpec{server})
	if g != nil {
		sh.adHoc.put(&adHocGroup{key: string(key), group: g})
	}
	return g
}

// newAdHoc makes a group with what an upstream block has that does not say; nil if the
// servers are none to connect to.
func (sh *Shard) newAdHoc(name string, servers []upstream.ServerSpec) *upstream.Group {
	g, err := upstream.NewGroup(sh.opt.Peers, upstream.GroupSpec{
		Name: name, Number: -1, Servers: servers,
		Keepalive:          upstream.DefaultKeepalive,
		KeepaliveRequests:  upstream.DefaultKeepaliveRequests,
		KeepaliveTimeoutMs: upstream.DefaultKeepaliveTimeoutMs,
		KeepaliveTimeMs:    adHocKeepaliveMs,
	})
	if err != nil {
		return nil
	}
	return g
}

// namedGroup is the group of what a name stands for. While that is the same it is the same
// group, so that its peers are used in turn.
func (sh *Shard) namedGroup(w *nameWait, a *upstream.Answer) *upstream.Group {
	untilMs := sh.nowMs + a.Valid.Milliseconds()
	if known := sh.adHoc.get([]byte(w.key)); known != nil && known.resolver == w.resolver &&
		slices.Equal(known.addrs, a.Addrs) {
		known.untilMs = untilMs
		return known.group
	}
	servers := make([]upstream.ServerSpec, 0, len(a.Addrs))
	for _, addr := range a.Addrs {
		servers = append(servers, adHocAddr(netip.AddrPortFrom(addr, w.port)))
	}
	name, _, _ := strings.Cut(w.key, "#")
	g := sh.newAdHoc(name, servers)
	if g != nil {
		sh.adHoc.put(&adHocGroup{key: w.key, group: g, resolver: w.resolver, addrs: a.Addrs, untilMs: untilMs})
	}
	return g
}

func adHocAddr(addr netip.AddrPort) upstream.ServerSpec {
	return upstream.ServerSpec{
		Name: addr.String(), Addr: addr, Weight: 1,
		MaxFails: upstream.DefaultMaxFails, FailTimeoutMs: upstream.DefaultFailTimeoutMs,
	}
}

func adHocServer(target *route.Endpoint) (server upstream.ServerSpec, ok bool) {
	if len(target.Unix) > 0 {
		server = adHocAddr(netip.AddrPort{})
		server.Unix = string(target.Unix)
		server.Name = "unix:" + server.Unix
		return server, true
	}
	host := bytes.TrimSuffix(bytes.TrimPrefix(target.Host, []byte("[")), []byte("]"))
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Zone() != "" {
		return server, false
	}
	port, ok := portOf(target.Port)
	return adHocAddr(netip.AddrPortFrom(addr, port)), ok
}

func portOf(text []byte) (port uint16, ok bool) {
	number, err := strconv.ParseUint(string(text), 10, 16)
	return uint16(number), err == nil
}
