package shard

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/relay"
	"holdfast/route"
	"holdfast/upstream"
)

// place is a location of a rig's server. at begins with "=" or "@" for those kinds.
type place struct {
	at            string
	set           func(*route.Settings)
	pages         []route.ErrorPageSpec
	up            int // 1: the world's upstream, 2: the rig's second one; 0: files or code
	minor         uint8
	url           string
	code          int
	text          string
	root          string
	alias         bool
	index, tries  []string
	otherwise     string // the last argument of try_files
	insideOnly    bool
	proxySetField []route.SetHeader
	spec          func(*route.ProxySpec)
	rewrite       func(*route.RewriteBuilder) error
}

// rig is a world with locations of the test's own and two upstreams.
type rig struct {
	*world
	tls   legs
	other *net.TCPListener
	peer2 *upstream.Peer
}

func newRig(t testing.TB, st site, places ...place) *rig {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, st)
	r := &rig{world: w, other: l, tls: st.tls}
	t.Cleanup(func() { l.Close() })
	c := route.NewCompiler(route.Process{PID: 1, Hostname: "box", Version: "0"}, nil)
	line, err := c.Compile(testFormat)
	w.check(err)
	var groups []*upstream.Group
	for i, back := range []*net.TCPListener{w.back, l} {
		addr := back.Addr().(*net.TCPAddr).AddrPort()
		if st.tls.up {
			_, addr = secureBack(t, st.tls, addr)
		}
		spec := upstream.GroupSpec{
			Name: []string{"up", "other"}[i], Keepalive: 32, KeepaliveRequests: 1000, KeepaliveTimeoutMs: 60_000,
			KeepaliveTimeMs: 3600_000,
			Servers:         []upstream.ServerSpec{{Name: addr.String(), Addr: addr, Weight: 1, MaxFails: 1, FailTimeoutMs: 10_000}},
		}
		if st.group != nil {
			st.group(&spec)
		}
		g, err := upstream.NewGroup(w.sh.opt.Peers, spec)
		w.check(err)
		groups = append(groups, g)
	}
	w.peer, r.peer2 = groups[0].AppendPeers(nil)[0], groups[1].AppendPeers(nil)[0]
	base := defaultSettings(w.sh.opt.Policies, st.policy)
	base.AccessLogs = []route.LogRef{{File: 0, Format: &route.LogFormat{Line: line}}}
	if st.set != nil {
		st.set(&base)
	}
	var specs []route.LocationSpec
	for i := range places {
		specs = append(specs, r.location(c, &places[i], base))
	}
	b := route.NewBuilder(c, 1)
	_, err = b.AddServer(&route.ServerSpec{
		Names: []route.ServerName{{Text: "a"}}, Listens: []route.ListenUse{{}}, Settings: base, Locations: specs,
	})
	w.check(err)
	w.sh.Use(&Snapshot{
		Table: b.Table(), Groups: groups, GroupByName: map[string]*upstream.Group{"up": groups[0], "other": groups[1]},
		Listeners: []ListenerInfo{st.tls.listener()}, UpstreamTLS: st.tls.upstreams(c),
		Zones: w.sh.opt.Snapshot.Zones, RateZones: w.sh.opt.Snapshot.RateZones,
	})
	if !st.paused {
		w.ask(func(*Shard) {})
	}
	return r
}

func (r *rig) location(c *route.Compiler, p *place, base route.Settings) route.LocationSpec {
	l := &route.Location{Settings: base, Internal: p.insideOnly}
	spec := route.LocationSpec{Modifier: route.Prefix, Pattern: p.at, Location: l}
	switch p.at[0] {
	case '=':
		spec.Modifier, spec.Pattern = route.Exact, p.at[1:]
	case '@':
		spec.Modifier = route.NamedLocation
	}
	var err error
	l.Settings.ErrorPages, err = c.NewErrorPages(p.pages)
	r.check(err)
	if p.set != nil {
		p.set(&l.Settings)
	}
	if p.up > 0 {
		url := p.url
		if url == "" {
			url = []string{"http://up", "http://other"}[p.up-1]
		}
		pass := route.ProxySpec{
			URL: url, Minor: 1 - p.minor, Modifier: spec.Modifier, Pattern: spec.Pattern, Group: p.up - 1,
			SetHeaders: p.proxySetField,
		}
		if p.spec != nil {
			p.spec(&pass)
		}
		l.Proxy, err = c.NewProxy(&pass)
		l.Proxy.TLS = r.tls.proxyTLS()
		r.check(err)
	}
	if p.code != 0 {
		l.Rewrite, err = returning(c, p.code, p.text)
		r.check(err)
	}
	if p.rewrite != nil {
		b := c.NewRewrite()
		r.check(p.rewrite(b))
		l.Rewrite = b.Rewrite()
	}
	if p.root != "" {
		l.Static, err = c.NewStatic(&route.StaticSpec{
			Root: p.root, Alias: p.alias, Modifier: spec.Modifier, Pattern: spec.Pattern, Index: p.index, TryFiles: p.tries,
		})
		r.check(err)
	}
	if p.otherwise != "" {
		l.TryElse, err = c.NewTryElse(p.otherwise)
		r.check(err)
	}
	return spec
}

