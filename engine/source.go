package engine

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"

	"holdfast/admin"
	"holdfast/observe"
	"holdfast/shard"
	"holdfast/upstream"
)

// openAdmin binds the admin listener, if there is one.
func (e *engine) openAdmin() error {
	at := e.cfg.Main.Admin
	if at == nil {
		return nil
	}
	network, address := "tcp", at.IP.String()
	if at.Unix != "" {
		network, address = "unix", at.Unix
		removeStale(address)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		var errno syscall.Errno
		errors.As(err, &errno)
		return bindError("admin "+at.String(), *at, errno, err)
	}
	if at.Unix != "" && !isAbstract(address) {
		_ = os.Chmod(address, 0o600)
	}
	e.adminOn = l
	e.admin = admin.New(admin.Options{Listener: l, Source: e, Logs: e.logs})
	return nil
}

// Counters is part of admin.Source.
func (e *engine) Counters() []observe.Counters {
	list := make([]observe.Counters, 0, len(e.shards))
	e.each(func(sh *shard.Shard) {
		if c, ok := sh.Counters(); ok {
			list = append(list, c)
		}
	})
	return list
}

// Info is part of admin.Source.
func (e *engine) Info() admin.Info {
	info := admin.Info{
		Version: e.opt.Version, Pid: os.Getpid(), StartTime: e.started, Shards: len(e.shards),
		SessionsMax: e.budget.sessionsMax * len(e.shards), FdsMax: int(e.budget.fds), ConfigPath: e.opt.ConfigPath,
		Draining: e.draining.Load(), StateNames: shard.StateNames(), Limits: append(e.limitInfos(), e.tunnelInfos()...),
	}
	if pool := e.handshakes.Load(); pool != nil {
		info.HandshakesActive, info.HandshakesQueued, _ = pool.Stats()
	}
	info.Reload = e.reloadInfo()
	info.Sticky = stickyInfos(e.built().Snapshot)
	info.Resolver = resolverStats(e.built().Snapshot)
	info.Mirrors = mirrorInfo(e.mirrors)
	nowMs := shard.NowMs()
	groups := map[string]*upstream.Group{}
	for _, g := range e.built().Snapshot.Groups {
		groups[g.Name] = g
	}
	for _, p := range e.shared.Registry.AppendPeers(nil) {
		if p.Group == shard.ConnectGroup {
			info.Peers = addConnect(info.Peers, p)
			continue
		}
		g := groups[p.Group]
		info.Peers = append(info.Peers, admin.PeerInfo{
			Group: p.Group, Name: p.Name, Tunnels: p.Tunnels.Load(), Connections: p.Connections.Load(),
			Requests: p.Requests.Load(), Fails: p.Fails.Load(), Available: g != nil && g.Available(p, nowMs),
			Health: healthInfo(p),
		})
	}
	return info
}

// addConnect adds a peer to the one that stands for all that clients asked for by CONNECT:
// their addresses are no labels.
func addConnect(peers []admin.PeerInfo, p *upstream.Peer) []admin.PeerInfo {
	i := slices.IndexFunc(peers, func(o admin.PeerInfo) bool { return o.Group == shard.ConnectGroup })
	if i < 0 {
		i = len(peers)
		peers = append(peers, admin.PeerInfo{Group: shard.ConnectGroup, Name: "*", Available: true})
	}
	peers[i].Tunnels += p.Tunnels.Load()
	peers[i].Connections += p.Connections.Load()
	peers[i].Requests += p.Requests.Load()
	peers[i].Fails += p.Fails.Load()
	return peers
}
