package shard

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"holdfast/observe"
	"holdfast/route"
	"holdfast/upstream"
)

// newJudged is a world whose requests are judged by /judge, at the same upstream as everything
// else.
func newJudged(t *testing.T, st site) *world {
	t.Helper()
	inner := st.set
	st.set = func(s *route.Settings) {
		var err error
		if s.AuthRequest, _, err = route.NewCompiler(route.Process{}, nil).NewAuthRequest("/judge", nil); err != nil {
			t.Fatal(err)
		}
		if inner != nil {
			inner(s)
		}
	}
	return newWorld(t, st)
}

// judges reads the subrequest on c and answers it.
func (c *conn) judges(answer string) (head string) {
	c.w.t.Helper()
	if head = c.head(); !strings.HasPrefix(head, "GET /judge HTTP/1.1\r\n") {
		c.w.t.Errorf("subrequest %q", head)
	}
	for _, field := range []string{"\r\nContent-Length:", "\r\nTransfer-Encoding:", "\r\nUpgrade:", "\r\nExpect:"} {
		if strings.Contains(head, field) {
			c.w.t.Errorf("subrequest %q has %q", head, field)
		}
	}
	c.send(answer)
	return head
}

const noContent = "HTTP/1.1 204 No Content\r\n\r\n"

// The connection of the subrequest serves the request, too, and those after it.
func TestAuthRequestAdmits(t *testing.T) {
	for _, tls := range []legs{{}, {down: true}, {up: true}, {down: true, up: true}} {
		t.Run(fmt.Sprintf("%+v", tls), func(t *testing.T) {
			w := newJudged(t, site{tls: tls})
			c := w.client()
			c.send(get("/x?a=b") + get("/y") + strings.Replace(get("/z"), "GET", "HEAD", 1)) // pipelined
			u := w.upstream()
			for _, path := range []string{"GET /x?a=b", "GET /y", "HEAD /z"} {
				u.judges(noContent)
				if head := u.head(); !strings.HasPrefix(head, path+" ") {
					t.Errorf("request %q", head)
				}
				method, _, _ := strings.Cut(path, " ")
				if u.send(okAnswer[:len(okAnswer)-2]); method == "GET" {
					u.send("ok")
				}
				if resp, body := c.response(method); resp.StatusCode != 200 || (body == "ok") != (method == "GET") {
					t.Errorf("%s: %d %q", path, resp.StatusCode, body)
				}
			}
			w.ask(func(sh *Shard) {
				if n := sh.counters.UpstreamConnects; n != 1 {
					t.Errorf("%d connections to the upstream, want 1", n)
				}
			})
		})
	}
}

// The body goes to the upstream of the request, whole.
func TestAuthRequestBeforeABody(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 16<<10) // 256 KiB
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	for _, buffered := range []bool{true, false} {
		for _, tls := range []legs{{}, {down: true, up: true}} {
			w := newJudged(t, site{tls: tls, set: func(s *route.Settings) {
				s.RequestBuffering, s.ClientBodyBufferSize = buffered, 16<<10
			}})
			var u *conn
			for _, body := range []string{"hi", large} {
				for _, form := range []string{"length", "chunked", "expect"} {
					c := w.client()
					head, raw := fmt.Sprintf("Content-Length: %d", len(body)), body
					if form == "chunked" {
						head, raw = "Transfer-Encoding: chunked", chunked(body)
					} else if form == "expect" {
						head += "\r\nExpect: 100-continue"
					}
					c.send("POST /x HTTP/1.1\r\nHost: a\r\n" + head + "\r\n\r\n")
					if form != "expect" {
						go c.Write([]byte(raw))
					}
					if u == nil {
						u = w.upstream()
					}
					u.judges(noContent)
					if form == "expect" {
						if buffered && body == "hi" {
							c.want(string(continueLine))
						} else {
							go func() { _, _ = c.Write([]byte(raw)) }()
						}
						if buffered && body == "hi" {
							c.send(raw)
						}
					}
					if got := u.head(); !strings.HasPrefix(got, "POST /x ") {
						t.Fatalf("request %q", got)
					} else if strings.Contains(got, "chunked") {
						u.chunks(body)
					} else {
						u.want(body)
					}
					u.send(okAnswer)
					for interim := form == "expect" && c.peek("HTTP/1.1 100"); interim; interim = false {
						c.want(string(continueLine))
					}
					c.status(200)
					c.Close()
				}
			}
		}
	}
}

