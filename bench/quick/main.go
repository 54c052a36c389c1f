// Command quick compares holdfast with the peers that are installed, in a few minutes:
// memory of an idle tunnel, CPU of a message, a connect storm, and plain HTTP by wrk. The
// rounds are interleaved, so that whatever else the machine does hits all of them alike;
// the table shows medians and, in parentheses, each peer's ratio to holdfast.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/wire"
)

// scale is how much each measurement does.
type scale struct {
	Tunnels     int           // idle tunnels
	EchoRate    float64       // echoes a second
	EchoTime    time.Duration // of the echo load
	Connections int           // of the connect storm
	WrkSeconds  int
}

func main() {
	binary := flag.String("bin", "bin/holdfast", "the holdfast binary")
	rounds := flag.Int("rounds", 3, "rounds; each measures every proxy once")
	write := flag.String("write", "", "write quick.md and quick.json into this folder, as bench/results")
	s := scale{Connections: 3000, EchoTime: 4 * time.Second}
	flag.IntVar(&s.Tunnels, "n", 1000, "idle tunnels")
	flag.Float64Var(&s.EchoRate, "rate", 10_000, "echoes a second on 50 connections")
	flag.IntVar(&s.WrkSeconds, "wrk", 4, "seconds of wrk")
	flag.Parse()
	if err := run(*binary, *rounds, *write, s); err != nil {
		fmt.Fprintln(os.Stderr, "quick:", err)
		os.Exit(1)
	}
}

func run(binary string, rounds int, write string, s scale) error {
	backend, err := wire.ListenEcho("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer backend.Close()
	report := Report{Machine: machine(), Rounds: rounds, Scale: s}
	var kinds []peers.Kind
	for _, kind := range []peers.Kind{peers.Holdfast, peers.Nginx, peers.HAProxy} {
		if _, err := peers.Path(kind, binary); err != nil {
			report.Missing = append(report.Missing, fmt.Sprintf("%s: %v", kind, err))
			continue
		}
		kinds = append(kinds, kind)
		report.Peers = append(report.Peers, PeerReport{Kind: kind, Version: peers.Version(kind, binary)})
	}
	if len(kinds) == 0 {
		return fmt.Errorf("no proxy to measure: %v", report.Missing)
	}
	for round := range rounds {
		for i, kind := range kinds {
			fmt.Fprintf(os.Stderr, "quick: round %d of %d: %s\n", round+1, rounds, kind)
			m, err := measure(kind, binary, backend.Addr(), s)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			report.Peers[i].Rounds = append(report.Peers[i].Rounds, m)
		}
	}
	text := report.Markdown()
	fmt.Print(text)
	if write == "" {
		return nil
	}
	if err := os.MkdirAll(write, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(write, "quick.md"), []byte(text), 0o644); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(write, "quick.json"), append(raw, '\n'), 0o644)
}
