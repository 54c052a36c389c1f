package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// evenBlock spreads tunnels over the servers; with a zone nginx's workers know of each other's.
const evenBlock = `
upstream even { zone even 1m; {{method}} {{servers}} }
server {
	listen 127.0.0.1:{{port:front}} backlog=4096;
	location / {
		proxy_pass http://even; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
	}
}`

// Many tunnels that come at once are spread evenly: no backend has more than 1.02 times the mean.
// bench/balance does the same with 9,000.
func TestTunnelsAreEven(t *testing.T) {
	const backends, tunnels = 10, 1500
	for _, method := range []string{"", "least_conn;"} {
		t.Run(strings.TrimSuffix("round_robin "+method, ";"), func(t *testing.T) {
			var servers strings.Builder
			var all []*wire.EchoServer
			for range backends {
				s, err := wire.ListenEcho("127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				all = append(all, s)
				fmt.Fprintf(&servers, "server %s;\n", s.Addr())
			}
			spec := proc.Spec{HTTP: evenBlock, Vars: vars("method", method, "servers", servers.String()), Workers: 4}
			both(t, spec, func(t *testing.T, p *proc.Proxy) {
				clients := make([]*proc.Raw, tunnels)
				inParallel(tunnels, 64, func(i int) {
					clients[i] = proc.TryFrom(fmt.Sprintf("127.0.2.%d", 1+i%200), p.Front())
					clients[i].Handshake("x", "/")
				})
				var counts []int
				for _, s := range all {
					counts = append(counts, s.Connections())
				}
				for i, c := range clients {
					if c.Err() != nil {
						t.Errorf("tunnel %d: %v", i, c.Err())
					}
				}
				if most := slices.Max(counts); float64(most) > 1.02*tunnels/backends {
					t.Errorf("tunnels by backend: %v", counts)
				}
				for _, c := range clients {
					c.Close()
				}
				proc.Until(t, "the ends of the tunnels", func() error {
					for _, s := range all {
						if n := s.Connections(); n > 0 {
							return fmt.Errorf("%d are open", n)
						}
					}
					return nil
				})
			})
		})
	}
}

// choosing has groups whose choices follow from the request.
const choosing = `
upstream consistent { hash $arg_k consistent; {{servers}} }
upstream hashed { hash $arg_k; {{servers}} }
upstream address { ip_hash; {{servers}} }
server {
	listen 127.0.0.1:{{port:front}};
	add_header X-Up $upstream_addr always;
	location /consistent { proxy_pass http://consistent; }
	location /hashed { proxy_pass http://hashed; }
	location /address { proxy_pass http://address; }
}`

// choices asks with many keys and from many addresses, and returns who answered.
func choices(t *testing.T, p *proc.Proxy) map[string]string {
	t.Helper()
	all := map[string]string{}
	c := proc.Dial(t, p.Front())
	defer c.Close()
	for i := range 200 {
		for _, target := range []string{fmt.Sprint("/consistent?k=", i), fmt.Sprint("/hashed?k=", i)} {
			c.Send(get(target))
			h := c.Response(200)
			c.Body(h)
			all[target] = h.Get("X-Up")
		}
	}
	for i := range 50 {
		source := fmt.Sprintf("127.%d.%d.9", i%7, i)
		c := proc.TryFrom(source, p.Front())
		c.Send(get("/address"))
		h := c.Response(200)
		if c.Body(h); c.Err() != nil {
			t.Fatal(c.Err())
		}
		c.Close()
		all["/address from "+source] = h.Get("X-Up")
	}
	return all
}

// sameChoices compares two maps of choices but for the keys that left out says.
func sameChoices(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	moved := 0
	for key, peer := range want {
		if got[key] != peer {
			if moved++; moved == 1 {
				t.Errorf("%s: %s is for %s, was for %s", who, key, got[key], peer)
			}
		}
	}
	if moved > 0 {
		t.Errorf("%s: %d of %d choices are others", who, moved, len(want))
	}
}

// What hash and ip_hash choose is the same on every instance, with any number of shards, and
// after a restart; it is what nginx chooses. Without one of five servers consistent hashing
// moves that server's keys and no others.
func TestChoicesAreTheSameEverywhere(t *testing.T) {
	var servers []string
	for range 5 {
		servers = append(servers, proc.NewBackend(t, proc.Answer(200, "in")).Addr)
	}
	spec := func(servers []string, workers int) proc.Spec {
		return proc.Spec{HTTP: choosing, Workers: workers, Vars: vars("servers", "server "+strings.Join(servers, "; server ")+";")}
	}
	first := holdfast(t, spec(servers, 1))
	want := choices(t, first)
	second := holdfast(t, spec(servers, 4))
	sameChoices(t, "a second instance", choices(t, second), want)
	first.Stop(t, syscall.SIGTERM)
	sameChoices(t, "another process", choices(t, holdfast(t, spec(servers, 2))), want)
	nginx := choices(t, proc.Start(t, proc.Nginx, spec(servers, 1)))
	sameChoices(t, "nginx", nginx, want)

	fewer := choices(t, holdfast(t, spec(servers[:4], 2)))
	for key, peer := range want {
		if strings.HasPrefix(key, "/consistent") && peer != servers[4] && fewer[key] != peer {
			t.Errorf("without another server %s is for %s, was for %s", key, fewer[key], peer)
		}
	}
}

// turning has servers that are there for special cases.
const turning = `
map $http_upgrade $connection_upgrade { default upgrade; '' ""; }
upstream spare { server {{a}} max_fails=1 fail_timeout=1s; server {{b}} backup; }
upstream down { server {{a}} down; server {{b}}; server {{c}}; }
upstream drains { server {{a}} {{drain}}; server {{b}}; server {{c}}; }
upstream few { zone few 64k; server {{b}} max_conns=5; server {{c}} max_conns=3; }
upstream least { zone least 64k; least_conn; server {{b}} max_conns=4; server {{c}}; }
server {
	listen 127.0.0.1:{{port:front}};
	add_header X-Up $upstream_addr always;
	proxy_http_version 1.1;
	proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
	location /spare { proxy_pass http://spare; }
	location /down { proxy_pass http://down; }
	location /drains { proxy_pass http://drains; }
	location /few { proxy_pass http://few; }
	location /least { proxy_pass http://least; }
}`

// asked asks n times and counts who answered, the last of those that were tried.
func asked(t *testing.T, p *proc.Proxy, target string, n int) map[string]int {
	t.Helper()
	counts := map[string]int{}
	c := proc.Dial(t, p.Front())
	defer c.Close()
	for range n {
		c.Send(get(target))
		h := c.Response(200)
		c.Body(h)
		counts[lastTry(h.Get("X-Up"))]++
	}
	return counts
}

// A backup takes over while the others are dead and gives back when they live, a server that is
// down or drains gets nothing, and max_conns counts tunnels for as long as they live.
func TestSpareAndFullServers(t *testing.T) {
	f := newFleet(t, 1)
	a, b, c := f.addrs[0], proc.NewBackend(t, proc.Echo()), proc.NewBackend(t, proc.Echo())
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		t.Run(string(kind), func(t *testing.T) {
			only(t, kind)
			drain := "drain"
			if kind == proc.Nginx {
				drain = "down" // it has no drain
			}
			p := proc.Start(t, kind, proc.Spec{HTTP: turning, Vars: vars("a", a, "b", b.Addr, "c", c.Addr, "drain", drain)})
			for _, target := range []string{"/down", "/drains"} {
				counts := asked(t, p, target, 10)
				equal(t, target, fmt.Sprint(counts), fmt.Sprint(map[string]int{b.Addr: 5, c.Addr: 5}))
			}
			testSpare(t, p, f, b)
			testFull(t, p, b, c)
		})
	}
}

