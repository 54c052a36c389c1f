package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"holdfast/bench/peers"
)

// document is what is written as JSON.
type document struct {
	Machine string // processor, cores, memory, kernel, Go
	Commit  string
	Command string
	Results []result
}

// report prints the table and writes what the flags ask for.
func report(o options, results []result) error {
	d := document{Machine: describeMachine(), Commit: commit(), Command: commandLine(), Results: results}
	asJSON, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	asJSON = append(asJSON, '\n')
	text := d.markdown()
	if o.json == "-" {
		_, err = os.Stdout.Write(asJSON)
	} else {
		fmt.Print(text)
		if o.json != "" {
			err = os.WriteFile(o.json, asJSON, 0o644)
		}
	}
	if o.write == "" {
		return err
	}
	return errors.Join(err, os.WriteFile(filepath.Join(o.write, o.name+".md"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(o.write, o.name+".json"), asJSON, 0o644))
}

// markdown is the whole report.
func (d document) markdown() string {
	var b strings.Builder
	tunnels := 0
	for _, r := range d.Results {
		tunnels = max(tunnels, r.Plan.Tunnels)
	}
	fmt.Fprintf(&b, "# %s idle tunnels\n\n", grouped(int64(tunnels)))
	d.table(&b)
	d.caches(&b)
	fmt.Fprintf(&b, "\nMemory of a proxy is the proportional set size of all its processes; growth is since before the "+
		"first tunnel.\nClients, backends and the proxy run on the same machine: a tunnel through a proxy is four sockets, "+
		"one without is two.\nKernel memory of sockets is the growth of the slab caches of sockets, their inodes, files and "+
		"epoll entries;\nall kernel memory is that of all slab caches, page tables, stacks, vmalloc and per-CPU memory, "+
		"whoever caused it.\n\nCommand: `%s`\n\nMachine: %s; holdfast %s.\n", d.Command, d.Machine, d.Commit)
	for _, r := range d.Results {
		if r.Version != "" {
			fmt.Fprintf(&b, "%s: %s\n", r.Peer, r.Version)
		}
		if r.Aborted != "" {
			fmt.Fprintf(&b, "\n**%s did not finish: %s**\n", r.Peer, strings.ReplaceAll(r.Aborted, "\n", " "))
		}
		if !r.quiet() {
			fmt.Fprintf(&b, "\n**%s: the machine was not quiet.** Others changed the number of TCP sockets by %d "+
				"meanwhile: what is per tunnel "+
				"of the kernel is left out.\n", r.Peer, r.strangers())
		}
		if len(r.Reasons) > 0 {
			fmt.Fprintf(&b, "%s, why tries were repeated: %v\n", r.Peer, r.Reasons)
		}
	}
	return b.String()
}

// row is a line of the table. A value of "" is shown as a dash.
type row struct {
	name  string
	value func(r result) string
}

// table writes a column for each peer.
func (d document) table(b *strings.Builder) {
	b.WriteString("| |")
	for _, r := range d.Results {
		fmt.Fprintf(b, " %s |", r.Peer)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(d.Results)) + "\n")
	for _, line := range d.rows() {
		values, some := "", false
		for _, r := range d.Results {
			v := line.value(r)
			some = some || v != ""
			values += " " + cmp.Or(v, "–") + " |"
		}
		if some {
			fmt.Fprintf(b, "| %s |%s\n", line.name, values)
		}
	}
}

func (d document) rows() []row {
	count := func(get func(r result) int) func(r result) string {
		return func(r result) string { return grouped(int64(get(r))) }
	}
	return slices.Concat([]row{
		{"tunnels held", count(func(r result) int { return r.Opened })},
		{"processes of the proxy × threads", func(r result) string {
			if r.Peer == direct {
				return ""
			}
			return fmt.Sprintf("%d × %d", r.Plan.Proxies, r.Threads)
		}},
		{"opened a second", func(r result) string {
			if r.OpenSeconds == 0 {
				return ""
			}
			return grouped(int64(float64(r.Opened) / r.OpenSeconds))
		}},
		{"tries repeated from another port", count(func(r result) int { return r.Retries })},
		{"tunnels that echoed, 1 % at random", count(func(r result) int { return r.Sampled })},
		{"tunnels that echoed, all probed", count(func(r result) int { return r.Echoed })},
		{"**tunnels that ended by themselves**", count(func(r result) int { return r.Dead })},
	}, userRows(), d.kernelRows(), idleRows())
}

