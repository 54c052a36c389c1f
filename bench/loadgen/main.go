// Command loadgen makes one load through a WebSocket proxy and prints what it saw as one
// JSON object (bench/load/client.Result). It exits with 1 if anything was not as it must
// be: a refused upgrade, an echo that differs, a wrong count, an early end, or 30 seconds
// without progress; the reason is on standard error, and the JSON says 1 error.
//
//	loadgen echo  -url ws://H:P/ -conns 50 -size 64 -rate 20000 -d 5s
//	loadgen storm -url ws://H:P/ -n 5000 -at-once 64
//	loadgen bulk  -url ws://H:P/ -conns 16 -frame 65536 -dir down -bytes 1000000000
//	loadgen handshake -url https://H:P/204 -n 5000 -at-once 16 -resume -tls 1.2
//	loadgen surge -url wss://H:P/ -conns 2000 -rate 5000 -d 5s -n 2000
//
// The origin behind the proxy is bench/backend. Rates are messages that the client sends,
// or sessions that it starts, a second; an echo is two messages to the proxy.
package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"holdfast/bench/load/client"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

// command is what the flags of a scenario say.
type command struct {
	flags  *flag.FlagSet
	target client.Target
	output string
	load   func() (client.Result, error)
}

// run runs the scenario that the first argument names.
func run(args []string, out, messages io.Writer) error {
	const want = "want a scenario: echo, storm, bulk, handshake, surge or newcomers"
	if len(args) == 0 {
		return errors.New(want)
	}
	c := &command{flags: flag.NewFlagSet("loadgen "+args[0], flag.ContinueOnError)}
	c.flags.SetOutput(messages)
	c.flags.StringVar(&c.target.URL, "url", "", "where to go: ws://HOST:PORT/PATH, wss:// for TLS")
	c.flags.BoolVar(&c.target.Raw, "raw", false, "upgrade to bytes without frames")
	c.flags.IntVar(&c.target.Loops, "loops", 1, "event loops, each on a thread of its own")
	c.flags.StringVar(&c.output, "json", "-", "file for the result; - is standard output")
	switch args[0] {
	case "echo":
		c.echo()
	case "storm":
		c.storm()
	case "bulk":
		c.bulk()
	case "handshake":
		c.handshake()
	case "surge":
		c.surge()
	case "newcomers":
		c.newcomers()
	default:
		return errors.New(want)
	}
	if err := c.flags.Parse(args[1:]); err != nil {
		return err
	}
	if c.flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", c.flags.Arg(0))
	}
	return c.measure(out)
}

// heapMax is the memory in use at which garbage is collected after all.
const heapMax = 1 << 30

// measure runs the load and writes its result, also that of a failure.
func (c *command) measure(out io.Writer) error {
	// The scheduler takes a loop's processor away where there is none to spare.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.target.Loops + 2))
	// Loops don't allocate in traffic; a collection would be noise in the measurement.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(heapMax)) // handshakes do allocate
	result, failure := c.load()
	if c.output != "-" {
		f, err := os.Create(c.output)
		if err != nil {
			return errors.Join(failure, err)
		}
		defer f.Close()
		out = f
	}
	return errors.Join(failure, json.NewEncoder(out).Encode(result))
}

func (c *command) echo() {
	var o client.EchoOptions
	c.flags.IntVar(&o.Connections, "conns", 50, "connections")
	c.flags.IntVar(&o.Size, "size", 64, "bytes of a message's payload")
	c.flags.Float64Var(&o.Rate, "rate", 0, "messages sent a second over all connections; 0 is the closed loop")
	c.flags.DurationVar(&o.Duration, "d", 5*time.Second, "how long to send")
	c.load = func() (client.Result, error) { o.Target = c.target; return client.Echo(o) }
}

func (c *command) storm() {
	var o client.StormOptions
	c.flags.IntVar(&o.Sessions, "n", 5000, "sessions in all")
	c.flags.IntVar(&o.AtOnce, "at-once", 64, "sessions under way at any time")
	c.flags.IntVar(&o.Size, "size", 64, "bytes of each session's message")
	c.flags.Float64Var(&o.Rate, "rate", 0, "sessions started a second; 0: each as soon as there is room")
	c.load = func() (client.Result, error) { o.Target = c.target; return client.Storm(o) }
}

