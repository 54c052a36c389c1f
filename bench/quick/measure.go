package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/peers"
)

// Measurement is one round of one proxy.
type Measurement struct {
	BytesPerTunnel    float64 // user memory (PSS) of an idle tunnel
	EchoCPU           float64 // CPU seconds per million echoes at a fixed rate
	EchoP50, EchoP99  int64   // microseconds, without coordinated omission
	StormPerSecond    float64 // connect + upgrade + echo + close
	StormCPU          float64 // CPU seconds per 1000 of them
	RequestsPerSecond float64 // wrk; zero if it is not installed
	RequestCPU        float64 // CPU seconds per 100,000 requests
}

// memorySettle is the pause before memory is read.
const memorySettle = time.Second

// measure starts a fresh proxy and runs everything against it once.
func measure(kind peers.Kind, binary, backend string, s scale) (Measurement, error) {
	var m Measurement
	p, err := peers.Start(kind, peers.Options{
		Binary: binary, Backends: []string{backend}, Tunnels: max(s.Tunnels, 1000),
	})
	if err != nil {
		return m, err
	}
	defer p.Stop()
	target := load.Target{Address: p.Address, Path: "/"}
	for _, step := range []func(*peers.Peer, load.Target, scale) error{m.memory, m.echo, m.storm, m.wrk} {
		if err := step(p, target, s); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *Measurement) memory(p *peers.Peer, target load.Target, s scale) error {
	warm, err := load.OpenMany(context.Background(), target, 0, 64, 32)
	if err != nil {
		return err
	}
	if _, err := load.EchoOn(warm, 1, 64); err != nil {
		return err
	}
	load.CloseAll(warm)
	time.Sleep(memorySettle)
	before, err := peers.Measure(p.PID())
	if err != nil {
		return err
	}
	tunnels, err := load.OpenMany(context.Background(), target, 0, s.Tunnels, 64)
	defer load.CloseAll(tunnels)
	if err != nil {
		return err
	}
	time.Sleep(memorySettle)
	after, err := peers.Measure(p.PID())
	if err != nil {
		return err
	}
	if dead, err := load.CountDead(tunnels); dead > 0 {
		return fmt.Errorf("%d idle tunnels ended: %w", dead, err)
	}
	m.BytesPerTunnel = float64(after.PSS-before.PSS) / float64(len(tunnels))
	return nil
}

func (m *Measurement) echo(p *peers.Peer, target load.Target, s scale) error {
	var r load.EchoResult
	cpu, err := cpuOf(p, func() (err error) {
		r, err = load.Echo(context.Background(), load.EchoOptions{
			Target: target, Connections: 50, Size: 64, Rate: s.EchoRate, Duration: s.EchoTime,
		})
		return err
	})
	if err != nil {
		return err
	}
	m.EchoCPU = cpu.Seconds() / float64(r.Echoes) * 1e6
	m.EchoP50, m.EchoP99 = r.Latency.P50, r.Latency.P99
	return nil
}

func (m *Measurement) storm(p *peers.Peer, target load.Target, s scale) error {
	var r load.StormResult
	cpu, err := cpuOf(p, func() (err error) {
		r, err = load.Storm(context.Background(), target, s.Connections, 64)
		return err
	})
	m.StormPerSecond = r.PerSecond
	m.StormCPU = cpu.Seconds() / float64(s.Connections) * 1000
	return err
}

var wrkCount = regexp.MustCompile(`(\d+) requests in ([0-9.]+)s`)

// wrk runs wrk on a plain location; a machine without wrk gets no figure.
func (m *Measurement) wrk(p *peers.Peer, target load.Target, s scale) error {
	path, err := exec.LookPath("wrk")
	if err != nil || s.WrkSeconds == 0 {
		return nil //nolint:nilerr // no wrk, no figure
	}
	var out []byte
	cpu, err := cpuOf(p, func() (err error) {
		out, err = exec.Command(path, "-t2", "-c64", "--timeout", "30s", fmt.Sprintf("-d%ds", s.WrkSeconds),
			"http://"+target.Address+"/").CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Errorf("wrk: %w\n%s", err, out)
	}
	if strings.Contains(string(out), "Socket errors") || strings.Contains(string(out), "Non-2xx") {
		return fmt.Errorf("wrk saw errors:\n%s", out)
	}
	found := wrkCount.FindStringSubmatch(string(out))
	if found == nil {
		return fmt.Errorf("wrk says:\n%s", out)
	}
	requests, err1 := strconv.ParseFloat(found[1], 64)
	seconds, err2 := strconv.ParseFloat(found[2], 64)
	m.RequestsPerSecond = requests / seconds
	m.RequestCPU = cpu.Seconds() / requests * 1e5
	return errors.Join(err1, err2)
}

// cpuOf is the run time that a proxy used while work ran.
func cpuOf(p *peers.Peer, work func() error) (time.Duration, error) {
	before, err := peers.Measure(p.PID())
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := peers.Measure(p.PID())
	return after.CPU - before.CPU, err
}