// userRows are about the proxy's own memory.
func userRows() []row {
	perTunnel := func(get func(r result) moment) func(r result) string {
		return func(r result) string {
			if r.Peer == direct || get(r).Proxy.PSS == 0 {
				return ""
			}
			return fmt.Sprintf("%s B", grouped(int64(r.bytesPerTunnel(get(r)))))
		}
	}
	pss := func(get func(r result) moment) func(r result) string {
		return func(r result) string { return mebibytes(get(r).Proxy.PSS) }
	}
	return []row{
		{"**user memory per idle tunnel**", perTunnel(func(r result) moment { return r.Held })},
		{"**after each carried a message**", perTunnel(func(r result) moment { return r.Used })},
		{"PSS before", pss(func(r result) moment { return r.Base })},
		{"PSS with all tunnels idle", pss(func(r result) moment { return r.Held })},
		{"PSS after each carried a message", pss(func(r result) moment { return r.Used })},
		{"PSS after all closed", pss(func(r result) moment { return r.Closed })},
		{"descriptors before, held, closed", func(r result) string {
			if r.Peer == direct {
				return ""
			}
			return fmt.Sprintf("%s, %s, %s", grouped(int64(r.Base.Proxy.Fds)), grouped(int64(r.Held.Proxy.Fds)),
				grouped(int64(r.Closed.Proxy.Fds)))
		}},
	}
}

// perSocket is the kernel memory of a socket on the whole machine. Sockets of others are
// in both numbers, so that it is right beside them too; 0 when too many of theirs went.
func perSocket(r result) float64 {
	grown := r.Held.Machine.TCP - r.Base.Machine.TCP
	if grown < int64(r.Opened) || r.Opened == 0 {
		return 0
	}
	return float64(r.Held.Machine.sockets()-r.Base.Machine.sockets()) / float64(grown)
}

// strangers is how many TCP sockets others have opened or closed between the first look
// and that at the idle tunnels.
func (r result) strangers() int64 {
	if r.Held.Machine.TCP == 0 {
		return 0
	}
	own := int64(4 * r.Opened)
	if r.Peer == direct {
		own = int64(2 * r.Opened)
	}
	return r.Held.Machine.TCP - r.Base.Machine.TCP - own
}

// quiet says whether others left the number of sockets as it was.
func (r result) quiet() bool {
	n := r.strangers()
	return max(n, -n) <= int64(r.Opened/50)
}

// kernelRows are about the memory of the kernel; what direct cost is taken off for the
// proxy's own part.
func (d document) kernelRows() []row {
	perTunnel := func(r result, get func(m machine) int64) float64 {
		return float64(get(r.Held.Machine)-get(r.Base.Machine)) / float64(max(r.Opened, 1))
	}
	sockets := func(r result) float64 { return perTunnel(r, machine.sockets) }
	always := func(get func(r result) float64) func(r result) string {
		return func(r result) string {
			if v := get(r); v != 0 && r.Held.Machine.Slab != 0 {
				return fmt.Sprintf("%s B", grouped(int64(v)))
			}
			return ""
		}
	}
	show := func(get func(r result) float64) func(r result) string {
		return func(r result) string {
			if !r.quiet() {
				return ""
			}
			return always(get)(r)
		}
	}
	rows := []row{{"kernel memory of sockets per tunnel", show(sockets)}, {"the same per socket", always(perSocket)}}
	for _, r := range d.Results {
		if r.Peer != direct {
			continue
		}
		floor := perSocket(r)
		rows = append(rows, row{"**kernel memory of the proxy's two sockets**", always(func(r result) float64 {
			if r.Peer == direct || perSocket(r) == 0 || floor == 0 {
				return 0
			}
			return 4*perSocket(r) - 2*floor
		})})
	}
	rows = append(rows,
		row{"all kernel memory per tunnel", show(func(r result) float64 { return perTunnel(r, machine.kernel) })},
		row{"of it SUnreclaim", show(func(r result) float64 {
			return perTunnel(r, func(m machine) int64 { return m.SUnreclaim })
		})})
	return append(rows,
		row{"TCP sockets on the machine", func(r result) string { return grouped(r.Held.Machine.TCP) }},
		row{"memory available: before, held", func(r result) string {
			return mebibytes(r.Base.Machine.Available) + ", " + mebibytes(r.Held.Machine.Available)
		}},
		row{"all memory per tunnel, clients and backends included", show(func(r result) float64 {
			return perTunnel(r, func(m machine) int64 { return m.InUse })
		})})
}

