package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// The names of two checks whose advice the file of sysctls gives in its own words.
const (
	openFiles         = "open files"
	workerConnections = "worker_connections"
)

// memory compares what tunnels cost with the memory that is free now.
func (in *input) memory() *Check {
	f := &in.facts
	c := Check{Name: "memory", Now: "unknown", Allows: Unknown,
		Why: "two sockets in the kernel and one record a tunnel, bytes in flight, and a reserve for the rest of the system"}
	if f.MemoryAvailable == Unknown {
		return &c
	}
	c.Now = bytesText(f.MemoryAvailable) + " free"
	c.Allows = in.fitting(f.MemoryAvailable, f.MemoryTotal)
	c.Advice = "more memory: " + bytesText(in.needed(in.target, f.MemoryTotal)) + " free"
	return in.bound(c)
}

// cgroup compares what tunnels cost with what the control group may still use.
func (in *input) cgroup() *Check {
	f := &in.facts
	if f.CgroupLimit == Unlimited {
		return nil
	}
	return in.bound(Check{
		Name:   "memory of the control group",
		Now:    fmt.Sprintf("%s free of %s", bytesText(f.CgroupFree), bytesText(f.CgroupLimit)),
		Allows: in.fitting(f.CgroupFree, f.CgroupLimit),
		Advice: "MemoryMax= of the service, or the container's limit: " + bytesText(in.needed(in.target, f.CgroupLimit)),
		Why:    "sockets are charged to the control group as user memory is",
	})
}

// fitting is how many tunnels fit into free memory of a total.
func (in *input) fitting(free, total int64) int64 {
	return tunnelsIn(free, func(n int64) int64 { return in.needed(n, total) })
}

// needed is the memory that n tunnels take, with all bytes in flight and the reserve.
func (in *input) needed(n, total int64) int64 {
	return in.userBytes(n) + KernelBytes(n, in.tracked()) + in.setup.InFlight +
		max(total/reserveShare, leastReserve)
}

// tunnelsWith is how many tunnels a limit of open files allows.
func (in *input) tunnelsWith(files int64) int64 {
	if files == Unlimited {
		return Unlimited
	}
	return spread(int64(in.setup.Files.Sessions(uint64(files))), in.setup.Shards)
}

// filesNeeded is the limit of open files that the target takes, rounded up to thousands.
func (in *input) filesNeeded() int64 {
	files := int64(in.setup.Files.Files(int(PerShard(in.target, in.setup.Shards))))
	return (files + 999) / 1000 * 1000
}

// openFiles looks at RLIMIT_NOFILE as holdfast will have it: it raises the soft limit to
// the hard one, and that up to fs.nr_open where it has CAP_SYS_RESOURCE.
func (in *input) openFiles() *Check {
	f := &in.facts
	if f.FilesHard == Unknown {
		return nil
	}
	files := f.FilesHard
	now := "hard limit " + grouped(files)
	if nrOpen := f.number("fs.nr_open", 0); f.has(capSysResource) && nrOpen > files {
		files, now = nrOpen, "raised to fs.nr_open"
	}
	if asked := in.setup.Asked; asked > 0 && asked < files {
		files, now = asked, "worker_rlimit_nofile "+grouped(asked)
	}
	c := Check{Name: openFiles, Now: now, Allows: in.tunnelsWith(files),
		Why: "two descriptors a tunnel, and a reserve for pipes, idle upstream connections and logs"}
	need := decimal(in.filesNeeded())
	c.Advice = "LimitNOFILE=" + need + " in the systemd unit, or ulimit -Hn " + need
	if in.setup.Asked > 0 && in.setup.Asked < in.filesNeeded() {
		c.Advice = "worker_rlimit_nofile " + need + "; and " + c.Advice
	}
	if f.Process == "self" {
		c.Why += "; the limit is this shell's: --pid looks at a running process instead"
	}
	return in.bound(c)
}

// nrOpen looks at the ceiling of RLIMIT_NOFILE for everybody.
func (in *input) nrOpen() *Check {
	now := in.facts.number("fs.nr_open", 0)
	if now == Unknown {
		return nil
	}
	return in.bound(Check{
		Name: "fs.nr_open", Now: grouped(now), Allows: in.tunnelsWith(now),
		Set:    []Setting{{"fs.nr_open", decimal(slots(in.filesNeeded()))}},
		Advice: `or several processes on one port: "listen … shared"`,
		Why:    "the highest limit of open files that any process may have",
	})
}

// fileMax looks at the limit of open files of the whole machine.
func (in *input) fileMax() *Check {
	now := in.facts.number("fs.file-max", 0)
	if now == Unknown {
		return nil
	}
	used, free := max(in.facts.FilesOpen, 0), int64(Unlimited)
	if now != Unlimited {
		free = max(now-used, 0)
	}
	return in.bound(Check{
		Name: "fs.file-max", Now: fmt.Sprintf("%s, %s open", grouped(now), grouped(used)), Allows: in.tunnelsWith(free),
		Set: []Setting{{"fs.file-max", decimal(slots(in.filesNeeded() + used))}},
		Why: "all open files of the machine; only a process with CAP_SYS_ADMIN may go past it",
	})
}

// epollWatches looks at the sockets that one user's epoll instances may hold (epoll(7)).
func (in *input) epollWatches() *Check {
	const name = "fs.epoll.max_user_watches"
	now := in.facts.number(name, 0)
	if now == Unknown {
		return nil
	}
	return in.bound(Check{
		Name: name, Now: grouped(now), Allows: now / socketsPerTunnel,
		Set: []Setting{{name, decimal(slots(in.target*socketsPerTunnel + 1000))}},
		Why: "both sockets of a tunnel are registered with epoll; the limit is for each user",
	})
}

