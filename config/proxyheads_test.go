package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
)

// TestProxyHeadProblems pins what is said about wrong arguments of the directives about what an
// upstream is sent and what comes back of it.
func TestProxyHeadProblems(t *testing.T) {
	const ignorable = "write one of X-Accel-Redirect, X-Accel-Expires, X-Accel-Limit-Rate, X-Accel-Buffering, X-Accel-Charset, " +
		"Expires, Cache-Control, Set-Cookie, Vary"
	const bind = "write an IP address of this machine, several of them, or off"
	const flags = "write secure, httponly, samesite=strict, samesite=lax, samesite=none, nosecure, nohttponly or nosamesite"
	for _, tc := range []struct{ line, want string }{
		{"proxy_redirect foo;", `invalid value "foo" in "proxy_redirect" directive; write off, default, or what to replace and by what`},
		{"proxy_redirect false;", `invalid value "false" in "proxy_redirect" directive; write off, default, or what to replace and by what`},
		{"proxy_redirect default;", `"proxy_redirect default" should be placed after the "proxy_pass" directive; ` +
			`write it behind proxy_pass, or leave it out`},
		{"proxy_redirect off;proxy_redirect a b;", `"proxy_redirect" directive is duplicate; remove one; the first is at x:3`},
		{"proxy_redirect a b;proxy_redirect off;", `"proxy_redirect" directive is duplicate; remove one; the first is at x:3`},
		{"proxy_redirect ~( b;", `regex "(": missing closing ); add the ")", or write "\(" for the character itself`},
		{"proxy_redirect a $nope;", `proxy_redirect: unknown variable`},
		{"proxy_redirect a b c;", `invalid number of arguments in "proxy_redirect" directive; ` +
			`write: proxy_redirect default | off | redirect replacement;`},
		{"proxy_redirect a \"b\n\";", `invalid value "b\n" in "proxy_redirect" directive; write it without line ends`},
		{"proxy_cookie_domain a;", `invalid value "a" in "proxy_cookie_domain" directive; write off, or what to replace and by what`},
		{"proxy_cookie_domain off;proxy_cookie_domain a b;", `"proxy_cookie_domain" directive is duplicate; remove one; the first is at x:3`},
		{"proxy_cookie_path /a;", `invalid value "/a" in "proxy_cookie_path" directive; write off, or what to replace and by what`},
		{"proxy_cookie_path ~*[ /b;", `regex "[": missing closing ]; add the "]", or write "\[" for the character itself`},
		{"proxy_cookie_flags a;", `invalid value "a" in "proxy_cookie_flags" directive; write off, or the name of a cookie and its flags`},
		{"proxy_cookie_flags a samesite;", `invalid value "samesite" in "proxy_cookie_flags" directive; ` + flags},
		{"proxy_cookie_flags a secure;proxy_cookie_flags off;", `"proxy_cookie_flags" directive is duplicate; remove one; the first is at x:3`},
		{"proxy_ignore_headers X-Foo;", `invalid value "X-Foo" in "proxy_ignore_headers" directive; ` + ignorable},
		{"proxy_method \"a b\";", `invalid value "a b" in "proxy_method" directive; write a method such as GET or POST`},
		{"proxy_method CONNECT;", `invalid value "CONNECT" in "proxy_method" directive; write a method such as GET or POST`},
		{"proxy_set_body a;proxy_set_body b;", `"proxy_set_body" directive is duplicate; remove one; the first is at x:3`},
		{"proxy_pass_request_body no;", `invalid value "no" in "proxy_pass_request_body" directive; write "on" or "off"`},
		{"proxy_pass_request_headers 1;", `invalid value "1" in "proxy_pass_request_headers" directive; write "on" or "off"`},
		{"proxy_bind eth0;", `invalid value "eth0" in "proxy_bind" directive; ` + bind},
		{"proxy_bind off transparent;", `invalid value "off" in "proxy_bind" directive; ` + bind},
		{"proxy_bind 10.0.0.1 10.0.0.;", `invalid value "10.0.0." in "proxy_bind" directive; ` + bind},
		{"proxy_bind transparent;", `invalid value "transparent" in "proxy_bind" directive; ` + bind},
		{"proxy_ignore_client_abort yes;", `invalid value "yes" in "proxy_ignore_client_abort" directive; write "on" or "off"`},
		{"absolute_redirect yes;", `invalid value "yes" in "absolute_redirect" directive; write "on" or "off"`},
		{"port_in_redirect 80;", `invalid value "80" in "port_in_redirect" directive; write "on" or "off"`},
		{"server_name_in_redirect a;", `invalid value "a" in "server_name_in_redirect" directive; write "on" or "off"`},
		{"chunked_transfer_encoding x;", `invalid value "x" in "chunked_transfer_encoding" directive; write "on" or "off"`},
		{"add_trailer a b c;", `invalid value "c" in "add_trailer" directive; write always, or nothing`},
		{"add_trailer Content-Length 5;", `"Content-Length" cannot be set by "add_trailer"; remove it: holdfast writes this field itself`},
		{"empty_gif on;", `invalid number of arguments in "empty_gif" directive; write: empty_gif;`},
		{"stub_status a b;", `invalid number of arguments in "stub_status" directive; write: stub_status [on];`},
		{"proxy_set_header Content-Length 5;", ""}, // said where texts are compiled
	} {
		opt := hermetic(nil)
		opt.CheckText = func([]string) func(string) error {
			return func(text string) error {
				if strings.Contains(text, "$nope") {
					return errNoSuchVariable
				}
				return nil
			}
		}
		_, problems := config.LoadText("x", inServer("location / { "+tc.line+"\n}"), opt)
		got := ""
		if len(problems) > 0 {
			got = problems[0].String()
		}
		want := tc.want
		if want != "" {
			want = "x:3: error: " + want
		}
		if len(problems) > 1 || !strings.HasPrefix(got, want) || tc.want == "" && got != "" {
			t.Errorf("%s\n got %v\nwant %s", tc.line, problems, want)
		}
	}
	_, problems := config.LoadText("x", inHTTP("empty_gif;\nserver { listen 80; return 204; }"), hermetic(nil))
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "its place is: location") {
		t.Errorf("empty_gif in http: %v", problems)
	}
}

