package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"holdfast/engine"
)

// reloadWait is how long the running process may take to read its configuration.
const reloadWait = time.Minute

// reloadPoll is the time between two looks at how it went.
const reloadPoll = 5 * time.Millisecond

func newReload(src *source, io streams) *cobra.Command {
	wait := reloadWait
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the running holdfast read its configuration again (HUP)",
		Long: "reload checks the configuration, tells the running process to put it to use, and waits until it does.\n" +
			"No connection ends. It exits with 1, and nothing has changed, if the configuration can't be used.\n" +
			"Give the -c, -p and -g that the process was started with.",
		Example: "  holdfast reload -c nginx.conf",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return reload(*src, io, wait) },
	}
	cmd.Flags().DurationVar(&wait, "wait", reloadWait, "how long to wait for the result")
	return cmd
}

// reload checks the configuration as the running process will, so that its problems show here,
// signals, and waits for the result.
func reload(src source, io streams, wait time.Duration) error {
	cfg, problems := src.load()
	for _, p := range problems {
		fmt.Fprintln(io.err, p)
	}
	if cfg == nil {
		fmt.Fprintln(io.err, "holdfast: the configuration has errors; nothing was changed")
		return errSaid
	}
	pidFile := cfg.Main.PID
	pid, err := runningPID(pidFile)
	if err != nil {
		return err
	}
	before, err := stateOf(pidFile, pid)
	if err != nil {
		return err
	}
	if path, err := filepath.Abs(src.path()); before != nil && err == nil && path != before.Config {
		return fmt.Errorf("process %d runs with %s, not with %s: give its -c and -p", pid, before.Config, path)
	}
	if err := syscall.Kill(pid, reloadConf); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if before == nil {
		fmt.Fprintf(io.err, "holdfast: process %d was told to reload; how that went its error log says\n", pid)
		return nil
	}
	after, err := awaitReload(pidFile, pid, before, wait)
	if err != nil {
		return err
	}
	for _, p := range after.Problems {
		fmt.Fprintln(io.err, p)
	}
	if !after.OK {
		fmt.Fprintf(io.err, "holdfast: process %d goes on with the configuration it had\n", pid)
		return errSaid
	}
	fmt.Fprintf(io.err, "holdfast: the configuration is in use, generation %d\n", after.Generation)
	return nil
}

// stateOf is what the process tells about its reloads; nil if it tells nothing.
func stateOf(pidFile string, pid int) (*engine.ReloadState, error) {
	s, err := engine.ReadState(pidFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.PID != pid {
		return nil, nil
	}
	return s, err
}

// awaitReload waits for the end of a reload that began after before was read.
func awaitReload(pidFile string, pid int, before *engine.ReloadState, wait time.Duration) (*engine.ReloadState, error) {
	for deadline := time.Now().Add(wait); ; time.Sleep(reloadPoll) {
		s, err := stateOf(pidFile, pid)
		if err != nil {
			return nil, err
		}
		if s != nil && s.Finished > before.Started {
			return s, nil
		}
		if ended(pid) {
			return nil, fmt.Errorf("process %d has ended", pid)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("process %d has not read its configuration within %v; its error log may say why", pid, wait)
		}
	}
}
