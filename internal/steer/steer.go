// Package steer chooses the shard that gets a new connection. Every shard listens on every
// address with a socket of its own, and by itself the kernel deals the connections by a
// hash of their addresses and ports. A tunnel stays where it was accepted, for months, so
// an uneven start stays too. A Steering attaches a program to the sockets of an address
// that chooses instead, when the SYN arrives.
//
// Programs belong to the sockets and end with them; nothing is left behind in the kernel.
// A program steers all sockets of its address, also those that another process opens there
// later (same user, SO_REUSEPORT): with CPU such a socket is never chosen while ours are
// all open, and with Least only where the program finds no socket. So addresses that are
// meant to be shared must not be steered.
//
// CPU counts the sockets in the order in which they began to listen, and the last one takes
// the place of one that is closed: a socket that is inherited or opened anew changes who is
// who, which matters to nobody. Least has an array in which each shard has its place. A
// closed socket empties its place; sockets that take its part have to be attached anew.
package steer

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"holdfast/internal/sys"
)

// Policy is how a shard is chosen.
type Policy uint8

// The policies.
const (
	Hash  Policy = iota // by the kernel's hash: no program
	CPU                 // by the CPU that handles the SYN, modulo the shards
	Least               // the one with the fewest sessions
)

// Steering steers the listening sockets of one process. A nil Steering leaves everything to
// the kernel's hash.
type Steering struct {
	policy Policy
	shards int
	loads  *ebpf.Map // one value with a slot for each shard
	words  sys.SharedWords
}

// New prepares steering to a number of shards. With Least it needs CAP_BPF or root, and
// Linux 5.8; the error is then a reason to go on with Hash.
func New(policy Policy, shards int) (*Steering, error) {
	s := &Steering{policy: policy, shards: shards}
	if policy != Least || shards == 1 {
		return s, nil
	}
	loads, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "holdfast_loads", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(shards * slotSize), MaxEntries: 1,
		Flags: mmapable,
	})
	if err != nil {
		return nil, explain(err)
	}
	s.loads = loads
	words, errno := sys.MapWords(loads.FD(), shards*slotSize/8)
	if errno != 0 {
		loads.Close()
		return nil, fmt.Errorf("mapping the shards' loads: %w", errno)
	}
	s.words = words
	return s, nil
}

// mmapable is BPF_F_MMAPABLE of linux/bpf.h.
const mmapable = 1 << 10

// Load is where a shard keeps its load for the program to read: in the upper half the number
// of its sessions, or 2^31 to get no connection while another shard takes any; in the lower
// half how many connections it has accepted so far, modulo 2^32. It is nil where no program
// reads it. It lives until Close.
func (s *Steering) Load(shard int) *atomic.Uint64 {
	if s == nil || s.loads == nil {
		return nil
	}
	return s.words.Word(shard * slotSize / 8)
}

// Attach steers the connections of one address. The sockets listen on it, in the order of
// the shards, and no socket but these does. After an error the kernel's hash goes on.
func (s *Steering) Attach(sockets []int32) error {
	switch {
	case s.policy == Hash || s.shards == 1:
		return nil
	case s.policy == CPU:
		if errno := sys.SteerByCPU(sockets[0], s.shards); errno != 0 {
			return fmt.Errorf("SO_ATTACH_REUSEPORT_CBPF: %w", errno)
		}
		return nil
	}
	array, err := socketArray(sockets)
	if err != nil {
		return explain(err)
	}
	defer array.Close() // the program keeps it
	program, err := ebpf.NewProgram(least(s.loads.FD(), array.FD(), s.shards))
	if err != nil {
		return explain(err)
	}
	defer program.Close() // the sockets keep it
	if errno := sys.SteerByProgram(sockets[0], program.FD()); errno != 0 {
		return fmt.Errorf("SO_ATTACH_REUSEPORT_EBPF: %w", errno)
	}
	return nil
}

// socketArray makes the array from which a program selects: place i has shard i's socket,
// whatever the order in which they were opened. The kernel empties a place when its socket
// is closed.
func socketArray(sockets []int32) (*ebpf.Map, error) {
	array, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "holdfast_shards", Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 8,
		MaxEntries: uint32(len(sockets)),
	})
	if err != nil {
		return nil, err
	}
	for i, fd := range sockets {
		if err := array.Put(uint32(i), uint64(fd)); err != nil {
			array.Close()
			return nil, err
		}
	}
	return array, nil
}

// Close gives back what the process holds; what is attached goes on choosing by the loads
// as they are. No shard may write its load any more.
func (s *Steering) Close() {
	if s == nil || s.loads == nil {
		return
	}
	s.words.Unmap()
	s.loads.Close()
	s.loads = nil
}

// explain adds to an error what to do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, sys.EPERM):
		return fmt.Errorf("bpf(2): %w; it takes root, or CAP_BPF and CAP_NET_ADMIN, and a seccomp filter that allows it; "+
			"before Linux 5.11 also a higher RLIMIT_MEMLOCK", sys.EPERM) // the library's text knows the last only
	case errors.Is(err, sys.EINVAL), errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, sys.ENOSYS):
		return fmt.Errorf("%w; it takes Linux 5.8 or newer with BPF", err)
	}
	return err
}
