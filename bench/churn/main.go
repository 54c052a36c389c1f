// Command churn opens WebSockets at a steady rate, talks on them, lets them fall silent
// and ends them in every way, at random from a seed, for as long as it is told. It exits
// with 1 if a single one of them did not go as planned.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peers"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// backends is how many echo backends stand behind a proxy that churn starts itself: one
// alone has too few ports for hundreds of connections a second.
const backends = 4

func main() {
	url := flag.String("url", "", "where to go: ws://HOST:PORT/PATH; empty starts a proxy with echo backends")
	peer := flag.String("peer", "holdfast", "which proxy to start: holdfast, nginx, haproxy")
	binary := flag.String("bin", "bin/holdfast", "the holdfast binary")
	admin := flag.String("admin", "", "admin address of a holdfast given by -url, to see its gauges return to zero")
	rate := flag.Float64("rate", 500, "sessions opened a second")
	duration := flag.Duration("d", 10*time.Minute, "how long to open sessions")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "the same seed gives the same sessions")
	idle := flag.Duration("idle", 2*time.Second, "the longest silence of a session")
	sizeMax := flag.Int("size", 1<<20, "the largest message, bytes")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := command{url: *url, peer: peers.Kind(*peer), binary: *binary, admin: *admin, asJSON: *asJSON}
	err := c.run(ctx, load.ChurnOptions{
		Rate: *rate, Duration: *duration, Seed: *seed, IdleMax: *idle, SizeMax: *sizeMax,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "churn:", err)
		os.Exit(1)
	}
}

type command struct {
	url, binary, admin string
	peer               peers.Kind
	asJSON             bool
}

func (c *command) run(ctx context.Context, o load.ChurnOptions) error {
	pid := 0
	if c.url == "" {
		p, closeAll, err := c.startPeer()
		if err != nil {
			return err
		}
		defer closeAll()
		c.url, c.admin, pid = "ws://"+p.Address+"/", p.Admin, p.PID()
	}
	var err error
	if o.Target, err = load.ParseTarget(c.url); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "churn: %s, %g a second for %v, seed %d\n", c.url, o.Rate, o.Duration, o.Seed)
	r := load.Churn(ctx, o)
	if err := c.print(r, pid); err != nil {
		return err
	}
	if r.Failed() > 0 {
		return fmt.Errorf("%d of %d sessions did not go as planned", r.Failed(), r.Sessions)
	}
	return c.gauges()
}

// startPeer starts the proxy and its backends, and returns what ends them.
func (c *command) startPeer() (*peers.Peer, func(), error) {
	var servers []*wire.EchoServer
	closeServers := func() {
		for _, s := range servers {
			s.Close()
		}
	}
	o := peers.Options{Binary: c.binary, Tunnels: 8000}
	for range backends {
		s, err := wire.ListenEcho("127.0.0.1:0")
		if err != nil {
			closeServers()
			return nil, nil, err
		}
		servers = append(servers, s)
		o.Backends = append(o.Backends, s.Addr())
	}
	p, err := peers.Start(c.peer, o)
	if err != nil {
		closeServers()
		return nil, nil, err
	}
	return p, func() { p.Stop(); closeServers() }, nil
}

func (c *command) print(r load.ChurnResult, pid int) error {
	if c.asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("sessions %d, at most %d at once; messages %d, %.1f MB echoed and compared\n",
		r.Sessions, r.OpenPeak, r.Messages, float64(r.Bytes)/1e6)
	for _, name := range slices.Sorted(maps.Keys(r.Ends)) {
		fmt.Printf("  ended by %-12s %d\n", name, r.Ends[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Unexpected)) {
		fmt.Printf("  UNEXPECTED %s: %d\n", name, r.Unexpected[name])
	}
	if r.Failed() == 0 {
		fmt.Println("unexpected ends 0: every session survived until it ended itself")
	}
	if pid == 0 {
		return nil
	}
	u, err := peers.Measure(pid)
	if err == nil {
		fmt.Printf("proxy: CPU %.1f s, PSS %.1f MB, %d fds\n", u.CPU.Seconds(), float64(u.PSS)/1e6, u.Files.Total)
	}
	return err
}

// gauges waits until a holdfast has nothing open any more.
func (c *command) gauges() error {
	if c.admin == "" {
		return nil
	}
	err := proc.Poll(proc.Patience, func() error {
		s, err := proc.ReadStatus(c.admin)
		if err != nil {
			return err
		}
		t := s.Totals
		if t.Tunnels != 0 || t.Live() != 0 || t.BufsOut != 0 || t.PipesOut != 0 || t.RequestsOut != 0 {
			return fmt.Errorf("not at zero: tunnels %d, sessions %v, bufs_out %d, pipes_out %d, requests_out %d",
				t.Tunnels, t.Sessions, t.BufsOut, t.PipesOut, t.RequestsOut)
		}
		return nil
	})
	if err == nil {
		fmt.Fprintln(os.Stderr, "churn: all gauges are at zero")
	}
	return err
}
