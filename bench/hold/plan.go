package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A process may open so many files and no more. A tunnel costs a client one descriptor, a
// backend one and a proxy two, so that a large number of tunnels needs several processes
// of each kind; where the limit is high, one is enough.

const (
	// holderReserve are descriptors of a client or backend for other things.
	holderReserve = 100
	// proxyReserve are those of a proxy: listeners, logs, pipes, the connections of an
	// admin address, and what it takes past its limit to refuse it.
	proxyReserve = 800
	// perAddress is how many tunnels one address of a backend takes: a proxy has about
	// 28,000 ports towards it, and looking for a free one takes longer the fewer there are.
	perAddress = 4000
	// spread is by how many standard deviations the share of a process behind SO_REUSEPORT
	// may be above the mean before it is full and its connections are tried again.
	spread = 6
)

// plan is how many processes hold n tunnels.
type plan struct {
	Tunnels  int // in all
	Files    int // RLIMIT_NOFILE of each process
	Clients  int // processes
	Backends int // processes
	Proxies  int // processes, or workers of nginx
	Share    int // the most tunnels a process of the proxy can hold
}

// fileLimit is the hard limit of open files.
func fileLimit() (int, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, err
	}
	return int(min(r.Max, 1<<30)), nil
}

// planFor plans n tunnels under a limit of open files.
func planFor(n, files int) (plan, error) {
	if n < 1 {
		return plan{}, fmt.Errorf("%d tunnels", n)
	}
	if files < 4*proxyReserve {
		return plan{}, fmt.Errorf("%d open files are too few to measure with (ulimit -n)", files)
	}
	p := plan{Tunnels: n, Files: files, Share: (files - proxyReserve) / 2}
	// Tries and the turn of each proxy make backends uneven: a twentieth is left free.
	holders := files - holderReserve
	p.Clients = ceil(n, holders)
	p.Backends = ceil(n, holders-holders/20)
	p.Proxies = 1
	if n > p.Share {
		p.Proxies = ceil(n, meanFor(p.Share))
	}
	return p, nil
}

// meanFor is the largest mean whose share of chance stays below most: with n tunnels dealt
// at random over many processes the deviation is the root of the mean.
func meanFor(most int) int {
	root := (-spread + math.Sqrt(spread*spread+4*float64(most))) / 2
	return int(root * root)
}

func ceil(a, b int) int { return (a + b - 1) / b }

// firstBackend is the lowest address of a backend, 127.64.0.1.
const firstBackend = 127<<24 | 64<<16 | 1

// backendAddresses are the addresses of the i-th backend process.
func (p plan) backendAddresses(i int) []netip.Addr {
	count := ceil(ceil(p.Tunnels, p.Backends), perAddress)
	var all []netip.Addr
	for k := range count {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(firstBackend+i*count+k))
		all = append(all, netip.AddrFrom4(b))
	}
	return all
}

// threads is how many threads or shards a process of the proxy gets: both cores for one
// process alone, one for each of many.
func (p plan) threads() int {
	if p.Proxies == 1 {
		return 2
	}
	return 1
}

// clientShare is the first tunnel of the i-th client process, and how many it holds.
func (p plan) clientShare(i int) (first, count int) {
	first = p.Tunnels * i / p.Clients
	return first, p.Tunnels*(i+1)/p.Clients - first
}
