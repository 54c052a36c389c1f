// Command run measures holdfast beside nginx, HAProxy, a C relay as the floor, and no
// proxy at all. It starts them in turn, round by round, so that whatever else the
// machine does hits all of them alike; it runs the load tools as processes, looks at the
// CPU time of the proxy and of the whole machine, at memory and sockets, and reports
// medians, ratios, and how holdfast stands to its goals.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	scenarios, peers   string
	binary, base       string
	write, name        string
	quick, list, quiet bool
	within             time.Duration
	scale              scale
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if err == nil {
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

// parseFlags reads the flags: -quick chooses other defaults for the rest.
func parseFlags(args []string) (options, error) {
	o := options{scale: fullScale}
	names := strings.Join(everyone, ",")
	scenarios := strings.Join(usual(), ",")
	if slices.Contains(args, "-quick") || slices.Contains(args, "--quick") {
		o.scale = quickScale
		names = strings.Join([]string{floor, holdfast, nginx, haproxy}, ",")
		scenarios = "echo,closed,storm,http,memory"
	}
	f := flag.NewFlagSet("run", flag.ExitOnError)
	f.BoolVar(&o.quick, "quick", false, "a few minutes: short loads, few rounds, no bulk")
	f.BoolVar(&o.list, "list", false, "list the scenarios and end")
	f.BoolVar(&o.quiet, "quiet", false, "no progress bar")
	f.StringVar(&o.scenarios, "scenarios", scenarios, "what to measure, separated by commas")
	f.StringVar(&o.peers, "peers", names, "whom to measure, separated by commas; base needs -base")
	f.StringVar(&o.binary, "bin", "bin/holdfast", "the holdfast binary")
	f.StringVar(&o.base, "base", "", "another holdfast binary, measured as the peer base")
	f.StringVar(&o.write, "write", "", "write the report into this folder, as bench/results")
	f.StringVar(&o.name, "name", "peers", "the name of the report's files, without the extension")
	f.DurationVar(&o.within, "within", 0, "begin no round that would end after this time; 0 is no limit")
	f.IntVar(&o.scale.Rounds, "rounds", o.scale.Rounds, "rounds; each measures everybody once")
	f.Float64Var(&o.scale.Seconds, "seconds", o.scale.Seconds, "how long each timed load lasts")
	f.Float64Var(&o.scale.Rate, "rate", o.scale.Rate, "messages a second at the fixed rate; an echo is two")
	f.IntVar(&o.scale.Connections, "connections", o.scale.Connections, "connections of the storm")
	f.IntVar(&o.scale.Tunnels, "n", o.scale.Tunnels, "idle tunnels")
	f.Float64Var(&o.scale.Settle, "settle", o.scale.Settle, "seconds before memory is read")
	f.IntVar(&o.scale.Handshakes, "handshakes", o.scale.Handshakes, "handshakes of each kind")
	f.IntVar(&o.scale.SecureTunnels, "tls-n", o.scale.SecureTunnels, "idle tunnels of tls-mem")
	f.IntVar(&o.scale.HoldRounds, "hold-rounds", o.scale.HoldRounds, "rounds in which memory is measured")
	f.Int64Var(&o.scale.BulkBytes, "bytes", o.scale.BulkBytes, "bytes of each bulk transfer")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.scale.Rounds < 1 || o.scale.Tunnels < 1 || f.NArg() > 0 {
		return o, fmt.Errorf("bad arguments %q: see -help", args)
	}
	return o, nil
}

func (o options) run() error {
	if o.list {
		for _, s := range scenarios {
			fmt.Printf("%-9s %s\n", s.name, s.about)
		}
		return nil
	}
	found, missing, err := chosen(strings.Split(o.scenarios, ","))
	if err != nil {
		return err
	}
	t, err := buildTools()
	if err != nil {
		return err
	}
	defer t.remove()
	r := Report{
		Machine: machine(), Commit: commit(), Command: command(os.Args[1:]), Scale: o.scale, Missing: missing,
	}
	for _, s := range found {
		r.Scenarios = append(r.Scenarios, s.name)
		r.cells = append(r.cells, s.cells()...)
	}
	if err := o.invite(&r, t); err != nil {
		return err
	}
	bar := newBar(o.quiet, r.cells, r.Peers, o.scale)
	d := &driver{tools: t, scale: o.scale, step: bar.step, stop: interrupted()}
	r.Runs, r.Failures, r.Rounds = d.measureAll(r.cells, r.Peers, o.within)
	bar.end()
	compareMemory(r.Runs)
	r.verdicts()
	fmt.Print(r.Markdown())
	if o.write != "" {
		if err := r.write(o.write, o.name); err != nil {
			return err
		}
	}
	return r.failed()
}

// interrupted tells whether somebody has pressed ^C: then the complete rounds are
// reported, and a second ^C ends the process.
func interrupted() func() bool {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	return func() bool { return ctx.Err() != nil }
}

// invite finds the peers. Base takes part when there is a binary for it.
func (o options) invite(r *Report, t *tools) error {
	names := strings.Split(o.peers, ",")
	if o.base == "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name == base })
	} else if !slices.Contains(names, base) {
		names = append(names, base)
	}
	found, missing, err := find(names, binaries{
		holdfast: o.binary, base: o.base, relay: t.relay, relayMissing: t.relayMissing,
	})
	if err != nil {
		return err
	}
	r.Peers = found
	r.Missing = append(r.Missing, missing...)
	if len(found) == 0 {
		return fmt.Errorf("nobody to measure: %v", missing)
	}
	return nil
}

// failed is an error if a measurement of ours could not be made. What a peer cannot do is
// in the report.
func (r *Report) failed() error {
	for _, f := range r.Failures {
		if f.Peer != nginx && f.Peer != haproxy && f.Peer != splice {
			return fmt.Errorf("%d measurements failed, among them %s of %s: %s", len(r.Failures), f.Cell, f.Peer, f.Error)
		}
	}
	return nil
}
