package main

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/bench/sample"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cellsOf are the cells of one scenario.
func cellsOf(t *testing.T, name string) []cell {
	t.Helper()
	found, missing, err := chosen([]string{name})
	if err != nil || len(found)+len(missing) != 1 {
		t.Fatalf("%v, %v, %v", found, missing, err)
	}
	if len(found) == 0 {
		t.Skipf("%v", missing)
	}
	return found[0].cells()
}

// sampleReport has round figures: holdfast costs 10 s per million messages, nginx 12,
// the floor 8; in the second round everything takes a tenth more.
func sampleReport(t *testing.T) *Report {
	t.Helper()
	r := &Report{
		Machine: Machine{CPU: "A CPU", Cores: 2, Kernel: "6.1", Arch: "amd64", Go: "go1"}, Commit: "abc",
		Command: "go run ./bench/run -rounds 2", Scale: quickScale, Rounds: 2,
		Peers: []Contender{{Name: direct, Version: "no proxy"}, {Name: floor}, {Name: holdfast, Version: "holdfast/1"},
			{Name: nginx, Version: "nginx/1"}},
		Missing:  []Missing{{Name: haproxy, Reason: "not on PATH"}},
		Failures: []Failure{{Round: 1, Peer: nginx, Cell: "storm", Error: "it\nbroke"}},
		cells:    append(cellsOf(t, "echo"), cellsOf(t, "memory")...),
	}
	for peer, cpu := range map[string]float64{direct: 0, floor: 8, holdfast: 10, nginx: 12} {
		for round := range 2 {
			slow := 1 + float64(round)/10
			r.Runs = append(r.Runs, Measurement{
				Round: round, Peer: peer, Cell: "echo", Units: 1e5, Seconds: 5, Elapsed: 5,
				ProxyCPU: cpu / 10 * slow, BackendCPU: .5, LoadCPU: .5, MachineCPU: cpu/10*slow + 1.2,
				Machine: sample.Machine{Source: "cpuacct"}, KernelCPU: .1,
				Latency: &Latency{P50: cpu*10 + 40, P99: 900}, Histogram: [][2]float64{{.5, 100}, {.99, 900}},
			})
			m := Measurement{Round: round, Peer: peer, Cell: "memory", Units: 1000, Seconds: 1, Elapsed: 40,
				Values: map[string]float64{slabsPerTunnel: 8000}}
			if peer != direct {
				m.Values[perTunnel], m.Values[perUsedTunnel] = cpu*25, cpu*31
				m.Values[pssEmpty], m.Values[pssFull] = 1<<24, 1<<25
			}
			r.Runs = append(r.Runs, m)
		}
	}
	r.verdicts()
	return r
}

func TestMarkdown(t *testing.T) {
	got := sampleReport(t).Markdown()
	path := filepath.Join("testdata", "report.md")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report differs from %s; run with -update if it should:\n%s", path, got)
	}
}

func TestWriteIsReadBack(t *testing.T) {
	dir := t.TempDir()
	r := sampleReport(t)
	if err := r.write(dir, "peers"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "peers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Runs) != len(r.Runs) || back.Commit != "abc" || len(back.Verdicts) != len(r.Verdicts) {
		t.Errorf("%+v", back)
	}
	for _, name := range []string{"peers.md", "peers-ratios.svg", "peers-latency.svg"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "peers-bulk.svg")); err == nil {
		t.Error("a plot of what was not measured")
	}
}

