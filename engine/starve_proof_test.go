package engine

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/test/busy"
	"holdfast/test/procfs"
)

// Shards are locked threads that wait for events and work without the scheduler's help. These
// tests look at what becomes of every other goroutine of the process meanwhile: sleepers, the
// collector, the admin server. The figures are printed, not judged:
//
//	go test ./engine -run TestOthersRun -v -starve.for 10s
var (
	starveFor    = flag.Duration("starve.for", 200*time.Millisecond, "how long each load of TestOthersRun lasts at least")
	starveShards = flag.Int("starve.shards", 2, "shards in TestOthersRun")
)

// Set in the environment, they make the test binary another process of these tests.
const (
	witnessSet = "HOLDFAST_TEST_WITNESS" // with runConf: the proxy measures itself
	busySet    = "HOLDFAST_TEST_BUSY"    // the load, its options as JSON
)

// What a witness must have done before its report counts: enough to show that it runs.
const (
	sleepsMin  = 50
	cyclesMin  = 3
	answersMin = 5
)

// A goroutine beside busy shards must get to sleep and wake at least this often, as a part of
// what one in another process gets at the same time on the same machine. It gets about as much;
// with GOMAXPROCS no more than the shards and waits the scheduler is not told of, it got 1/18.
const sleepsShareMin = 1.0 / 8

// spread is a list of durations in microseconds, summed up.
type spread struct {
	Count              int
	Min, P50, P99, Max float64
}

func spreadOf(list []time.Duration) (s spread) {
	slices.Sort(list)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	if s.Count = len(list); s.Count > 0 {
		s.Min, s.P50, s.P99, s.Max = us(list[0]), us(list[s.Count/2]), us(list[s.Count*99/100]), us(list[s.Count-1])
	}
	return s
}

func (s spread) String() string {
	return fmt.Sprintf("%.0f / %.0f / %.0f (%d)", s.P50, s.P99, s.Max, s.Count)
}

// report is what the witnesses in the proxy's process saw. Pauses and latencies are the
// runtime's own figures, from its histograms: each is an upper bound of a bucket.
type report struct {
	Oversleep, Collect        spread
	Pause, Stopping, Schedule spread
	Seconds                   float64
	Scanned                   uint64 // bytes of the heap that may hold pointers
}

// oversleeps sleeps for a millisecond over and over and keeps how much longer it took.
func oversleeps(more func(n int) bool) (list []time.Duration) {
	for more(len(list)) {
		began := time.Now()
		time.Sleep(time.Millisecond)
		list = append(list, time.Since(began)-time.Millisecond)
	}
	return list
}

// histograms are the runtime's histograms that a report sums up.
var histograms = []string{
	"/sched/pauses/total/gc:seconds", "/sched/pauses/stopping/gc:seconds", "/sched/latencies:seconds",
}

func readHistograms() (list []metrics.Float64Histogram) {
	for _, name := range histograms {
		s := []metrics.Sample{{Name: name}}
		metrics.Read(s)
		list = append(list, *s[0].Value.Float64Histogram())
	}
	return list
}

// grown sums up what came to a histogram since before.
func grown(now, before metrics.Float64Histogram) (s spread) {
	total := uint64(0)
	for i := range now.Counts {
		total += now.Counts[i] - before.Counts[i]
	}
	s.Count = int(total)
	seen := uint64(0)
	for i := range now.Counts {
		n := now.Counts[i] - before.Counts[i]
		if n == 0 {
			continue
		}
		bound := now.Buckets[i+1] * 1e6
		if seen <= total/2 && seen+n > total/2 {
			s.P50 = bound
		}
		if seen <= total*99/100 && seen+n > total*99/100 {
			s.P99 = bound
		}
		s.Max = bound
		seen += n
	}
	return s
}

// witness measures from within until stop is closed and everything has had some turns.
func witness(stop *atomic.Bool) report {
	before, began := readHistograms(), time.Now()
	enough := func(n, least int) bool { return n >= least && stop.Load() }
	collected := make(chan []time.Duration)
	go func() {
		var list []time.Duration
		for !enough(len(list), cyclesMin) {
			time.Sleep(50 * time.Millisecond)
			began := time.Now()
			runtime.GC()
			list = append(list, time.Since(began))
		}
		collected <- list
	}()
	r := report{Oversleep: spreadOf(oversleeps(func(n int) bool { return !enough(n, sleepsMin) }))}
	r.Collect = spreadOf(<-collected)
	r.Seconds = time.Since(began).Seconds()
	r.Scanned = scanned()
	after := readHistograms()
	for i, s := range []*spread{&r.Pause, &r.Stopping, &r.Schedule} {
		*s = grown(after[i], before[i])
	}
	return r
}

