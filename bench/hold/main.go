// Command hold opens many WebSockets through a proxy and holds them idle: it reports the
// proxy's user memory per tunnel, its CPU while they are silent, and whether memory and
// file descriptors come back when they have closed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peers"
)

// options are the flags.
type options struct {
	url, binary, json string
	peer              peers.Kind
	pid, tunnels      int
	processes         int
	idle, settle      time.Duration
	bytesMax          float64
}

func main() {
	var o options
	role := flag.String("role", "", "internal: backend or client")
	first := flag.Int("first", 0, "internal: number of a client's first tunnel")
	peer := flag.String("peer", "holdfast", "which proxy to start: holdfast, nginx, haproxy")
	flag.StringVar(&o.binary, "bin", "bin/holdfast", "the holdfast binary")
	flag.StringVar(&o.url, "url", "", "measure a running proxy instead: ws://HOST:PORT/PATH, with -pid")
	flag.IntVar(&o.pid, "pid", 0, "process id of the running proxy")
	flag.IntVar(&o.tunnels, "n", 9000, "tunnels to hold")
	flag.IntVar(&o.processes, "procs", 1, "client processes, at least")
	flag.DurationVar(&o.idle, "idle", 10*time.Second, "how long to watch the idle CPU")
	flag.DurationVar(&o.settle, "settle", 3*time.Second, "pause before memory is read")
	flag.Float64Var(&o.bytesMax, "max-bytes", 0, "fail above this many bytes a tunnel; 0 is no limit")
	flag.StringVar(&o.json, "json", "", "write the result as JSON to this file, - for standard output")
	flag.Parse()
	o.peer = peers.Kind(*peer)
	var err error
	switch *role {
	case "backend":
		playBackend()
	case "client":
		var target load.Target
		if target, err = load.ParseTarget(o.url); err == nil {
			playClient(target, *first, o.tunnels)
		}
	default:
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.url == "" {
		backends, addresses, err := startBackends(o.tunnels)
		defer backends.stop()
		if err != nil {
			return err
		}
		p, err := peers.Start(o.peer, peers.Options{Binary: o.binary, Backends: addresses, Tunnels: o.tunnels})
		if err != nil {
			return err
		}
		defer p.Stop()
		o.url, o.pid = "ws://"+p.Address+"/", p.PID()
	} else if o.pid == 0 {
		return fmt.Errorf("-url needs -pid, the process to measure")
	}
	r, err := hold(o)
	if err != nil {
		return err
	}
	if err := r.print(o); err != nil {
		return err
	}
	return r.verdict(o)
}

// verdict is the error that makes the command fail, if any.
func (r result) verdict(o options) error {
	switch {
	case r.Opened != o.tunnels:
		return fmt.Errorf("%d of %d tunnels could be opened", r.Opened, o.tunnels)
	case r.Dead != 0:
		return fmt.Errorf("%d tunnels ended by themselves", r.Dead)
	case r.Closed.Sockets > r.Base.Sockets:
		return fmt.Errorf("%d sockets after all tunnels closed, %d before", r.Closed.Sockets, r.Base.Sockets)
	case o.bytesMax > 0 && r.BytesPerTunnel > o.bytesMax:
		return fmt.Errorf("%.0f bytes a tunnel, more than %.0f", r.BytesPerTunnel, o.bytesMax)
	}
	return nil
}

func (r result) print(o options) error {
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if text = append(text, '\n'); o.json == "-" {
			_, err = os.Stdout.Write(text)
			return err
		}
		if err := os.WriteFile(o.json, text, 0o644); err != nil {
			return err
		}
	}
	row := func(name string, s sample) {
		fmt.Printf("  %-32s PSS %9.1f KiB  fds %6d  sockets %6d\n", name, float64(s.PSS)/1024, s.Fds, s.Sockets)
	}
	fmt.Printf("%d tunnels opened in %.2f s, %.0f a second\n", r.Opened, r.OpenSeconds, r.OpenPerSecond)
	row("before", r.Base)
	row("all tunnels idle", r.Held)
	row("after each carried a message", r.Used)
	row("after all closed", r.Closed)
	fmt.Printf("user memory per idle tunnel: %.0f B (after each carried a message: %.0f B)\n",
		r.BytesPerTunnel, r.BytesPerUsedTunnel)
	fmt.Printf("idle CPU over %.0f s: %.3f ms a second exact, %d clock ticks\n",
		r.IdleSeconds, r.IdleCPUMsPerSecond, r.IdleTicks)
	fmt.Printf("echo verified on %d tunnels; tunnels that ended by themselves: %d\n", r.Echoed, r.Dead)
	return nil
}
