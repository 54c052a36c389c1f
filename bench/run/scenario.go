package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/bench/peers"
)

// scale is how much a run does.
type scale struct {
	Rounds      int
	Seconds     float64 // of each load that runs for a time
	Rate        float64 // messages a second at the fixed rate; an echo is two
	Connections int     // of the storm
	Tunnels     int     // idle
	Settle      float64 // seconds before memory is read
	HoldRounds  int     // rounds in which memory is measured; it hardly varies
	BulkBytes   int64   // of each bulk transfer
	Handshakes  int     // of each kind
	// SecureTunnels are those of tls-mem.
	SecureTunnels int
}

// The two scales. A storm stays below the 28,000 ports that one address has towards one
// backend. Memory settles for as long as holdfast needs to tidy up.
var (
	fullScale = scale{Rounds: 5, Seconds: 5, Rate: 20_000, Connections: 10_000, Tunnels: 9_000, Settle: 15, HoldRounds: 100,
		BulkBytes: 3e9, Handshakes: 5_000, SecureTunnels: 4_000}
	quickScale = scale{Rounds: 3, Seconds: 2, Rate: 20_000, Connections: 3_000, Tunnels: 9_000, Settle: 4, HoldRounds: 1,
		BulkBytes: 1e9, Handshakes: 1_000, SecureTunnels: 4_000}
)

// warmUp is how long a proxy works before it is measured.
const warmUp = "500ms"

// run makes one load on a stage.
type run func(*driver, *stage) (outcome, error)

// cell is one load with one configuration of the peers: what is measured at a time.
type cell struct {
	name, scenario string
	kind           string // of a bulk transfer
	largeBuffers   bool
	hold           bool          // is measured in HoldRounds only, and waits for memory to settle
	anyUpgrade     bool          // also to other protocols than WebSocket
	key            peers.KeyType // of the proxy's certificate; "" without TLS
	without        []string      // peers that take no part
	warm, run      run
	unit           unit
}

// unit is what a cell's costs are counted in.
type unit struct {
	name string  // as in "proxy CPU per million messages"
	size float64 // how many of what outcome.units counts
}

var (
	millionMessages  = unit{"million messages", 1e6}
	thousandConnects = unit{"1,000 connections", 1e3}
	gigabyte         = unit{"GB", 1e9}
	lakhRequests     = unit{"100,000 requests", 1e5}
	lakhExchanges    = unit{"100,000 requests and echoes", 1e5}
)

// scenario is a group of cells with a question that they answer.
type scenario struct {
	name, about string
	missing     func() error // why it cannot run here
	cells       func() []cell
	asked       bool // is measured only when it is named
}

// scenarios are all there are, in the order in which they run and are reported.
var scenarios = []scenario{
	{"echo", "64 B messages at a fixed rate on 50 connections, open loop: what a message costs when the " +
		"machine is not full, and how long it takes, counted from when it was due", nil, echoCells, false},
	{"closed", "64 B messages in a closed loop, as fast as they come back: throughput, and what a message " +
		"costs then", nil, closedCells, false},
	{"storm", "connect, upgrade, echo once, close, 64 at a time", nil, stormCells, false},
	{"bulk", "16 tunnels, one direction, as fast as it goes; nginx and HAProxy with buffers of 64 KiB", nil, bulkCells, false},
	{"http", "plain requests with a body of 128 B by wrk, 64 connections", wrkMissing, httpCells, false},
	{"memory", "idle tunnels: the proxy's memory and the kernel's", nil, memoryCells, false},
	{"k6", "HTTP requests and WebSocket sessions mixed, by k6", k6Missing, k6Cells, false},
	{"tls-hand", "full and resumed handshakes, 16 at a time, each with a GET that the proxy answers itself; X25519, " +
		"an ECDSA P-256 or an RSA 2048 certificate", nil, handshakeCells, true},
	{"tls-echo", "the scenario echo over wss: TLS 1.3, AES-128-GCM", nil, secureEchoCells, true},
	{"tls-bulk", "the scenario bulk over wss, with the peers' own buffers and with 64 KiB", nil, secureBulkCells, true},
	{"tls-surge", "2,000 tunnels echo over wss, and 2,000 more are opened at once, whose client side stands back", nil, surgeCells, true},
	{"tls-mem", "idle tunnels, plain and wss: the proxy's memory, also after each has carried 16 KiB both ways", nil,
		secureMemoryCells, true},
}