// collections collects n times in a row.
func collections(n int) (r report) {
	before := readHistograms()
	var list []time.Duration
	for range n {
		began := time.Now()
		runtime.GC()
		list = append(list, time.Since(began))
	}
	r.Collect, r.Pause, r.Scanned = spreadOf(list), grown(readHistograms()[0], before[0]), scanned()
	return r
}

// scanned is how much of the heap the last collection had to look at.
func scanned() uint64 {
	s := []metrics.Sample{{Name: "/gc/scan/heap:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// serveWitness answers each pair of lines on stdin, the begin and the end of a measurement,
// or the one line "collect", with a report on stdout, and ends the process when stdin ends.
func serveWitness(in io.Reader, out io.Writer) {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		if lines.Text() == "collect" {
			_ = answers.Encode(collections(20))
			continue
		}
		var stop atomic.Bool
		done := make(chan report)
		go func() { done <- witness(&stop) }()
		lines.Scan()
		stop.Store(true)
		_ = answers.Encode(<-done)
	}
	os.Exit(0)
}

// serveBusy is the process of the load: it says where its backend is, reads where the proxy
// is, and loads it until stdin ends. With a Count it does so for each line it reads.
func serveBusy(options string) error {
	var o busy.Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	l, err := busy.New(o)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println(l.Address())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		front, err := netip.ParseAddrPort(lines.Text())
		if err != nil {
			return err
		}
		var ended atomic.Bool
		if o.Count == 0 {
			go func() {
				lines.Scan()
				ended.Store(true)
			}()
		}
		r, err := l.Run(front, func() bool { return !ended.Load() })
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
		if err != nil || o.Count == 0 {
			return err
		}
	}
	return nil
}

// role is a process of this test that is spoken to in lines. It ends when its stdin does.
type role struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err *output
}

func startRole(t *testing.T, env ...string) *role {
	t.Helper()
	r := &role{t: t, cmd: exec.Command(os.Args[0]), err: &output{}}
	r.cmd.Env = append(os.Environ(), env...)
	r.cmd.Stderr = r.err
	in, err := r.cmd.StdinPipe()
	must(t, err)
	out, err := r.cmd.StdoutPipe()
	must(t, err)
	r.in, r.out = in, bufio.NewReader(out)
	begin(t, r.cmd)
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		if t.Failed() {
			t.Logf("a process wrote:\n%s", r.err)
		}
	})
	return r
}

func (r *role) say(line string) {
	r.t.Helper()
	_, err := io.WriteString(r.in, line+"\n")
	must(r.t, err)
}

// hear reads one line; a process that hangs fails by the test's own limit.
func (r *role) hear() string {
	r.t.Helper()
	type heard struct {
		line string
		err  error
	}
	c := make(chan heard, 1)
	go func() {
		line, err := r.out.ReadString('\n')
		c <- heard{line, err}
	}()
	select {
	case h := <-c:
		if h.err != nil {
			r.t.Fatalf("a process ended: %v\n%s", h.err, r.err)
		}
		return strings.TrimSpace(h.line)
	case <-time.After(patience):
		r.t.Fatalf("a process says nothing\n%s", r.err)
	}
	return ""
}

func (r *role) hearJSON(v any) {
	r.t.Helper()
	must(r.t, json.Unmarshal([]byte(r.hear()), v))
}

// outside is what a process beside the proxy sees: its own sleeps, which show what the
// machine does to everybody, and the answers of /status.
type outside struct {
	Oversleep, Status spread
	Seconds           float64
}

func watch(t *testing.T, admin string, until time.Time) (o outside) {
	began := time.Now()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	asked := make(chan []time.Duration)
	go func() {
		var list []time.Duration
		for len(list) < answersMin || time.Now().Before(until) {
			began := time.Now()
			resp, err := client.Get("http://" + admin + "/status")
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if err != nil {
				t.Errorf("/status: %v", err)
				break
			}
			list = append(list, time.Since(began))
			time.Sleep(10 * time.Millisecond)
		}
		asked <- list
	}()
	slept := make(chan []time.Duration)
	go func() { slept <- oversleeps(func(n int) bool { return n < sleepsMin || time.Now().Before(until) }) }()
	o.Oversleep = spreadOf(<-slept)
	o.Seconds = time.Since(began).Seconds()
	o.Status = spreadOf(<-asked)
	return o
}