// upstream2 takes the next connection to the second upstream.
func (r *rig) upstream2() *conn {
	r.t.Helper()
	_ = r.other.SetDeadline(time.Now().Add(deadline))
	return r.wrap(r.other.Accept())
}

// page is one error_page that keeps the status.
func page(target string, statuses ...int) route.ErrorPageSpec {
	return route.ErrorPageSpec{Statuses: statuses, Overwrite: route.KeepStatus, Target: target}
}

// pageAs is error_page with "=status".
func pageAs(status int, target string, statuses ...int) route.ErrorPageSpec {
	return route.ErrorPageSpec{Statuses: statuses, Overwrite: status, Target: target}
}

// nothingMore fails if a byte comes before the other side's next answer: it asks the
// shard twice, so that whatever is to be written has been.
func (c *conn) nothingMore() {
	c.w.t.Helper()
	for range 3 {
		c.w.ask(func(*Shard) {})
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	b, err := c.r.ReadByte()
	if err == nil {
		rest, _ := c.r.Peek(c.r.Buffered())
		c.w.t.Errorf("unexpected bytes %q", append([]byte{b}, rest...))
	}
	_ = c.SetReadDeadline(time.Now().Add(deadline))
}

func intercepting(s *route.Settings) { s.InterceptErrors = true }

func notFound() string { return "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nX: first\r\n\r\ngone" }

// An error page at an upstream is a GET: nothing of the client's body may follow it.
func TestErrorPageTakesNoBodyAlong(t *testing.T) {
	for _, framing := range []string{"Content-Length: 70", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			r := newRig(t, site{},
				place{at: "/", code: 404, pages: []route.ErrorPageSpec{page("/page", 404)}},
				place{at: "=/page", up: 2})
			c := r.client()
			c.send("POST /x HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n\r\n")
			u := r.upstream2()
			if head := u.head(); !strings.HasPrefix(head, "GET /page ") {
				t.Errorf("request %q", head)
			}
			c.send("37\r\nGET /smuggled HTTP/1.1\r\nHost: victim\r\nX: 0123456789\r\n\r\n\r\n0\r\n\r\n")
			u.nothingMore()
			u.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
			c.status(404)
			c.end()
		})
	}
}

// A response that error_page has replaced is no part of the next upstream's.
func TestInterceptedThenProxied(t *testing.T) {
	for _, split := range []bool{false, true} {
		for _, target := range []string{"@next", "/next"} {
			r := newRig(t, site{},
				place{at: "/", up: 1, set: intercepting, pages: []route.ErrorPageSpec{pageAs(route.OwnStatus, target, 404)}},
				place{at: "@next", up: 2}, place{at: "=/next", up: 2})
			c := r.client()
			c.send(get("/x"))
			u := r.upstream()
			u.head()
			text := notFound()
			if split {
				u.send(text[:20])
				r.eventually("a partial head", func(sh *Shard) bool {
					s := only(sh)
					return s != nil && s.request != 0 && sh.cold(s).respHead != 0
				})
				text = text[20:]
			}
			u.send(text)
			u2 := r.upstream2()
			u2.head()
			u2.send("HTTP/1.1 201 Created\r\nContent-Length: 3\r\nX: second\r\n\r\nyes")
			resp, body := c.response("GET")
			if resp.StatusCode != 201 || body != "yes" || resp.Header.Get("X") != "second" {
				t.Errorf("split %v %s: answer %v %q", split, target, resp, body)
			}
			r.logged(r.access, "|second|")
		}
	}
}

