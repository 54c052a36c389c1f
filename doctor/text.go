package doctor

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteText prints a report for people: the table, what to change, the costs, the verdict.
func (r *Report) WriteText(out io.Writer) error {
	f := &r.Facts
	fmt.Fprintf(out, "Linux %s, %s, %s of memory\n%s\n\n",
		f.Kernel, plural(f.Cores, "core"), bytesText(f.MemoryTotal), r.judgedFor())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tcheck\tnow\tallows tunnels")
	for _, c := range r.Checks {
		allows := "–"
		if c.Allows != Unknown {
			allows = grouped(c.Allows)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Status, c.Name, c.Now, allows)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	r.writeChanges(out)
	r.writeCosts(out)
	_, err := fmt.Fprintf(out, "\n%s\n", r.Verdict())
	return err
}

func (r *Report) judgedFor() string {
	text := fmt.Sprintf("judged for %s tunnels", grouped(r.Target))
	if r.Asked == 0 {
		text += " (what the memory holds, a million at most; --tunnels N asks for another number)"
	}
	if r.Config == "" {
		return text + ", without a configuration"
	}
	return text + " with " + r.Config
}

// writeChanges lists what to set where something is not ok, and why.
func (r *Report) writeChanges(out io.Writer) {
	first := true
	for _, c := range r.Checks {
		if c.Status == OK {
			continue
		}
		if first {
			fmt.Fprintln(out, "\nWhat to change, and why:")
			first = false
		}
		fmt.Fprintf(out, "  %-5s %s\n", c.Status, c.Name)
		writeWrapped(out, "        ", c.Why)
		for _, s := range c.Set {
			fmt.Fprintf(out, "        → sysctl -w %s=%s\n", s.Name, quoted(s.Value))
		}
		if c.Advice != "" {
			fmt.Fprintf(out, "        → %s\n", c.Advice)
		}
	}
}

// wrapAt is the width of explanations, in columns.
const wrapAt = 100

// writeWrapped writes text in lines that begin with lead.
func writeWrapped(out io.Writer, lead, text string) {
	line := lead
	for _, word := range strings.Fields(text) {
		if len(line) > len(lead) {
			if len(line)+1+len(word) > wrapAt {
				fmt.Fprintln(out, line)
				line = lead
			} else {
				line += " "
			}
		}
		line += word
	}
	fmt.Fprintln(out, line)
}

func quoted(value string) string {
	if strings.Contains(value, " ") {
		return `"` + value + `"`
	}
	return value
}

func (r *Report) writeCosts(out io.Writer) {
	c := &r.Costs
	messages := grouped(int64(c.MessagesPerSecond) / 1000 * 1000)
	fmt.Fprintf(out, "\n%s idle tunnels take:\n", grouped(c.Tunnels))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"user memory", bytesText(c.UserBytes)},
		{"kernel memory", bytesText(c.KernelBytes)},
		{"bytes in flight", "at most " + bytesText(c.InFlightBytes) + ", only while tunnels move them"},
		{"open files", grouped(int64(c.Files))},
		{"worker_connections", grouped(c.PerShard) + " per shard"},
		{"keepalive probes", grouped(int64(c.ProbesPerSecond)) + " a second"},
		{"all reconnect in", "about " + seconds(c.ReadmitSeconds) + " of these cores"},
		{"small messages", fmt.Sprintf("about %s a second at %.0f %% load", messages, busyShare*100)},
	} {
		fmt.Fprintf(table, "  %s\t%s\n", row[0], row[1])
	}
	_ = table.Flush()
	fmt.Fprintf(out, "  (user memory was measured up to %s tunnels in one process, CPU over loopback: docs/sizing.md)\n",
		grouped(measuredTo))
}

// Verdict is the last line: what the machine holds and what stops it.
func (r *Report) Verdict() string {
	if r.First == "" {
		return "nothing could be read that limits the tunnels of this machine"
	}
	text := fmt.Sprintf("this machine holds about %s idle tunnels; the first limit is %s", grouped(r.Holds), r.First)
	switch {
	case r.Asked == 0:
		return text
	case r.Fits:
		return fmt.Sprintf("%s tunnels fit: %s", grouped(r.Asked), text)
	}
	return fmt.Sprintf("%s tunnels do not fit: %s", grouped(r.Asked), text)
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	if n == Unlimited {
		return "unlimited"
	}
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// bytesText writes bytes as MiB, from 10 GiB on as GiB.
func bytesText(n int64) string {
	switch {
	case n < 0:
		return "unknown"
	case n == Unlimited:
		return "unlimited"
	case n < 1<<20:
		return grouped(n>>10) + " KiB"
	case n < 10<<30:
		return grouped(n>>20) + " MiB"
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

func seconds(s float64) string {
	if s < 1 {
		return "a second"
	}
	return fmt.Sprintf("%.0f s", s)
}

// plural writes a count with its noun; many is the plural where it is not one with an s.
func plural(n int, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return grouped(int64(n)) + " " + many[0]
	}
	return grouped(int64(n)) + " " + one + "s"
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
