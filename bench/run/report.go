package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report is everything a run found, in the form of its JSON file.
type Report struct {
	Machine   Machine
	Commit    string
	Command   string
	Scale     scale
	Rounds    int // that were completed
	Scenarios []string
	Peers     []Contender
	Missing   []Missing
	Verdicts  []Verdict
	Failures  []Failure
	Runs      []Measurement
	cells     []cell
}

// verdicts judges every goal of every row.
func (r *Report) verdicts() {
	for _, c := range r.cells {
		for _, row := range rowsOf(c) {
			for _, g := range row.goals {
				r.Verdicts = append(r.Verdicts, judge(row, g, gather(row, r.Runs, r.Rounds)))
			}
		}
	}
}

// Markdown is the report as text: a table for each scenario, then the goals, then what
// is needed to judge and repeat it.
func (r *Report) Markdown() string {
	var b strings.Builder
	b.WriteString("# holdfast beside its peers\n\n")
	b.WriteString("Medians, smallest–largest of the rounds in parentheses; × is the ratio to holdfast.\n\n")
	if _, other := r.elsewhere(); other.Median > quietMax {
		fmt.Fprintf(&b, "**The machine was not quiet: %.0f %% of it went to other programs.**\n\n", other.Median)
	}
	for _, s := range scenarios {
		r.table(&b, s)
	}
	r.beside(&b)
	r.goals(&b)
	r.failures(&b)
	r.circumstances(&b)
	return b.String()
}

