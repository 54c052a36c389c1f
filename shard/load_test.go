package shard

import (
	"sync/atomic"
	"testing"
)

// The load follows the sessions turn by turn, and says when a shard takes none.
func TestLoadIsPublished(t *testing.T) {
	w := newWorld(t, site{paused: true})
	var load atomic.Uint64
	w.sh.opt.Load = &load
	want := func(when string, sessions, accepted uint64) {
		t.Helper()
		if got := load.Load(); got != sessions<<32|accepted {
			t.Errorf("%s the load is %d with %d accepted, want %d and %d", when, got>>32, uint32(got), sessions, accepted)
		}
	}
	first := w.client()
	w.turnUntil(func() bool { return w.sh.counters.Accepted == 1 })
	want("after one connection", 1, 1)
	w.client()
	w.turnUntil(func() bool { return w.sh.counters.Accepted == 2 })
	want("after two connections", 2, 2)
	first.Close()
	w.turnUntil(func() bool { return w.sh.sessions.Len() == 1 })
	want("after one has left", 1, 2)

	// As after an accept that found no descriptor.
	w.sh.listeners[0].paused, w.sh.acceptPaused = true, true
	w.sh.poller.Wake()
	w.sh.turn()
	want("while accepting pauses", LoadUnavailable, 2)
	w.sh.retryAccept()
	w.sh.poller.Wake()
	w.sh.turn()
	want("when accepting goes on", 1, 2)

	w.sh.beginQuit()
	w.sh.poller.Wake()
	w.sh.turn()
	want("at the end", LoadUnavailable, 2)
}