// peek reports whether what comes next begins with text.
func (c *conn) peek(text string) bool {
	c.w.t.Helper()
	b, err := c.r.Peek(len(text))
	c.w.check(err)
	return string(b) == text
}

// chunks reads a chunked body and compares it.
func (c *conn) chunks(want string) {
	c.w.t.Helper()
	var got strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		c.w.check(err)
		var n int
		if _, err := fmt.Sscanf(line, "%x", &n); err != nil {
			c.w.t.Fatalf("chunk %q: %v", line, err)
		}
		buf := make([]byte, n)
		for at := 0; at < n; {
			m, err := c.r.Read(buf[at:])
			c.w.check(err)
			at += m
		}
		got.Write(buf)
		c.want("\r\n")
		if n == 0 {
			break
		}
	}
	if got.String() != want {
		c.w.t.Errorf("a chunked body of %d bytes, want %d", got.Len(), len(want))
	}
}

func TestAuthRequestRefuses(t *testing.T) {
	challenges := "WWW-Authenticate: Bearer realm=\"x\"\r\nWWW-Authenticate: Basic realm=\"y\"\r\n"
	for name, c := range map[string]struct {
		answer string
		want   int
		fields int
	}{
		"401":            {"HTTP/1.1 401 No\r\n" + challenges + "Content-Length: 0\r\n\r\n", 401, 2},
		"403":            {"HTTP/1.1 403 No\r\n" + challenges + "Content-Length: 0\r\n\r\n", 403, 0},
		"302":            {"HTTP/1.1 302 No\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 500, 0},
		"500":            {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500, 0},
		"101":            {wsAnswer, 500, 0},
		"no HTTP":        {"What?\r\n\r\n", 500, 0},
		"two lengths":    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 500, 0},
		"only interims":  {strings.Repeat("HTTP/1.1 102 Wait\r\n\r\n", 20), 500, 0},
		"interim":        {"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 403 No\r\n\r\n", 403, 0},
		"body to follow": {"HTTP/1.1 401 No\r\n" + challenges + "Content-Length: 500\r\n\r\nsome", 401, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newJudged(t, site{group: patient})
			client := w.client()
			client.send(get("/x"))
			w.upstream().judges(c.answer)
			resp := client.status(c.want)
			if got := len(resp.Header.Values("WWW-Authenticate")); got != c.fields {
				t.Errorf("%d fields WWW-Authenticate, want %d", got, c.fields)
			}
			client.send(get("/own")) // the connection goes on
			if resp := client.status(200); resp.Header.Get("WWW-Authenticate") != "" {
				t.Error("the next answer asks for a password, too")
			}
		})
	}
}

// patient is a group that no failure makes unavailable.
func patient(spec *upstream.GroupSpec) { spec.Servers[0].MaxFails = 0 }

func TestAuthRequestWithoutAnAnswer(t *testing.T) {
	post := "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n"
	t.Run("closed", func(t *testing.T) {
		w := newJudged(t, site{group: patient})
		c := w.client()
		c.send(post + get("/own")) // the body is not taken for a request
		u := w.upstream()
		u.head()
		u.Close()
		c.status(500)
		c.end()
	})
	t.Run("timeout", func(t *testing.T) {
		w := newJudged(t, site{group: patient})
		c := w.client()
		c.send(get("/x"))
		w.upstream().head()
		w.state(ReadResp)
		w.expireNow()
		c.status(500)
		w.logged(w.errors, "while reading response header from upstream")
		w.logged(w.errors, "auth request unexpected status: 504")
	})
	t.Run("dead", func(t *testing.T) {
		w := newJudged(t, site{group: func(spec *upstream.GroupSpec) {
			spec.Servers[0].Down = true
		}})
		c := w.client()
		c.send(get("/x"))
		c.status(500)
		w.logged(w.errors, "no live upstreams while connecting to upstream")
	})
	t.Run("client gone", func(t *testing.T) {
		w := newJudged(t, site{})
		c := w.client()
		c.send(get("/x"))
		u := w.upstream()
		u.head()
		w.state(ReadResp)
		c.Close()
		w.empty()
		u.end()
		w.ask(func(sh *Shard) {
			if n := sh.counters.SessionCloses[observe.ReasonAborted][observe.SideClient]; n != 1 {
				t.Errorf("%d sessions were aborted by the client, want 1", n)
			}
		})
	})
}

