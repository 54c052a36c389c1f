package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/bench/peers"
	"holdfast/bench/sample"
	"holdfast/test/procfs"
)

// The names of the peers. Direct is no proxy at all: the load goes to the backend. Base
// is another holdfast binary.
const (
	direct   = "direct"
	floor    = "floor"
	holdfast = "holdfast"
	base     = "base"
	nginx    = "nginx"
	haproxy  = "haproxy"
	splice   = "haproxy-splice"
)

// everyone is the order of the columns.
var everyone = []string{direct, floor, holdfast, base, nginx, haproxy, splice}

// Contender is a peer that can be started.
type Contender struct {
	Name    string
	Version string
	kind    peers.Kind // "" for direct
	binary  string
}

// Missing is a peer that cannot be measured here, and why.
type Missing struct {
	Name, Reason string
}

// binaries are the programs that are not found on PATH.
type binaries struct {
	holdfast, base, relay string
	relayMissing          string
}

// find looks up the named peers; those that are not there are listed with the reason. A
// base that is not there is an error.
func find(names []string, b binaries) (found []Contender, missing []Missing, err error) {
	for _, name := range names {
		if !slices.Contains(everyone, name) {
			return nil, nil, fmt.Errorf("no peer %q; there are %s", name, strings.Join(everyone, ", "))
		}
	}
	for _, name := range everyone {
		if !slices.Contains(names, name) {
			continue
		}
		c := Contender{Name: name, kind: peers.Kind(name)}
		switch name {
		case direct:
			found = append(found, Contender{Name: direct, Version: "no proxy"})
			continue
		case holdfast:
			c.binary = b.holdfast
		case base:
			c.kind, c.binary = peers.Holdfast, b.base
		case floor:
			if c.binary = b.relay; b.relay == "" {
				missing = append(missing, Missing{Name: name, Reason: b.relayMissing})
				continue
			}
		}
		if _, err := peers.Path(c.kind, c.binary); name == base && err != nil {
			return nil, nil, err // somebody has named it
		} else if err != nil {
			missing = append(missing, Missing{Name: name, Reason: err.Error()})
			continue
		}
		c.Version = peers.Version(c.kind, c.binary)
		found = append(found, c)
	}
	return found, missing, nil
}

// rotate gives everybody each place in turn: whoever comes first in a round finds the
// machine in another state than who comes last.
func rotate(c []Contender, by int) []Contender {
	if len(c) == 0 {
		return nil
	}
	by %= len(c)
	return slices.Concat(c[by:], c[:by])
}

// stage is a backend with a running proxy before it; peer is nil for direct.
type stage struct {
	backend *backend
	peer    *peers.Peer
	address string // where the load goes
	secure  bool   // over TLS
	pids    []int  // of the proxy
	kernel  []int  // of the kernel's threads
}

// kthreadd is the process id of the parent of all kernel threads.
const kthreadd = 2

// setUp starts a backend and a proxy. Call tearDown in the end.
func setUp(t *tools, c Contender, o peers.Options) (*stage, error) {
	b, err := t.startBackend()
	if err != nil {
		return nil, err
	}
	s := &stage{backend: b, address: b.Address, secure: o.Key != ""}
	if c.kind == "" {
		return s, nil
	}
	o.Binary, o.Backends = c.binary, []string{b.Address}
	if s.peer, err = peers.Start(c.kind, o); err != nil {
		b.stop()
		return nil, err
	}
	s.address = s.peer.Address
	return s, nil
}

func (s *stage) tearDown() {
	if s.peer != nil {
		s.peer.Stop()
	}
	s.backend.stop()
}

// look is what has been spent up to one moment.
type look struct {
	machine sample.Machine
	// The exact run time of the processes, and of the kernel's threads: softirqs that
	// nobody else had time for, and work that was put off.
	proxy, backend, kernel time.Duration
}

// look reads the clocks. The proxy's processes are listed at the first look, after it
// has been warmed up.
func (s *stage) look() (l look, err error) {
	if s.peer != nil && s.pids == nil {
		if s.pids, err = procfs.Tree(s.peer.PID()); err != nil {
			return l, err
		}
	}
	if s.kernel == nil {
		if s.kernel, err = procfs.Tree(kthreadd); err != nil {
			return l, err
		}
	}
	if l.kernel, err = procfs.Sum(s.kernel, procfs.RunTime); err != nil {
		return l, err
	}
	if l.machine, err = sample.Read(); err != nil {
		return l, err
	}
	if l.proxy, err = procfs.Sum(s.pids, procfs.RunTime); err != nil {
		return l, err
	}
	l.backend, err = procfs.RunTime(s.backend.cmd.Process.Pid)
	return l, err
}

// pss is the proxy's memory in bytes; zero for direct.
func (s *stage) pss() (int64, error) { return procfs.Sum(s.pids, procfs.PSS) }
