// Command verify sends many bytes both ways at once through a proxy, hashes them at both
// ends, and half-closes in both orders. It exits with 1 if a byte was lost or changed, or
// an end came early.
//
//	verify -mode wss -bytes 10000000000
//	verify -mode stream,stream-tls,connect -bytes 1000000000 -close client,origin
//
// Modes are ws and wss (a WebSocket through the proxy's http server), stream and
// stream-tls (its stream server), and connect (a tunnel that CONNECT opens).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"holdfast/bench/peers"
)

// options are the flags.
type options struct {
	kind        peers.Kind
	binary      string
	connections int
	bytes       int64 // each way, over all connections
}

func main() {
	o := options{}
	kind := flag.String("peer", "holdfast", "the proxy: holdfast, nginx or haproxy")
	modeNames := flag.String("mode", "wss", "what to send through, separated by commas: "+strings.Join(modes, ", "))
	orders := flag.String("close", "none,client,origin",
		"how tunnels end, each measured by itself: client or origin half-closes first, or none until all has come")
	flag.StringVar(&o.binary, "bin", "bin/holdfast", "the holdfast binary")
	flag.IntVar(&o.connections, "conns", 4, "connections at a time")
	flag.Int64Var(&o.bytes, "bytes", 1e9, "bytes each way, over all connections")
	flag.Parse()
	o.kind = peers.Kind(*kind)
	if err := run(o, strings.Split(*modeNames, ","), strings.Split(*orders, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

// run verifies every mode with every order and prints a line for each. The rest goes on
// after a failure.
func run(o options, names, orders []string) error {
	if o.connections < 1 || o.bytes < int64(o.connections) {
		return errors.New("want a connection and a byte for each")
	}
	fmt.Printf("| %s | first to half-close | bytes each way | seconds | proxy CPU, s per GB | hashes |\n|---|---|---|---|---|---|\n", o.kind)
	var failed error
	for _, name := range names {
		if !slices.Contains(modes, name) {
			return fmt.Errorf("no mode %q; there are %s", name, strings.Join(modes, ", "))
		}
		for _, order := range orders {
			r, err := o.verify(name, order)
			verdict := "equal"
			if err != nil {
				verdict, _, _ = strings.Cut(err.Error(), "\n") // the others say the same
				failed = fmt.Errorf("%s, first to half-close %s: %s", name, order, verdict)
			}
			fmt.Printf("| %s | %s | %d | %.1f | %.3f | %s |\n", name, order, r.bytes, r.elapsed.Seconds(),
				r.cpu.Seconds()/(float64(max(2*r.bytes, 1))/1e9), verdict)
		}
	}
	return failed
}

// result is what one run has moved, each way.
type result struct {
	bytes        int64
	elapsed, cpu time.Duration
}

// verify starts an origin and a proxy and runs the tunnels.
func (o options) verify(mode, order string) (r result, err error) {
	t := transfer{mode: mode, bytes: o.bytes / int64(o.connections)}
	switch order {
	case "client":
		t.client.first = true
	case "origin":
		t.origin.first = true
	case "none":
		t.counted = true
	default:
		return r, fmt.Errorf("no order %q", order)
	}
	origin, err := t.listen()
	if err != nil {
		return r, err
	}
	defer origin.Close()
	p, err := startProxy(o, mode, origin.Addr().String())
	if err != nil {
		return r, err
	}
	defer p.Stop()
	before, err := peers.Measure(p.PID())
	if err != nil {
		return r, err
	}
	began := time.Now()
	moved, failure := t.run(p.address, origin, o.connections)
	r.bytes, r.elapsed = moved, time.Since(began)
	after, err := peers.Measure(p.PID())
	r.cpu = after.CPU - before.CPU
	return r, errors.Join(failure, err)
}
