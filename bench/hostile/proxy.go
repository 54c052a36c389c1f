package main

import (
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/hostile"
	"holdfast/test/port"
	"holdfast/test/proc"
)

//go:embed nginx.conf haproxy.cfg
var templates embed.FS

// running is a proxy that was started.
type running struct {
	process *proc.Process
	dir     string
}

// start starts a proxy before the lanes' backends and fills in the lanes' fronts.
func start(kind peers.Kind, binary string, all []hostile.Lane) (*running, error) {
	path, err := peers.Path(kind, binary)
	if err != nil {
		return nil, err
	}
	p := &running{}
	if p.dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
		return nil, err
	}
	conf, err := p.configure(kind, all)
	if err != nil {
		return nil, err
	}
	args := []string{"-c", conf, "-p", p.dir + "/"}
	switch kind {
	case peers.Holdfast:
		args = append([]string{"run"}, args...)
	case peers.HAProxy:
		args = []string{"-db", "-f", conf}
	}
	output := filepath.Join(p.dir, "output.log")
	p.process, err = proc.Launch(proc.Command{
		Path: path, Args: args, Dir: p.dir, Output: output, OrphanSignal: syscall.SIGTERM,
	})
	if err != nil {
		return nil, err
	}
	err = proc.Poll(proc.Patience, func() error {
		if p.process.Ended() {
			return nil
		}
		c, err := net.Dial("tcp", all[len(all)-1].Front)
		if err == nil {
			c.Close()
		}
		return err
	})
	if p.process.Ended() {
		text, _ := os.ReadFile(output)
		err = errors.New("it ended at once: " + strings.TrimSpace(string(text)))
	}
	if err != nil {
		p.stop()
	}
	return p, err
}

// configure writes the configuration and returns its path.
func (p *running) configure(kind peers.Kind, all []hostile.Lane) (string, error) {
	for i := range all {
		n, err := port.Free()
		if err != nil {
			return "", err
		}
		all[i].Front = fmt.Sprintf("127.0.0.1:%d", n)
	}
	name := "nginx.conf" // holdfast speaks it
	if kind == peers.HAProxy {
		name = "haproxy.cfg"
	}
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(p.dir, "logs"), 0o755); err != nil {
		return "", err
	}
	conf := filepath.Join(p.dir, name)
	f, err := os.Create(conf)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return conf, t.Execute(f, map[string]any{
		"Kind": string(kind), "Root": os.Geteuid() == 0, "Lanes": all,
		"HTTP": hostile.HTTP(len(all), "", func(i int) (listen, backend string) {
			return all[i].Front, all[i].Backend.Addr
		}),
	})
}

func (p *running) stop() {
	if p.process != nil {
		_ = p.process.Signal(syscall.SIGTERM)
		_, _ = p.process.Exit(5 * time.Second)
		p.process.Kill()
	}
	_ = os.RemoveAll(p.dir)
}
