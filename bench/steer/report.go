package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"holdfast/bench/peers"
)

// markdown is the report.
func markdown(o options, results []result) string {
	var b strings.Builder
	b.WriteString("# Which shard gets a connection\n\nTunnels of the fullest shard by the mean of all shards: 1 is even. " +
		"In parentheses the worst round.\n\n" +
		"| shards | listen_steering | 64 tunnels | 1000 tunnels | most tunnels | half of them replaced | " +
		"accepted in a storm | CPU of a storm, ms per 1000 |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %d | %s ", r.shards, r.steering)
		for step := range r.rounds[0].balances {
			cell := r.column(func(m measurement) float64 { return m.balances[step] })
			if step >= len(steps) {
				cell = fmt.Sprintf("%d: %s", r.rounds[0].tunnels[step], cell)
			}
			fmt.Fprintf(&b, "| %s ", cell)
		}
		cpu := r.values(func(m measurement) float64 { return m.stormCPU })
		fmt.Fprintf(&b, "| %s | %s | %.1f |\n", r.column(func(m measurement) float64 { return m.churned }),
			r.column(func(m measurement) float64 { return m.storm }), cpu[len(cpu)/2])
	}
	fmt.Fprintf(&b, "\nA storm is %d times connect, upgrade, one echo and close, %d at once; its CPU is the run time of "+
		"holdfast's threads. \"refused\": a shard had reached its own limit of sessions, which is the limit of open files by "+
		"the number of shards, while others had room. Medians of %d interleaved rounds; load and backend share the machine.\n\n",
		o.storm, atOnce, o.rounds)
	fmt.Fprintf(&b, "Command: `go run ./bench/steer %s`\n\n", strings.Join(os.Args[1:], " "))
	fmt.Fprintf(&b, "Machine: %s; %s.\n", machine(), peers.Version(peers.Holdfast, o.binary))
	return b.String()
}

func (r result) values(of func(measurement) float64) []float64 {
	var all []float64
	for _, m := range r.rounds {
		all = append(all, of(m))
	}
	slices.Sort(all)
	return all
}

// column is the median and the worst of a balance.
func (r result) column(of func(measurement) float64) string {
	all := r.values(of)
	median, worst := all[len(all)/2], fmt.Sprintf("%.2f", all[len(all)-1])
	if all[0] == 0 {
		worst = "refused"
	}
	if median == 0 {
		return "refused"
	}
	return fmt.Sprintf("%.2f (%s)", median, worst)
}

// machine says where the figures are from.
func machine() string {
	model, kernel, commit := "unknown processor", "unknown", "unknown"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel, _, _ = strings.Cut(strings.TrimSpace(string(text)), "-")
	}
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %d cores, Linux %s %s, %s, commit %s", model, runtime.NumCPU(), kernel, runtime.GOARCH,
		runtime.Version(), commit)
}
