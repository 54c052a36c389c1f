package upstream_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"holdfast/upstream"
)

// server is a server line with nginx's defaults; its name is one letter by port.
func server(letter byte, weight int) upstream.ServerSpec {
	return upstream.ServerSpec{
		Name: string(letter), Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(letter)),
		Weight:   weight,
		MaxFails: upstream.DefaultMaxFails, FailTimeoutMs: upstream.DefaultFailTimeoutMs,
	}
}

func newGroup(t testing.TB, servers ...upstream.ServerSpec) *upstream.Group {
	t.Helper()
	g, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{Name: "backend", Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// picks is the order of n requests, a letter each; "-" where no peer was left.
func picks(g *upstream.Group, n int, nowMs int64) string {
	var order strings.Builder
	for range n {
		var c upstream.Choice
		order.WriteString(name(g.Pick(&c, nowMs)))
	}
	return order.String()
}

// tries is the order in which one request tries peers until none is left.
func tries(g *upstream.Group, nowMs int64) string {
	var c upstream.Choice
	var order strings.Builder
	for order.Len() < 10_000 {
		p := g.Pick(&c, nowMs)
		order.WriteString(name(p))
		if p == nil {
			break
		}
	}
	return order.String()
}

func name(p *upstream.Peer) string {
	if p == nil {
		return "-"
	}
	return p.Name
}

func peerNamed(g *upstream.Group, letter string) *upstream.Peer {
	for _, p := range g.AppendPeers(nil) {
		if p.Name == letter {
			return p
		}
	}
	return nil
}

func TestPickOrder(t *testing.T) {
	down := server('b', 3)
	down.Down = true
	backup := server('z', 1)
	backup.Backup = true
	for _, test := range []struct {
		name    string
		servers []upstream.ServerSpec
		want    string
	}{
		{"weights 5 1 1", []upstream.ServerSpec{server('a', 5), server('b', 1), server('c', 1)}, "aabacaaaabacaa"},
		{"equal", []upstream.ServerSpec{server('a', 4), server('b', 4)}, "abab"},
		{"one", []upstream.ServerSpec{server('a', 9)}, "aaa"},
		{"down is passed over", []upstream.ServerSpec{server('a', 1), down, server('c', 1)}, "acac"},
		{"backup waits", []upstream.ServerSpec{server('a', 1), backup}, "aaaa"},
		{"all down", []upstream.ServerSpec{down}, "--"},
		{"all down, backup", []upstream.ServerSpec{down, backup}, "zz"},
		{"twice the same", []upstream.ServerSpec{server('a', 1), server('b', 1), server('a', 1)}, "abaaba"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := picks(newGroup(t, test.servers...), len(test.want), 1000); got != test.want {
				t.Errorf("order %s, want %s", got, test.want)
			}
		})
	}
}

func TestOneRequestTriesEachPeerOnce(t *testing.T) {
	backup := server('z', 1)
	backup.Backup = true
	g := newGroup(t, server('a', 5), server('b', 1), server('c', 1), backup)
	if got := tries(g, 0); got != "abcz-" {
		t.Errorf("tried %s, want abcz-", got)
	}
	large := make([]upstream.ServerSpec, 300)
	for i := range large {
		large[i] = server('a', 1+i%3)
		large[i].Addr = netip.AddrPortFrom(large[i].Addr.Addr(), uint16(i+1))
		large[i].Name = fmt.Sprint(i, " ")
	}
	for n, want := range map[int]int{256: 256, 300: 256} {
		g := newGroup(t, large[:n]...)
		seen := map[string]bool{}
		tried := strings.Fields(strings.TrimSuffix(tries(g, 0), "-"))
		for _, peer := range tried {
			if seen[peer] {
				t.Fatalf("%d servers: %s was tried twice", n, peer)
			}
			seen[peer] = true
		}
		if len(tried) != want {
			t.Errorf("%d servers: %d were tried, want %d", n, len(tried), want)
		}
	}
}

func TestMaxFailsAndTheProbe(t *testing.T) {
	a, b := server('a', 1), server('b', 1)
	a.MaxFails = 2
	g := newGroup(t, a, b)
	peer := peerNamed(g, "a")
	const now = 50_000
	if g.Fail(peer, now) {
		t.Fatal("unavailable after one of two max_fails")
	}
	if got := picks(g, 4, now); got != "abab" {
		t.Fatalf("order %s after one of two max_fails, want abab", got)
	}
	if !g.Fail(peer, now+1000) || g.Available(peer, now+1000) {
		t.Fatal("still available after max_fails")
	}
	if got := picks(g, 4, now+11_000); got != "bbbb" {
		t.Fatalf("order %s within fail_timeout, want bbbb", got)
	}
	if !g.Available(peer, now+11_001) {
		t.Fatal("not available after fail_timeout")
	}
	if got := picks(g, 4, now+11_001); strings.Count(got, "a") != 1 {
		t.Fatalf("order %s after fail_timeout, want a exactly once: the probe", got)
	}
	// The probe fails: another fail_timeout.
	if !g.Fail(peer, now+12_000) {
		t.Fatal("a failed probe must keep it unavailable")
	}
	if got := picks(g, 4, now+22_000); got != "bbbb" {
		t.Fatalf("order %s after a failed probe, want bbbb", got)
	}
	// The probe succeeds: back at once.
	if got := picks(g, 2, now+22_001); strings.Count(got, "a") != 1 {
		t.Fatalf("order %s, want one probe", got)
	}
	g.OK(peer)
	if got := picks(g, 4, now+22_002); strings.Count(got, "a") != 2 {
		t.Fatalf("order %s after a good probe, want both in turn", got)
	}
	if n := peer.Fails.Load(); n != 3 {
		t.Errorf("Fails is %d, want 3", n)
	}
}

// Failures are forgotten by a success after a quiet fail_timeout, not by any success.
func TestSuccessWithinFailTimeoutKeepsFailures(t *testing.T) {
	a := server('a', 1)
	a.MaxFails = 2
	g := newGroup(t, a, server('b', 1))
	peer := peerNamed(g, "a")
	g.Fail(peer, 20_000)
	g.OK(peer)
	if !g.Fail(peer, 20_500) {
		t.Error("two failures half a second apart did not reach max_fails=2")
	}

	h := newGroup(t, a, server('b', 1))
	peer = peerNamed(h, "a")
	h.Fail(peer, 20_000)
	picks(h, 2, 40_000)
	h.OK(peer)
	if h.Fail(peer, 40_500) {
		t.Error("a failure 20 s ago still counts after a success")
	}
}

func TestMaxFailsZeroNeverFails(t *testing.T) {
	a := server('a', 1)
	a.MaxFails = 0
	g := newGroup(t, a, server('b', 1))
	for range 10 {
		if g.Fail(peerNamed(g, "a"), 1000) {
			t.Fatal("unavailable with max_fails=0")
		}
	}
	if got := picks(g, 4, 1000); got != "abab" {
		t.Errorf("order %s, want abab", got)
	}
}

func TestAllFailed(t *testing.T) {
	backup := server('z', 1)
	backup.Backup = true
	g := newGroup(t, server('a', 1), server('b', 1))
	withBackup := newGroup(t, server('a', 1), server('b', 1), backup)
	alone := newGroup(t, server('a', 1))
	for _, g := range []*upstream.Group{g, withBackup, alone} {
		g.Fail(peerNamed(g, "a"), 1000)
		if b := peerNamed(g, "b"); b != nil {
			g.Fail(b, 1000)
		}
	}
	if got := picks(g, 2, 2000); got != "--" {
		t.Errorf("two failed servers gave %s, want none", got)
	}
	if got := picks(withBackup, 2, 2000); got != "zz" {
		t.Errorf("with a backup: %s, want zz", got)
	}
	if got := picks(alone, 2, 2000); got != "aa" || !alone.Available(peerNamed(alone, "a"), 2000) {
		t.Errorf("the only server gave %s, want aa: max_fails is ignored", got)
	}
}

// The failures a peer brings along from before a reload do not take the only server out.
func TestFailedPeerBecomesTheOnlyOne(t *testing.T) {
	reg := upstream.NewRegistry()
	spec := upstream.GroupSpec{Name: "b", Servers: []upstream.ServerSpec{server('a', 1), server('b', 1)}}
	before, err := upstream.NewGroup(reg, spec)
	if err != nil {
		t.Fatal(err)
	}
	a := peerNamed(before, "a")
	before.Fail(a, 1000)
	spec.Servers = spec.Servers[:1]
	after, err := upstream.NewGroup(reg, spec)
	if err != nil {
		t.Fatal(err)
	}
	if got := picks(after, 2, 1001); got != "aa" || !after.Available(a, 1001) {
		t.Errorf("order %s, want aa", got)
	}
	if got := picks(before, 2, 1001); got != "bb" {
		t.Errorf("requests that began before the reload go %s, want bb", got)
	}
}

// A failed server's share goes to the others in proportion.
func TestShareOfAFailedServer(t *testing.T) {
	g := newGroup(t, server('a', 1), server('b', 1), server('c', 1), server('d', 1))
	g.Fail(peerNamed(g, "b"), 1000)
	order := picks(g, 3000, 1001)
	for _, letter := range []string{"a", "c", "d"} {
		if n := strings.Count(order, letter); n != 1000 {
			t.Errorf("%s got %d of 3000, want 1000", letter, n)
		}
	}
}

func TestConcurrentPicksStayEven(t *testing.T) {
	for _, test := range []struct {
		name    string
		weights []int
	}{
		{"ten equal", []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"weights", []int{5, 1, 1, 3, 10}},
		{"large weights", []int{100_000, 33_333, 7}},
	} {
		t.Run(test.name, func(t *testing.T) {
			servers := make([]upstream.ServerSpec, len(test.weights))
			sum := 0
			for i, w := range test.weights {
				servers[i] = server(byte('a'+i), w)
				sum += w
			}
			g := newGroup(t, servers...)
			const workers, each = 8, 12_500
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for range each {
						var c upstream.Choice
						g.Pick(&c, 1000).Requests.Add(1)
					}
				})
			}
			wg.Wait()
			for i, p := range g.AppendPeers(nil) {
				want := float64(workers*each) * float64(test.weights[i]) / float64(sum)
				got := float64(p.Requests.Load())
				// One cycle's rounding may be added for a very light server.
				if got > want*1.02+25 || got < want*0.98-25 {
					t.Errorf("%s got %v, want %v ± 2%%", p.Name, got, want)
				}
			}
		})
	}
}

