package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/proc"
)

// flock starts backends that answer with their letter at every path, echo at /ws, and begin the
// session of the argument sid at /set.
func flock(t *testing.T, letters string) (list []*proc.Backend, values map[string]string) {
	t.Helper()
	values = map[string]string{}
	for _, r := range letters {
		letter := string(r)
		b := proc.NewBackend(t, func(x *proc.Exchange) {
			path, args, _ := strings.Cut(x.Head.Target(), "?")
			switch path {
			case "/ws":
				proc.Echo()(x)
			case "/set":
				proc.Answer(200, letter, "Set-Cookie: session="+strings.TrimPrefix(args, "sid=")+"; path=/")(x)
			default:
				proc.Answer(200, letter)(x)
			}
		})
		list = append(list, b)
		values[letter] = b.Addr
	}
	return list, values
}

const stickyByCookie = `
upstream u { sticky cookie srv expires=1h path=/ httponly; server {{a}}; server {{b}}; server {{c}} route=third; }
server { listen 127.0.0.1:{{port:front}}; location / { proxy_pass http://u; } }`

// visit asks for a path with a cookie and tells whose answer it was, and the cookie of that.
func visit(t *testing.T, p *proc.Proxy, target, cookie string) (letter, set string) {
	t.Helper()
	c := proc.Dial(t, p.Front())
	defer c.Close()
	text := get(target)
	if cookie != "" {
		text = strings.TrimSuffix(text, "\r\n") + "Cookie: " + cookie + "\r\n\r\n"
	}
	head := c.Send(text).Response(200)
	return string(c.Body(head)), strings.Join(head.Values("Set-Cookie"), "|")
}

// cookiePair is the name and value of a Set-Cookie.
func cookiePair(set string) string {
	name, _, _ := strings.Cut(set, ";")
	return name
}

// webSocket opens a tunnel with a cookie and returns the cookie of its 101.
func webSocket(t *testing.T, p *proc.Proxy, cookie string) (tunnel *proc.Raw, set string) {
	t.Helper()
	tunnel = proc.Dial(t, p.Front())
	head := tunnel.Handshake("x", "/ws", "Cookie: "+cookie)
	tunnel.EchoText("hello")
	return tunnel, head.Get("Set-Cookie")
}

// sticky cookie: a client comes back to its server after a restart of the proxy, and at another
// instance, with requests and WebSockets.
func TestStickyCookieSurvivesARestart(t *testing.T) {
	backends, values := flock(t, "abc")
	spec := proc.Spec{HTTP: stickyByCookie, Vars: values}
	first := holdfast(t, spec)
	bound := map[string]string{}
	for range 3 {
		letter, set := visit(t, first, "/", "")
		bound[letter] = cookiePair(set)
		if !strings.HasPrefix(set, "srv=") || !strings.HasSuffix(set, "; httponly; path=/") || !strings.Contains(set, "; max-age=3600;") {
			t.Errorf("cookie %q", set)
		}
	}
	if len(bound) != 3 || bound["c"] != "srv=third" {
		t.Fatalf("three clients are bound %v", bound)
	}
	other := holdfast(t, spec)
	first.Stop(t, syscall.SIGTERM)
	again := holdfast(t, spec)
	for _, p := range []*proc.Proxy{other, again} {
		for i, letter := range []string{"a", "b", "c"} {
			for range 3 {
				if got, set := visit(t, p, "/", bound[letter]); got != letter || cookiePair(set) != bound[letter] {
					t.Errorf("bound to %s, went to %s and got %q", letter, got, set)
				}
			}
			tunnel, set := webSocket(t, p, bound[letter])
			if seen := backends[i].Last(t); seen.Head.Target() != "/ws" || cookiePair(set) != bound[letter] {
				t.Errorf("the WebSocket of %s: its server saw %s last, the 101 has %q", letter, seen.Head.Target(), set)
			}
			tunnel.Close()
		}
	}
	if m := again.Metrics(t); m[`holdfast_sticky_total{result="hit",upstream="u"}`] != 12 {
		t.Errorf("hits %v, want 12", m[`holdfast_sticky_total{result="hit",upstream="u"}`])
	}
}

