package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"holdfast/bench/peers"
)

// unsecured take no part in the scenarios over TLS.
var unsecured = []string{direct, floor, splice}

// atOnce is how many connections of a handshake load are under way at a time.
const atOnce = "16"

// handshakeCells are the kinds of handshakes: certificate, version, full or resumed. A
// resumed one has nothing to do with the certificate.
func handshakeCells() []cell {
	var cells []cell
	for _, key := range []peers.KeyType{peers.ECDSA, peers.RSA} {
		for _, version := range []string{"1.3", "1.2"} {
			for _, resume := range []bool{false, true} {
				name := "full-" + string(key) + "-" + version
				if resume {
					name = "resumed-" + version
				}
				if resume && key == peers.RSA {
					continue
				}
				handshake := func(d *driver, s *stage, n int) (outcome, error) {
					r, err := d.tools.load("handshake", "-url", s.url()+"204", "-n", strconv.Itoa(n), "-at-once", atOnce,
						"-tls", version, "-resume="+strconv.FormatBool(resume))
					return outcome{units: r.Count, seconds: r.Seconds, cpu: r.CPUSeconds, latency: &r.Latency}, err
				}
				cells = append(cells, cell{
					name: name, scenario: "tls-hand", key: key, without: unsecured, unit: unit{"1,000 handshakes", 1e3},
					warm: func(d *driver, s *stage) (outcome, error) { return handshake(d, s, 200) },
					run:  func(d *driver, s *stage) (outcome, error) { return handshake(d, s, d.scale.Handshakes) },
				})
			}
		}
	}
	return cells
}

// secureEchoCells are the cells of echo and closed over TLS.
func secureEchoCells() []cell {
	cells := append(echoCells(), closedCells()...)
	for i := range cells {
		c := &cells[i]
		c.name, c.scenario, c.key, c.without = "tls-"+c.name, "tls-echo", peers.ECDSA, unsecured
	}
	return cells
}

// secureBulkCells are the cells of bulk over TLS with frames of 64 KiB and 1 MiB, with
// the peers' own buffers, as Debian ships them, and with large ones.
func secureBulkCells() []cell {
	var cells []cell
	for _, c := range bulkCells() {
		if c.kind != "64k" && c.kind != "1m" {
			continue
		}
		c.name, c.scenario, c.key, c.without = "tls-"+c.name, "tls-bulk", peers.ECDSA, unsecured
		c.largeBuffers = false
		cells = append(cells, c)
		c.name += "-large"
		c.largeBuffers = true
		cells = append(cells, c)
	}
	return cells
}

// The values of a surge, besides the latencies of its parts.
const (
	quietP50   = "echo p50 before"
	quietP99   = "echo p99 before"
	duringP50  = "echo p50 during"
	duringP99  = "echo p99 during"
	lateP99    = "lateness of the load itself during, p99"
	ratioP99   = "echo p99, during by before"
	refused    = "refused"
	surgeTime  = "seconds until the last is open"
	surgeConns = 2000
	surgeRate  = "5000" // messages sent a second
)

func surgeCells() []cell {
	surge := func(d *driver, s *stage, tunnels, newcomers int, duration string) (outcome, error) {
		r, err := d.tools.load("surge", "-url", s.url(), "-conns", strconv.Itoa(tunnels), "-rate", surgeRate, "-d", duration,
			"-n", strconv.Itoa(newcomers))
		g := r.Surge
		if err != nil {
			return outcome{}, err
		}
		return outcome{units: g.Opened, seconds: r.Seconds, cpu: r.CPUSeconds, values: map[string]float64{
			quietP50: g.Quiet.P50, quietP99: g.Quiet.P99, duringP50: g.During.P50, duringP99: g.During.P99,
			lateP99: g.Late.P99, ratioP99: g.During.P99 / max(g.Quiet.P99, 1), refused: g.Refused, surgeTime: g.Seconds,
		}}, nil
	}
	return []cell{{
		name: "tls-surge", scenario: "tls-surge", key: peers.ECDSA, without: unsecured, unit: unit{"1,000 newcomers", 1e3},
		warm: func(d *driver, s *stage) (outcome, error) { return surge(d, s, 100, 100, warmUp) },
		run: func(d *driver, s *stage) (outcome, error) {
			s.backend.goesFirst()
			return surge(d, s, surgeConns, surgeConns, d.seconds())
		},
	}}
}

