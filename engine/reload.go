package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/limit"
	"holdfast/observe"
	"holdfast/shard"
	"holdfast/upstream"
)

// reloads is what has come of reading the configuration again.
type reloads struct {
	wanted chan struct{} // holds a token while a reload is asked for and has not begun
	state  ReloadState   // belongs to serveReloads
	shown  atomic.Pointer[admin.ReloadInfo]
	file   stateFile
	ended  context.CancelFunc // of what watches for the present configuration
}

// ask has the configuration read again (HUP). Asking twice before it begins is asking once.
func (r *reloads) ask() {
	select {
	case r.wanted <- struct{}{}:
	default:
	}
}

// serveReloads reloads when asked to, until ctx ends: signals are answered meanwhile.
func (e *engine) serveReloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.reloads.wanted:
			e.reload(ctx)
		}
	}
}

// reload reads the configuration and puts it to use, or changes nothing, and tells how that
// went.
func (e *engine) reload(ctx context.Context) {
	s := &e.reloads.state
	s.Started++
	e.reloads.file.write(s)
	e.logger.Log(observe.LevelNotice, "reading the configuration again: %s", e.opt.ConfigPath)
	problems, err := e.replace(ctx)
	s.Finished, s.OK, s.Time, s.Problems = s.Started, err == nil, time.Now(), nil
	for _, p := range problems {
		s.Problems = append(s.Problems, p)
		level := observe.LevelError
		if strings.Contains(p, ": warning: ") {
			level = observe.LevelWarn
		}
		e.logger.LogAlways(level, p)
	}
	if err != nil {
		s.Failures++
		s.Problems = append(s.Problems, err.Error())
		e.logger.Log(observe.LevelError, "the configuration stays as it was: %v", err)
	} else {
		s.Generation++
		e.logger.Log(observe.LevelNotice, "the configuration is in use, generation %d", s.Generation)
	}
	e.publishReloads()
	e.reloads.file.write(s)
}

// publishReloads has status pages show what has come of reloads.
func (e *engine) publishReloads() {
	s := &e.reloads.state
	e.reloads.shown.Store(&admin.ReloadInfo{
		Generation: s.Generation, Last: s.Time, OK: s.OK, Succeeded: uint64(s.Finished) - s.Failures, Failed: s.Failures,
	})
}

// reloadInfo is for status pages.
func (e *engine) reloadInfo() admin.ReloadInfo {
	if info := e.reloads.shown.Load(); info != nil {
		return *info
	}
	return admin.ReloadInfo{Generation: 1, OK: true, Last: e.started}
}

// errBad is what a configuration with errors comes to; the problems say more.
var errBad = errors.New("the new configuration has errors")

// replacement is a configuration that was read and is about to be used.
type replacement struct {
	cfg    *config.Config
	built  *Built
	ports  *portChange
	errors *errorLogs
}

// replace reads the configuration and puts it to use. With an error nothing has changed.
// problems are warnings, or errors of the configuration.
func (e *engine) replace(ctx context.Context) (problems []string, err error) {
	if e.opt.Load == nil {
		return nil, errors.New("the configuration can't be read again: it came from no file")
	}
	cfg, found := e.opt.Load()
	problems = texts(found)
	if cfg == nil {
		return problems, errBad
	}
	cfg.Files = nil // the text is for printing only
	problems = append(problems, keepFixed(e.opt.ConfigPath, e.cfg, cfg)...)
	built, more := Build(cfg, e.process(), e.shared)
	problems = append(problems, texts(more)...)
	if built == nil {
		return problems, errBad
	}
	r := &replacement{cfg: cfg, built: built}
	if r.ports, err = e.changePorts(cfg.HTTP.Listeners); err != nil {
		return problems, err
	}
	problems = append(problems, r.ports.warnings...)
	if err = e.openLogs(built); err == nil {
		r.errors, err = e.openErrorLogs(cfg)
	}
	if err != nil {
		r.ports.abandon()
		return problems, err
	}
	if err := e.commit(ctx, r); err != nil {
		return problems, err
	}
	if text := rereadFiles(built); text != "" {
		problems = append(problems, text)
	}
	return append(problems, e.renamePID(cfg)...), nil
}

func texts(problems []config.Problem) (list []string) {
	for _, p := range problems {
		list = append(list, p.String())
	}
	return list
}

// commit has every shard use the replacement, unless the process is about to end.
func (e *engine) commit(ctx context.Context, r *replacement) error {
	watching, ended := context.WithCancel(ctx)
	e.watchNames(watching, r.built.names)
	e.changing.Lock()
	defer e.changing.Unlock()
	if e.draining.Load() {
		ended()
		r.ports.abandon()
		return errors.New("the process is ending")
	}
	e.openHandshakes(r.built.Snapshot, r.cfg)
	e.openAccess(r.built.Snapshot)
	e.changeShards(r)
	e.usePorts(r.ports)
	e.logger.use(r.errors)
	before, endBefore := e.built(), e.reloads.ended
	e.reloads.ended = ended
	e.use(r.built)
	e.cfg = r.cfg
	endBefore()
	e.health.Update(r.built.Checks)
	e.watchFiles(watching, r.built)
	e.removePeers(before, r.built)
	return nil
}

