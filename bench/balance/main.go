// Command balance measures how evenly tunnels are spread over the servers of an upstream, for
// several ways to choose one and several numbers of shards, beside nginx. All tunnels are real:
// client processes open them at the same time, and the backends count them. The rounds are
// interleaved; the table shows the worst.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"holdfast/bench/peers"
)

// options are the flags.
type options struct {
	binary   string
	rounds   int
	tunnels  int
	backends int
	clients  int // processes
	write    string
}

// contender is a proxy with a number of shards or workers.
type contender struct {
	kind   peers.Kind
	shards int
}

var contenders = []contender{{peers.Holdfast, 2}, {peers.Holdfast, 8}, {peers.Nginx, 2}}

// methods are what stands in the upstream block.
var methods = []string{"", "least_conn;", "random two least_conn;"}

// goal is what the fullest backend may have, by the mean, where the method is one that must be even.
const goal = 1.02

func main() {
	var o options
	flag.StringVar(&o.binary, "bin", "bin/holdfast", "the holdfast binary")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; each measures everything once")
	flag.IntVar(&o.tunnels, "n", 9000, "tunnels")
	flag.IntVar(&o.backends, "backends", 10, "servers of the upstream")
	flag.IntVar(&o.clients, "clients", 4, "client processes; every second one closes its tunnels once and opens them anew")
	flag.StringVar(&o.write, "write", "", "write balance.md into this folder")
	role := flag.String("role", "", "internal: client")
	at := flag.String("at", "", "internal: address of the proxy")
	first := flag.Int("first", 0, "internal: number of a client's first tunnel")
	flag.Parse()
	var err error
	if *role == "client" {
		err = playClient(*at, *first, o.tunnels)
	} else {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "balance:", err)
		os.Exit(1)
	}
}

// result is all rounds of one way to choose with one contender.
type result struct {
	contender
	method string
	rounds []measurement
}

func run(o options) error {
	var results []result
	for _, method := range methods {
		for _, c := range contenders {
			if _, err := peers.Path(c.kind, o.binary); err != nil {
				fmt.Fprintf(os.Stderr, "balance: without %s: %v\n", c.kind, err)
				continue
			}
			results = append(results, result{contender: c, method: method})
		}
	}
	for round := range o.rounds {
		for i := range results {
			r := &results[i]
			fmt.Fprintf(os.Stderr, "balance: round %d of %d: %s, %d shards, %s\n", round+1, o.rounds, r.kind, r.shards, r.name())
			m, err := measure(o, r.contender, r.method)
			if err != nil {
				return fmt.Errorf("%s, %d shards, %s: %w", r.kind, r.shards, r.name(), err)
			}
			r.rounds = append(r.rounds, m)
		}
	}
	text, failed := markdown(o, results)
	fmt.Print(text)
	if o.write != "" {
		failed = errors.Join(failed, os.WriteFile(filepath.Join(o.write, "balance.md"), []byte(text), 0o644))
	}
	return failed
}

// name is what the table calls the method.
func (r result) name() string {
	if r.method == "" {
		return "round robin"
	}
	return strings.TrimSuffix(r.method, ";")
}

// worst is the worst balance of all rounds.
func (r result) worst(of func(measurement) []int) float64 {
	worst := 0.0
	for _, m := range r.rounds {
		worst = max(worst, balance(of(m)))
	}
	return worst
}

// markdown is the report; an error says which goal was missed.
func markdown(o options, results []result) (text string, failed error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %d tunnels over %d equal servers\n\nTunnels of the fullest server by the mean of all: 1 is even. The worst of "+
		"%d interleaved rounds. %d client processes open their tunnels at the same time, 64 under way in each; then every second one "+
		"closes all of its tunnels and opens as many anew. The backends count.\n\n"+
		"| method | proxy | shards or workers | tunnels | all open | half of them replaced | fewest and most, last round |\n|---|---|---|---|---|---|---|\n",
		o.tunnels, o.backends, o.rounds, o.clients)
	for _, r := range results {
		opened := r.worst(func(m measurement) []int { return m.opened })
		replaced := r.worst(func(m measurement) []int { return m.replaced })
		last := r.rounds[len(r.rounds)-1]
		low, high := extremes(last.opened)
		lowThen, highThen := extremes(last.replaced)
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %.4f | %.4f | %d to %d, then %d to %d |\n",
			r.name(), r.kind, r.shards, last.tunnels, opened, replaced, low, high, lowThen, highThen)
		if r.kind == peers.Holdfast && !strings.HasPrefix(r.method, "random") && opened > goal {
			failed = errors.Join(failed, fmt.Errorf("%s with %d shards: %.4f, the goal is %.2f", r.name(), r.shards, opened, goal))
		}
	}
	fmt.Fprintf(&b, "\nThe goal is %.2f for round robin and least_conn once all are open. More shards hold fewer tunnels where the limit of open files is "+
		"low, since each keeps some for itself. Round robin deals out requests, so what is left "+
		"after some ended is not even; least_conn evens that out again.\n\n", goal)
	fmt.Fprintf(&b, "Command: `go run ./bench/balance %s`\n\n", strings.Join(os.Args[1:], " "))
	fmt.Fprintf(&b, "Machine: %s; %s; %s.\n", machine(), peers.Version(peers.Holdfast, o.binary), peers.Version(peers.Nginx, ""))
	return b.String(), failed
}

// machine says where the figures are from.
func machine() string {
	model, kernel, commit := "unknown processor", "unknown", "unknown"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel, _, _ = strings.Cut(strings.TrimSpace(string(text)), "-")
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty", "--tags").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %d cores, Linux %s %s, %s, commit %s", model, runtime.NumCPU(), kernel, runtime.GOARCH,
		runtime.Version(), commit)
}