// Of many shards that find fail_timeout over at once, one sends the probe.
func TestOneProbeAmongShards(t *testing.T) {
	g := newGroup(t, server('a', 1), server('b', 1))
	a := peerNamed(g, "a")
	for round := range int64(200) {
		now := 100_000 * (round + 1)
		g.Fail(a, now)
		before := a.Requests.Load()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					var c upstream.Choice
					g.Pick(&c, now+10_001).Requests.Add(1)
				}
			})
		}
		wg.Wait()
		if n := a.Requests.Load() - before; n != 1 {
			t.Fatalf("round %d: %d probes, want 1", round, n)
		}
	}
}

func TestPeerOutlivesReload(t *testing.T) {
	reg := upstream.NewRegistry()
	spec := upstream.GroupSpec{Name: "b", Servers: []upstream.ServerSpec{server('a', 1), server('b', 1)}}
	first, err := upstream.NewGroup(reg, spec)
	if err != nil {
		t.Fatal(err)
	}
	spec.Servers = append(spec.Servers[:1:1], server('c', 2))
	second, err := upstream.NewGroup(reg, spec)
	if err != nil {
		t.Fatal(err)
	}
	a := peerNamed(first, "a")
	if peerNamed(second, "a") != a || a.ID == 0 || reg.ByID(a.ID) != a {
		t.Error("the same address in the same group is not the same peer")
	}
	third, err := upstream.NewGroup(reg, upstream.GroupSpec{Name: "other", Servers: spec.Servers})
	if err != nil {
		t.Fatal(err)
	}
	if peerNamed(third, "a") == a {
		t.Error("two groups share a peer")
	}
	if reg.ByID(0) != nil || reg.ByID(1<<31) != nil {
		t.Error("an ID that was never given has a peer")
	}
	if second.Available(peerNamed(first, "b"), 0) {
		t.Error("a removed server is available")
	}
	if second.Fail(peerNamed(first, "b"), 0) {
		t.Error("a removed server became unavailable")
	}
}