// workerConnections looks at what the configuration allows.
func (in *input) workerConnections() *Check {
	s := &in.setup
	if s.PerShard == 0 {
		return nil
	}
	need := decimal(roundUp(PerShard(in.target, s.Shards), 100))
	return in.bound(Check{
		Name:   workerConnections,
		Now:    fmt.Sprintf("%s on each of %s", grouped(int64(s.PerShard)), plural(s.Shards, "shard")),
		Allows: spread(int64(s.PerShard), s.Shards), Advice: "worker_connections " + need + ";",
		Why: "the configuration's own limit; connections are spread by a hash, so a shard needs some room above its share",
	})
}

// localPorts looks at source ports: each connection to one upstream address takes one.
func (in *input) localPorts() *Check {
	const name = "net.ipv4.ip_local_port_range"
	low, high := in.facts.number(name, 0), in.facts.number(name, 1)
	if high == Unknown {
		return nil
	}
	reserved := in.facts.Sysctl[reservedPorts]
	each := inRange(low, high, reserved)
	most := inRange(firstPort, lastPort, reserved)
	c := Check{Name: name, Now: fmt.Sprintf("%d–%d: %s ports", low, high, grouped(each)), Allows: Unknown,
		Why: "each tunnel to one upstream address and port takes a source port of its own"}
	if each < most {
		c.Set = in.portSettings(reserved)
	}
	addresses, bounded := in.upstreamAddresses()
	if !bounded {
		if in.setup.Path == "" && each < in.target {
			c.Status = Warn
		}
		c.Advice = fmt.Sprintf("%s for %s tunnels, each address or port on a server line of its own",
			needAddresses(in.target, most), grouped(in.target))
		return &c
	}
	c.Allows = each * int64(addresses)
	c.Now += ", " + plural(addresses, "upstream address", "upstream addresses")
	if in.target > most*int64(addresses) {
		c.Advice = needAddresses(in.target, most) + ", each address or port on a server line of its own"
	}
	largest := in.largestUpstream()
	if alone := each * int64(len(largest.Addresses)); c.Allows >= in.target && alone < in.target {
		c.Status = Warn
		c.Advice = fmt.Sprintf("if most tunnels go to one upstream: %s alone allows %s", largest.Name, grouped(alone))
	}
	return in.bound(c)
}

const firstPort, lastPort = 1024, 65535

// portSettings widens the range of source ports and keeps the configuration's own ports out
// of it, so that no upstream connection can take one while holdfast is not running.
func (in *input) portSettings(reserved []int64) []Setting {
	set := []Setting{{"net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", firstPort, lastPort)}}
	var words []string
	for pair := range slices.Chunk(reserved, 2) {
		word := decimal(pair[0])
		if pair[1] != pair[0] {
			word += "-" + decimal(pair[1])
		}
		words = append(words, word)
	}
	for _, port := range in.setup.Ports {
		if port >= firstPort && inRange(int64(port), int64(port), reserved) > 0 {
			words = append(words, decimal(int64(port)))
		}
	}
	if len(words) > 0 {
		set = append(set, Setting{reservedPorts, strings.Join(words, ",")})
	}
	return set
}

func needAddresses(tunnels, each int64) string {
	return "at least " + plural(int((tunnels+each-1)/max(each, 1)), "upstream address", "upstream addresses")
}

// upstreamAddresses counts the distinct addresses of all upstreams; bounded is false where
// ports are no limit or the addresses are not known.
func (in *input) upstreamAddresses() (n int, bounded bool) {
	seen := map[string]bool{}
	for _, u := range in.setup.Upstreams {
		if u.Unix {
			return 0, false
		}
		for _, a := range u.Addresses {
			seen[a] = true
		}
	}
	return len(seen), len(seen) > 0 && !in.setup.Variables
}

func (in *input) largestUpstream() Upstream {
	return slices.MaxFunc(in.setup.Upstreams, func(a, b Upstream) int { return len(a.Addresses) - len(b.Addresses) })
}

// tracked tells whether connections are in nf_conntrack. The module counts nothing until
// a firewall rule asks for it.
func (in *input) tracked() bool { return in.facts.number("net.netfilter.nf_conntrack_count", 0) > 0 }

// conntrack looks at the firewall's table of connections.
func (in *input) conntrack() *Check {
	const name = "net.netfilter.nf_conntrack_max"
	most, count := in.facts.number(name, 0), in.facts.number("net.netfilter.nf_conntrack_count", 0)
	if most == Unknown || count == Unknown {
		return nil
	}
	room := max(most-count, 0) / socketsPerTunnel
	need := slots(in.target*socketsPerTunnel*5/4 + count)
	c := Check{Name: name, Now: fmt.Sprintf("%s, %s in use", grouped(most), grouped(count)), Allows: Unknown,
		Set:    []Setting{{name, decimal(need)}, {"net.netfilter.nf_conntrack_buckets", decimal(need / 4)}},
		Advice: "or keep the proxy's connections out of the table with a notrack rule",
		Why:    "a firewall that tracks connections has an entry for each socket and drops packets when its table is full"}
	if !in.tracked() {
		if c.Why = "the module is loaded but tracks nothing now; " + c.Why; room < in.target {
			c.Status = Warn
		}
		return &c
	}
	c.Allows = room
	return in.bound(c)
}
