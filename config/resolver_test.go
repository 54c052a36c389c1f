package config_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
)

// judged loads a text and returns what is said about it.
func judged(text string) (*config.Config, string) {
	cfg, problems := config.LoadText("/etc/h/nginx.conf", text, hermetic(nil))
	return cfg, lines(problems)
}

func TestResolverProblems(t *testing.T) {
	const write = "; write the address of a name server, valid=TIME, ipv4=off or ipv6=off"
	used := func(body string) string { return inServer(body + "\nlocation / { proxy_pass http://$host; }") }
	for _, tc := range []struct{ conf, want string }{
		{used("resolver 127.0.0.1 valid=x;"), `nginx.conf:3: error: invalid parameter "valid=x" in "resolver" directive` + write},
		{used("resolver 127.0.0.1 valid=;"), `nginx.conf:3: error: invalid parameter "valid=" in "resolver" directive` + write},
		{used("resolver 127.0.0.1 ipv6=maybe;"), `nginx.conf:3: error: invalid parameter "ipv6=maybe" in "resolver" directive` + write},
		{used("resolver 127.0.0.1 foo=bar;"), `nginx.conf:3: error: invalid parameter "foo=bar" in "resolver" directive` + write},
		{used("resolver 127.0.0.1 status_zone=;"), `nginx.conf:3: error: invalid parameter "status_zone=" in "resolver" directive` + write},
		{used("resolver 127.0.0.1:0;"), `nginx.conf:3: error: invalid port in resolver "127.0.0.1:0"` + write},
		{used("resolver 127.0.0.1:70000;"), `nginx.conf:3: error: invalid port in resolver "127.0.0.1:70000"` + write},
		{used("resolver nosuch.test;"), `nginx.conf:3: error: host not found in resolver "nosuch.test"` + write},
		{used("resolver off;"), `nginx.conf:3: error: host not found in resolver "off"` + write},
		{used("resolver valid=5s;"), `nginx.conf:3: error: no name servers defined; write the address of a name server`},
		{used("resolver 127.0.0.1 ipv4=off ipv6=off;"), `nginx.conf:3: error: "ipv4" and "ipv6" cannot both be "off"; remove one`},
		{used("resolver 127.0.0.1;\nresolver 127.0.0.1;"),
			`nginx.conf:4: error: "resolver" directive is duplicate; remove one; the first is at /etc/h/nginx.conf:3`},
		{used("resolver_timeout x;"), `nginx.conf:3: error: invalid value "x" in "resolver_timeout" directive; write a time such as 60s, 1m30s or 500ms`},
		{inServer("resolver 127.0.0.1;\nlocation / { proxy_pass http://127.0.0.1; }"),
			`nginx.conf:3: warning: "resolver" has no effect: names are resolved when the configuration is read`},
		{inHTTP("upstream u {\nserver a.test resolve; }"),
			`nginx.conf:3: error: no resolver defined to resolve names at run time in upstream "u"; ` +
				`write: resolver ADDRESS; in this block or around it`},
		{inHTTP("upstream u { server 127.0.0.1;\ntunnels drain; }"),
			`nginx.conf:3: error: invalid number of arguments in "tunnels" directive; write: tunnels drain TIME;`},
		{inHTTP("upstream u { server 127.0.0.1;\ntunnels close 5s; }"),
			`nginx.conf:3: error: invalid number of arguments in "tunnels" directive; write keep, close or drain TIME`},
		{inHTTP("upstream u { server 127.0.0.1;\ntunnels drain soon; }"),
			`nginx.conf:3: error: invalid value "soon" in "tunnels" directive; write a time of up to 7d, such as 10m`},
		{inHTTP("upstream u { server 127.0.0.1;\ntunnels leave; }"),
			`nginx.conf:3: error: invalid value "leave" in "tunnels" directive; write keep, close or drain TIME`},
	} {
		_, got := judged(tc.conf)
		if got = strings.TrimSuffix(got, "\n"); got != tc.want {
			t.Errorf("%s\ngot  %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}

// An upstream block has its own resolver, or the one around it, wherever that is written.
func TestUpstreamResolver(t *testing.T) {
	cfg, problems := judged(`http {
		upstream inherits { server a.test resolve; resolver_timeout 1s; tunnels drain 5m; }
		upstream own { server b.test service=http resolve; resolver [::1]:5353 valid=0 ipv4=off; tunnels close; }
		upstream plain { server 127.0.0.1; }
		resolver 127.0.0.1 127.0.0.2:54 valid=30s; resolver_timeout 7s;
	}
	stream { upstream s { server c.test:1 resolve; } resolver 127.0.0.3; resolver_timeout 0; }`)
	if cfg == nil || problems != "" {
		t.Fatal(problems)
	}
	addrs := func(texts ...string) (list []netip.AddrPort) {
		for _, text := range texts {
			list = append(list, netip.MustParseAddrPort(text))
		}
		return list
	}
	for i, want := range []config.ResolverSettings{
		{Servers: addrs("127.0.0.1:53", "127.0.0.2:54"), Valid: 30 * time.Second, Timeout: time.Second, TimeoutSet: true},
		{Servers: addrs("[::1]:5353"), NoIPv4: true, Timeout: 7 * time.Second},
		{},
	} {
		got := cfg.HTTP.Upstreams[i].Resolver
		got.Position = config.Position{}
		got.TimeoutSet = want.TimeoutSet
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", cfg.HTTP.Upstreams[i].Name, diff)
		}
	}
	if s := cfg.Stream.Upstreams[0]; s.Resolver.Servers[0] != addrs("127.0.0.3:53")[0] || s.Resolver.Timeout != time.Hour {
		t.Errorf("stream: %+v", s.Resolver)
	}
	if u := cfg.HTTP.Upstreams; u[0].Tunnels != config.DrainTunnels || u[0].DrainTime != 5*time.Minute ||
		u[1].Tunnels != config.CloseTunnels || u[2].Tunnels != config.KeepTunnels {
		t.Errorf("policies %v %v %v", u[0].Tunnels, u[1].Tunnels, u[2].Tunnels)
	}
}
