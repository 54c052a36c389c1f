package doctor

import (
	"fmt"
	"io"
	"strings"
)

// SysctlHead begins every file that WriteSysctl writes: who finds it in a file may
// replace that file.
const SysctlHead = "# Written by holdfast doctor"

// WriteSysctl writes what the report advises as a file of sysctl.d(5), each setting with
// its reason. What no sysctl can change stands there as a comment.
func (r *Report) WriteSysctl(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, for %s idle tunnels.\n", SysctlHead, grouped(r.Target))
	fmt.Fprint(&b, "# Put it into /etc/sysctl.d and load it with: sysctl --system\n")
	settings := 0
	for _, c := range r.Checks {
		if len(c.Set) == 0 {
			continue
		}
		fmt.Fprintln(&b)
		writeWrapped(&b, "# ", fmt.Sprintf("%s (now %s)", c.Why, c.Now))
		for _, s := range c.Set {
			settings++
			fmt.Fprintf(&b, "%s%s = %s\n", optional(s.Name), s.Name, s.Value)
		}
	}
	if settings == 0 {
		fmt.Fprint(&b, "\n# No sysctl has to be changed.\n")
	}
	fmt.Fprintf(&b, "\n# The limit of open files is the service's. For systemd: systemctl edit holdfast\n"+
		"#   [Service]\n#   LimitNOFILE=%d\n", roundUp(int64(r.Costs.Files), 1000))
	fmt.Fprintf(&b, "#\n# In nginx.conf: events { worker_connections %d; }\n", roundUp(r.Costs.PerShard, 100))
	r.writeAdvice(&b)
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *Report) writeAdvice(b *strings.Builder) {
	for _, c := range r.Checks {
		if c.Advice != "" && c.Name != openFiles && c.Name != workerConnections {
			fmt.Fprintf(b, "#\n# %s:\n", c.Name)
			writeWrapped(b, "#   ", c.Advice)
		}
	}
}

// optional marks settings of modules that may not be loaded yet at boot: a failure to set
// them is then no error.
func optional(name string) string {
	if strings.HasPrefix(name, "net.netfilter.") {
		return "-"
	}
	return ""
}
