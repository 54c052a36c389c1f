package upstream_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"holdfast/upstream"
)

// methods are all there are.
var methods = map[string]upstream.Balance{
	"round robin":           {},
	"least_conn":            {Method: upstream.LeastConn},
	"least_time header":     {Method: upstream.LeastTime, By: upstream.ByHeader, Inflight: true},
	"least_time last_byte":  {Method: upstream.LeastTime, By: upstream.ByLastByte},
	"ip_hash":               {Method: upstream.IPHash},
	"hash":                  {Method: upstream.Hash},
	"hash consistent":       {Method: upstream.ConsistentHash},
	"random":                {Method: upstream.Random},
	"random two":            {Method: upstream.RandomTwo},
	"random two least_time": {Method: upstream.RandomTwo, By: upstream.ByHeader},
}

func balanced(t testing.TB, b upstream.Balance, servers ...upstream.ServerSpec) *upstream.Group {
	t.Helper()
	g, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{Name: "backend", Servers: servers, Balance: b})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// equalServers are n servers of one weight.
func equalServers(n int) []upstream.ServerSpec {
	list := make([]upstream.ServerSpec, n)
	for i := range list {
		list[i] = server(byte('a'+i), 1)
	}
	return list
}

// keyed is the choice of a request with that key.
func keyed(key int) upstream.Choice {
	return upstream.Choice{Key: upstream.HashKey(strconv.AppendInt(nil, int64(key), 10))}
}

func TestWants(t *testing.T) {
	for name, b := range methods {
		want := upstream.WantsNothing
		switch b.Method {
		case upstream.IPHash:
			want = upstream.WantsAddress
		case upstream.Hash, upstream.ConsistentHash:
			want = upstream.WantsKey
		}
		if got := balanced(t, b, equalServers(2)...).Wants(); got != want {
			t.Errorf("%s wants %d, want %d", name, got, want)
		}
	}
}

// With every method one request tries each server once: the primaries, then the backups; not
// those that are down or drain.
func TestEveryMethodTriesEachPeerOnce(t *testing.T) {
	for name, b := range methods {
		t.Run(name, func(t *testing.T) {
			servers := equalServers(7)
			servers[1].Weight, servers[2].Weight = 50, 7
			servers[3].Down, servers[4].Drain = true, true
			servers[5].Backup, servers[6].Backup = true, true
			g := balanced(t, b, servers...)
			for key := range 200 {
				c := keyed(key)
				var order []string
				for p := g.Pick(&c, 1000); p != nil; p = g.Pick(&c, 1000) {
					order = append(order, p.Name)
				}
				if len(order) != 5 {
					t.Fatalf("key %d: tried %v", key, order)
				}
				slices.Sort(order[:3])
				slices.Sort(order[3:])
				if got := strings.Join(order, ""); got != "abcfg" {
					t.Fatalf("key %d: tried %s, want a, b, c, then f, g", key, got)
				}
			}
			for _, p := range g.AppendPeers(nil) {
				want := int64(200)
				if p.Name == "d" || p.Name == "e" {
					want = 0
				}
				if n := p.Active.Load(); n != want {
					t.Errorf("%s is lent %d times, want %d", p.Name, n, want)
				}
			}
		})
	}
}

func TestMaxConns(t *testing.T) {
	for name, b := range methods {
		t.Run(name, func(t *testing.T) {
			servers := equalServers(3)
			servers[0].MaxConns, servers[1].MaxConns, servers[2].MaxConns = 2, 3, 5
			g := balanced(t, b, servers...)
			for key := range 10 {
				if c := keyed(key); g.Pick(&c, 1000) == nil {
					t.Fatalf("no server for request %d of 10", key+1)
				}
			}
			c := keyed(99)
			if p := g.Pick(&c, 1000); p != nil {
				t.Fatalf("%s has more than max_conns", p.Name)
			}
			full := peerNamed(g, "b")
			if full.Active.Load() != 3 || g.Available(full, 1000) {
				t.Errorf("b has %d requests, available %v", full.Active.Load(), g.Available(full, 1000))
			}
			full.Release()
			c = keyed(99)
			if p := g.Pick(&c, 1000); p != full {
				t.Errorf("picked %s, want b, where one has ended", name)
			}
		})
	}
	one := server('a', 1)
	one.MaxConns = 1
	if got := picks(balanced(t, upstream.Balance{}, one), 2, 1000); got != "a-" {
		t.Errorf("the only server: %s, want a-: max_conns holds for it", got)
	}
}

