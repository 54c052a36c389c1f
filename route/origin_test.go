package route_test

import (
	"strings"
	"testing"

	"holdfast/route"
)

func newOrigins(t testing.TB, spec route.OriginsSpec) *route.Origins {
	t.Helper()
	o, err := route.NewCompiler(route.Process{}, nil).NewOrigins(&spec)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func values(list ...string) route.OriginsSpec { return route.OriginsSpec{Values: list} }

func TestOrigins(t *testing.T) {
	regex := route.OriginsSpec{Regexps: []string{`^https://[a-z]+\.example$`}}
	for _, tc := range []struct {
		spec   route.OriginsSpec
		origin string // "-" for no field
		want   bool
	}{
		{values("https://example.com"), "https://example.com", true},
		{values("https://example.com"), "HTTPS://Example.Com", true},
		{values("https://example.com"), "https://example.com:443", true},
		{values("https://example.com:443"), "https://example.com", true},
		{values("HTTP://EXAMPLE.com:80"), "http://example.com", true},
		{values("https://example.com"), "http://example.com", false},
		{values("https://example.com"), "https://example.com:80", false},
		{values("https://example.com"), "https://example.com:8443", false},
		{values("https://example.com:8443"), "https://example.com:8443", true},
		{values("https://example.com"), "https://example.com.evil.example", false},
		{values("https://example.com"), "https://evilexample.com", false},
		{values("https://example.com"), "https://a.example.com", false},
		{values("https://example.com"), "https://example.com/", false},
		{values("https://example.com"), "https://example.com?", false},
		{values("https://example.com"), "https://example.com#", false},
		{values("https://example.com"), "https://evil@example.com", false},
		{values("https://example.com"), "https://example.com https://example.com", false},
		{values("https://example.com"), "https://example.com,https://example.com", false},
		{values("https://example.com"), "//example.com", false},
		{values("https://example.com"), "example.com", false},
		{values("https://example.com"), "https://", false},
		{values("https://example.com"), "https://example.com:", false},
		{values("https://example.com"), "https://example.com:0443", false},
		{values("https://example.com"), "https://example.com\x00", false},
		{values("https://example.com"), "", false},
		{values("https://example.com"), "-", false},
		{values("https://example.com"), "null", false},
		{values("http://[::1]:3000", "http://localhost:3000"), "http://[::1]:3000", true},
		{values("http://[::1]:3000", "http://localhost:3000"), "http://localhost:3000", true},
		{values("chrome-extension://abcdef"), "chrome-extension://abcdef", true},

		{values("https://*.example.com"), "https://a.example.com", true},
		{values("https://*.example.com"), "https://a.b.Example.com:443", true},
		{values("https://*.example.com"), "https://example.com", false},
		{values("https://*.example.com"), "https://.example.com", false},
		{values("https://*.example.com"), "https://aexample.com", false},
		{values("https://*.example.com"), "http://a.example.com", false},
		{values("https://*.example.com"), "https://a.example.com:8443", false},
		{values("https://*.example.com:8443"), "https://a.example.com:8443", true},
		{values("https://*.example.com:8443"), "https://a.example.com", false},
		{values("*.example.com"), "https://a.example.com", true},
		{values("*.example.com"), "http://a.example.com", true},
		{values("*.example.com"), "http://a.example.com:80", true},
		{values("*.example.com"), "http://a.example.com:81", false},
		{values("*.example.com:3000"), "http://a.example.com:3000", true},
		{values("*.example.com"), "https://example.com.evil.example", false},

		{regex, "https://good.example", true},
		{regex, "https://good.example:8443", false},
		{regex, "https://GOOD.example", false},
		{route.OriginsSpec{Regexps: []string{"."}}, "no origin", false},
		{route.OriginsSpec{Regexps: []string{"."}}, "-", false},
		{route.OriginsSpec{Regexps: []string{"^null$"}}, "null", true},

		{route.OriginsSpec{None: true}, "-", true},
		{route.OriginsSpec{None: true}, "", false},
		{route.OriginsSpec{None: true}, "null", false},
		{route.OriginsSpec{Null: true}, "null", true},
		{route.OriginsSpec{Null: true}, "-", false},
		{route.OriginsSpec{Same: true}, "https://example.com", true},
		{route.OriginsSpec{Same: true}, "http://example.com", true},
		{route.OriginsSpec{Same: true}, "http://example.com:8080", false},
		{route.OriginsSpec{Same: true}, "http://a.example.com", false},
		{route.OriginsSpec{Same: true}, "-", false},
	} {
		o := newOrigins(t, tc.spec)
		head := get("/")
		if tc.origin != "-" {
			head = get("/", "Origin: "+tc.origin)
		}
		e := &route.Env{}
		e.Reset()
		if fill(e, head) != nil && strings.Contains(tc.origin, "\x00") {
			continue // no head at all
		}
		if _, got := o.Allow(e); got != tc.want {
			t.Errorf("%+v, Origin %q: allowed %v", tc.spec, tc.origin, got)
		}
	}
}

func TestSeveralOrigins(t *testing.T) {
	o := newOrigins(t, values("https://example.com"))
	e := newEnv(t, get("/", "Origin: https://example.com", "Origin: https://example.com"))
	if origin, ok := o.Allow(e); ok || string(origin) != "https://example.com" {
		t.Errorf("%q is allowed: %v", origin, ok)
	}
}

func TestSameOrigin(t *testing.T) {
	o := newOrigins(t, route.OriginsSpec{Same: true})
	for _, tc := range []struct {
		request, origin string
		want            bool
	}{
		{"GET / HTTP/1.1\r\nHost: A.example:8080\r\n", "http://a.example:8080", true},
		{"GET / HTTP/1.1\r\nHost: a.example:8080\r\n", "http://a.example", false},
		{"GET / HTTP/1.1\r\nHost: a.example:443\r\n", "https://a.example", true},
		{"GET / HTTP/1.1\r\nHost: a.example:443\r\n", "http://a.example", false},
		{"GET / HTTP/1.1\r\nHost: [::1]:3000\r\n", "http://[::1]:3000", true},
		{"GET / HTTP/1.1\r\nHost: [::1]\r\n", "http://[::1]", true},
		{"GET http://b.example:81/ HTTP/1.1\r\nHost: a.example\r\n", "http://b.example:81", true},
		{"GET http://b.example:81/ HTTP/1.1\r\nHost: a.example\r\n", "http://a.example", false},
		{"GET / HTTP/1.1\r\nHost:\r\n", "http://a.example", false},
	} {
		e := newEnv(t, tc.request+"Origin: "+tc.origin+"\r\n\r\n")
		if _, got := o.Allow(e); got != tc.want {
			t.Errorf("%q, Origin %q: allowed %v", tc.request, tc.origin, got)
		}
	}
}

func TestBadOrigins(t *testing.T) {
	for _, value := range []string{
		"example.com", "https://example.com/", "https://*.example.com/x", "*", "*.", "https://*", "https://*.", "https://a b",
		"https://", "://a", "*.example.com:x", "https://example.com:99999", "self", "*.[::1]", "https://a.*.example.com", "https://ex*mple.com",
	} {
		spec := values(value)
		_, err := route.NewCompiler(route.Process{}, nil).NewOrigins(&spec)
		if err == nil {
			t.Errorf("%q is taken", value)
			continue
		}
		if want := `invalid value "` + value + `" in "websocket_origin" directive`; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestOriginsAllocateNothing(t *testing.T) {
	o := newOrigins(t, route.OriginsSpec{Values: []string{"https://a.example", "*.b.example"}, Same: true})
	e := newEnv(t, get("/", "Origin: https://www.b.example"))
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := o.Allow(e); !ok {
			t.Error("not allowed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzOrigin: whatever is allowed by a mask ends in its host, and is an origin in one piece.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://a.example.com", "null", "https://example.com:443", "HTTP://[::1]:1", "a://b.c@d"} {
		f.Add(seed)
	}
	o := newOrigins(f, values("https://example.com", "*.example.com"))
	f.Fuzz(func(t *testing.T, origin string) {
		e := &route.Env{}
		e.Reset()
		if fill(e, get("/", "Origin: "+origin)) != nil {
			return
		}
		value, ok := o.Allow(e)
		if !ok {
			return
		}
		text := strings.ToLower(string(value))
		_, host, _ := strings.Cut(text, "://")
		host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80"), ".")
		if !strings.HasSuffix("."+host, ".example.com") || strings.ContainsAny(text, " @,\\?#") {
			t.Errorf("%q is allowed", value)
		}
	})
}
