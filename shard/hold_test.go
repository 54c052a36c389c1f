package shard

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"holdfast/route"
	"holdfast/upstream"
)

// holding turns proxy_request_buffering on.
func holding(limit int64) func(*route.Settings) {
	return func(s *route.Settings) { s.RequestBuffering, s.ClientBodyBufferSize = true, limit }
}

func chunked(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
	}
	return b.String() + "0\r\n\r\n"
}

// A small body is held whole before the upstream is asked; what came in chunks goes on
// with its length.
func TestBodyIsHeld(t *testing.T) {
	for _, tc := range []struct{ name, framing, body string }{
		{"length", "Content-Length: 5", "hello"},
		{"chunked", "Transfer-Encoding: chunked", chunked("he", "llo")},
	} {
		for _, split := range []int{0, 1, 3, len(tc.body) - 1, len(tc.body)} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, split), func(t *testing.T) {
				w := newWorld(t, site{set: holding(16)})
				c := w.client()
				c.send("POST / HTTP/1.1\r\nHost: a\r\n" + tc.framing + "\r\n\r\n" + tc.body[:split])
				if split < len(tc.body) {
					w.state(ReadBody)
					c.send(tc.body[split:])
				}
				u := w.upstream()
				if head := u.head(); !strings.Contains(head, "\r\nContent-Length: 5\r\n") {
					t.Errorf("head %q", head)
				}
				u.want("hello")
				u.send(okAnswer)
				c.status(200)
				w.state(Idle)
				c.send(get("/next"))
				u.head()
				u.send(okAnswer)
				c.status(200)
			})
		}
	}
}

// A body larger than what may be held is streamed, what was held first.
func TestBodyTooLargeToHold(t *testing.T) {
	w := newWorld(t, site{set: holding(8)})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nheld\r\n")
	w.state(ReadBody)
	c.send("8\r\nover the\r\n")
	u := w.upstream()
	if head := u.head(); !strings.Contains(head, "\r\nTransfer-Encoding: chunked\r\n") {
		t.Errorf("head %q", head)
	}
	u.want("c\r\nheldover the\r\n")
	c.send("2\r\nto\r\n0\r\n\r\n")
	u.want("2\r\nto\r\n0\r\n\r\n")
	u.send(okAnswer)
	c.status(200)

	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123")
	u.head() // it does not wait for the rest
	u.want("123")
	c.send("456789")
	u.want("456789")
	u.send(okAnswer)
	c.status(200)
	w.state(Idle)
}

func TestHeldBodyTooLarge(t *testing.T) {
	w := newWorld(t, site{set: func(s *route.Settings) { holding(100)(s); s.ClientMaxBodySize = 5 }})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nheld\r\n")
	w.state(ReadBody)
	c.send("8\r\nover the\r\n")
	c.status(413)
	c.end()
}

func TestHeldBodyEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(w *world, c *conn)
	}{
		{"client leaves", func(_ *world, c *conn) { c.TCPConn.Close() }},
		{"bad chunk", func(_ *world, c *conn) { c.send("x\r\n"); c.status(400); c.end() }},
		{"timeout", func(w *world, c *conn) { w.expireNow(); c.status(408); c.TCPConn.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, site{set: holding(100)})
			c := w.client()
			c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nheld\r\n")
			w.state(ReadBody)
			tc.do(w, c)
			w.empty()
		})
	}
}

// The proxy itself says 100 where it holds the body, before an upstream is asked.
func TestExpectContinueOfTheProxy(t *testing.T) {
	w := newWorld(t, site{set: holding(16)})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	c.want("HTTP/1.1 100 Continue\r\n\r\n")
	c.send("hi")
	u := w.upstream()
	if head := u.head(); strings.Contains(head, "Expect") {
		t.Errorf("request %q", head)
	}
	u.want("hi")
	u.send(okAnswer)
	c.status(200)
	w.state(Idle)
	w.logged(w.access, "POST / HTTP/1.1|200|2|")
}

// A held body goes to the next peer too, whoever has seen it before.
func TestHeldBodyIsSentOnceMore(t *testing.T) {
	second, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	w := newWorld(t, site{set: holding(16), group: func(g *upstream.GroupSpec) {
		other := g.Servers[0]
		other.Addr = second.Addr().(*net.TCPAddr).AddrPort()
		other.Name = other.Addr.String()
		g.Servers = append(g.Servers, other)
	}})
	c := w.client()
	c.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	w.state(ReadBody)
	c.send(chunked("hel", "lo"))
	u := w.upstream()
	u.head()
	u.want("hello")
	u.reset()
	u = w.wrap(second.Accept())
	u.head()
	u.want("hello")
	u.send(okAnswer)
	c.status(200)
}

// Requests behind a held body are answered in their order.
func TestPipelinedBehindHeldBody(t *testing.T) {
	w := newWorld(t, site{set: holding(100)})
	c := w.client()
	c.send("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	w.state(ReadBody)
	c.send(chunked("one") + get("/own") + get("/2"))
	u := w.upstream()
	u.head()
	u.want("one")
	u.send(okAnswer)
	c.status(200)
	if _, body := c.response("GET"); body != "own" {
		t.Errorf("second answer %q", body)
	}
	if head := u.head(); !strings.HasPrefix(head, "GET /2 ") {
		t.Errorf("request %q", head)
	}
	u.send(okAnswer)
	c.status(200)
}

// HTTP/1.0 has no chunks: a chunked body for it is held whatever the configuration says.
func TestChunkedBodyForHTTP10(t *testing.T) {
	w := newWorld(t, site{minor0: true, set: func(s *route.Settings) { s.ClientBodyBufferSize, s.PassTrailers = 16, true }})
	c := w.client()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
	w.state(ReadBody)
	c.send("3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n")
	u := w.upstream()
	if head := u.head(); !strings.Contains(head, "\r\nContent-Length: 5\r\n") || !strings.Contains(head, " HTTP/1.0\r\n") {
		t.Errorf("head %q", head)
	}
	u.want("hello")
	u.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
	c.status(200)

	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(strings.Repeat("x", 4<<10)))
	c.status(411)
}
