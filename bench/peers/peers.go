// Package peers starts the proxies that the benches compare, each from its own template
// with the same meaning: two workers, no access log, keep-alive on both sides, no
// timeout that would end an idle tunnel.
package peers

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"holdfast/test/port"
	"holdfast/test/proc"
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
}

// Peer is a running proxy.
type Peer struct {
	Kind Kind
	// Address is where it listens, Admin the admin address of a holdfast.
	Address, Admin string

	process *proc.Process
	dir     string
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
	path, err := Path(kind, o.Binary)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return nil, err
	}
	p := &Peer{Kind: kind, dir: dir}
	if err := p.start(path, o); err != nil {
		err = fmt.Errorf("%s: %w\n%s", kind, err, p.output())
		p.Stop()
		return nil, err
	}
	return p, nil
}

func (p *Peer) start(path string, o Options) error {
	front, err := port.Free()
	if err != nil {
		return err
	}
	p.Address = fmt.Sprintf("127.0.0.1:%d", front)
	args := []string{strconv.Itoa(front), o.Backends[0], strconv.Itoa(workers)}
	if p.Kind != Floor {
		if args, err = p.configure(front, o); err != nil {
			return err
		}
	}
	p.process, err = proc.Launch(proc.Command{
		Path: path, Args: args, Dir: p.dir, Output: filepath.Join(p.dir, "output.log"), OrphanSignal: syscall.SIGTERM,
	})
	if err != nil {
		return err
	}
	err = proc.Poll(proc.Patience, func() error {
		if p.process.Ended() {
			return nil
		}
		c, err := net.Dial("tcp", p.Address)
		if err == nil {
			c.Close()
		}
		return err
	})
	if p.process.Ended() {
		return errors.New("it ended at once")
	}
	return err
}

// configure writes the configuration and returns the arguments that name it.
func (p *Peer) configure(front int, o Options) (args []string, err error) {
	name := string(p.Kind) + ".conf"
	admin := 0
	switch p.Kind {
	case Holdfast:
		if admin, err = port.Free(); err != nil {
			return nil, err
		}
		p.Admin = fmt.Sprintf("127.0.0.1:%d", admin)
	case HAProxy, HAProxySplice:
		name = "haproxy.cfg"
	}
	if err := os.Mkdir(filepath.Join(p.dir, "logs"), 0o755); err != nil {
		return nil, err
	}
	conf := filepath.Join(p.dir, name)
	f, err := os.Create(conf)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	args = []string{"-c", conf, "-p", p.dir + "/"}
	switch p.Kind {
	case Holdfast:
		args = append([]string{"run"}, args...)
	case HAProxy, HAProxySplice:
		args = []string{"-db", "-f", conf}
	}
	return args, render(f, name, p.Kind, front, admin, o)
}

// Config writes the configuration that a peer is started with, with the given ports:
// to be published beside results.
func Config(w io.Writer, kind Kind, o Options) error {
	name := string(kind) + ".conf"
	if kind == HAProxy || kind == HAProxySplice {
		name = "haproxy.cfg"
	}
	return render(w, name, kind, 8080, 8081, o)
}

func render(w io.Writer, name string, kind Kind, front, admin int, o Options) error {
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
		"Splice": kind == HAProxySplice,
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

func (p *Peer) output() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "output.log"))
	log, _ := os.ReadFile(filepath.Join(p.dir, "logs", "error.log"))
	return strings.ReplaceAll(string(text)+string(log), p.dir, ".")
}

// Stop ends the proxy at once and removes its files.
func (p *Peer) Stop() {
	if p.process != nil {
		_ = p.process.Signal(syscall.SIGTERM)
		_, _ = p.process.Exit(5 * time.Second)
		p.process.Kill()
	}
	_ = os.RemoveAll(p.dir)
}

// PID is the process id of a peer's first process.
func (p *Peer) PID() int { return p.process.PID() }

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
