package main

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/port"
	"holdfast/test/proc"
)

//go:embed haproxy.cfg
var haproxyConfiguration string

// proxy is a running proxy that can reload.
type proxy struct {
	kind    peers.Kind
	address string
	pid     int // of the master
	stop    func()
}

// start starts a proxy in front of a backend.
func start(kind peers.Kind, o options, backend string) (*proxy, error) {
	room := 2*o.tunnels + 500 // old and new ones
	if kind == peers.HAProxy {
		return startHAProxy(room, backend)
	}
	p, err := peers.Start(kind, peers.Options{Backends: []string{backend}, Tunnels: room})
	if err != nil {
		return nil, err
	}
	return &proxy{kind: kind, address: p.Address, pid: p.PID(), stop: p.Stop}, nil
}

// startHAProxy starts HAProxy in master-worker mode, the one that can reload.
func startHAProxy(room int, backend string) (*proxy, error) {
	path, err := peers.Path(peers.HAProxy, "")
	if err != nil {
		return nil, err
	}
	front, err := port.Free()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "holdfast-reload-")
	if err != nil {
		return nil, err
	}
	p := &proxy{kind: peers.HAProxy, address: fmt.Sprintf("127.0.0.1:%d", front), stop: func() { os.RemoveAll(dir) }}
	var text strings.Builder
	err = template.Must(template.New("").Parse(haproxyConfiguration)).Execute(&text, map[string]any{
		"Address": p.address, "Tunnels": room, "Backends": []string{backend},
	})
	conf, output := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "output.log")
	if err == nil {
		err = os.WriteFile(conf, []byte(text.String()), 0o644)
	}
	var process *proc.Process
	if err == nil {
		process, err = proc.Launch(proc.Command{Path: path, Args: []string{"-W", "-f", conf}, Dir: dir, Output: output,
			OrphanSignal: syscall.SIGTERM})
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	p.pid = process.PID()
	p.stop = func() {
		_ = process.Signal(syscall.SIGTERM)
		_, _ = process.Exit(5 * time.Second)
		process.Kill()
		_ = os.RemoveAll(dir)
	}
	err = proc.Poll(proc.Patience, func() error {
		c, err := net.Dial("tcp", p.address)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		said, _ := os.ReadFile(output)
		p.stop()
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return p, nil
}
