package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peers"
	"holdfast/test/wire"
)

// asTool makes the test binary play a load tool: the driver starts it like the real one.
const asTool = "HOLDFAST_BENCH_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) == "" {
		os.Exit(m.Run())
	}
	if err := play(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play is a backend without arguments, else an echo load of a few messages.
func play(args []string) error {
	if len(args) == 0 {
		s, err := wire.ListenEcho("127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Printf("{\"address\":%q}\n", s.Addr())
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	var url string
	for i, arg := range args {
		if arg == "-url" {
			url = args[i+1]
		}
	}
	target, err := load.ParseTarget(url)
	if err != nil {
		return err
	}
	r, err := load.Echo(context.Background(), load.EchoOptions{Target: target, Connections: 2, Size: 64})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(LoadResult{
		Scenario: args[0], Count: float64(r.Echoes), Seconds: 1, Latency: Latency{P50: float64(r.Latency.P50)},
	})
}

// fakeTools are the test binary in both roles.
func fakeTools(t *testing.T) *tools {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asTool, "1")
	return &tools{loadgen: path, backend: path}
}

func quickDriver(tl *tools) *driver {
	return &driver{
		tools: tl, scale: scale{Rounds: 2, Seconds: .1, Rate: 1000, Connections: 50, Tunnels: 20, Settle: .001, HoldRounds: 2, BulkBytes: 1e6},
		step: func(string, bool) {}, stop: func() bool { return false },
	}
}

// here are direct, and whatever else can be started on this machine.
func here(t *testing.T) []Contender {
	t.Helper()
	found, missing, err := find([]string{direct, holdfast, nginx, haproxy}, binaries{holdfast: "../../bin/holdfast"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range missing {
		t.Logf("not measured: %v", m)
	}
	return found
}

func TestRoundsWithFakeTools(t *testing.T) {
	d := quickDriver(fakeTools(t))
	contenders := here(t)
	cells := append(cellsOf(t, "echo"), cellsOf(t, "memory")...)
	runs, failures, rounds := d.measureAll(cells, contenders, 0)
	if len(failures) != 0 || rounds != 2 || len(runs) != 2*2*len(contenders) {
		t.Fatalf("%d rounds, %d measurements, failures: %+v", rounds, len(runs), failures)
	}
	for _, m := range runs {
		if m.Units <= 0 || m.Elapsed <= 0 || m.Peer != direct && (m.ProxyCPU <= 0 || m.PSS <= 0) {
			t.Errorf("%+v", m)
		}
	}
	r := Report{Runs: runs, Peers: contenders, Rounds: rounds, cells: cells}
	r.verdicts()
	if text := r.Markdown(); !strings.Contains(text, "per million messages") {
		t.Error(text)
	}
}

// TestRealTools runs every load that needs no foreign program, as small as it can be.
func TestRealTools(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the load tools")
	}
	t.Chdir("../..")
	tl, err := buildTools()
	if err != nil {
		t.Fatal(err)
	}
	defer tl.remove()
	contenders, missing, err := find([]string{direct, floor, holdfast},
		binaries{holdfast: "bin/holdfast", relay: tl.relay, relayMissing: tl.relayMissing})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("not measured: %v", missing)
	var cells []cell
	for _, name := range []string{"echo", "closed", "storm", "bulk", "memory"} {
		cells = append(cells, cellsOf(t, name)...)
	}
	d := quickDriver(tl)
	d.scale.Rounds = 1
	runs, failures, _ := d.measureAll(cells, contenders, 0)
	if len(failures) != 0 || len(runs) != len(cells)*len(contenders) {
		t.Errorf("%d measurements, failures: %+v", len(runs), failures)
	}
	for _, m := range runs {
		if m.Units <= 0 || m.Seconds <= 0 {
			t.Errorf("%+v", m)
		}
	}
}

func TestAFailureIsListedAndTheRestGoesOn(t *testing.T) {
	d := quickDriver(fakeTools(t))
	broken := cell{name: "broken", run: func(*driver, *stage) (outcome, error) { return outcome{}, io.ErrUnexpectedEOF }}
	fine := cell{name: "fine", run: func(*driver, *stage) (outcome, error) { return outcome{units: 1, seconds: 1}, nil }}
	runs, failures, rounds := d.measureAll([]cell{broken, fine}, []Contender{{Name: direct}}, 0)
	if len(runs) != 2 || len(failures) != 2 || rounds != 2 {
		t.Errorf("%d runs, %d rounds, %+v", len(runs), rounds, failures)
	}
	r := Report{Failures: failures}
	if err := r.failed(); err == nil || !strings.Contains(err.Error(), "broken of direct") {
		t.Error(err)
	}
	if err := (&Report{Failures: []Failure{{Peer: nginx}}}).failed(); err != nil {
		t.Errorf("a peer's failure is ours: %v", err)
	}
}

func TestAnEndOnRequestKeepsCompleteRounds(t *testing.T) {
	d := quickDriver(fakeTools(t))
	looks := 0
	d.stop = func() bool { looks++; return looks == 2 }
	fine := cell{name: "fine", run: func(*driver, *stage) (outcome, error) { return outcome{units: 1, seconds: 1}, nil }}
	if runs, _, rounds := d.measureAll([]cell{fine}, []Contender{{Name: direct}}, 0); rounds != 1 || len(runs) != 1 {
		t.Errorf("%d runs, %d rounds", len(runs), rounds)
	}
}

func TestTheTimeLimitEndsAfterARound(t *testing.T) {
	d := quickDriver(fakeTools(t))
	fine := cell{name: "fine", run: func(*driver, *stage) (outcome, error) { return outcome{units: 1, seconds: 1}, nil }}
	if runs, _, rounds := d.measureAll([]cell{fine}, []Contender{{Name: direct}}, time.Nanosecond); rounds != 1 || len(runs) != 1 {
		t.Errorf("%d runs, %d rounds; the first is always made", len(runs), rounds)
	}
}

func TestToolErrorsAreTold(t *testing.T) {
	tl := fakeTools(t)
	if _, err := tl.load("echo", "-url", "nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
	tl.loadgen = "/bin/true"
	if _, err := tl.load(); err == nil {
		t.Error("a load without a result was accepted")
	}
	tl.backend = "/bin/true"
	if b, err := tl.startBackend(); err == nil {
		b.stop()
		t.Error("a backend without an address was accepted")
	}
}

func TestParseWrk(t *testing.T) {
	text := "Running 2s test\n  2 threads and 64 connections\n  106730 requests in 2.10s, 27.00MB read\nRequests/sec:  50823.1\n"
	if o, err := parseWrk(text); err != nil || o.units != 106730 || o.seconds != 2.10 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"", text + "  Non-2xx or 3xx responses: 3\n", text + "  Socket errors: connect 0, read 1\n"} {
		if _, err := parseWrk(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseK6(t *testing.T) {
	text := `{"metrics": {"http_reqs": {"count": 400, "rate": 80}, "echoes": {"count": 100, "rate": 20},
		"http_req_duration": {"avg": 1.2, "med": 0.9, "p(90)": 2, "p(95)": 3, "max": 7.5}}}`
	o, err := parseK6([]byte(text), 5)
	if err != nil || o.units != 500 || o.seconds != 5 || *o.latency != (Latency{P50: 900, P90: 2000, Max: 7500}) ||
		o.values[k6Echoes] != 20 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"", "{}", `{"metrics": {"http_reqs": {"count": 400}}}`} {
		if _, err := parseK6([]byte(bad), 5); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestConfigurationsDifferOnlyWhereTheyShould(t *testing.T) {
	text := func(kind peers.Kind, large bool) string {
		var b bytes.Buffer
		o := peers.Options{Backends: []string{"127.0.0.1:1"}, Tunnels: 10, LargeBuffers: large}
		if err := peers.Config(&b, kind, o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, c := range []struct {
		kind  peers.Kind
		large bool
		word  string
		want  bool
	}{
		{peers.Nginx, false, "proxy_buffer_size", false},
		{peers.Nginx, true, "proxy_buffer_size 64k;", true},
		{peers.HAProxy, false, "tune.bufsize", false},
		{peers.HAProxy, true, "tune.bufsize 65536", true},
		{peers.HAProxy, true, "splice-auto", false},
		{peers.HAProxySplice, true, "option splice-auto", true},
		{peers.Holdfast, true, "proxy_pass http://backend;", true},
	} {
		if got := strings.Contains(text(c.kind, c.large), c.word); got != c.want {
			t.Errorf("%s, large buffers %v: %q there: %v", c.kind, c.large, c.word, got)
		}
	}
}
