package health

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/upstream"
)

var refused error = syscall.ECONNREFUSED

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

const (
	hostA = "192.0.2.1:80"
	hostB = "192.0.2.2:80"
	both  = hostA + " " + hostB
)

func wants(t *testing.T, g *upstream.Group, what, want string) {
	t.Helper()
	if got := picked(g); got != want {
		t.Errorf("%s: %q get requests, want %q", what, got, want)
	}
}

// after lets time pass, and what is then due be done.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestStates(t *testing.T) {
	for _, tc := range []struct {
		from   status
		got    string // results, + or -
		want   string // statuses after each: u, c, x
		checks Check
	}{
		{up, "+-+-", "uxux", Check{Fails: 1, Passes: 1}},
		{up, "--+---+++", "uuuuuxxxu", Check{Fails: 3, Passes: 3}},
		{up, "---++-+++", "uuxxxxxxu", Check{Fails: 3, Passes: 3}},
		{checking, "+", "u", Check{Fails: 1, Passes: 1}},
		{checking, "-+", "xu", Check{Fails: 1, Passes: 1}},
		{checking, "++-+-+++", "ccccccc" + "u", Check{Fails: 2, Passes: 3}},
		{checking, "--+++", "cxxxu", Check{Fails: 2, Passes: 3}},
	} {
		s, got := state{status: tc.from}, ""
		for _, r := range tc.got {
			was := s.status
			if changed := s.note(r == '+', &tc.checks); changed != (s.status != was) {
				t.Errorf("%s: changed is %v", tc.got, changed)
			}
			got += string("ucx"[s.status])
		}
		if got != tc.want {
			t.Errorf("%s with fails=%d passes=%d: %s, want %s", tc.got, tc.checks.Fails, tc.checks.Passes, got, tc.want)
		}
	}
}

// health_check: one failure makes a server unhealthy, one that passes healthy again, with
// nginx's lines in the log.
func TestUnhealthyAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBackends(), group(t, upstream.GroupSpec{}, hostA, hostB)
		b.is(hostA, answer(ok, false))
		b.is(hostB, answer(ok, false))
		s := b.set()
		defer s.Close()
		c := check(g)
		c.Match = "fine"
		s.Update([]*Check{c})
		after(2 * time.Second)
		wants(t, g, "both pass", both)
		if said := b.logged(); said != "" {
			t.Errorf("logged: %s", said)
		}
		peer := g.AppendPeers(nil)[0]
		if n := peer.Health.Checks.Load(); n < 1 || peer.Health.Fails.Load() != 0 || !peer.Health.LastPassed.Load() {
			t.Errorf("%d checks, %d fails", n, peer.Health.Fails.Load())
		}

		b.is(hostA, answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", false))
		after(time.Second)
		wants(t, g, "one fails", hostB)
		const where = `, health check "fine" of peer 192.0.2.1:80 in upstream "u"`
		if said, want := b.logged(), "[info] unexpected status code 503 while checking status code"+where+
			"\n[warn] peer is unhealthy while checking status code"+where; said != want {
			t.Errorf("logged %s, want %s", said, want)
		}
		if g.Available(peer, 1) || peer.Health.Unhealthy.Load() != 1 || peer.Health.Failing.Load() != 1 {
			t.Error("the peer does not count as unhealthy")
		}
		b.is(hostA, nil)
		after(time.Second)
		if said, want := b.logged(), "[error] connect() failed (111: Connection refused) while connecting to upstream"+where; said != want {
			t.Errorf("logged %s, want %s", said, want)
		}
		b.is(hostA, answer(ok, false))
		after(time.Second)
		wants(t, g, "it is back", both)
		if said, want := b.logged(), "[notice] peer is healthy while checking status code"+where; said != want {
			t.Errorf("logged %s, want %s", said, want)
		}
		if !g.Available(peer, 1) || peer.Health.Failing.Load() != 0 {
			t.Error("the peer counts as unhealthy")
		}
	})
}

// The only server of a group is held back too, and so is one that a request is bound to.
func TestUnhealthyOnlyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBackends(), group(t, upstream.GroupSpec{}, hostA)
		s := b.set()
		defer s.Close()
		s.Update([]*Check{check(g)})
		wants(t, g, "before the first check", hostA)
		after(time.Second)
		wants(t, g, "after it", "")
		c := upstream.Choice{Prefer: g.AppendPeers(nil)[0].ID}
		if p := g.Pick(&c, 1); p != nil {
			t.Error("picked because a request is bound to it")
		}
	})
}

