package main

import (
	"context"
	"fmt"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/sample"
)

// The values of the cell memory, in bytes.
const (
	perTunnel      = "bytes per idle tunnel"
	perUsedTunnel  = "bytes per idle tunnel that carried a message"
	pssEmpty       = "PSS before"
	pssFull        = "PSS with the tunnels"
	slabsPerTunnel = "socket slabs per tunnel, machine"
	slabPerTunnel  = "unreclaimable slab per tunnel, machine"
)

func memoryCells() []cell {
	return []cell{{
		name: "memory", scenario: "memory", hold: true, without: plain, unit: unit{"1,000 tunnels", 1e3}, warm: warmMemory(64),
		run: func(d *driver, s *stage) (outcome, error) {
			return memory(s, holding{d.scale.Tunnels, 64, d.scale.before(), d.scale.Settle})
		},
	}}
}

// warmMemory lets a proxy touch what it needs only once.
func warmMemory(size int) run {
	return func(_ *driver, s *stage) (outcome, error) {
		tunnels, err := load.OpenMany(context.Background(), s.target(), 0, 64, 32)
		defer load.CloseAll(tunnels)
		if err != nil {
			return outcome{}, err
		}
		_, err = load.EchoOn(tunnels, 1, size)
		return outcome{}, err
	}
}

// before is how long a proxy settles after warming up, in seconds. If that is too short,
// it looks leaner than it is, which absolute PSS would show.
func (s scale) before() float64 { return min(s.Settle, 3) }

// held is the memory at one moment.
type held struct {
	pss     int64
	machine sample.Machine
}

// settled waits until everybody has tidied up, and looks.
func settled(s *stage, seconds float64) (h held, err error) {
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	if h.pss, err = s.pss(); err != nil {
		return h, err
	}
	h.machine, err = sample.Read()
	return h, err
}

// holding says how many tunnels are held, the bytes of the message that each carries, and
// how many seconds the proxy settles before and after they are opened.
type holding struct {
	tunnels, size int
	before, after float64
}

// memory opens idle tunnels and looks before, with them, and after each has carried a
// message.
func memory(s *stage, h holding) (outcome, error) {
	n := h.tunnels
	before, err := settled(s, h.before)
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	tunnels, err := load.OpenMany(context.Background(), s.target(), 0, n, 64)
	defer load.CloseAll(tunnels)
	if err != nil {
		return outcome{}, err
	}
	opened := time.Since(began).Seconds()
	idle, err := settled(s, h.after)
	if err != nil {
		return outcome{}, err
	}
	if dead, err := load.CountDead(tunnels); dead > 0 {
		return outcome{}, fmt.Errorf("%d idle tunnels ended: %w", dead, err)
	}
	if _, err := load.EchoOn(tunnels, 1, h.size); err != nil {
		return outcome{}, err
	}
	used, err := settled(s, h.after)
	each := func(bytes int64) float64 { return float64(bytes) / float64(n) }
	grown := idle.machine.Since(before.machine)
	values := map[string]float64{
		slabsPerTunnel: each(grown.SocketSlabs),
		slabPerTunnel:  each(grown.SUnreclaim),
	}
	if s.peer != nil {
		values[perTunnel] = each(idle.pss - before.pss)
		values[perUsedTunnel] = each(used.pss - before.pss)
		values[pssEmpty], values[pssFull] = float64(before.pss), float64(used.pss)
	}
	return outcome{units: float64(n), seconds: opened, values: values}, err
}

func (s *stage) target() load.Target {
	return load.Target{Address: s.address, Path: "/", Secure: s.secure}
}
