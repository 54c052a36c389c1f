package upstream_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"holdfast/upstream"
)

// stickyGroup is a group whose servers have names to bind to.
func stickyGroup(t testing.TB, b upstream.Balance, servers ...upstream.ServerSpec) *upstream.Group {
	t.Helper()
	g, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{Name: "u", Balance: b, Servers: servers, Sticky: true})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// boundTries are the servers that one request bound to sid goes to, one after the other.
func boundTries(g *upstream.Group, sid string, nowMs int64) (order string) {
	c := keyed(3)
	for {
		g.Bind(&c, []byte(sid), nowMs)
		p := g.Pick(&c, nowMs)
		if p == nil {
			return order
		}
		p.Release()
		order += p.Name
	}
}

// sticky, the cookie's value: the MD5 sum of the address, or route= of the server.
func TestSIDIsTheSumOfTheAddressOrTheRoute(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("[::1]:8080")
	g := stickyGroup(t, upstream.Balance{},
		upstream.ServerSpec{Name: v4.String(), Addr: v4, Weight: 1},
		upstream.ServerSpec{Name: v6.String(), Addr: v6, Weight: 1},
		upstream.ServerSpec{Name: "unix:/run/a.sock", Unix: "/run/a.sock", Weight: 1},
		upstream.ServerSpec{Name: "unix:/run/b.sock", Unix: "/run/b.sock", Weight: 1, Route: "b"})
	want := []string{"b"}
	for _, text := range []string{"unix:/run/a.sock", "[::1]:8080", "127.0.0.1:8080"} {
		sum := md5.Sum([]byte(text))
		want = append([]string{hex.EncodeToString(sum[:])}, want...)
	}
	for i, p := range g.AppendPeers(nil) {
		if got := g.SID(p); got != want[i] {
			t.Errorf("%s is called %s, want %s", p.Name, got, want[i])
		}
	}
	if got := g.SID(&upstream.Peer{}); got != "" {
		t.Errorf("a stranger is called %s", got)
	}
	plain := balanced(t, upstream.Balance{}, equalServers(2)...)
	if got := plain.SID(plain.AppendPeers(nil)[0]); got != "" {
		t.Errorf("a server of a group without sticky is called %s", got)
	}
}

// sticky: bound requests go to their server with every method, others as if there were none.
func TestBind(t *testing.T) {
	for name, b := range methods {
		t.Run(name, func(t *testing.T) {
			servers := equalServers(6)
			for i := range servers {
				servers[i].Route = servers[i].Name + "!"
			}
			servers[1].Down, servers[2].Drain, servers[5].Backup = true, true, true
			g := stickyGroup(t, b, servers...)
			for _, letter := range []string{"a", "c", "d", "e", "f"} {
				order := boundTries(g, letter+"!", 1000)
				if order[:1] != letter || strings.Count(order, letter) != 1 {
					t.Errorf("bound to %s, went to %s", letter, order)
				}
			}
			for _, sid := range []string{"b!", "", "nobody", strings.Repeat("x", 1<<16), "a!\x00", "A!"} {
				if order := boundTries(g, sid, 1000); strings.ContainsAny(order, "bc") || len(order) != 4 {
					t.Errorf("with %.10q a request went to %s, want a, d, e, f in some order", sid, order)
				}
			}
			peerNamed(g, "d").Hold() // a health check has failed
			if order := boundTries(g, "d!", 1000); strings.Contains(order, "d") {
				t.Errorf("d is unhealthy; bound to it, went to %s", order)
			}
			peerNamed(g, "d").Unhold()
			g.Fail(peerNamed(g, "a"), 1000)
			if order := boundTries(g, "a!", 1000); strings.Contains(order, "a") {
				t.Errorf("a has failed; bound to it, went to %s", order)
			}
			if order := boundTries(g, "a!", 12_000); order[:1] != "a" {
				t.Errorf("a is asked again after fail_timeout; bound to it, went to %s", order)
			}
		})
	}
}

