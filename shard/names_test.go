package shard

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"holdfast/route"
	"holdfast/upstream"
)

func TestAdHocGroupsAreBounded(t *testing.T) {
	var a adHocGroups
	name := func(i int) string { return fmt.Sprintf("name%d:80#1", i) }
	for i := range adHocMax {
		a.put(&adHocGroup{key: name(i)})
	}
	for i := range 100 { // the first ones are in use
		if a.get([]byte(name(i))) == nil {
			t.Fatalf("%d is not there", i)
		}
	}
	for i := range adHocMax - 100 {
		a.put(&adHocGroup{key: name(adHocMax + i)})
	}
	if a.len() != adHocMax {
		t.Errorf("%d groups", a.len())
	}
	for i := range 2*adHocMax - 100 {
		want := i < 100 || i >= adHocMax
		if got := a.byKey[name(i)] != nil; got != want {
			t.Fatalf("%d is there: %v", i, got)
		}
	}
	again := &adHocGroup{key: name(5)}
	a.put(again)
	if a.len() != adHocMax || a.get([]byte(name(5))) != again {
		t.Error("a group does not take the place of the one before it")
	}
	count := 0
	for g := a.oldest; g != nil; g = g.newer {
		count++
	}
	for g := a.newest; g != nil; g = g.older {
		count++
	}
	if count != 2*adHocMax {
		t.Errorf("the lists have %d links", count)
	}
}

// A name keeps its group as long as it stands for the same, and its peers even beyond that.
func TestNamedGroup(t *testing.T) {
	w := newWorld(t, site{})
	answer := func(texts ...string) *upstream.Answer {
		a := &upstream.Answer{Valid: 1}
		for _, text := range texts {
			a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
		}
		return a
	}
	w.ask(func(sh *Shard) {
		wait := &nameWait{key: "a.test:80#1", name: "a.test", port: 80, resolver: &upstream.Resolver{}}
		first := sh.namedGroup(wait, answer("192.0.2.1", "192.0.2.2"))
		if sh.namedGroup(wait, answer("192.0.2.1", "192.0.2.2")) != first {
			t.Error("the same answer gives another group")
		}
		second := sh.namedGroup(wait, answer("192.0.2.2", "192.0.2.3"))
		one, two := first.AppendPeers(nil), second.AppendPeers(nil)
		if second == first || len(one) != 2 || len(two) != 2 || one[1] != two[0] || one[0] == two[1] {
			t.Errorf("peers %v and %v", one, two)
		}
		if first.Name != "a.test:80" {
			t.Errorf("it is called %q", first.Name)
		}
		wait.port = 0
		if sh.namedGroup(wait, answer("192.0.2.9")) != nil {
			t.Error("port 0 was taken")
		}
	})
}

func TestAdHocKey(t *testing.T) {
	for want, target := range map[string]route.Endpoint{
		"a.test:80":   {Host: []byte("A.Test"), Port: []byte("80")},
		"[::1]:443":   {Host: []byte("[::1]"), Port: []byte("443")},
		"unix:/Tmp/S": {Unix: []byte("/Tmp/S")},
	} {
		if got := string(adHocKey(nil, &target)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// However many waited for one name, a turn serves a part of them.
func TestLandingsInParts(t *testing.T) {
	w := newWorld(t, site{})
	const many = 10*landingsMax + 7
	w.ask(func(sh *Shard) {
		for range many {
			sh.landed(&nameWait{}, &upstream.Answer{}) // of sessions that have gone
		}
		if n := len(sh.landings.waiting); n < many-2*landingsMax {
			t.Errorf("%d of %d wait", n, many)
		}
	})
	w.eventually("all were served", func(sh *Shard) bool { return len(sh.landings.waiting) == 0 })
}

// Names that clients make up leave no peers behind once their groups are forgotten.
func TestAdHocPeersAreForgotten(t *testing.T) {
	w := newWorld(t, site{})
	const many = 4 * adHocMax
	w.ask(func(sh *Shard) {
		for i := range many {
			addr := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
			wait := &nameWait{key: fmt.Sprintf("name%d:80#1", i), port: 80, resolver: &upstream.Resolver{}}
			if sh.namedGroup(wait, &upstream.Answer{Addrs: []netip.Addr{addr}}) == nil {
				t.Error("no group")
				return
			}
		}
	})
	w.eventually("the peers of forgotten groups are gone", func(sh *Shard) bool {
		runtime.GC()
		return len(sh.opt.Peers.AppendPeers(nil)) <= adHocMax+1 // and the world's own
	})
}