// A kept connection that the server has closed is no answer, whatever the request's method is.
func TestAuthRequestOnAStaleConnection(t *testing.T) {
	w := newJudged(t, site{})
	c := w.client()
	c.send(get("/x"))
	u := w.upstream()
	u.judges(noContent)
	u.head()
	u.send(okAnswer)
	c.status(200)
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	u.head()
	u.Close() // instead of an answer to the subrequest
	u = w.upstream()
	u.judges(noContent)
	u.head()
	u.want("hi")
	u.send(okAnswer)
	c.status(200)
}

// Of two servers the second judges when the first fails, for a POST as well.
func TestAuthRequestAsksTheNextServer(t *testing.T) {
	w := newJudged(t, site{group: func(spec *upstream.GroupSpec) {
		other := spec.Servers[0]
		other.Addr = netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), other.Addr.Port())
		other.Name = "again"
		spec.Servers = append(spec.Servers, other)
	}})
	c := w.client()
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	u := w.upstream()
	u.head()
	u.Close()
	u = w.upstream()
	u.judges(noContent)
	u.head()
	u.want("hi")
	u.send(okAnswer)
	c.status(200)
}

func TestAuthRequestBeforeATunnel(t *testing.T) {
	for _, tls := range []legs{{}, {down: true, up: true}} {
		w := newJudged(t, site{tls: tls})
		c := w.client()
		c.send(wsAsk)
		u := w.upstream()
		u.judges(noContent)
		up := w.upstream() // an upgrade has a connection of its own
		if head := up.head(); !strings.HasPrefix(head, "GET /ws ") || !strings.Contains(head, "\r\nUpgrade: websocket\r\n") {
			t.Errorf("request %q", head)
		}
		up.send(wsAnswer)
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Errorf("answer %q", head)
		}
		w.state(Tunnel)
		up.send("\x81\x02hi")
		c.want("\x81\x02hi")
		w.ask(func(sh *Shard) {
			if n := sh.counters.Upgrades; n[observe.OutcomeSwitched] != 1 || n[observe.OutcomeRefused]+n[observe.OutcomeFailed] != 0 {
				t.Errorf("upgrades %v", n)
			}
		})
		refused := w.client()
		refused.send(wsAsk)
		u.judges("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
		refused.status(403)
	}
}

func TestAuthRequestWhereAnyCheckAdmits(t *testing.T) {
	w := newJudged(t, site{set: func(s *route.Settings) {
		s.SatisfyAny = true
		s.Access = route.NewAccess([]route.AccessRule{{All: true}}) // deny all
	}})
	c := w.client()
	c.send(get("/x"))
	u := w.upstream()
	u.judges(noContent)
	u.head()
	u.send(okAnswer)
	c.status(200)
	c.send(get("/x"))
	u.judges("HTTP/1.1 401 No\r\nWWW-Authenticate: Digest\r\nContent-Length: 0\r\n\r\n")
	if got := c.status(401).Header.Get("WWW-Authenticate"); got != "Digest" {
		t.Errorf("WWW-Authenticate %q", got)
	}
	c.send(get("/x"))
	u.judges("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
	c.status(403)
	c.send(get("/x"))
	u.judges("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")
	c.status(500)
}

// An error page is judged like the request that led to it. What of the request's body the first
// upstream got does not go to the second.
func TestAuthRequestForAnErrorPage(t *testing.T) {
	w := newJudged(t, site{set: func(s *route.Settings) {
		c := route.NewCompiler(route.Process{}, nil)
		s.ErrorPages, _ = c.NewErrorPages([]route.ErrorPageSpec{{Statuses: []int{503}, Overwrite: route.KeepStatus, Target: "/page"}})
		s.InterceptErrors, s.PassTrailers = true, true
	}})
	c := w.client()
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: v\r\n\r\n")
	u := w.upstream()
	u.judges(noContent)
	u.head()
	u.chunkedTrailers("hi", "T: v")
	u.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
	again := w.upstream()
	again.judges(noContent)
	if head := again.head(); !strings.HasPrefix(head, "GET /page ") {
		t.Errorf("request %q", head)
	}
	again.send(okAnswer)
	c.status(503)
	c.send(get("/own"))
	c.status(200)
}

// chunkedTrailers reads a body of one chunk with a trailer field.
func (c *conn) chunkedTrailers(body, field string) {
	c.w.t.Helper()
	c.want(fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n\r\n", len(body), body, field))
}

// What is refused anyway asks nobody.
func TestAuthRequestForConnectAndTrace(t *testing.T) {
	w := newJudged(t, site{})
	for _, request := range []string{"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		c := w.client()
		c.send(request)
		c.status(405)
	}
}
