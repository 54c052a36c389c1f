// Command echo measures message latency and throughput through a WebSocket proxy:
// in a closed loop, or with -rate at a fixed rate without coordinated omission.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peers"
)

// report is the result in its JSON form.
type report struct {
	URL         string
	Connections int
	Size        int
	Rate        float64
	Result      load.EchoResult
	// CPUSecondsPerMillion is the proxy's run time per million echoes; zero without -pid.
	CPUSecondsPerMillion float64
}

func main() {
	url := flag.String("url", "", "where to go: ws://HOST:PORT/PATH")
	connections := flag.Int("c", 64, "connections")
	size := flag.Int("size", 64, "bytes of a message")
	rate := flag.Float64("rate", 0, "messages a second over all connections; 0 is the closed loop")
	duration := flag.Duration("d", 10*time.Second, "how long to send")
	pid := flag.Int("pid", 0, "process id of the proxy, to account its CPU time")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	if err := run(*url, *pid, *asJSON, load.EchoOptions{
		Connections: *connections, Size: *size, Rate: *rate, Duration: *duration,
	}); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(url string, pid int, asJSON bool, o load.EchoOptions) error {
	var err error
	if o.Target, err = load.ParseTarget(url); err != nil {
		return err
	}
	var before, after peers.Usage
	if pid != 0 {
		if before, err = peers.Measure(pid); err != nil {
			return err
		}
	}
	result, err := load.Echo(context.Background(), o)
	if err != nil {
		return err
	}
	r := report{URL: url, Connections: o.Connections, Size: o.Size, Rate: o.Rate, Result: result}
	if pid != 0 {
		if after, err = peers.Measure(pid); err != nil {
			return err
		}
		r.CPUSecondsPerMillion = (after.CPU - before.CPU).Seconds() / float64(result.Echoes) * 1e6
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("%d echoes of %d bytes on %d connections, %.0f a second\n",
		result.Echoes, o.Size, o.Connections, result.PerSecond)
	l := result.Latency
	fmt.Printf("latency µs: p50 %d  p90 %d  p99 %d  p99.9 %d  max %d\n", l.P50, l.P90, l.P99, l.P999, l.Max)
	if pid != 0 {
		fmt.Printf("proxy CPU: %.2f s per million echoes\n", r.CPUSecondsPerMillion)
	}
	return nil
}