// Many shards at once never pass max_conns.
func TestMaxConnsIsExactAmongShards(t *testing.T) {
	for name, b := range methods {
		t.Run(name, func(t *testing.T) {
			servers := equalServers(4)
			for i := range servers {
				servers[i].MaxConns = 10 + i
			}
			g := balanced(t, b, servers...)
			var wg sync.WaitGroup
			for worker := range 8 {
				wg.Go(func() {
					for key := range 5000 {
						c := keyed(key * (worker + 1))
						if p := g.Pick(&c, 1000); p != nil {
							if n := int(p.Active.Load()); n > 13+8 { // others may just be finding out
								t.Errorf("%s has %d", p.Name, n)
							}
							p.Release()
						}
					}
				})
			}
			wg.Wait()
			for _, p := range g.AppendPeers(nil) {
				if p.Active.Load() != 0 {
					t.Errorf("%s has %d requests left", p.Name, p.Active.Load())
				}
			}
		})
	}
}

// open makes 100,000 choices from eight shards at once. With releases, every third time a shard
// ends one of those that it has made so far.
func open(g *upstream.Group, releases bool) (counts []int64) {
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			var held []*upstream.Peer
			for range 12_500 {
				var c upstream.Choice
				held = append(held, g.Pick(&c, 1000))
				if releases && random.IntN(3) == 0 {
					at := random.IntN(len(held))
					held[at].Release()
					held[at] = held[len(held)-1]
					held = held[:len(held)-1]
				}
			}
		})
	}
	wg.Wait()
	for _, p := range g.AppendPeers(nil) {
		counts = append(counts, p.Active.Load())
	}
	return counts
}

func TestOpenChoicesStayEven(t *testing.T) {
	for _, test := range []struct {
		name     string
		balance  upstream.Balance
		releases bool
	}{
		{"round robin", upstream.Balance{}, false},
		{"least_conn", upstream.Balance{Method: upstream.LeastConn}, false},
		{"least_conn with releases", upstream.Balance{Method: upstream.LeastConn}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			counts := open(balanced(t, test.balance, equalServers(10)...), test.releases)
			sum := int64(0)
			for _, n := range counts {
				sum += n
			}
			mean := float64(sum) / float64(len(counts))
			if most := float64(slices.Max(counts)); most/mean > 1.02 {
				t.Errorf("max/mean is %.4f, want at most 1.02: %v", most/mean, counts)
			}
		})
	}
}

func TestLeastConnFollowsWeights(t *testing.T) {
	g := balanced(t, upstream.Balance{Method: upstream.LeastConn}, server('a', 5), server('b', 1), server('c', 2))
	picks(g, 8000, 1000)
	for letter, want := range map[string]int64{"a": 5000, "b": 1000, "c": 2000} {
		if n := peerNamed(g, letter).Active.Load(); n < want-2 || n > want+2 {
			t.Errorf("%s has %d of 8000, want %d", letter, n, want)
		}
	}
	// All the tunnels of one end: it gets the next ones.
	for b := peerNamed(g, "b"); b.Active.Load() > 900; {
		b.Release()
	}
	if got := picks(g, 99, 1000); strings.Count(got, "b") < 98 {
		t.Errorf("order %s, want b until it is even", got)
	}
}