// A full server (max_conns) is passed over.
func TestBindToAFullServer(t *testing.T) {
	servers := equalServers(2)
	servers[0].MaxConns = 1
	g := stickyGroup(t, upstream.Balance{}, servers...)
	sid := g.SID(peerNamed(g, "a"))
	var c, d upstream.Choice
	g.Bind(&c, []byte(sid), 1000)
	g.Bind(&d, []byte(sid), 1000) // both before either is picked
	if p := g.Pick(&c, 1000); p.Name != "a" {
		t.Fatalf("picked %s", p.Name)
	}
	if p := g.Pick(&d, 1000); p.Name != "b" {
		t.Errorf("a has its one request, picked %s", p.Name)
	}
}

// The addresses of one server have its route= together: they get its requests in turn, and one
// stands in for another before strangers do.
func TestBindToNamesakes(t *testing.T) {
	servers := equalServers(6)
	for _, i := range []int{1, 3, 5} {
		servers[i].Route = "same"
	}
	servers[5].Backup = true
	g := stickyGroup(t, upstream.Balance{}, servers...)
	first := ""
	for range 6 {
		order := boundTries(g, "same", 1000)
		first += order[:1]
		if len(order) != 6 {
			t.Fatalf("went to %s, want every server once", order)
		}
		for _, letter := range "abcdef" {
			if strings.Count(order, string(letter)) != 1 {
				t.Fatalf("went to %s, want every server once", order)
			}
		}
		if order[:3] != "bdf" && order[:3] != "dbf" {
			t.Errorf("went to %s, want its namesakes next", order)
		}
	}
	if strings.Count(first, "b") != 3 || strings.Count(first, "d") != 3 {
		t.Errorf("six requests began at %s, want them in turn", first)
	}
}

// A group whose servers change knows those that are there.
func TestBindAfterSetServers(t *testing.T) {
	servers := equalServers(3)
	g := stickyGroup(t, upstream.Balance{}, servers...)
	sids := map[string]string{}
	for _, p := range g.AppendPeers(nil) {
		sids[p.Name] = g.SID(p)
	}
	var c upstream.Choice
	g.Bind(&c, []byte(sids["a"]), 1000)
	if _, err := g.SetServers(servers[1:]); err != nil {
		t.Fatal(err)
	}
	if p := g.Pick(&c, 1000); p == nil || p.Name == "a" {
		t.Errorf("a has gone, picked %v", p)
	}
	for letter, want := range map[string]string{"b": "b", "c": "c"} {
		if order := boundTries(g, sids[letter], 1000); order[:1] != want {
			t.Errorf("bound to %s, went to %s", letter, order)
		}
	}
}