// sticky: where the server is gone another one takes its requests and tunnels, and the cookie says
// so; its other clients stay where they are.
func TestStickyServerThatIsGone(t *testing.T) {
	backends, values := flock(t, "abc")
	p := holdfast(t, proc.Spec{HTTP: stickyByCookie, Vars: values})
	p.Tolerate("connect() failed")
	p.Tolerate("upstream server temporarily disabled")
	bound := map[string]string{}
	for range 3 {
		letter, set := visit(t, p, "/", "")
		bound[letter] = cookiePair(set)
	}
	stays, _ := webSocket(t, p, bound["b"])
	backends[0].Close()
	moved, set := visit(t, p, "/", bound["a"])
	if moved == "a" || cookiePair(set) != bound[moved] {
		t.Errorf("its server is gone; went to %q and got %q", moved, set)
	}
	tunnel, set := webSocket(t, p, bound["a"])
	if cookiePair(set) != bound["b"] && cookiePair(set) != bound["c"] {
		t.Errorf("its server is gone; the WebSocket got %q", set)
	}
	if got, _ := visit(t, p, "/", bound["c"]); got != "c" {
		t.Errorf("a client of c went to %s", got)
	}
	stays.EchoText("still here")
	stays.Close()
	tunnel.Close()
}

// server … drain: only requests with its cookie go there.
func TestStickyDrain(t *testing.T) {
	_, values := flock(t, "ab")
	p := holdfast(t, proc.Spec{Vars: values, HTTP: `
		upstream u { sticky cookie srv; server {{a}} route=a drain; server {{b}} route=b; }
		server { listen 127.0.0.1:{{port:front}}; location / { proxy_pass http://u; } }`})
	for range 4 {
		if got, set := visit(t, p, "/", ""); got != "b" || set != "srv=b" {
			t.Errorf("a new client went to %s and got %q", got, set)
		}
		if got, set := visit(t, p, "/", "srv=a"); got != "a" || set != "srv=a" {
			t.Errorf("a client of a went to %s and got %q", got, set)
		}
	}
}

// sticky route: variables are compared with route= of the servers.
func TestStickyRoute(t *testing.T) {
	_, values := flock(t, "ab")
	p := holdfast(t, proc.Spec{Vars: values, HTTP: `
		map $cookie_jsession $by_cookie { ~\.(?P<node>\w+)$ $node; }
		map $uri $by_uri { "~;node=(?P<node>\w+)$" $node; }
		upstream u { sticky route $by_cookie $by_uri; server {{a}} route=one; server {{b}} route=two; }
		server { listen 127.0.0.1:{{port:front}}; location / { proxy_pass http://u; } }`})
	for range 3 {
		if got, set := visit(t, p, "/", "jsession=x.two"); got != "b" || set != "" {
			t.Errorf("by its cookie a request went to %s and got %q", got, set)
		}
		if got, _ := visit(t, p, "/x;node=one", ""); got != "a" {
			t.Errorf("by its path a request went to %s", got)
		}
	}
}

// sticky learn: sessions that servers begin are found by all shards.
func TestStickyLearn(t *testing.T) {
	_, values := flock(t, "abc")
	p := holdfast(t, proc.Spec{Vars: values, HTTP: `
		upstream u {
			sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:64k timeout=1h;
			server {{a}}; server {{b}}; server {{c}};
		}
		server { listen 127.0.0.1:{{port:front}}; location / { proxy_pass http://u; } }`})
	for _, id := range []string{"one", "two", "three", "four"} {
		letter, set := visit(t, p, "/set?sid="+id, "")
		if cookiePair(set) != "session="+id {
			t.Fatalf("cookie %q", set)
		}
		for range 6 {
			if got, _ := visit(t, p, "/", "session="+id); got != letter {
				t.Errorf("session %s belongs to %s, went to %s", id, letter, got)
			}
		}
	}
	m := p.Metrics(t)
	equal(t, "sessions", m[`holdfast_sticky_sessions{upstream="u",zone="sessions"}`], 4)
	equal(t, "hits", m[`holdfast_sticky_total{result="hit",upstream="u"}`], 24)
	equal(t, "new", m[`holdfast_sticky_total{result="new",upstream="u"}`], 4)
}