func testSpare(t *testing.T, p *proc.Proxy, f *fleet, backup *proc.Backend) {
	t.Helper()
	f.start(t, 0)
	equal(t, "while it lives", asked(t, p, "/spare", 10)[f.addrs[0]], 10)
	f.processes[0].Kill()
	equal(t, "while it is dead", asked(t, p, "/spare", 10)[backup.Addr], 10)
	f.start(t, 0)
	proc.Until(t, "the server that is back", func() error {
		if counts := asked(t, p, "/spare", 1); counts[f.addrs[0]] != 1 {
			return fmt.Errorf("%v", counts)
		}
		return nil
	})
	// Each of nginx's workers finds out for itself.
	proc.Until(t, "the backup to get nothing", func() error {
		if counts := asked(t, p, "/spare", 10); counts[f.addrs[0]] != 10 {
			return fmt.Errorf("%v", counts)
		}
		return nil
	})
	f.processes[0].Kill()
}

// testFull fills groups with tunnels up to their max_conns.
func testFull(t *testing.T, p *proc.Proxy, b, c *proc.Backend) {
	t.Helper()
	open := func(target string) (tunnelOf, error) {
		raw := proc.Try(p.Front())
		raw.Send(wire.UpgradeRequest("x", target))
		h := raw.Head()
		if h.Status() != 101 {
			raw.Close()
			return tunnelOf{}, fmt.Errorf("%s answers %q %v", target, h.Start, raw.Err())
		}
		t.Cleanup(raw.Close)
		return tunnelOf{raw, lastTry(h.Get("X-Up"))}, nil
	}
	fill := func(target string, n int) map[string]int {
		counts := map[string]int{}
		for range n {
			tunnel, err := open(target)
			if err != nil {
				t.Fatal(err)
			}
			counts[tunnel.peer]++
		}
		return counts
	}
	equal(t, "least_conn", fmt.Sprint(fill("/least", 12)), fmt.Sprint(map[string]int{b.Addr: 4, c.Addr: 8}))
	equal(t, "max_conns", fmt.Sprint(fill("/few", 7)), fmt.Sprint(map[string]int{b.Addr: 4, c.Addr: 3}))
	last, err := open("/few")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the last one", last.peer, b.Addr)
	for range 3 {
		raw := proc.Dial(t, p.Front())
		raw.Send(wire.UpgradeRequest("x", "/few"))
		raw.Body(raw.Response(502))
		raw.Send(get("/few"))
		raw.Body(raw.Response(502))
	}
	noted(t, p, "no live upstreams while connecting to upstream")
	last.Close()
	proc.Until(t, "a place that came free", func() error {
		next, err := open("/few")
		if err == nil {
			equal(t, "it is where one has gone", next.peer, b.Addr)
		}
		return err
	})
}
