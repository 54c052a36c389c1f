package shard

import (
	"bufio"
	"net/netip"
	"strings"
	"testing"

	"holdfast/observe"
	"holdfast/proxyproto"
	"holdfast/relay"
	"holdfast/route"
)

// newProxied is a world whose clients begin with the header of the PROXY protocol. Its
// upstream sees in X-From what is known of their addresses.
func newProxied(t *testing.T, st site) *world {
	t.Helper()
	st.headers = []route.SetHeader{
		{Name: "X-From", Value: "$remote_addr:$remote_port $realip_remote_addr $proxy_protocol_addr:$proxy_protocol_port"},
	}
	believe, before := route.NewRealIP(&route.RealIPSpec{From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}), st.set
	st.set = func(s *route.Settings) {
		s.RealIP = believe
		if before != nil {
			before(s)
		}
	}
	var w *world
	t.Cleanup(func() { // behind the shard's end
		if len(w.sh.proxied.of) != 0 {
			t.Errorf("%d headers at the end", len(w.sh.proxied.of))
		}
	})
	w = newWorld(t, st)
	change := func(sh *Shard) {
		sn := *sh.snapshot
		sn.Listeners = []ListenerInfo{{
			Addr: netip.MustParseAddrPort("127.0.0.1:80"), ProxyProtocol: true, ProxyHeaderMs: 30_000, HandshakeMs: 60_000,
		}}
		sh.snapshot = &sn
	}
	if st.paused {
		change(w.sh)
	} else {
		w.ask(change)
	}
	return w
}

const v1Header = "PROXY TCP4 192.0.2.9 198.51.100.1 4711 443\r\n"

