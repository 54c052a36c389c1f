// Package procfs reads what Linux tells about a process in /proc: its memory, its
// CPU time, its open files and its children. Tests and benches look at a proxy from
// outside with it.
package procfs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// PSS is the proportional set size of a process in bytes (proc(5), smaps_rollup):
// its own pages plus its share of the shared ones.
func PSS(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) >= 2 && words[0] == "Pss:" {
			kib, err := strconv.ParseInt(words[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no Pss line in smaps_rollup of %d", pid)
}

// Files counts the open file descriptors of a process by kind.
type Files struct {
	Total   int
	Sockets int
	Pipes   int // ends, two for each pipe
	Others  int // regular files, epoll, eventfd and the rest
}

// OpenFiles counts the open files of a process.
func OpenFiles(pid int) (Files, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, err := readNames(dir)
	if err != nil {
		return Files{}, err
	}
	var n Files
	for _, name := range names {
		link, err := os.Readlink(filepath.Join(dir, name))
		if err != nil {
			continue // closed since it was listed
		}
		n.Total++
		switch {
		case strings.HasPrefix(link, "socket:"):
			n.Sockets++
		case strings.HasPrefix(link, "pipe:"):
			n.Pipes++
		default:
			n.Others++
		}
	}
	return n, nil
}

// Ticks is the CPU time of a process, user and system, in clock ticks (proc(5), stat).
// The kernel samples it: a process may run long and show none.
func Ticks(pid int) (int64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("stat of %d: unreadable CPU times", pid)
	}
	return user + system, nil
}

// RunTime is the exact time the threads of a process have run on a CPU, by the
// scheduler's own account (/proc/PID/task/*/schedstat). Threads that have ended are
// not in it.
func RunTime(pid int) (time.Duration, error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tids, err := readNames(dir)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, tid := range tids {
		text, err := os.ReadFile(filepath.Join(dir, tid, "schedstat"))
		if err != nil {
			continue // the thread has ended since
		}
		words := strings.Fields(string(text))
		if len(words) == 0 {
			return 0, fmt.Errorf("schedstat of thread %s of %d is empty", tid, pid)
		}
		ns, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("schedstat of thread %s of %d: %w", tid, pid, err)
		}
		total += ns
	}
	return time.Duration(total), nil
}

// Tree is pid and every process below it.
func Tree(pid int) ([]int, error) {
	names, err := readNames("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, name := range names {
		child, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		fields, err := stat(child)
		if err != nil {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// Sum adds what read tells about each of pids. A process that has ended counts nothing.
func Sum[T int64 | time.Duration](pids []int, read func(pid int) (T, error)) (T, error) {
	var total T
	for _, pid := range pids {
		v, err := read(pid)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += v
	}
	return total, nil
}

// stat returns the fields of /proc/PID/stat behind the command's name: index 0 is the
// state, index 1 the parent. The name may contain spaces and parentheses.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 13 {
		return nil, fmt.Errorf("stat of %d is not as expected", pid)
	}
	return fields, nil
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
