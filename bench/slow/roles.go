package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"holdfast/test/slow"
)

// The origin and the crowd are processes of their own, this program started again, so
// that their work does not hold up the client that measures. Each says one line when it
// is ready and ends with its standard input; the crowd then says how it went.

func playOrigin() error {
	o, err := slow.StartOrigin()
	if err != nil {
		return err
	}
	defer o.Close()
	fmt.Println(o.Addr)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func playCrowd(address string, crowd slow.Crowd) error {
	siege, err := crowd.Start(address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	open, lost, read := siege.Open(), siege.Lost(), siege.Read()
	siege.Stop()
	fmt.Println(open, lost, read)
	return err
}

// role is a process that plays one of them.
type role struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startRole starts this program with arguments and returns the line it says first.
func startRole(arguments ...string) (*role, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	r := &role{cmd: exec.Command(self, arguments...)}
	r.cmd.Stderr = os.Stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		return nil, "", err
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		r.stop()
		return nil, "", fmt.Errorf("%v ended: %w", arguments, err)
	}
	return r, strings.TrimSpace(line), nil
}

// stop ends the process and returns what it said last.
func (r *role) stop() string {
	r.in.Close()
	line, _ := r.out.ReadString('\n')
	_ = r.cmd.Wait()
	return line
}

// startCrowd starts a crowd and waits until all of it is connected.
func startCrowd(address string, c slow.Crowd) (*role, error) {
	r, _, err := startRole("-crowd", address, "-heads", strconv.Itoa(c.Heads), "-bodies", strconv.Itoa(c.Bodies),
		"-readers", strconv.Itoa(c.Readers), "-pause", c.Pause.String())
	return r, err
}
