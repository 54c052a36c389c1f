package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"holdfast/demo"
)

func newDemo(io streams) *cobra.Command {
	opt := demo.Options{Out: io.out}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try holdfast in a browser: a page, an echo backend, thousands of tunnels",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			opt.Start = func(ctx context.Context, text string) (*demo.Proxy, error) {
				return startChild(ctx, text, io.err)
			}
			return demo.Run(ctx, opt)
		},
	}
	cmd.Flags().StringVar(&opt.Listen, "listen", demo.DefaultListen, "the page's address; the next free port if taken")
	cmd.Flags().StringVar(&opt.Admin, "admin", demo.DefaultAdmin, "the admin listener's; the next free port if taken")
	return cmd
}

const (
	startLimit = 30 * time.Second
	stopLimit  = 10 * time.Second
)

// startChild runs this very program as `holdfast run` in a process of its own, so
// that the memory the demo shows is the proxy's alone, and returns once it listens.
func startChild(ctx context.Context, text string, stderr io.Writer) (*demo.Proxy, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "holdfast-demo-")
	if err != nil {
		return nil, err
	}
	proxy, err := startIn(ctx, dir, text, exec.Command(self, "run", "-p", dir, "-c", "nginx.conf"), stderr)
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return proxy, err
}

func startIn(ctx context.Context, dir, text string, cmd *exec.Cmd, stderr io.Writer) (*demo.Proxy, error) {
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd.Stderr = stderr
	// Its own group, so that Ctrl-C reaches the demo alone, which then stops it in
	// order; and it must not outlive a demo that was killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- cmd.Wait()
		close(ended)
	}()
	stop := func() {
		_ = cmd.Process.Signal(fastStop)
		select {
		case <-ended:
		case <-time.After(stopLimit):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = os.RemoveAll(dir)
	}
	if err := waitReady(ctx, filepath.Join(dir, "holdfast.pid"), cmd.Process.Pid, done); err != nil {
		stop()
		return nil, err
	}
	return &demo.Proxy{PID: cmd.Process.Pid, Done: done, Stop: stop}, nil
}

// waitReady waits until the pid file holds pid: a proxy writes it once its ports
// listen.
func waitReady(ctx context.Context, pidFile string, pid int, done <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				err = errors.New("it ended at once")
			}
			return fmt.Errorf("the proxy did not start: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the proxy did not start: %w", ctx.Err())
		case <-tick.C:
			text, err := os.ReadFile(pidFile)
			if err == nil && string(bytes.TrimSpace(text)) == strconv.Itoa(pid) {
				return nil
			}
		}
	}
}