func TestJudge(t *testing.T) {
	lower := row{cell: "c", name: "cost"}
	higher := row{cell: "c", name: "rate", higher: true}
	s := series{
		holdfast: {9, 10, 11},
		nginx:    {12, 10, 11},
		haproxy:  {20, noValue, 20},
		floor:    {noValue, noValue, noValue},
	}
	for _, c := range []struct {
		name   string
		row    row
		goal   goal
		result string
		than   string
		ratio  float64
	}{
		{"the better of both is the cheaper", lower, must(.95, bothPeers...), "PASS", nginx, 10. / 11},
		{"just missed", lower, must(.9, bothPeers...), "miss", nginx, 10. / 11},
		{"the better of both is the faster", higher, must(.5, bothPeers...), "PASS", haproxy, .5},
		{"too slow", higher, must(.51, bothPeers...), "miss", haproxy, .5},
		{"a bound that is reached passes", higher, must(.5, haproxy), "PASS", haproxy, .5},
		{"absolute", lower, must(10), "PASS", "", 1},
		{"absolute and missed", lower, must(9.9), "miss", "", 10 / 9.9},
		{"a peer without values", lower, must(1, floor), "not measured", "", 0},
		{"nobody there", lower, must(1, direct), "not measured", "", 0},
	} {
		v := judge(c.row, c.goal, s)
		if v.Result != c.result || v.Than != c.than || math.Abs(v.Ratio-c.ratio) > 1e-9 {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	if v := judge(lower, must(1, nginx), s); v.Rounds != [2]float64{.75, 1} {
		t.Errorf("the rounds' ratios are %v", v.Rounds)
	}
	if v := judge(lower, must(1, nginx), series{nginx: {1}}); v.Result != "not measured" {
		t.Errorf("without holdfast: %+v", v)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{4, 1}, Spread{2.5, 1, 4}},
		{[]float64{5, 1, 3}, Spread{3, 1, 5}},
	} {
		if got, ok := spread(c.values); !ok || got != c.want {
			t.Errorf("%v: %v, %v", c.values, got, ok)
		}
	}
	if _, ok := spread(nil); ok {
		t.Error("a median of nothing")
	}
}

func TestGatherLeavesOutTheRoundThatIsNotComplete(t *testing.T) {
	r := row{cell: "echo", of: func(m Measurement) float64 { return m.Units }}
	s := gather(r, []Measurement{
		{Cell: "echo", Peer: nginx, Units: 1}, {Cell: "echo", Peer: nginx, Round: 2, Units: 9},
		{Cell: "storm", Peer: nginx, Round: 1, Units: 9},
	}, 2)
	if got, _ := s.spread(nginx); len(s[nginx]) != 2 || got != (Spread{1, 1, 1}) {
		t.Errorf("%v", s)
	}
}

func TestEveryCellHasRowsAndEveryGoalAPeer(t *testing.T) {
	for _, s := range scenarios {
		for _, c := range s.cells() {
			rows := rowsOf(c)
			if len(rows) == 0 {
				t.Errorf("%s has no row", c.name)
			}
			for _, row := range rows {
				for _, g := range row.goals {
					for _, name := range g.than {
						if len(c.who([]Contender{{Name: name}})) == 0 {
							t.Errorf("%s: a goal compares with %s, which takes no part", c.name, name)
						}
					}
				}
			}
		}
	}
}

func TestRotateGivesEverybodyEachPlace(t *testing.T) {
	all := []Contender{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	var first strings.Builder
	for i := range 3 {
		first.WriteString(rotate(all, i)[0].Name)
	}
	if first.String() != "abc" || rotate(nil, 3) != nil || len(rotate(all, 7)) != 3 {
		t.Error(first.String())
	}
}

func TestCommandHidesPathsOfThisMachine(t *testing.T) {
	got := command([]string{"-base", "/tmp/x/holdfast", "-bin=/tmp/y/other", "-write", "bench/results"})
	if want := "go run ./bench/run -base holdfast -bin=other -write bench/results"; got != want {
		t.Error(got)
	}
}

func TestFlags(t *testing.T) {
	o, err := parseFlags([]string{"-quick", "-rounds", "2"})
	if err != nil || o.scale.Rounds != 2 || o.scale.Tunnels != quickScale.Tunnels || strings.Contains(o.scenarios, "bulk") {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseFlags(nil); err != nil || o.scale != fullScale || !strings.Contains(o.scenarios, "bulk") {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-rounds", "0"}, {"what"}} {
		if _, err := parseFlags(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, _, err := chosen([]string{"echo", "nothing"}); err == nil {
		t.Error("an unknown scenario was accepted")
	}
	if _, _, err := find([]string{"caddy"}, binaries{}); err == nil {
		t.Error("an unknown peer was accepted")
	}
}

func TestBesideBaseSaysWhereAllRoundsAgree(t *testing.T) {
	r := &Report{Peers: []Contender{{Name: holdfast}, {Name: base}}, Rounds: 3, cells: cellsOf(t, "storm")}
	for round := range 3 {
		for peer, cpu := range map[string]float64{base: 2, holdfast: 1} {
			seconds := 1.
			if peer == holdfast && round > 0 {
				seconds = 2
			}
			r.Runs = append(r.Runs, Measurement{Round: round, Peer: peer, Cell: "storm", Units: 1000, Seconds: seconds,
				ProxyCPU: cpu, MachineCPU: 4 - cpu, Elapsed: 1})
		}
	}
	text := r.Markdown()
	for _, want := range []string{
		"| storm: connections/s | 1000 | 500 | 0.50 (0.50–1.00) |  |",
		"| storm: proxy CPU per 1,000 connections, s | 2 | 1 | 0.50 (0.50–0.50) | better |",
		"| storm: CPU of the whole machine per 1,000 connections, s | 2 | 3 | 1.50 (1.50–1.50) | worse |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
