package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// stormBatch is how many connections should fit into the queues of a listener when all
// clients come back at once: what a shard accepts in about half a second.
const stormBatch = 4096

// large is the number of tunnels from which storms are worth preparing for.
const large = 10_000

// cores says how long the cores need to take all tunnels back.
func (in *input) cores() *Check {
	f, s := &in.facts, &in.setup
	costs := in.costs(in.target)
	c := &Check{Name: "cores", Now: grouped(int64(f.Cores)), Allows: Unknown,
		Why: fmt.Sprintf("all %s tunnels reconnecting at once take about %s",
			grouped(in.target), seconds(costs.ReadmitSeconds))}
	if f.Cores < f.Processors {
		c.Now += fmt.Sprintf(" of %d, by quota or affinity", f.Processors)
	}
	switch {
	case s.Path != "" && s.Shards != f.Cores:
		c.Status, c.Advice = Warn, fmt.Sprintf("worker_processes auto; (now it has %s)", plural(s.Shards, "shard"))
	case costs.ReadmitSeconds > 60:
		c.Status, c.Advice = Warn, "more cores, or clients that wait a random time before they reconnect"
	}
	return c
}

// backlog looks at the accept queue of each listening socket.
func (in *input) backlog() *Check {
	const name = "net.core.somaxconn"
	why := "connections that wait to be accepted; past it the kernel drops them, and clients try again after a second"
	c := in.atLeast(name, in.queue(), why)
	if c == nil || in.setup.Backlog == 0 {
		return c
	}
	c.Now += fmt.Sprintf(", listen backlog=%d", in.setup.Backlog)
	if int64(in.setup.Backlog) < in.queue() {
		c.Status, c.Advice = Warn, fmt.Sprintf("listen … backlog=%d", stormBatch)
	}
	return c
}

func (in *input) queue() int64 {
	if in.target < large {
		return 511
	}
	return stormBatch
}

// synBacklog looks at the queue of half-open connections.
func (in *input) synBacklog() *Check {
	c := in.atLeast("net.ipv4.tcp_max_syn_backlog", in.queue(),
		"handshakes in progress; past it the kernel answers with SYN cookies, or not at all where they are off")
	if c != nil && c.Status == Warn && in.facts.number("net.ipv4.tcp_syncookies", 0) > 0 && in.target < large {
		c.Status = OK
	}
	return c
}

// tcpMemory looks at the pages that all TCP sockets may have data in. A silent socket has
// none; a segment that waits takes one.
func (in *input) tcpMemory() *Check {
	const name = "net.ipv4.tcp_mem"
	pressure, most := in.facts.number(name, 1), in.facts.number(name, 2)
	if most == Unknown {
		return nil
	}
	c := &Check{Name: name, Now: fmt.Sprintf("pressure from %s", bytesText(pressure*pageBytes)), Allows: Unknown,
		Why: fmt.Sprintf("a message to all tunnels at once takes a page of each socket until it is acknowledged; "+
			"%s of them bring TCP under pressure, %s stop it", grouped(pressure), grouped(most))}
	if pressure < in.target {
		c.Status = Warn
		need := roundUp(in.target*5/4, 1024)
		c.Set = []Setting{{name, fmt.Sprintf("%d %d %d", need*3/4, need, need*3/2)}}
		if need*3/2*pageBytes > in.facts.MemoryTotal/2 {
			c.Set, c.Advice = nil, "spread broadcasts over time: that many pages are more than half of the memory"
		}
	}
	return c
}

// socketBuffers tells what one stalled tunnel may hold in the kernel.
func (in *input) socketBuffers() *Check {
	read, write := in.facts.number("net.ipv4.tcp_rmem", 2), in.facts.number("net.ipv4.tcp_wmem", 2)
	if read == Unknown || write == Unknown {
		return nil
	}
	return &Check{Name: "tcp_rmem, tcp_wmem", Allows: Unknown,
		Now: fmt.Sprintf("up to %s and %s", bytesText(read), bytesText(write)),
		Why: "what one socket may queue when its reader stalls; idle sockets have nothing queued, and tcp_mem bounds all"}
}

func (in *input) timeWait() *Check {
	return in.atLeast("net.ipv4.tcp_max_tw_buckets", min(in.target, 1<<20),
		"connections that this side closed first stay for a minute; past it they are forgotten early, which is logged")
}

// timeWaitReuse looks at source ports after a mass close.
func (in *input) timeWaitReuse() *Check {
	const name = "net.ipv4.tcp_tw_reuse"
	now := in.facts.number(name, 0)
	if now == Unknown {
		return nil
	}
	c := &Check{Name: name, Now: strconv.FormatInt(now, 10), Allows: Unknown,
		Why: "when many clients leave, the ports of their upstream connections rest for a minute unless they may be reused"}
	if now != 1 && in.target >= large {
		c.Status, c.Set = Warn, []Setting{{name, "1"}}
	}
	return c
}

func (in *input) orphans() *Check {
	return in.atLeast("net.ipv4.tcp_max_orphans", min(in.target, 1<<20),
		"closed sockets with a FIN on its way when all tunnels end at once; past it they are reset, each is 64 KiB at worst")
}