// Where all have the same, least_conn is round robin, as in nginx.
func TestLeastConnIdle(t *testing.T) {
	g := balanced(t, upstream.Balance{Method: upstream.LeastConn}, server('a', 5), server('b', 1), server('c', 1))
	order := ""
	for range 14 {
		var c upstream.Choice
		p := g.Pick(&c, 1000)
		order += p.Name
		p.Release()
	}
	if order != "aabacaaaabacaa" {
		t.Errorf("order %s, want aabacaaaabacaa", order)
	}
}

func TestRandomFollowsWeights(t *testing.T) {
	for _, b := range []upstream.Balance{{Method: upstream.Random}, {Method: upstream.RandomTwo}} {
		g := balanced(t, b, server('a', 6), server('b', 1), server('c', 3))
		order := picks(g, 20_000, 1000)
		for letter, want := range map[string]int{"a": 12_000, "b": 2000, "c": 6000} {
			// Two draws even out; one has a spread of its own: 600 are more than six sigmas.
			if n := strings.Count(order, letter); n < want-600 || n > want+600 {
				t.Errorf("%+v: %s has %d of 20,000, want %d", b, letter, n, want)
			}
		}
	}
}

func TestConsistentHashing(t *testing.T) {
	const keys = 20_000
	ring := upstream.Balance{Method: upstream.ConsistentHash}
	choose := func(g *upstream.Group) (chosen []string) {
		for key := range keys {
			c := keyed(key)
			chosen = append(chosen, g.Pick(&c, 1000).Name)
		}
		return chosen
	}
	servers := make([]upstream.ServerSpec, 10)
	for i := range servers {
		servers[i] = server('a', 1)
		servers[i].Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 8080)
		servers[i].Name = servers[i].Addr.String()
	}
	all := choose(balanced(t, ring, servers...))
	again := slices.Clone(servers)
	slices.Reverse(again)
	if !slices.Equal(all, choose(balanced(t, ring, again...))) {
		t.Error("another instance, with the servers in another order, chooses otherwise")
	}
	g := balanced(t, ring, servers...)
	for gone := range servers {
		less := slices.Delete(slices.Clone(servers), gone, gone+1)
		if _, err := g.SetServers(less); err != nil {
			t.Fatal(err)
		}
		moved := 0
		for i, name := range choose(g) {
			if name != all[i] {
				if all[i] != servers[gone].Name {
					t.Fatalf("key %d moved from %s to %s, which both stay", i, all[i], name)
				}
				moved++
			}
		}
		if share := float64(moved) / keys; share > 1.0/10+0.02 {
			t.Errorf("without server %d, %.3f of the keys moved", gone, share)
		}
	}
}

// The addresses of one name share its keys in turn.
func TestConsistentHashingOfOneName(t *testing.T) {
	servers := equalServers(4)
	for i := range servers {
		servers[i].Server = "pool.test:80"
	}
	servers[3].Server = "other.test:80"
	g := balanced(t, upstream.Balance{Method: upstream.ConsistentHash}, servers...)
	seen := map[string]string{}
	for key := range 100 {
		for range 3 {
			c := keyed(key)
			seen[fmt.Sprint(key)] += g.Pick(&c, 1000).Name
		}
	}
	for key, order := range seen {
		if order != "ddd" && (strings.Count(order, "a") != 1 || strings.Count(order, "b") != 1 || strings.Count(order, "c") != 1) {
			t.Errorf("key %s went to %s", key, order)
		}
	}
}

