package main

import (
	"strings"
	"testing"

	"holdfast/bench/peers"
)

// secureScenarios are those that only run when they are named.
var secureScenarios = []string{"tls-hand", "tls-echo", "tls-bulk", "tls-surge", "tls-mem"}

func TestCellsOverTLS(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		for _, c := range s.cells() {
			if seen[c.name] || c.scenario != s.name || len(rowsOf(c)) == 0 {
				t.Errorf("%s: %s of %s, %d rows", s.name, c.name, c.scenario, len(rowsOf(c)))
			}
			seen[c.name] = true
			if overTLS := c.key != ""; overTLS != strings.HasPrefix(s.name, "tls-") && c.name != memPlain {
				t.Errorf("%s: TLS is %v", c.name, overTLS)
			}
		}
	}
	for _, name := range usual() {
		if strings.HasPrefix(name, "tls-") {
			t.Errorf("%s runs without being named", name)
		}
	}
}

func TestWhatTLSAdds(t *testing.T) {
	value := func(v float64) map[string]float64 { return map[string]float64{perUsedTunnel: v} }
	all := []Measurement{
		{Round: 0, Peer: holdfast, Cell: memPlain, Values: value(200)},
		{Round: 0, Peer: holdfast, Cell: memTLS, Values: value(500)},
		{Round: 1, Peer: holdfast, Cell: memTLS, Values: value(900)},
		{Round: 0, Peer: nginx, Cell: memPlain, Values: value(16000)},
		{Round: 0, Peer: nginx, Cell: memTLS, Values: value(40000)},
	}
	compareMemory(all)
	for i, want := range []float64{0, 300, 0, 0, 24000} {
		if got := all[i].Values[addedByTLS]; got != want {
			t.Errorf("measurement %d: %v, want %v", i, got, want)
		}
	}
}

// TestRealToolsOverTLS runs every load over TLS against a peer that is installed.
func TestRealToolsOverTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the load tools")
	}
	t.Chdir("../..")
	contenders, _, err := find([]string{nginx, haproxy}, binaries{})
	if err != nil || len(contenders) == 0 {
		t.Skipf("no peers, %v", err)
	}
	tl, err := buildTools()
	if err != nil {
		t.Fatal(err)
	}
	defer tl.remove()
	d := quickDriver(tl)
	d.scale.Rounds, d.scale.Handshakes, d.scale.SecureTunnels, d.scale.BulkBytes = 1, 50, 50, 5_000_000
	contenders = contenders[:1]
	var cells []cell
	for _, name := range secureScenarios {
		for _, c := range cellsOf(t, name) {
			if name != "tls-surge" && !c.largeBuffers { // a surge is thousands of tunnels
				cells = append(cells, c)
			}
		}
	}
	runs, failures, _ := d.measureAll(cells, contenders, 0)
	if len(failures) != 0 || len(runs) != len(cells)*len(contenders) {
		t.Errorf("%d measurements of %d, failures: %+v", len(runs), len(cells)*len(contenders), failures)
	}
	compareMemory(runs)
	r := Report{Runs: runs, Peers: contenders, Rounds: 1, cells: cells}
	text := r.Markdown()
	for _, want := range []string{"handshakes per second of the proxy's CPU", "GB per second", "what TLS adds", "X25519"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestConfigurationsOverTLS(t *testing.T) {
	for _, kind := range []peers.Kind{peers.Holdfast, peers.Nginx, peers.HAProxy} {
		for key, want := range map[peers.KeyType]bool{"": false, peers.ECDSA: true, peers.RSA: true} {
			var b strings.Builder
			if err := peers.Config(&b, kind, peers.Options{Backends: []string{"127.0.0.1:1"}, Tunnels: 10, Key: key}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(b.String(), " ssl") && strings.Contains(b.String(), "204"); got != want {
				t.Errorf("%s with %q: TLS is %v", kind, key, got)
			}
		}
	}
}
