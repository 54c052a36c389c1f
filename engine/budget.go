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

// Descriptors is what a process needs file descriptors for besides its sessions. A
// session takes two, each pipe of a shard two.
type Descriptors struct {
	Shards int
	Fixed  int // of the process and its shards: logs, runtime, admin, epoll, listeners, files
	Idle   int // idle connections to upstream servers, per shard
}

// descriptors adds up what the configuration needs: one descriptor for an idle
// connection to an upstream server, and one for a file being sent, where files are
// served at all.
func descriptors(cfg *config.Config, shards int) Descriptors {
	d := Descriptors{Shards: shards, Fixed: fdsReserve + shards*(fdsPerShard+len(cfg.HTTP.Listeners))}
	if cfg.Main.Admin != nil {
		d.Fixed += fdsAdmin
	}
	if servesFiles(cfg) {
		d.Fixed += shards * shard.FilesMax
	}
	if mirrors(cfg) {
		d.Fixed += mirrorsMax
	}
	d.Fixed += checkDescriptors(cfg)
	for _, u := range cfg.HTTP.Upstreams {
		d.Idle += u.Keepalive
	}
	return d
}

// Files is the number of open files that so many sessions on each shard need.
func (d Descriptors) Files(sessions int) uint64 {
	return uint64(d.Fixed + d.Shards*(2*sessions+2*pipesPerShard+min(d.Idle, sessions)))
}

// Sessions is the number of sessions on each shard that a limit of open files allows.
func (d Descriptors) Sessions(limit uint64) int {
	sessions, _ := d.allowed(limit)
	return sessions
}

// filesMax is more than any limit of open files can be (fs.nr_open is an int).
const filesMax = 1 << 32

// allowed shares a limit among the sessions and the pipes of each shard. Both get at
// least one, even where the limit is too low for it.
func (d Descriptors) allowed(limit uint64) (sessions, pipes int) {
	free := max(int(min(limit, filesMax))-d.Fixed, 0) / d.Shards
	pipes = min(pipesPerShard, max(free/16, 1))
	idle := min(d.Idle, free/16)
	return max((free-2*pipes-idle)/2, 1), pipes
}

// plan raises the limit of open files to what the configuration asks for and lowers
// the sessions to what it allows.
func plan(cfg *config.Config, shards int) (budget, error) {
	b := budget{sessionsMax: cfg.Events.WorkerConnections, pipesMax: pipesPerShard}
	d := descriptors(cfg, shards)
	need := d.Files(b.sessionsMax)
	wanted := uint64(cfg.Main.WorkerRlimitNofile)
	if wanted == 0 {
		wanted = max(need, sys.FileLimit())
	}
	limit, errno := sys.RaiseFileLimit(wanted)
	if errno != 0 {
		return b, fmt.Errorf("setrlimit(RLIMIT_NOFILE): %w", errno)
	}
	b.fds = limit
	if limit < need {
		sessions, pipes := d.allowed(limit)
		b.sessionsMax, b.pipesMax = min(b.sessionsMax, sessions), pipes
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
		if s.Return != nil || s.TunnelPass != nil && len(s.Locations)+len(s.Named) == 0 {
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
	passes := l.ProxyPass != nil || l.TunnelPass != nil
	return l.Return == nil && (l.TryFiles != nil || !passes) || slices.ContainsFunc(l.Inner(), mayBeFile)
}

// takesAll says whether a location matches every path.
func takesAll(l *config.Location) bool {
	return (l.Modifier == config.Prefix || l.Modifier == config.PrefixNoRegex) && l.Pattern == "/"
}