// idleRows are about the window without traffic.
func idleRows() []row {
	show := func(format string, get func(r result) float64) func(r result) string {
		return func(r result) string {
			if r.Idle.Seconds == 0 {
				return ""
			}
			return fmt.Sprintf(format, get(r))
		}
	}
	proxy := func(format string, get func(r result) float64) func(r result) string {
		return func(r result) string {
			if r.Peer == direct {
				return ""
			}
			return show(format, get)(r)
		}
	}
	holdfast := func(format string, get func(r result) float64) func(r result) string {
		return func(r result) string {
			if r.Peer != peers.Holdfast {
				return ""
			}
			return show(format, get)(r)
		}
	}
	return []row{
		{"silent for", show("%.0f s", func(r result) float64 { return r.Idle.Seconds })},
		{"CPU of the proxy meanwhile, exact", proxy("%.3f ms a second", func(r result) float64 { return r.Idle.CPUMsPerSecond })},
		{"the same in clock ticks", proxy("%.0f", func(r result) float64 { return float64(r.Idle.Ticks) })},
		{"CPU of the machine", show("%.1f ms a second", func(r result) float64 { return r.Idle.MachineMsPerSec })},
		{"softirqs NET_RX", show("%.1f a second", func(r result) float64 { return r.Idle.NetRXPerSecond })},
		{"softirqs TIMER", show("%.1f a second", func(r result) float64 { return r.Idle.TimerPerSecond })},
		{"keepalive probes", show("%.1f a second", func(r result) float64 { return r.Idle.ProbesPerSecond })},
		{"packets dropped, a core's queue full", show("%.0f", func(r result) float64 { return float64(r.Idle.Dropped) })},
		{"TCP connections given up", show("%.0f", func(r result) float64 { return float64(r.Idle.TimedOut) })},
		{"GC cycles, all processes", holdfast("%.2f a minute", func(r result) float64 { return r.Idle.GCPerMinute })},
		{"GC pause, mean since the start", holdfast("%.3f ms", func(r result) float64 { return r.Idle.GCPauseMean })},
		{"GC pause, worst", holdfast("%.3f ms", func(r result) float64 { return r.Idle.GCPauseWorst })},
		{"goroutines", holdfast("%.0f", func(r result) float64 { return r.Idle.Goroutines })},
		{"Go heap in use", holdfast("%.1f MiB", func(r result) float64 { return r.Idle.HeapInUse / (1 << 20) })},
	}
}

// cacheMin is the growth a slab cache needs to be listed, bytes per tunnel.
const cacheMin = 20

// caches writes which slab caches grew, in bytes per tunnel.
func (d document) caches(b *strings.Builder) {
	growth := map[string]float64{}
	for _, r := range d.Results {
		for name, bytes := range r.Held.Machine.Caches {
			per := float64(bytes-r.Base.Machine.Caches[name]) / float64(max(r.Opened, 1))
			growth[name] = max(growth[name], per)
		}
	}
	var names []string
	for name, per := range growth {
		if per >= cacheMin {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(growth[y], growth[x]), strings.Compare(x, y))
	})
	b.WriteString("\nSlab caches that grew, bytes per tunnel:\n\n| |")
	for _, r := range d.Results {
		fmt.Fprintf(b, " %s |", r.Peer)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(d.Results)) + "\n")
	for _, name := range names {
		fmt.Fprintf(b, "| `%s` |", name)
		for _, r := range d.Results {
			grown := r.Held.Machine.Caches[name] - r.Base.Machine.Caches[name]
			fmt.Fprintf(b, " %.0f |", float64(grown)/float64(max(r.Opened, 1)))
		}
		b.WriteString("\n")
	}
}

func mebibytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

func describeMachine() string {
	model := ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value) + ", "
				break
			}
		}
	}
	var total string
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib float64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %f kB", &kib); err == nil {
			total = fmt.Sprintf("%.1f GiB, ", kib/(1<<20))
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s%d cores, %sLinux %s %s, %s", model, runtime.NumCPU(), total,
		strings.TrimSpace(string(release)), runtime.GOARCH, runtime.Version())
}

// commit is the revision of the working copy.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--tags").Output()
	if err != nil {
		return "of an unknown revision"
	}
	return strings.TrimSpace(string(out))
}

func commandLine() string {
	return strings.Join(append([]string{"go run ./bench/hold"}, os.Args[1:]...), " ")
}
