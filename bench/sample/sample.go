// Package sample reads what the whole machine spends, from /proc and the cpuacct
// hierarchy of control groups: CPU time, kernel memory, sockets, softirqs. A bench
// that only looked at a proxy's own processes would miss what the kernel does for it
// elsewhere.
package sample

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// Machine is what the machine has spent so far (CPU, NetRX, NetTX) and uses now (the
// rest). What a kernel does not tell is zero.
type Machine struct {
	// CPU is the time all cores were busy, by the most exact source there is, which
	// Source names. Elapsed is the clock that belongs to it.
	CPU     time.Duration
	Source  string
	Elapsed time.Duration
	// SUnreclaim is the kernel's slab memory that it cannot give back, in bytes
	// (/proc/meminfo); SocketSlabs is the part in the caches of sockets, epoll and open
	// files (/proc/slabinfo, for root only).
	SUnreclaim, SocketSlabs int64
	Sockets
	// NetRX and NetTX are the softirqs of the network so far, over all cores.
	NetRX, NetTX int64
}

// Sockets are the counts of /proc/net/sockstat. MemPages is the memory in TCP's
// buffers, in pages.
type Sockets struct {
	Used, TCP, Orphans, TimeWait, MemPages int64
}

// The sources of CPU time, the most exact first.
const (
	// fromSchedstat: field 7 of the cpu lines of /proc/schedstat, the tasks' run time in ns.
	fromSchedstat = "schedstat"
	// fromCPUAcct: cpuacct.usage of the root group, the same account in ns, in kernels
	// without CONFIG_SCHEDSTATS.
	fromCPUAcct = "cpuacct"
	// fromIdle: the elapsed time of all cores less idle, iowait and steal of /proc/stat.
	// A tickless kernel measures idle time exactly, and shows it in ticks of 10 ms.
	fromIdle = "idle"
)

// cpuacctPaths are where the root group of cpuacct is mounted.
var cpuacctPaths = []string{"/sys/fs/cgroup/cpuacct/cpuacct.usage", "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage"}

// began is where Elapsed counts from.
var began = time.Now()

// Read looks at the machine. It fails only where a file says what it never says.
func Read() (Machine, error) {
	m := Machine{Elapsed: time.Since(began)}
	if err := m.readCPU(); err != nil {
		return m, err
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if m.SUnreclaim, err = parseMeminfo(string(text)); err != nil {
			return m, err
		}
	}
	if text, err := os.ReadFile("/proc/slabinfo"); err == nil {
		m.SocketSlabs = parseSlabinfo(string(text))
	}
	if text, err := os.ReadFile("/proc/net/sockstat"); err == nil {
		m.Sockets = parseSockstat(string(text))
	}
	if text, err := os.ReadFile("/proc/softirqs"); err == nil {
		m.NetRX, m.NetTX = parseSoftirqs(string(text))
	}
	return m, nil
}

func (m *Machine) readCPU() (err error) {
	if text, err := os.ReadFile("/proc/schedstat"); err == nil {
		m.Source = fromSchedstat
		m.CPU, err = parseSchedstat(string(text))
		return err
	}
	for _, path := range cpuacctPaths {
		if text, err := os.ReadFile(path); err == nil {
			m.Source = fromCPUAcct
			m.CPU, err = parseCPUAcct(string(text))
			return err
		}
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return fmt.Errorf("no account of the machine's CPU time: %w", err)
	}
	m.Source = fromIdle
	idle, err := parseIdle(string(text))
	m.CPU = time.Duration(runtime.NumCPU())*m.Elapsed - idle
	return err
}

// Since is what happened between an earlier look and this one: the difference of every
// field.
func (m Machine) Since(earlier Machine) Machine {
	m.CPU -= earlier.CPU
	m.Elapsed -= earlier.Elapsed
	m.SUnreclaim -= earlier.SUnreclaim
	m.SocketSlabs -= earlier.SocketSlabs
	m.Used -= earlier.Used
	m.TCP -= earlier.TCP
	m.Orphans -= earlier.Orphans
	m.TimeWait -= earlier.TimeWait
	m.MemPages -= earlier.MemPages
	m.NetRX -= earlier.NetRX
	m.NetTX -= earlier.NetTX
	return m
}
