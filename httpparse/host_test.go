package httpparse_test

import (
	"net/netip"
	"strings"
	"testing"

	"holdfast/httpparse"
)

func TestParseHostAccepted(t *testing.T) {
	cases := []struct{ in, host, port string }{
		{"example.com", "example.com", ""},
		{"Example.COM:8080", "Example.COM", "8080"},
		{"example.com.", "example.com", ""},
		{"example.com.:80", "example.com", "80"},
		{"example.com:", "example.com", ""},
		{"a", "a", ""},
		{"my_service:65535", "my_service", "65535"},
		{"a:0", "a", "0"},
		{"127.0.0.1:9", "127.0.0.1", "9"},
		{"a%41b", "a%41b", ""},
		{"!$&'()*+,;=-._~", "!$&'()*+,;=-._~", ""},
		{"[::1]", "[::1]", ""},
		{"[2001:DB8::1]:443", "[2001:DB8::1]", "443"},
		{"[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]", "80"},
	}
	for _, c := range cases {
		host, port, err := httpparse.ParseHost(atGuardPage(t, []byte(c.in)))
		if string(host) != c.host || string(port) != c.port || err != httpparse.OK {
			t.Errorf("%q: host %q, port %q, %v", c.in, host, port, err)
		}
	}
}

func TestParseHostRefused(t *testing.T) {
	for _, in := range []string{
		"", ".", "..", ".a", "a..b", ":80", ".:80", "a:b", "a:80:80", "a:65536", "a:99999999999999999999", "a:-1",
		"a:+1", "a: 80", "user@a", "user:pw@a", "a/b", "a\\b", "a?b", "a#b", "a b", "a\tb", "a\x00b", "a\x7f",
		"\xc3\xa9", "a%", "a%4", "a%4g", "<a>", "\"a\"", "a^", "a`", "{a}", "a|b", "a[b]",
		"[", "]", "[]", "[::1", "::1", "[::1]x", "[::1]80", "[::1]:x", "[v1.a]", "[fe80::1%25eth0]", "[fe80::1%eth0]",
		"[1:2:3:4:5:6:7]", "[:::]", "[1::2::3]", "[12345::]", "[::1.2.3]", "[::1.2.3.256]", "[::01.2.3.4]", "[1:]",
	} {
		if host, port, err := httpparse.ParseHost([]byte(in)); err != httpparse.ErrHost || host != nil || port != nil {
			t.Errorf("%q: host %q, port %q, %v", in, host, port, err)
		}
	}
}

// TestIPv6LiteralAgreesWithNetip builds addresses out of all short sequences of parts
// and wants the verdict of net/netip on each.
func TestIPv6LiteralAgreesWithNetip(t *testing.T) {
	parts := []string{":", "::", "0", "fFff", "1.2.3.4", "12345", "1:2:3", "g"}
	accepted := 0
	var build func(text string, depth int)
	build = func(text string, depth int) {
		addr, netipErr := netip.ParseAddr(text)
		_, _, err := httpparse.ParseHost([]byte("[" + text + "]"))
		if want := netipErr == nil && addr.Is6(); (err == httpparse.OK) != want {
			t.Fatalf("[%s]: %v, netip says %v", text, err, netipErr)
		} else if want {
			accepted++
		}
		if depth == 0 {
			return
		}
		for _, part := range parts {
			build(text+part, depth-1)
		}
	}
	build("", 5)
	if accepted < 100 {
		t.Errorf("only %d addresses were good ones", accepted)
	}
}

