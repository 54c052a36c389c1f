package shard

import (
	"testing"

	"holdfast/observe"
	"holdfast/upstream"
)

// leave tells the shard that its one peer has left.
func (w *world) leave(policy RemovalPolicy, spreadMs int64) {
	w.sh.Remove(Removal{Gone: []*upstream.Peer{w.peer}, Policy: policy, SpreadMs: spreadMs})
}

// All tunnels to a peer that has left are ended, a part in each turn; none of what they are
// counted in is left.
func TestRemovedPeerClosesTunnels(t *testing.T) {
	w := newWorld(t, site{})
	const many = removalCloses + 50
	for range many {
		w.tunnel()
	}
	var turns uint64
	w.ask(func(sh *Shard) { turns = sh.counters.LoopTurns })
	w.leave(CloseTunnels, 0)
	w.eventually("all tunnels ended", func(sh *Shard) bool { return sh.counters.Tunnels == 0 })
	w.ask(func(sh *Shard) {
		if n := sh.counters.TunnelCloses[observe.ReasonPeerRemoved][observe.SideProxy]; n != many {
			t.Errorf("%d tunnels ended for that reason", n)
		}
		if sh.counters.LoopTurns < turns+2 {
			t.Error("all of them in one turn")
		}
	})
	if n := w.peer.Tunnels.Load(); n != 0 {
		t.Errorf("%d tunnels in the peer's account", n)
	}
	w.tunnel() // of a request that has chosen the peer before it left
	w.eventually("the late tunnel ended", func(sh *Shard) bool { return sh.counters.Tunnels == 0 })
}

// A drain ends one tunnel after the other, those of a client that says nothing too.
func TestRemovedPeerDrainsTunnels(t *testing.T) {
	w := newWorld(t, site{})
	const many = 30
	for range many {
		w.tunnel()
	}
	const hour = 3600_000
	w.leave(DrainTunnels, hour)
	w.ask(func(sh *Shard) {
		moments := map[int64]bool{}
		for slot := range uint32(many) {
			atMs := sh.leavesAt(sh.sessions.At(slot))
			moments[atMs] = true
			if atMs < sh.nowMs-60_000 || atMs > sh.nowMs+hour || !sh.sessions.At(slot).timer.Armed() {
				t.Errorf("tunnel %d ends at %d, now it is %d", slot, atMs, sh.nowMs)
			}
		}
		if len(moments) < many/2 {
			t.Errorf("%d moments for %d tunnels", len(moments), many)
		}
	})
	w.leave(DrainTunnels, 100)
	w.eventually("all tunnels ended", func(sh *Shard) bool { return sh.counters.Tunnels == 0 })
}

// A peer that comes back keeps its tunnels.
func TestRemovedPeerComesBack(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	w.leave(DrainTunnels, 3600_000)
	w.sh.Remove(Removal{Back: []*upstream.Peer{w.peer}})
	w.ask(func(sh *Shard) {
		if len(sh.leaving) != 0 || sh.leavesAt(only(sh)) != 0 {
			t.Errorf("%d peers are leaving", len(sh.leaving))
		}
	})
	down.send("\x81\x85\x00\x00\x00\x00hello")
	up.want("\x81\x85\x00\x00\x00\x00hello")
}

// Idle connections to a peer that has left are closed, and none becomes idle any more.
func TestRemovedPeerIdleConnections(t *testing.T) {
	w := newWorld(t, site{group: func(s *upstream.GroupSpec) { s.Keepalive = 4 }})
	exchange := func() {
		c := w.client()
		c.send(get("/"))
		u := w.upstream()
		u.head()
		u.send(okAnswer)
		c.status(200)
	}
	exchange()
	w.eventually("an idle connection", func(sh *Shard) bool { return sh.pooled.Len() == 1 })
	w.leave(KeepTunnels, 0)
	w.ask(func(sh *Shard) {
		if sh.pooled.Len() != 0 {
			t.Errorf("%d idle connections", sh.pooled.Len())
		}
	})
	exchange()
	w.eventually("its end", func(*Shard) bool { return w.peer.Connections.Load() == 0 })
}
