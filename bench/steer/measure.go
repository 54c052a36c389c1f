package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"

	"holdfast/bench/load"
	"holdfast/bench/peers"
	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/procfs"
	"holdfast/test/wire"
)

// steps are how many tunnels are open when their balance is read; the last is the flag's.
var steps = []int{64, 1000}

// atOnce is how many connections are under way at a time.
const atOnce = 64

// measurement is one round: balances are the tunnels of the fullest shard by the mean, 0
// where tunnels were refused because a shard was full.
type measurement struct {
	tunnels  []int // of each step
	balances []float64
	churned  float64 // after a random half of the tunnels closed and as many came
	storm    float64 // of connections accepted in a storm
	stormCPU float64 // milliseconds of the proxy's CPU for 1000 of them
}

const configuration = `worker_processes SHARDS;
pid proxy.pid;
error_log logs/error.log warn;
admin ADMIN;
events { worker_connections 20000; listen_steering STEERING; }
http {
    access_log off;
    upstream backend { server BACKEND; }
    server {
        listen FRONT backlog=4096;
        location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade; }
    }
}
`

// proxy is a running holdfast.
type proxy struct {
	*peers.Running
	front, admin string
}

func measure(o options, shards int, steering string) (m measurement, err error) {
	backend, err := wire.ListenEcho("127.0.0.1:0")
	if err != nil {
		return m, err
	}
	defer backend.Close()
	p, err := start(o.binary, shards, steering, backend.Addr())
	if err != nil {
		return m, err
	}
	defer p.Stop()
	status, err := p.status()
	if err != nil {
		return m, err
	}
	// A shard has a limit of its own: with three standard deviations of a random deal to
	// spare the hash hardly reaches it.
	share := float64(status.SessionsMax) / float64(shards)
	spare := 3 * math.Sqrt(share*(1-1/float64(shards)))
	m.tunnels = append(append(m.tunnels, steps...), min(o.most, int(share-spare)*shards))
	return m, errors.Join(m.hold(p), m.storms(p, o.storm))
}

// hold opens tunnels in steps and reads the balance, then has half of them replaced.
func (m *measurement) hold(p *proxy) error {
	var tunnels []*load.Tunnel
	defer func() { load.CloseAll(tunnels) }()
	target := load.Target{Address: p.front, Path: "/"}
	open := func(count int) (balance float64, err error) {
		more, err := load.OpenMany(context.Background(), target, len(tunnels), count-len(tunnels), atOnce)
		tunnels = append(tunnels, more...)
		if err != nil && len(more) > 0 {
			return 0, nil // a shard is full, which is a result
		}
		if err != nil {
			return 0, err
		}
		return p.balanceOf(len(tunnels))
	}
	for _, n := range m.tunnels {
		balance, err := open(n)
		if err != nil {
			return err
		}
		m.balances = append(m.balances, balance)
	}
	n := len(tunnels)
	rand.Shuffle(n, func(i, j int) { tunnels[i], tunnels[j] = tunnels[j], tunnels[i] })
	load.CloseAll(tunnels[n/2:])
	tunnels = tunnels[:n/2]
	if _, err := p.balanceOf(len(tunnels)); err != nil {
		return err
	}
	var err error
	m.churned, err = open(n)
	return err
}

// storms measures connections that come, echo and go.
func (m *measurement) storms(p *proxy, count int) error {
	if _, err := p.balanceOf(0); err != nil {
		return err
	}
	before, err := p.status()
	if err != nil {
		return err
	}
	cpu, err := procfs.RunTime(p.PID())
	if err != nil {
		return err
	}
	if _, err := load.Storm(context.Background(), load.Target{Address: p.front, Path: "/"}, count, atOnce); err != nil {
		return err
	}
	if _, err := p.balanceOf(0); err != nil {
		return err
	}
	used, err := procfs.RunTime(p.PID())
	if err != nil {
		return err
	}
	m.stormCPU = (used - cpu).Seconds() * 1e6 / float64(count)
	after, err := p.status()
	if err != nil {
		return err
	}
	accepted := make([]int, len(after.Shards))
	for i := range accepted {
		accepted[i] = after.Shards[i].Accepted - before.Shards[i].Accepted
	}
	m.storm = balance(accepted)
	return nil
}

// status is what is read of /status.
type status struct {
	SessionsMax int `json:"sessions_max"`
	Shards      []struct{ Tunnels, Accepted int }
}

func (p *proxy) status() (s status, err error) {
	resp, err := http.Get("http://" + p.admin + "/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// balanceOf waits until the shards have that many tunnels.
func (p *proxy) balanceOf(tunnels int) (result float64, err error) {
	err = proc.Poll(proc.Patience, func() error {
		s, err := p.status()
		if err != nil {
			return err
		}
		counts, sum := make([]int, len(s.Shards)), 0
		for i := range counts {
			counts[i] = s.Shards[i].Tunnels
			sum += counts[i]
		}
		if sum != tunnels {
			return fmt.Errorf("%d tunnels, not %d", sum, tunnels)
		}
		result = balance(counts)
		return nil
	})
	return result, err
}

// balance is the largest count by the mean.
func balance(counts []int) float64 {
	sum, largest := 0, 0
	for _, n := range counts {
		sum += n
		largest = max(largest, n)
	}
	return float64(largest) * float64(len(counts)) / float64(max(sum, 1))
}

func start(binary string, shards int, steering, backend string) (*proxy, error) {
	p := &proxy{}
	for _, address := range []*string{&p.front, &p.admin} {
		free, err := port.Free()
		if err != nil {
			return nil, err
		}
		*address = fmt.Sprintf("127.0.0.1:%d", free)
	}
	text := strings.NewReplacer("SHARDS", fmt.Sprint(shards), "ADMIN", p.admin, "STEERING", steering, "BACKEND", backend,
		"FRONT", p.front).Replace(configuration)
	running, err := peers.Launch{
		Kind: peers.Holdfast, Binary: binary, Configuration: text,
		Ready: func() error { _, err := p.status(); return err },
	}.Start()
	if err != nil {
		return nil, err
	}
	p.Running = running
	if strings.Contains(p.Output(), "can't be had") {
		err = fmt.Errorf("steering can't be had here\n%s", p.Output())
		p.Stop()
		return nil, err
	}
	return p, nil
}
