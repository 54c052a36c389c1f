package upstream_test

import (
	"sync/atomic"
	"testing"

	"holdfast/upstream"
)

// Every method passes over servers that a health check holds, and comes back to them.
func TestHeldPeersAreNotPicked(t *testing.T) {
	for method := upstream.RoundRobin; method <= upstream.RandomTwo; method++ {
		g := balanced(t, upstream.Balance{Method: method}, equalServers(4)...)
		held := g.AppendPeers(nil)[1]
		picks := func() (n int) {
			for key := range 400 {
				c := keyed(key)
				if key%2 == 0 {
					c.Prefer = held.ID
				}
				p := g.Pick(&c, 1)
				if p == held {
					n++
				}
				p.Release()
			}
			return n
		}
		held.Hold()
		held.Hold()
		held.Unhold()
		if n := picks(); n != 0 || g.Available(held, 1) || g.Healthy(held) {
			t.Errorf("method %d: a server that is held got %d of 400", method, n)
		}
		held.Unhold()
		if n := picks(); n < 200 || !g.Available(held, 1) || !g.Healthy(held) {
			t.Errorf("method %d: a server that is not held any more got %d of 400", method, n)
		}
	}
}

// mandatory: servers that no check has seen get nothing, those of a group without it do.
func TestUnseenPeersOfMandatoryGroup(t *testing.T) {
	reg := upstream.NewRegistry()
	build := func(mandatory bool) *upstream.Group {
		g, err := upstream.NewGroup(reg, upstream.GroupSpec{Name: "g", Mandatory: mandatory, Servers: equalServers(2)})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g, other := build(true), build(false)
	first := g.AppendPeers(nil)[0]
	if got := tries(g, 1); got != "-" {
		t.Errorf("%q are picked", got)
	}
	if n := len(g.AppendChecked(nil)); n != 2 {
		t.Errorf("%d are to be checked", n)
	}
	c := upstream.Choice{}
	if p := other.Pick(&c, 1); p == nil {
		t.Error("the other group has no server")
	}
	first.See()
	c = upstream.Choice{}
	if p := g.Pick(&c, 1); p != first {
		t.Errorf("picked %v", p)
	}
	if p := g.Pick(&c, 1); p != nil {
		t.Errorf("picked %s, which nobody has seen", p.Name)
	}
	first.Hold()
	c = upstream.Choice{}
	if p := g.Pick(&c, 1); p != nil {
		t.Errorf("picked %s, which is held", p.Name)
	}
	first.Unsee()
	first.Unhold()
	if p := g.Pick(&c, 1); p != nil {
		t.Errorf("picked %s, which is unseen again", p.Name)
	}
}

func TestWatch(t *testing.T) {
	g := newGroup(t, server('a', 1))
	var told atomic.Int32
	g.Watch(func() { told.Add(1) })
	for range 2 {
		if _, err := g.SetServers([]upstream.ServerSpec{server('a', 1), server('b', 1)}); err != nil {
			t.Fatal(err)
		}
	}
	g.Watch(nil)
	if _, err := g.SetServers([]upstream.ServerSpec{server('a', 1)}); err != nil {
		t.Fatal(err)
	}
	if n := told.Load(); n != 2 {
		t.Errorf("told %d times, want 2", n)
	}
	down := server('b', 1)
	down.Down = true
	if _, err := g.SetServers([]upstream.ServerSpec{server('a', 1), down}); err != nil {
		t.Fatal(err)
	}
	if n := len(g.AppendChecked(nil)); n != 1 {
		t.Errorf("%d are checked, want 1: one is down", n)
	}
}
