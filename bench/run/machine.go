package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Machine says where the figures are from.
type Machine struct {
	CPU    string
	Cores  int
	Kernel string
	Arch   string
	Go     string
}

func machine() Machine {
	m := Machine{CPU: "unknown CPU", Cores: runtime.NumCPU(), Arch: runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		var release strings.Builder
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			release.WriteByte(byte(c))
		}
		// What follows the number names the machine's owner more than its kernel.
		m.Kernel, _, _ = strings.Cut(release.String(), "-")
	}
	return m
}

// commit is the revision of the working tree, with a mark if it has changed since.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// command is how to repeat the run. Paths of this machine are cut to their last part.
func command(args []string) string {
	words := []string{"go run ./bench/run"}
	for _, arg := range args {
		name, value, found := strings.Cut(arg, "=")
		if found && filepath.IsAbs(value) {
			arg = name + "=" + filepath.Base(value)
		}
		if filepath.IsAbs(arg) {
			arg = filepath.Base(arg)
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