// TestOthersRunWhileShardsAreBusy loads the shards as hard as the machine allows and sees that
// goroutines of the same process still sleep and wake, the collector comes to its end, and the
// admin server answers.
func TestOthersRunWhileShardsAreBusy(t *testing.T) {
	loads := []struct {
		name string
		o    busy.Options
	}{
		{"nothing", busy.Options{Mode: busy.Messages, Connections: 0}},
		{"200 tunnels, closed loop", busy.Options{Mode: busy.Messages, Connections: 200, Size: 64}},
		{"2 tunnels, closed loop", busy.Options{Mode: busy.Messages, Connections: 2, Size: 64}},
		{"50 tunnels, 10000/s", busy.Options{Mode: busy.Messages, Connections: 50, Size: 64, Rate: 10_000}},
		{"sessions, 32 at once", busy.Options{Mode: busy.Sessions, Connections: 32, Size: 64}},
		{"requests on 64", busy.Options{Mode: busy.Requests, Connections: 64, BodySize: 128}},
	}
	for _, l := range loads {
		t.Run(l.name, func(t *testing.T) { othersRun(t, l.o) })
	}
}

// loaded is a proxy in a process of its own, and one that loads it.
type loaded struct {
	proxy, load *role
	admin       netip.AddrPort
}

// startLoaded starts both; the load begins with begin.
func startLoaded(t *testing.T, shards int, o busy.Options) (l loaded, begin func()) {
	t.Helper()
	options, err := json.Marshal(o)
	must(t, err)
	l.load = startRole(t, busySet+"="+string(options))
	dir, front := worldDir(t), freeAddress(t)
	l.admin = freeAddress(t)
	path := dir + "/nginx.conf"
	must(t, os.WriteFile(path, []byte(fmt.Sprintf(`
worker_processes %d;
pid %s/pid;
error_log %s/error.log warn;
admin %s;
events { worker_connections 20000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    upstream back { server %s; keepalive 128; keepalive_requests 1000000000; }
    server { listen %s backlog=4096; location / { proxy_pass http://back; } }
}`, shards, dir, dir, l.admin, l.load.hear(), front)), 0o644))
	l.proxy = startRole(t, runConf+"="+path, witnessSet+"=1")
	until(t, "the pid file", func() bool { return read(dir+"/pid") != "" })
	return l, func() {
		t.Helper()
		l.load.say(front.String())
	}
}

func othersRun(t *testing.T, o busy.Options) {
	both, begin := startLoaded(t, *starveShards, o)
	begin()
	proxy, load, admin := both.proxy, both.load, both.admin
	waitForTraffic(t, admin.String(), o.Connections)
	used, began := runTime(t, proxy), time.Now()
	proxy.say("begin")
	out := watch(t, admin.String(), began.Add(*starveFor))
	proxy.say("end")
	var in report
	proxy.hearJSON(&in)
	share := (runTime(t, proxy) - used).Seconds() / time.Since(began).Seconds()
	must(t, load.in.Close())
	var r busy.Result
	load.hearJSON(&r)
	if o.Connections > 0 && r.Rounds == 0 {
		t.Error("the load did nothing")
	}
	inside, beside := float64(in.Oversleep.Count)/in.Seconds, float64(out.Oversleep.Count)/out.Seconds
	if inside < beside*sleepsShareMin {
		t.Errorf("a goroutine slept and woke %.0f times a second, one in a process beside it %.0f times", inside, beside)
	}
	t.Logf("%.0f rounds a second, the proxy used %.2f cores\n"+
		"µs, p50 / p99 / max (count)\n"+
		"  sleep(1 ms), longer by:    %v; in a process beside it: %v\n"+
		"  runtime.GC():              %v\n"+
		"  world stopped by it:       %v; of that until all had stopped: %v\n"+
		"  runnable until running:    %v\n"+
		"  /status from outside:      %v",
		float64(r.Rounds)/max(r.Seconds, 1e-9), share, in.Oversleep, out.Oversleep, in.Collect, in.Pause, in.Stopping,
		in.Schedule, out.Status)
}

// waitForTraffic returns once the proxy has seen as many requests as the load has connections.
func waitForTraffic(t *testing.T, admin string, connections int) {
	t.Helper()
	until(t, "the load to begin", func() bool {
		resp, err := http.Get("http://" + admin + "/status")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var s struct{ Totals struct{ Requests int } }
		return json.NewDecoder(resp.Body).Decode(&s) == nil && s.Totals.Requests >= connections
	})
	http.DefaultClient.CloseIdleConnections()
}

func runTime(t *testing.T, r *role) time.Duration {
	t.Helper()
	d, err := procfs.RunTime(r.cmd.Process.Pid)
	must(t, err)
	return d
}