func TestPrefer(t *testing.T) {
	for name, b := range methods {
		t.Run(name, func(t *testing.T) {
			servers := equalServers(6)
			servers[1].Down, servers[2].Drain, servers[3].MaxConns, servers[5].Backup = true, true, 1, true
			g := balanced(t, b, servers...)
			first := func(letter string) string {
				c := keyed(7)
				c.Prefer = peerNamed(g, letter).ID
				p := g.Pick(&c, 1000)
				if p.Name == letter { // it is not asked twice
					for next := g.Pick(&c, 1000); next != nil; next = g.Pick(&c, 1000) {
						if next == p {
							t.Fatalf("%s was tried again", letter)
						}
						next.Release()
					}
				}
				return p.Name
			}
			for _, letter := range []string{"a", "c", "d", "e", "f"} {
				if got := first(letter); got != letter {
					t.Errorf("%s is preferred, picked %s", letter, got)
				}
			}
			for _, letter := range []string{"b", "d"} {
				if got := first(letter); got == letter {
					t.Errorf("%s is down or full, and was picked", letter)
				}
			}
			g.Fail(peerNamed(g, "a"), 1000)
			if got := first("a"); got == "a" {
				t.Error("a has failed, and was picked")
			}
		})
	}
}

func TestLeastTime(t *testing.T) {
	for _, by := range []upstream.By{upstream.ByHeader, upstream.ByLastByte} {
		g := balanced(t, upstream.Balance{Method: upstream.LeastTime, By: by}, equalServers(3)...)
		for letter, msTook := range map[string]int64{"a": 10, "b": 20, "c": 100} {
			for range 50 {
				if by == upstream.ByHeader {
					g.Took(peerNamed(g, letter), msTook, -1)
				} else {
					g.Took(peerNamed(g, letter), 1, msTook)
				}
			}
		}
		picks(g, 1300, 1000)
		for letter, want := range map[string]int64{"a": 812, "b": 406, "c": 81} {
			if n := peerNamed(g, letter).Active.Load(); n < want-3 || n > want+3 {
				t.Errorf("%s has %d of 1300, want %d: as many as it is fast", letter, n, want)
			}
		}
	}
}

// A server that was slow once is asked again, and one that was never measured gets its share.
func TestLeastTimeForgets(t *testing.T) {
	g := balanced(t, upstream.Balance{Method: upstream.LeastTime, By: upstream.ByHeader}, equalServers(3)...)
	a, b := peerNamed(g, "a"), peerNamed(g, "b")
	idle := func(nowMs int64) string {
		var c upstream.Choice
		p := g.Pick(&c, nowMs)
		p.Release()
		return p.Name
	}
	g.Took(a, 10, -1)
	g.Took(b, 1000, -1)
	for range 10 { // c counts as fast as the fastest
		if got := idle(1000); got == "b" {
			t.Fatal("the slow server was picked")
		}
	}
	g.Took(peerNamed(g, "c"), 10, -1)
	if got := idle(100_000); got == "b" {
		t.Fatal("the slow server was picked")
	}
	seen := ""
	for nowMs := int64(100_000); nowMs < 300_000; nowMs += 1000 {
		got := idle(nowMs)
		g.Took(peerNamed(g, got), 10, -1)
		seen += got
	}
	if !strings.Contains(seen, "b") {
		t.Error("a server that was slow three minutes ago was never asked again")
	}
}

// With inflight a server that owes an answer for long counts as slow before it has given it.
func TestLeastTimeInflight(t *testing.T) {
	for _, inflight := range []bool{false, true} {
		g := balanced(t, upstream.Balance{Method: upstream.LeastTime, By: upstream.ByHeader, Inflight: inflight}, equalServers(2)...)
		a, b := peerNamed(g, "a"), peerNamed(g, "b")
		g.Took(a, 10, -1)
		g.Took(b, 30, -1)
		var c upstream.Choice
		if p := g.Pick(&c, 1000); p != a {
			t.Fatalf("picked %s, want the fast one", p.Name)
		}
		// Half a second later a, with one request, costs 20, or a thousand with inflight.
		c = upstream.Choice{}
		want := map[bool]*upstream.Peer{false: a, true: b}[inflight]
		if p := g.Pick(&c, 1500); p != want {
			t.Errorf("inflight %v: picked %s, want %s", inflight, p.Name, want.Name)
		}
		a.Release() // it was aborted: nothing is known about a any more
		c = upstream.Choice{}
		if p := g.Pick(&c, 1500); inflight && p != a {
			t.Errorf("picked %s, want a", p.Name)
		}
	}
}

