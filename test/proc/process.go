// Package proc is the harness of the process tests: it starts a proxy on ports of its
// own, talks to it over raw sockets, plays its backends, and checks after
// every test that nothing leaked and nothing alarming was logged.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Patience is how long the harness waits for anything that must happen. It is a
// deadline, never a measurement: only a failing test gets to see it pass.
const Patience = 60 * time.Second

// Command says how to launch a process.
type Command struct {
	Path string
	Args []string
	Env  []string // added to the environment of the caller
	Dir  string
	// Output is the file that receives standard output and standard error.
	Output string
	// User runs the process as somebody else; nil keeps the caller.
	User *syscall.Credential
	// OrphanSignal is sent to the process when its starter dies; zero means SIGKILL.
	OrphanSignal syscall.Signal
}

// Process is a running child in a process group of its own.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Launch starts a process. The caller must Kill it or see its Done.
func Launch(c Command) (*Process, error) {
	out, err := os.OpenFile(c.Output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	orphan := c.OrphanSignal
	if orphan == 0 {
		orphan = syscall.SIGKILL
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphan, Credential: c.User}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id, also that of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended tells whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends sig to the process itself, not to its group.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Exit waits for the end and returns the exit code: -1 for a death by signal. An end
// that does not come within the given time is an error.
func (p *Process) Exit(within time.Duration) (int, error) {
	select {
	case <-p.done:
	case <-time.After(within):
		return -1, fmt.Errorf("process %d still runs", p.PID())
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return -1, p.err
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Kill ends the whole process group at once and waits for the process.
func (p *Process) Kill() {
	if !p.Ended() {
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	<-p.done
}
