package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// What nginx's signals mean to a running holdfast.
const (
	fastStop     = syscall.SIGTERM
	gracefulStop = syscall.SIGQUIT
	reopenLogs   = syscall.SIGUSR1
	reloadConf   = syscall.SIGHUP
)

func newStop(src *source, io streams) *cobra.Command {
	var pidFile string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the running holdfast at once (TERM) and wait until it has ended",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if pidFile == "" {
				cfg, err := src.loaded(io)
				if err != nil {
					return err
				}
				pidFile = cfg.Main.PID
			}
			pid, err := runningPID(pidFile)
			if err != nil {
				return err
			}
			if err := syscall.Kill(pid, fastStop); err != nil {
				return fmt.Errorf("process %d: %w", pid, err)
			}
			return waitGone(pid, wait)
		},
	}
	cmd.Flags().StringVar(&pidFile, "pid", "", "pid file (default: the one the configuration names)")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the end")
	return cmd
}

// signalByPID sends a signal to the instance whose pid file the configuration
// names, and does not wait, as nginx -s.
func signalByPID(src source, io streams, signal syscall.Signal) error {
	cfg, err := src.loaded(io)
	if err != nil {
		return err
	}
	pid, err := runningPID(cfg.Main.PID)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}

// runningPID reads a pid file and makes sure that the process is one of our own
// kind: a stale file may name a number that someone else has got since.
func runningPID(file string) (int, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("not running: there is no pid file %s", file)
	}
	if err != nil {
		return 0, err
	}
	if len(text) == 0 {
		return 0, fmt.Errorf("not running: the pid file %s is empty", file)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || pid < 2 {
		return 0, fmt.Errorf("%s does not hold a process number", file)
	}
	name, err := processName(pid)
	if err != nil {
		return 0, fmt.Errorf("not running: process %d of %s is gone", pid, file)
	}
	if own, err := processName(os.Getpid()); err == nil && name != own {
		return 0, fmt.Errorf("not running: process %d of %s is now %q; remove the file", pid, file, name)
	}
	return pid, nil
}

// processName is the kernel's short name of a process's program, proc(5).
func processName(pid int) (string, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	return string(bytes.TrimSpace(text)), err
}

func waitGone(pid int, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if ended(pid) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d has not ended within %v", pid, limit)
		}
	}
}

// ended tells whether a process is gone, or dead and not yet reaped by its parent.
func ended(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return true
	}
	_, after, _ := bytes.Cut(text, []byte(") "))
	return bytes.HasPrefix(after, []byte("Z")) || bytes.HasPrefix(after, []byte("X"))
}