func TestSlowStart(t *testing.T) {
	for _, b := range []upstream.Balance{{}, {Method: upstream.LeastConn}, {Method: upstream.LeastTime, By: upstream.ByHeader}} {
		servers := equalServers(2)
		for i := range servers {
			servers[i].SlowStartMs = 100_000
		}
		g := balanced(t, b, servers...)
		a := peerNamed(g, "a")
		if order := picks(g, 1000, 1000); strings.Count(order, "a") != 500 {
			t.Errorf("%+v: at the start a has %d of 1000", b, strings.Count(order, "a"))
		}
		g.Fail(a, 1000)
		for range 100 { // until the probe is there
			var c upstream.Choice
			if p := g.Pick(&c, 12_000); p == a {
				break
			}
		}
		g.OK(a)
		share := func(nowMs int64) int {
			for _, p := range g.AppendPeers(nil) {
				p.Active.Store(0)
			}
			return strings.Count(picks(g, 3000, nowMs), "a")
		}
		for nowMs, want := range map[int64]int{12_001: 0, 37_000: 600, 62_000: 1000, 112_000: 1500, 1_000_000: 1500} {
			const spread = 150 // a has a part w of its weight: w/(1+w) of the requests
			if n := share(nowMs); n < want-spread || n > want+spread {
				t.Errorf("%+v: %d s after it came back a has %d of 3000, want %d", b, (nowMs-12_000)/1000, n, want)
			}
		}
		// The other one fails: what there is goes to the one that is coming back.
		g.Fail(peerNamed(g, "b"), 13_000)
		if order := picks(g, 10, 13_000); order != "aaaaaaaaaa" {
			t.Errorf("%+v: %s, want a: nothing else is left", b, order)
		}
	}
}

func TestSetServers(t *testing.T) {
	for name, b := range methods {
		t.Run(name, func(t *testing.T) {
			g, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{Name: "u", Balance: b, Resolved: true})
			if err != nil {
				t.Fatal(err)
			}
			c := keyed(1)
			if p := g.Pick(&c, 1000); p != nil {
				t.Fatalf("%s came out of nothing", p.Name)
			}
			if gone, err := g.SetServers(equalServers(3)); err != nil || gone != nil {
				t.Fatal(gone, err)
			}
			a, b := peerNamed(g, "a"), peerNamed(g, "b")
			a.Requests.Add(7)
			p := g.Pick(&c, 1000)
			gone, err := g.SetServers(equalServers(1))
			if err != nil || len(gone) != 2 || !slices.Contains(gone, b) {
				t.Fatal(gone, err)
			}
			if peerNamed(g, "a") != a || a.Requests.Load() != 7 {
				t.Error("a peer that stayed is another one")
			}
			p.Release()
			if next := g.Pick(&c, 1000); next != a {
				t.Errorf("picked %s, want a", next.Name)
			}
			if _, err := g.SetServers([]upstream.ServerSpec{server('z', 0)}); err == nil {
				t.Error("a server without weight was taken")
			}
			if gone, err := g.SetServers(nil); err != nil || len(gone) != 1 {
				t.Fatal(gone, err)
			}
			c = keyed(2)
			if p := g.Pick(&c, 1000); p != nil {
				t.Errorf("%s is left", p.Name)
			}
		})
	}
}

// Servers change under shards that choose.
func TestSetServersWhilePicking(t *testing.T) {
	for name, b := range methods {
		t.Run(name, func(t *testing.T) {
			list := equalServers(8)
			for i := range list {
				list[i].MaxFails = 0
			}
			g := balanced(t, b, list...)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						c := keyed(worker * i)
						for tries := range 3 {
							p := g.Pick(&c, int64(i))
							if p == nil {
								t.Errorf("no server left for try %d", tries+1)
								return
							}
							g.Took(p, 3, 4)
							if i%100 == 0 {
								g.Fail(p, int64(i))
							}
							g.OK(p)
							p.Release()
						}
					}
				})
			}
			for i := range 60 {
				if _, err := g.SetServers(list[i%4:]); err != nil {
					t.Error(err)
				}
			}
			close(stop)
			wg.Wait()
			for _, p := range g.AppendPeers(nil) {
				if n := p.Active.Load(); n != 0 {
					t.Errorf("%s: %d are lent", p.Name, n)
				}
			}
		})
	}
}

