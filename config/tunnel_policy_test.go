package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"holdfast/config"
)

func TestTunnelPolicyProblems(t *testing.T) {
	const origin = "; write an origin such as https://example.com, https://*.example.com, *.example.com, ~REGEX, same, none, null or off"
	used := func(body string) string { return inServer(body + "\nlocation / { proxy_pass http://127.0.0.1; }") }
	for _, tc := range []struct{ conf, want string }{
		{used("websocket_origin https://a.example off;"), `nginx.conf:3: error: invalid value "off" in "websocket_origin" directive` + origin},
		{used("websocket_origin ~;"), `nginx.conf:3: error: invalid value "~" in "websocket_origin" directive` + origin},
		{used("websocket_origin ~*;"), `nginx.conf:3: error: invalid value "~*" in "websocket_origin" directive` + origin},
		{used("websocket_origin ~^(;"), `nginx.conf:3: error: regex "^(": missing closing ); add the ")", or write "\(" for the character itself`},
		{used("websocket_origin ~*//a\\.example$;"), `nginx.conf:3: warning: regex "//a\\.example$" lets every Origin pass that has a ` +
			`match somewhere in it; begin it with ^ and end it with $`},
		{used("websocket_origin off;\nwebsocket_origin same;"),
			`nginx.conf:4: error: "same" beside "websocket_origin off"; remove one of the two`},
		{used("websocket_origin same;\nwebsocket_origin off;"),
			`nginx.conf:4: error: "off" beside other "websocket_origin" directives; remove one of the two`},
		{used("websocket_origin;"),
			`nginx.conf:3: error: invalid number of arguments in "websocket_origin" directive; write: websocket_origin value ... | off;`},
		{used("tunnels_max -1;"), `nginx.conf:3: error: invalid value "-1" in "tunnels_max" directive; ` +
			`write a number of tunnels, such as 10000, or 0 for no limit`},
		{used("tunnels_max 5 retry=5s;"), `nginx.conf:3: error: invalid value "retry=5s" in "tunnels_max" directive; ` +
			`write retry_after=TIME, from 1s to 1d`},
		{used("tunnels_max 5 retry_after=500ms;"), `nginx.conf:3: error: invalid value "retry_after=500ms" in "tunnels_max" directive; ` +
			`write retry_after=TIME, from 1s to 1d`},
		{used("tunnels_max 5;\ntunnels_max 6;"),
			`nginx.conf:4: error: "tunnels_max" directive is duplicate; remove one; the first is at /etc/h/nginx.conf:3`},
		{used("tunnel_max_lifetime never;"), `nginx.conf:3: error: invalid value "never" in "tunnel_max_lifetime" directive; ` +
			`write a time of at least 1s, such as 12h, or off`},
		{used("tunnel_max_lifetime off jitter=5%;"), `nginx.conf:3: error: invalid value "off" in "tunnel_max_lifetime" directive; ` +
			`write a time of at least 1s, such as 12h, or off`},
		{used("tunnel_max_lifetime 1h jitter=60%;"), `nginx.conf:3: error: invalid value "jitter=60%" in "tunnel_max_lifetime" directive; ` +
			`write jitter=PERCENT, from 0% to 50%`},
		{used("tunnel_max_lifetime 1h 5%;"), `nginx.conf:3: error: invalid value "5%" in "tunnel_max_lifetime" directive; ` +
			`write jitter=PERCENT, from 0% to 50%`},
	} {
		_, got := judged(tc.conf)
		if got = strings.TrimSuffix(got, "\n"); got != tc.want {
			t.Errorf("%s\ngot  %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}

// Each level has the values around it, or its own.
func TestTunnelPolicyIsInherited(t *testing.T) {
	cfg, said := judged(inHTTP(`tunnels_max 9; tunnel_max_lifetime 1d; websocket_origin none;
		server {
			websocket_origin https://a.example *.b.example; websocket_origin same null ~*^x$;
			tunnel_max_lifetime 12h jitter=5;
			location / { proxy_pass http://127.0.0.1; }
			location /a { tunnels_max 7 retry_after=1500ms; proxy_pass http://127.0.0.1;
				location ~ ^/a/b { tunnels_max 3; tunnel_max_lifetime off; websocket_origin off; proxy_pass http://127.0.0.1; } }
			location /c { tunnels_max 0; proxy_pass http://127.0.0.1; }
		}`))
	if said != "" {
		t.Fatal(said)
	}
	server := cfg.HTTP.Servers[0]
	plain := server.Locations[0].Settings.TunnelLimits
	a := server.Locations[1]
	text := func(values []config.Text) (list []string) {
		for _, v := range values {
			list = append(list, v.Text)
		}
		return list
	}
	if o := plain.Origins; o == nil || o.None || !o.Same || !o.Null ||
		!cmp.Equal(text(o.Values), []string{"https://a.example", "*.b.example"}) || !cmp.Equal(text(o.Regexps), []string{"(?i)^x$"}) {
		t.Errorf("origins %+v", o)
	}
	if plain.Lifetime != 12*time.Hour || plain.Jitter != 5 || plain.Max != server.Settings.TunnelLimits.Max {
		t.Errorf("/ has %+v", plain)
	}
	same := cmpopts.IgnoreFields(config.TunnelsMax{}, "Position", "Server")
	for _, tc := range []struct{ got, want *config.TunnelsMax }{
		{plain.Max, &config.TunnelsMax{Number: 9, RetryAfter: 10 * time.Second}},
		{a.Settings.TunnelLimits.Max, &config.TunnelsMax{Number: 7, RetryAfter: 2 * time.Second, Location: "location /a"}},
		{a.Nested[0].Settings.TunnelLimits.Max, &config.TunnelsMax{Number: 3, RetryAfter: 10 * time.Second, Location: "location /a location ~ ^/a/b"}},
		{server.Locations[2].Settings.TunnelLimits.Max, nil},
	} {
		if diff := cmp.Diff(tc.want, tc.got, same); diff != "" {
			t.Error(diff)
		}
	}
	if plain.Max.Server != nil || a.Settings.TunnelLimits.Max.Server != server {
		t.Error("the server of a tunnels_max")
	}
	if inner := a.Nested[0].Settings.TunnelLimits; inner.Lifetime != 0 || inner.Origins != nil {
		t.Errorf("/a/b has %+v", inner)
	}
}
