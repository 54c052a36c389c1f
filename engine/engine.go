// Package engine assembles a holdfast from a configuration and runs it: sockets,
// shards, logs, the admin listener, signals, and the end.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/access"
	"holdfast/admin"
	"holdfast/config"
	"holdfast/health"
	"holdfast/internal/steer"
	"holdfast/mirror"
	"holdfast/observe"
	"holdfast/route"
	"holdfast/shard"
	"holdfast/tlsio"
)

// Options say what to run.
type Options struct {
	Config     *config.Config // checked: Check found no error in it
	ConfigPath string         // for status pages
	Version    string         // for $nginx_version and status pages
	Stderr     io.Writer      // gets the line of the budget and what the logs report
	Ready      func()         // called once the ports listen and the pid file is written
	// Load reads the configuration again (HUP); nil: that can't be done. The problems are all that
	// reading shows, with an error among them the result is nil.
	Load func() (*config.Config, []config.Problem)
}

// engine is one running proxy.
type engine struct {
	opt     Options
	cfg     *config.Config
	budget  budget
	shared  Shared
	current atomic.Pointer[Built]
	logs    *admin.Logs
	logger  *processLog
	sinks   []shard.LogSink // of all logs, by number
	trouble logTrouble      // what the logs report
	sockets *sockets
	ports   ports
	// changing is held while the shards get another configuration, and while they begin to end.
	changing sync.Mutex
	reloads  reloads
	steering *steer.Steering // nil: the kernel's hash chooses
	shards   []*shard.Shard
	admin    *admin.Server
	adminOn  net.Listener
	pid      pidFile
	signals  chan os.Signal
	// shutdownTimer ends a graceful end (worker_shutdown_timeout); nil: none has begun.
	shutdownTimer *time.Timer
	dealers       sync.WaitGroup // the goroutines that accept on unix sockets
	nextID        atomic.Uint64
	started       time.Time
	draining      atomic.Bool
	scavenger     *scavenger
	// handshakes is nil where nothing speaks TLS.
	handshakes atomic.Pointer[tlsio.Pool]
	// access is nil where nobody is asked for a password.
	access  atomic.Pointer[access.Pool]
	health  *health.Set
	mirrors *mirror.Pool
}

// logsCloseLimit is how long the end waits for logs to be written.
const logsCloseLimit = 5 * time.Second

// Run runs the configuration until ctx ends or a signal stops it: TERM and INT at
// once, QUIT once requests and tunnels have come to their end. USR1 reopens the logs.
func Run(ctx context.Context, opt Options) error {
	if opt.Stderr == nil {
		opt.Stderr = os.Stderr
	}
	e := &engine{
		opt: opt, cfg: opt.Config, shared: NewShared(), started: time.Now(),
		scavenger: newScavenger(),
	}
	e.logger, e.reloads.wanted = &processLog{}, make(chan struct{}, 1)
	e.trouble.stderr, e.trouble.logger = opt.Stderr, e.logger
	e.logs = admin.NewLogs(&e.trouble)
	defer e.closeLogs()
	// From here on, so that a signal right behind the pid file finds its reader.
	e.listenForSignals()
	defer signal.Stop(e.signals)
	if err := e.assemble(); err != nil {
		e.abandon()
		return err
	}
	defer e.pid.remove()
	defer e.reloads.file.remove()
	defer e.steering.Close()
	e.serve(ctx)
	return nil
}

// assemble does all that may fail, in the order that makes failures cheap: nothing is
// bound before the configuration stands. Files are opened while the process may, then
// it becomes the configured user.
func (e *engine) assemble() error {
	n := e.shardCount()
	built, _ := Build(e.cfg, e.process(), e.shared)
	if built == nil {
		return errors.New("the configuration was not checked before it was run")
	}
	e.use(built)
	var err error
	if e.budget, err = plan(e.cfg, n); err != nil {
		return err
	}
	e.budget.growTable(n)
	if e.sockets, err = openSockets(e.cfg.HTTP.Listeners, n, false); err != nil {
		return err
	}
	e.ports = newPorts(e.cfg.HTTP.Listeners, e.sockets, e.shared.life.number)
	errorLog, err := e.openErrorLogs(e.cfg)
	if err != nil {
		return err
	}
	e.logger.use(errorLog)
	e.steerListeners(n)
	if err := e.openAdmin(); err != nil {
		return err
	}
	if err := e.makeShards(n, errorLog); err != nil {
		return err
	}
	if err := e.pid.write(e.cfg.Main.PID, e.cfg.Main.User); err != nil {
		return err
	}
	e.openState()
	return e.dropPrivileges()
}

