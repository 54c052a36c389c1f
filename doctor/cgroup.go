package doctor

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// hierarchy is where a version of control groups keeps a group's memory, and how its
// files are called.
type hierarchy struct {
	controller         string // in /proc/PID/cgroup; empty for version 2
	mounts             []string
	limit, used, cache string // cache is what of used the kernel gives back, a key of memory.stat
}

var hierarchies = []hierarchy{
	{"", []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, "memory.max", "memory.current", "inactive_file"},
	{"memory", []string{"sys/fs/cgroup/memory"}, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
}

// unlimitedFrom is what version 1 calls unlimited, in pages below 2^63 (any page size).
const unlimitedFrom = 1 << 62

// readCgroups finds the tightest memory limit of the process's control groups and of all
// groups around them. Sockets, inodes and epoll's entries are charged to the group that
// opened them, as user memory is (cgroups(7)), so its limit is for both together.
func (f *Facts) readCgroups(root fs.FS, process string) {
	f.CgroupLimit, f.CgroupFree = Unlimited, Unlimited
	for line := range strings.Lines(readText(root, "proc/"+process+"/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, h := range hierarchies {
			if h.controller != "" && h.controller != parts[1] || h.controller == "" && parts[1] != "" {
				continue
			}
			for _, mount := range h.mounts {
				f.climb(root, h, mount, parts[2])
			}
		}
	}
}

// climb looks at a group and all that contain it. Inside a container the path may be the
// host's and not exist; then only the mount's own group is there to be seen.
func (f *Facts) climb(root fs.FS, h hierarchy, mount, group string) {
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		f.lookAt(root, h, path.Join(mount, group))
		if group == "/" {
			return
		}
	}
}

func (f *Facts) lookAt(root fs.FS, h hierarchy, folder string) {
	most, err := strconv.ParseInt(readText(root, path.Join(folder, h.limit)), 10, 64)
	if err != nil || most >= unlimitedFrom {
		return // "max", or no such group
	}
	used, _ := strconv.ParseInt(readText(root, path.Join(folder, h.used)), 10, 64)
	for line := range strings.Lines(readText(root, path.Join(folder, "memory.stat"))) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == h.cache {
			cache, _ := strconv.ParseInt(words[1], 10, 64)
			used -= cache
		}
	}
	f.CgroupLimit = min(f.CgroupLimit, most)
	f.CgroupFree = min(f.CgroupFree, max(most-max(used, 0), 0))
}
