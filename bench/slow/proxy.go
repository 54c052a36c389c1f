package main

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/template"

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
	*peers.Running
	address, admin string
}

// startProxy starts a holdfast before an origin and waits until it answers.
func startProxy(o options, origin string) (*proxy, error) {
	ports := [2]string{}
	for i := range ports {
		n, err := port.Free()
		if err != nil {
			return nil, err
		}
		ports[i] = fmt.Sprintf("127.0.0.1:%d", n)
	}
	p := &proxy{address: ports[0], admin: ports[1]}
	t, err := template.New("").Parse(configuration)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := t.Execute(&text, map[string]any{"Address": p.address, "Admin": p.admin, "Origin": origin,
		"Connections": 2*o.crowd.Size() + 200,
		"HeadBuffer":  headBuffer, "BodyBuffer": bodyBuffer, "AheadBuffers": aheadBuffers / 8,
	}); err != nil {
		return nil, err
	}
	p.Running, err = peers.Launch{
		Kind: peers.Holdfast, Binary: o.binary, Configuration: text.String(),
		Ready: func() error { _, err := proc.ReadStatus(p.admin); return err },
	}.Start()
	return p, err
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
	files, err := procfs.OpenFiles(p.PID())
	if err != nil {
		return sample{}, err
	}
	kernel, err := socketMemory()
	if err != nil {
		return sample{}, err
	}
	pss, err := procfs.PSS(p.PID())
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
