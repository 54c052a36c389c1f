package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// sysctls are the settings that are read, by their names in sysctl(8).
var sysctls = []string{
	"fs.nr_open", "fs.file-max", "fs.epoll.max_user_watches", "fs.pipe-user-pages-soft",
	"net.core.somaxconn", "net.core.netdev_max_backlog",
	"net.ipv4.ip_local_port_range", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_max_orphans",
	"net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_ehash_entries",
	"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
	"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_buckets",
	"vm.overcommit_memory",
}

const reservedPorts = "net.ipv4.ip_local_reserved_ports"

// Read gathers the facts from /proc and /sys below root. process is the one whose limits
// count: "self" or a process id. What can't be read is Unknown; it is an error only
// where /proc itself or that process is missing.
func Read(root fs.FS, process string) (Facts, error) {
	f := Facts{
		Process: process, FilesSoft: Unknown, FilesHard: Unknown, FilesOpen: Unknown,
		MemoryTotal: Unknown, MemoryAvailable: Unknown, Sysctl: map[string][]int64{},
	}
	if err := f.readLimits(root, process); err != nil {
		return f, err
	}
	f.readMemory(root)
	f.readCapabilities(root, process)
	f.readCgroups(root, process)
	for _, name := range sysctls {
		if text, ok := readSysctl(root, name); ok {
			if v := numbers(text); v != nil {
				f.Sysctl[name] = v
			}
		}
	}
	if text, ok := readSysctl(root, reservedPorts); ok {
		f.Sysctl[reservedPorts] = ports(text)
	}
	if text, ok := readSysctl(root, "fs.file-nr"); ok {
		if v := numbers(text); len(v) == 3 {
			f.FilesOpen = v[0]
		}
	}
	if text, ok := readSysctl(root, "net.ipv4.tcp_available_ulp"); ok {
		f.ULP = strings.Fields(text)
	}
	if text, ok := readSysctl(root, "kernel.osrelease"); ok {
		f.Kernel = text
	}
	f.HugePages = chosen(readText(root, "sys/kernel/mm/transparent_hugepage/enabled"))
	return f, nil
}

func readText(root fs.FS, path string) string {
	text, err := fs.ReadFile(root, path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(text))
}

func readSysctl(root fs.FS, name string) (text string, ok bool) {
	b, err := fs.ReadFile(root, "proc/sys/"+strings.ReplaceAll(name, ".", "/"))
	return string(bytes.TrimSpace(b)), err == nil
}

// numbers reads numbers between blanks; nil if something else is among them.
func numbers(text string) []int64 {
	var all []int64
	for _, word := range strings.Fields(text) {
		n, err := strconv.ParseInt(word, 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			n, err = Unlimited, nil // fs.file-max may be the largest unsigned number
		}
		if err != nil {
			return nil
		}
		all = append(all, n)
	}
	return all
}

// ports reads a list like "8080,9000-9002" as pairs of first and last port.
func ports(text string) []int64 {
	pairs := []int64{}
	for item := range strings.SplitSeq(text, ",") {
		low, high, found := strings.Cut(item, "-")
		if !found {
			high = low
		}
		first, err := strconv.ParseInt(low, 10, 64)
		last, err2 := strconv.ParseInt(high, 10, 64)
		if err == nil && err2 == nil && first <= last {
			pairs = append(pairs, first, last)
		}
	}
	return pairs
}

// chosen is the word in brackets of "always [madvise] never".
func chosen(text string) string {
	_, rest, _ := strings.Cut(text, "[")
	word, _, _ := strings.Cut(rest, "]")
	return word
}

// readLimits reads "Max open files  20000  20000  files" of /proc/PID/limits.
func (f *Facts) readLimits(root fs.FS, process string) error {
	text, err := fs.ReadFile(root, "proc/"+process+"/limits")
	if err != nil {
		return fmt.Errorf("limits of process %s: %w", process, err)
	}
	for line := range strings.Lines(string(text)) {
		rest, found := strings.CutPrefix(line, "Max open files")
		if words := strings.Fields(rest); found && len(words) >= 2 {
			f.FilesSoft, f.FilesHard = limit(words[0]), limit(words[1])
		}
	}
	return nil
}

// limit reads a number, "unlimited" or "max".
func limit(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return Unlimited
	}
	return n
}

func (f *Facts) readMemory(root fs.FS) {
	for line := range strings.Lines(readText(root, "proc/meminfo")) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			continue
		}
		switch words[0] {
		case "MemTotal:":
			f.MemoryTotal = kib << 10
		case "MemAvailable:":
			f.MemoryAvailable = kib << 10
		}
	}
}

func (f *Facts) readCapabilities(root fs.FS, process string) {
	for line := range strings.Lines(readText(root, "proc/"+process+"/status")) {
		if hex, found := strings.CutPrefix(line, "CapEff:"); found {
			f.Capabilities, _ = strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	for line := range strings.Lines(readText(root, "proc/stat")) {
		name, _, _ := strings.Cut(line, " ")
		if number, found := strings.CutPrefix(name, "cpu"); found && number != "" {
			f.Processors++
		}
	}
}

// inRange counts the ports of first to last that are not reserved. Reserved ranges may
// not overlap.
func inRange(first, last int64, reserved []int64) int64 {
	n := last - first + 1
	for pair := range slices.Chunk(reserved, 2) {
		n -= max(min(last, pair[1])-max(first, pair[0])+1, 0)
	}
	return max(n, 0)
}
