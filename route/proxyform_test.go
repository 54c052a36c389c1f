package route_test

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// busyProxy has something to say about every part of a head.
func busyProxy(t testing.TB) *route.Proxy {
	t.Helper()
	body := "own $arg_b"
	p, err := newCompiler().NewProxy(&route.ProxySpec{
		URL: "http://back:81/two/", Pattern: "/one/", Minor: 1,
		Redirects:     []route.Replacement{{From: "http://x/$arg_b/", To: "/y/"}, {Default: true}},
		CookieDomains: []route.Replacement{{From: "old.com", To: "$host"}},
		CookiePaths:   []route.Replacement{{From: "/a/", To: "/b/"}},
		CookieFlags:   []route.CookieFlags{{Name: "one", Flags: []string{"secure", "samesite=$arg_s"}}},
		Method:        "$arg_m", SetBody: &body, Bind: []string{"10.0.0.1", "$arg_from", "[::1]:5"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const busyAnswer = "HTTP/1.1 302 Found\r\nLocation: http://x/7/p\r\nRefresh: 1; url=http://back:81/two/q\r\n" +
	"Set-Cookie: one=1; Domain=.OLD.com; Path=/a/c; SameSite=None\r\nSet-Cookie: two=2; path=/\r\n\r\n"

// TestProxyFormAllocations proves that what the directives without regular expressions do
// costs no memory once an Env has grown.
func TestProxyFormAllocations(t *testing.T) {
	p := busyProxy(t)
	was := through(t, p, get("/one/?b=7&m=PUT&s=lax&from=10.0.0.2"))
	respond(t, was, busyAnswer)
	e, out := &route.Env{}, []byte(nil)
	var head string
	request := func() {
		e.Reset()
		e.Head, e.Req, e.Location, e.NowNs = was.Head, was.Req, was.Location, was.NowNs
		e.RawTarget, e.URI, e.Args, e.Host = was.RawTarget, was.URI, was.Args, was.Host
		length := int64(len(p.Body(e)))
		out, _ = p.AppendRequest(out[:0], e, route.RequestForm{
			Framing: httpparse.Framing{Kind: httpparse.BodyLength, Length: length}, Keepalive: true,
		})
		for turn := range uint32(3) {
			p.Bind().Pick(e, 3*turn, false) // a text with variables is parsed as a string
		}
		e.RespHead, e.Resp = was.RespHead, was.Resp
		out = p.AppendResponse(out, e, route.ResponseForm{Framing: httpparse.Framing{Kind: httpparse.BodyLength}})
	}
	request()
	head = string(out)
	for _, want := range []string{
		"PUT /two/?b=7&m=PUT&s=lax&from=10.0.0.2 HTTP/1.1\r\n", "\r\nContent-Length: 5\r\n", "\r\nLocation: http://example.com:8080/y/p\r\n",
		"\r\nRefresh: 1; url=/one/q\r\n", "\r\nSet-Cookie: one=1; Domain=.example.com; Path=/b/c; SameSite=Lax; Secure\r\n",
		"\r\nSet-Cookie: two=2; path=/\r\n",
	} {
		if !strings.Contains(head, strings.ReplaceAll(want, ":8080", "")) && !strings.Contains(head, want) {
			t.Errorf("no %q in\n%s", want, head)
		}
	}
	if n := testing.AllocsPerRun(100, request); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLocalAddrsTakeTurns(t *testing.T) {
	p := busyProxy(t)
	for _, tt := range []struct {
		from, want string
		turn       uint32
		v6         bool
	}{
		{"10.0.0.2", "10.0.0.1:0", 0, false}, {"10.0.0.2", "10.0.0.2:0", 1, false}, {"10.0.0.2", "10.0.0.1:0", 2, false},
		{"10.0.0.2", "[::1]:5", 0, true}, {"x", "invalid AddrPort", 1, true}, {"::2", "[::2]:0", 1, true},
		{"10.0.0.2", "10.0.0.1:0", 3, false},
	} {
		e := through(t, p, get("/one/?from="+tt.from))
		got, ok := p.Bind().Pick(e, tt.turn, tt.v6)
		if got.String() != tt.want || !ok {
			t.Errorf("turn %d, from %s, v6 %v: %s, want %s", tt.turn, tt.from, tt.v6, got, tt.want)
		}
	}
	only, err := newCompiler().NewLocalAddrs([]string{"10.0.0.1"}, false)
	if _, ok := only.Pick(newEnv(t, get("/")), 0, true); err != nil || ok || only.Dynamic() {
		t.Error("an address of the other family was taken")
	}
	if _, err := newCompiler().NewLocalAddrs([]string{"eth0"}, false); err == nil {
		t.Error("no error for a device")
	}
}

// TestInjection proves that what variables bring can't begin a field or a line.
func TestInjection(t *testing.T) {
	p, err := newCompiler("(?P<all>.*)").NewProxy(&route.ProxySpec{
		URL: "http://back/", Pattern: "/",
		Redirects:   []route.Replacement{{Regexp: "^(.*)$", To: "http://a$uri$1"}},
		CookiePaths: []route.Replacement{{From: "/", To: "$uri"}}, Method: "$uri",
	})
	if err != nil {
		t.Fatal(err)
	}
	e := through(t, p, get("/%0d%0aX:%20y"))
	respond(t, e, "HTTP/1.1 200 OK\r\nLocation: z\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
	out, sent := p.AppendRequest(nil, e, route.RequestForm{})
	out = p.AppendResponse(out, e, route.ResponseForm{})
	if bytes.Contains(out, []byte("\nX:")) || sent.Method != httpparse.MethodGet ||
		!bytes.Contains(out, []byte("Location: http://a/%0D%0AX:%20yz\r\n")) || !bytes.Contains(out, []byte("Path=/  X: y\r\n")) {
		t.Errorf("%+v %q", sent, out)
	}
}

// FuzzProxyForm feeds cookies, redirects and targets of X-Accel-Redirect that an upstream made up.
func FuzzProxyForm(f *testing.F) {
	for _, seed := range []string{"one=1; Domain=old.com; Path=/a/", "/a/%2e%2e/b", "one=; ;=;samesite", "http://x//p", "/%", "%2f..", "@a", "/..%00"} {
		f.Add(seed)
	}
	p := busyProxy(f)
	f.Fuzz(func(t *testing.T, value string) {
		head := "HTTP/1.1 200 OK\r\nSet-Cookie: " + value + "\r\nLocation: " + value + "\r\nRefresh: url=" + value +
			"\r\nX-Accel-Redirect: " + value + "\r\nX-Accel-Limit-Rate: " + value + "\r\nExpires: " + value + "\r\n\r\n"
		resp := &httpparse.Response{}
		if done, refused := resp.Parse([]byte(head)); !done || refused != httpparse.OK || resp.HeadLen != len(head) {
			return
		}
		e := through(t, p, get("/one/?b=7&s=lax"))
		e.RespHead, e.Resp = []byte(head), resp
		p.TakeLimitRate(e)
		target, _ := p.AccelRedirect(e)
		if e.SetUnsafe(target) && (e.URI[0] != '/' || bytes.Contains(append(e.URI, '/'), []byte("/../")) || bytes.IndexByte(e.URI, 0) >= 0) {
			t.Errorf("%q became %q", target, e.URI)
		}
		p.CarryFields(e)
		out := p.AppendResponse(nil, e, route.ResponseForm{Framing: httpparse.Framing{Kind: httpparse.BodyLength}})
		again := &httpparse.Response{}
		if done, refused := again.Parse(out); !done || refused != httpparse.OK || again.HeadLen != len(out) {
			t.Errorf("%q became the head %q", value, out)
		}
		if n := again.Count(httpparse.FieldSetCookie); n != 2*resp.Count(httpparse.FieldSetCookie) {
			t.Errorf("%q: %d cookies", value, n)
		}
	})
}
