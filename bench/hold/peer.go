package main

import (
	"embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"text/template"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/procfs"
)

//go:embed conf/holdfast.conf conf/nginx.conf conf/haproxy.cfg
var configurations embed.FS

// peer is a proxy under measurement: one process, or several on one port.
type peer struct {
	kind    peers.Kind
	address netip.AddrPort
	admins  []string // of each holdfast process
	pids    []int    // of all processes, workers too
	// keepalive is whether a holdfast may look for dead peers, as it does unless told not to.
	keepalive bool
	secure    bool
	files     map[string][]byte // of the certificate
	started   []*peers.Running
}

// startPeer starts a proxy as planned and waits until all of it listens.
func startPeer(kind peers.Kind, o options, p plan, backends []netip.AddrPort) (*peer, error) {
	front, err := port.Free()
	if err != nil {
		return nil, err
	}
	running := &peer{kind: kind, keepalive: o.keepalive, secure: o.secure, address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(front))}
	if err := running.start(o.binary, p, backends); err != nil {
		err = fmt.Errorf("%s: %w\n%s", kind, err, running.output())
		running.stop(true)
		return nil, err
	}
	return running, nil
}

func (r *peer) start(binary string, p plan, backends []netip.AddrPort) error {
	values := map[string]any{
		"Address": r.address, "Backends": backends, "Threads": p.threads(), "Files": p.Files,
		"Tunnels": p.Share, "Connections": p.Files - proxyReserve/8, "Root": os.Geteuid() == 0,
		"Keepalive": r.keepalive, "TLS": r.secure,
	}
	processes, listeners := p.Proxies, p.Proxies
	switch r.kind {
	case peers.Holdfast:
		listeners *= p.threads() // one for each shard
		values["Tunnels"] = p.Share / p.threads()
	case peers.Nginx:
		// One master whose workers each have the limit for themselves.
		processes, listeners = 1, max(p.Proxies, p.threads())
		values["Threads"] = listeners
	}
	if r.secure {
		var err error
		if r.files, err = peers.Certificate(peers.ECDSA); err != nil {
			return err
		}
	}
	for range processes {
		if err := r.launch(binary, values); err != nil {
			return err
		}
	}
	if err := r.awaitListeners(listeners); err != nil {
		return err
	}
	for _, s := range r.started {
		tree, err := procfs.Tree(s.PID())
		if err != nil {
			return err
		}
		r.pids = append(r.pids, tree...)
	}
	return nil
}

// launch starts one process of the proxy.
func (r *peer) launch(binary string, values map[string]any) error {
	name := string(r.kind) + ".conf"
	switch r.kind {
	case peers.Holdfast:
		admin, err := port.Free()
		if err != nil {
			return err
		}
		r.admins = append(r.admins, fmt.Sprintf("127.0.0.1:%d", admin))
		values["Admin"] = r.admins[len(r.admins)-1]
	case peers.HAProxy:
		name = "haproxy.cfg"
	}
	t, err := template.ParseFS(configurations, "conf/"+name)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := t.Execute(&text, values); err != nil {
		return err
	}
	started, err := peers.Launch{Kind: r.kind, Binary: binary, Configuration: text.String(), Files: r.files}.Start()
	if err == nil {
		r.started = append(r.started, started)
	}
	return err
}

// awaitListeners waits until as many sockets listen on the port as there must be.
func (r *peer) awaitListeners(want int) error {
	return proc.Poll(proc.Patience, func() error {
		for _, s := range r.started {
			if s.Ended() {
				return fmt.Errorf("process %d ended at once", s.PID())
			}
		}
		text, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			return err
		}
		if n := countListeners(string(text), r.address.Port()); n < want {
			return fmt.Errorf("%d of %d sockets listen", n, want)
		}
		return nil
	})
}

// countListeners counts the listening sockets of a port in the text of /proc/net/tcp.
func countListeners(text string, port uint16) int {
	n := 0
	ending := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], ending) && f[3] == "0A" {
			n++
		}
	}
	return n
}

// output is what the first process that said something said.
func (r *peer) output() string {
	for _, s := range r.started {
		if text := s.Output(); text != "" {
			return text
		}
	}
	return ""
}

// stop ends the processes and removes their files; at once, or after they had time.
func (r *peer) stop(atOnce bool) {
	for _, s := range r.started {
		if !atOnce {
			s.AskToStop() // all of them before the first is waited for
		}
	}
	for _, s := range r.started {
		if atOnce {
			s.Kill()
		} else {
			s.Finish()
		}
	}
}

// use is what a proxy uses at one moment, all processes together.
type use struct {
	PSS int64 // bytes
	Fds int
	CPU time.Duration // exact run time of its threads so far
	// Ticks is the same in clock ticks, as the kernel samples it.
	Ticks int64
}

func (r *peer) measure() (use, error) {
	var u use
	var errs [4]error
	u.CPU, errs[0] = procfs.Sum(r.pids, procfs.RunTime)
	u.Ticks, errs[1] = procfs.Sum(r.pids, procfs.Ticks)
	u.PSS, errs[2] = procfs.Sum(r.pids, procfs.PSS)
	u.Fds, errs[3] = r.fds()
	return u, errors.Join(errs[:]...)
}

// fds is the number of open descriptors of all processes.
func (r *peer) fds() (int, error) {
	n, err := procfs.Sum(r.pids, countFds)
	return int(n), err
}

// alive is an error when a process of the proxy has ended.
func (r *peer) alive() error {
	for _, s := range r.started {
		if s.Ended() {
			return fmt.Errorf("a process of %s has ended, %s\n%s", r.kind, s.Fate(), r.output())
		}
	}
	return nil
}

// countFds counts the open descriptors of a process.
func countFds(pid int) (int64, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	// Since Linux 6.2 the folder's size is the number. A list costs the kernel an inode
	// for each, which is memory that is measured here.
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	if n := info.Size(); n > 0 {
		return n, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return int64(len(names)), err
}
