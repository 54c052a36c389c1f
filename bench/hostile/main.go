// Command hostile plays the hostile corpus of test/hostile against holdfast, nginx and
// HAProxy, each as a plain reverse proxy with the upgrade idiom and keep-alive to the
// upstream, and writes what they made of it: totals, and every case where they differ.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/hostile"
)

// lanes is how many cases run at a time; each lane is a listener with its own backend.
const lanes = 16

func main() {
	binary := flag.String("bin", "bin/holdfast", "the holdfast binary")
	out := flag.String("out", "bench/results/hostile.md", "the file to write")
	flag.Parse()
	if err := run(*binary, *out); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

func run(binary, out string) error {
	cases, err := hostile.Corpus()
	if err != nil {
		return err
	}
	r := report{cases: cases}
	for _, kind := range []peers.Kind{peers.Holdfast, peers.Nginx, peers.HAProxy} {
		if _, err := peers.Path(kind, binary); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		start := time.Now()
		results, err := play(kind, binary, cases)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %d cases in %.1f s\n", kind, len(results), time.Since(start).Seconds())
		r.proxies = append(r.proxies, proxy{kind: kind, version: peers.Version(kind, binary), results: results})
	}
	if err := os.WriteFile(out, []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	return r.verdict()
}

// play runs the corpus against one proxy.
func play(kind peers.Kind, binary string, cases []hostile.Case) ([]hostile.Result, error) {
	all := make([]hostile.Lane, lanes)
	for i := range all {
		backend, err := hostile.NewRecorder()
		if err != nil {
			return nil, err
		}
		defer backend.Close()
		all[i].Backend = backend
	}
	p, err := start(kind, binary, all)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	// A peer owes no answer to what nobody knows the right answer to, so the wait is short.
	o := hostile.Options{Lanes: all, Patience: 2 * time.Second, Quiet: 200 * time.Millisecond}
	return hostile.Run(cases, o), nil
}
