// Command body moves large HTTP bodies with a Content-Length through holdfast, nginx
// and haproxy, up and down, and prints what the proxy's processes spent: CPU seconds a
// gigabyte, in interleaved rounds.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"holdfast/bench/peers"
)

// row is one proxy of the comparison.
type row struct {
	name, binary string
	kind         peers.Kind
	up, down     []figure
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "body:", err)
		os.Exit(1)
	}
}

func run() error {
	binary := flag.String("bin", "bin/holdfast", "the holdfast binary")
	base := flag.String("base", "", "another holdfast binary to compare with")
	size := flag.Int64("size", 512<<20, "bytes of a body")
	rounds := flag.Int("rounds", 5, "interleaved rounds")
	write := flag.String("write", "", "write the table to this file")
	flag.Parse()

	rows := []*row{{name: "holdfast", kind: peers.Holdfast, binary: *binary}}
	if *base != "" {
		rows = append(rows, &row{name: "holdfast (base)", kind: peers.Holdfast, binary: *base})
	}
	for _, kind := range []peers.Kind{peers.Nginx, peers.HAProxy} {
		if _, err := exec.LookPath(string(kind)); err != nil {
			fmt.Fprintf(os.Stderr, "%s is left out: not installed\n", kind)
			continue
		}
		rows = append(rows, &row{name: string(kind), kind: kind})
	}
	backend, err := serve(*size)
	if err != nil {
		return err
	}
	for i := range *rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", i+1, *rounds)
		for _, r := range rows {
			if err := r.measure(backend, *size); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	text := report(rows, *size, *rounds)
	fmt.Print(text)
	if *write != "" {
		return os.WriteFile(*write, []byte(text), 0o644)
	}
	return nil
}

func (r *row) measure(backend string, size int64) error {
	p, err := peers.Start(r.kind, peers.Options{Binary: r.binary, Backends: []string{backend}, Tunnels: 100})
	if err != nil {
		return err
	}
	defer p.Stop()
	down, err1 := move(p, size, download)
	up, err2 := move(p, size, upload)
	r.down, r.up = append(r.down, down), append(r.up, up)
	return errors.Join(err1, err2)
}

// report is the table, in Markdown.
func report(rows []*row, size int64, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Large HTTP bodies\n\nOne body of %d MiB with a Content-Length at a time. ", size>>20)
	fmt.Fprintf(&b, "CPU is the run time of all threads of the proxy, in seconds a GB (10⁹ bytes); ")
	fmt.Fprintf(&b, "medians of %d interleaved rounds, in brackets the lowest and the highest.\n\n", rounds)
	fmt.Fprintf(&b, "Machine: %s, kernel %s, %d CPUs, %s. Command: `go run ./bench/body %s`\n\n",
		runtime.GOARCH, kernel(), runtime.NumCPU(), runtime.Version(), strings.Join(os.Args[1:], " "))
	b.WriteString("| proxy | to the client: CPU s/GB | GB/s | to the upstream: CPU s/GB | GB/s |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		name := r.name
		if v := peers.Version(r.kind, r.binary); v != "" {
			name += " (" + v + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %.2f | %s | %.2f |\n", name,
			spread(r.down), median(r.down, rate), spread(r.up), median(r.up, rate))
	}
	return b.String()
}

func spread(f []figure) string {
	all := values(f, cpu)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", all[len(all)/2], all[0], all[len(all)-1])
}

func median(f []figure, of func(figure) float64) float64 {
	all := values(f, of)
	return all[len(all)/2]
}

func values(f []figure, of func(figure) float64) []float64 {
	all := make([]float64, len(f))
	for i := range f {
		all[i] = of(f[i])
	}
	slices.Sort(all)
	return all
}

func cpu(f figure) float64  { return f.cpuPerGB }
func rate(f figure) float64 { return f.gbPerSecond }

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}
