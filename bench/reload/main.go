// Command reload reloads a proxy's configuration while tunnels are open: it counts the
// tunnels that are lost and the new ones that fail, the latency of messages meanwhile, and
// the processes and memory that a minute later still wait for old tunnels.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/hold/holder"
	"holdfast/bench/load"
	"holdfast/bench/peers"
	"holdfast/test/procfs"
)

type options struct {
	tunnels, more       int
	reloads             int
	rate                float64
	before, every, wait time.Duration
	write               string
}

func main() {
	var o options
	list := flag.String("peer", "nginx,haproxy", "which proxies, one after the other: nginx, haproxy")
	flag.IntVar(&o.tunnels, "n", 2000, "tunnels that are open before the first reload")
	flag.IntVar(&o.more, "more", 100, "tunnels that are opened behind each reload, and stay")
	flag.Float64Var(&o.rate, "rate", 500, "messages a second over all tunnels")
	flag.IntVar(&o.reloads, "reloads", 5, "how often to reload")
	flag.DurationVar(&o.before, "before", 10*time.Second, "how long to measure before the first reload")
	flag.DurationVar(&o.every, "every", 3*time.Second, "pause behind each reload")
	flag.DurationVar(&o.wait, "wait", time.Minute, "pause behind the last reload before what is left is counted")
	flag.StringVar(&o.write, "write", "", "write reload.md into this folder")
	flag.Parse()
	var results []result
	for name := range strings.SplitSeq(*list, ",") {
		r, err := measure(peers.Kind(name), o)
		if err != nil {
			fmt.Fprintf(os.Stderr, "reload: %s: %v\n", name, err)
			os.Exit(1)
		}
		results = append(results, r)
	}
	text := table(o, results)
	fmt.Print(text)
	if o.write == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(o.write, "reload.md"), []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "reload:", err)
		os.Exit(1)
	}
}

// result is what reloading one proxy did.
type result struct {
	peer                  peers.Kind
	version               string
	held, lost            int
	fresh, failed         int    // tunnels opened, used once and closed
	why                   string // the first failure
	quiet, during, behind latencies
	processes, left       int   // before and after
	pss, pssLeft          int64 // bytes, before and after
	cpu                   time.Duration
}

func measure(kind peers.Kind, o options) (result, error) {
	r := result{peer: kind, version: peers.Version(kind, "")}
	if kind == peers.Holdfast {
		return r, errors.New("reload is not in this version")
	}
	backend, bound, err := holder.Listen([]netip.Addr{netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		return r, err
	}
	go backend.Serve()
	p, err := start(kind, o, bound[0].String())
	if err != nil {
		return r, err
	}
	defer p.stop()
	target, err := load.ParseTarget("ws://" + p.address + "/")
	if err != nil {
		return r, err
	}
	talk := newTalk(target)
	defer talk.close()
	if err := talk.add(o.tunnels); err != nil {
		return r, err
	}
	talk.start(o.rate)
	defer talk.end()

	time.Sleep(o.before)
	r.quiet = talk.take()
	before, err := p.look()
	if err != nil {
		return r, err
	}
	for range o.reloads {
		if err := p.reload(); err != nil {
			return r, err
		}
		time.Sleep(o.every)
		if err := talk.add(o.more); err != nil {
			return r, err
		}
	}
	r.during = talk.take()
	fmt.Fprintf(os.Stderr, "%s: reloaded %d times\n", kind, o.reloads)
	time.Sleep(o.wait)
	r.behind = talk.take()
	after, err := p.look()
	if err != nil {
		return r, err
	}
	talk.end()
	r.held, r.lost = len(talk.tunnels), talk.lost()
	r.fresh, r.failed, r.why = int(talk.fresh.Load()), int(talk.failed.Load()), talk.firstFailure()
	r.processes, r.left = before.processes, after.processes
	r.pss, r.pssLeft, r.cpu = before.PSS, after.PSS, after.CPU-before.CPU
	return r, nil
}

// seen is what a proxy uses at one moment.
type seen struct {
	peers.Usage
	processes int
}

func (p *proxy) look() (seen, error) {
	pids, err := procfs.Tree(p.pid)
	if err != nil {
		return seen{}, err
	}
	u, err := peers.Measure(p.pid)
	return seen{Usage: u, processes: len(pids)}, err
}

// reload asks the master process to take its configuration anew: SIGHUP is what `nginx -s
// reload` sends, SIGUSR2 is HAProxy's in its master-worker mode, which starts a new worker
// with -sf.
func (p *proxy) reload() error {
	signal := syscall.SIGHUP
	if p.kind == peers.HAProxy {
		signal = syscall.SIGUSR2
	}
	return syscall.Kill(p.pid, signal)
}

func table(o options, results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %d reloads while tunnels are open\n\n", o.reloads)
	row := func(name string, value func(r result) string) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, r := range results {
			fmt.Fprintf(&b, " %s |", value(r))
		}
		b.WriteString("\n")
	}
	row("", func(r result) string { return string(r.peer) })
	b.WriteString("|---|" + strings.Repeat("---|", len(results)) + "\n")
	count := func(get func(r result) int) func(r result) string {
		return func(r result) string { return fmt.Sprint(get(r)) }
	}
	size := func(get func(r result) int64) func(r result) string {
		return func(r result) string { return fmt.Sprintf("%.1f MiB", float64(get(r))/(1<<20)) }
	}
	row("tunnels that stay open", count(func(r result) int { return r.held }))
	row("**of them lost**", count(func(r result) int { return r.lost }))
	row("short tunnels meanwhile; of them failed", func(r result) string { return fmt.Sprintf("%d; %d", r.fresh, r.failed) })
	row("processes before", count(func(r result) int { return r.processes }))
	row(fmt.Sprintf("**processes %v after the last reload**", o.wait), count(func(r result) int { return r.left }))
	row("PSS before", size(func(r result) int64 { return r.pss }))
	row("**PSS then**", size(func(r result) int64 { return r.pssLeft }))
	row("echo before: p50, p99, max", func(r result) string { return r.quiet.String() })
	row("echo during the reloads", func(r result) string { return r.during.String() })
	row("echo behind them", func(r result) string { return r.behind.String() })
	row("CPU of processes that live, since the first reload", func(r result) string {
		return fmt.Sprintf("%.2f s", r.cpu.Seconds())
	})
	fmt.Fprintf(&b, "\nReloads came %v apart. Messages of 64 B went over the tunnels in turn, %g a second, each timed from the "+
		"moment\nit was due; a new tunnel was opened with every %dth. %d tunnels that stay were open "+
		"before\nthe first reload, %d more were opened behind each: old workers live on for theirs, a set for each reload.\n"+
		"holdfast has no reload in this version.\n\nCommand: `%s`\n\n",
		o.every, o.rate, freshEvery, o.tunnels, o.more, strings.Join(append([]string{"go run ./bench/reload"}, os.Args[1:]...), " "))
	for _, r := range results {
		fmt.Fprintf(&b, "%s: %s\n", r.peer, r.version)
		if r.why != "" {
			fmt.Fprintf(&b, "%s, the first failure: %s\n", r.peer, r.why)
		}
	}
	return b.String()
}