// A server that joins others begins slowly.
func TestNewServerRamps(t *testing.T) {
	servers := equalServers(2)
	for i := range servers {
		servers[i].SlowStartMs = 10_000
	}
	g := balanced(t, upstream.Balance{}, servers[0])
	if _, err := g.SetServers(servers); err != nil {
		t.Fatal(err)
	}
	if order := picks(g, 200, 5000); strings.Count(order, "b") > 5 {
		t.Errorf("the new server has %d of 200 at once", strings.Count(order, "b"))
	}
	if order := picks(g, 200, 16_000); strings.Count(order, "b") != 100 {
		t.Errorf("the new server has %d of 200 after slow_start", strings.Count(order, "b"))
	}
}

// What a request tries after a failure changes whose turn it is, and a failure lowers a weight
// until the server is heavy again: the orders are those of nginx 1.22.
func TestTurnsAfterFailures(t *testing.T) {
	for _, test := range []struct {
		name    string
		weights []int
		fails   int // max_fails of a, which is dead
		want    string
	}{
		{"two", []int{1, 1}, 0, "ab b ab b ab b"},
		{"three", []int{1, 1, 1}, 0, "ab c b c ab c"},
		{"max_fails", []int{1, 1}, 2, "ab b ab b b b"},
		{"weights", []int{4, 1, 1}, 2, "ab c ab b c b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var servers []upstream.ServerSpec
			for i, w := range test.weights {
				servers = append(servers, server(byte('a'+i), w))
			}
			servers[0].MaxFails = test.fails
			g := balanced(t, upstream.Balance{}, servers...)
			var orders []string
			for range 6 {
				var c upstream.Choice
				order := ""
				for p := g.Pick(&c, 1000); ; p = g.Pick(&c, 1000) {
					order += p.Name
					if p.Name != "a" {
						break
					}
					g.Fail(p, 1000)
				}
				orders = append(orders, order)
			}
			if got := strings.Join(orders, " "); got != test.want {
				t.Errorf("order %s, want %s", got, test.want)
			}
		})
	}
}

func TestTooHeavyForARing(t *testing.T) {
	_, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{
		Name: "u", Balance: upstream.Balance{Method: upstream.ConsistentHash},
		Servers: []upstream.ServerSpec{server('a', upstream.ConsistentWeightMax), server('b', 1)},
	})
	if err == nil || !strings.Contains(err.Error(), "the weights add up to 131073, at most 131072") {
		t.Errorf("error %v", err)
	}
}

func TestEveryMethodPicksWithoutAllocation(t *testing.T) {
	for name, b := range methods {
		g := balanced(t, b, equalServers(10)...)
		c := new(upstream.Choice)
		key := upstream.HashKey([]byte("key"))
		if n := testing.AllocsPerRun(1000, func() {
			*c = upstream.Choice{Key: key}
			key++
			for p := g.Pick(c, 1000); p != nil; p = g.Pick(c, 1000) {
				g.Took(p, 5, 6)
				p.Release()
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkPickBy(b *testing.B) {
	names := []string{}
	for name := range methods {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			g := balanced(b, methods[name], equalServers(10)...)
			b.RunParallel(func(pb *testing.PB) {
				c := new(upstream.Choice)
				for key := uint64(0); pb.Next(); key++ {
					*c = upstream.Choice{Key: 3<<32 | key*0x9e3779b1&0xffffffff}
					g.Pick(c, 1000).Release()
				}
			})
		})
	}
}
