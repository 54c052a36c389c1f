package e2e_test

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

// failoverFull makes the failover tests as large as they are meant to be: make failover.
var failoverFull = flag.Bool("failover.full", false, "2,000 requests a second and 2,000 tunnels, and each backend is killed")

// failoverScale is how large a failover test is.
type failoverScale struct {
	rate    int // requests a second
	clients int // connections that they come on
	tunnels int
	phase   int // requests before the kill, while the backend is dead, and behind its return
	kills   int // backends that are killed, one after the other
}

func scaleOfFailover() failoverScale {
	if *failoverFull {
		return failoverScale{rate: 2000, clients: 64, tunnels: 2000, phase: 6000, kills: 3}
	}
	return failoverScale{rate: 300, clients: 16, tunnels: 200, phase: 300, kills: 1}
}

// failoverBlock has three backends, which tell in X-Up who was asked.
const failoverBlock = `
map $http_upgrade $connection_upgrade { default upgrade; '' ""; }
upstream three {
	server {{a}} fail_timeout=1s; server {{b}} fail_timeout=1s; server {{c}} fail_timeout=1s;
	keepalive 32;
}
server {
	listen 127.0.0.1:{{port:front}};
	keepalive_requests 1000000;
	add_header X-Up $upstream_addr always;
	location / {
		proxy_pass http://three; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
	}
}`

// fleet are backends in processes of their own, which can be killed and come back at their address.
type fleet struct {
	addrs     []string
	processes []*proc.Process
}

// newFleet takes the addresses of n backends.
func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{processes: make([]*proc.Process, n)}
	for range n {
		f.addrs = append(f.addrs, port.Address(t))
	}
	return f
}

// start starts backend i, until it is killed or the test ends.
func (f *fleet) start(t *testing.T, i int) {
	t.Helper()
	f.processes[i], _ = startRole(t, "backend", "HOLDFAST_TEST_ADDRESS="+f.addrs[i])
}

// tunnelOf is a tunnel with the backend that it leads to.
type tunnelOf struct {
	*proc.Raw
	peer string
}

// lastTry is the last of the addresses in an answer's X-Up.
func lastTry(tries string) string { return tries[strings.LastIndexByte(tries, ' ')+1:] }

// openTunnels opens n tunnels, some at a time.
func openTunnels(t *testing.T, front string, n int) []tunnelOf {
	t.Helper()
	all := make([]tunnelOf, n)
	inParallel(n, 16, func(i int) {
		c := proc.Try(front)
		h := c.Handshake("x", "/")
		c.EchoText("open")
		all[i] = tunnelOf{c, lastTry(h.Get("X-Up"))}
	})
	for i, c := range all {
		if c.Err() != nil {
			t.Fatalf("tunnel %d of %d: %v", i, n, c.Err())
		}
	}
	t.Cleanup(func() {
		for _, c := range all {
			c.Close()
		}
	})
	return all
}

// inParallel calls do(0) to do(n-1), some of them at a time.
func inParallel(n, atOnce int, do func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() { do(i); <-slots })
	}
	wg.Wait()
}

// split parts the tunnels to a peer from the others.
func split(all []tunnelOf, peer string) (its, others []tunnelOf) {
	for _, c := range all {
		if c.peer == peer {
			its = append(its, c)
		} else {
			others = append(others, c)
		}
	}
	return its, others
}

// untouched sends a message through every tunnel.
func untouched(t *testing.T, all []tunnelOf, when string) {
	t.Helper()
	inParallel(len(all), 16, func(i int) { all[i].EchoText(when) })
	for _, c := range all {
		if c.Err() != nil {
			t.Fatalf("a tunnel to %s, %s: %v", c.peer, when, c.Err())
		}
	}
}

