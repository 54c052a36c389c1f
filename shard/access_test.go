package shard

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/access"
	"holdfast/observe"
	"holdfast/route"
)

// guarded is a world whose clients are asked for a password: u:p is right.
type guarded struct {
	*world
	pool  *access.Pool
	store *access.Store
	users *access.Users
	free  chan bool
}

func newGuarded(t *testing.T, queue int, st site) *guarded {
	t.Helper()
	g := &guarded{pool: access.NewPool(1, queue), store: access.NewStore(), free: make(chan bool)}
	t.Cleanup(g.pool.Close)
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("u:{PLAIN}p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.users, _ = g.store.Users(path)
	inner := st.set
	st.set = func(s *route.Settings) {
		c := route.NewCompiler(route.Process{}, nil)
		s.Auth, _ = c.NewAuth("$arg_realm", 0)
		if inner != nil {
			inner(s)
		}
	}
	st.options = func(o *Options) { o.Access, o.Snapshot.Users = g.pool, []*access.Users{g.users} }
	g.world = newWorld(t, st)
	return g
}

// hold keeps the pool from verifying anything until release.
func (g *guarded) hold() {
	g.t.Helper()
	begun := make(chan bool)
	if !g.pool.Verify(g.users, []byte("x:y"), deadline, func(access.Verdict) { close(begun); <-g.free }) {
		g.t.Fatal("refused")
	}
	select {
	case <-begun:
	case <-time.After(deadline):
		g.t.Fatal("the pool does not begin")
	}
}

func (g *guarded) release() { g.free <- true }

func (g *guarded) orders() (n uint64) {
	g.ask(func(sh *Shard) { n = sh.orders })
	return n
}

func as(credentials, request string) string {
	field := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(credentials)) + "\r\n"
	return strings.Replace(request, "\r\n\r\n", "\r\n"+field+"\r\n", 1)
}

// The first request waits for a verdict, those behind it do not, and the upstream's
// connection is used again.
func TestAccessIsRememberedOnKeepAlive(t *testing.T) {
	g := newGuarded(t, 8, site{})
	c := g.client()
	c.send(as("u:p", get("/x")) + as("u:p", get("/y"))) // what is behind it stays where it is
	u := g.upstream()
	for _, path := range []string{"/x", "/y"} {
		if head := u.head(); !strings.HasPrefix(head, "GET "+path+" ") || !strings.Contains(head, "Authorization: Basic ") {
			t.Errorf("request %q", head)
		}
		u.send(okAnswer)
		c.status(200)
	}
	if n := g.orders(); n != 1 {
		t.Errorf("%d verdicts were ordered, want 1", n)
	}
	other := g.client()
	g.store.Reload()
	other.send(as("u:p", get("/z"))) // forgotten: from Access it goes to the pooled connection
	u.head()
	u.send(okAnswer)
	other.status(200)
	if n := g.orders(); n != 2 {
		t.Errorf("%d verdicts were ordered, want 2", n)
	}
}

func TestAccessIsRefused(t *testing.T) {
	g := newGuarded(t, 8, site{})
	for request, want := range map[string]int{
		get("/x?realm=r"):                                                401,
		as("u:q", get("/x")):                                             401,
		as("v:p", get("/x")):                                             401,
		as("u:p\x00", get("/x")):                                         401,
		as("no colon", get("/x")):                                        401,
		as(":p", get("/x")):                                              401,
		as("u:"+strings.Repeat("p", 2000), get("/x")):                    401,
		as("u:p", as("u:p", get("/x"))):                                  400,
		strings.Replace(as("u:p", get("/x")), "Basic ", "", 1):           401,
		strings.Replace(as("u:p", get("/x")), "Basic dT", "Basic =!", 1): 401,
		as("u:p", get("/own")):                                           200, // return answers before anybody is asked
		get("/own"):                                                      200,
	} {
		c := g.client()
		c.send(request)
		resp := c.status(want)
		if got := resp.Header.Get("WWW-Authenticate"); (got != "") != (want == 401) || want == 401 && !strings.HasPrefix(got, `Basic realm="`) {
			t.Errorf("%.80q: WWW-Authenticate %q", request, got)
		}
		if want == 401 {
			c.send(get("/own")) // on the same connection
			if resp := c.status(200); resp.Header.Get("WWW-Authenticate") != "" {
				t.Error("the next answer asks for a password, too")
			}
		}
	}
	c := g.client()
	c.send(get("/x?realm=off"))
	g.upstream().head()
	c = g.client()
	c.send(get(`/x?realm=a"b\c`))
	if got := c.status(401).Header.Get("WWW-Authenticate"); got != `Basic realm="a\"b\\c"` {
		t.Errorf("realm %q", got)
	}
}

