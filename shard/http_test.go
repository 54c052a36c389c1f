package shard

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
	"holdfast/test/port"
	"holdfast/upstream"
)

// chunks is a chunked body.
func chunks(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
	}
	return b.String() + "0\r\n\r\n"
}

func TestRequestAndKeepAlive(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(get("/x"))
	u := w.upstream()
	if head := u.head(); !strings.HasPrefix(head, "GET /x HTTP/1.1\r\nHost: up\r\n") {
		t.Errorf("request %q", head)
	}
	u.send(okAnswer)
	c.status(200)
	c.send(get("/y"))
	u.head() // on the same connection
	u.send(okAnswer)
	c.status(200)
	if n := w.peer.Bytes.Load(); n == 0 {
		t.Error("no bytes in the peer's account")
	}
}

// The body of each framing reaches the client whole, whatever version it speaks.
func TestResponseFramings(t *testing.T) {
	cases := []struct {
		name, request, answer, body string
		status                      int
		closes                      bool
	}{
		{"length", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", okAnswer, "ok", 200, false},
		{"length to 1.0", "GET / HTTP/1.0\r\n\r\n", okAnswer, "ok", 200, true},
		{"length to 1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", okAnswer, "ok", 200, false},
		{"chunked", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("he", "llo"), "hello", 200, false},
		{"chunked to 1.0", "GET / HTTP/1.0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("he", "llo"), "hello", 200, true},
		{"close", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nhello", "hello", 200, false},
		{"close to 1.0", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", 200, true},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "", 200, false},
		{"204", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, false},
		{"304", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "", 304, false},
		{"interim", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + okAnswer, "ok", 200, false},
	}
	for _, cut := range []bool{false, true} {
		for _, tc := range cases {
			t.Run(fmt.Sprintf("%s/bytewise=%v", tc.name, cut), func(t *testing.T) {
				w := newWorld(t, site{})
				c := w.client()
				c.send(tc.request)
				u := w.upstream()
				u.head()
				if cut {
					for i := range len(tc.answer) {
						u.send(tc.answer[i : i+1])
					}
				} else {
					u.send(tc.answer)
				}
				if strings.HasPrefix(tc.name, "close") {
					u.TCPConn.Close()
				}
				resp, body := c.response(strings.SplitN(tc.request, " ", 2)[0])
				if resp.StatusCode != tc.status || body != tc.body {
					t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tc.status, tc.body)
				}
				if tc.closes {
					c.end()
				} else {
					w.state(Idle)
				}
			})
		}
	}
}

// Bodies that come with the head, behind it, and in pieces; what follows is the next
// request.
func TestRequestBodies(t *testing.T) {
	long := strings.Repeat("0123456789", 20_000)
	cases := []struct{ name, head, body, sees string }{
		{"length", "Content-Length: 5\r\n", "hello", "hello"},
		{"looks like a request", "Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"},
		{"long", fmt.Sprintf("Content-Length: %d\r\n", len(long)), long, long},
		{"chunked", "Transfer-Encoding: chunked\r\n", chunks("he", "llo"), ""},
		{"long chunked", "Transfer-Encoding: chunked\r\n", chunks(long[:70_000], long[70_000:]), ""},
	}
	for _, split := range []bool{false, true} {
		for _, tc := range cases {
			t.Run(fmt.Sprintf("%s/split=%v", tc.name, split), func(t *testing.T) {
				w := newWorld(t, site{})
				c := w.client()
				head := "POST /p HTTP/1.1\r\nHost: a\r\n" + tc.head + "\r\n"
				go func() {
					if split {
						_, _ = c.Write([]byte(head))
						w.state(ReadResp)
						_, _ = c.Write([]byte(tc.body + get("/next")))
						return
					}
					_, _ = c.Write([]byte(head + tc.body + get("/next")))
				}()
				u := w.upstream()
				u.head()
				if tc.sees != "" {
					u.want(tc.sees)
				} else {
					u.chunkedBody(t, long, tc.name)
				}
				u.send(okAnswer)
				c.status(200)
				if head := u.head(); !strings.HasPrefix(head, "GET /next ") {
					t.Errorf("next request %q", head)
				}
				u.send(okAnswer)
				c.status(200)
			})
		}
	}
}

func (c *conn) chunkedBody(t *testing.T, long, name string) {
	t.Helper()
	want := "hello"
	if strings.HasPrefix(name, "long") {
		want = long
	}
	var got strings.Builder
	for {
		var n int
		line, err := c.r.ReadString('\n')
		c.w.check(err)
		if _, err := fmt.Sscanf(line, "%x", &n); err != nil {
			t.Fatalf("size line %q", line)
		}
		_, err = io.CopyN(&got, c.r, int64(n))
		c.w.check(err)
		c.want("\r\n")
		if n == 0 {
			break
		}
	}
	if got.String() != want {
		t.Errorf("body of %d bytes, want %d", got.Len(), len(want))
	}
}

// A streamed body waits for the word of the upstream.
func TestExpectContinueOfTheUpstream(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	u := w.upstream()
	if head := u.head(); !strings.Contains(head, "\r\nExpect: 100-continue\r\n") {
		t.Errorf("request %q", head)
	}
	u.send("HTTP/1.1 100 Continue\r\n\r\n")
	c.want("HTTP/1.1 100 Continue\r\n\r\n")
	c.send("hi")
	u.want("hi")
	u.send("HTTP/1.1 100 Continue\r\n\r\n" + okAnswer) // the second is nobody's
	c.status(200)
	w.state(Idle)
	w.logged(w.access, "POST / HTTP/1.1|200|2|")
}

// An upstream that does not know the expectation keeps nobody waiting.
func TestExpectIgnoredByTheUpstream(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	u := w.upstream()
	u.head()
	c.want("HTTP/1.1 100 Continue\r\n\r\n")
	u.send("HTTP/1.1 100 Continue\r\n\r\n") // late, and nobody's any more
	c.send("hi")
	u.want("hi")
	u.send(okAnswer)
	c.status(200)
}

// An upstream that wants no body says so before it comes.
func TestExpectRefusedByTheUpstream(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	u := w.upstream()
	u.head()
	u.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
	if resp := c.status(417); !resp.Close {
		t.Error("the connection stays open before a body that may come")
	}
}

// Pipelined requests are answered in order, however many; each keeps what its log line
// wants of its response.
func TestPipelining(t *testing.T) {
	const n = 100
	w := newWorld(t, site{})
	c := w.client()
	go func() {
		var b strings.Builder
		for i := range n {
			b.WriteString(get(fmt.Sprintf("/%d", i)))
		}
		_, _ = c.Write([]byte(b.String()))
	}()
	u := w.upstream()
	for i := range n {
		if head := u.head(); !strings.HasPrefix(head, fmt.Sprintf("GET /%d ", i)) {
			t.Fatalf("request %d: %q", i, head)
		}
		u.sendf("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: mark%d\r\n\r\nok", i)
		c.status(200)
	}
	w.state(Idle)
	w.logged(w.access, fmt.Sprintf("|mark%d|", n-1))
	for i, line := range strings.Split(strings.TrimSpace(w.access.String()), "\n") {
		if want := fmt.Sprintf("|mark%d|", i); !strings.Contains(line, want) {
			t.Errorf("line %d: %q", i, line)
		}
	}
}

func TestOwnAnswers(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(strings.Repeat(get("/own"), 50))
	for range 50 {
		if _, body := c.response("GET"); body != "own" {
			t.Fatalf("body %q", body)
		}
	}
	c.send(get("/drop"))
	c.end()
}

// What a refused request leaves in the access log: the line as far as it was read.
func TestRefusedHeads(t *testing.T) {
	cases := []struct {
		name, send string
		status     int
		log        string
	}{
		{"field", "GET /f HTTP/1.1\r\nBad Field: x\r\n\r\n", 400, "GET /f HTTP/1.1|400|"},
		{"version", "GET /f HTTP/9.1\r\n\r\n", 505, "GET /f HTTP/9.1|505|"},
		{"no host", "GET /f HTTP/1.1\r\n\r\n", 400, "GET /f HTTP/1.1|400|"},
		{"garbage", "\x16\x03\x01\x02\r\n\r\n", 400, "\\x16\\x03\\x01\\x02|400|"},
		{"fields too large", "GET /f HTTP/1.1\r\nA: " + strings.Repeat("x", 40_000), 431, "GET /f HTTP/1.1|431|"},
		{"line too large", "GET /" + strings.Repeat("x", 40_000), 414, "GET /xxxx"},
		{"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405, "CONNECT a:1 HTTP/1.1|405|"},
		{"upgrade with a body", strings.Replace(wsAsk, "\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx", 1), 400, "GET /ws HTTP/1.1|400|"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, site{})
			c := w.client()
			c.send(tc.send)
			c.status(tc.status)
			c.end()
			c.TCPConn.Close()
			w.empty()
			w.logged(w.access, tc.log)
		})
	}
}

func TestHeadTimeout(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send("GET /slow HTTP/1.1\r\nHo")
	w.eventually("bytes of a head", func(sh *Shard) bool { return sh.requests.lent() == 1 })
	w.expireNow()
	c.status(408)
	c.end()
	c.TCPConn.Close()
	w.empty()
	w.logged(w.access, "GET /slow HTTP/1.1|408|")
	silent := w.client()
	w.state(ReadHead)
	w.expireNow()
	silent.end() // without an answer
}

func TestBodyTooLarge(t *testing.T) {
	w := newWorld(t, site{set: func(s *route.Settings) { s.ClientMaxBodySize = 4 }})
	go func() {
		for {
			c, err := w.back.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	for name, body := range map[string]string{
		"length":        "Content-Length: 5\r\n\r\nhello",
		"glued chunked": "Transfer-Encoding: chunked\r\n\r\n" + chunks("hello"),
		"announced":     "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"glued partly":  "Transfer-Encoding: chunked\r\n\r\n3\r\nhel",
	} {
		c := w.client()
		c.send("POST / HTTP/1.1\r\nHost: a\r\n" + body)
		if name == "glued partly" {
			w.state(ReadResp)
			c.send("\r\n2\r\nlo\r\n")
		}
		c.status(413)
		c.end()
		c.TCPConn.Close()
	}
}

// An upstream that answers and closes while the upload runs: the answer arrives.
func TestEarlyAnswer(t *testing.T) {
	w := newWorld(t, site{set: func(s *route.Settings) { s.ClientMaxBodySize = 0 }})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	u := w.upstream()
	u.head()
	go func() { _, _ = c.Write(make([]byte, 4<<20)) }()
	u.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	u.reset()
	resp, body := c.response("POST")
	if resp.StatusCode != 413 && resp.StatusCode != 502 { // a reset may destroy the answer
		t.Errorf("status %d %q", resp.StatusCode, body)
	}
	w.state(Linger)
	c.TCPConn.Close()
	w.empty()
}

// The same with an orderly close: the answer must arrive.
func TestEarlyAnswerInOrder(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
	u := w.upstream()
	u.head()
	u.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
	c.status(413)
	w.state(Linger)
	c.send(strings.Repeat("x", 100_000)) // still taken
	c.end()
	c.TCPConn.Close()
	w.empty()
}

// What an idle upstream connection brings unasked never answers the next request.
func TestPooledConnectionWithUnaskedBytes(t *testing.T) {
	w := newWorld(t, site{paused: true})
	c, d := w.client(), w.client()
	w.turnUntil(func() bool { return w.sh.counters.Accepted == 2 })
	c.send(get("/first"))
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	w.turnUntil(func() bool { return w.sh.pooled.Len() == 1 })
	// One turn has both events: first that of the other client's request, then that of
	// bytes which nobody asked for.
	d.send(get("/second"))
	d.delivered()
	u.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	u.delivered()
	w.sh.turn()
	u2 := w.tryUpstream()
	if u2 == nil {
		t.Fatal("the poisoned connection was used")
	}
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u2.head()
	u2.send(okAnswer)
	w.turnUntil(func() bool { return w.sh.counters.Responses[2] == 2 })
	if _, body := d.response("GET"); body != "ok" {
		t.Errorf("body %q", body)
	}
}

// tryUpstream is upstream for a connection that may not come.
func (w *world) tryUpstream() *conn {
	_ = w.back.SetDeadline(time.Now().Add(deadline))
	c, err := w.back.Accept()
	if err != nil {
		return nil
	}
	return w.wrap(c, nil)
}

// turnUntil turns the loop of a paused world.
func (w *world) turnUntil(cond func() bool) {
	w.t.Helper()
	until := time.Now().Add(deadline)
	for !cond() {
		if time.Now().After(until) {
			w.t.Fatalf("never; sessions by state: %v", w.sh.counters.Sessions)
		}
		w.sh.poller.Wake()
		w.sh.turn()
	}
}

// A request that is not idempotent goes once to an upstream, even if that closed the
// connection it idled on.
func TestStaleConnection(t *testing.T) {
	for _, tc := range []struct {
		method, body string
		again        bool
	}{{"GET", "", true}, {"PUT", "x", true}, {"POST", "x", false}, {"POST", "", false}} {
		t.Run(tc.method+tc.body, func(t *testing.T) {
			w := newWorld(t, site{})
			c := w.client()
			c.send(get("/"))
			u := w.upstream()
			u.head()
			u.send(okAnswer)
			c.status(200)
			c.sendf("%s /b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", tc.method, len(tc.body), tc.body)
			u.head()
			u.want(tc.body)
			u.TCPConn.Close() // took it, and went
			if !tc.again {
				c.status(502)
				return
			}
			u2 := w.upstream()
			u2.head()
			u2.want(tc.body)
			u2.send(okAnswer)
			c.status(200)
		})
	}
}

func TestNextUpstream(t *testing.T) {
	gone := netip.MustParseAddrPort(port.Address(t))
	w := newWorld(t, site{group: func(g *upstream.GroupSpec) {
		first := upstream.ServerSpec{Name: gone.String(), Addr: gone, Weight: 1, MaxFails: 1, FailTimeoutMs: 10_000}
		g.Servers = append([]upstream.ServerSpec{first}, g.Servers...)
	}})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	u := w.upstream()
	u.head()
	u.want("hi")
	u.send(okAnswer)
	c.status(200)
	w.state(Idle)
	w.eventually("both lines in the error log", func(*Shard) bool {
		log := w.errors.String()
		return strings.Contains(log, "connect() failed (111: Connection refused) while connecting to upstream") &&
			strings.Contains(log, "[warn]") &&
			strings.Contains(log, "upstream server temporarily disabled while connecting to upstream")
	})
}

func TestVariableProxyPass(t *testing.T) {
	w := newWorld(t, site{})
	addr := w.back.Addr().String()
	for _, to := range []string{addr, "up", addr} {
		c := w.client()
		c.send(get("/var?to=" + to))
		u := w.upstream()
		u.head()
		u.send(okAnswer)
		c.status(200)
		u.TCPConn.Close()
	}
	c := w.client()
	c.send(get("/var?to=name.example:80"))
	c.status(502)
	c.send(get("/var?to=a/b%20c:http://"))
	if resp, _ := c.response("GET"); resp.StatusCode < 500 {
		t.Errorf("status %d", resp.StatusCode)
	}
	w.ask(func(sh *Shard) {
		if sh.adHoc.len() != 1 {
			t.Errorf("%d groups were made, want 1", sh.adHoc.len())
		}
	})
	w.sh.Use(w.sh.opt.Snapshot)
	w.eventually("the groups are dropped", func(sh *Shard) bool { return sh.adHoc.len() == 0 })
}

func TestAdHocServer(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:9001": "127.0.0.1:9001", "127.0.0.1": "127.0.0.1:80", "[::1]:9001": "[::1]:9001", "[::1]": "[::1]:80",
		"localhost:80": "", "1.2.3": "", "[fe80::1%25eth0]:80": "", "127.0.0.1:0": "127.0.0.1:0",
	} {
		host, port, found := strings.Cut(text, ":")
		if text[0] == '[' {
			host, port, found = strings.Cut(text[1:], "]:")
			host = "[" + strings.TrimSuffix(host, "]") + "]"
		}
		if !found {
			port = "80"
		}
		server, ok := adHocServer(&route.Endpoint{Name: []byte(text), Host: []byte(host), Port: []byte(port)})
		if ok != (want != "") || ok && server.Name != want {
			t.Errorf("%s: got %q, %v, want %q", text, server.Name, ok, want)
		}
	}
	server, ok := adHocServer(&route.Endpoint{Unix: []byte("/tmp/s")})
	if !ok || server.Name != "unix:/tmp/s" || server.Unix != "/tmp/s" {
		t.Errorf("unix socket: %+v %v", server, ok)
	}
}

func TestKeepaliveLimits(t *testing.T) {
	t.Run("keepalive_requests", func(t *testing.T) {
		w := newWorld(t, site{set: func(s *route.Settings) { s.KeepaliveRequests = 2 }})
		c := w.client()
		c.send(get("/own") + get("/own"))
		c.status(200)
		if resp := c.status(200); !resp.Close {
			t.Error("the last answer does not close")
		}
		c.end()
	})
	t.Run("keepalive_time", func(t *testing.T) {
		w := newWorld(t, site{})
		c := w.client()
		c.send(get("/own"))
		if resp := c.status(200); resp.Close {
			t.Error("the first answer closes")
		}
		w.ask(func(sh *Shard) { sh.startMs -= 4000_000; sh.readClock() })
		c.send(get("/own"))
		if resp := c.status(200); !resp.Close {
			t.Error("past keepalive_time the answer does not close")
		}
		c.end()
	})
	t.Run("keepalive_time of an upstream", func(t *testing.T) {
		w := newWorld(t, site{group: func(g *upstream.GroupSpec) { g.KeepaliveTimeMs = 1000 }})
		c := w.client()
		c.send(get("/"))
		u := w.upstream()
		u.head()
		w.ask(func(sh *Shard) { sh.pooled.slab.At(sh.cold(only(sh)).upConn - 1).bornMs -= 2000 })
		u.send(okAnswer)
		c.status(200)
		u.end()
	})
}

func TestQuit(t *testing.T) {
	w := newWorld(t, site{})
	idle, fresh, busy := w.client(), w.client(), w.client()
	idle.send(get("/own"))
	idle.status(200)
	busy.send(get("/"))
	u := w.upstream()
	u.head()
	down, up := w.tunnel()
	w.state(ReadHead)
	w.sh.Quit()
	idle.end()
	fresh.end()
	u.send(okAnswer)
	if resp := busy.status(200); !resp.Close {
		t.Error("the last answer does not close")
	}
	busy.TCPConn.Close()
	down.send("\x81\x80\x00\x00\x00\x00")
	up.want("\x81\x80\x00\x00\x00\x00")
	select {
	case <-w.sh.Done():
		t.Fatal("the shard ended under a tunnel")
	default:
	}
	down.TCPConn.Close()
	up.end()
	up.TCPConn.Close()
	select {
	case <-w.sh.Done():
	case <-time.After(deadline):
		t.Fatal("the shard did not end after its last tunnel")
	}
	if w.sh.Post(func(*Shard) {}) {
		t.Error("a shard that has ended takes letters")
	}
	if _, ok := w.sh.Counters(); ok {
		t.Error("a shard that has ended counts")
	}
}

// A request that arrived together with the order to quit is answered.
func TestQuitAnswersWhatHasCome(t *testing.T) {
	w := newWorld(t, site{paused: true})
	c := w.client()
	w.turnUntil(func() bool { return w.sh.counters.Accepted == 1 })
	c.send(get("/own"))
	c.delivered() // its event is not read
	w.sh.beginQuit()
	if resp := c.status(200); !resp.Close {
		t.Error("the last answer does not close")
	}
}

// The limit on silence of one side is not put off by bytes of the other.
func TestClientCannotPutOffReadTimeout(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(get("/"))
	u := w.upstream()
	u.head()
	w.state(ReadResp)
	w.ask(func(sh *Shard) {
		s := only(sh)
		before := s.timer.Deadline
		sh.nowMs += 30_000
		s.Down.Bits |= relay.CanRead // as after bytes behind the request
		if sh.advance(s); s.timer.Deadline != before {
			t.Errorf("the timer moved from tick %d to %d", before, s.timer.Deadline)
		}
		sh.readClock()
	})
	w.expireNow()
	c.status(504)
}

// send_timeout ends a client that does not read, whatever it sends meanwhile; one that
// reads slowly lives on.
func TestSlowReaders(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(get("/"))
	u := w.upstream()
	u.head()
	go func() {
		_, _ = fmt.Fprintf(u, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
		_, _ = u.Write(make([]byte, 100_000_000))
	}()
	// One step of the shard finds it so and goes on: acknowledgements under way may still
	// let some bytes through afterwards.
	w.eventually("the client is blocked", func(sh *Shard) bool {
		s := only(sh)
		if s == nil || s.state != Body || sh.cold(s).wait != waitClientWrite || s.Down.Bits&relay.CanWrite != 0 {
			return false
		}
		before := s.timer.Deadline
		sh.nowMs += 30_000
		s.Down.Bits |= relay.CanRead
		if sh.advance(s); s.timer.Deadline != before {
			t.Error("a byte from the client put off send_timeout")
		}
		sh.readClock()
		sh.timers.Cancel(s.slot)
		sh.onTimer(s)
		return true
	})
	w.empty()
	w.ask(func(sh *Shard) {
		if n := sh.counters.SessionCloses[observe.ReasonSendTimeout][observe.SideClient]; n != 1 {
			t.Errorf("%d closes for send_timeout", n)
		}
	})
}

// A transfer that never pauses never times out: its timer moves although no read ever
// finds the socket empty.
func TestBusyTransferKeepsItsTimer(t *testing.T) {
	w := newWorld(t, site{paused: true})
	c := w.client()
	c.send(get("/"))
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u := w.upstream()
	u.head()
	s := only(w.sh)
	const room = 4 << 20
	w.check(syscall.SetsockoptInt(int(s.Up.FD), syscall.SOL_SOCKET, syscall.SO_RCVBUF, room))
	w.check(syscall.SetsockoptInt(int(s.Down.FD), syscall.SOL_SOCKET, syscall.SO_SNDBUF, room))
	go func() { _, _ = io.Copy(io.Discard, c.TCPConn) }()
	u.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
	w.turnUntil(func() bool { return w.sh.counters.Sessions[Body] == 1 && s.Up.Bits&relay.CanRead == 0 })
	go func() { _, _ = u.Write(make([]byte, room)) }()
	queued := func() bool {
		n, _, err := syscall.Recvfrom(int(s.Up.FD), make([]byte, room), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err == nil && n > (pumpRounds+1)*scratchSize
	}
	for until := time.Now().Add(deadline); !queued(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Skip("this kernel does not queue that much")
		}
	}
	w.sh.timers.Set(s.slot, w.sh.nowMs+3600_000)
	first := s.timer.Deadline
	s.Up.Bits |= relay.CanRead
	w.sh.step(s)
	if s.Up.Bits&relay.CanRead == 0 || !s.has(flagQueued) {
		t.Fatal("the transfer paused")
	}
	if s.timer.Deadline == first {
		t.Error("the timer did not move")
	}
}

// A client that shuts down its sending direction and waits is gone, as with nginx,
// unless it left requests to read.
func TestClientGone(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(get("/"))
	u := w.upstream()
	u.head()
	w.check(c.CloseWrite())
	u.end()
	w.empty()
	w.logged(w.access, "GET / HTTP/1.1|499|")
}

// Slow heads can't take more memory than requests have; then new ones wait, and tunnels
// don't.
func TestMemoryLimit(t *testing.T) {
	w := newWorld(t, site{inFlight: 64 << 10}) // 32 KiB each
	down, up := w.tunnel()
	var slow []*conn
	for range 40 {
		c := w.client()
		c.send("GET / HTTP")
		slow = append(slow, c)
	}
	w.eventually("sessions wait for memory", func(sh *Shard) bool { return sh.bufs.Full() && len(sh.starved) > 0 })
	down.send("\x81\x80\x00\x00\x00\x00")
	up.want("\x81\x80\x00\x00\x00\x00")
	for _, c := range slow[:39] {
		c.reset()
	}
	slow[39].send("/1.1\r\nHost: a\r\n\r\n")
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	slow[39].status(200)
}

// Nagle's algorithm is a matter of the location, and off again where it is not asked
// for.
func TestNodelay(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(get("/own"))
	c.status(200)
	w.ask(func(sh *Shard) {
		s := only(sh)
		sh.setNagle(s, true)
		if !s.has(flagNagle) {
			t.Error("no flag")
		}
	})
	c.send(get("/own"))
	c.status(200)
	w.ask(func(sh *Shard) {
		if only(sh).has(flagNagle) {
			t.Error("a location with tcp_nodelay on left it off")
		}
	})
}

// An upgrade request may say that its body is empty; with a body a WebSocket is
// refused, and any other protocol is not asked for.
func TestUpgradeWithABody(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(strings.Replace(wsAsk, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 1))
	u := w.upstream()
	u.head()
	u.send(wsAnswer)
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Errorf("answer %q", head)
	}
	c = w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi")
	u = w.upstream()
	if head := u.head(); strings.Contains(head, "Upgrade") {
		t.Errorf("request %q", head)
	}
	u.send(okAnswer)
	c.status(200)
}

// A 101 must choose among the protocols that went on, not among those the client named.
func TestSwitchToWhatWasNotPassedOn(t *testing.T) {
	for protocol, status := range map[string]int{"chat": 101, "h2c": 502} {
		w := newWorld(t, site{headers: []route.SetHeader{{Name: "Upgrade", Value: "$http_upgrade"}}})
		c := w.client()
		c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c, chat\r\n\r\n")
		u := w.upstream()
		if head := u.head(); !strings.Contains(head, "\r\nUpgrade: chat\r\n") {
			t.Errorf("request %q", head)
		}
		u.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n")
		if head := c.head(); !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", status)) {
			t.Errorf("%s: answer %q", protocol, head)
		}
	}
}

// The fields of a response stay readable for the log line, also when a request body
// goes through the shared buffer before the response's end.
func TestResponseHeadSurvivesAnUpload(t *testing.T) {
	w := newWorld(t, site{paused: true})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u := w.upstream()
	u.head()
	s := only(w.sh)
	w.sh.setState(s, ReadResp)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: mark\r\n\r\nok")
	copy(w.sh.mover.Scratch, answer)
	c.send(strings.Repeat("z", 10_000))
	peek := func() bool {
		n, _, err := syscall.Recvfrom(int(s.Down.FD), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err == nil && n == 1
	}
	for !peek() {
		time.Sleep(time.Millisecond)
	}
	w.sh.parseResp(s, w.sh.cold(s), w.sh.mover.Scratch[:len(answer)]) // as just read
	s.Down.Bits |= relay.CanRead
	w.sh.advance(s)
	w.sh.flushLogs()
	w.logged(w.access, "|mark|")
}

// An upstream that takes a part of the request, answers and takes no more: the answer
// goes to the client.
func TestAnswerBeforeTheRequestIsTaken(t *testing.T) {
	w := newWorld(t, site{paused: true})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
	w.turnUntil(func() bool { return w.sh.counters.Sessions[Connect] == 1 || w.sh.counters.Sessions[ReadResp] == 1 })
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u := w.upstream()
	u.head()
	u.want("hello")
	s := only(w.sh)
	s.state = SendHead // as if a part of the head were left
	w.sh.counters.Sessions[ReadResp]--
	w.sh.counters.Sessions[SendHead]++
	w.sh.store(&w.sh.cold(s).up.out, []byte("more"))
	u.send(okAnswer)
	w.check(syscall.Shutdown(int(s.Up.FD), syscall.SHUT_WR)) // writing fails, reading does not
	w.turnUntil(func() bool { return w.sh.counters.Responses[2]+w.sh.counters.Responses[5] == 1 })
	c.status(200)
}
