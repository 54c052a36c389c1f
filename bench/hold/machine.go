package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/bench/sample"
)

// machine is what the whole machine used at one moment. Sizes are bytes.
type machine struct {
	Available    int64 // MemAvailable less SReclaimable, see readMeminfo
	InUse        int64 // all memory that is neither free nor cache of files
	Slab         int64 // all slab caches
	SUnreclaim   int64 // those of it that the kernel cannot drop; inodes and dentries of sockets are not in it
	Other        int64 // page tables, kernel stacks, vmalloc, per-CPU memory
	Caches       map[string]int64
	Sockets      int64 // in use, of all kinds
	TCP          int64 // TCP sockets allocated
	TCPMemory    int64 // what they hold queued
	Probes       int64 // keepalive probes sent so far
	TimedOut     int64 // TCP connections that the kernel gave up so far
	Dropped      int64 // packets dropped so far because the queue of a core was full (netdev_max_backlog)
	NetRX, Timer int64 // softirqs so far
	// Run is how long all cores ran anything so far.
	Run time.Duration
}

// kernel is all memory of the kernel that counts.
func (m machine) kernel() int64 { return m.Slab + m.Other }

func readMachine() (machine, error) {
	var m machine
	var texts [6]string
	for i, name := range []string{"meminfo", "net/sockstat", "net/netstat", "softirqs", "net/softnet_stat", "slabinfo"} {
		text, err := os.ReadFile(filepath.Join("/proc", name))
		if err != nil && name != "slabinfo" { // only root may read that one
			return m, err
		}
		texts[i] = string(text)
	}
	m.readMeminfo(texts[0])
	m.readSockstat(texts[1])
	m.Probes = netstat(texts[2], "TcpExt", "TCPKeepAlive")
	m.NetRX, m.Timer = softirqs(texts[3], "NET_RX"), softirqs(texts[3], "TIMER")
	m.TimedOut = netstat(texts[2], "TcpExt", "TCPAbortOnTimeout")
	m.Dropped = dropped(texts[4])
	m.Caches = slabCaches(texts[5])
	if m.Slab == 0 || m.Available == 0 {
		return m, errors.New("/proc/meminfo is not as expected")
	}
	all, err := sample.Read()
	m.Run = all.CPU
	return m, err
}

// readMeminfo reads /proc/meminfo. The kernel takes the inodes and directory entries of
// sockets for memory that it could give back (SReclaimable), and counts it as available. It
// can't while they are open, and they are a third of what a socket costs.
func (m *machine) readMeminfo(text string) {
	lines := map[string]int64{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			lines[f[0]] = kib << 10
		}
	}
	m.Available = lines["MemAvailable:"] - lines["SReclaimable:"]
	m.InUse = lines["MemTotal:"] - lines["MemFree:"] - lines["Buffers:"] - lines["Cached:"] + lines["Shmem:"]
	m.Slab, m.SUnreclaim = lines["Slab:"], lines["SUnreclaim:"]
	m.Other = lines["PageTables:"] + lines["KernelStack:"] + lines["VmallocUsed:"] + lines["Percpu:"]
}

// readSockstat reads "sockets: used 15" and "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 156".
func (m *machine) readSockstat(text string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		for i := 1; i+1 < len(f); i += 2 {
			n, _ := strconv.ParseInt(f[i+1], 10, 64)
			switch f[0] + f[i] {
			case "sockets:used":
				m.Sockets = n
			case "TCP:alloc":
				m.TCP = n
			case "TCP:mem":
				m.TCPMemory = n * int64(os.Getpagesize())
			}
		}
	}
}

// netstat is a counter in the text of /proc/net/netstat: a line of names, then one of values.
func netstat(text, group, name string) int64 {
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != group+":" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i := range min(len(names), len(f)) {
			if names[i] == name {
				n, _ := strconv.ParseInt(f[i], 10, 64)
				return n
			}
		}
	}
	return 0
}

// softirqs adds a line of /proc/softirqs over all processors.
func softirqs(text, name string) int64 {
	var sum int64
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != name+":" {
			continue
		}
		for _, word := range f[1:] {
			n, _ := strconv.ParseInt(word, 10, 64)
			sum += n
		}
	}
	return sum
}

// dropped adds the second column of /proc/net/softnet_stat, a line a core, hexadecimal.
func dropped(text string) int64 {
	var sum int64
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 {
			n, _ := strconv.ParseInt(f[1], 16, 64)
			sum += n
		}
	}
	return sum
}

// cacheSizeMin is the size a slab cache needs to be noted, bytes.
const cacheSizeMin = 64 << 10

// slabCaches is the memory of the objects in use of each cache in the text of
// /proc/slabinfo, with what their slabs waste, without free objects: how many of these
// there are depends on what ran before.
func slabCaches(text string) map[string]int64 {
	caches := map[string]int64{}
	for line := range strings.Lines(text) {
		// name active total size per-slab pages : tunables 0 0 0 : slabdata active slabs shared
		f := strings.Fields(line)
		if len(f) < 7 || f[6] != ":" {
			continue
		}
		active, err1 := strconv.ParseInt(f[1], 10, 64)
		perSlab, err2 := strconv.ParseInt(f[4], 10, 64)
		pages, err3 := strconv.ParseInt(f[5], 10, 64)
		if errors.Join(err1, err2, err3) != nil || perSlab == 0 {
			continue
		}
		if size := active * pages * int64(os.Getpagesize()) / perSlab; size >= cacheSizeMin {
			caches[f[0]] = size
		}
	}
	return caches
}

// socketCaches are the slab caches that a TCP connection of a process has objects in: the
// socket, its inode, its open file and its entries in epoll sets. Its directory entry is
// in a cache of all files, and counted as one for each socket.
var socketCaches = []string{"TCP", "sock_inode_cache", "filp", "lsm_file_cache", "lsm_inode_cache", "eventpoll_epi",
	"eventpoll_pwq", "ep_head"}

// dentrySize is the size of a directory entry with its part of the slab's waste (amd64,
// arm64: 21 in a page).
const dentrySize = 195

// sockets is the memory of socketCaches and the sockets' directory entries. Zero without
// the right to read slabinfo.
func (m machine) sockets() int64 {
	if len(m.Caches) == 0 {
		return 0
	}
	sum := m.TCP * dentrySize
	for _, name := range socketCaches {
		sum += m.Caches[name]
	}
	return sum
}

// available is that of the machine alone, which is asked often.
func available() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var m machine
	m.readMeminfo(string(text))
	if m.Available == 0 {
		return 0, errors.New("no MemAvailable in /proc/meminfo")
	}
	return m.Available, nil
}
