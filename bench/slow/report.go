package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/bench/peers"
)

// runtimeShare is what the proxy's memory may grow by besides its buffers: records and
// requests of the slow clients, and what Go's heap keeps in reserve.
const runtimeShare = 8 << 20

// verdict is the error that makes the command fail, if any.
func (r *result) verdict() error {
	if r.left != nil {
		return fmt.Errorf("not given back: %w", r.left)
	}
	if r.peak.BufBytes > r.limit {
		return fmt.Errorf("%d bytes in buffers, the configuration allows %d", r.peak.BufBytes, r.limit)
	}
	if grown := r.peak.PSS - r.before.PSS; grown > r.limit+r.limit/2+runtimeShare {
		return fmt.Errorf("the memory grew by %d bytes; buffers of %d are allowed", grown, r.limit)
	}
	return nil
}

// quantiles are the medians over the rounds of p50, p99 and the maximum.
func (r *result) quantiles(of func(round) *hdrhistogram.Histogram) (p50, p99, most int64) {
	var all [3][]int64
	for _, one := range r.rounds {
		h := of(one)
		for i, v := range []int64{h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.Max()} {
			all[i] = append(all[i], v)
		}
	}
	for i := range all {
		slices.Sort(all[i])
	}
	middle := len(r.rounds) / 2
	return all[0][middle], all[1][middle], all[2][middle]
}

func (r *result) markdown(o options) string {
	var b strings.Builder
	p50, p99, most := r.quantiles(func(one round) *hdrhistogram.Histogram { return one.quiet })
	p50l, p99l, mostl := r.quantiles(func(one round) *hdrhistogram.Histogram { return one.loaded })
	fmt.Fprintf(&b, "# A well-behaved client beside %d slow ones, on one shard\n\n", o.crowd.Size())
	b.WriteString("| latency of the well-behaved client, µs | quiet | beside the crowd | ratio |\n|---|---|---|---|\n")
	for _, row := range []struct {
		name          string
		quiet, loaded int64
	}{{"p50", p50, p50l}, {"p99", p99, p99l}, {"maximum", most, mostl}} {
		fmt.Fprintf(&b, "| %s | %d | %d | %.2f |\n", row.name, row.quiet, row.loaded, float64(row.loaded)/float64(row.quiet))
	}
	b.WriteString("\n| the proxy | before | highest beside the crowd | after |\n|---|---|---|---|\n")
	kib := func(n int64) float64 { return float64(n) / 1024 }
	fmt.Fprintf(&b, "| PSS, KiB | %.0f | %.0f | %.0f |\n", kib(r.before.PSS), kib(r.peak.PSS), kib(r.after.PSS))
	fmt.Fprintf(&b, "| kernel memory of all TCP sockets of the system, KiB | %.0f | %.0f | %.0f |\n",
		kib(r.before.kernel), kib(r.peak.kernel), kib(r.after.kernel))
	for _, row := range []struct {
		name                string
		before, peak, after int64
	}{
		{"buffers lent, bytes", r.before.BufBytes, r.peak.BufBytes, r.after.BufBytes},
		{"buffers lent", r.before.BufsOut, r.peak.BufsOut, r.after.BufsOut},
		{"pipes lent", r.before.PipesOut, r.peak.PipesOut, r.after.PipesOut},
		{"requests under way", r.before.RequestsOut, r.peak.RequestsOut, r.after.RequestsOut},
		{"descriptors", int64(r.before.Files.Total), int64(r.peak.Files.Total), int64(r.after.Files.Total)},
		{"sockets, of them idle towards the origin " + fmt.Sprint(r.after.UpstreamIdle),
			int64(r.before.Files.Sockets), int64(r.peak.Files.Sockets), int64(r.after.Files.Sockets)},
	} {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", row.name, row.before, row.peak, row.after)
	}
	fmt.Fprintf(&b, "\n- the crowd: %d clients that send one byte of a head every %v, %d that send one byte of a body of 10 MB, "+
		"%d that take 1 KiB of a response of 1 GB (they took %.1f MB)\n", o.crowd.Heads, o.crowd.Pause, o.crowd.Bodies,
		o.crowd.Readers, float64(r.sipped)/1e6)
	fmt.Fprintf(&b, "- the well-behaved client: %.0f requests a second on %d connections for %v, latency from the time each "+
		"was due; every one of %d was answered\n", o.steady.rate, o.steady.connections, o.steady.duration,
		2*int64(o.rounds)*o.steady.requests())
	fmt.Fprintf(&b, "- %d rounds, quiet and loaded in turns; medians over the rounds; `worker_processes 1`\n", o.rounds)
	fmt.Fprintf(&b, "- the configuration allows the crowd %.0f KiB of buffers; connections of the crowd that ended early: %d\n",
		kib(r.limit), r.lost)
	fmt.Fprintf(&b, "- measured when the huge responses had filled the sockets' buffers, %.1f s after the crowd came at most; "+
		"how large these grow is up to the kernel (`net.ipv4.tcp_rmem`, `tcp_wmem`, `tcp_mem`)\n", r.filled.Seconds())
	if r.left == nil {
		b.WriteString("- after each round every session, buffer, pipe, request and socket was given back\n")
	} else {
		fmt.Fprintf(&b, "- **not given back**: %v\n", r.left)
	}
	fmt.Fprintf(&b, "\nCommand: `go run ./bench/slow -bin bin/holdfast -rounds %d -heads %d -bodies %d -readers %d -rate %.0f -d %v`\n",
		o.rounds, o.crowd.Heads, o.crowd.Bodies, o.crowd.Readers, o.steady.rate, o.steady.duration)
	fmt.Fprintf(&b, "\nMachine: %s; %s.\n", machine(), peers.Version(peers.Holdfast, o.binary))
	return b.String()
}

// machine says where the figures are from.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "unknown"
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		release := make([]byte, 0, len(u.Release))
		for _, c := range u.Release {
			release = append(release, byte(c))
		}
		kernel, _, _ = strings.Cut(string(bytes.TrimRight(release, "\x00")), "-")
	}
	commit := "unknown"
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %d cores, Linux %s %s, %s, commit %s", model, runtime.NumCPU(), kernel, runtime.GOARCH,
		runtime.Version(), commit)
}