type noSuchVariable struct{}

func (noSuchVariable) Error() string { return "unknown variable" }

var errNoSuchVariable = noSuchVariable{}

// TestProxyHeadsInherited proves that a level with any of a list inherits none of it.
func TestProxyHeadsInherited(t *testing.T) {
	cfg, problems := config.LoadText("x", inServer(`proxy_redirect http://a/ /; proxy_cookie_path /a/ /b/; proxy_bind 10.0.0.1;
		proxy_ignore_headers Vary Expires; proxy_cookie_domain .A.com .b.com; proxy_cookie_flags ~one secure; add_trailer A b;
		location / { }
		location /own { proxy_redirect ~*^b(.) $1; proxy_redirect c d; proxy_cookie_path off; proxy_bind 10.0.0.2 10.0.0.3 transparent;
			proxy_ignore_headers Set-Cookie; proxy_cookie_domain ~x y; proxy_cookie_flags two samesite=lax; add_trailer C d always; }
		location /off { proxy_redirect off; proxy_bind off; proxy_cookie_flags off; }`), hermetic(nil))
	if cfg == nil {
		t.Fatal(problems)
	}
	locations := cfg.HTTP.Servers[0].Locations
	heads := func(i int) config.ProxyHeads {
		h := locations[i].Settings.Proxy.Heads
		for _, list := range []*config.Replacements{&h.Redirects, &h.CookieDomains, &h.CookiePaths} {
			for j := range list.List {
				list.List[j].Position = config.Position{}
			}
		}
		for j := range h.CookieFlags.List {
			h.CookieFlags.List[j].Position = config.Position{}
		}
		h.Bind.Position = config.Position{}
		return h
	}
	for i, want := range []config.ProxyHeads{
		{
			Redirects:     config.Replacements{List: []config.Replacement{{From: "http://a/", To: "/"}}},
			CookieDomains: config.Replacements{List: []config.Replacement{{From: "A.com", To: "b.com"}}},
			CookiePaths:   config.Replacements{List: []config.Replacement{{From: "/a/", To: "/b/"}}},
			CookieFlags:   config.CookieFlagsList{List: []config.CookieFlags{{Regexp: "(?i)one", Flags: []string{"secure"}}}},
			Ignored:       config.IgnoreVary | config.IgnoreExpires, Bind: config.Bind{Addrs: []string{"10.0.0.1"}},
		},
		{
			Redirects:     config.Replacements{List: []config.Replacement{{Regexp: "(?i)^b(.)", To: "$1"}, {From: "c", To: "d"}}},
			CookieDomains: config.Replacements{List: []config.Replacement{{Regexp: "(?i)x", To: "y"}}},
			CookiePaths:   config.Replacements{Off: true},
			CookieFlags:   config.CookieFlagsList{List: []config.CookieFlags{{Name: "two", Flags: []string{"samesite=lax"}}}},
			Ignored:       config.IgnoreSetCookie,
			Bind:          config.Bind{Addrs: []string{"10.0.0.2", "10.0.0.3"}, Transparent: true},
		},
	} {
		if diff := cmp.Diff(want, heads(i)); diff != "" {
			t.Errorf("location %d (-want +got):\n%s", i, diff)
		}
	}
	if h := heads(2); !h.Redirects.Off || len(h.Bind.Addrs) > 0 || !h.CookieFlags.Off || len(h.CookiePaths.List) != 1 {
		t.Errorf("off: %+v", h)
	}
	trailers := locations[1].Settings.AddTrailers
	if len(trailers) != 1 || trailers[0].Name != "C" || !trailers[0].Always {
		t.Errorf("trailers %+v", trailers)
	}
}
