// Package doctor says how many tunnels a machine holds, what limits them, and what to
// change.
//
// Reading order: facts.go is what is known about the machine, read.go and cgroup.go read
// it from /proc and /sys; setup.go is what the configuration asks for; model.go holds the
// measured costs of a tunnel and the formulas of docs/sizing.md; examine.go runs the
// checks of the check_*.go files; text.go and sysctl.go print what came out. Nothing here
// changes the machine, and nothing but the reader does I/O, so tests work on made-up
// machines.
package doctor

import "math"

const (
	// Unlimited is the value of a limit that is not set.
	Unlimited = math.MaxInt64
	// Unknown is the value of a fact that could not be read, and of a check that has
	// nothing to say in tunnels.
	Unknown = -1
)

// Facts are what is known about a machine. Memory is in bytes.
type Facts struct {
	Kernel     string `json:"kernel"`     // release, as in uname -r
	Cores      int    `json:"cores"`      // this process may use; a quota counts
	Processors int    `json:"processors"` // online

	MemoryTotal     int64 `json:"memory_total"`
	MemoryAvailable int64 `json:"memory_available"`
	// CgroupLimit is the lowest memory limit of the control group and those around it;
	// CgroupFree what is left of the tightest of them.
	CgroupLimit int64 `json:"cgroup_limit"`
	CgroupFree  int64 `json:"cgroup_free"`

	// Process is whose limits were read: "self" or a process id.
	Process      string `json:"process"`
	FilesSoft    int64  `json:"files_soft"` // RLIMIT_NOFILE
	FilesHard    int64  `json:"files_hard"`
	Capabilities uint64 `json:"capabilities"` // effective, as bits (capabilities(7))

	// Sysctl has the numbers of each setting that could be read, by its name.
	Sysctl map[string][]int64 `json:"sysctl"`
	// FilesOpen is how many files the whole machine has open (fs.file-nr).
	FilesOpen int64 `json:"files_open"`
	// ULP are the protocols that can be set on top of TCP (tcp_available_ulp).
	ULP []string `json:"ulp"`
	// HugePages is the chosen word of transparent_hugepage/enabled.
	HugePages string `json:"huge_pages"`
}

// The bits of capabilities(7) that matter here.
const (
	capNetBindService = 10
	capSysAdmin       = 21
	capSysResource    = 24
)

// has tells whether the process has a capability.
func (f *Facts) has(bit uint) bool { return f.Capabilities>>bit&1 != 0 }

// number is the i-th number of a sysctl, Unknown if it could not be read.
func (f *Facts) number(name string, i int) int64 {
	if v := f.Sysctl[name]; i < len(v) {
		return v[i]
	}
	return Unknown
}

// Setup is what a configuration asks for.
type Setup struct {
	Path      string // of the configuration; empty without one
	Shards    int
	PerShard  int   // worker_connections; 0 without a configuration
	Asked     int64 // worker_rlimit_nofile; 0 if not written
	InFlight  int64 // bytes that all shards hold for sessions at most
	Pipes     int   // of all shards
	Backlog   int   // the shortest accept queue asked for; 0 without a configuration
	Ports     []int // that the process listens on
	Upstreams []Upstream
	TLS       bool // some listener speaks TLS
	Variables bool // a proxy_pass with variables: its servers are not known
	// KeepaliveDown and KeepaliveUp are the seconds of silence before a probe to the
	// client and to the upstream server; 0 means no probes.
	KeepaliveDown, KeepaliveUp int
	Files                      Descriptors
}

// Upstream is one upstream of the configuration.
type Upstream struct {
	Name      string
	Addresses []string // distinct, for tunnels
	Unix      bool     // some are unix sockets, which need no ports
}

// Descriptors is the proxy's own account of file descriptors.
type Descriptors interface {
	// Files is the limit of open files that so many sessions on each shard need.
	Files(sessions int) uint64
	// Sessions is the number of sessions on each shard that a limit allows.
	Sessions(limit uint64) int
}