// socketTable looks at the hash table of established connections, sized at boot.
func (in *input) socketTable() *Check {
	const name = "net.ipv4.tcp_ehash_entries"
	now := in.facts.number(name, 0)
	if now <= 0 { // negative in a network namespace that shares the first one's
		return nil
	}
	c := &Check{Name: name, Now: grouped(now), Allows: Unknown,
		Why: "the kernel finds the socket of each packet in this table; long chains cost CPU"}
	if sockets := in.target * socketsPerTunnel; sockets > 4*now {
		c.Status = Warn
		c.Advice = fmt.Sprintf("boot parameter thash_entries=%d", slots(sockets/2))
	}
	return c
}

// timerSpan is how many seconds of keepalive timers the kernel lets run out together: those
// of 16 to 131 s, with 250 ticks a second.
const timerSpan = 2

// deviceQueue looks at the queue that packets of loopback, or with packet steering, go
// through. What finds it full is lost, and nobody is told.
func (in *input) deviceQueue() *Check {
	need := int64(1000)
	if in.target >= large {
		need = 10_000
	}
	burst := int64(in.costs(in.target).ProbesPerSecond * timerSpan)
	return in.atLeast("net.core.netdev_max_backlog", max(need, burst),
		fmt.Sprintf("packets that wait for a core on loopback or with packet steering: a storm, and the keepalive probes of "+
			"%d s, %s, that leave at once", timerSpan, grouped(burst)))
}

// pipes looks at the pages in pipes that a user without privileges may have (pipe(7)).
func (in *input) pipes() *Check {
	const name = "fs.pipe-user-pages-soft"
	now := in.facts.number(name, 0)
	if now == Unknown {
		return nil
	}
	c := &Check{Name: name, Now: grouped(now), Allows: Unknown,
		Why: "large streams go through pipes; past it new pipes of an unprivileged user are small, and streams cost more CPU"}
	need := int64(in.setup.Pipes) * pipeBytes / pageBytes
	if now != 0 && now < need && !in.facts.has(capSysResource) && !in.facts.has(capSysAdmin) {
		c.Status, c.Set = Warn, []Setting{{name, decimal(slots(need))}}
	}
	return c
}

func (in *input) overcommit() *Check {
	const name = "vm.overcommit_memory"
	now := in.facts.number(name, 0)
	if now == Unknown {
		return nil
	}
	c := &Check{Name: name, Now: strconv.FormatInt(now, 10), Allows: Unknown,
		Why: "with 2 the kernel counts reserved address space; the proxy needs little, but others may starve it"}
	if now == 2 {
		c.Status, c.Set = Warn, []Setting{{name, "0"}}
	}
	return c
}

func (in *input) hugePages() *Check {
	if in.facts.HugePages == "" {
		return nil
	}
	c := &Check{Name: "transparent huge pages", Now: in.facts.HugePages, Allows: Unknown,
		Why: "with always, sparse memory is rounded up to 2 MiB pages: the user memory may be above the model's"}
	if in.facts.HugePages == "always" {
		c.Status, c.Advice = Warn, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
	}
	return c
}

// keepalive tells how many probes silent tunnels cost. The system's own values don't
// count: the proxy sets them on its sockets.
func (in *input) keepalive() *Check {
	down, up := in.setup.KeepaliveDown, in.setup.KeepaliveUp
	c := &Check{Name: "TCP keepalive", Allows: Unknown,
		Now: fmt.Sprintf("clients %s, upstreams %s", every(down), every(up)),
		Why: fmt.Sprintf("%s probes a second for %s silent tunnels; tcp_keepalive_* don't apply to holdfast's sockets",
			grouped(int64(in.costs(in.target).ProbesPerSecond)), grouped(in.target))}
	if down == 0 || up == 0 {
		c.Status = Warn
		c.Advice = "so_keepalive=on of listen and proxy_socket_keepalive on; without probes dead peers stay for ever"
	}
	return c
}

func every(seconds int) string {
	if seconds == 0 {
		return "never"
	}
	return fmt.Sprintf("%d s", seconds)
}

// lowPorts looks at the right to listen below 1024.
func (in *input) lowPorts() *Check {
	i := slices.IndexFunc(in.setup.Ports, func(p int) bool { return p > 0 && p < firstPort })
	if i < 0 {
		return nil
	}
	c := &Check{Name: "ports below 1024", Now: "allowed", Allows: Unknown,
		Why: fmt.Sprintf("the configuration listens on port %d", in.setup.Ports[i])}
	if !in.facts.has(capNetBindService) {
		c.Status, c.Now = Warn, "not for this process"
		c.Advice = "start as root, or give CAP_NET_BIND_SERVICE (AmbientCapabilities= of systemd)"
	}
	return c
}

func (in *input) kernel() *Check {
	c := &Check{Name: "kernel", Now: in.facts.Kernel, Allows: Unknown,
		Why: "the size of a socket was measured on Linux 6.18; other kernels differ by some percent"}
	major, _, _ := strings.Cut(in.facts.Kernel, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 5 {
		c.Status, c.Advice = Warn, "Linux 5.4 or newer; nothing older was tried"
	}
	return c
}

// tls says what is counted for TLS, and whether the kernel could take a part of it.
func (in *input) tls() *Check {
	now := "the kernel has no tls module loaded"
	if slices.Contains(in.facts.ULP, "tls") {
		now = "the kernel has the tls module"
	}
	why := "no listener speaks it; all figures are for plain TCP on both sides"
	if in.setup.TLS {
		why = "counted for clients: 220 B a tunnel, 0.35 ms a handshake (ECDSA; with RSA keys 1.3 ms)"
	}
	return &Check{Name: "TLS", Now: now, Allows: Unknown, Why: why}
}
