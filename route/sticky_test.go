package route_test

import (
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

func newSticky(t testing.TB, spec *route.StickySpec) *route.Sticky {
	t.Helper()
	s, err := newCompiler().NewSticky(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answers is the head of an upstream's response after StickTo.
func answers(t testing.TB, e *route.Env, s *route.Sticky, sid, head string) string {
	t.Helper()
	c := newCompiler()
	p, err := c.NewProxy(&route.ProxySpec{URL: "http://b", Pattern: "/", Minor: 1})
	if err != nil {
		t.Fatal(err)
	}
	respond(t, e, head)
	e.StickTo(s, sid)
	return string(p.AppendResponse(nil, e, route.ResponseForm{Framing: httpparse.Framing{Kind: httpparse.BodyLength}}))
}

// sticky cookie: name, expires=, domain=, httponly, secure, samesite= and path= in nginx's order.
func TestStickyCookie(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		cookie route.StickyCookie
		sid    string
		want   string // behind Set-Cookie: srv=
	}{
		{"name and value", route.StickyCookie{ExpiresSec: route.StickySession}, "a", "a"},
		{"expires=1h", route.StickyCookie{ExpiresSec: 3600}, "a", "a; expires=Tue, 14-Nov-23 23:13:21 GMT; max-age=3600"},
		{"expires=0", route.StickyCookie{}, "a", "a; expires=Tue, 14-Nov-23 22:13:21 GMT; max-age=0"},
		{"expires=max", route.StickyCookie{ExpiresSec: route.StickyMax}, "a",
			"a; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"},
		{"behind 2037", route.StickyCookie{ExpiresSec: 20 * 365 * 86400}, "a",
			"a; expires=Mon, 09-Nov-2043 22:13:21 GMT; max-age=630720000"},
		{"everything", route.StickyCookie{
			ExpiresSec: route.StickySession, Domain: ".example.com", SameSite: "Lax", Path: "/a", HTTPOnly: true, Secure: true,
		}, "0cc175b9c0f1b6a831c399e269772661",
			"0cc175b9c0f1b6a831c399e269772661; domain=.example.com; httponly; secure; samesite=Lax; path=/a"},
		{"domain with variables", route.StickyCookie{ExpiresSec: route.StickySession, Domain: ".$host"}, "a", "a; domain=.example.com"},
		{"a domain that can't be one", route.StickyCookie{ExpiresSec: route.StickySession, Domain: "$arg_bad"}, "a", "a"},
		{"samesite=$variable", route.StickyCookie{ExpiresSec: route.StickySession, SameSite: "$arg_site"}, "a", "a; samesite=NONE"},
		{"a samesite that is none", route.StickyCookie{ExpiresSec: route.StickySession, SameSite: "$arg_bad"}, "a", "a; samesite=strict"},
		{"an empty samesite", route.StickyCookie{ExpiresSec: route.StickySession, SameSite: "$arg_none"}, "a", "a"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			tt.cookie.Name = "srv"
			s := newSticky(t, &route.StickySpec{Cookie: &tt.cookie})
			e := newEnv(t, get("/?bad=x;y&site=NONE"))
			head := answers(t, e, s, tt.sid, "HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\n\r\n")
			if want := "Set-Cookie: own=1\r\nSet-Cookie: srv=" + tt.want + "\r\n"; !strings.Contains(head, want) {
				t.Errorf("head %q\nlacks %q", head, want)
			}
		})
	}
}

// sticky: the cookie comes with a 101 too, and not where nothing is to stick.
func TestStickyCookieOfAnswers(t *testing.T) {
	cookie := newSticky(t, &route.StickySpec{Cookie: &route.StickyCookie{Name: "srv", ExpiresSec: route.StickySession}})
	learn := newSticky(t, &route.StickySpec{Lookup: []string{"$arg_a"}, Create: []string{"$arg_a"}})
	const switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
	for _, tt := range []struct {
		rule string
		to   *route.Sticky
		sid  string
		want int
	}{{"cookie", cookie, "a", 1}, {"no server", cookie, "", 0}, {"learn", learn, "a", 0}, {"no sticky", nil, "", 0}} {
		head := answers(t, newEnv(t, get("/")), tt.to, tt.sid, switched)
		if got := strings.Count(head, "\r\nSet-Cookie: srv=a\r\n"); got != tt.want || strings.Count(head, "Set-Cookie") != tt.want {
			t.Errorf("%s: %q", tt.rule, head)
		}
	}
	e := newEnv(t, get("/"))
	answers(t, e, cookie, "a", switched)
	e.StickTo(nil, "")
	if head := answers(t, e, nil, "", switched); strings.Contains(head, "Set-Cookie") {
		t.Errorf("the cookie was not taken back: %q", head)
	}
	answers(t, e, cookie, "a", switched)
	e.Reset()
	if err := fill(e, get("/")); err != nil {
		t.Fatal(err)
	}
	if head := answers(t, e, nil, "", switched); strings.Contains(head, "Set-Cookie") {
		t.Errorf("the next request has the cookie of the one before: %q", head)
	}
}

// sticky cookie, route and learn: what of a request counts is the first that is not empty.
func TestStickyBound(t *testing.T) {
	cookie := newSticky(t, &route.StickySpec{Cookie: &route.StickyCookie{Name: "Srv-ID"}})
	byRoute := newSticky(t, &route.StickySpec{Lookup: []string{"$cookie_r", "$arg_r"}})
	learn := newSticky(t, &route.StickySpec{
		Lookup: []string{"$cookie_s", "$arg_s"}, Create: []string{"$upstream_cookie_s", "$upstream_http_x_session"},
	})
	for _, tt := range []struct {
		rule string
		s    *route.Sticky
		head string
		want string
	}{
		{"the cookie among others", cookie, get("/", "Cookie: a=b; srv-id=one; srv-id=two"), "one"},
		{"no such cookie", cookie, get("/", "Cookie: srv-idx=one"), ""},
		{"an empty cookie", cookie, get("/", "Cookie: srv-id="), ""},
		{"no cookies", cookie, get("/"), ""},
		{"the first variable", byRoute, get("/?r=b", "Cookie: r=a"), "a"},
		{"the second where the first is empty", byRoute, get("/?r=b", "Cookie: r="), "b"},
		{"none", byRoute, get("/"), ""},
		{"a session", learn, get("/", "Cookie: s=x"), "x"},
	} {
		if got := string(tt.s.AppendBound([]byte("+"), newEnv(t, tt.head))); got != "+"+tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, got, "+"+tt.want)
		}
	}
	for head, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nSet-Cookie: s=new; path=/\r\nX-Session: other\r\n\r\n": "new",
		"HTTP/1.1 200 OK\r\nX-Session: other\r\n\r\n":                              "other",
		"HTTP/1.1 200 OK\r\n\r\n":                                                  "",
	} {
		e := newEnv(t, get("/", "Cookie: s=x"))
		respond(t, e, head)
		if got := string(learn.AppendCreated(nil, e)); got != want {
			t.Errorf("%q creates %q, want %q", head, got, want)
		}
	}
}