// sticky cookie: what an upstream sends inside (X-Accel-Redirect) has the cookie, and a page of our
// own has none.
func TestStickyCookieOfOtherAnswers(t *testing.T) {
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/inside": proc.Answer(200, "", "X-Accel-Redirect: /own", "Set-Cookie: theirs=1"),
		"/bad":    proc.Answer(404, "theirs"),
	}))
	p := holdfast(t, proc.Spec{Vars: vars("a", b.Addr), HTTP: `
		upstream u { sticky cookie srv; server {{a}} route=a; }
		server {
			listen 127.0.0.1:{{port:front}};
			location / { proxy_pass http://u; }
			location /bad { proxy_pass http://u; proxy_intercept_errors on; error_page 404 /own; }
			location /own { internal; return 200 own; }
		}`})
	for target, want := range map[string]string{"/inside": "theirs=1|srv=a", "/bad": ""} {
		c := proc.Dial(t, p.Front())
		head := c.Send(get(target)).Head()
		if got := strings.Join(head.Values("Set-Cookie"), "|"); got != want || string(c.Body(head)) != "own" {
			t.Errorf("%s: %s with the cookies %q, want %q", target, head.Start, got, want)
		}
		c.Close()
	}
	b.Close()
	p.Tolerate("connect() failed")
	c := proc.Dial(t, p.Front())
	defer c.Close()
	if head := c.Send(get("/")).Response(502); head.Has("Set-Cookie") {
		t.Errorf("a 502 of our own has the cookie %q", head.Get("Set-Cookie"))
	}
}

// What sticky has learned and what it says in cookies holds under the next configuration.
func TestStickySurvivesAReload(t *testing.T) {
	_, values := flock(t, "abcd")
	p := holdfast(t, proc.Spec{Vars: values, HTTP: `
		upstream learnt {
			sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=sessions:64k;
			server {{a}}; server {{b}}; # more
		}
		upstream named { sticky cookie srv; server {{a}}; server {{b}}; # more
		}
		server {
			listen 127.0.0.1:{{port:front}};
			location / { proxy_pass http://learnt; }
			location /named { proxy_pass http://named; }
		}`})
	sessions, names := map[string]string{}, map[string]string{}
	for _, id := range []string{"one", "two", "three"} {
		sessions[id], _ = visit(t, p, "/set?sid="+id, "")
		letter, set := visit(t, p, "/named", "")
		names[set] = letter
	}
	file := filepath.Join(p.Dir, "nginx.conf")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(text), "# more", "server "+values["c"]+"; server "+values["d"]+";")
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	proc.Until(t, "the new servers are in use", func() error {
		if letter, _ := visit(t, p, "/", ""); letter != "c" && letter != "d" {
			return fmt.Errorf("went to %s", letter)
		}
		return nil
	})
	for range 4 {
		for id, letter := range sessions {
			if got, _ := visit(t, p, "/", "session="+id); got != letter {
				t.Errorf("session %s belongs to %s, went to %s", id, letter, got)
			}
		}
		for set, letter := range names {
			if got, again := visit(t, p, "/named", set); got != letter || again != set {
				t.Errorf("%s belongs to %s, went to %s and got %s", set, letter, got, again)
			}
		}
	}
	m := p.Metrics(t)
	equal(t, "hits", m[`holdfast_sticky_total{result="hit",upstream="learnt"}`], 12)
	equal(t, "sessions", m[`holdfast_sticky_sessions{upstream="learnt",zone="sessions"}`], 3)
}