// The cells of tls-mem.
const (
	memPlain = "mem-plain"
	memTLS   = "mem-tls"
)

// goesFirst gives a backend priority over everything else, where it may: what waits for
// it is no latency of a proxy.
func (b *backend) goesFirst() {
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", b.cmd.Process.Pid))
	for _, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, tid, -10)
		}
	}
}

// messageBytes is what each idle tunnel of tls-mem has carried both ways.
const messageBytes = 16 << 10

// secureMemoryCells hold the same tunnels without and with TLS: what TLS costs is the
// difference.
func secureMemoryCells() []cell {
	var cells []cell
	for _, c := range []struct {
		name string
		key  peers.KeyType
	}{{memPlain, ""}, {memTLS, peers.ECDSA}} {
		cells = append(cells, cell{
			name: c.name, scenario: "tls-mem", key: c.key, hold: true, without: unsecured, unit: unit{"1,000 tunnels", 1e3},
			warm: warmMemory(messageBytes),
			run: func(d *driver, s *stage) (outcome, error) {
				// Handshakes leave more to tidy up than anything else: before as long as after.
				return memory(s, holding{d.scale.SecureTunnels, messageBytes, d.scale.Settle, d.scale.Settle})
			},
		})
	}
	return cells
}

func surgeRows(c cell) []row {
	value := func(name, label, format string, goals ...goal) row {
		return valueRow(c, name, label, format, 1, goals...)
	}
	return []row{
		value(quietP50, quietP50+", µs", "%.0f"), value(quietP99, quietP99+", µs", "%.0f"),
		value(duringP50, duringP50+", µs", "%.0f"), value(duringP99, duringP99+", µs", "%.0f"),
		value(lateP99, lateP99+", µs", "%.0f"),
		value(ratioP99, ratioP99, "%.2f", must(2)),
		value(refused, refused+" of 2,000", "%.0f", must(0)),
		value(surgeTime, surgeTime, "%.2f"),
		{cell: c.name, name: "proxy CPU in all, s", format: "%.3g", of: func(m Measurement) float64 { return m.ProxyCPU }},
	}
}

// secureMemoryRows are those of a cell. What TLS adds stands with the cell that has it.
func secureMemoryRows(c cell) []row {
	rows := memoryRows(c)[:4]
	for i := range rows {
		rows[i].goals = nil
	}
	rows[1].name = "the same after each carried 16 KiB both ways, B"
	if c.name != memTLS {
		return rows
	}
	return append(rows, row{
		cell: memTLS, name: "what TLS adds to a tunnel that carried 16 KiB both ways, B", format: "%.0f",
		goals: []goal{must(1024), aim(256)}, key: true,
		of: func(m Measurement) float64 {
			if v, ok := m.Values[addedByTLS]; ok {
				return v
			}
			return noValue
		},
	})
}

// addedByTLS is filled in when both cells of a round were measured.
const addedByTLS = "bytes that TLS adds to a used tunnel"

// compareMemory computes what TLS adds, peer by peer and round by round.
func compareMemory(all []Measurement) {
	type who struct {
		peer  string
		round int
	}
	without := map[who]float64{}
	for _, m := range all {
		if m.Cell == memPlain {
			without[who{m.Peer, m.Round}] = m.Values[perUsedTunnel]
		}
	}
	for _, m := range all {
		if v, ok := without[who{m.Peer, m.Round}]; ok && m.Cell == memTLS {
			m.Values[addedByTLS] = m.Values[perUsedTunnel] - v
		}
	}
}

// secureText says how the scenarios over TLS were measured; nothing without any.
func (r *Report) secureText() string {
	for _, c := range r.cells {
		if c.key != "" {
			return "Over TLS: everybody has the same kind of self-signed certificate, TLS 1.3 with AES-128-GCM but where 1.2 is " +
				"named, X25519, and session tickets. The client shakes hands with crypto/tls, which takes about as much CPU as " +
				"the proxy: of handshakes, those per second of the proxy's CPU count. In the surge the new connections' client " +
				"runs at nice 10, in a process of its own, and the echoes and the backend at nice -10; where the load itself is " +
				"late, the latencies are too. " +
				"The proxy's memory over TLS is beside that without in the same round.\n\n"
		}
	}
	return ""
}
