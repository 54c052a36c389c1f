package engine

import (
	"fmt"
	"slices"

	"holdfast/config"
	"holdfast/internal/sys"
	"holdfast/shard"
)

// What a process is given besides the two sockets of each session.
const (
	pipesPerShard   = 256
	fdsReserve      = 64                    // logs, and what the Go runtime opens
	fdsAdmin        = 129                   // the admin listener and its connections
	fdsPerShard     = 4 + shard.RefusalsMax // epoll, its eventfd, and room
	inFlightPerCore = 128 << 20
)

// budget is what the process may hold at a time, settled once at start.
type budget struct {
	sessionsMax int // per shard
	pipesMax    int // per shard
	fds         uint64
	lowered     bool // worker_connections asks for more than the descriptors allow
}

// plan raises the limit of open files to what the configuration asks for and lowers
// the sessions to what it allows. Two descriptors go to a session, two to a pipe, one
// to an idle connection to an upstream server, and one to a file being sent, where files
// are served at all.
func plan(cfg *config.Config, shards int) (budget, error) {
	b := budget{sessionsMax: cfg.Events.WorkerConnections, pipesMax: pipesPerShard}
	fixed := fdsReserve + shards*(fdsPerShard+len(cfg.HTTP.Listeners))
	if cfg.Main.Admin != nil {
		fixed += fdsAdmin
	}
	if servesFiles(cfg) {
		fixed += shards * shard.FilesMax
	}
	idle := 0 // per shard
	for _, u := range cfg.HTTP.Upstreams {
		idle += u.Keepalive
	}
	idle = min(idle, b.sessionsMax)
	need := fixed + shards*(2*b.sessionsMax+2*b.pipesMax+idle)
	wanted := uint64(cfg.Main.WorkerRlimitNofile)
	if wanted == 0 {
		wanted = max(uint64(need), sys.FileLimit())
	}
	limit, errno := sys.RaiseFileLimit(wanted)
	if errno != 0 {
		return b, fmt.Errorf("setrlimit(RLIMIT_NOFILE): %w", errno)
	}
	b.fds = limit
	if limit < uint64(need) {
		free := max(int(limit)-fixed, 0) / shards
		b.pipesMax = min(b.pipesMax, max(free/16, 1))
		idle = min(idle, free/16)
		b.sessionsMax = min(b.sessionsMax, max((free-2*b.pipesMax-idle)/2, 1))
		b.lowered = b.sessionsMax < cfg.Events.WorkerConnections
	}
	if total := b.sessionsMax * shards; total < cfg.Main.TunnelsMin {
		return b, fmt.Errorf("tunnels_min %d can't be held: worker_connections and the limit of %d open files "+
			"allow %d; raise worker_connections and worker_rlimit_nofile (ulimit -n)", cfg.Main.TunnelsMin, limit, total)
	}
	return b, nil
}

// growTable makes room for all descriptors at once.
func (b *budget) growTable(shards int) {
	used := fdsReserve + shards*2*(b.sessionsMax+b.pipesMax)
	sys.GrowFileTable(min(used, int(b.fds)))
}

// servesFiles says whether a request may be answered with a file: in a location with
// neither proxy_pass nor return, by try_files, or where no location matches.
func servesFiles(cfg *config.Config) bool {
	for _, s := range cfg.HTTP.Servers {
		if s.Return != nil {
			continue
		}
		if s.TryFiles != nil || !slices.ContainsFunc(s.Locations, takesAll) ||
			slices.ContainsFunc(s.Locations, mayBeFile) || slices.ContainsFunc(s.Named, mayBeFile) {
			return true
		}
	}
	return false
}

func mayBeFile(l *config.Location) bool {
	return l.Return == nil && (l.TryFiles != nil || l.ProxyPass == nil) || slices.ContainsFunc(l.Nested, mayBeFile)
}

// takesAll says whether a location matches every path.
func takesAll(l *config.Location) bool {
	return (l.Modifier == config.Prefix || l.Modifier == config.PrefixNoRegex) && l.Pattern == "/"
}