func TestBindDoesNotAllocate(t *testing.T) {
	g := stickyGroup(t, upstream.Balance{}, equalServers(10)...)
	sid := []byte(g.SID(peerNamed(g, "c")))
	c := new(upstream.Choice)
	if n := testing.AllocsPerRun(1000, func() {
		*c = upstream.Choice{}
		g.Bind(c, sid, 1000)
		g.Pick(c, 1000).Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRouteTooLong(t *testing.T) {
	servers := equalServers(1)
	servers[0].Route = strings.Repeat("r", upstream.SIDMax+1)
	_, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{Name: "u", Servers: servers})
	if err == nil || !strings.Contains(err.Error(), "is longer than 32 bytes") {
		t.Errorf("error %v", err)
	}
}

// whose is the server of a session.
func whose(z *upstream.Sessions, id string, nowMs int64) string {
	return string(z.AppendSID(nil, upstream.NewSessionKey([]byte(id)), 1000, nowMs))
}

func learn(z *upstream.Sessions, id, sid string, create bool, nowMs int64) {
	z.Learn(upstream.NewSessionKey([]byte(id)), sid, create, 1000, nowMs)
}

// sticky learn: sessions are created by what create= yields, and found by lookup= until nobody
// has used them for timeout=.
func TestSessions(t *testing.T) {
	var store upstream.StickyStore
	z := store.Open("z", "u", 64<<10)
	learn(z, "one", "a", false, 0)
	if z.Len() != 0 {
		t.Error("a lookup has created a session")
	}
	learn(z, "one", "a", true, 0)
	learn(z, "two", "b", true, 500)
	if got := whose(z, "one", 1000) + whose(z, "two", 1000) + whose(z, "three", 1000); got != "ab" {
		t.Errorf("sessions are %q", got)
	}
	learn(z, "one", "c", false, 1000) // another server answered
	if got := whose(z, "one", 2000) + whose(z, "two", 2000); got != "c" {
		t.Errorf("sessions are %q, want c and nothing", got)
	}
	learn(z, "one", "", true, 2000) // a server that has gone meanwhile
	if got := whose(z, "one", 2001); got != "" {
		t.Errorf("the session lives on with %q", got)
	}
	learn(z, "four", "d", true, 9000)
	if n := z.Len(); n != 1 {
		t.Errorf("%d sessions, want the new one: others have expired", n)
	}
}

// A full zone forgets the session that was not used for the longest time.
func TestSessionsForgetTheOldest(t *testing.T) {
	var store upstream.StickyStore
	z := store.Open("z", "u", 32<<10)
	const held = 7 * 32 // seven pages
	for i := range held {
		learn(z, fmt.Sprint(i), "a", true, int64(i))
	}
	learn(z, "0", "b", false, held)
	for i := range 10 {
		learn(z, fmt.Sprint("new ", i), "a", true, held+int64(i))
	}
	if n := z.Len(); n != held {
		t.Errorf("%d sessions in 32 KiB, want %d", n, held)
	}
	for id, want := range map[string]string{"0": "b", "1": "", "10": "", "11": "a", "new 9": "a"} {
		if got := whose(z, id, held); got != want {
			t.Errorf("session %s is %q, want %q", id, got, want)
		}
	}
	if mega := store.Open("mega", "u", 1<<20); true {
		for i := range 20_000 {
			learn(mega, fmt.Sprint(i), "a", true, 0)
		}
		if n := mega.Len(); n < 7500 || n > 8200 {
			t.Errorf("%d sessions in a megabyte, want about 8,000", n)
		}
	}
}

// The zone of an earlier configuration goes on, unless its size or its upstream is another.
func TestOpenSessions(t *testing.T) {
	var store upstream.StickyStore
	learn(store.Open("z", "u", 64<<10), "one", "a", true, 0)
	for _, again := range []struct {
		name, group string
		size        int64
		want        string
	}{{"z", "u", 64 << 10, "a"}, {"z", "v", 64 << 10, ""}, {"z", "u", 128 << 10, ""}, {"y", "u", 64 << 10, ""}} {
		if got := whose(store.Open(again.name, again.group, again.size), "one", 0); got != again.want {
			t.Errorf("%+v: the session is %q", again, got)
		}
	}
	store.Stats("u").Hits.Add(2)
	if store.Stats("u").Hits.Load() != 2 || store.Stats("v").Hits.Load() != 0 {
		t.Error("counts do not belong to their upstream")
	}
}

// Sessions under many shards at once, with a zone that is too small for them.
func TestSessionsOfManyShards(t *testing.T) {
	var store upstream.StickyStore
	z := store.Open("z", "u", 128<<10)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 20_000 {
				n := (worker*7919 + i*31) % 3000
				sid := fmt.Sprint("s", n)
				learn(z, fmt.Sprint(n), sid, i%3 != 0, int64(i))
				if got := whose(z, fmt.Sprint(n), int64(i)); got != "" && got != sid {
					t.Errorf("session %d is %q", n, got)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := z.Len(); n == 0 || n > 1000 {
		t.Errorf("%d sessions in 128 KiB", n)
	}
}

func TestSessionsDoNotAllocate(t *testing.T) {
	var store upstream.StickyStore
	z := store.Open("z", "u", 32<<10)
	ids := make([][]byte, 1000)
	for i := range ids {
		ids[i] = fmt.Append(nil, i)
		learn(z, string(ids[i]), "a", true, 0)
	}
	sid, next := make([]byte, 0, upstream.SIDMax), 0
	if n := testing.AllocsPerRun(1000, func() {
		key := upstream.NewSessionKey(ids[next%len(ids)])
		next++
		z.Learn(key, "b", true, 1000, 1)
		sid = z.AppendSID(sid[:0], key, 1000, 1)
	}); n != 0 || string(sid) != "b" {
		t.Errorf("%v allocations, found %q", n, sid)
	}
}
