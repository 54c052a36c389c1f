package shard

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/mirror"
	"holdfast/route"
	"holdfast/upstream"
)

// mirrored is a world whose requests are copied to the same upstream.
type mirrored struct {
	*world
	pool *mirror.Pool
}

func newMirrored(t *testing.T, st site, body bool, uris ...string) *mirrored {
	t.Helper()
	m := &mirrored{pool: mirror.NewPool(mirror.Options{ActiveMax: 8, QueueMax: 8, BytesMax: 1 << 20})}
	inner := st.set
	st.set = func(s *route.Settings) {
		s.Mirror = &route.Mirror{URIs: uris, Body: body}
		if inner != nil {
			inner(s)
		}
	}
	st.options = func(o *Options) { o.Mirrors = m.pool }
	m.world = newWorld(t, st)
	t.Cleanup(func() { m.pool.Close(deadline) })
	return m
}

// both takes the connections of a request and of its copy, in whatever order they come.
func (m *mirrored) both(path string) (main, copied *conn, mainHead, copyHead string) {
	m.t.Helper()
	main, copied = m.upstream(), m.upstream()
	mainHead, copyHead = main.head(), copied.head()
	if !strings.Contains(mainHead, " "+path) {
		main, copied, mainHead, copyHead = copied, main, copyHead, mainHead
	}
	if !strings.Contains(mainHead, " "+path) || !strings.Contains(copyHead, " /copy") {
		m.t.Fatalf("requests %q and %q", mainHead, copyHead)
	}
	return main, copied, mainHead, copyHead
}

// idle waits until the peer has been given back as often as it was lent.
func (m *mirrored) idle() {
	m.t.Helper()
	m.eventually("no request at the peer", func(*Shard) bool { return m.peer.Active.Load() == 0 })
}

// A request is answered while its copy is not, and the copy's answer goes nowhere.
func TestMirror(t *testing.T) {
	for _, tls := range []legs{{}, {down: true}, {up: true}, {down: true, up: true}} {
		t.Run(fmt.Sprintf("%+v", tls), func(t *testing.T) {
			m := newMirrored(t, site{tls: tls}, true, "/copy")
			c := m.client()
			c.send(strings.Replace(get("/x?a=b"), "\r\n\r\n", "\r\nX-Own: 1\r\n\r\n", 1))
			u, copied, _, head := m.both("/x")
			if !strings.HasPrefix(head, "GET /copy?a=b HTTP/1.1\r\n") || !strings.Contains(head, "\r\nConnection: close\r\n") ||
				!strings.Contains(head, "\r\nX-Own: 1\r\n") || strings.Contains(head, "Content-Length") {
				t.Errorf("copy %q", head)
			}
			u.send(okAnswer)
			c.status(200)
			copied.send("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\n")
			copied.end()
			c.send(get("/own")) // a return has no copy
			c.status(200)
			m.pool.Close(deadline)
			if n := m.pool.Stats.Answered.Load(); n != 1 {
				t.Errorf("%d copies were answered, want 1", n)
			}
			m.idle()
		})
	}
}

func TestMirrorWithABody(t *testing.T) {
	body := "0123456789"
	for _, framing := range []string{
		"Content-Length: 10\r\n\r\n" + body,
		"Transfer-Encoding: chunked\r\n\r\na\r\n" + body + "\r\n0\r\nT: v\r\n\r\n",
	} {
		for _, whole := range []bool{true, false} {
			for _, buffered := range []bool{true, false} {
				m := newMirrored(t, site{set: func(s *route.Settings) {
					s.RequestBuffering, s.ClientBodyBufferSize = buffered, 16<<10
				}}, true, "/copy")
				c := m.client()
				head := "POST /x HTTP/1.1\r\nHost: a\r\n"
				if cut := strings.Index(framing, "45"); whole {
					c.send(head + framing)
				} else {
					c.send(head + framing[:cut])
					m.state(ReadBody)
					c.send(framing[cut:])
				}
				u, copied, mainHead, copyHead := m.both("/x")
				if !strings.HasPrefix(copyHead, "POST /copy ") || !strings.Contains(copyHead, "\r\nContent-Length: 10\r\n") ||
					strings.Contains(copyHead, "chunked") {
					t.Errorf("copy %q", copyHead)
				}
				copied.want(body)
				if strings.Contains(mainHead, "chunked") {
					u.chunks(body)
				} else {
					u.want(body)
				}
				u.send(okAnswer)
				c.status(200)
				copied.send(okAnswer)
			}
		}
	}
}

