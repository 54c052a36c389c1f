package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"holdfast/bench/peers"
	"holdfast/bench/sample"
)

// Measurement is one peer under one load in one round.
type Measurement struct {
	Round int
	Peer  string
	Cell  string
	// Units is how much was done, in the cell's unit: messages, connections, bytes,
	// requests, tunnels. Seconds is how long it took by the load's clock.
	Units, Seconds float64
	// CPU seconds during the load: of the proxy's processes, of the backend, of the
	// load tool, of the kernel's threads, and of the whole machine. What is in none of
	// the first four is other programs, and interrupts while nothing ran.
	ProxyCPU, BackendCPU, LoadCPU, KernelCPU, MachineCPU float64
	// Elapsed is the time between the two looks at the machine, in seconds.
	Elapsed float64
	// PSS is the proxy's memory after the load, in bytes.
	PSS     int64
	Latency *Latency `json:",omitempty"`
	// Values are the figures of a cell that is no stream of units.
	Values map[string]float64 `json:",omitempty"`
	// Machine is what changed in the kernel: sockets, slabs, softirqs.
	Machine   sample.Machine
	Histogram [][2]float64 `json:",omitempty"`
}

// Failure is a measurement that could not be made.
type Failure struct {
	Round      int
	Peer, Cell string
	Error      string
}

// other is what went to other programs, in CPU seconds.
func (m Measurement) other() float64 {
	return m.MachineCPU - m.ProxyCPU - m.BackendCPU - m.LoadCPU - m.KernelCPU
}

// share is the part of the machine's time that so many CPU seconds are.
func (m Measurement) share(seconds float64) float64 {
	return seconds / (m.Elapsed * float64(runtime.NumCPU()))
}

// outcome is what a load reports.
type outcome struct {
	units, seconds, cpu float64
	latency             *Latency
	histogram           [][2]float64
	values              map[string]float64
}

// driver runs cells.
type driver struct {
	tools *tools
	scale scale
	step  func(text string, done bool) // shows progress
	stop  func() bool                  // somebody wants it to end
}

// measureAll measures every contender in every cell, round by round. What fails is
// listed and the rest goes on. A round that would end after the limit is not begun,
// but for the first. It returns how many rounds are complete.
func (d *driver) measureAll(cells []cell, c []Contender, limit time.Duration) ([]Measurement, []Failure, int) {
	var all []Measurement
	var failures []Failure
	began := time.Now()
	var last time.Duration // what a round without memory takes
	round := 0
	for ; round < d.scale.Rounds; round++ {
		start := time.Now()
		if expected := last + d.scale.holding(cells, round, len(c)); limit > 0 && round > 0 &&
			time.Since(began)+expected > limit {
			break
		}
		for i, cell := range cells {
			if cell.hold && round >= d.scale.HoldRounds {
				continue
			}
			for _, who := range rotate(cell.who(c), round+i) {
				d.step(fmt.Sprintf("round %d of %d: %s, %s", round+1, d.scale.Rounds, cell.name, who.Name), false)
				m, err := d.measure(cell, who)
				d.step("", true)
				if d.stop() {
					return all, failures, round
				}
				if err != nil {
					failures = append(failures, Failure{Round: round, Peer: who.Name, Cell: cell.name, Error: err.Error()})
					continue
				}
				m.Round = round
				all = append(all, m)
			}
		}
		last = time.Since(start) - d.scale.holding(cells, round, len(c))
	}
	return all, failures, round
}

// holding is how long the cells that hold tunnels wait in a round.
func (s scale) holding(cells []cell, round, contenders int) time.Duration {
	count := 0
	for _, c := range cells {
		if c.hold && round < s.HoldRounds {
			count += contenders
		}
	}
	return time.Duration(float64(count) * (s.before() + 2*s.Settle) * float64(time.Second))
}

// who are the contenders that take part in a cell.
func (c cell) who(all []Contender) []Contender {
	var who []Contender
	for _, x := range all {
		if !slices.Contains(c.without, x.Name) {
			who = append(who, x)
		}
	}
	return who
}

// measure starts everything anew, warms it up, and measures once.
func (d *driver) measure(c cell, who Contender) (Measurement, error) {
	m := Measurement{Peer: who.Name, Cell: c.name}
	s, err := setUp(d.tools, who, peers.Options{
		Tunnels: max(d.scale.Tunnels, 1000), LargeBuffers: c.largeBuffers, AnyUpgrade: c.anyUpgrade, Key: c.key,
	})
	if err != nil {
		return m, err
	}
	defer s.tearDown()
	if c.warm != nil {
		if _, err := c.warm(d, s); err != nil {
			return m, fmt.Errorf("warming up: %w", err)
		}
	}
	before, err := s.look()
	if err != nil {
		return m, err
	}
	out, err := c.run(d, s)
	if err != nil {
		return m, err
	}
	after, err := s.look()
	if err != nil {
		return m, err
	}
	m.Units, m.Seconds, m.LoadCPU, m.Latency = out.units, out.seconds, out.cpu, out.latency
	m.Histogram, m.Values = out.histogram, out.values
	m.ProxyCPU = (after.proxy - before.proxy).Seconds()
	m.BackendCPU = (after.backend - before.backend).Seconds()
	m.KernelCPU = (after.kernel - before.kernel).Seconds()
	m.Machine = after.machine.Since(before.machine)
	m.MachineCPU, m.Elapsed = m.Machine.CPU.Seconds(), m.Machine.Elapsed.Seconds()
	m.PSS, err = s.pss()
	return m, err
}
