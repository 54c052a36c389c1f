package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"holdfast/config"
)

// sticky: what each form says.
func TestSticky(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       config.Sticky
	}{
		{"a cookie", "sticky cookie srv_id;", config.Sticky{Cookie: config.StickyCookie{Name: "srv_id", Expires: -1}}},
		{"all about a cookie", "sticky cookie s expires=1h domain=.example.com httponly secure path=/a samesite=Lax;", config.Sticky{
			Cookie: config.StickyCookie{
				Name: "s", Expires: time.Hour, Domain: ".example.com", HTTPOnly: true, Secure: true, Path: "/a", SameSite: "Lax",
			},
		}},
		{"variables", "sticky cookie s expires=max domain=$host samesite=$arg_s;", config.Sticky{
			Cookie: config.StickyCookie{Name: "s", Expires: -1, ExpiresMax: true, Domain: "$host", SameSite: "$arg_s"},
		}},
		{"route", "sticky route $cookie_route $arg_route;", config.Sticky{
			Method: config.StickyByRoute, Cookie: config.StickyCookie{Expires: -1}, Lookup: []string{"$cookie_route", "$arg_route"},
		}},
		{"learn", "sticky learn create=$upstream_cookie_a lookup=$cookie_a zone=z:1m;", config.Sticky{
			Method: config.StickyByLearn, Cookie: config.StickyCookie{Expires: -1}, Create: []string{"$upstream_cookie_a"},
			Lookup: []string{"$cookie_a"}, Zone: "z", Size: 1 << 20, Timeout: 10 * time.Minute,
		}},
		{"all about learn", "sticky learn create=$upstream_cookie_a create=$upstream_http_a lookup=$cookie_a " +
			"lookup=$arg_a zone=z:32k timeout=1h header;", config.Sticky{
			Method: config.StickyByLearn, Cookie: config.StickyCookie{Expires: -1},
			Create: []string{"$upstream_cookie_a", "$upstream_http_a"}, Lookup: []string{"$cookie_a", "$arg_a"},
			Zone: "z", Size: 32 << 10, Timeout: time.Hour, Header: true,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, problems := config.LoadText("x", inHTTP("upstream u { least_conn; "+tc.text+
				" server 127.0.0.1:1 route=a; server 127.0.0.1:2 route=b drain; }"+
				" server { listen 80; location / { proxy_pass http://u; } }"), hermetic(nil))
			if cfg == nil || len(problems) != 0 {
				t.Fatal(lines(problems))
			}
			u := cfg.HTTP.Upstreams[0]
			if diff := cmp.Diff(&tc.want, u.Sticky, cmpopts.IgnoreFields(config.Sticky{}, "Position")); diff != "" {
				t.Errorf("sticky (-want +got):\n%s", diff)
			}
			if u.Servers[0].Route != "a" || u.Servers[0].Drain || !u.Servers[1].Drain {
				t.Errorf("servers %+v", u.Servers)
			}
		})
	}
}