// slow_start: a server that was unhealthy comes back at a part of its weight.
func TestRecoveredServerRamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackends()
		spec := upstream.GroupSpec{Servers: []upstream.ServerSpec{server(hostA), server(hostB)}}
		spec.Servers[0].SlowStartMs = 100_000
		g := group(t, spec)
		b.is(hostB, answer(ok, false))
		s := b.set()
		defer s.Close()
		s.Update([]*Check{check(g)})
		after(time.Second)
		wants(t, g, "one is dead", hostB)
		b.is(hostA, answer(ok, false))
		after(time.Second)
		share := func() (n int) {
			for range 1000 {
				c := upstream.Choice{}
				p := g.Pick(&c, time.Now().UnixMilli())
				p.Release()
				if p.Name == hostA {
					n++
				}
			}
			return n
		}
		if n := share(); n > 50 {
			t.Errorf("%d of 1000 at once", n)
		}
		after(50 * time.Second)
		if n := share(); n < 250 || n > 420 { // half the weight: a third
			t.Errorf("%d of 1000 with half the weight", n)
		}
		after(60 * time.Second)
		if n := share(); n < 480 || n > 520 {
			t.Errorf("%d of 1000 in the end", n)
		}
	})
}

// mandatory: no requests before a server has passed, also one that joins later.
func TestMandatory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBackends(), group(t, upstream.GroupSpec{Mandatory: true}, hostA)
		wants(t, g, "before there are checks", "")
		gate := make(chan bool)
		b.is(hostA, func(c net.Conn) {
			<-gate
			answer(ok, false)(c)
		})
		s := b.set()
		defer s.Close()
		c := check(g)
		c.Mandatory = true
		s.Update([]*Check{c})
		wants(t, g, "before the first check", "")
		if peer := g.AppendPeers(nil)[0]; peer.Health.Checking.Load() != 1 {
			t.Error("it does not count as being checked")
		}
		close(gate)
		after(0)
		wants(t, g, "after it", hostA)
		if said := b.logged(); said != "" {
			t.Errorf("logged: %s", said)
		}
		if _, err := g.SetServers([]upstream.ServerSpec{server(hostA), server(hostB)}); err != nil {
			t.Fatal(err)
		}
		wants(t, g, "with a new server", hostA) // a dead one, so this does not depend on whether it was checked
		after(0)
		wants(t, g, "that is dead", hostA)
		b.is(hostB, answer(ok, false))
		after(time.Second)
		wants(t, g, "and passes", both)
		if _, err := g.SetServers([]upstream.ServerSpec{server(hostB)}); err != nil {
			t.Fatal(err)
		}
		before := b.dialled(hostA)
		after(5 * time.Second)
		if n := b.dialled(hostA); n != before {
			t.Errorf("%d checks of a server that has left", n-before)
		}
		wants(t, g, "one has left", hostB)
	})
}

// The next configuration: what is known holds on, but for mandatory without persistent.
func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackends()
		reg := upstream.NewRegistry()
		next := func(mandatory bool) *upstream.Group {
			g, err := upstream.NewGroup(reg, upstream.GroupSpec{
				Name: "u", Mandatory: mandatory, Servers: []upstream.ServerSpec{server(hostA), server(hostB)},
			})
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		s := b.set()
		defer s.Close()
		b.is(hostA, answer(ok, false))
		g := next(false)
		s.Update([]*Check{check(g)})
		after(time.Second)
		wants(t, g, "at first", hostA)

		g = next(false)
		s.Update([]*Check{check(g)})
		wants(t, g, "the same check", hostA)

		g = next(true)
		c := check(g)
		c.Mandatory, c.Persistent, c.Key = true, true, "p"
		s.Update([]*Check{c})
		wants(t, g, "persistent", hostA)

		g = next(true)
		c = check(g)
		c.Mandatory, c.Key = true, "m"
		s.Update([]*Check{c})
		after(0)
		wants(t, g, "it has passed", hostA)
		again := *c
		gate := make(chan bool)
		b.is(hostA, func(c net.Conn) {
			<-gate
			answer(ok, false)(c)
		})
		s.Update([]*Check{&again})
		wants(t, g, "mandatory anew", "")
		close(gate)
		after(0)
		wants(t, g, "passed anew", hostA)

		s.Update(nil)
		g = next(false)
		wants(t, g, "without checks", both)
		for _, p := range g.AppendPeers(nil) {
			h := &p.Health
			if h.Checkers.Load() != 0 || h.Checking.Load() != 0 || h.Failing.Load() != 0 {
				t.Errorf("%s: %d checkers, %d checking, %d failing", p.Name, h.Checkers.Load(), h.Checking.Load(), h.Failing.Load())
			}
		}
		g = next(true)
		wants(t, g, "unseen again", "")
	})
}