// changeShards gives the shards the replacement and waits until each of them uses it.
func (e *engine) changeShards(r *replacement) {
	sn := r.built.Snapshot
	used := make([]chan struct{}, len(e.shards))
	unlock := e.lockDealers()
	for i, sh := range e.shards {
		done := make(chan struct{})
		used[i] = done
		sockets := r.ports.socketsOf(i, len(sn.Listeners))
		ok := sh.Apply(&shard.Change{
			Snapshot: sn, Listeners: sockets, Tune: r.ports.tune, Logs: e.sinks, Errors: r.errors,
			ErrorLevel: r.errors.level, Handshakes: e.handshakes.Load(), Access: e.access.Load(),
		}, func() { close(done) })
		if !ok {
			shard.CloseNew(sockets)
			close(done)
		}
	}
	r.ports.renumberUnix()
	unlock()
	for _, done := range used {
		<-done
	}
}

// watch begins to watch over what a configuration depends on, until ctx ends or another one
// takes its place.
func (e *engine) watch(ctx context.Context, built *Built) {
	watching, ended := context.WithCancel(ctx)
	e.reloads.ended = ended
	e.watchNames(watching, built.names)
	e.health.Update(built.Checks)
	e.watchFiles(watching, built)
}

// watchFiles watches over the files of certificates and users.
func (e *engine) watchFiles(ctx context.Context, built *Built) {
	built.Certs.Keep(built.servers, built.clients)
	built.Users.Keep(built.Snapshot.Users)
	e.shared.Zones.Keep(built.rateZones())
	e.watchOver(built.Certs)
	go built.Certs.Watch(ctx)
	e.watchUsers(built.Users)
	go built.Users.Watch(ctx)
}

// rateZones are the tables of rates in use.
func (b *Built) rateZones() (list []*limit.RateZone) {
	for _, z := range b.Snapshot.RateZones {
		list = append(list, z.Zone)
	}
	return list
}

// built is the present configuration.
func (e *engine) built() *Built { return e.current.Load() }

// use makes built the present configuration, and keeps of what is shared what it uses.
func (e *engine) use(built *Built) {
	e.current.Store(built)
	e.shared.life.names, e.shared.life.resolvers = built.names, built.resolvers
}

// removePeers has the shards deal with the peers that groups have lost or got back.
func (e *engine) removePeers(before, after *Built) {
	old, now := map[*upstream.Peer]bool{}, map[*upstream.Peer]bool{}
	var back shard.Removal
	for _, g := range before.Snapshot.Groups {
		for _, p := range g.AppendPeers(nil) {
			old[p] = true
		}
	}
	for _, g := range after.Snapshot.Groups {
		for _, p := range g.AppendPeers(nil) {
			if now[p] = true; !old[p] {
				back.Back = append(back.Back, p)
			}
		}
	}
	e.each(func(sh *shard.Shard) { sh.Remove(back) })
	left := map[string][]*upstream.Peer{}
	for _, g := range before.Snapshot.Groups {
		removal, known := after.removals[g.Name]
		if !known {
			removal = before.removals[g.Name]
		}
		for _, p := range g.AppendPeers(nil) {
			if !now[p] {
				removal.Gone = append(removal.Gone, p)
			}
		}
		if len(removal.Gone) > 0 {
			left[g.Name] = removal.Gone
			e.each(func(sh *shard.Shard) { sh.Remove(removal) })
		}
	}
	keepLeft(before.names, after.names, left)
}

// keepLeft tells groups whose servers are resolved which peers have left before.
func keepLeft(before, after []*namedGroup, left map[string][]*upstream.Peer) {
	for _, n := range after {
		n.mu.Lock()
		for _, p := range left[n.group.Name] {
			n.left[p] = true
		}
		for _, o := range before {
			if o.group.Name != n.group.Name {
				continue
			}
			o.mu.Lock()
			for p := range o.left {
				n.left[p] = true
			}
			o.mu.Unlock()
		}
		for _, p := range n.group.AppendPeers(nil) {
			delete(n.left, p)
		}
		n.mu.Unlock()
	}
}

// keepFixed gives next the values of before that can't change while the process runs. The
// result says which were to.
func keepFixed(path string, before, next *config.Config) (warnings []string) {
	fixed := func(directive string, was, is any) {
		was, is = reflect.ValueOf(was).Elem().Interface(), reflect.ValueOf(is).Elem().Interface()
		if !reflect.DeepEqual(was, is) {
			warnings = append(warnings, fmt.Sprintf("%s: warning: %s takes effect at the next start", path, directive))
		}
	}
	b, n := &before.Main, &next.Main
	fixed("worker_processes", &b.WorkerProcesses, &n.WorkerProcesses)
	fixed("worker_rlimit_nofile", &b.WorkerRlimitNofile, &n.WorkerRlimitNofile)
	fixed("tunnels_min", &b.TunnelsMin, &n.TunnelsMin)
	fixed("admin", &b.Admin, &n.Admin)
	if b.User != nil && n.User != nil { // without the rights to change it, it is not read
		fixed("user", &b.User.UID, &n.User.UID)
	}
	n.WorkerProcesses, n.WorkerRlimitNofile, n.TunnelsMin = b.WorkerProcesses, b.WorkerRlimitNofile, b.TunnelsMin
	n.Admin, n.User = b.Admin, b.User
	fixed("worker_connections", &before.Events.WorkerConnections, &next.Events.WorkerConnections)
	fixed("listen_steering", &before.Events.Steering, &next.Events.Steering)
	fixed("ssl_handshakes", &before.Events.Handshakes, &next.Events.Handshakes)
	fixed("ssl_ktls", &before.Events.KernelTLS, &next.Events.KernelTLS)
	next.Events = before.Events
	return warnings
}
