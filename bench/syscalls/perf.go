package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// total is the name under which all calls are counted.
const total = "all"

const enter = "syscalls:sys_enter_"

// known are the calls that are told apart. All there are would take perf half a minute to
// attach to; those that are missing here show as others.
var known = []string{
	"accept4", "bind", "brk", "clock_gettime", "clock_nanosleep", "close", "connect", "dup3", "epoll_ctl", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "eventfd2", "fcntl", "futex", "getpeername", "getpid", "getrandom", "getsockname",
	"getsockopt", "gettid", "gettimeofday", "ioctl", "madvise", "mmap", "mprotect", "munmap", "nanosleep", "openat", "pipe2",
	"poll", "pread64", "pwrite64", "read", "readv", "recvfrom", "recvmsg", "rt_sigprocmask", "rt_sigreturn", "sched_yield",
	"sendfile64", "sendmsg", "sendto", "setsockopt", "shutdown", "socket", "splice", "tgkill", "timerfd_settime", "write",
	"writev",
}

// counter is perf stat, attached to processes.
type counter struct {
	cmd     *exec.Cmd
	control io.WriteCloser
	acks    *bufio.Reader
	files   []io.Closer
	out     bytes.Buffer
}

// attach begins to count the calls of processes; it returns when counting has begun.
func attach(pids []int) (*counter, error) {
	control, controlW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	acks, acksW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	events := []string{"raw_syscalls:sys_enter"}
	for _, name := range known {
		events = append(events, enter+name)
	}
	var list []string
	for _, pid := range pids {
		list = append(list, strconv.Itoa(pid))
	}
	c := &counter{control: controlW, acks: bufio.NewReader(acks), files: []io.Closer{controlW, acks}}
	c.cmd = exec.Command("perf", "stat", "-x", ";", "-D", "-1", "--control", "fd:3,4",
		"-e", strings.Join(events, ","), "-p", strings.Join(list, ","))
	c.cmd.ExtraFiles = []*os.File{control, acksW}
	c.cmd.Stderr = &c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = c.cmd.Start()
	control.Close()
	acksW.Close()
	if err != nil {
		return nil, fmt.Errorf("this needs perf with tracepoints: %w", err)
	}
	_ = acks.SetReadDeadline(time.Now().Add(30 * time.Second))
	if err := c.tell("enable"); err != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		return nil, fmt.Errorf("perf stat does not count (tracepoints need privileges): %w\n%s", err, c.out.Bytes())
	}
	_ = acks.SetReadDeadline(time.Time{})
	return c, nil
}

// tell gives perf a command and waits for its acknowledgement.
func (c *counter) tell(command string) error {
	if _, err := io.WriteString(c.control, command+"\n"); err != nil {
		return err
	}
	_, err := c.acks.ReadString('\n')
	return err
}

// detach ends counting and returns the calls by name.
func (c *counter) detach() (map[string]uint64, error) {
	err := c.tell("disable")
	_ = c.cmd.Process.Signal(syscall.SIGINT)
	_ = c.cmd.Wait() // it ends by the signal
	for _, f := range c.files {
		f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("perf stat: %w\n%s", err, c.out.Bytes())
	}
	calls := counts(c.out.Bytes())
	if calls[total] == 0 {
		return nil, fmt.Errorf("perf stat counted nothing:\n%s", c.out.Bytes())
	}
	return calls, nil
}

// counts reads what perf stat -x ";" prints: a line for each event, its count first and
// its name third.
func counts(text []byte) map[string]uint64 {
	calls := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, ";")
		if len(fields) < 3 {
			continue
		}
		n, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil || n == 0 {
			continue // <not counted>
		}
		switch name, call := strings.CutPrefix(fields[2], enter); {
		case call:
			calls[name] = n
		case fields[2] == "raw_syscalls:sys_enter":
			calls[total] = n
		}
	}
	others := calls[total]
	for name, n := range calls {
		if name != total {
			others -= min(n, others)
		}
	}
	if others > 0 {
		calls["others"] = others
	}
	return calls
}