// from is what the upstream is told, once it has the request's head.
func (c *conn) from() string {
	c.w.t.Helper()
	for line := range strings.Lines(c.head()) {
		if rest, ok := strings.CutPrefix(line, "X-From: "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func TestProxyHeaderThenRequests(t *testing.T) {
	source, destination := netip.MustParseAddrPort("[2001:db8::9]:4711"), netip.MustParseAddrPort("[2001:db8::1]:443")
	for name, c := range map[string]struct{ header, want string }{
		"v1":      {v1Header, "192.0.2.9:4711 127.0.0.1 192.0.2.9:4711"},
		"v2":      {string(proxyproto.AppendV2(nil, source, destination, nil)), "2001:db8::9:4711 127.0.0.1 2001:db8::9:4711"},
		"unknown": {"PROXY UNKNOWN\r\n", ""},
		"local":   {"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newProxied(t, site{})
			down := w.client()
			down.send(c.header + get("/a"))
			var up *conn
			for range 2 { // the second on a connection kept alive, on both sides
				if up == nil {
					up = w.upstream()
				}
				want := c.want
				if want == "" {
					want = down.LocalAddr().String() + " 127.0.0.1 :"
				}
				if got := up.from(); got != want {
					t.Errorf("the upstream is told %q, want %q", got, want)
				}
				up.send(okAnswer)
				down.status(200)
				down.send(get("/b"))
			}
			up.head()
		})
	}
}

func TestProxyHeaderInPieces(t *testing.T) {
	w := newProxied(t, site{})
	v2 := string(proxyproto.AppendV2(nil, netip.MustParseAddrPort("192.0.2.9:4711"), netip.MustParseAddrPort("192.0.2.1:1"),
		&proxyproto.Client{ALPN: "http/1.1", Authority: "a", Checksum: true}))
	for header, size := range map[string]int{v1Header: 1, v2: 5} {
		down := w.client()
		for left := header + "G"; left != ""; left = left[min(size, len(left)):] {
			down.send(left[:min(size, len(left))])
			down.delivered()
		}
		down.send(get("/own")[1:])
		down.status(200)
	}
}

// A header that does not come to an end keeps nobody busy: without an event nothing is
// tried again.
func TestProxyHeaderDoesNotSpin(t *testing.T) {
	w := newProxied(t, site{})
	down := w.client()
	down.send(v1Header[:20])
	down.delivered()
	w.state(ProxyHeader)
	w.eventually("the bytes were looked at", func(sh *Shard) bool { return only(sh).Down.Bits&relay.CanRead == 0 })
	turns := func() (n uint64) {
		w.ask(func(sh *Shard) { n = sh.counters.LoopTurns })
		return n
	}
	before := turns()
	for range 10 {
		turns()
	}
	if n := turns() - before; n > 40 {
		t.Errorf("%d turns while nothing came", n)
	}
	down.send(v1Header[20:] + get("/own"))
	down.status(200)
}

func TestProxyHeaderEnds(t *testing.T) {
	t.Run("timer", func(t *testing.T) {
		w := newProxied(t, site{})
		down := w.client()
		down.send(v1Header[:20])
		w.state(ProxyHeader)
		w.expireNow()
		down.ended()
		w.closes("handshake_timeout", "client")
	})
	t.Run("nothing sent", func(t *testing.T) {
		w := newProxied(t, site{})
		w.client().TCPConn.Close()
		w.closes("done", "client")
	})
	t.Run("a part of it", func(t *testing.T) {
		w := newProxied(t, site{})
		down := w.client()
		down.send(v1Header[:20])
		w.check(down.CloseWrite())
		down.ended()
		w.closes("aborted", "client")
		w.logged(w.errors, "client prematurely closed connection while reading PROXY protocol")
	})
	t.Run("reset", func(t *testing.T) {
		w := newProxied(t, site{})
		down := w.client()
		down.send(v1Header[:20])
		w.state(ProxyHeader)
		down.delivered()
		down.reset()
		w.closes("reset", "client")
	})
	t.Run("a request", func(t *testing.T) {
		w := newProxied(t, site{})
		down := w.client()
		down.send("GET /\"x HTTP/1.1\r\nHost: a\r\n\r\n")
		down.ended()
		w.closes("bad_request", "client")
		w.logged(w.errors, `broken header: "GET /\x22x HTTP/1.1\x0D\x0AHost: a\x0D\x0A\x0D\x0A" while reading PROXY protocol: `+
			`no signature, client: 127.0.0.1`)
	})
	t.Run("the end behind it", func(t *testing.T) {
		w := newProxied(t, site{})
		down := w.client()
		down.send(v1Header)
		w.check(down.CloseWrite())
		down.ended()
		w.closes("done", "client")
	})
}

// ended reads the connection's end, by FIN or reset.
func (c *conn) ended() {
	c.w.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		c.w.t.Fatalf("got %q, want the end", b)
	}
}

// closes waits for the one session to have ended for a reason.
func (w *world) closes(reason, side string) {
	w.t.Helper()
	w.empty()
	w.ask(func(sh *Shard) {
		for r := range sh.counters.SessionCloses {
			for s, n := range sh.counters.SessionCloses[r] {
				gotReason, gotSide := observe.CloseReason(r).String(), observe.Side(s).String()
				if n > 0 && (gotReason != reason || gotSide != side) {
					w.t.Errorf("%d closed with reason=%s side=%s, want %s, %s", n, gotReason, gotSide, reason, side)
				}
			}
		}
	})
}

func TestProxyHeaderAndATunnel(t *testing.T) {
	w := newProxied(t, site{})
	down := w.client()
	down.send(v1Header + wsAsk)
	up := w.upstream()
	if got, want := up.from(), "192.0.2.9:4711 127.0.0.1 192.0.2.9:4711"; got != want {
		t.Errorf("the upstream is told %q, want %q", got, want)
	}
	up.send(wsAnswer)
	down.head()
	w.state(Tunnel)
	w.ask(func(sh *Shard) {
		if len(sh.proxied.of) != 0 {
			t.Error("a tunnel keeps its header")
		}
	})
	down.send("\x81\x80....")
	up.want("\x81\x80....")
}

// The upstream's connection begins with a header, and serves one request.
func TestProxyHeaderGoesOut(t *testing.T) {
	for version, begin := range map[uint8]string{1: "PROXY TCP4 192.0.2.9 127.0.0.1 4711 80\r\n", 2: ""} {
		w := newProxied(t, site{})
		w.ask(func(sh *Shard) {
			sn := *sh.snapshot
			proxied := *locationOf(t, &sn, "/").Proxy
			proxied.ProxyProtocol = version
			locationOf(t, &sn, "/").Proxy = &proxied
		})
		if version == 2 {
			begin = string(proxyproto.AppendV2(nil, netip.MustParseAddrPort("192.0.2.9:4711"), netip.MustParseAddrPort("127.0.0.1:80"), nil))
		}
		down := w.client()
		down.send(v1Header)
		for range 2 {
			down.send(get("/a"))
			up := w.upstream()
			up.want(begin + "GET /a HTTP/1.1\r\n")
			up.head()
			up.send(okAnswer)
			down.status(200)
			up.end()
		}
		down.send(wsAsk)
		up := w.upstream()
		up.want(begin + "GET /ws HTTP/1.1\r\n")
		up.head()
		up.send(wsAnswer)
		down.head()
		down.send("\x81\x80....")
		up.want("\x81\x80....")
	}
}

// locationOf is a location of a snapshot's one server, to be changed by the shard's thread.
func locationOf(t *testing.T, sn *Snapshot, uri string) *route.Location {
	t.Helper()
	e := &route.Env{URI: []byte(uri)}
	l, _ := sn.Table.Default(0).Locate(e)
	if l == nil {
		t.Fatalf("no location %s", uri)
	}
	return l
}

// A shard that reads headers again and again has what it needs.
func TestProxyHeadersAreReused(t *testing.T) {
	w := newProxied(t, site{})
	for range 20 {
		down := w.client()
		down.send(v1Header + get("/own"))
		if _, err := bufio.NewReader(down).Peek(1); err != nil {
			t.Fatal(err)
		}
		down.TCPConn.Close()
		w.empty()
	}
	w.ask(func(sh *Shard) {
		if n := len(sh.proxied.of) + len(sh.proxied.spare); n > 1 {
			t.Errorf("%d headers for one connection at a time", n)
		}
	})
}
