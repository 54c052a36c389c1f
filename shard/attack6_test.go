package shard

import (
	"strings"
	"testing"

	"holdfast/mirror"
	"holdfast/route"
)

// judgedBy has a subrequest to path judge the requests of a location (auth_request).
func judgedBy(t testing.TB, path string) func(*route.Settings) {
	t.Helper()
	auth, _, err := route.NewCompiler(route.Process{}, nil).NewAuthRequest(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *route.Settings) { s.AuthRequest = auth }
}

const tenBytes = "0123456789"

// What is held of a body that is not whole yet outlives the subrequest of the location that an
// error page leads to.
func TestSubrequestKeepsAPartOfTheBody(t *testing.T) {
	r := newRig(t, site{},
		place{at: "/", up: 1, url: "http://$arg_to", pages: []route.ErrorPageSpec{page("@other", 502)}},
		place{at: "@other", up: 2, set: judgedBy(t, "/judge")},
		place{at: "=/judge", up: 1, insideOnly: true})
	c := r.client()
	c.send("POST /x?to=127.0.0.1:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + tenBytes)
	r.upstream().judges(noContent)
	u := r.upstream2()
	if head := u.head(); !strings.HasPrefix(head, "POST /x?") || !strings.Contains(head, "\r\nContent-Length: 20\r\n") {
		t.Errorf("request %q", head)
	}
	u.want(tenBytes)
	c.send(tenBytes)
	u.want(tenBytes)
	u.send(okAnswer)
	c.status(502)
}

// A body that came with its head goes to the error page's location whole, whatever the request
// has waited for before it was refused.
func TestErrorPageBehindAWait(t *testing.T) {
	for _, buffered := range []bool{true, false} {
		r := newRig(t, site{set: func(s *route.Settings) { s.RequestBuffering, s.ClientBodyBufferSize = buffered, 16<<10 }},
			place{at: "/", up: 1, set: judgedBy(t, "/judge"), pages: []route.ErrorPageSpec{page("@other", 401)}},
			place{at: "@other", up: 2},
			place{at: "=/judge", up: 1, insideOnly: true})
		c := r.client()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + tenBytes)
		r.upstream().judges("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
		if buffered {
			r.state(ReadBody)
			c.send(tenBytes)
		}
		u := r.upstream2()
		if head := u.head(); !strings.HasPrefix(head, "POST /x ") || !strings.Contains(head, "\r\nContent-Length: 20\r\n") {
			t.Errorf("request %q", head)
		}
		u.want(tenBytes)
		if !buffered {
			c.send(tenBytes)
		}
		u.want(tenBytes)
		u.send(okAnswer)
		c.status(401)
	}
}

// A client that leaves during a subrequest takes what was held of its request along.
func TestClientLeavesASubrequest(t *testing.T) {
	r := newRig(t, site{set: func(s *route.Settings) {
		s.RequestBuffering, s.ClientBodyBufferSize, s.PassTrailers = true, 16<<10, true
	}},
		place{at: "/", up: 1, url: "http://$arg_to", pages: []route.ErrorPageSpec{page("@other", 502)}},
		place{at: "@other", up: 2, set: judgedBy(t, "/judge")},
		place{at: "=/judge", up: 1, insideOnly: true})
	c := r.client()
	c.send("POST /x?to=127.0.0.1:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n")
	r.upstream().head()
	c.Close()
	r.empty()
	r.ask(func(sh *Shard) {
		if n, _ := sh.bufs.Lent(); n != 0 {
			t.Errorf("%d buffers are lent", n)
		}
	})
}

// What a peer has sent and got only ever grows.
func TestPeerBytesGrow(t *testing.T) {
	r := newRig(t, site{}, place{at: "/", up: 1, pages: []route.ErrorPageSpec{page("@other", 404)}, set: intercepting},
		place{at: "@other", up: 2, set: judgedBy(t, "/judge")},
		place{at: "=/judge", code: 204, insideOnly: true})
	c := r.client()
	c.send(get("/x"))
	u := r.upstream()
	sent := len(u.head())
	u.send(notFound())
	u2 := r.upstream2()
	u2.head()
	r.ask(func(*Shard) {
		if n := r.peer.Bytes.Load(); n != uint64(sent+len(notFound())) {
			t.Errorf("%d bytes in the first peer's account, want %d", n, sent+len(notFound()))
		}
	})
	u2.send(okAnswer)
	c.status(404)
}

// A path that an upstream names takes the place of the location's as any other does, whatever a
// rewrite has done before.
func TestAccelRedirectBehindARewrite(t *testing.T) {
	r := newRig(t, site{},
		place{at: "/", up: 1, rewrite: func(b *route.RewriteBuilder) error {
			return b.Rule(route.RuleSpec{Pattern: "^/x$", Regexp: "^/x$", Replacement: "/y", Flag: route.RewriteBreak})
		}},
		place{at: "/inside/", up: 2, url: "http://other/files/", insideOnly: true})
	c := r.client()
	c.send(get("/x"))
	u := r.upstream()
	if head := u.head(); !strings.HasPrefix(head, "GET /y ") {
		t.Errorf("request %q", head)
	}
	u.send("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inside/a\r\nContent-Length: 0\r\n\r\n")
	u = r.upstream2()
	if head := u.head(); !strings.HasPrefix(head, "GET /files/a ") {
		t.Errorf("request %q", head)
	}
	u.send(okAnswer)
	c.status(200)
}

// An Origin that was refused does not become a tunnel by way of an error page.
func TestRefusedOriginOpensNoTunnel(t *testing.T) {
	origins, err := route.NewCompiler(route.Process{}, nil).NewOrigins(&route.OriginsSpec{Values: []string{"https://good.example"}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, site{set: func(s *route.Settings) { s.Origins = origins }},
		place{at: "/", up: 1, pages: []route.ErrorPageSpec{page("/denied", 403)}},
		place{at: "=/denied", up: 2})
	c := r.client()
	c.send(strings.Replace(wsAsk, "\r\n\r\n", "\r\nOrigin: http://evil\r\n\r\n", 1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if u, err := r.other.Accept(); err == nil {
			w := r.wrap(u, nil)
			if head := w.head(); strings.Contains(head, "Upgrade") {
				t.Errorf("request %q", head)
			}
			w.send(okAnswer)
		}
	}()
	c.status(403)
	r.other.Close()
	<-done
}

// A body that was read and not kept, because the upstream gets another one, can't go to the
// location of an error page.
func TestReplacedBodyIsNotPromised(t *testing.T) {
	for _, framing := range []string{"Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
		text := "own"
		r := newRig(t, site{set: func(s *route.Settings) { s.RequestBuffering, s.ClientBodyBufferSize = true, 16<<10 }},
			place{at: "/", up: 1, set: intercepting, pages: []route.ErrorPageSpec{page("@other", 404)},
				spec: func(p *route.ProxySpec) { p.SetBody = &text }},
			place{at: "@other", up: 2})
		c := r.client()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\n" + framing)
		r.state(ReadBody)
		if strings.Contains(framing, "chunked") {
			c.send(chunks(tenBytes))
		} else {
			c.send(tenBytes)
		}
		u := r.upstream()
		if head := u.head(); !strings.Contains(head, "\r\nContent-Length: 3\r\n") {
			t.Errorf("request %q", head)
		}
		u.want("own")
		u.send(notFound())
		c.status(404)
		if n := r.peer2.Requests.Load(); n != 0 {
			t.Errorf("the second upstream was asked %d times", n)
		}
	}
}

// What proxy_set_body makes of the client's body has it, however that came.
func TestReplacedBodyHasTheBody(t *testing.T) {
	text := "[$request_body]"
	r := newRig(t, site{set: func(s *route.Settings) { s.RequestBuffering, s.ClientBodyBufferSize = true, 16 }},
		place{at: "/", up: 1, spec: func(p *route.ProxySpec) { p.SetBody = &text }})
	c := r.client()
	var u *conn
	for i, body := range []string{tenBytes, strings.Repeat(tenBytes, 500), tenBytes} {
		c.sendf("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body))
		r.state(ReadBody)
		c.send(body)
		if i == 0 {
			u = r.upstream()
		}
		u.head()
		if len(body) > 16 {
			body = "" // as in nginx, where it is not in memory then
		}
		u.want("[" + body + "]")
		u.send(okAnswer)
		c.status(200)
	}
}

// What the location of a copy gives variables is no business of the request's.
func TestMirrorLeavesVariablesAlone(t *testing.T) {
	pool := mirror.NewPool(mirror.Options{ActiveMax: 8, QueueMax: 8, BytesMax: 1 << 20})
	t.Cleanup(func() { pool.Close(deadline) })
	field := []route.SetHeader{{Name: "X-Where", Value: "$limit_rate"}}
	rate := func(value string) func(*route.RewriteBuilder) error {
		return func(b *route.RewriteBuilder) error { return b.Set("limit_rate", value) }
	}
	r := newRig(t, site{options: func(o *Options) { o.Mirrors = pool }},
		place{at: "/", up: 1, set: func(s *route.Settings) { s.Mirror = &route.Mirror{URIs: []string{"/copy"}} },
			rewrite: rate("1000000"), proxySetField: field},
		place{at: "=/copy", up: 2, rewrite: rate("2000000"), proxySetField: field})
	c := r.client()
	c.send(get("/x"))
	u, copied := r.upstream(), r.upstream2()
	if head := u.head(); !strings.Contains(head, "\r\nX-Where: 1000000\r\n") {
		t.Errorf("request %q", head)
	}
	if head := copied.head(); !strings.Contains(head, "\r\nX-Where: 2000000\r\n") {
		t.Errorf("copy %q", head)
	}
	copied.send(okAnswer)
	u.send(okAnswer)
	c.status(200)
	r.eventually("the copy is over", func(*Shard) bool { return r.peer2.Active.Load() == 0 })
}

// Whatever form a request has, nobody but the judge hears of it before it was admitted.
func TestJudgedInEveryForm(t *testing.T) {
	for _, verdict := range []string{
		"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 403 No\r\nX-Accel-Redirect: /x\r\nContent-Length: 0\r\n\r\n",
		wsAnswer, // nobody has asked for it
		"HTTP/1.1 302 No\r\nLocation: /x\r\n\r\n",
		"HTTP/1.1 103 No\r\n\r\nHTTP/1.1 304 No\r\n\r\n",
	} {
		for _, request := range []string{
			"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n",
			"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x HTTP/1.0\r\n\r\n", "GET //x/../y HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /%6audge HTTP/1.1\r\nHost: a\r\nX-Accel-Redirect: /x\r\n\r\n", wsAsk,
			"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(get("/y")),
			"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\n" + get("/smuggled"),
			"DELETE /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		} {
			r := newRig(t, site{}, place{at: "/", up: 2, set: judgedBy(t, "/judge")}, place{at: "=/judge", up: 1, insideOnly: true})
			c := r.client()
			c.send(request)
			if strings.HasPrefix(request, "GET /%6a") { // not for clients
				c.status(404)
				continue
			}
			u := r.upstream()
			u.judges(verdict)
			method, _, _ := strings.Cut(request, " ")
			if resp, _ := c.response(method); resp.StatusCode != 403 && resp.StatusCode != 500 {
				t.Errorf("%q after %q: status %d", request, verdict, resp.StatusCode)
			}
			if n := r.peer2.Connects.Load(); n != 0 {
				t.Errorf("%q after %q: the upstream was asked", request, verdict)
			}
			u.Close()
		}
	}
}
