package engine

import (
	"runtime"
	"slices"
	"sync"

	"go.uber.org/automaxprocs/maxprocs"

	"holdfast/config"
	"holdfast/internal/sys"
)

// Sizing is what a configuration means for the size of a machine, in plain numbers.
type Sizing struct {
	Shards        int
	SessionsMax   int    // worker_connections, per shard
	FilesAsked    uint64 // worker_rlimit_nofile; 0 if not written
	Descriptors   Descriptors
	InFlightMax   int64 // bytes that all shards hold for sessions at most
	PipesMax      int   // per shard
	KeepaliveDown int   // seconds of silence before a probe to a client; 0: no probes
	KeepaliveUp   int   // the same to an upstream server
	Backlog       int   // the shortest accept queue asked for
	Ports         []int // that the process listens on
	Upstreams     []UpstreamSize
	TLS           bool // some listener speaks TLS
	Variables     bool // a proxy_pass with variables: its servers are not known here
}

// UpstreamSize is how many distinct addresses an upstream has for tunnels.
type UpstreamSize struct {
	Name      string
	Addresses []string // "address:port" of the servers that are neither backup nor down
	Unix      bool     // some are unix sockets, which need no ports
}

// SizingOf reads a configuration.
func SizingOf(cfg *config.Config) Sizing {
	n := shardsOf(cfg)
	s := Sizing{
		Shards: n, SessionsMax: cfg.Events.WorkerConnections, FilesAsked: uint64(cfg.Main.WorkerRlimitNofile),
		Descriptors: descriptors(cfg, n), InFlightMax: int64(n) * inFlightPerCore, PipesMax: pipesPerShard,
	}
	if cfg.HTTP.Settings.Proxy.SocketKeepalive {
		s.KeepaliveUp = sys.SpreadIdleMean
	}
	if a := cfg.Main.Admin; a != nil && a.Unix == "" {
		s.Ports = append(s.Ports, int(a.IP.Port()))
	}
	for _, l := range cfg.HTTP.Listeners {
		s.addListener(l)
	}
	slices.Sort(s.Ports)
	s.Ports = slices.Compact(s.Ports)
	for _, u := range slices.Concat(cfg.HTTP.Upstreams, cfg.Stream.Upstreams) {
		s.Upstreams = append(s.Upstreams, upstreamSize(u))
	}
	for _, server := range cfg.HTTP.Servers {
		s.Variables = s.Variables || slices.ContainsFunc(server.Locations, passesVariables) ||
			slices.ContainsFunc(server.Named, passesVariables)
	}
	return s
}

func (s *Sizing) addListener(l *config.Listener) {
	o := listenOptions(l)
	if s.Backlog == 0 || o.Backlog < s.Backlog {
		s.Backlog = o.Backlog
	}
	if l.Addr.Unix != "" {
		return
	}
	s.Ports = append(s.Ports, int(l.Addr.IP.Port()))
	s.TLS = s.TLS || l.SSL
	idle := o.Keepalive.Idle
	if spreadsKeepalive(l) {
		idle = sys.SpreadIdleMean
	}
	if o.Keepalive.On && (s.KeepaliveDown == 0 || idle < s.KeepaliveDown) {
		s.KeepaliveDown = idle
	}
}

func upstreamSize(u *config.Upstream) UpstreamSize {
	size := UpstreamSize{Name: u.Name}
	for _, server := range u.Servers {
		if server.Backup || server.Down {
			continue
		}
		for _, a := range server.Addrs {
			if a.Unix != "" {
				size.Unix = true
			} else if !slices.Contains(size.Addresses, a.String()) {
				size.Addresses = append(size.Addresses, a.String())
			}
		}
	}
	return size
}

func passesVariables(l *config.Location) bool {
	return l.ProxyPass != nil && l.ProxyPass.Variables || slices.ContainsFunc(l.Inner(), passesVariables)
}

// shardsOf is worker_processes, or for auto the cores this process may use.
func shardsOf(cfg *config.Config) int {
	if n := cfg.Main.WorkerProcesses; n != 0 {
		return n
	}
	return Cores()
}

// Cores is the number of cores this process may use: a container's quota counts as its
// number of cores. It is settled at the first call, since Run sets GOMAXPROCS.
var Cores = sync.OnceValue(func() int {
	_, _ = maxprocs.Set()
	return runtime.GOMAXPROCS(0)
})
