package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"holdfast/bench/peers"
)

// Report is everything quick found, in the form of quick.json.
type Report struct {
	Machine Machine
	Rounds  int
	Scale   scale
	Peers   []PeerReport
	Missing []string // peers that could not be measured, and why
}

// PeerReport are the rounds of one proxy.
type PeerReport struct {
	Kind    peers.Kind
	Version string
	Rounds  []Measurement
}

// Machine says where the figures are from.
type Machine struct {
	CPU    string
	Cores  int
	Kernel string
	Arch   string
	Go     string
}

func machine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Arch: runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		release := make([]byte, 0, len(u.Release))
		for _, c := range u.Release {
			release = append(release, byte(c))
		}
		m.Kernel, _, _ = strings.Cut(string(bytes.TrimRight(release, "\x00")), "-")
	}
	return m
}

// row is one line of the table.
type row struct {
	name   string
	format string
	of     func(Measurement) float64
}

var rows = []row{
	{"user memory per idle tunnel, B", "%.0f", func(m Measurement) float64 { return m.BytesPerTunnel }},
	{"proxy CPU per million echoes, s", "%.1f", func(m Measurement) float64 { return m.EchoCPU }},
	{"echo latency p50, µs", "%.0f", func(m Measurement) float64 { return float64(m.EchoP50) }},
	{"echo latency p99, µs", "%.0f", func(m Measurement) float64 { return float64(m.EchoP99) }},
	{"connect + upgrade + echo + close, /s", "%.0f", func(m Measurement) float64 { return m.StormPerSecond }},
	{"proxy CPU per 1000 of these, s", "%.3f", func(m Measurement) float64 { return m.StormCPU }},
	{"plain HTTP requests/s (wrk -c64)", "%.0f", func(m Measurement) float64 { return m.RequestsPerSecond }},
	{"proxy CPU per 100,000 requests, s", "%.2f", func(m Measurement) float64 { return m.RequestCPU }},
}

// Markdown is the report as a table, the machine below it.
func (r Report) Markdown() string {
	var b strings.Builder
	b.WriteString("| |")
	for _, p := range r.Peers {
		fmt.Fprintf(&b, " %s |", p.Kind)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.Peers)) + "\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row.name)
		base := r.base(row)
		for _, p := range r.Peers {
			fmt.Fprintf(&b, " %s |", cell(row, median(p.Rounds, row.of), base, p.Kind))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n%d rounds, interleaved; medians; in parentheses the ratio to holdfast. ", r.Rounds)
	fmt.Fprintf(&b, "%d idle tunnels; echoes of 64 B at %.0f a second on 50 connections; %d connects. ",
		r.Scale.Tunnels, r.Scale.EchoRate, r.Scale.Connections)
	b.WriteString("Each proxy has 2 workers, and shares the machine with its load and its backend. " +
		"Ratios carry over to other machines better than figures.\n\n")
	fmt.Fprintf(&b, "Command: `go run ./bench/quick -bin bin/holdfast -rounds %d -n %d -rate %.0f -wrk %d`\n\n",
		r.Rounds, r.Scale.Tunnels, r.Scale.EchoRate, r.Scale.WrkSeconds)
	fmt.Fprintf(&b, "Machine: %s, %d cores, Linux %s %s, %s.\n",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Arch, r.Machine.Go)
	for _, p := range r.Peers {
		fmt.Fprintf(&b, "- %s: %s\n", p.Kind, p.Version)
	}
	for _, missing := range r.Missing {
		fmt.Fprintf(&b, "- not measured: %s\n", missing)
	}
	return b.String()
}

// base is holdfast's median, zero if it was not measured.
func (r Report) base(row row) float64 {
	for _, p := range r.Peers {
		if p.Kind == peers.Holdfast {
			return median(p.Rounds, row.of)
		}
	}
	return 0
}

func cell(row row, value, base float64, kind peers.Kind) string {
	if value == 0 {
		return "–"
	}
	text := fmt.Sprintf(row.format, value)
	if kind != peers.Holdfast && base > 0 {
		text += fmt.Sprintf(" (%s×)", ratio(value/base))
	}
	return text
}

// ratio shows two digits behind the point where they matter.
func ratio(r float64) string {
	if r >= 10 {
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.2f", r)
}

func median(rounds []Measurement, of func(Measurement) float64) float64 {
	values := make([]float64, len(rounds))
	for i, m := range rounds {
		values[i] = of(m)
	}
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}