func TestBadSpecs(t *testing.T) {
	backup := server('a', 1)
	backup.Backup = true
	light, unnamed, nowhere, both, zero := server('a', 0), server('a', 1), server('a', 1), server('a', 1), server('a', 1)
	unnamed.Name = ""
	nowhere.Addr = netip.AddrPort{}
	both.Unix = "/run/b.sock"
	zero.Addr = netip.AddrPortFrom(zero.Addr.Addr(), 0)
	for want, servers := range map[string][]upstream.ServerSpec{
		`upstream "b": no servers are inside upstream`: nil,
		"no servers are inside":                        {backup},
		"weight=0, must be 1 to":                       {light},
		"no name":                                      {unnamed},
		"needs either an address":                      {nowhere},
		`server "a": needs either`:                     {both},
		"port 0":                                       {zero},
		"at most 4096":                                 make4097(),
	} {
		_, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{Name: "b", Servers: servers})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

func make4097() []upstream.ServerSpec {
	servers := make([]upstream.ServerSpec, 4097)
	for i := range servers {
		servers[i] = server('a', 1)
	}
	return servers
}

func TestPickDoesNotAllocate(t *testing.T) {
	g := newGroup(t, server('a', 5), server('b', 1), server('c', 1))
	reg := upstream.NewRegistry()
	a := peerNamed(g, "a")
	c := new(upstream.Choice)
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		*c = upstream.Choice{}
		for p := g.Pick(c, now); p != nil; p = g.Pick(c, now) {
			g.OK(p)
		}
		g.Fail(a, now)
		reg.ByID(a.ID)
		now += 5000
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if size := unsafe.Sizeof(*c); size > 64 {
		t.Errorf("a Choice has %d bytes", size)
	}
}

func BenchmarkPick(b *testing.B) {
	g := newGroup(b, server('a', 5), server('b', 1), server('c', 1))
	b.RunParallel(func(pb *testing.PB) {
		c := new(upstream.Choice)
		for pb.Next() {
			*c = upstream.Choice{}
			g.Pick(c, 1000)
		}
	})
}