// What an upstream sent of a head before it failed is no part of the next one's.
func TestPartialHeadThenErrorPage(t *testing.T) {
	r := newRig(t, site{},
		place{at: "/", up: 1, pages: []route.ErrorPageSpec{pageAs(route.OwnStatus, "@next", 502)}}, place{at: "@next", up: 2})
	c := r.client()
	c.send(get("/x"))
	u := r.upstream()
	u.head()
	u.send("HTTP/1.1 200 OK\r\nX-Poison: ")
	u.TCPConn.Close()
	u2 := r.upstream2()
	u2.head()
	u2.send("HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nyes")
	resp, body := c.response("GET")
	if resp.StatusCode != 201 || body != "yes" || resp.Header.Get("X-Poison") != "" {
		t.Errorf("answer %v %q", resp, body)
	}
}

// An answer whose status error_page has made one without a body has none.
func TestErrorPageWithoutBody(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{204, 304} {
		for _, target := range []string{"/file", "/next", "/text"} {
			r := newRig(t, site{},
				place{at: "/", code: 404, pages: []route.ErrorPageSpec{pageAs(status, target, 404)}},
				place{at: "=/file", root: dir}, place{at: "=/next", up: 1}, place{at: "=/text", code: 200, text: "text"},
				place{at: "=/own", code: 200, text: "own"})
			c := r.client()
			c.send(get("/x") + get("/own"))
			if target == "/next" {
				u := r.upstream()
				u.head()
				u.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
			}
			if resp, _ := c.response("GET"); resp.StatusCode != status {
				t.Errorf("%s: status %d, want %d", target, resp.StatusCode, status)
			}
			if resp, body := c.response("GET"); resp.StatusCode != 200 || body != "own" {
				t.Errorf("%s: next answer %d %q", target, resp.StatusCode, body)
			}
		}
	}
}

// A response with a bad trailer is given up with all that was kept of it.
func TestBadTrailerThenErrorPage(t *testing.T) {
	trailers := func(s *route.Settings) { s.PassTrailers = true }
	r := newRig(t, site{set: trailers},
		place{at: "/", up: 1, pages: []route.ErrorPageSpec{pageAs(route.OwnStatus, "@next", 502)}}, place{at: "@next", up: 2})
	c := r.client()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
	u := r.upstream()
	u.head()
	u.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\nbad\x01: x\r\n\r\n")
	u2 := r.upstream2()
	u2.head()
	u2.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: C\r\n\r\n2\r\nhi\r\n0\r\nC: d\r\n\r\n")
	resp, body := c.response("GET")
	if resp.StatusCode != 200 || body != "hi" || resp.Trailer.Get("C") != "d" || resp.Trailer.Get("A") != "" {
		t.Errorf("answer %v %q", resp, body)
	}
	r.state(Idle)
}

