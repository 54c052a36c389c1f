package doctor_test

import (
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/doctor"
)

// machine is a small cloud machine, as files of /proc and /sys. changes replace files;
// an empty text removes one.
func machine(changes map[string]string) fs.FS {
	files := map[string]string{
		"proc/meminfo":     "MemTotal:  8000000 kB\nMemFree:  1 kB\nMemAvailable:  7500000 kB\n",
		"proc/self/limits": "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024       524288      files\n",
		"proc/42/limits":   "Max open files            1048576      unlimited      files\n",
		"proc/self/status": "Name:\tdoctor\nCapEff:\t0000000000000400\n",
		"proc/42/status":   "CapEff:\t000001ffffffffff\n",
		"proc/self/cgroup": "0::/user.slice/session\n",
		"proc/stat":        "cpu  1 2\ncpu0 1 2\ncpu1 1 2\ncpu2 0 0\ncpu3 0 0\nintr 5\n",
		"sys/kernel/mm/transparent_hugepage/enabled":    "always [madvise] never\n",
		"proc/sys/kernel/osrelease":                     "6.1.0-31-amd64\n",
		"proc/sys/fs/nr_open":                           "1048576\n",
		"proc/sys/fs/file-max":                          "9223372036854775807\n",
		"proc/sys/fs/file-nr":                           "1200\t0\t9223372036854775807\n",
		"proc/sys/fs/epoll/max_user_watches":            "1750000\n",
		"proc/sys/net/core/somaxconn":                   "4096\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":         "512\n",
		"proc/sys/net/ipv4/tcp_syncookies":              "1\n",
		"proc/sys/net/ipv4/ip_local_port_range":         "32768\t60999\n",
		"proc/sys/net/ipv4/ip_local_reserved_ports":     "40000-40009,50000\n",
		"proc/sys/net/ipv4/tcp_mem":                     "90000\t120000\t180000\n",
		"proc/sys/net/ipv4/tcp_available_ulp":           "espintcp mptcp tls\n",
		"proc/sys/net/netfilter/nf_conntrack_max":       "262144\n",
		"proc/sys/net/netfilter/nf_conntrack_count":     "144\n",
		"sys/fs/cgroup/memory.max":                      "",
		"sys/fs/cgroup/user.slice/memory.max":           "max\n",
		"sys/fs/cgroup/user.slice/session/memory.max":   "max\n",
		"proc/sys/net/core/netdev_max_backlog":          "1000\n",
		"proc/sys/net/ipv4/tcp_tw_reuse":                "2\n",
		"proc/sys/net/ipv4/tcp_max_tw_buckets":          "32768\n",
		"proc/sys/net/ipv4/tcp_max_orphans":             "32768\n",
		"proc/sys/fs/pipe-user-pages-soft":              "16384\n",
		"proc/sys/vm/overcommit_memory":                 "0\n",
		"proc/sys/net/ipv4/tcp_ehash_entries":           "65536\n",
		"proc/sys/net/ipv4/tcp_rmem":                    "4096\t131072\t6291456\n",
		"proc/sys/net/ipv4/tcp_wmem":                    "4096\t16384\t4194304\n",
		"proc/sys/net/netfilter/nf_conntrack_buckets":   "65536\n",
		"proc/sys/net/ipv4/tcp_keepalive_time/nonsense": "a folder where a file should be",
	}
	for name, text := range changes {
		files[name] = text
	}
	tree := fstest.MapFS{}
	for name, text := range files {
		if text != "" {
			tree[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return tree
}

func read(t *testing.T, root fs.FS, process string) doctor.Facts {
	t.Helper()
	f, err := doctor.Read(root, process)
	if err != nil {
		t.Fatal(err)
	}
	f.Cores = 4
	return f
}

func TestRead(t *testing.T) {
	f := read(t, machine(nil), "self")
	for what, pair := range map[string][2]any{
		"kernel":        {f.Kernel, "6.1.0-31-amd64"},
		"processors":    {f.Processors, 4},
		"memory":        {f.MemoryTotal, int64(8000000 << 10)},
		"available":     {f.MemoryAvailable, int64(7500000 << 10)},
		"soft":          {f.FilesSoft, int64(1024)},
		"hard":          {f.FilesHard, int64(524288)},
		"capabilities":  {f.Capabilities, uint64(0x400)},
		"cgroup":        {f.CgroupLimit, int64(doctor.Unlimited)},
		"open":          {f.FilesOpen, int64(1200)},
		"file-max":      {f.Sysctl["fs.file-max"][0], int64(math.MaxInt64)},
		"ports":         {fmt.Sprint(f.Sysctl["net.ipv4.ip_local_port_range"]), "[32768 60999]"},
		"reserved":      {fmt.Sprint(f.Sysctl["net.ipv4.ip_local_reserved_ports"]), "[40000 40009 50000 50000]"},
		"ulp":           {fmt.Sprint(f.ULP), "[espintcp mptcp tls]"},
		"huge pages":    {f.HugePages, "madvise"},
		"not a number":  {len(f.Sysctl["net.ipv4.tcp_keepalive_time"]), 0},
		"without limit": {read(t, machine(nil), "42").FilesHard, int64(doctor.Unlimited)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	if _, err := doctor.Read(machine(nil), "43"); err == nil {
		t.Error("a process that is not there gives no error")
	}
}

// Text that is not what the kernel writes gives no fact, and never a panic.
func TestReadNonsense(t *testing.T) {
	changes := map[string]string{}
	for name := range machine(nil).(fstest.MapFS) {
		if name != "proc/self/limits" {
			changes[name] = "[ :: x- -\nMax open files\n"
		}
	}
	changes["proc/self/limits"] = "Max open files\n"
	f := read(t, machine(changes), "self")
	if f.FilesHard != doctor.Unknown || f.MemoryTotal != doctor.Unknown {
		t.Errorf("%+v", f)
	}
	r := doctor.Examine(f, plain(4), 0)
	if err := r.WriteText(&strings.Builder{}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.Verdict(), "nothing could be read") {
		t.Errorf("verdict %q", r.Verdict())
	}
}

func TestControlGroups(t *testing.T) {
	const free, unlimitedV1 = 600, "9223372036854771712\n"
	for name, c := range map[string]struct {
		files       map[string]string
		limit, free int64
	}{
		"version 2, a group around it": {map[string]string{
			"sys/fs/cgroup/user.slice/memory.max":             "1000\n",
			"sys/fs/cgroup/user.slice/memory.current":         "500\n",
			"sys/fs/cgroup/user.slice/memory.stat":            "anon 7\ninactive_file 100\n",
			"sys/fs/cgroup/user.slice/session/memory.max":     "2000\n",
			"sys/fs/cgroup/user.slice/session/memory.current": "300\n",
		}, 1000, free},
		"version 1": {map[string]string{
			"proc/self/cgroup":                                        "3:cpu:/x\n4:memory:/a/b\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":              unlimitedV1,
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes":            unlimitedV1,
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes":          "1000\n",
			"sys/fs/cgroup/memory/a/b/memory.usage_in_bytes":          "1200\n",
			"sys/fs/cgroup/memory/a/b/memory.stat":                    "inactive_file 1\ntotal_inactive_file 800\n",
			"sys/fs/cgroup/memory/elsewhere/memory.limit_in_bytes":    "1\n",
			"sys/fs/cgroup/memory/a/b/below/memory.limit_in_bytes":    "1\n",
			"sys/fs/cgroup/memory/a/other.slice/memory.usage_in_byte": "1\n",
		}, 1000, free},
		"in a container, only the mount's own group": {map[string]string{
			"proc/self/cgroup":              "0::/docker/0123\n",
			"sys/fs/cgroup/memory.max":      "1000\n",
			"sys/fs/cgroup/memory.current":  "400\n",
			"sys/fs/cgroup/unified/unusual": "x",
		}, 1000, free},
		"full": {map[string]string{
			"sys/fs/cgroup/user.slice/memory.max":     "1000\n",
			"sys/fs/cgroup/user.slice/memory.current": "1001\n",
		}, 1000, 0},
	} {
		f := read(t, machine(c.files), "self")
		if f.CgroupLimit != c.limit || f.CgroupFree != c.free {
			t.Errorf("%s: limit %d, free %d; want %d, %d", name, f.CgroupLimit, f.CgroupFree, c.limit, c.free)
		}
	}
}

// files is an account of descriptors that is easy to follow: 100 for the process.
type files struct{ shards int }

func (f files) Files(sessions int) uint64 { return uint64(100 + 2*sessions*f.shards) }
func (f files) Sessions(limit uint64) int { return max(int(limit)-100, 0) / 2 / f.shards }

// plain is what there is without a configuration.
func plain(shards int) doctor.Setup {
	return doctor.Setup{Shards: shards, InFlight: int64(shards) << 27, Pipes: 256 * shards, KeepaliveDown: 120, KeepaliveUp: 120,
		Files: files{shards}}
}

// configured is plain with a configuration of one upstream with two servers.
func configured(shards int) doctor.Setup {
	s := plain(shards)
	s.Path, s.PerShard, s.Backlog, s.Ports = "nginx.conf", 30_000, 511, []int{80, 8080, 9180}
	s.Upstreams = []doctor.Upstream{{Name: "chat", Addresses: []string{"10.0.0.1:80", "10.0.0.2:80"}}}
	return s
}

func find(t *testing.T, r doctor.Report, name string) doctor.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q", name)
	return doctor.Check{}
}

func TestChecks(t *testing.T) {
	const ports = "net.ipv4.ip_local_port_range"
	two := configured(1)
	two.Upstreams = append(two.Upstreams, doctor.Upstream{Name: "app", Addresses: []string{"10.0.0.2:80", "10.0.0.3:80"}})
	local := configured(1)
	local.Upstreams[0].Unix = true
	asked := configured(1)
	asked.Asked = 2100
	silent := configured(4)
	silent.KeepaliveUp = 0
	variables := configured(1)
	variables.Variables = true
	for name, c := range map[string]struct {
		setup   doctor.Setup
		files   map[string]string
		process string
		asked   int64
		check   string
		status  doctor.Status
		allows  int64
		says    string // a part of what is to be set or done
	}{
		"hard limit":            {plain(1), nil, "self", 262_095, "open files", doctor.Limit, 262_094, "LimitNOFILE=525000"},
		"hard limit is enough":  {plain(1), nil, "self", 262_094, "open files", doctor.OK, 262_094, ""},
		"root raises it":        {plain(1), map[string]string{"proc/42/limits": "Max open files 9 9 files\n"}, "42", 1000, "open files", doctor.OK, 524_238, ""},
		"worker_rlimit_nofile":  {asked, nil, "self", 2000, "open files", doctor.Limit, 1000, "worker_rlimit_nofile 5000; and LimitNOFILE"},
		"fs.nr_open":            {plain(1), nil, "self", 600_000, "fs.nr_open", doctor.Limit, 524_238, "fs.nr_open=2097152"},
		"fs.file-max unlimited": {plain(1), nil, "self", 600_000, "fs.file-max", doctor.OK, doctor.Unlimited, ""},
		"fs.file-max": {plain(1), map[string]string{"proc/sys/fs/file-max": "100000\n"}, "self", 50_000, "fs.file-max",
			doctor.Limit, 49_350, "fs.file-max=131072"},
		"epoll": {plain(1), nil, "self", 900_000, "fs.epoll.max_user_watches", doctor.Limit, 875_000,
			"fs.epoll.max_user_watches=2097152"},
		"ports, unknown upstream": {plain(1), nil, "self", 30_000, ports, doctor.Warn, doctor.Unknown, "at least 1 upstream address for"},
		"ports, few tunnels":      {plain(1), nil, "self", 20_000, ports, doctor.OK, doctor.Unknown, ""},
		"ports, two addresses":    {configured(1), nil, "self", 60_000, ports, doctor.Limit, 56_442, ports + "=1024 65535"},
		"ports keep listeners": {configured(1), nil, "self", 60_000, ports, doctor.Limit, 56_442,
			"net.ipv4.ip_local_reserved_ports=40000-40009,50000,8080,9180"},
		"ports, four are needed": {configured(1), nil, "self", 200_000, ports, doctor.Limit, 56_442, "at least 4 upstream addresses"},
		"ports, shared address":  {two, nil, "self", 60_000, ports, doctor.Warn, 84_663, "chat alone allows 56,442"},
		"ports, unix socket":     {local, nil, "self", 60_000, ports, doctor.OK, doctor.Unknown, ""},
		"ports, variables":       {variables, nil, "self", 60_000, ports, doctor.OK, doctor.Unknown, ""},
		"conntrack": {plain(1), nil, "self", 140_000, "net.netfilter.nf_conntrack_max", doctor.Limit, 131_000,
			"net.netfilter.nf_conntrack_buckets=131072"},
		"conntrack not in use": {plain(1), map[string]string{"proc/sys/net/netfilter/nf_conntrack_count": "0\n"}, "self", 140_000,
			"net.netfilter.nf_conntrack_max", doctor.Warn, doctor.Unknown, "nf_conntrack_max=524288"},
		"worker_connections":        {configured(1), nil, "self", 30_001, "worker_connections", doctor.Limit, 30_000, "worker_connections 30100;"},
		"worker_connections spread": {configured(4), nil, "self", 120_000, "worker_connections", doctor.Limit, 117_260, "worker_connections 30700;"},
		"memory": {plain(1), map[string]string{"proc/meminfo": "MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n"}, "self", 70_000,
			"memory", doctor.Limit, 56_146, "more memory: "},
		"backlog": {configured(4), nil, "self", 50_000, "net.core.somaxconn", doctor.Warn, doctor.Unknown, "listen … backlog=4096"},
		"short queue": {plain(4), map[string]string{"proc/sys/net/core/somaxconn": "128\n"}, "self", 100,
			"net.core.somaxconn", doctor.Warn, doctor.Unknown, "somaxconn=512"},
		"SYN backlog":   {plain(4), nil, "self", 50_000, "net.ipv4.tcp_max_syn_backlog", doctor.Warn, doctor.Unknown, "=4096"},
		"broadcast":     {plain(4), nil, "self", 200_000, "net.ipv4.tcp_mem", doctor.Warn, doctor.Unknown, "=188160 250880 376320"},
		"no broadcast":  {plain(4), nil, "self", 700_000, "net.ipv4.tcp_mem", doctor.Warn, doctor.Unknown, "spread broadcasts over time"},
		"storm":         {plain(4), nil, "self", 10_000_000, "cores", doctor.Warn, doctor.Unknown, "more cores"},
		"shards":        {configured(1), nil, "self", 4000, "cores", doctor.Warn, doctor.Unknown, "worker_processes auto"},
		"keepalive off": {silent, nil, "self", 4000, "TCP keepalive", doctor.Warn, doctor.Unknown, "proxy_socket_keepalive on"},
		"low port": {configured(4), map[string]string{"proc/self/status": "CapEff:\t0\n"}, "self", 4,
			"ports below 1024", doctor.Warn, doctor.Unknown, "CAP_NET_BIND_SERVICE"},
		"may listen low": {configured(4), nil, "self", 4, "ports below 1024", doctor.OK, doctor.Unknown, ""},
		"socket table":   {plain(4), nil, "self", 200_000, "net.ipv4.tcp_ehash_entries", doctor.Warn, doctor.Unknown, "thash_entries=262144"},
		"pipes":          {plain(4), nil, "self", 4, "fs.pipe-user-pages-soft", doctor.Warn, doctor.Unknown, "fs.pipe-user-pages-soft=65536"},
		"root's pipes":   {plain(4), nil, "42", 4, "fs.pipe-user-pages-soft", doctor.OK, doctor.Unknown, ""},
		"overcommit":     {plain(4), map[string]string{"proc/sys/vm/overcommit_memory": "2\n"}, "self", 4, "vm.overcommit_memory", doctor.Warn, doctor.Unknown, "=0"},
		"huge pages": {plain(4), map[string]string{"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never"}, "self", 4,
			"transparent huge pages", doctor.Warn, doctor.Unknown, "madvise"},
		"old kernel": {plain(4), map[string]string{"proc/sys/kernel/osrelease": "4.18.0-553"}, "self", 4, "kernel", doctor.Warn, doctor.Unknown, "5.4"},
	} {
		t.Run(name, func(t *testing.T) {
			r := doctor.Examine(read(t, machine(c.files), c.process), c.setup, c.asked)
			got := find(t, r, c.check)
			all := got.Advice
			for _, s := range got.Set {
				all += " " + s.Name + "=" + s.Value
			}
			if got.Status != c.status || math.Abs(float64(got.Allows-c.allows)) > float64(max(c.allows, 0))/500 {
				t.Errorf("%s, allows %d; want %s, %d", got.Status, got.Allows, c.status, c.allows)
			}
			if !strings.Contains(all, c.says) || c.says == "" && all != "" {
				t.Errorf("says %q, want %q", all, c.says)
			}
			if r.Fits != (r.Holds >= c.asked) || got.Status == doctor.Limit && r.Fits {
				t.Errorf("holds %d of %d, fits: %v", r.Holds, c.asked, r.Fits)
			}
		})
	}
}

// The verdict names the lowest of all limits, and a machine changed as advised holds
// what was asked.
func TestAdviceSuffices(t *testing.T) {
	const asked = 300_000
	r := doctor.Examine(read(t, machine(nil), "self"), plain(4), asked)
	if r.Fits || r.First != "net.netfilter.nf_conntrack_max" || !strings.Contains(r.Verdict(), "300,000 tunnels do not fit") {
		t.Fatalf("%s", r.Verdict())
	}
	changed := map[string]string{
		"proc/self/limits": fmt.Sprintf("Max open files %d %d files\n", r.Costs.Files, r.Costs.Files),
	}
	var conf strings.Builder
	if err := r.WriteSysctl(&conf); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(conf.String()) {
		name, value, found := strings.Cut(strings.TrimPrefix(line, "-"), " = ")
		if found && line[0] != '#' {
			changed["proc/sys/"+strings.ReplaceAll(name, ".", "/")] = value
		}
	}
	r = doctor.Examine(read(t, machine(changed), "self"), plain(4), asked)
	if !r.Fits {
		t.Errorf("as advised: %s", r.Verdict())
	}
	for _, c := range r.Checks {
		if len(c.Set) > 0 && c.Name != "net.ipv4.ip_local_port_range" {
			t.Errorf("%s still wants %v", c.Name, c.Set)
		}
	}
}

// Without a number the machine is judged for what its memory holds.
func TestTarget(t *testing.T) {
	r := doctor.Examine(read(t, machine(nil), "self"), plain(4), 0)
	if memory := find(t, r, "memory"); r.Target != memory.Allows || memory.Status != doctor.OK || !r.Fits {
		t.Errorf("judged for %d, memory %+v", r.Target, memory)
	}
	large := machine(map[string]string{"proc/meminfo": "MemTotal: 64000000 kB\nMemAvailable: 63000000 kB\n"})
	if r := doctor.Examine(read(t, large, "self"), plain(4), 0); r.Target != 1_000_000 {
		t.Errorf("a large machine is judged for %d", r.Target)
	}
}