// What is not held has no copy, and neither has a copy a body where it is to have none.
func TestMirrorWithoutTheBody(t *testing.T) {
	large := strings.Repeat("x", 4096)
	t.Run("large", func(t *testing.T) {
		for _, framing := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large), large),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(large), large),
		} {
			m := newMirrored(t, site{set: func(s *route.Settings) {
				s.RequestBuffering, s.ClientBodyBufferSize = true, 1024
			}}, true, "/copy", "/copy2")
			c := m.client()
			c.send("POST /x HTTP/1.1\r\nHost: a\r\n" + framing)
			u := m.upstream()
			if head := u.head(); strings.Contains(head, "chunked") {
				u.chunks(large)
			} else {
				u.want(large)
			}
			u.send(okAnswer)
			c.status(200)
			if n := m.pool.Stats.Skipped.Load(); n != 2 {
				t.Errorf("%d copies were skipped, want 2", n)
			}
			m.logged(m.errors, "client_body_buffer_size has no room for its body")
		}
	})
	t.Run("mirror_request_body off", func(t *testing.T) {
		m := newMirrored(t, site{}, false, "/copy")
		c := m.client()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n" + large)
		u, copied, _, head := m.both("/x")
		if !strings.HasPrefix(head, "POST /copy ") || strings.Contains(head, "Content-Length") {
			t.Errorf("copy %q", head)
		}
		u.want(large)
		u.send(okAnswer)
		c.status(200)
		copied.send(okAnswer)
		copied.end()
	})
	t.Run("client gone", func(t *testing.T) {
		m := newMirrored(t, site{set: func(s *route.Settings) { s.ClientBodyBufferSize = 1024 }}, true, "/copy")
		c := m.client()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123")
		m.state(ReadBody)
		c.Close()
		m.empty()
	})
	t.Run("timeout", func(t *testing.T) {
		m := newMirrored(t, site{set: func(s *route.Settings) { s.ClientBodyBufferSize = 1024 }}, true, "/copy")
		c := m.client()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123")
		m.state(ReadBody)
		m.expireNow()
		c.status(408)
		c.end()
	})
}

// A tunnel's request is copied as a plain one, before the tunnel.
func TestMirrorOfAnUpgrade(t *testing.T) {
	m := newMirrored(t, site{}, true, "/copy")
	c := m.client()
	c.send(wsAsk)
	u, copied, _, head := m.both("/ws")
	if strings.Contains(head, "Upgrade:") || !strings.Contains(head, "\r\nConnection: close\r\n") {
		t.Errorf("copy %q", head)
	}
	copied.send(wsAnswer) // nobody has asked for it
	copied.end()
	u.send(wsAnswer)
	c.head()
	m.state(Tunnel)
	u.send("\x81\x02hi")
	c.want("\x81\x02hi")
	m.logged(m.errors, "mirroring a request failed")
}

// No copy harms the request: neither one to nobody, nor one to a server that is not there.
func TestMirrorFails(t *testing.T) {
	m := newMirrored(t, site{group: patient}, true, "/own", "/drop", "/nowhere", "/var?x", "/var", "/copy")
	c := m.client()
	c.send(get("/x?to=name.test"))
	for range 3 { // the request, and the copies to /nowhere and /copy
		if u := m.upstream(); strings.HasPrefix(u.head(), "GET /x?") {
			u.send(okAnswer)
		} else {
			u.reset()
		}
	}
	c.status(200)
	m.logged(m.errors, "a request is not mirrored to a name that must be resolved: name.test")
	m.logged(m.errors, "mirroring a request failed")
	m.pool.Close(deadline)
	if s := &m.pool.Stats; s.Failed.Load() != 2 || s.Skipped.Load() != 2 || s.Answered.Load() != 0 {
		t.Errorf("failed %d, skipped %d, answered %d", s.Failed.Load(), s.Skipped.Load(), s.Answered.Load())
	}
}