// process is what variables say about the process.
func (e *engine) process() route.Process {
	hostname, _ := os.Hostname()
	return route.Process{PID: os.Getpid(), Hostname: hostname, Version: e.opt.Version}
}

// abandon gives back what a start that failed has taken. The shards' sockets end with
// the process.
func (e *engine) abandon() {
	e.steering.Close()
	if e.sockets != nil {
		e.sockets.close()
	}
	if e.adminOn != nil {
		_ = e.adminOn.Close()
	}
	e.closePools()
	e.pid.remove()
}

// shardCount settles worker_processes and the number of threads that run Go code: two
// more than there are shards, since a shard's thread must never wait for its turn.
func (e *engine) shardCount() int {
	n := shardsOf(e.cfg)
	runtime.GOMAXPROCS(n + 2) // openHandshakes and openAccess add their workers
	return n
}

func (e *engine) makeShards(n int, errorLog *errorLogs) error {
	if err := e.openLogs(e.built()); err != nil {
		return err
	}
	e.openHandshakes(e.built().Snapshot, e.cfg)
	e.openAccess(e.built().Snapshot)
	e.mirrors = newMirrors()
	e.health = e.newHealth()
	kernel, totals := e.kernelTLS(), shard.NewTotals(n)
	paceCollections()
	for i := range n {
		sh, err := shard.New(shard.Options{
			Index: i, SessionsMax: e.budget.sessionsMax, InFlightMax: inFlightPerCore, PipesMax: e.budget.pipesMax,
			Policies: e.shared.Policies, TunnelCounts: e.shared.TunnelCounts,
			Peers: e.shared.Registry, Snapshot: e.built().Snapshot, Logs: e.sinks, Errors: errorLog,
			ErrorLevel: errorLog.level, NextID: func() uint64 { return e.nextID.Add(1) }, Pid: os.Getpid(),
			Quiet: e.scavenger.notice, Load: e.steering.Load(i), Handshakes: e.handshakes.Load(), Zones: e.shared.Zones,
			KernelTLS: kernel, Access: e.access.Load(), Totals: totals, Mirrors: e.mirrors,
		}, e.sockets.tcp[i])
		if err != nil {
			return err
		}
		e.sockets.tcp[i] = nil // the shard's from here on
		e.shards = append(e.shards, sh)
	}
	return nil
}

// serve starts everything, says so, and waits for the end.
func (e *engine) serve(ctx context.Context) {
	running, ended := context.WithCancel(ctx)
	defer ended()
	e.watch(running, e.built())
	defer e.health.Close()
	for _, sh := range e.shards {
		go sh.Run()
	}
	for _, u := range e.sockets.unix {
		e.dealers.Go(func() { acceptUnix(u, e.shards) })
	}
	if e.admin != nil {
		go func() {
			if err := e.admin.Serve(); err != nil {
				e.logger.Log(observe.LevelAlert, "admin listener: %v", err)
			}
		}()
	}
	go e.scavenger.run(running)
	go e.serveReloads(running)
	e.opt.Config = nil // the present one is e.cfg
	e.announce()
	if e.opt.Ready != nil {
		e.opt.Ready()
	}
	e.waitForEnd(ctx)
	e.closePools()
	if e.admin != nil {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.admin.Shutdown(closing)
	}
}

// closePools ends what works for the shards on goroutines of its own.
func (e *engine) closePools() {
	if pool := e.handshakes.Load(); pool != nil {
		pool.Close()
	}
	if pool := e.access.Load(); pool != nil {
		pool.Close()
	}
	if e.mirrors != nil {
		e.mirrors.Close(mirrorsEndAfter)
	}
}

// announce prints the budget in one line.
func (e *engine) announce() {
	n := len(e.shards)
	text := fmt.Sprintf("%d shards, %d sessions at most, %d open files, %d MiB of bytes in flight",
		n, n*e.budget.sessionsMax, e.budget.fds, n*inFlightPerCore>>20)
	fmt.Fprintf(e.opt.Stderr, "holdfast %s: %s\n", e.opt.Version, text)
	e.logger.Log(observe.LevelNotice, "started: %s", text)
	if e.budget.lowered {
		text := fmt.Sprintf("%d worker_connections exceed what %d open files allow; using %d: raise the limit with "+
			"worker_rlimit_nofile, LimitNOFILE= of systemd, or ulimit -n",
			e.cfg.Events.WorkerConnections, e.budget.fds, e.budget.sessionsMax)
		e.logger.Log(observe.LevelWarn, "%s", text)
		fmt.Fprintf(e.opt.Stderr, "holdfast: warning: %s\n", text)
	}
}
