// Package peers starts the proxies that the benches compare, each from its own template
// with the same meaning: two workers, no access log, keep-alive on both sides, no
// timeout that would end an idle tunnel.
package peers

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"holdfast/test/port"
	"holdfast/test/procfs"
)

// Kind names a proxy.
type Kind string

// The proxies that have a template, and the relay that needs none. HAProxySplice is
// HAProxy with `option splice-auto`. Floor is bench/floor/relay.c: what relaying bytes
// costs at least.
const (
	Holdfast      Kind = "holdfast"
	Nginx         Kind = "nginx"
	HAProxy       Kind = "haproxy"
	HAProxySplice Kind = "haproxy-splice"
	Floor         Kind = "floor"
)

//go:embed holdfast.conf nginx.conf haproxy.cfg
var templates embed.FS

// Options describe a proxy to start.
type Options struct {
	// Binary is the path of the holdfast binary, or of the compiled relay for Floor; the
	// others are found by Path.
	Binary string
	// Backends are the addresses of the backends, host:port.
	Backends []string
	// Tunnels is how many tunnels the proxy must be able to hold.
	Tunnels int
	// LargeBuffers gives nginx and HAProxy buffers of 64 KiB, as holdfast has them: for
	// measurements of bulk data, where 16 KiB cost them nearly twice the CPU.
	LargeBuffers bool
	// AnyUpgrade makes holdfast pass upgrades to other protocols than WebSocket, as the
	// others' configurations always do.
	AnyUpgrade bool
	// Key makes the proxy terminate TLS, with a self-signed certificate of this kind: 1.2
	// and 1.3, AES-128-GCM, session tickets.
	Key KeyType
}

// Peer is a running proxy.
type Peer struct {
	*Running
	// Address is where it listens, Admin the admin address of a holdfast.
	Address, Admin string
}

// workers is the number of workers, threads or shards of every peer.
const workers = 2

// Path finds the program of a kind; it is an error if there is none. The environment
// variables NGINX and HAPROXY name other programs than those on PATH.
func Path(kind Kind, binary string) (string, error) {
	name := string(kind)
	switch kind {
	case Holdfast, Floor:
		path, err := filepath.Abs(binary)
		if err != nil {
			return "", err
		}
		if info, err := os.Stat(path); binary == "" || err != nil || info.IsDir() {
			return "", fmt.Errorf("no binary %q: build it first", filepath.Base(binary))
		}
		return path, nil
	case HAProxySplice:
		name = string(HAProxy)
	}
	if other := os.Getenv(strings.ToUpper(name)); other != "" {
		name = other
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path) // it runs in a folder of its own
}

// Version is what the program says about its version, one line; "" if it says nothing.
func Version(kind Kind, binary string) string {
	path, err := Path(kind, binary)
	if err != nil || kind == Floor {
		return ""
	}
	out, _ := exec.Command(path, "-v").CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// Start starts a proxy and waits until it accepts connections. Stop it in the end.
func Start(kind Kind, o Options) (*Peer, error) {
	front, err := port.Free()
	if err != nil {
		return nil, err
	}
	p := &Peer{Address: fmt.Sprintf("127.0.0.1:%d", front)}
	l := Launch{Kind: kind, Binary: o.Binary, Ready: Accepts(p.Address)}
	if o.Key != "" {
		if l.Files, err = Certificate(o.Key); err != nil {
			return nil, err
		}
	}
	admin := 0
	switch kind {
	case Floor:
		l.Args = []string{strconv.Itoa(front), o.Backends[0], strconv.Itoa(workers)}
	case Holdfast:
		if admin, err = port.Free(); err != nil {
			return nil, err
		}
		p.Admin = fmt.Sprintf("127.0.0.1:%d", admin)
	}
	if kind != Floor {
		var text strings.Builder
		if err := render(&text, kind, front, admin, o); err != nil {
			return nil, err
		}
		l.Configuration = text.String()
	}
	p.Running, err = l.Start()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Config writes the configuration that a peer is started with, with the given ports:
// to be published beside results.
func Config(w io.Writer, kind Kind, o Options) error { return render(w, kind, 8080, 8081, o) }

func render(w io.Writer, kind Kind, front, admin int, o Options) error {
	name := string(kind) + ".conf"
	if kind == HAProxy || kind == HAProxySplice {
		name = "haproxy.cfg"
	}
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return err
	}
	sessions := o.Tunnels + 300
	if kind == HAProxySplice {
		sessions = min(sessions, 3000) // it keeps descriptors for pipes, too
	}
	return t.Execute(w, map[string]any{
		"Workers": workers, "Port": front, "AdminPort": admin, "Backends": o.Backends, "Root": os.Geteuid() == 0,
		// nginx counts both sockets of a tunnel, and one worker may get most of them.
		"Connections": 2*o.Tunnels + 600, "Sessions": sessions, "Files": min(2*sessions+300, fileLimit()),
		"FileLimit": fileLimit(), "LargeBuffers": o.LargeBuffers, "AnyUpgrade": o.AnyUpgrade,
		"Splice": kind == HAProxySplice, "TLS": o.Key != "",
	})
}

// fileLimit is the hard limit of open files a process may have here.
func fileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Max, 1<<20))
}

// Usage is what a proxy uses, over all its processes.
type Usage struct {
	CPU   time.Duration // exact run time of its threads so far
	Ticks int64         // the same in clock ticks, as the kernel samples it
	PSS   int64         // bytes
	Files procfs.Files
}

// Measure reads the usage of a process and all processes below it.
func Measure(pid int) (Usage, error) {
	var u Usage
	pids, err := procfs.Tree(pid)
	if err != nil {
		return u, err
	}
	var errs [3]error
	u.CPU, errs[0] = procfs.Sum(pids, procfs.RunTime)
	u.Ticks, errs[1] = procfs.Sum(pids, procfs.Ticks)
	u.PSS, errs[2] = procfs.Sum(pids, procfs.PSS)
	if err := errors.Join(errs[:]...); err != nil {
		return u, err
	}
	for _, pid := range pids {
		files, err := procfs.OpenFiles(pid)
		if err != nil {
			return u, err
		}
		u.Files.Total += files.Total
		u.Files.Sockets += files.Sockets
		u.Files.Pipes += files.Pipes
		u.Files.Others += files.Others
	}
	return u, nil
}