// chosen are the scenarios of a list of names; missing are those that cannot run here.
func chosen(names []string) (found []scenario, missing []Missing, err error) {
	for _, name := range names {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return nil, nil, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	for _, s := range scenarios {
		if !slices.Contains(names, s.name) {
			continue
		}
		if s.missing != nil {
			if err := s.missing(); err != nil {
				missing = append(missing, Missing{Name: s.name, Reason: err.Error()})
				continue
			}
		}
		found = append(found, s)
	}
	return found, missing, nil
}

// usual are the scenarios that are measured unless others are named.
func usual() []string {
	var names []string
	for _, s := range scenarios {
		if !s.asked {
			names = append(names, s.name)
		}
	}
	return names
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// plain are the peers' ordinary configurations, where splice changes nothing.
var plain = []string{splice}

func echoCells() []cell {
	return []cell{{
		name: "echo", scenario: "echo", without: plain, unit: millionMessages, warm: warmEcho,
		run: func(d *driver, s *stage) (outcome, error) {
			// loadgen's rate is that of the messages it sends; each comes back as another.
			r, err := d.tools.load("echo", "-url", s.url(), "-conns", "50", "-size", "64",
				"-rate", number(d.scale.Rate/2), "-d", d.seconds())
			o, err := messages(r, err)
			o.histogram = r.Histogram
			return o, err
		},
	}}
}

func closedCells() []cell {
	var cells []cell
	for _, connections := range []string{"200", "50"} {
		cells = append(cells, cell{
			name: "closed-" + connections, scenario: "closed", without: plain, unit: millionMessages, warm: warmEcho,
			run: func(d *driver, s *stage) (outcome, error) {
				return messages(d.tools.load("echo", "-url", s.url(), "-conns", connections, "-size", "64",
					"-rate", "0", "-d", d.seconds()))
			},
		})
	}
	return cells
}

func stormCells() []cell {
	storm := func(t *tools, s *stage, n int) (outcome, error) {
		r, err := t.load("storm", "-url", s.url(), "-n", strconv.Itoa(n), "-at-once", "64")
		return outcome{units: r.Count, seconds: r.Seconds, cpu: r.CPUSeconds, latency: &r.Latency}, err
	}
	return []cell{{
		name: "storm", scenario: "storm", without: plain, unit: thousandConnects,
		warm: func(d *driver, s *stage) (outcome, error) { return storm(d.tools, s, 500) },
		run:  func(d *driver, s *stage) (outcome, error) { return storm(d.tools, s, d.scale.Connections) },
	}}
}

// bulkKinds are the ways to cut a bulk transfer into messages. Raw is an upgrade to
// another protocol than WebSocket, without frames.
var bulkKinds = []struct {
	name, frame string
	raw         bool
}{
	{"4k", "4096", false}, {"64k", "65536", false}, {"1m", "1048576", false}, {"raw", "65536", true},
}

func bulkCells() []cell {
	var cells []cell
	for _, dir := range []string{"down", "up"} {
		for _, kind := range bulkKinds {
			bulk := func(d *driver, s *stage, bytes int64) (outcome, error) {
				r, err := d.tools.load("bulk", "-url", s.url(), "-conns", "16", "-frame", kind.frame,
					"-raw="+strconv.FormatBool(kind.raw), "-dir", dir, "-bytes", strconv.FormatInt(bytes, 10))
				return outcome{units: r.Bytes, seconds: r.Seconds, cpu: r.CPUSeconds}, err
			}
			cells = append(cells, cell{
				name: "bulk-" + dir + "-" + kind.name, kind: kind.name, scenario: "bulk", largeBuffers: true, anyUpgrade: kind.raw, unit: gigabyte,
				warm: func(d *driver, s *stage) (outcome, error) { return bulk(d, s, d.scale.BulkBytes/10) },
				run:  func(d *driver, s *stage) (outcome, error) { return bulk(d, s, d.scale.BulkBytes) },
			})
		}
	}
	return cells
}

// warmEcho is a short closed loop on many connections: it touches what an echo touches.
func warmEcho(d *driver, s *stage) (outcome, error) {
	return messages(d.tools.load("echo", "-url", s.url(), "-conns", "200", "-size", "64", "-rate", "0", "-d", warmUp))
}

// messages turns echoes into messages: each is two.
func messages(r LoadResult, err error) (outcome, error) {
	return outcome{units: 2 * r.Count, seconds: r.Seconds, cpu: r.CPUSeconds, latency: &r.Latency}, err
}

func (s *stage) url() string {
	if s.secure {
		return "wss://" + s.address + "/"
	}
	return "ws://" + s.address + "/"
}

// seconds is the duration of a timed load as loadgen wants it.
func (d *driver) seconds() string {
	return time.Duration(d.scale.Seconds * float64(time.Second)).String()
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