func (c *command) bulk() {
	var o client.BulkOptions
	c.flags.IntVar(&o.Connections, "conns", 16, "connections")
	c.flags.Uint64Var(&o.Frame, "frame", 64<<10, "payload bytes of a frame")
	c.flags.Uint64Var(&o.Bytes, "bytes", 1e9, "payload bytes over all connections together, split evenly")
	c.flags.Func("dir", "down: from the origin to the client; up: the other way (default down)", func(text string) error {
		if text != "up" && text != "down" {
			return errors.New("want up or down")
		}
		o.Up = text == "up"
		return nil
	})
	c.load = func() (client.Result, error) { o.Target = c.target; return client.Bulk(o) }
}

func (c *command) handshake() {
	var o client.HandshakeOptions
	version := uint16(tls.VersionTLS13)
	c.flags.IntVar(&o.Handshakes, "n", 5000, "handshakes in all")
	c.flags.IntVar(&o.AtOnce, "at-once", 16, "connections under way at any time")
	c.flags.BoolVar(&o.Resume, "resume", false, "resume one session instead of full handshakes")
	c.flags.BoolVar(&o.Hybrid, "hybrid", false, "offer X25519MLKEM768 beside X25519")
	c.flags.Func("tls", "the version, 1.2 or 1.3 (default 1.3)", func(text string) error {
		switch text {
		case "1.2":
			version = tls.VersionTLS12
		case "1.3":
			version = tls.VersionTLS13
		default:
			return errors.New("want 1.2 or 1.3")
		}
		return nil
	})
	c.load = func() (client.Result, error) {
		o.Target, o.Version = c.target, version
		return client.Handshakes(o)
	}
}

func (c *command) surge() {
	var o client.SurgeOptions
	c.flags.IntVar(&o.Connections, "conns", 2000, "tunnels that echo")
	c.flags.IntVar(&o.Size, "size", 64, "bytes of a message's payload")
	c.flags.Float64Var(&o.Rate, "rate", 5000, "messages sent a second over all tunnels")
	c.flags.DurationVar(&o.Duration, "d", 5*time.Second, "how long to echo before the surge")
	c.flags.IntVar(&o.Newcomers, "n", 2000, "connections that are opened at once")
	nice := c.nice()
	c.load = func() (client.Result, error) {
		o.Target = c.target
		o.Elsewhere = func(n int) (client.Arrivals, error) {
			return elsewhere(c.target.URL, n, o.Size, *nice)
		}
		return client.RunSurge(o)
	}
}

func (c *command) nice() *int {
	return c.flags.Int("nice", 10, "how far the new connections' side stands back, 0 to 19")
}

func (c *command) newcomers() {
	size := c.flags.Int("size", 64, "bytes of a message's payload")
	n := c.flags.Int("n", 2000, "connections that are opened at once")
	nice := c.nice()
	c.load = func() (client.Result, error) {
		if err := client.StandBack(*nice); err != nil {
			return client.Result{}, err
		}
		arrivals, err := client.Newcomers(c.target, *n, *size)
		return client.Result{Scenario: "newcomers", Surge: &client.Surge{Arrivals: arrivals}, Histogram: [][2]float64{}}, err
	}
}

// elsewhere opens newcomers in a process of their own, this program started again.
func elsewhere(url string, n, size, nice int) (client.Arrivals, error) {
	self, err := os.Executable()
	if err != nil {
		return client.Arrivals{}, err
	}
	cmd := exec.Command(self, "newcomers", "-url", url, "-n", strconv.Itoa(n), "-size", strconv.Itoa(size),
		"-nice", strconv.Itoa(nice))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	if err != nil {
		return client.Arrivals{}, fmt.Errorf("newcomers: %w", err)
	}
	r := client.Result{Surge: &client.Surge{}}
	err = json.Unmarshal(out, &r)
	return r.Surge.Arrivals, err
}
