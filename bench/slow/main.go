// Command slow measures what slow clients do to the others: a well-behaved client asks at
// a fixed rate, in turns alone and beside a crowd of clients that send a byte of a head or
// of a body a second or take a huge response in sips. It reports the latency of both, the
// proxy's memory against the limits of its configuration, and whether everything is given
// back when the crowd has left.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast/test/slow"
)

// options are the flags.
type options struct {
	binary, write string
	rounds        int
	crowd         slow.Crowd
	steady        steady
}

func main() {
	var o options
	flag.StringVar(&o.binary, "bin", "bin/holdfast", "the holdfast binary")
	flag.StringVar(&o.write, "write", "", "write slow.md into this folder, as bench/results")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; each measures quiet and beside the crowd")
	flag.IntVar(&o.crowd.Heads, "heads", 500, "clients that send one byte of a head a pause")
	flag.IntVar(&o.crowd.Bodies, "bodies", 500, "clients that send one byte of a body a pause")
	flag.IntVar(&o.crowd.Readers, "readers", 200, "clients that read 1 KiB of a response a pause")
	flag.DurationVar(&o.crowd.Pause, "pause", time.Second, "the pause of the slow clients")
	flag.Float64Var(&o.steady.rate, "rate", 500, "requests a second of the well-behaved client")
	flag.IntVar(&o.steady.connections, "c", 20, "keep-alive connections of the well-behaved client")
	flag.DurationVar(&o.steady.duration, "d", 10*time.Second, "how long each measurement takes")
	crowdAddress := flag.String("crowd", "", "internal: play the crowd at this address")
	origin := flag.Bool("origin", false, "internal: play the origin")
	flag.Parse()
	var err error
	switch {
	case *origin:
		err = playOrigin()
	case *crowdAddress != "":
		err = playCrowd(*crowdAddress, o.crowd)
	default:
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "slow:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	r, err := measure(o)
	if err != nil {
		return err
	}
	text := r.markdown(o)
	fmt.Print(text)
	if o.write != "" {
		if err := os.MkdirAll(o.write, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.write, "slow.md"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return r.verdict()
}
