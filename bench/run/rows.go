package main

import (
	"fmt"
	"slices"
)

// row is one line of the report: a figure of every measurement of a cell.
type row struct {
	cell, name, format string
	of                 func(Measurement) float64 // missing if there is none
	higher             bool                      // better
	goals              []goal                    // of holdfast
	key                bool                      // goes into the plots
}

// goal is what holdfast's median must reach beside the best of others, or, if there are
// none, by itself.
type goal struct {
	aim    bool     // not a must
	than   []string // peers
	factor float64
}

var bothPeers = []string{nginx, haproxy}

// rowsOf are the rows of a cell.
func rowsOf(c cell) []row {
	switch c.scenario {
	case "echo":
		sent := rateRow(c, "echoes/s", 2, "%.0f")
		sent.key = false // it is given
		return []row{
			cpuRow(c, must(.95, nginx), aim(.8, nginx), aim(1.1, floor)),
			latencyRow(c, "p50", func(l Latency) float64 { return l.P50 }, must(1, bothPeers...)),
			latencyRow(c, "p99", func(l Latency) float64 { return l.P99 }),
			sent, machineRow(c),
		}
	case "closed":
		return []row{
			rateRow(c, "messages/s", 1, "%.0f", must(1.1, bothPeers...), aim(1.2, bothPeers...)),
			cpuRow(c, must(.95, bothPeers...), aim(.85, bothPeers...)),
			latencyRow(c, "p50", func(l Latency) float64 { return l.P50 }),
			machineRow(c),
		}
	case "storm":
		return []row{
			rateRow(c, "connections/s", 1, "%.0f", must(1.15, nginx)),
			cpuRow(c, must(.8, nginx), aim(.65, nginx)),
			machineRow(c),
		}
	case "bulk":
		return []row{
			cpuRow(c, must(1, nginx, haproxy, splice), aim(.85, nginx, haproxy, splice)),
			rateRow(c, "GB/s", 1e9, "%.2f", must(.75, direct)),
			machineRow(c),
		}
	case "http":
		return []row{
			rateRow(c, "requests/s", 1, "%.0f", must(1.1, bothPeers...)),
			cpuRow(c, must(.95, bothPeers...)),
			machineRow(c),
		}
	case "memory":
		return memoryRows(c)
	case "tls-hand":
		return []row{
			rateRow(c, "handshakes/s", 1, "%.0f"),
			{cell: c.name, name: "handshakes per second of the proxy's CPU", format: "%.0f", higher: true,
				of: func(m Measurement) float64 { return m.Units / m.ProxyCPU }},
			cpuRow(c),
			machineRow(c),
		}
	case "tls-echo":
		return []row{rateRow(c, "messages/s", 1, "%.0f"), cpuRow(c), machineRow(c),
			latencyRow(c, "p50", func(l Latency) float64 { return l.P50 }),
			latencyRow(c, "p99", func(l Latency) float64 { return l.P99 })}
	case "tls-bulk":
		return []row{cpuRow(c),
			{cell: c.name, name: "GB per second of the proxy's CPU", format: "%.2f", higher: true,
				of: func(m Measurement) float64 { return m.Units / m.ProxyCPU / 1e9 }},
			rateRow(c, "GB/s", 1e9, "%.2f"), machineRow(c)}
	case "tls-surge":
		return surgeRows(c)
	case "tls-mem":
		return secureMemoryRows(c)
	case "k6":
		requests := valueRow(c, k6Requests, "HTTP requests/s", "%.0f", 1)
		echoes := valueRow(c, k6Echoes, "WebSocket echoes/s", "%.0f", 1)
		requests.higher, echoes.higher = true, true
		return []row{requests, echoes, cpuRow(c), latencyRow(c, "HTTP p50", func(l Latency) float64 { return l.P50 })}
	}
	return nil
}

func must(factor float64, than ...string) goal { return goal{than: than, factor: factor} }
func aim(factor float64, than ...string) goal  { return goal{aim: true, than: than, factor: factor} }

func cpuRow(c cell, goals ...goal) row {
	return row{cell: c.name, name: "proxy CPU per " + c.unit.name + ", s", format: "%.3g", goals: goals, key: true,
		of: func(m Measurement) float64 {
			if m.Peer == direct {
				return noValue
			}
			return m.ProxyCPU / m.Units * c.unit.size
		}}
}

// machineRow is the CPU time of everything: load, backend, proxy, and whatever else ran.
func machineRow(c cell) row {
	return row{cell: c.name, name: "CPU of the whole machine per " + c.unit.name + ", s", format: "%.3g",
		of: func(m Measurement) float64 { return m.MachineCPU / m.Units * c.unit.size }}
}

// rateRow is how many units a second, divided.
func rateRow(c cell, name string, by float64, format string, goals ...goal) row {
	return row{cell: c.name, name: name, format: format, higher: true, goals: goals, key: true,
		of: func(m Measurement) float64 { return m.Units / m.Seconds / by }}
}

