// Command hold opens many WebSockets through a proxy and holds them idle, hundreds of
// thousands if the machine's memory allows it. It reports the user memory of the proxy and
// the memory of the kernel per tunnel, what the machine does while all are silent, whether
// every tunnel still carries a message, and what comes back when they have closed.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/hold/holder"
	"holdfast/bench/peers"
	"holdfast/test/procfs"
)

// options are the flags.
type options struct {
	binary, json string
	write, name  string
	probe        string
	path         string
	peers        []peers.Kind
	keepalive    bool
	secure       bool  // the tunnels are over TLS
	message      int   // bytes that each carries
	running      *peer // the proxy of -url; nil without
	tunnels      int
	seed         uint64
	idle, settle time.Duration
	bytesMax     float64
	spare        float64 // GiB
}

func main() {
	var o options
	role := flag.String("role", "", "internal: backend or client")
	at := flag.String("at", "", "internal: addresses of a role")
	first := flag.Int("first", 0, "internal: number of a client's first tunnel")
	list := flag.String("peer", "holdfast", "which proxies to measure, one after the other: holdfast, nginx, haproxy")
	running := flag.String("url", "", "measure a running proxy instead: ws://IP:PORT/PATH, with -pid")
	pid := flag.Int("pid", 0, "process id of the proxy of -url")
	flag.StringVar(&o.path, "path", "/", "internal: what a client asks for")
	floor := flag.Bool("direct", false, "also without a proxy, to tell the kernel memory of the proxy's sockets")
	flag.StringVar(&o.binary, "bin", "bin/holdfast", "the holdfast binary")
	flag.IntVar(&o.tunnels, "n", 9000, "tunnels to hold")
	flag.DurationVar(&o.idle, "idle", 10*time.Second, "how long to watch while all tunnels are silent")
	flag.DurationVar(&o.settle, "settle", 15*time.Second, "pause before memory is read; what was used is given back in this time")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "chooses the tunnels that echo while others are idle")
	flag.StringVar(&o.probe, "probe", "all", "all: in the end each tunnel carries a message; sample: only 1 % of them")
	flag.Float64Var(&o.bytesMax, "max-bytes", 0, "fail above this many bytes a tunnel of holdfast; 0 is no limit")
	flag.BoolVar(&o.keepalive, "keepalive", true, "whether holdfast looks for dead peers by TCP keepalive, its default")
	flag.BoolVar(&o.secure, "tls", false, "the tunnels are over TLS 1.3, which the proxy terminates; not with -direct")
	flag.IntVar(&o.message, "message", holder.MessageBytesMin, "bytes of the message that each tunnel carries both ways")
	flag.Float64Var(&o.spare, "spare", 1.5, "give up when less memory than this is available, GiB")
	flag.StringVar(&o.json, "json", "", "write the results as JSON to this file, - for standard output")
	flag.StringVar(&o.write, "write", "", "write NAME.md and NAME.json into this folder")
	flag.StringVar(&o.name, "name", "hold", "the name of the files of -write")
	flag.Parse()
	if *floor {
		o.peers = append(o.peers, direct)
	}
	for word := range strings.SplitSeq(*list, ",") {
		if word != "" {
			o.peers = append(o.peers, peers.Kind(word))
		}
	}
	var err error
	switch *role {
	case "backend":
		var addresses []netip.Addr
		if addresses, err = split(*at, netip.ParseAddr); err == nil {
			err = playBackend(addresses)
		}
	case "client":
		var targets []netip.AddrPort
		if targets, err = split(*at, netip.ParseAddrPort); err == nil {
			playClient(holder.NewClient(holder.Options{
				Targets: targets, Path: o.path, First: *first, Secure: o.secure, MessageBytes: o.message,
			}), o.tunnels)
		}
	default:
		if *running != "" {
			err = o.useRunning(*running, *pid)
		}
		if err == nil {
			err = run(o)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(1)
	}
}

// useRunning takes a proxy that runs already instead of starting one.
func (o *options) useRunning(text string, pid int) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	address, err := netip.ParseAddrPort(u.Host)
	if err != nil || pid == 0 {
		return fmt.Errorf("-url %q -pid %d: want ws://IP:PORT/PATH and the process to measure", text, pid)
	}
	tree, err := procfs.Tree(pid)
	o.peers, o.path = []peers.Kind{"running"}, u.RequestURI()
	o.running = &peer{kind: "running", address: address, pids: tree}
	return err
}

// run measures every peer and reports; the first failure ends it, after the report of
// what was reached.
func run(o options) error {
	if o.probe != "all" && o.probe != "sample" {
		return fmt.Errorf("-probe %q: want all or sample", o.probe)
	}
	if o.message < holder.MessageBytesMin || o.message > holder.MessageBytesMax || o.secure && slices.Contains(o.peers, direct) {
		return fmt.Errorf("-message %d: want %d to %d; -tls needs a proxy", o.message, holder.MessageBytesMin, holder.MessageBytesMax)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchMemory(ctx, cancel, o.spare)
	fmt.Fprintf(os.Stderr, "seed %d\n", o.seed)
	var results []result
	var failed error
	for _, kind := range o.peers {
		r, err := measure(ctx, o, kind)
		results = append(results, r)
		if failed = err; failed == nil {
			failed = r.verdict(o)
		}
		if failed != nil {
			failed = fmt.Errorf("%s: %w", kind, failed)
			break
		}
	}
	if err := report(o, results); err != nil {
		return err
	}
	return failed
}

// watchMemory ends everything when less than spare GiB of the machine's memory are left:
// the kernel kills processes, perhaps others than these, when there is none.
func watchMemory(ctx context.Context, cancel context.CancelCauseFunc, spare float64) {
	for ticker := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; <-ticker.C {
		if bytes, err := available(); err == nil && float64(bytes) < spare*(1<<30) {
			cancel(fmt.Errorf("only %.1f GiB of memory are available", float64(bytes)/(1<<30)))
		}
	}
}

// verdict is the error that makes the command fail, if any.
func (r result) verdict(o options) error {
	switch {
	case r.Opened != o.tunnels:
		return fmt.Errorf("%d of %d tunnels could be opened", r.Opened, o.tunnels)
	case r.Dead != 0:
		return fmt.Errorf("%d tunnels ended by themselves", r.Dead)
	case o.probe == "all" && r.Echoed != r.Opened:
		return fmt.Errorf("%d of %d tunnels carried a message", r.Echoed, r.Opened)
	case r.Closed.Proxy.Fds > r.Base.Proxy.Fds:
		return fmt.Errorf("%d descriptors after all tunnels closed, %d before", r.Closed.Proxy.Fds, r.Base.Proxy.Fds)
	case o.bytesMax > 0 && r.Peer == peers.Holdfast && r.bytesPerTunnel(r.Held) > o.bytesMax:
		return fmt.Errorf("%.0f bytes a tunnel, more than %.0f", r.bytesPerTunnel(r.Held), o.bytesMax)
	}
	return nil
}

// bytesPerTunnel is the proxy's user memory per tunnel at a moment.
func (r result) bytesPerTunnel(m moment) float64 {
	return float64(m.Proxy.PSS-r.Base.Proxy.PSS) / float64(max(r.Opened, 1))
}