func TestStickyErrors(t *testing.T) {
	for _, spec := range []route.StickySpec{
		{Lookup: []string{"$hots"}}, {Create: []string{"$hots"}},
		{Cookie: &route.StickyCookie{Name: "a", Domain: "$hots"}}, {Cookie: &route.StickyCookie{Name: "a", SameSite: "$hots"}},
	} {
		if _, err := newCompiler().NewSticky(&spec); err == nil || !strings.Contains(err.Error(), `did you mean "$host"?`) {
			t.Errorf("%+v: error %v", spec, err)
		}
	}
}

func TestStickyDoesNotAllocate(t *testing.T) {
	s := newSticky(t, &route.StickySpec{Cookie: &route.StickyCookie{
		Name: "srv", ExpiresSec: 60, Domain: "$host", SameSite: "$arg_s", Path: "/", HTTPOnly: true,
	}})
	p, err := newCompiler().NewProxy(&route.ProxySpec{URL: "http://b", Pattern: "/", Minor: 1})
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, get("/", "Cookie: srv=abc"))
	respond(t, e, "HTTP/1.1 200 OK\r\n\r\n")
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		buf = s.AppendBound(buf[:0], e)
		e.StickTo(s, "abc")
		buf = p.AppendResponse(buf[:0], e, route.ResponseForm{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