// TestStickyProblems pins what is said about a wrong sticky.
func TestStickyProblems(t *testing.T) {
	const (
		servers = "server 127.0.0.1 route=a;"
		attr    = "; write expires=, domain=, path=, samesite=, httponly or secure\n"
		learn   = "; write: sticky learn create=$upstream_cookie_NAME lookup=$cookie_NAME zone=NAME:1m;\n"
	)
	bad := func(line, parameter, rest string) string {
		return "nginx.conf:" + line + `: error: invalid parameter "` + parameter + `" in "sticky" directive` + rest
	}
	for _, tc := range []struct{ name, inside, want string }{
		{"nothing", "sticky cookie;\n", `nginx.conf:2: error: invalid number of arguments in "sticky" directive; write: sticky cookie name ` +
			"[expires=time | max] [domain=domain] [httponly] [samesite=strict | lax | none | $variable] [secure] [path=path] | " +
			"route $variable ... | learn create=$variable ... lookup=$variable ... zone=name:size [timeout=time] [header] [sync];\n"},
		{"twice", "sticky cookie a;\nsticky cookie b;\n",
			`nginx.conf:3: error: "sticky" directive is duplicate; remove one; the first is at /etc/h/nginx.conf:2` + "\n"},
		{"method", "sticky ip x;\n", bad("2", "ip", "; write cookie, route or learn\n")},
		{"name", "sticky cookie \"a b\";\n", bad("2", "a b", "; write the name of a cookie, of letters, digits, \"-\" and \"_\"\n")},
		{"attribute", "sticky cookie a max-age=5;\n", bad("2", "max-age=5", attr)},
		{"value of a flag", "sticky cookie a httponly=on;\n", bad("2", "httponly=on", attr)},
		{"expires", "sticky cookie a expires=soon;\n", bad("2", "expires=soon", "; write a time in seconds such as 1h, or max\n")},
		{"domain", "sticky cookie a domain=;\n", bad("2", "domain=", "; write a domain such as .example.com\n")},
		{"path", "sticky cookie a \"path=/;x\";\n", bad("2", "path=/;x", "; write a path such as /\n")},
		{"samesite", "sticky cookie a samesite=loose;\n", bad("2", "samesite=loose", "; write strict, lax, none or a variable\n")},
		{"attribute twice", "sticky cookie a path=/ path=/b;\n",
			`nginx.conf:2: error: parameter "path" of "sticky" is duplicate; remove one` + "\n"},
		{"no variable", "sticky route cookie_a;\n",
			`nginx.conf:2: error: invalid variable name "cookie_a"; write: sticky route $NAME ...;` + "\n"},
		{"no create", "sticky learn lookup=$cookie_a zone=z:1m;\n",
			`nginx.conf:2: error: "create" parameter of "sticky" is not specified` + learn},
		{"no lookup", "sticky learn create=$cookie_a zone=z:1m;\n",
			`nginx.conf:2: error: "lookup" parameter of "sticky" is not specified` + learn},
		{"no zone", "sticky learn create=$cookie_a lookup=$cookie_a;\n",
			`nginx.conf:2: error: "zone" parameter of "sticky" is not specified` + learn},
		{"create", "sticky learn create=a lookup=$cookie_a zone=z:1m;\n", `nginx.conf:2: error: invalid variable name "a"` + learn},
		{"zone", "sticky learn create=$cookie_a lookup=$cookie_a zone=z;\n", `nginx.conf:2: error: invalid zone "zone=z"` + learn},
		{"size", "sticky learn create=$cookie_a lookup=$cookie_a zone=z:4k;\n",
			`nginx.conf:2: error: zone "zone=z:4k" is too small; write at least 32k` + "\n"},
		{"timeout", "sticky learn create=$cookie_a lookup=$cookie_a zone=z:1m timeout=0;\n",
			bad("2", "timeout=0", "; write a time such as 60s, 1m30s or 500ms\n")},
		{"learn", "sticky learn create=$cookie_a lookup=$cookie_a zone=z:1m remote=1;\n", bad("2", "remote=1", learn)},
		{"timeout twice", "sticky learn timeout=1m timeout=2m;\n",
			`nginx.conf:2: error: parameter "timeout" of "sticky" is duplicate; remove one` + "\n"},
		{"zone of a limit", "sticky learn create=$cookie_a lookup=$cookie_a zone=z:1m;\n" + servers +
			"}\nlimit_req_zone $uri zone=z:1m rate=1r/s;\nupstream v {",
			`nginx.conf:4: error: duplicate zone "z"; choose another name; the first is at /etc/h/nginx.conf:2` + "\n"},
		{"zone of another upstream", "sticky learn create=$cookie_a lookup=$cookie_a zone=z:1m;\n" + servers +
			"}\nupstream v { sticky learn create=$cookie_a lookup=$cookie_a zone=z:1m;",
			`nginx.conf:4: error: duplicate zone "z"; choose another name; the first is at /etc/h/nginx.conf:2` + "\n"},
		{"sync", "sticky learn create=$cookie_a lookup=$cookie_a zone=z:1m sync;\n",
			`nginx.conf:2: warning: parameter "sync" of "sticky" has no effect: other instances do not learn of sessions` + "\n"},
		{"above the method", "sticky cookie a;\nleast_conn;\n", `nginx.conf:2: warning: "sticky" above the load balancing method; ` +
			"nginx would not be sticky: write it below the method at /etc/h/nginx.conf:3\n"},
		{"route of a server", "server 127.0.0.1 \"route=a b\";\nserver 127.0.0.2 route=" + strings.Repeat("r", 33) + ";\n",
			`nginx.conf:2: error: invalid parameter "route=a b"; write what cookies and URLs call the server: up to 32 letters and digits` + "\n" +
				`nginx.conf:3: error: invalid parameter "route=` + strings.Repeat("r", 33) +
				`"; write what cookies and URLs call the server: up to 32 letters and digits` + "\n"},
		{"the old name", "sticky_cookie_insert a;\n",
			`nginx.conf:2: error: "sticky_cookie_insert" is not supported; write: sticky cookie NAME;` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, problems := config.LoadText("/etc/h/nginx.conf",
				inHTTP("upstream u { "+tc.inside+servers+"}\nserver { listen 80; return 204; }"), hermetic(nil))
			if diff := cmp.Diff(tc.want, lines(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	_, problems := config.LoadText("/etc/h/nginx.conf",
		inHTTP("upstream u {\nsticky route $arg_r;\nserver 127.0.0.1; }\nserver { listen 80; return 204; }"), hermetic(nil))
	if got := lines(problems); !strings.Contains(got, "\"sticky route\" without any route; write route=NAME") {
		t.Errorf("problems %s", got)
	}
	_, problems = config.LoadText("/etc/h/nginx.conf", inStream("upstream u { sticky cookie a; server 127.0.0.1:1; }"), hermetic(nil))
	if got := lines(problems); !strings.Contains(got, `"sticky" directive is not allowed here; its place is: upstream`) {
		t.Errorf("problems %s", got)
	}
}