func TestParseTargetAccepted(t *testing.T) {
	get, options, connect := httpparse.MethodGet, httpparse.MethodOptions, httpparse.MethodConnect
	cases := []struct {
		name, in string
		method   httpparse.MethodID
		want     string
	}{
		{"9112-3.2.1 path", "/a/b", get, "origin path=/a/b"},
		{"9112-3.2.1 query", "/a?b=c?d", get, "origin path=/a query=b=c?d"},
		{"9112-3.2.1 empty query", "/?", get, "origin path=/ query="},
		{"9112-3.2.1 path that looks like an authority", "//host/x", get, "origin path=//host/x"},
		{"9112-3.2.1 punctuation and high bytes", "/\"<>[]^`{|}\\\xff", get, "origin path=/\"<>[]^`{|}\\\xff"},
		{"9112-3.2.2 full", "http://a.example:80/p?q", get, "absolute scheme=http authority=a.example:80 path=/p query=q"},
		{"9112-3.2.2 no path", "HTTPS://a", get, "absolute scheme=HTTPS authority=a path="},
		{"9112-3.2.2 query without path", "ws://[::1]?q", get, "absolute scheme=ws authority=[::1] path= query=q"},
		{"9112-3.2.2 wss", "wss://a/x/", get, "absolute scheme=wss authority=a path=/x/"},
		{"9112-3.2.3 authority", "a:443", connect, "authority authority=a:443 path="},
		{"9112-3.2.4 asterisk", "*", options, "asterisk path="},
	}
	forms := map[httpparse.TargetForm]string{
		httpparse.TargetOrigin: "origin", httpparse.TargetAbsolute: "absolute",
		httpparse.TargetAuthority: "authority", httpparse.TargetAsterisk: "asterisk",
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := atGuardPage(t, []byte(c.in))
			target, err := httpparse.ParseTarget(in, c.method)
			got := forms[target.Form]
			if target.Scheme.Len() > 0 {
				got += " scheme=" + string(target.Scheme.Of(in))
			}
			if target.Authority.Len() > 0 {
				got += " authority=" + string(target.Authority.Of(in))
			}
			got += " path=" + string(target.Path.Of(in))
			if target.HasQuery {
				got += " query=" + string(target.Query.Of(in))
			}
			if got != c.want || err != httpparse.OK {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

func TestParseTargetRefused(t *testing.T) {
	get, options, connect := httpparse.MethodGet, httpparse.MethodOptions, httpparse.MethodConnect
	cases := []struct {
		name, in string
		method   httpparse.MethodID
		want     httpparse.Error
	}{
		{"9112-3.2 empty", "", get, httpparse.ErrTarget},
		{"9112-3.2 relative", "a/b", get, httpparse.ErrTarget},
		{"9112-3.2 query only", "?a", get, httpparse.ErrTarget},
		{"9112-3.2 fragment", "/a#b", get, httpparse.ErrTarget},
		{"9112-3.2 space", "/a b", get, httpparse.ErrTarget},
		{"9112-3.2 control", "/a\r\nb", get, httpparse.ErrTarget},
		{"9112-3.2.2 other scheme", "ftp://a/", get, httpparse.ErrTarget},
		{"9112-3.2.2 scheme alone", "http:", get, httpparse.ErrTarget},
		{"9112-3.2.2 one slash", "http:/a", get, httpparse.ErrTarget},
		{"9112-3.2.2 no authority", "http:///a", get, httpparse.ErrHost},
		{"9110-4.2.4 userinfo", "http://u:p@a/", get, httpparse.ErrHost},
		{"9112-3.2.2 malformed authority", "http://a:b/", get, httpparse.ErrHost},
		{"9112-3.2.3 authority of another method", "a:443", get, httpparse.ErrTarget},
		{"9112-3.2.3 path of CONNECT", "/a", connect, httpparse.ErrTargetMethod},
		{"9112-3.2.3 no port", "a", connect, httpparse.ErrTargetMethod},
		{"9112-3.2.3 empty port", "a:", connect, httpparse.ErrTargetMethod},
		{"9112-3.2.4 asterisk of another method", "*", get, httpparse.ErrTargetMethod},
		{"9112-3.2.4 asterisk and more", "*/", options, httpparse.ErrTarget},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target, err := httpparse.ParseTarget([]byte(c.in), c.method)
			if err != c.want || target != (httpparse.Target{}) {
				t.Errorf("%+v, %v", target, err)
			}
		})
	}
}

func TestAuthorityOfTargetOverridesHost(t *testing.T) {
	cases := map[string]string{
		"GET http://a:1/ HTTP/1.1\r\nHost: b\r\n": "a:1",
		"GET / HTTP/1.1\r\nHost: b:2\r\n":         "b:2",
		"CONNECT c:3 HTTP/1.1\r\nHost: b\r\n":     "c:3",
		"GET / HTTP/1.0\r\n":                      "",
	}
	for in, want := range cases {
		r, buf := parsedRequest(t, in+"\r\n")
		target, err := httpparse.ParseTarget(r.Target.Of(buf), r.MethodID)
		if got := string(r.Authority(buf, target)); got != want || err != httpparse.OK {
			t.Errorf("%s: %q, %v", strings.TrimSpace(in), got, err)
		}
	}
}