// table writes the rows of a scenario.
func (r *Report) table(b *strings.Builder, s scenario) {
	var cells []cell
	for _, c := range r.cells {
		if c.scenario == s.name {
			cells = append(cells, c)
		}
	}
	if len(cells) == 0 {
		return
	}
	names := r.columns(cells)
	fmt.Fprintf(b, "## %s\n\n%s.\n\n| |", s.name, s.about)
	for _, name := range names {
		fmt.Fprintf(b, " %s |", name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(names)) + "\n")
	for _, c := range cells {
		for _, row := range rowsOf(c) {
			label := row.name
			if len(cells) > 1 {
				label = c.name + ": " + label
			}
			fmt.Fprintf(b, "| %s |", label)
			values := gather(row, r.Runs, r.Rounds)
			for _, name := range names {
				fmt.Fprintf(b, " %s |", cellText(row, values, name))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
}

// columns are the peers that take part in any of the cells.
func (r *Report) columns(cells []cell) []string {
	var names []string
	for _, p := range r.Peers {
		for _, c := range cells {
			if len(c.who([]Contender{p})) > 0 {
				names = append(names, p.Name)
				break
			}
		}
	}
	return names
}

// cellText is one peer's value: the median, the spread, the ratio.
func cellText(row row, values series, name string) string {
	s, ok := values.spread(name)
	if !ok {
		return "–"
	}
	show := func(v float64) string { return formatted(row.format, v) }
	text := show(s.Median)
	if s.Min != s.Max {
		text += fmt.Sprintf(" (%s–%s)", show(s.Min), show(s.Max))
	}
	if ours, ok := values.spread(holdfast); ok && name != holdfast && ours.Median > 0 {
		text += fmt.Sprintf(" %s×", ratioText(s.Median/ours.Median))
	}
	return text
}

// beside compares holdfast with another build of it.
func (r *Report) beside(b *strings.Builder) {
	if !slices.ContainsFunc(r.Peers, func(c Contender) bool { return c.Name == base }) {
		return
	}
	b.WriteString("## holdfast beside base\n\n" +
		"The median of the rounds' ratios, holdfast to base, with the least and the greatest. " +
		"Better or worse is what is so in every round, of three at least.\n\n| | base | holdfast | ratio | |\n|---|---|---|---|---|\n")
	for _, c := range r.cells {
		for _, row := range rowsOf(c) {
			values := gather(row, r.Runs, r.Rounds)
			ratios, ok := spread(values.ratios(holdfast, base))
			if !ok {
				continue
			}
			ours, _ := values.spread(holdfast)
			theirs, _ := values.spread(base)
			fmt.Fprintf(b, "| %s: %s | %s | %s | %s (%s–%s) | %s |\n", c.name, row.name,
				formatted(row.format, theirs.Median), formatted(row.format, ours.Median),
				ratioText(ratios.Median), ratioText(ratios.Min), ratioText(ratios.Max), change(row, ratios, r.Rounds))
		}
	}
	b.WriteString("\n")
}

// roundsToAgree is how many rounds must agree before a difference is called one.
const roundsToAgree = 3

// change says whether all rounds agree that a row became better or worse.
func change(row row, ratios Spread, rounds int) string {
	switch {
	case rounds < roundsToAgree:
		return ""
	case ratios.Max < 1 && row.higher, ratios.Min > 1 && !row.higher:
		return "worse"
	case ratios.Max < 1, ratios.Min > 1:
		return "better"
	}
	return ""
}

// formatted keeps %g from its exponents, which nobody reads.
func formatted(format string, v float64) string {
	if format == "%.3g" && math.Abs(v) >= 100 {
		format = "%.0f"
	}
	return fmt.Sprintf(format, v)
}

// ratioText shows two digits behind the point where they matter.
func ratioText(r float64) string {
	if r >= 10 {
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.2f", r)
}

// goals writes the table of the verdicts.
func (r *Report) goals(b *strings.Builder) {
	verdicts := slices.DeleteFunc(slices.Clone(r.Verdicts), r.unasked)
	if len(verdicts) == 0 {
		return
	}
	b.WriteString("## Goals\n\nThe ratio is that of the medians, in parentheses the least and the greatest of a round.\n\n")
	b.WriteString("| what | goal | holdfast | beside | ratio | |\n|---|---|---|---|---|---|\n")
	for _, v := range verdicts {
		kind, beside, ratio, ours := "must", "–", "–", "–"
		if v.Aim {
			kind = "aim"
		}
		if v.Result == "PASS" || v.Result == "miss" {
			ours = formatted("%.3g", v.Ours)
			if v.Theirs == 0 { // a limit of zero
				ratio = "–"
			} else if ratio = ratioText(v.Ratio); v.Rounds[0] != v.Rounds[1] {
				ratio += fmt.Sprintf(" (%s–%s)", ratioText(v.Rounds[0]), ratioText(v.Rounds[1]))
			}
		}
		if v.Than != "" {
			beside = fmt.Sprintf("%s %s", v.Than, formatted("%.3g", v.Theirs))
		}
		fmt.Fprintf(b, "| %s: %s | %s %s | %s | %s | %s | %s |\n", v.Cell, v.Row, kind, v.Goal, ours, beside, ratio,
			resultText(v))
	}
	b.WriteString("\n")
}

// unasked are the goals that nobody could reach in this run: holdfast, or all whom it
// is compared with, did not take part.
func (r *Report) unasked(v Verdict) bool {
	taken := func(name string) bool {
		return slices.ContainsFunc(r.Peers, func(c Contender) bool { return c.Name == name })
	}
	return !taken(holdfast) || len(v.than) > 0 && !slices.ContainsFunc(v.than, taken)
}

// resultText makes a missed must the thing one sees first.
func resultText(v Verdict) string {
	if v.Result == "miss" && !v.Aim {
		return "**miss**"
	}
	return v.Result
}

func (r *Report) failures(b *strings.Builder) {
	if len(r.Failures) == 0 {
		return
	}
	b.WriteString("## Failed measurements\n\n")
	for _, f := range r.Failures {
		fmt.Fprintf(b, "- round %d, %s, %s: %s\n", f.Round+1, f.Cell, f.Peer, strings.Join(strings.Fields(f.Error), " "))
	}
	b.WriteString("\n")
}

// circumstances says how and where it was measured.
func (r *Report) circumstances(b *strings.Builder) {
	s := r.Scale
	fmt.Fprintf(b, "## How\n\n%d rounds; in each, every scenario takes the peers in turn, in an order that rotates; each "+
		"measurement has a fresh proxy and backend, warmed up. Fixed rate: %.0f messages a second (an echo is two). "+
		"Timed loads: %g s. Storm: %d connections. Bulk: %.1f GB each. Memory: %d tunnels, read %g s after they opened. "+
		"Every proxy has 2 workers, threads or shards without CPU affinity, no access log, a backlog of 4096, and "+
		"keep-alive to the backend; the configurations are the templates in bench/peers.\n\n"+strings.ReplaceAll(r.secureText(), "%", "%%"),
		r.Rounds, s.Rate, s.Seconds, s.Connections, float64(s.BulkBytes)/1e9, s.Tunnels, s.Settle)
	b.WriteString("CPU is the scheduler's exact run time of the processes; that of the whole machine has everything " +
		"in it: load, backend, kernel threads, and whatever else ran here")
	if len(r.Runs) > 0 {
		kernel, other := r.elsewhere()
		fmt.Fprintf(b, " (by %s; threads of the kernel had %.1f %% of the machine, %.1f %% at most; other programs "+
			"%.1f %%, %.1f %% at most)", r.Runs[0].Machine.Source, kernel.Median, kernel.Max, other.Median, other.Max)
	}
	b.WriteString(". Load and backend share the machine with the proxy: trust ratios, not figures.\n\n")
	fmt.Fprintf(b, "Command: `%s`\n\nMachine: %s, %d cores, Linux %s %s, %s; commit %s.\n",
		r.Command, r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Arch, r.Machine.Go, r.Commit)
	for _, p := range r.Peers {
		if p.Version != "" {
			fmt.Fprintf(b, "- %s: %s\n", p.Name, p.Version)
		}
	}
	for _, m := range r.Missing {
		fmt.Fprintf(b, "- not measured: %s: %s\n", m.Name, m.Reason)
	}
}

// quietMax is how much of the machine, in percent, may go to other programs before the
// report warns.
const quietMax = 5

// elsewhere is how much of the machine, in percent, went to the kernel's threads, and to
// programs that are not the bench's. The cell memory is left out: its load runs in the
// driver itself.
func (r *Report) elsewhere() (kernel, other Spread) {
	var k, o []float64
	for _, m := range r.Runs {
		if m.LoadCPU > 0 {
			k = append(k, m.share(m.KernelCPU)*100)
			o = append(o, m.share(m.other())*100)
		}
	}
	kernel, _ = spread(k)
	other, _ = spread(o)
	return kernel, other
}

// write puts NAME.md, NAME.json and the plots into a folder.
func (r *Report) write(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+".md"), []byte(r.Markdown()), 0o644); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	raw = bytes.ReplaceAll(raw, []byte(`{"Round":`), []byte("\n{\"Round\":")) // a measurement a line
	if err := os.WriteFile(filepath.Join(dir, name+".json"), append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return r.writePlots(dir, name)
}
