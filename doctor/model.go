package doctor

import (
	"math"
	"math/bits"
	"sort"
)

// The costs of a tunnel, as measured. They are all here and nowhere else; docs/sizing.md
// explains how they were fitted, and TestModelPredictsWhatWasMeasured holds the formulas
// to the measured points. Measured with two shards on two cores of an AMD EPYC, Linux
// 6.18, amd64, Go 1.26.
const (
	// User memory: the growth of the proportional set size, fitted as a line.
	// go run ./bench/hold -bin bin/holdfast -n N -settle 15s, N from 1,000 to 9,000.
	processBytes = 11_990 << 10 // the process with warm code and heap
	shardBytes   = 600 << 10    // each shard, warm: its stack, buffers, event list
	firstBytes   = 430 << 10    // what the first thousand tunnels touch once
	tunnelBytes  = 146          // each tunnel: the record of 128 B and what grows with it
	measuredTo   = 9000         // tunnels in one process; what is above is extrapolated

	// Kernel memory of an established, silent TCP socket with all that hangs from it:
	// socket, inode, file, dentry, and 208 B of epoll's. Slab growth of a machine over
	// 9,000 connected pairs, read from /proc/slabinfo: 3,890 to 4,036 B.
	socketBytes = 4036
	// A descriptor's slot in the process's table: a pointer and two bits (fs/file.c), in
	// a table that doubles.
	slotBits = 8*8 + 2
	// An entry of nf_conntrack with its place in the hash table.
	conntrackBytes = 384

	// CPU of the proxy's threads by the scheduler's account, with client and server on
	// the same machine: make bench-peers (bench/results/peers.md).
	messageMicros = 16 // a 64 B message in one direction at 10,000 echoes a second
	upgradeMicros = 50 // accept, connect, upgrade, one echo, close

	// TLS between the client and the proxy, on top: the record of the connection with what grows
	// with it, after a message each way; and a full handshake (ECDSA P-256, TLS 1.3).
	// go run ./bench/hold -tls -message 16384 -n 4000; make bench-tls (bench/results/tls.md).
	tlsBytes        = 220
	handshakeMicros = 350

	// busyShare is how much of a core may be planned for: queues grow without end near 1.
	busyShare = 0.7
)

const (
	// socketsPerTunnel is one to the client and one to the upstream server.
	socketsPerTunnel = 2
	// leastReserve and reserveShare (one in so many) of the memory stay for everything
	// else: page cache, logs, the rest of the system.
	leastReserve = 256 << 20
	reserveShare = 20
	// pipeBytes is what a pipe of the proxy asks for, 64 pages.
	pipeBytes = 256 << 10
	pageBytes = 4096
)

// UserBytes is the user memory of a process that holds n idle tunnels.
func UserBytes(n int64, shards int) int64 {
	b := int64(processBytes) + int64(shards)*shardBytes
	if n > 0 {
		b += int64(firstBytes*min(float64(n)/1000, 1)) + n*tunnelBytes
	}
	return b
}

// userBytes is UserBytes with what the configuration adds.
func (in *input) userBytes(n int64) int64 {
	b := UserBytes(n, in.setup.Shards)
	if in.setup.TLS {
		b += n * tlsBytes
	}
	return b
}

// KernelBytes is the kernel memory of n idle tunnels. tracked says that their connections
// are in nf_conntrack, too.
func KernelBytes(n int64, tracked bool) int64 {
	sockets := n * socketsPerTunnel
	b := sockets*socketBytes + slots(sockets)*slotBits/8
	if tracked {
		b += sockets * conntrackBytes
	}
	return b
}

// slots is the size of a descriptor table with room for n.
func slots(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return 1 << bits.Len64(uint64(n-1))
}

// tunnelsIn is the largest number of tunnels that cost says fit into room; cost must not
// fall as tunnels rise.
func tunnelsIn(room int64, cost func(n int64) int64) int64 {
	const most = 1 << 30
	first := sort.Search(most, func(n int) bool { return cost(int64(n)) > room })
	return max(int64(first)-1, 0)
}

// PerShard is the number of sessions a shard needs room for when n are spread over all
// shards by the hash of their addresses (SO_REUSEPORT): the share and four times its
// standard deviation.
func PerShard(n int64, shards int) int64 {
	if shards == 1 {
		return n
	}
	share := float64(n) / float64(shards)
	return int64(math.Ceil(share + 4*math.Sqrt(share)))
}

// spread is PerShard backwards: how many tunnels fit when each shard has room for so many.
func spread(perShard int64, shards int) int64 {
	if shards == 1 || perShard <= 0 {
		return perShard
	}
	root := math.Sqrt(float64(perShard)+4) - 2 // of x + 4√x = perShard
	return int64(root * root * float64(shards))
}

// Costs is what a number of tunnels takes of a machine.
type Costs struct {
	Tunnels     int64 `json:"tunnels"`
	UserBytes   int64 `json:"user_bytes"`
	KernelBytes int64 `json:"kernel_bytes"`
	// InFlightBytes is what the shards may hold at most for tunnels that move bytes.
	InFlightBytes int64  `json:"in_flight_bytes"`
	Files         uint64 `json:"files"`
	// PerShard is the worker_connections it takes.
	PerShard int64 `json:"worker_connections"`
	// ProbesPerSecond are TCP keepalive probes on both legs of silent tunnels.
	ProbesPerSecond float64 `json:"probes_per_second"`
	// MessagesPerSecond is what the cores relay at 70 % load, of small messages, in both
	// directions together.
	MessagesPerSecond float64 `json:"messages_per_second"`
	// ReadmitSeconds is how long the cores take to connect and upgrade all tunnels anew.
	ReadmitSeconds float64 `json:"readmit_seconds"`
}

// costs works the formulas for n tunnels.
func (in *input) costs(n int64) Costs {
	cores := float64(max(min(in.facts.Cores, in.setup.Shards), 1))
	per := PerShard(n, in.setup.Shards)
	c := Costs{
		Tunnels: n, UserBytes: in.userBytes(n), KernelBytes: KernelBytes(n, in.tracked()),
		InFlightBytes: in.setup.InFlight, Files: in.setup.Files.Files(int(per)), PerShard: per,
		MessagesPerSecond: cores * busyShare * 1e6 / messageMicros,
		ReadmitSeconds:    float64(n) * upgradeMicros / 1e6 / cores,
	}
	if in.setup.TLS {
		c.ReadmitSeconds += float64(n) * handshakeMicros / 1e6 / cores
	}
	for _, seconds := range []int{in.setup.KeepaliveDown, in.setup.KeepaliveUp} {
		if seconds > 0 {
			c.ProbesPerSecond += float64(n) / float64(seconds)
		}
	}
	return c
}
