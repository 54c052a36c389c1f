package shard

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"holdfast/route"
	"holdfast/upstream"
)

// herd is a world with several backends, which answer with their letter: a, b, c.
type herd struct {
	*world
	listeners []net.Listener
	sticky    *Sticky
}

// newHerd starts a world with that many servers and that sticky. change may change the servers.
func newHerd(t *testing.T, n int, spec *route.StickySpec, change func([]upstream.ServerSpec)) *herd {
	t.Helper()
	h := &herd{}
	recipe, err := route.NewCompiler(route.Process{}, nil).NewSticky(spec)
	if err != nil {
		t.Fatal(err)
	}
	store := &upstream.StickyStore{}
	h.sticky = &Sticky{Recipe: recipe, Stats: store.Stats("up"), TimeoutMs: 600_000}
	if spec.Cookie == nil && spec.Create != nil {
		h.sticky.Sessions = store.Open("z", "up", 64<<10)
	}
	var servers []upstream.ServerSpec
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		h.listeners = append(h.listeners, l)
		addr := l.Addr().(*net.TCPAddr).AddrPort()
		servers = append(servers, upstream.ServerSpec{
			Name: addr.String(), Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), Weight: 1, MaxFails: 1, FailTimeoutMs: 600_000,
		})
		go serveLetter(l, string(rune('a'+i)))
	}
	if change != nil {
		change(servers)
	}
	h.world = newWorld(t, site{
		group:   func(g *upstream.GroupSpec) { g.Servers, g.Sticky, g.Keepalive = servers, true, 0 },
		options: func(o *Options) { o.Snapshot.Balancing = []Balancing{{Sticky: h.sticky}} },
	})
	return h
}

// serveLetter answers every request with letter, a handshake with a 101. /set begins a session.
func serveLetter(l net.Listener, letter string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return
			}
			if r.Header.Get("Upgrade") != "" {
				_, _ = io.WriteString(c, strings.TrimSuffix(wsAnswer, "\r\n")+"X-Back: "+letter+"\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
				return
			}
			session := ""
			if r.URL.Path == "/set" {
				session = "Set-Cookie: sid=" + r.URL.Query().Get("sid") + "; path=/\r\n"
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sX-Back: %s\r\nContent-Length: 1\r\n\r\n%s", session, letter, letter)
		}()
	}
}

