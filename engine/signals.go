package engine

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"holdfast/observe"
	"holdfast/shard"
)

// listenForSignals takes over the signals, among them those of a terminal that goes
// away and of a pipe behind stderr that nobody reads any more: neither ends tunnels.
func (e *engine) listenForSignals() {
	signal.Ignore(syscall.SIGPIPE)
	e.signals = make(chan os.Signal, 8)
	signal.Notify(e.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGHUP)
}

// waitForEnd answers signals until all shards have ended.
func (e *engine) waitForEnd(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		for _, sh := range e.shards {
			<-sh.Done()
		}
		close(ended)
	}()
	stop := ctx.Done()
	for {
		select {
		case <-ended:
			if e.shutdownTimer != nil {
				e.shutdownTimer.Stop()
			}
			return
		case <-stop:
			stop = nil
			e.stop("the context ended")
		case s := <-e.signals:
			e.onSignal(s)
		}
	}
}

func (e *engine) onSignal(s os.Signal) {
	switch s {
	case syscall.SIGTERM, syscall.SIGINT:
		e.stop(fmt.Sprintf("signal %v", s))
	case syscall.SIGQUIT:
		e.changing.Lock()
		defer e.changing.Unlock()
		e.draining.Store(true)
		e.logger.Log(observe.LevelNotice, "signal %v: no new connections; requests and tunnels come to their end", s)
		e.closeUnix()
		e.each((*shard.Shard).Quit)
		if limit := e.cfg.Main.ShutdownTimeout; limit > 0 {
			e.shutdownTimer = time.AfterFunc(limit, func() { e.stop("worker_shutdown_timeout has passed") })
		}
	case syscall.SIGUSR1:
		if err := e.logs.Reopen(); err != nil {
			e.logger.Log(observe.LevelAlert, "reopening logs: %v", err)
		}
	case syscall.SIGHUP:
		e.reloads.ask()
	default:
		e.logger.Log(observe.LevelWarn, "signal %v: not in this version, nothing was changed", s)
	}
}

func (e *engine) stop(why string) {
	e.changing.Lock()
	defer e.changing.Unlock()
	e.draining.Store(true)
	e.logger.Log(observe.LevelNotice, "stopping: %s", why)
	e.closeUnix()
	e.each((*shard.Shard).Stop)
}

// closeUnix ends the accepting on unix sockets: no connection comes to a shard after
// it returned.
func (e *engine) closeUnix() {
	e.sockets.closeUnix()
	e.dealers.Wait()
}

func (e *engine) each(f func(*shard.Shard)) {
	for _, sh := range e.shards {
		f(sh)
	}
}

// dropPrivileges becomes the configured user once the ports are bound (user).
func (e *engine) dropPrivileges() error {
	u := e.cfg.Main.User
	if u == nil {
		return nil
	}
	for _, step := range []error{
		syscall.Setgroups(u.Groups), syscall.Setgid(u.GID), syscall.Setuid(u.UID),
	} {
		if step != nil {
			return fmt.Errorf("%s: becoming user %q: %w", u.Position, u.Name, step)
		}
	}
	return nil
}