// Several checks of one group: a failure of any makes a server unhealthy.
func TestSeveralChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBackends(), group(t, upstream.GroupSpec{}, hostA, hostB)
		for _, h := range []string{hostA, hostB, "192.0.2.1:81"} {
			b.is(h, answer(ok, false))
		}
		s := b.set()
		defer s.Close()
		second := check(g)
		second.Key, second.Port = "second", 81
		s.Update([]*Check{check(g), check(g), second})
		after(time.Second)
		wants(t, g, "one of two", hostA)
		if said := b.logged(); !strings.Contains(said, `of peer 192.0.2.2:80 in upstream "u", port 81`) {
			t.Errorf("logged %s", said)
		}
		if n := g.AppendPeers(nil)[0].Health.Checkers.Load(); n != 2 {
			t.Errorf("%d checks, want 2: two are the same", n)
		}
		b.is("192.0.2.2:81", answer(ok, false))
		after(time.Second)
		wants(t, g, "both of two", both)
	})
}

// No more than so many checks are made at a time, however many servers hang; the others have
// their turn.
func TestChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackends()
		var hosts []string
		for i := range 1000 {
			hosts = append(hosts, fmt.Sprintf("192.0.2.%d:%d", i%100+1, i/100+1))
			b.is(hosts[i], hang)
		}
		g := group(t, upstream.GroupSpec{}, hosts...)
		s := b.set()
		defer s.Close()
		c := check(g)
		c.Timeout = 2 * time.Second
		s.Update([]*Check{c})
		after(9 * time.Second)
		for _, p := range g.AppendPeers(nil) {
			if p.Health.Fails.Load() == 0 {
				t.Fatalf("%s was not checked", p.Name)
			}
		}
		if b.most > activeMax || b.most < activeMax/2 {
			t.Errorf("%d checks at a time, want at most %d", b.most, activeMax)
		}
		if said := b.logged(); !strings.Contains(said,
			"[error] upstream timed out (110: Connection timed out) while reading response header from upstream, health check") {
			t.Errorf("logged %.300s", said)
		}
	})
}

// jitter= adds to the interval, and nothing is checked twice at a time.
func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBackends(), group(t, upstream.GroupSpec{}, hostA)
		b.is(hostA, answer(ok, false))
		s := b.set()
		defer s.Close()
		c := check(g)
		s.Update([]*Check{c})
		after(100 * time.Second)
		if n := b.dialled(hostA); n != 100 && n != 101 {
			t.Errorf("%d checks in 100 s, want 100", n)
		}
		jittered := *c
		jittered.Jitter = 2 * time.Second
		jittered.Key = "jittered"
		s.Update([]*Check{&jittered})
		before := b.dialled(hostA)
		after(200 * time.Second)
		if n := b.dialled(hostA) - before; n < 75 || n > 130 {
			t.Errorf("%d checks in 200 s, want about 100", n)
		}
		b.is(hostA, hang)
		after(time.Minute)
		before = b.dialled(hostA)
		after(5 * time.Minute)
		if n := b.dialled(hostA) - before; n > 6 {
			t.Errorf("%d checks of a server that hangs in 5 minutes", n)
		}
	})
}

// Close ends what is under way.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBackends(), group(t, upstream.GroupSpec{}, hostA)
		b.is(hostA, hang)
		s := b.set()
		s.Update([]*Check{check(g)})
		after(2 * time.Second)
		s.Close()
		s.Update([]*Check{check(g)})
		after(time.Hour)
		if n := b.dialled(hostA); n != 1 || b.logged() != "" {
			t.Errorf("%d checks", n)
		}
	})
}