func TestAccessWithoutAFile(t *testing.T) {
	g := newGuarded(t, 8, site{})
	if err := os.Remove(g.users.Path()); err != nil {
		t.Fatal(err)
	}
	c := g.client()
	c.send(as("u:p", get("/x")))
	c.status(403)
	if err := os.Mkdir(g.users.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	c.send(as("u:p", get("/x")))
	c.status(500)
	g.logged(g.errors, `open() "`+g.users.Path()+`" failed (2: No such file or directory)`)
	g.logged(g.errors, "a file of users can't be read: "+g.users.Path())
}

// A session ends in Access as elsewhere; the verdict that comes later is nobody's.
func TestAccessEnds(t *testing.T) {
	t.Run("client gone", func(t *testing.T) {
		g := newGuarded(t, 8, site{})
		g.hold()
		c := g.client()
		c.send(as("u:p", get("/x")))
		g.state(Access)
		c.Close()
		g.empty()
		g.release()
		other := g.client()
		other.send(as("u:q", get("/x")))
		other.status(401)
		g.ask(func(sh *Shard) {
			if n := sh.counters.SessionCloses[observe.ReasonAborted][observe.SideClient]; n != 1 {
				t.Errorf("%d sessions were aborted by the client, want 1", n)
			}
		})
	})
	t.Run("in time for nobody", func(t *testing.T) {
		g := newGuarded(t, 8, site{})
		g.hold()
		c := g.client()
		c.send(as("u:p", get("/x")))
		g.state(Access)
		g.expireNow()
		if c.status(503).Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		c.send(as("u:q", get("/x"))) // waits anew: the first verdict must not be taken for its own
		g.state(Access)
		g.release()
		c.status(401)
	})
	t.Run("too many", func(t *testing.T) {
		g := newGuarded(t, 1, site{})
		g.hold()
		first, second := g.client(), g.client()
		first.send(as("u:p", get("/x")))
		g.state(Access)
		second.send(as("u:p", get("/x")))
		second.status(503)
		g.release()
		u := g.upstream()
		u.head()
		u.send(okAnswer)
		first.status(200)
		g.logged(g.errors, "too many passwords are being verified")
	})
}

// The request's body comes while the verdict is waited for, and is held or streamed then.
func TestAccessBeforeABody(t *testing.T) {
	for _, buffered := range []bool{true, false} {
		g := newGuarded(t, 8, site{set: func(s *route.Settings) {
			s.RequestBuffering, s.ClientBodyBufferSize = buffered, 16<<10
		}})
		g.hold()
		c := g.client()
		c.send(as("u:p", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n") + "012")
		g.state(Access)
		c.send("345")
		g.release()
		if buffered {
			g.state(ReadBody)
		}
		c.send("6789")
		u := g.upstream()
		u.head()
		u.want("0123456789")
		u.send(okAnswer)
		c.status(200)
		// Refused: the body is not taken for a request.
		c.send(as("u:q", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n") + get("/own"))
		c.status(401)
		c.end()
	}
}

func TestAccessBeforeATunnel(t *testing.T) {
	g := newGuarded(t, 8, site{})
	c := g.client()
	const hello = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	c.send(hello)
	c.status(401)
	c.send(as("u:p", hello))
	u := g.upstream()
	u.head()
	u.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") || strings.Contains(head, "WWW-Authenticate") {
		t.Errorf("answer %q", head)
	}
	g.state(Tunnel)
	u.send("\x81\x02hi")
	c.want("\x81\x02hi")
}

// An error page after an upstream's answer may have to wait for a verdict, too.
func TestAccessToAnErrorPage(t *testing.T) {
	g := newGuarded(t, 8, site{set: func(s *route.Settings) {
		c := route.NewCompiler(route.Process{}, nil)
		s.ErrorPages, _ = c.NewErrorPages([]route.ErrorPageSpec{{Statuses: []int{503}, Overwrite: route.KeepStatus, Target: "/page"}})
		s.InterceptErrors = true
	}})
	c := g.client()
	c.send(as("u:p", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"))
	u := g.upstream()
	u.head()
	u.want("hi")
	g.store.Reload() // what was verified is forgotten
	g.hold()
	u.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
	g.state(Access)
	g.release()
	u = g.upstream()
	if head := u.head(); !strings.HasPrefix(head, "GET /page ") {
		t.Errorf("request %q", head)
	}
	u.send(okAnswer)
	c.status(503)
	c.send(get("/own"))
	c.status(200)
}

// Thousands of distinct wrong passwords leave nothing behind.
func TestAccessFlood(t *testing.T) {
	g := newGuarded(t, 1<<16, site{})
	var c *conn
	for i := range 3000 {
		if i%500 == 0 {
			c = g.client()
		}
		c.send(as("u:"+strings.Repeat("x", 1+i%700)+string(rune('a'+i%26)), get("/x")))
		c.status(401)
	}
	g.ask(func(sh *Shard) {
		if sh.requests.lent() > 1 || sh.counters.Sessions[Access] != 0 {
			t.Errorf("%d requests lent, %d sessions in access", sh.requests.lent(), sh.counters.Sessions[Access])
		}
	})
}