// The body that one upstream has had goes to the next with its trailers.
func TestHeldTrailersSurviveAFallback(t *testing.T) {
	r := newRig(t, site{set: func(s *route.Settings) { holding(1 << 10)(s); s.PassTrailers = true }},
		place{at: "/", up: 1, pages: []route.ErrorPageSpec{pageAs(route.OwnStatus, "@next", 502)}}, place{at: "@next", up: 2})
	c := r.client()
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
	u := r.upstream()
	u.head()
	u.want("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
	u.reset()
	u2 := r.upstream2()
	u2.head()
	u2.want("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
	u2.send(okAnswer)
	c.status(200)
	r.state(Idle)
}

// What holds beyond the request is that of the location that answers.
func TestPolicyOfTheFinalLocation(t *testing.T) {
	var id uint16
	r := newRig(t, site{},
		place{at: "/", root: t.TempDir(), tries: []string{"$uri"}, otherwise: "@ws"},
		place{at: "@ws", up: 1, set: func(s *route.Settings) { id = s.Policy + 1; s.Policy = id }})
	r.ask(func(sh *Shard) {
		id2, _ := sh.opt.Policies.Intern(Policy{TunnelReadMs: 77, TunnelBlockedMs: 88, Logs: LogSet{1}})
		if id2 != id {
			t.Errorf("policy %d, want %d", id2, id)
		}
	})
	c := r.client()
	c.send(wsAsk)
	u := r.upstream()
	u.head()
	r.ask(func(sh *Shard) {
		if s := only(sh); s.policy != id {
			t.Errorf("policy %d, want %d", s.policy, id)
		}
	})
	u.send(wsAnswer)
	c.head()
}

// A client that takes its time for a short response keeps no upstream.
func TestUpstreamIsFreeAtOnce(t *testing.T) {
	r := newRig(t, site{set: func(s *route.Settings) { s.Buffering, s.BuffersSize = true, 64<<10 }}, place{at: "/", up: 1})
	c := r.client()
	const requests = 400
	// Many answers that the client does not read fill the socket.
	body := strings.Repeat("x", 60<<10)
	go func() {
		for {
			u, err := r.back.Accept()
			if err != nil {
				return
			}
			go func() {
				defer u.Close()
				buf := make([]byte, 4<<10)
				for {
					if _, err := u.Read(buf); err != nil {
						return
					}
					_, _ = io.WriteString(u, "HTTP/1.1 200 OK\r\nContent-Length: 61440\r\n\r\n"+body)
				}
			}()
		}
	}()
	go func() {
		for range requests {
			if _, err := io.WriteString(c, get("/x")); err != nil {
				return
			}
		}
	}()
	r.eventually("a response that waits for the client alone", func(sh *Shard) bool {
		s := only(sh)
		return s != nil && s.state == Body && sh.cold(s).down.ended && sh.cold(s).down.pending() && s.Up.FD < 0
	})
	for i := range requests {
		if _, got := c.response("GET"); got != body {
			t.Fatalf("%d: %d bytes", i, len(got))
		}
	}
}

// alias without a final slash must not let a path climb out of its folder.
func TestAliasDoesNotClimb(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"data/in": "in", "secret": "secret"} {
		r := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(r), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, site{},
		place{at: "/i", root: dir + "/data/", alias: true},
		place{at: "/t", root: dir + "/data", tries: []string{"/$arg_f"}, otherwise: "=404"},
		place{at: "/r", root: dir + "/data/$arg_f"})
	for path, want := range map[string]int{
		"/i/in": 200, "/i../secret": 404, "/i..": 404, "/t?f=in": 200, "/t?f=../secret": 404, "/r?f=../../secret": 404,
	} {
		c := r.client()
		c.send(get(path))
		if resp, body := c.response("GET"); resp.StatusCode != want {
			t.Errorf("%s: %d %q, want %d", path, resp.StatusCode, body, want)
		}
	}
}

// try_files =444 closes without an answer, as return 444 does.
func TestTryFilesNoAnswer(t *testing.T) {
	r := newRig(t, site{}, place{at: "/", root: t.TempDir(), tries: []string{"$uri"}, otherwise: "=444"})
	c := r.client()
	c.send(get("/x"))
	c.end()
}

// slowFile asks for a large file and returns when the shard waits for the client.
func (r *rig) slowFile(fields string) *conn {
	r.t.Helper()
	c := r.client()
	c.send("GET /large HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")
	r.eventually("the file waits for the client", func(sh *Shard) bool {
		s := only(sh)
		return s != nil && s.state == Reply && s.Down.Bits&relay.CanWrite == 0 && !s.has(flagQueued)
	})
	return c
}

// A file that changes while it is sent: what was promised comes, or the connection ends.
func TestFileChangesWhileItIsSent(t *testing.T) {
	const size = 24 << 20
	for _, sendfile := range []bool{true, false} {
		dir := t.TempDir()
		name := filepath.Join(dir, "large")
		want := payload("large", size)
		fill := func() {
			if err := os.WriteFile(name, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		fill()
		r := newRig(t, site{set: func(s *route.Settings) { s.Sendfile, s.MaxRanges = sendfile, -1 }}, place{at: "/", root: dir})
		c := r.slowFile("")
		r.check(os.Truncate(name, size/2))
		resp, err := http.ReadResponse(c.r, nil)
		r.check(err)
		if body, err := io.ReadAll(resp.Body); err == nil || len(body) < 1000 || len(body) > size/2+4<<20 {
			t.Errorf("sendfile %v: %d bytes of a file that became shorter, %v", sendfile, len(body), err)
		}
		r.logged(r.errors, "became shorter")
		r.empty()

		fill()
		c = r.slowFile("")
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		r.check(err)
		_, err = f.Write(make([]byte, 1<<20))
		r.check(err)
		f.Close()
		if _, body := c.response("GET"); body != string(want) {
			t.Errorf("sendfile %v: %d bytes of a file that grew", sendfile, len(body))
		}
		c.TCPConn.Close()

		fill()
		c = r.slowFile("Range: bytes=1-12000000,12000001-24000000,-7\r\n")
		resp, err = http.ReadResponse(c.r, nil)
		r.check(err)
		body, err := io.ReadAll(resp.Body)
		r.check(err)
		_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		r.check(err)
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for _, want := range [][]byte{want[1:12000001], want[12000001:24000001], want[size-7:]} {
			part, err := parts.NextPart()
			r.check(err)
			if got, err := io.ReadAll(part); err != nil || !bytes.Equal(got, want) {
				t.Errorf("sendfile %v: a part of %d bytes, %v", sendfile, len(got), err)
			}
		}
		c.send(get("/none"))
		c.status(404)
		c.TCPConn.Close()
		r.empty()

		for _, end := range []func(*conn){
			func(c *conn) { c.reset() },
			func(*conn) { r.expireNow() },
		} {
			end(r.slowFile(""))
			r.empty()
			r.ask(func(sh *Shard) {
				if sh.files != 0 {
					t.Errorf("%d files are open", sh.files)
				}
			})
		}
	}
}

// Whatever a request waits for when its time is up, error_page may answer.
func TestErrorPageAfterATimeout(t *testing.T) {
	post := "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
	for _, tc := range []struct {
		state State
		hold  bool
		send  string
		body  string // what the named location's upstream gets; "-": it is not asked
	}{
		{ReadBody, true, post + "he", "-"},
		{ReadResp, false, post + "he", "-"},
		{ReadResp, false, post + "hello", "hello"},
		{ReadResp, true, get("/x"), ""},
	} {
		for _, target := range []string{"@next", "/page", "/text"} {
			name := tc.state.String() + target + tc.body
			r := newRig(t, site{set: func(s *route.Settings) {
				s.RequestBuffering, s.ClientBodyBufferSize = tc.hold, 100
				s.NextUpstream = 0
			}},
				place{at: "/", up: 1, pages: []route.ErrorPageSpec{pageAs(203, target, 408, 504)}},
				place{at: "@next", up: 2}, place{at: "=/page", up: 2}, place{at: "=/text", code: 200, text: "text"})
			c := r.client()
			c.send(tc.send)
			r.state(tc.state)
			if tc.state == ReadResp {
				r.upstream().head()
			}
			r.expireNow()
			want := 203
			switch {
			case target == "/page":
				u := r.upstream2()
				if head := u.head(); !strings.HasPrefix(head, "GET /page ") {
					t.Errorf("%s: request %q", name, head)
				}
				c.send("lo")
				u.nothingMore()
				u.send(okAnswer)
			case target == "@next" && tc.body == "-":
				want = 408
			case target == "@next":
				u := r.upstream2()
				u.head()
				u.want(tc.body)
				u.send(okAnswer)
			}
			if resp, _ := c.response("GET"); resp.StatusCode != want {
				t.Errorf("%s: status %d, want %d", name, resp.StatusCode, want)
			}
			c.TCPConn.Close()
			r.empty()
		}
	}
}

// A WebSocket may find its upstream by way of error_page, with the frames that the
// client has sent ahead.
func TestUpgradeAfterAFallback(t *testing.T) {
	for _, first := range []string{"", notFound(), "HTTP/1.1 200 OK\r\nX: "} {
		r := newRig(t, site{},
			place{at: "/", up: 1, set: intercepting, pages: []route.ErrorPageSpec{page("@next", 404, 502)}}, place{at: "@next", up: 2})
		c := r.client()
		c.send(wsAsk + "\x81\x80\x00\x00\x00\x00")
		u := r.upstream()
		u.head()
		u.send(first)
		u.TCPConn.Close()
		u2 := r.upstream2()
		u2.head()
		u2.send(wsAnswer + "\x81\x00")
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Errorf("answer %q", head)
		}
		c.want("\x81\x00")
		u2.want("\x81\x80\x00\x00\x00\x00")
	}
}

// A connection that ends with an answer says so, also where the body that ends it came
// whole.
func TestTooLargeThenErrorPage(t *testing.T) {
	for _, framing := range []string{
		"Content-Length: 8\r\n\r\ntoo long", "Transfer-Encoding: chunked\r\n\r\n8\r\ntoo long\r\n0\r\n\r\n",
	} {
		r := newRig(t, site{set: func(s *route.Settings) { s.ClientMaxBodySize = 5 }},
			place{at: "/", up: 1, pages: []route.ErrorPageSpec{pageAs(route.OwnStatus, "/page", 413)}}, place{at: "=/page", up: 2})
		c := r.client()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\n" + framing + get("/page"))
		u := r.upstream2()
		u.head()
		u.send(okAnswer)
		resp, _ := c.response("GET")
		if resp.Close {
			c.end()
			continue
		}
		u.head()
		u.send(okAnswer)
		c.status(200)
	}
}
