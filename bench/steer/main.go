// Command steer measures how evenly connections come to the shards of holdfast, and what
// that costs, for each value of listen_steering and several numbers of shards. The rounds
// are interleaved; the tables show medians, and the worst of all rounds in parentheses.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// options are the flags.
type options struct {
	binary string
	rounds int
	shards []int
	most   int // tunnels of the largest step
	storm  int // connections of the storm
}

var steerings = []string{"hash", "cpu", "least"}

func main() {
	var o options
	flag.StringVar(&o.binary, "bin", "bin/holdfast", "the holdfast binary")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; each measures everything once")
	flag.IntVar(&o.most, "n", 9000, "tunnels at most; less where the limit of open files allows less")
	flag.IntVar(&o.storm, "storm", 5000, "connections of the storm")
	counts := flag.String("shards", "2,4,8", "numbers of shards")
	flag.Parse()
	for _, text := range strings.Split(*counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 {
			fail(fmt.Errorf("-shards %q: want numbers from 2 on", *counts))
		}
		o.shards = append(o.shards, n)
	}
	results, err := run(o)
	if err != nil {
		fail(err)
	}
	fmt.Print(markdown(o, results))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "steer:", err)
	os.Exit(1)
}

// result is all rounds of one steering with one number of shards.
type result struct {
	shards   int
	steering string
	rounds   []measurement
}

func run(o options) ([]result, error) {
	var results []result
	for _, shards := range o.shards {
		for _, steering := range steerings {
			results = append(results, result{shards: shards, steering: steering})
		}
	}
	for round := range o.rounds {
		for i := range results {
			r := &results[i]
			fmt.Fprintf(os.Stderr, "steer: round %d of %d: %d shards, %s\n", round+1, o.rounds, r.shards, r.steering)
			m, err := measure(o, r.shards, r.steering)
			if err != nil {
				return nil, fmt.Errorf("%d shards, %s: %w", r.shards, r.steering, err)
			}
			r.rounds = append(r.rounds, m)
		}
	}
	return results, nil
}
