package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/bench/hold/holder"
)

// Clients and backends are processes of their own: this program started again with -role.
// They are told what to do by lines on standard input, answer each by a line of JSON,
// after lines that say how far they are, and end with their input.

// answer is what a worker answers.
type answer struct {
	Progress  bool             `json:",omitempty"` // not the answer yet: Count is how far it is
	Addresses []netip.AddrPort `json:",omitempty"` // of a backend, once
	Count     int              // opened, echoed, dead or closed, by what was asked
	Retries   int              `json:",omitempty"`
	Reasons   map[string]int   `json:",omitempty"` // of the retries
	Error     string           `json:",omitempty"`
}

// playBackend is the whole life of a backend process. It echoes until its input ends.
func playBackend(addresses []netip.Addr) error {
	b, bound, err := holder.Listen(addresses)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(answer{Addresses: bound}); err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- b.Serve() }()
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			_ = out.Encode(answer{Count: b.Open(), Retries: b.Refused()})
		}
		ended <- nil
	}()
	return <-ended
}

// playClient is the whole life of a client process: it obeys open, echo SEED STEP, dead
// and close.
func playClient(c *holder.Client, count int) {
	out := json.NewEncoder(os.Stdout)
	last := time.Now()
	progress := func(n int) {
		if time.Since(last) > time.Second/4 {
			last = time.Now()
			_ = out.Encode(answer{Progress: true, Count: n})
		}
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var a answer
		var err error
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "open":
			var t holder.Tally
			t, err = c.Open(count, progress)
			a = answer{Count: t.Opened, Retries: t.Retries, Reasons: t.Reasons}
		case "echo":
			a.Count, err = c.Echo(chosenBy(rest), progress)
		case "dead":
			a.Count, err = c.Dead()
		case "close":
			a.Count = c.Close()
		default:
			err = fmt.Errorf("unknown command %q", word)
		}
		if err != nil {
			a.Error = err.Error()
		}
		_ = out.Encode(a)
	}
}

// chosenBy picks tunnels by the words behind echo: all of them without any.
func chosenBy(words string) func(number int) bool {
	var seed uint64
	step := 1
	_, _ = fmt.Sscan(words, &seed, &step)
	if step > 1 {
		return holder.Sample(seed, step)
	}
	return holder.All
}

// worker is the parent's end of a worker process.
type worker struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	done atomic.Int64 // how far it is with what it was asked
}

// startWorker starts a worker, which is killed when ctx ends.
func startWorker(ctx context.Context, arguments ...string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, arguments...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=50") // many of them, each as small as may be
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &worker{cmd: cmd, in: in, out: json.NewDecoder(out)}, nil
}

// ask sends one command and waits for its answer.
func (w *worker) ask(command string) (answer, error) {
	w.done.Store(0)
	if _, err := io.WriteString(w.in, command+"\n"); err != nil {
		return answer{}, fmt.Errorf("a worker process has ended: %w", err)
	}
	return w.next()
}

func (w *worker) next() (answer, error) {
	for {
		var a answer
		if err := w.out.Decode(&a); err != nil {
			return a, fmt.Errorf("a worker process has ended: %w", err)
		}
		w.done.Store(int64(a.Count))
		if a.Progress {
			continue
		}
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	}
}

// crew is a set of workers asked alike.
type crew []*worker

// ask asks all workers at once and adds their answers; it returns the first error.
func (c crew) ask(command string) (answer, error) {
	type result struct {
		answer
		err error
	}
	results := make(chan result, len(c))
	for _, w := range c {
		go func() { a, err := w.ask(command); results <- result{a, err} }()
	}
	total := answer{Reasons: map[string]int{}}
	var first error
	for range c {
		r := <-results
		total.Count += r.Count
		total.Retries += r.Retries
		for reason, n := range r.Reasons {
			total.Reasons[reason] += n
		}
		if first == nil {
			first = r.err
		}
	}
	return total, first
}

// done is how far the workers are with what they were asked.
func (c crew) done() int {
	n := 0
	for _, w := range c {
		n += int(w.done.Load())
	}
	return n
}

// stop ends the workers: with their input, or at once.
func (c crew) stop(atOnce bool) {
	for _, w := range c {
		w.in.Close()
		if atOnce {
			_ = w.cmd.Process.Kill()
		}
	}
	for _, w := range c {
		late := time.AfterFunc(10*time.Second, func() { _ = w.cmd.Process.Kill() })
		_ = w.cmd.Wait()
		late.Stop()
	}
}

// startBackends starts the backend processes of a plan.
func startBackends(ctx context.Context, p plan) (crew, []netip.AddrPort, error) {
	var c crew
	var all []netip.AddrPort
	for i := range p.Backends {
		w, err := startWorker(ctx, "-role", "backend", "-at", joined(p.backendAddresses(i)))
		if err != nil {
			return c, nil, err
		}
		c = append(c, w)
		a, err := w.next()
		if err != nil {
			return c, nil, err
		}
		all = append(all, a.Addresses...)
	}
	return c, all, nil
}

// startClients starts the client processes of a plan, whose tunnels go to targets.
func startClients(ctx context.Context, p plan, o options, targets []netip.AddrPort) (crew, error) {
	var c crew
	for i := range p.Clients {
		first, count := p.clientShare(i)
		w, err := startWorker(ctx, "-role", "client", "-at", joined(targets), "-path", o.path,
			"-first", strconv.Itoa(first), "-n", strconv.Itoa(count), "-tls="+strconv.FormatBool(o.secure),
			"-message", strconv.Itoa(o.message))
		if err != nil {
			return c, err
		}
		c = append(c, w)
	}
	return c, nil
}

func joined[T fmt.Stringer](list []T) string {
	var words []string
	for _, v := range list {
		words = append(words, v.String())
	}
	return strings.Join(words, ",")
}

// split is the reverse of joined.
func split[T any](text string, parse func(string) (T, error)) ([]T, error) {
	var list []T
	for word := range strings.SplitSeq(text, ",") {
		v, err := parse(word)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}