func TestMirrorWithoutAServer(t *testing.T) {
	m := newMirrored(t, site{group: func(spec *upstream.GroupSpec) { spec.Servers[0].Down = true }}, true, "/copy")
	c := m.client()
	c.send(get("/x"))
	c.status(502)
	m.logged(m.errors, "no live upstreams while mirroring a request to upstream up")
}

// With one worker and room for one more, the rest of the copies is dropped.
func TestMirrorsAreBounded(t *testing.T) {
	m := newMirrored(t, site{}, true, "/copy")
	small := mirror.NewPool(mirror.Options{ActiveMax: 1, QueueMax: 1, BytesMax: 1 << 20})
	m.ask(func(sh *Shard) { sh.opt.Mirrors = small })
	c := m.client()
	var u, copied *conn
	for i := range 20 {
		if c.send(get("/x")); i == 0 {
			u, copied, _, _ = m.both("/x")
		} else {
			u.head()
		}
		u.send(okAnswer)
		c.status(200)
	}
	if n := small.Stats.Dropped.Load(); n != 18 {
		t.Errorf("%d copies were dropped, want 18", n)
	}
	m.logged(m.errors, "a request is not mirrored: too many are on their way")
	copied.reset()
	copied = m.upstream() // the one that has waited
	copied.head()
	copied.send(okAnswer)
	small.Close(deadline)
	if s := &small.Stats; s.Failed.Load() != 1 || s.Answered.Load() != 1 {
		t.Errorf("failed %d, answered %d", s.Failed.Load(), s.Answered.Load())
	}
	m.idle()
}

// A named error page with a mirror gets a request of whose body an upstream has had some.
func TestMirrorOfAnErrorPage(t *testing.T) {
	for _, auth := range []bool{false, true} {
		m := &mirrored{pool: mirror.NewPool(mirror.Options{ActiveMax: 1, QueueMax: 1, BytesMax: 1 << 20})}
		st := site{group: patient}
		st.options = func(o *Options) {
			o.Mirrors = m.pool
			c := route.NewCompiler(route.Process{}, nil)
			set := defaultSettings(o.Policies, Policy{})
			proxy, err := c.NewProxy(&route.ProxySpec{URL: "http://up", Minor: 1})
			if err != nil {
				t.Fatal(err)
			}
			judge, paged := set, set
			if auth {
				paged.AuthRequest, _, _ = c.NewAuthRequest("/judge", nil)
			}
			paged.Mirror = &route.Mirror{URIs: []string{"/copy"}, Body: true}
			paged.RequestBuffering, paged.ClientBodyBufferSize = true, 1<<10
			set.ErrorPages, _ = c.NewErrorPages([]route.ErrorPageSpec{{Statuses: []int{502}, Overwrite: route.KeepStatus, Target: "@fallback"}})
			b := route.NewBuilder(c, 1)
			if _, err = b.AddServer(&route.ServerSpec{
				Names: []route.ServerName{{Text: "a"}}, Listens: []route.ListenUse{{}}, Settings: set,
				Locations: []route.LocationSpec{
					{Modifier: route.Prefix, Pattern: "/", Location: &route.Location{Settings: set, Proxy: proxy}},
					{Modifier: route.Prefix, Pattern: "/judge", Location: &route.Location{Settings: judge, Proxy: proxy}},
					{Modifier: route.NamedLocation, Pattern: "@fallback", Location: &route.Location{Settings: paged, Proxy: proxy}},
				},
			}); err != nil {
				t.Fatal(err)
			}
			o.Snapshot.Table = b.Table()
		}
		m.world = newWorld(t, st)
		t.Cleanup(func() { m.pool.Close(deadline) })
		c := m.client()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
		u := m.upstream()
		u.head()
		u.want("01234")
		u.Close()
		if auth {
			m.upstream().judges(noContent)
		}
		c.status(502) // the other half alone is no body
		m.pool.Close(deadline)
		if s := &m.pool.Stats; s.Skipped.Load() != 1 || s.Answered.Load()+s.Failed.Load() != 0 {
			t.Errorf("skipped %d, answered %d, failed %d", s.Skipped.Load(), s.Answered.Load(), s.Failed.Load())
		}
	}
}