// request sends a head with a cookie on a connection of its own and tells who answered, and its cookie.
func (h *herd) request(head, cookie string) (back, set string, status int) {
	h.t.Helper()
	if cookie != "" {
		head = strings.TrimSuffix(head, "\r\n") + "Cookie: " + cookie + "\r\n\r\n"
	}
	c := h.client()
	c.send(head)
	resp, err := http.ReadResponse(c.r, nil)
	h.check(err)
	if resp.StatusCode != 101 {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	c.TCPConn.Close()
	return resp.Header.Get("X-Back"), resp.Header.Get("Set-Cookie"), resp.StatusCode
}

// backOf is the letter of who answers a GET.
func (h *herd) backOf(path, cookie string) string {
	h.t.Helper()
	back, _, status := h.request(get(path), cookie)
	if status != 200 {
		h.t.Fatalf("%s with %q: status %d", path, cookie, status)
	}
	return back
}

// counted compares what sticky has counted.
func (h *herd) counted(hits, misses, fresh uint64) {
	h.t.Helper()
	s := h.sticky.Stats
	if s.Hits.Load() != hits || s.Misses.Load() != misses || s.New.Load() != fresh {
		h.t.Errorf("hits %d, misses %d, new %d, want %d, %d, %d", s.Hits.Load(), s.Misses.Load(), s.New.Load(), hits, misses, fresh)
	}
}

var srvCookie = &route.StickySpec{Cookie: &route.StickyCookie{Name: "srv", ExpiresSec: route.StickySession}}

// sticky cookie: a client stays with the server whose name its cookie has, for requests and
// WebSockets; the cookie is set with every answer, a 101 among them.
func TestStickyCookieHoldsAClient(t *testing.T) {
	h := newHerd(t, 3, srvCookie, nil)
	cookies := map[string]string{}
	for range 3 {
		back, set, _ := h.request(get("/"), "")
		cookies[back] = set
	}
	if len(cookies) != 3 {
		t.Fatalf("three clients went to %v", cookies)
	}
	for back, cookie := range cookies {
		if !strings.HasPrefix(cookie, "srv=") || len(cookie) != len("srv=")+32 {
			t.Fatalf("cookie %q, want a sum in hexadecimal digits", cookie)
		}
		for range 3 {
			if got, set, _ := h.request(get("/"), "x=y; "+cookie); got != back || set != cookie {
				t.Errorf("bound to %s by %s, went to %s and got %s", back, cookie, got, set)
			}
			if got, set, status := h.request(wsAsk, cookie); status != 101 || got != back || set != cookie {
				t.Errorf("a WebSocket bound to %s went to %s (%d) and got %q", back, got, status, set)
			}
		}
	}
	_, set, status := h.request(wsAsk, "")
	if status != 101 || !strings.HasPrefix(set, "srv=") {
		t.Errorf("a WebSocket of a new client: %d, cookie %q", status, set)
	}
	h.counted(18, 0, 4)
}

// sticky: "if the designated server cannot process a request, the new server is selected", and the
// cookie names that one.
func TestStickyCookieOfAServerThatIsGone(t *testing.T) {
	h := newHerd(t, 2, srvCookie, func(s []upstream.ServerSpec) { s[0].Route, s[1].Route = "one", "two" })
	if got := h.backOf("/", "srv=one"); got != "a" {
		t.Fatalf("route=one is %s", got)
	}
	h.listeners[0].Close()
	for i := range 3 { // the first finds out, the others know
		if back, set, _ := h.request(get("/"), "srv=one"); back != "b" || set != "srv=two" {
			t.Errorf("request %d went to %s, cookie %q", i, back, set)
		}
	}
	if back, set, status := h.request(wsAsk, "srv=one"); status != 101 || back != "b" || set != "srv=two" {
		t.Errorf("a WebSocket went to %s (%d), cookie %q", back, status, set)
	}
	h.counted(2, 3, 0) // the first went to its server and failed there
	h.logged(h.errors, "connect() failed (111: Connection refused) while connecting to upstream")
}

// server … drain: only requests that are bound to it go there.
func TestStickyDrain(t *testing.T) {
	h := newHerd(t, 3, srvCookie, func(s []upstream.ServerSpec) { s[1].Route, s[1].Drain = "b", true })
	for range 6 {
		if got := h.backOf("/", ""); got == "b" {
			t.Error("a new client went to a server that drains")
		}
		if got := h.backOf("/", "srv=b"); got != "b" {
			t.Errorf("a client that is bound to b went to %s", got)
		}
	}
	h.counted(6, 0, 6)
}

// Cookies are the client's text: whatever they are, the request goes somewhere.
func TestStickyCookiesOfAttackers(t *testing.T) {
	h := newHerd(t, 2, srvCookie, func(s []upstream.ServerSpec) { s[0].Route = "one" })
	for _, value := range []string{
		"two", "ONE", "one%00", "one ", "\"one\"", strings.Repeat("A", 700), "../../etc", "\x80\xff", "one\ttwo",
	} {
		back, set, status := h.request(get("/"), "srv="+value)
		if status != 200 || back == "" || !strings.HasPrefix(set, "srv=") || len(set) > len("srv=")+32 {
			t.Errorf("%q: status %d of %q, cookie %q", value, status, back, set)
		}
	}
	if log := h.errors.String(); log != "" {
		t.Errorf("the error log has %s", log)
	}
}

// sticky route: the first variable that is not empty is compared with route= of the servers.
func TestStickyRoute(t *testing.T) {
	h := newHerd(t, 3, &route.StickySpec{Lookup: []string{"$cookie_r", "$arg_r"}},
		func(s []upstream.ServerSpec) { s[0].Route, s[1].Route, s[2].Route = "A", "B", "C" })
	for range 3 {
		if got := h.backOf("/?r=C", "r=B"); got != "b" {
			t.Errorf("the cookie says B, went to %s", got)
		}
		if got := h.backOf("/?r=C", ""); got != "c" {
			t.Errorf("the argument says C, went to %s", got)
		}
	}
	seen := map[string]bool{}
	for range 3 {
		back, set, _ := h.request(get("/?r=nobody"), "")
		seen[back] = true
		if set != "" {
			t.Errorf("sticky route has set the cookie %q", set)
		}
	}
	if len(seen) != 3 {
		t.Errorf("without a route requests went to %v", seen)
	}
	h.counted(6, 3, 0)
}

var learnSID = &route.StickySpec{Lookup: []string{"$cookie_sid", "$arg_s"}, Create: []string{"$upstream_cookie_sid"}}

// sticky learn: a session that a server has begun is found by the client's cookie from then on.
func TestStickyLearn(t *testing.T) {
	h := newHerd(t, 3, learnSID, nil)
	backs := map[string]string{}
	for i := range 6 {
		id := fmt.Sprint("session", i)
		backs[id] = h.backOf("/set?sid="+id, "")
	}
	if n := h.sticky.Sessions.Len(); n != 6 {
		t.Errorf("%d sessions, want 6", n)
	}
	for id, back := range backs {
		for range 2 {
			if got := h.backOf("/", "sid="+id); got != back {
				t.Errorf("%s belongs to %s, went to %s", id, back, got)
			}
			if got := h.backOf("/?s="+id, ""); got != back {
				t.Errorf("%s belongs to %s, went to %s by its argument", id, back, got)
			}
		}
		if got, _, status := h.request(wsAsk, "sid="+id); status != 101 || got != back {
			t.Errorf("%s belongs to %s, its WebSocket went to %s (%d)", id, back, got, status)
		}
	}
	h.backOf("/", "sid=unknown") // looking for a session creates none
	h.backOf("/", "sid="+strings.Repeat("x", 800))
	if n := h.sticky.Sessions.Len(); n != 6 {
		t.Errorf("%d sessions, want 6", n)
	}
	h.counted(6*5, 2, 6)
}

// sticky learn: where the session's server is gone another one takes over, and keeps it.
func TestStickyLearnMovesASession(t *testing.T) {
	h := newHerd(t, 2, learnSID, nil)
	back := h.backOf("/set?sid=one", "")
	other := map[string]string{"a": "b", "b": "a"}[back]
	h.listeners[back[0]-'a'].Close()
	for range 3 {
		if got := h.backOf("/", "sid=one"); got != other {
			t.Errorf("went to %s", got)
		}
	}
	h.counted(3, 0, 1) // the first went to its server and failed there, then the session moved
	h.logged(h.errors, "connect() failed (111: Connection refused) while connecting to upstream")
}

// sticky learn, timeout=: a session that nobody has used for so long is forgotten.
func TestStickyLearnTimeout(t *testing.T) {
	h := newHerd(t, 2, learnSID, nil)
	h.ask(func(*Shard) { h.sticky.TimeoutMs = -1 }) // less than no time
	h.backOf("/set?sid=one", "")
	h.backOf("/", "sid=one")
	h.counted(0, 1, 1)
}

// A group without sticky, behind one with it: its answers have no cookie.
func TestStickyEndsWithItsGroup(t *testing.T) {
	h := newHerd(t, 2, srvCookie, nil)
	c := h.client()
	for range 2 {
		c.send(get("/"))
		if set := c.status(200).Header.Get("Set-Cookie"); set == "" {
			t.Error("an answer of the group has no cookie")
		}
		c.send(get("/var?to=" + h.listeners[0].Addr().String()))
		if set := c.status(200).Header.Get("Set-Cookie"); set != "" {
			t.Errorf("an answer of another server has the cookie %q", set)
		}
		c.send(get("/own"))
		if set := c.status(200).Header.Get("Set-Cookie"); set != "" {
			t.Errorf("an answer of our own has the cookie %q", set)
		}
	}
}

// TestStickyDoesNotAllocate: neither a choice with a cookie nor one with a session does.
func TestStickyDoesNotAllocate(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:80")
	g, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{
		Name: "u", Sticky: true, Servers: []upstream.ServerSpec{{Name: addr.String(), Addr: addr, Weight: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]*route.StickySpec{
		"cookie": srvCookie, "learn": {Lookup: []string{"$remote_addr"}, Create: []string{"$remote_addr"}},
	} {
		recipe, err := route.NewCompiler(route.Process{}, nil).NewSticky(spec)
		if err != nil {
			t.Fatal(err)
		}
		store := &upstream.StickyStore{}
		st := &Sticky{Recipe: recipe, Stats: store.Stats("u"), Sessions: store.Open("z", "u", 64<<10), TimeoutMs: 1000}
		sh := &Shard{out: make([]byte, 0, 1<<10)}
		r := &Request{group: g, snapshot: &Snapshot{Groups: []*upstream.Group{g}, Balancing: []Balancing{{Sticky: st}}}}
		r.env.Reset()
		r.env.Remote = netip.MustParseAddrPort("203.0.113.9:1234")
		if n := testing.AllocsPerRun(1000, func() {
			r.choice = upstream.Choice{}
			p := sh.choose(r)
			sh.learn(r)
			sh.learnEnd(r)
			p.Release()
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
