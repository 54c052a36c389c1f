// Command syscalls counts the system calls of proxies for each relayed message, each
// WebSocket session and each plain request. It counts with the kernel's tracepoints
// (perf stat), which hardly slow a proxy down: a tracer that stops it at each call makes
// events pile up meanwhile, so that a call carries more of them. It measures no times.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/busy"
	"holdfast/test/procfs"
)

// load is what a proxy is busy with while its calls are counted.
type load struct {
	name string
	unit string // what a round has, in the table
	per  int    // units in a round
	opt  busy.Options
}

var loads = []load{
	{"1 tunnel, closed loop", "message", 2, busy.Options{Mode: busy.Messages, Connections: 1, Size: 64}},
	{"200 tunnels, closed loop", "message", 2, busy.Options{Mode: busy.Messages, Connections: 200, Size: 64}},
	{"50 tunnels, 20,000 messages a second", "message", 2,
		busy.Options{Mode: busy.Messages, Connections: 50, Size: 64, Rate: 10_000}},
	{"sessions, 64 at once", "session", 1, busy.Options{Mode: busy.Sessions, Connections: 64, Size: 64}},
	{"requests on 64 connections", "request", 1, busy.Options{Mode: busy.Requests, Connections: 64, BodySize: 128}},
}

// result is one load through one proxy.
type result struct {
	peer   peers.Kind
	load   load
	rounds int
	calls  map[string]uint64
}

func (r *result) perUnit(call string) float64 {
	return float64(r.calls[call]) / float64(r.rounds*r.load.per)
}

func main() {
	binary := flag.String("bin", "bin/holdfast", "the holdfast binary")
	names := flag.String("peers", "holdfast,nginx,haproxy", "proxies, separated by commas")
	only := flag.String("loads", "", "only loads whose name has this text")
	length := flag.Duration("d", 2*time.Second, "length of each measurement")
	during := flag.String("during", "", "instead of counting, run this command under each load, PID in it replaced")
	folder := flag.String("write", "", "also write syscalls.md to this folder")
	flag.Parse()
	if *during != "" {
		count = func(pids []int) (counting, error) { return startBeside(*during, pids[0]) }
	}
	var results []result
	for _, l := range loads {
		if !strings.Contains(l.name, *only) {
			continue
		}
		for _, name := range strings.Split(*names, ",") {
			fmt.Fprintf(os.Stderr, "%s: %s\n", l.name, name)
			r, err := measure(peers.Kind(name), *binary, l, *length)
			if err != nil {
				fmt.Fprintf(os.Stderr, "syscalls: %s: %v\n", name, err)
				os.Exit(1)
			}
			results = append(results, r)
		}
	}
	if *during != "" {
		return
	}
	var text strings.Builder
	report(&text, results)
	fmt.Fprintf(&text, "\nCommand: `go run ./bench/syscalls -d %v`", *length)
	for _, name := range strings.Split(*names, ",") {
		fmt.Fprintf(&text, "; %s", strings.TrimPrefix(peers.Version(peers.Kind(name), *binary), "nginx version: "))
	}
	fmt.Fprintln(&text, ".")
	fmt.Print(text.String())
	if *folder != "" {
		if err := os.WriteFile(filepath.Join(*folder, "syscalls.md"), []byte(text.String()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "syscalls:", err)
			os.Exit(1)
		}
	}
}

// counting is what goes on while a proxy is loaded.
type counting interface {
	// detach ends it and returns the calls by name.
	detach() (map[string]uint64, error)
}

var count = func(pids []int) (counting, error) { return attach(pids) }

// beside is a command that runs while a proxy is loaded.
type beside struct{ cmd *exec.Cmd }

func startBeside(command string, pid int) (counting, error) {
	words := strings.Fields(strings.ReplaceAll(command, "PID", strconv.Itoa(pid)))
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return beside{cmd}, cmd.Start()
}

func (b beside) detach() (map[string]uint64, error) { return nil, b.cmd.Wait() }

// measure starts a proxy, warms it up, and counts the calls of all its processes.
func measure(kind peers.Kind, binary string, l load, length time.Duration) (r result, err error) {
	client, err := busy.New(l.opt)
	if err != nil {
		return r, err
	}
	defer client.Close()
	p, err := peers.Start(kind, peers.Options{
		Binary: binary, Backends: []string{client.Address().String()}, Tunnels: 4 * l.opt.Connections,
	})
	if err != nil {
		return r, err
	}
	defer p.Stop()
	front, err := netip.ParseAddrPort(p.Address)
	if err != nil {
		return r, err
	}
	if _, err := client.Run(front, lasting(300*time.Millisecond)); err != nil {
		return r, err
	}
	pids, err := procfs.Tree(p.PID())
	if err != nil {
		return r, err
	}
	c, err := count(pids)
	if err != nil {
		return r, err
	}
	done, err := client.Run(front, lasting(length))
	calls, detached := c.detach()
	if err == nil {
		err = detached
	}
	return result{peer: kind, load: l, rounds: done.Rounds, calls: calls}, err
}

func lasting(d time.Duration) func() bool {
	until := time.Now().Add(d)
	return func() bool { return time.Now().Before(until) }
}

// report writes a table with a row for each load and proxy.
func report(w io.Writer, results []result) {
	fmt.Fprint(w, "# System calls for a message, a session, a request\n\n"+
		"| load | proxy | for each | calls | of these |\n|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(w, "| %s | %s | %s | **%.2f** | %s |\n", r.load.name, r.peer, r.load.unit, r.perUnit(total),
			strings.Join(parts(&r), ", "))
	}
	fmt.Fprint(w, "\nnanosleep, futex, getpid, tgkill and rt_sigreturn of holdfast are the Go runtime's monitor thread and what it\n"+
		"asks of the others, a few hundred a second whatever the load.\n")
	fmt.Fprintf(w, "\nAn echo is two messages. Calls below 0.005 for each are left out. Counted over %s.\n",
		"all threads and processes of a proxy, by the kernel's tracepoints (perf stat); no times: this is no race")
}

// parts are the calls of a result, the most frequent first.
func parts(r *result) (list []string) {
	var names []string
	for name := range r.calls {
		if name != total {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if r.calls[a] != r.calls[b] {
			return int(r.calls[b]) - int(r.calls[a])
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		if n := r.perUnit(name); n >= 0.005 {
			list = append(list, fmt.Sprintf("%s %.2f", name, n))
		}
	}
	return list
}
