package doctor

// Status is what a check found.
type Status string

// The statuses of checks.
const (
	OK    Status = "ok"
	Warn  Status = "warn"  // tunnels are held, but a storm or a broadcast will hurt
	Limit Status = "limit" // stops short of the tunnels asked for
)

// Setting is a sysctl to set.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Now    string `json:"now"` // the present value
	// Allows is the number of idle tunnels that it allows, Unknown if it limits none.
	Allows int64 `json:"allows"`
	// Set are sysctls to set; Advice what else to do. Both are empty when all is well.
	Set    []Setting `json:"set,omitempty"`
	Advice string    `json:"advice,omitempty"`
	Why    string    `json:"why"`
}

// Report is what an examination found.
type Report struct {
	Facts  Facts  `json:"facts"`
	Config string `json:"config,omitempty"`
	// Asked is the number of tunnels asked for, 0 for none; Target what was judged for.
	Asked  int64   `json:"asked"`
	Target int64   `json:"target"`
	Checks []Check `json:"checks"`
	// Holds is the number of idle tunnels that all checks allow; First is the check that
	// allows the fewest.
	Holds int64  `json:"holds"`
	First string `json:"first_limit"`
	// Fits tells whether Asked fits; true when nothing was asked.
	Fits bool `json:"fits"`
	// Costs are of Target.
	Costs Costs `json:"costs"`
}

// targetMax is what a machine is judged for at most when no number was asked for.
const targetMax = 1_000_000

// input is what the checks look at.
type input struct {
	facts  Facts
	setup  Setup
	target int64
}

// Examine judges a machine for asked tunnels; 0 judges it for what its memory holds, at
// most a million.
func Examine(facts Facts, setup Setup, asked int64) Report {
	in := &input{facts: facts, setup: setup, target: asked}
	if asked == 0 {
		in.target = max(min(in.memory().Allows, in.cgroup().allowed(), targetMax), 1)
	}
	r := Report{Facts: facts, Config: setup.Path, Asked: asked, Target: in.target, Holds: Unlimited}
	for _, look := range checks {
		c := look(in)
		if c == nil {
			continue
		}
		if c.Status == "" {
			c.Status = OK
		}
		if c.Status == OK {
			c.Set, c.Advice = nil, ""
		}
		r.Checks = append(r.Checks, *c)
		if c.Allows != Unknown && c.Allows < r.Holds {
			r.Holds, r.First = c.Allows, c.Name
		}
	}
	r.Fits = asked == 0 || r.Holds >= asked
	r.Costs = in.costs(in.target)
	return r
}

// allowed is Allows, or Unlimited where the check is missing or limits nothing.
func (c *Check) allowed() int64 {
	if c == nil || c.Allows == Unknown {
		return Unlimited
	}
	return c.Allows
}

// checks are all checks, in the order of the report: what bounds idle tunnels first. One
// that returns nil has nothing to look at on this machine.
var checks = []func(*input) *Check{
	(*input).memory, (*input).cgroup, (*input).openFiles, (*input).nrOpen, (*input).fileMax, (*input).epollWatches,
	(*input).localPorts, (*input).conntrack, (*input).workerConnections,

	(*input).cores, (*input).backlog, (*input).synBacklog, (*input).tcpMemory, (*input).socketBuffers,
	(*input).timeWait, (*input).timeWaitReuse, (*input).orphans, (*input).socketTable, (*input).deviceQueue,
	(*input).pipes, (*input).overcommit, (*input).hugePages, (*input).keepalive, (*input).lowPorts, (*input).kernel,
	(*input).tls,
}

// bound makes a check of a number of tunnels: a limit where that is below the target.
func (in *input) bound(c Check) *Check {
	if c.Allows != Unknown && c.Allows < in.target {
		c.Status = Limit
	}
	return &c
}

// atLeast makes a check of a sysctl that should not be below need; nil where the machine
// doesn't have it. The value to set is rounded up to a power of two.
func (in *input) atLeast(name string, need int64, why string) *Check {
	now := in.facts.number(name, 0)
	if now == Unknown {
		return nil
	}
	c := &Check{Name: name, Now: grouped(now), Allows: Unknown, Why: why}
	if now < need {
		c.Status = Warn
		c.Set = []Setting{{name, decimal(slots(need))}}
	}
	return c
}
