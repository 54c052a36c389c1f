package sample

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/stat (USER_HZ, 100 a second on every architecture we know).
const tick = 10 * time.Millisecond

// parseSchedstat sums the run time of the tasks of all cores: the seventh number of
// the cpu lines, in nanoseconds (Documentation/scheduler/sched-stats.rst).
func parseSchedstat(text string) (time.Duration, error) {
	var sum int64
	cores := 0
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 8 || !strings.HasPrefix(words[0], "cpu") {
			continue
		}
		ns, err := strconv.ParseInt(words[7], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("schedstat: %w", err)
		}
		sum += ns
		cores++
	}
	if cores == 0 {
		return 0, errors.New("schedstat has no cpu line")
	}
	return time.Duration(sum), nil
}

func parseCPUAcct(text string) (time.Duration, error) {
	ns, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cpuacct.usage: %w", err)
	}
	return time.Duration(ns), nil
}

// parseIdle sums idle, iowait and steal of all cores from the first line of /proc/stat:
// the fourth, fifth and eighth number.
func parseIdle(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "cpu" {
		return 0, errors.New("stat has no cpu line")
	}
	var ticks int64
	for _, i := range []int{4, 5, 8} {
		n, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// parseMeminfo returns SUnreclaim in bytes.
func parseMeminfo(text string) (int64, error) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "SUnreclaim:" {
			kib, err := strconv.ParseInt(words[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("meminfo has no SUnreclaim")
}

// socketSlabs are the caches in which the kernel keeps an open connection: its socket,
// the inode, the directory entry and the open file of its descriptor, and what epoll
// remembers of it.
var socketSlabs = []string{"TCP", "TCPv6", "sock_inode_cache", "filp", "dentry", "eventpoll_epi",
	"eventpoll_pwq", "skbuff_head_cache", "lsm_file_cache", "lsm_inode_cache"}

// parseSlabinfo sums the objects in use of the caches of sockets, in bytes: the second
// number times the fourth (slabinfo(5)).
func parseSlabinfo(text string) int64 {
	var sum int64
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 4 {
			continue
		}
		for _, name := range socketSlabs {
			if words[0] == name {
				active, _ := strconv.ParseInt(words[1], 10, 64)
				size, _ := strconv.ParseInt(words[3], 10, 64)
				sum += active * size
			}
		}
	}
	return sum
}

func parseSockstat(text string) Sockets {
	var s Sockets
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		number := func(name string) int64 {
			for i := 1; i+1 < len(words); i += 2 {
				if words[i] == name {
					n, _ := strconv.ParseInt(words[i+1], 10, 64)
					return n
				}
			}
			return 0
		}
		switch {
		case strings.HasPrefix(line, "sockets:"):
			s.Used = number("used")
		case strings.HasPrefix(line, "TCP:"):
			s.TCP, s.Orphans, s.TimeWait = number("inuse"), number("orphan"), number("tw")
			s.MemPages = number("mem")
		}
	}
	return s
}

// parseSoftirqs sums the lines NET_RX and NET_TX over all cores.
func parseSoftirqs(text string) (rx, tx int64) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		var sum int64
		for _, word := range words[1:] {
			n, _ := strconv.ParseInt(word, 10, 64)
			sum += n
		}
		switch words[0] {
		case "NET_RX:":
			rx = sum
		case "NET_TX:":
			tx = sum
		}
	}
	return rx, tx
}
