package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/procfs"
)

//go:embed holdfast.conf
var configuration string

// The sizes in holdfast.conf, in bytes.
const (
	headBuffer   = 1 << 10  // client_header_buffer_size
	bodyBuffer   = 16 << 10 // client_body_buffer_size
	aheadBuffers = 64 << 10 // proxy_buffers
)

// proxy is a running holdfast of one shard.
type proxy struct {
	address, admin string
	dir            string
	process        *proc.Process
}

// startProxy starts a holdfast before an origin and waits until it answers.
func startProxy(o options, origin string) (*proxy, error) {
	path, err := peers.Path(peers.Holdfast, o.binary)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "holdfast-slow-")
	if err != nil {
		return nil, err
	}
	p := &proxy{dir: dir}
	if err := p.start(path, origin, o); err != nil {
		output, _ := os.ReadFile(filepath.Join(dir, "output.log"))
		p.stop()
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	return p, nil
}

func (p *proxy) start(path, origin string, o options) error {
	ports := [2]string{}
	for i := range ports {
		n, err := port.Free()
		if err != nil {
			return err
		}
		ports[i] = fmt.Sprintf("127.0.0.1:%d", n)
	}
	p.address, p.admin = ports[0], ports[1]
	t, err := template.New("").Parse(configuration)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := t.Execute(&text, map[string]any{"Address": p.address, "Admin": p.admin, "Origin": origin,
		"Connections": 2*o.crowd.Size() + 200,
		"HeadBuffer":  headBuffer, "BodyBuffer": bodyBuffer, "AheadBuffers": aheadBuffers / 8,
	}); err != nil {
		return err
	}
	conf := filepath.Join(p.dir, "holdfast.conf")
	if err := errors.Join(os.Mkdir(filepath.Join(p.dir, "logs"), 0o755),
		os.WriteFile(conf, []byte(text.String()), 0o644)); err != nil {
		return err
	}
	p.process, err = proc.Launch(proc.Command{Path: path, Args: []string{"run", "-c", conf, "-p", p.dir + "/"},
		Dir: p.dir, Output: filepath.Join(p.dir, "output.log")})
	if err != nil {
		return err
	}
	return proc.Poll(proc.Patience, func() error {
		if p.process.Ended() {
			return errors.New("holdfast has ended")
		}
		_, err := p.look()
		return err
	})
}

func (p *proxy) stop() {
	if p.process != nil {
		_ = p.process.Signal(syscall.SIGTERM)
		_, _ = p.process.Exit(5 * time.Second)
		p.process.Kill()
	}
	_ = os.RemoveAll(p.dir)
}

// sample is what the proxy used at one moment.
type sample struct {
	PSS    int64 // bytes
	Files  procfs.Files
	kernel int64 // bytes that TCP sockets hold in the whole system
	proc.Totals
}

func (p *proxy) look() (sample, error) {
	status, err := proc.ReadStatus(p.admin)
	if err != nil {
		return sample{}, err
	}
	files, err := procfs.OpenFiles(p.process.PID())
	if err != nil {
		return sample{}, err
	}
	kernel, err := socketMemory()
	if err != nil {
		return sample{}, err
	}
	pss, err := procfs.PSS(p.process.PID())
	return sample{PSS: pss, Files: files, Totals: status.Totals, kernel: kernel}, err
}

var socketPages = regexp.MustCompile(`(?m)^TCP: .* mem (\d+)$`)

// socketMemory is what the TCP sockets of the system hold, in bytes (/proc/net/sockstat).
func socketMemory() (int64, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, err
	}
	found := socketPages.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("no memory of TCP in %q", text)
	}
	pages, err := strconv.ParseInt(string(found[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// leftFrom is what s still holds of what was not there at the start; nil for nothing.
func (s sample) leftFrom(start sample) error {
	if s.Live() != 0 || s.BufsOut != 0 || s.BufBytes != 0 || s.PipesOut != 0 || s.RequestsOut != 0 {
		return fmt.Errorf("sessions %v, buffers %d of %d bytes, pipes %d, requests %d",
			s.Sessions, s.BufsOut, s.BufBytes, s.PipesOut, s.RequestsOut)
	}
	if want := start.Files.Sockets + int(s.UpstreamIdle-start.UpstreamIdle); s.Files.Sockets != want {
		return fmt.Errorf("%d sockets, not %d", s.Files.Sockets, want)
	}
	if s.Files.Others > start.Files.Others {
		return fmt.Errorf("%d files that are no sockets, %d at the start", s.Files.Others, start.Files.Others)
	}
	return nil
}