func latencyRow(c cell, name string, of func(Latency) float64, goals ...goal) row {
	return row{cell: c.name, name: name + ", µs", format: "%.0f", goals: goals,
		of: func(m Measurement) float64 {
			if m.Latency == nil {
				return noValue
			}
			return of(*m.Latency)
		}}
}

// valueRow is one of a measurement's own values, divided.
func valueRow(c cell, name, label, format string, by float64, goals ...goal) row {
	return row{cell: c.name, name: label, format: format, goals: goals, of: func(m Measurement) float64 {
		if v, ok := m.Values[name]; ok {
			return v / by
		}
		return noValue
	}}
}

func memoryRows(c cell) []row {
	value := func(name, label, format string, by float64, goals ...goal) row {
		return valueRow(c, name, label, format, by, goals...)
	}
	idle := value(perTunnel, "user memory per idle tunnel, B", "%.0f", 1, must(300), aim(200))
	used := value(perUsedTunnel, "the same after each carried a message, B", "%.0f", 1, must(300), aim(200))
	idle.key, used.key = true, true
	return []row{idle, used,
		value(pssEmpty, "PSS before, MiB", "%.1f", 1<<20),
		value(pssFull, "PSS with the tunnels, MiB", "%.1f", 1<<20),
		value(slabsPerTunnel, "kernel: sockets, files and epoll per tunnel, all programs, B", "%.0f", 1),
		value(slabPerTunnel, "kernel: unreclaimable slab per tunnel, all programs, B", "%.0f", 1),
	}
}

// series are the values of a row by peer and round; missing where there is none.
type series map[string][]float64

// gather reads a row out of the measurements.
func gather(r row, all []Measurement, rounds int) series {
	s := series{}
	for _, m := range all {
		if m.Cell != r.cell || m.Round >= rounds {
			continue
		}
		if s[m.Peer] == nil {
			s[m.Peer] = slices.Repeat([]float64{noValue}, rounds)
		}
		s[m.Peer][m.Round] = r.of(m)
	}
	return s
}

// spread summarises a peer's rounds.
func (s series) spread(peer string) (Spread, bool) { return spread(present(s[peer])) }

// ratios are a peer's values divided by another's of the same round.
func (s series) ratios(peer, by string) []float64 {
	var ratios []float64
	for i, v := range s[peer] {
		if i < len(s[by]) && s[by][i] != 0 {
			ratios = append(ratios, v/s[by][i])
		}
	}
	return present(ratios)
}

// present are the values that were measured.
func present(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !has(v) })
}

// Verdict is how holdfast stands to a goal.
type Verdict struct {
	Cell, Row string
	Aim       bool
	Goal      string // as text
	// Ours and Theirs are medians; Than is the peer that was the best, "" for a goal
	// without peers.
	Ours, Theirs float64
	Than         string
	// Ratio is Ours divided by Theirs; Rounds are the least and the greatest ratio of a
	// single round.
	Ratio  float64
	Rounds [2]float64
	Result string // PASS, miss, or why there is none
	than   []string
}

// judge compares holdfast's median with a goal.
func judge(r row, g goal, s series) Verdict {
	v := Verdict{Cell: r.cell, Row: r.name, Aim: g.aim, Goal: g.text(r), Result: "not measured", than: g.than}
	ours, ok := s.spread(holdfast)
	if !ok {
		return v
	}
	v.Ours = ours.Median
	if len(g.than) == 0 {
		v.Theirs = g.factor
		if g.factor > 0 {
			v.Ratio, v.Rounds = ours.Median/g.factor, [2]float64{ours.Min / g.factor, ours.Max / g.factor}
		}
		v.Result = passed(r.higher, ours.Median, g.factor)
		return v
	}
	for _, peer := range g.than {
		theirs, ok := s.spread(peer)
		if !ok || theirs.Median == 0 {
			continue
		}
		if v.Than == "" || r.higher == (theirs.Median > v.Theirs) {
			v.Than, v.Theirs = peer, theirs.Median
		}
	}
	if v.Than == "" {
		return v
	}
	v.Ratio = v.Ours / v.Theirs
	if each, ok := spread(s.ratios(holdfast, v.Than)); ok {
		v.Rounds = [2]float64{each.Min, each.Max}
	}
	v.Result = passed(r.higher, v.Ratio, g.factor)
	return v
}

func passed(higher bool, value, limit float64) string {
	if higher && value >= limit || !higher && value <= limit {
		return "PASS"
	}
	return "miss"
}

// text is a goal in words: "≤ 0.95 × nginx".
func (g goal) text(r row) string {
	sign := "≤"
	if r.higher {
		sign = "≥"
	}
	switch len(g.than) {
	case 0:
		return fmt.Sprintf("%s %g", sign, g.factor)
	case 1:
		return fmt.Sprintf("%s %g × %s", sign, g.factor, g.than[0])
	}
	return fmt.Sprintf("%s %g × the best peer", sign, g.factor)
}
