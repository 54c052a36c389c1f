package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"holdfast/bench/load"
	"holdfast/test/wire"
)

// A file limit bounds what one process can hold, so clients and backends are processes of
// their own: this program started again with -role. They are told what to do by lines on
// standard input, answer each by one line of JSON, and end with their input.

// perProcess is how many connections a client or a backend process holds at most.
const perProcess = 15_000

// answer is what a worker answers.
type answer struct {
	Address string `json:",omitempty"` // of a backend, once
	Count   int    // opened, echoed or dead, by what was asked
	Error   string `json:",omitempty"`
}

func reply(a answer, err error) {
	if err != nil {
		a.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(a)
}

// playBackend is the whole life of a backend process.
func playBackend() {
	s, err := wire.ListenEcho("127.0.0.1:0")
	if err != nil {
		reply(answer{}, err)
		return
	}
	reply(answer{Address: s.Addr()}, nil)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		reply(answer{Count: s.Connections()}, nil)
	}
}

// playClient is the whole life of a client process: it obeys open, echo, alive and close.
func playClient(target load.Target, first, count int) {
	var tunnels []*load.Tunnel
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var a answer
		var err error
		word, argument, _ := splitCommand(lines.Text())
		switch word {
		case "open":
			tunnels, err = load.OpenMany(context.Background(), target, first, count, 64)
			a.Count = len(tunnels)
		case "echo":
			a.Count, err = load.EchoOn(tunnels, argument, 64)
		case "alive":
			a.Count, err = load.CountDead(tunnels)
		case "close":
			load.CloseAll(tunnels)
			a.Count, tunnels = len(tunnels), nil
		default:
			err = fmt.Errorf("unknown command %q", word)
		}
		reply(a, err)
	}
}

func splitCommand(line string) (string, int, error) {
	var word string
	var argument int
	_, err := fmt.Sscan(line+" 1", &word, &argument)
	return word, argument, err
}

// worker is the parent's end of a worker process.
type worker struct {
	cmd *exec.Cmd
	raw interface {
		Write([]byte) (int, error)
		Close() error
	}
	out *json.Decoder
}

func startWorker(arguments ...string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, arguments...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &worker{cmd: cmd, raw: in, out: json.NewDecoder(out)}, nil
}

// ask sends one command and waits for its answer.
func (w *worker) ask(command string) (answer, error) {
	if _, err := w.raw.Write([]byte(command + "\n")); err != nil {
		return answer{}, err
	}
	return w.next()
}

func (w *worker) next() (answer, error) {
	var a answer
	if err := w.out.Decode(&a); err != nil {
		return a, fmt.Errorf("a worker process has ended: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (w *worker) stop() {
	w.raw.Close()
	_ = w.cmd.Wait()
}

// crew is a set of workers asked alike.
type crew []*worker

// ask asks all workers at once and adds their counts; it returns the first error.
func (c crew) ask(command string) (int, error) {
	type result struct {
		answer
		err error
	}
	results := make(chan result, len(c))
	for _, w := range c {
		go func() { a, err := w.ask(command); results <- result{a, err} }()
	}
	total := 0
	var first error
	for range c {
		r := <-results
		total += r.Count
		if first == nil {
			first = r.err
		}
	}
	return total, first
}

func (c crew) stop() {
	for _, w := range c {
		w.stop()
	}
}

// startBackends starts enough backend processes for n connections.
func startBackends(n int) (crew, []string, error) {
	var c crew
	var addresses []string
	for ; n > 0; n -= perProcess {
		w, err := startWorker("-role", "backend")
		if err != nil {
			return c, nil, err
		}
		c = append(c, w)
		a, err := w.next()
		if err != nil {
			return c, nil, err
		}
		addresses = append(addresses, a.Address)
	}
	return c, addresses, nil
}

// startClients starts enough client processes, at least atLeast, for n connections.
func startClients(url string, n, atLeast int) (crew, error) {
	processes := max(atLeast, (n+perProcess-1)/perProcess)
	var c crew
	for i := range processes {
		first, next := n*i/processes, n*(i+1)/processes
		w, err := startWorker("-role", "client", "-url", url,
			"-first", strconv.Itoa(first), "-n", strconv.Itoa(next-first))
		if err != nil {
			return c, err
		}
		c = append(c, w)
	}
	return c, nil
}
