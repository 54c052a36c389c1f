package upstream

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func serverSpec(port int) ServerSpec {
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	return ServerSpec{
		Name: addr.String(), Addr: addr, Weight: 1,
		MaxFails: DefaultMaxFails, FailTimeoutMs: DefaultFailTimeoutMs,
	}
}

func TestSmoothCycleIsNginxOrder(t *testing.T) {
	for _, test := range []struct {
		weights []int
		want    string
	}{
		{[]int{5, 1, 1}, "aabacaa"},
		{[]int{1, 1, 1}, "abc"},
		{[]int{2, 1}, "aba"},
		{[]int{3, 2, 1}, "abacba"},
		{[]int{0, 1, 0}, "b"},
		{[]int{0}, ""},
	} {
		got := ""
		for _, i := range smoothCycle(test.weights) {
			got += string(rune('a' + i))
		}
		if got != test.want {
			t.Errorf("weights %v: order %s, want %s", test.weights, got, test.want)
		}
	}
}

func TestCycleWeights(t *testing.T) {
	for _, test := range []struct {
		weights []int
		want    []int
	}{
		{[]int{10, 20, 30}, []int{1, 2, 3}},
		{[]int{7}, []int{1}},
		{[]int{1 << 20, 1<<20 - 1}, []int{2048, 2048}},
		{[]int{1 << 20, 1}, []int{4096, 1}},
	} {
		members := make([]member, len(test.weights))
		for i, w := range test.weights {
			members[i].weight = w
		}
		if got := cycleWeights(members); fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("weights %v: scaled to %v, want %v", test.weights, got, test.want)
		}
	}
}

// The largest set there may be builds a bounded cycle that holds everybody.
func TestLargestCycle(t *testing.T) {
	members := make([]member, PeersMax)
	for i := range members {
		members[i].weight = 1 + i*251%WeightMax
	}
	cycle := smoothCycle(cycleWeights(members))
	if len(cycle) > 2*cycleMax {
		t.Errorf("the cycle has %d places, want at most %d", len(cycle), 2*cycleMax)
	}
	seen := map[uint16]bool{}
	for _, i := range cycle {
		seen[i] = true
	}
	if len(seen) != PeersMax {
		t.Errorf("the cycle holds %d of %d servers", len(seen), PeersMax)
	}
}

// Callers that find fail_timeout over at the same instant: one gets the probe.
func TestClaimIsExclusive(t *testing.T) {
	for range 5000 {
		m := member{peer: new(Peer), maxFails: 1, failTimeoutMs: 10}
		m.peer.failures.Store(1)
		var ready, claims atomic.Int32
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				ready.Add(1)
				for ready.Load() < 2 {
					runtime.Gosched()
				}
				if m.claim(1000) {
					claims.Add(1)
				}
			})
		}
		wg.Wait()
		if n := claims.Load(); n != 1 {
			t.Fatalf("%d probes, want 1", n)
		}
	}
}

// Reloads with ever changing addresses leave the registry bounded; a peer with live
// tunnels keeps its ID through all of them.
func TestRegistryIsBoundedOverReloads(t *testing.T) {
	reg := NewRegistry()
	build := func(reload int) *Group {
		spec := GroupSpec{Name: "b"}
		for i := range 4 {
			s := serverSpec(1 + i)
			s.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(reload >> 16), byte(reload >> 8), byte(reload)}),
				uint16(1+i))
			s.Name = s.Addr.String()
			spec.Servers = append(spec.Servers, s)
		}
		g, err := NewGroup(reg, spec)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	pinned := build(0).AppendPeers(nil)[2] // alone keeps nothing of its group alive
	pinned.Tunnels.Add(1)
	id := pinned.ID

	highest := 0
	for reload := 1; reload <= 100_000; reload++ {
		g := build(reload)
		highest = max(highest, len(*reg.slots.Load()))
		if reload%5000 == 0 {
			runtime.GC()
		}
		runtime.KeepAlive(g)
	}
	if reg.ByID(id) != pinned || !pinned.live() || pinned.Group != "b" {
		t.Fatal("the peer with a live tunnel lost its ID")
	}
	if highest > 100_000 {
		t.Errorf("the registry grew to %d slots over 100,000 reloads of 4 servers", highest)
	}
	pinned.Tunnels.Add(-1)
	shrunk := func() bool {
		runtime.GC()
		reg.mu.Lock()
		defer reg.mu.Unlock()
		reg.sweep()
		return reg.interned() == 0
	}
	for deadline := time.Now().Add(20 * time.Second); !shrunk(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d peers are left after every group is gone", reg.interned())
		}
	}
	if reg.ByID(id) != nil || len(reg.AppendPeers(nil)) != 0 || len(reg.byKey) != 0 {
		t.Error("a forgotten peer is still found")
	}
}