// One of three backends is killed under load and comes back: nothing fails that can be
// repeated, no tunnel to another backend is touched, and what came back gets its share. The
// same holds for nginx.
func TestKillAndRevive(t *testing.T) {
	scale := scaleOfFailover()
	f := newFleet(t, 3)
	v := vars("a", f.addrs[0], "b", f.addrs[1], "c", f.addrs[2])
	both(t, proc.Spec{HTTP: failoverBlock, Vars: v, Connections: 8192}, func(t *testing.T, p *proc.Proxy) {
		for i := range f.addrs {
			f.start(t, i)
		}
		tunnels := openTunnels(t, p.Front(), scale.tunnels)
		load := startFailoverLoad(t, p.Front(), scale)
		load.await(t, "requests before the kill", scale.phase)
		k := killing{p: p, f: f, load: load, scale: scale}
		lost := 0
		for i := range scale.kills {
			var n int
			tunnels, n = k.killOne(t, i, tunnels)
			lost += n
		}
		load.stop()
		t.Logf("%s: %s; tunnels lost with their backends: %d", p.Kind, load, lost)
		settledAgain(t, p, tunnels, lost)
	})
}

// killing is a test that kills backends of a proxy under load.
type killing struct {
	p     *proc.Proxy
	f     *fleet
	load  *failoverLoad
	scale failoverScale
}

// killOne kills backend i, looks on, revives it, and returns the tunnels that are open then and
// how many had gone with the backend.
func (k killing) killOne(t *testing.T, i int, tunnels []tunnelOf) ([]tunnelOf, int) {
	t.Helper()
	f, load, scale := k.f, k.load, k.scale
	its, others := split(tunnels, f.addrs[i])
	if n := len(tunnels); i == 0 && (len(its) < n/4 || len(its) > n/2) {
		t.Errorf("%d of %d tunnels lead to one of three backends", len(its), n)
	}
	f.processes[i].Kill()
	for _, c := range its {
		c.ExpectEnd()
		if c.Err() != nil {
			t.Fatalf("a tunnel to the dead backend: %v", c.Err())
		}
		c.Close()
	}
	untouched(t, others, "while another backend is dead")
	anew := openTunnels(t, k.p.Front(), len(its))
	if back, _ := split(anew, f.addrs[i]); len(back) > 0 {
		t.Errorf("%d tunnels to a dead backend", len(back))
	}
	load.await(t, "requests while a backend is dead", scale.phase)
	load.expect(t, scale.clients) // what was under way
	f.start(t, i)
	load.awaitPeer(t, f.addrs[i])
	untouched(t, others, "when the backend is back")
	before := load.servedBy(f.addrs[i])
	total := load.await(t, "requests when the backend is back", scale.phase)
	if share := float64(load.servedBy(f.addrs[i])-before) / float64(total); share < 0.25 || share > 0.42 {
		t.Errorf("the backend that came back has answered %.2f of the requests", share)
	}
	load.expect(t, 0)
	return append(others, anew...), len(its)
}

// settledAgain ends the tunnels and looks at what is left in a holdfast: nothing.
func settledAgain(t *testing.T, p *proc.Proxy, tunnels []tunnelOf, lost int) {
	t.Helper()
	untouched(t, tunnels, "in the end")
	if p.Kind != proc.Holdfast {
		return
	}
	var ended int64
	for _, c := range p.Status(t).Totals.TunnelCloses {
		ended += c.Count
	}
	equal(t, "tunnels that ended", ended, int64(lost))
	for _, c := range tunnels {
		c.Close()
	}
	proc.Until(t, "the baseline", p.AtBaseline)
	proc.Until(t, "the gauges of the peers", func() error {
		connections := 0.0
		metrics := p.Metrics(t)
		for name, value := range metrics {
			if strings.HasPrefix(name, "holdfast_peer_tunnels{") && value != 0 {
				return fmt.Errorf("%s %v", name, value)
			}
			if strings.HasPrefix(name, "holdfast_peer_connections{") {
				connections += value
			}
		}
		if idle := metrics["holdfast_upstream_idle_connections"]; connections != idle {
			return fmt.Errorf("%v connections to peers, %v of them idle", connections, idle)
		}
		return nil
	})
}
