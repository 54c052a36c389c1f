package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"holdfast/route"
)

const streamEverything = `http { upstream u { server 127.0.0.1:1; } limit_conn_zone $host zone=h:1m;
  server { listen 1; limit_conn h 3; limit_conn_status 429; location / { proxy_pass http://u; } } }
stream {
  log_format f "$remote_addr $kind $status $bytes_sent";
  limit_conn_zone $binary_remote_addr zone=a:1m;
  map $ssl_preread_server_name $kind { hostnames; default other; *.chat.test chat; }
  upstream u { server 127.0.0.1:2; server 127.0.0.1:3; }
  access_log /logs/stream f;
  server { listen 2; proxy_pass u; allow 10.0.0.0/8; deny all; limit_conn a 7; set $x $kind!; proxy_timeout 5s;
    proxy_connect_timeout 2s; proxy_next_upstream_tries 3; proxy_bind 127.0.0.9; proxy_download_rate 10k; proxy_protocol on; }
  server { listen 3; ssl_preread on; server_name a.test; proxy_pass $kind:8443; proxy_half_close off; proxy_upload_rate $x; }
  server { listen 3; ssl_preread on; server_name *.b.test ~^(?<first>c); return "$first\n"; }
}`

func TestBuildStream(t *testing.T) {
	built, problems := Build(load(t, streamEverything), route.Process{}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	if len(sn.Listeners) != 3 || sn.Listeners[0].Stream != nil || sn.Listeners[1].Stream == nil || sn.Listeners[2].Stream == nil {
		t.Fatalf("listeners %+v", sn.Listeners)
	}
	s := sn.Listeners[1].Stream
	p := s.Proxy
	if p == nil || p.Dynamic() || sn.Groups[p.Group] != sn.StreamGroupByName["u"] || sn.Groups[p.Group] == sn.GroupByName["u"] {
		t.Fatalf("proxy %+v", p)
	}
	if p.Timeout != 5000 || p.ConnectTimeout != 2000 || p.NextUpstreamTries != 3 || !p.NextUpstream || !p.HalfClose || p.ProxyProtocol != 1 {
		t.Errorf("proxy %+v", p)
	}
	e := &route.Env{Remote: netip.MustParseAddrPort("10.1.2.3:4")}
	e.Reset()
	e.Remote = netip.MustParseAddrPort("10.1.2.3:4")
	if down, up := p.Rates(e); down != 10<<10 || up != 0 {
		t.Errorf("rates %d and %d", down, up)
	}
	if addr, ok := p.Bind().Pick(e, 0, false); !ok || addr != netip.MustParseAddrPort("127.0.0.9:0") {
		t.Errorf("bind %v", addr)
	}
	if !s.Access.Allows(e.Remote.Addr()) || s.Access.Allows(netip.MustParseAddr("11.0.0.1")) || s.Access.Allows(netip.Addr{}) {
		t.Error("access")
	}
	if len(s.Limits.Conns) != 1 || sn.Zones[s.Limits.Conns[0].Zone].Name() != "a" || s.Limits.Conns[0].Max != 7 {
		t.Errorf("limits %+v", s.Limits)
	}
	if h := sn.Table.Default(0).Settings.Limits; len(h.Conns) != 1 || sn.Zones[h.Conns[0].Zone].Name() != "h" || h.ConnStatus != 429 {
		t.Errorf("limits of http %+v", h)
	}
	if len(s.Logs) != 1 || built.LogFiles[s.Logs[0].File] != "/logs/stream" || s.Logs[0].Log == nil {
		t.Errorf("logs %+v", s.Logs)
	}
}

// TestStreamByServerName proves that the name in a client's hello chooses among the servers
// of an address, and that variables and captures work from there on.
func TestStreamByServerName(t *testing.T) {
	built, problems := Build(load(t, streamEverything), route.Process{}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	for name, want := range map[string]string{
		"a.test": "chat:8443", "": "other:8443", "x.b.test": "\n", "cc": "c\n",
	} {
		e := &route.Env{}
		e.Reset()
		e.Stream.PrereadServerName = []byte(map[bool]string{true: "x.chat.test", false: name}[name == "a.test"])
		s := sn.Table.FindServer(2, []byte(name), e).Stream
		s.ApplySets(e)
		if s.Return != nil {
			if got := string(s.Return.Append(nil, e)); got != want {
				t.Errorf("%q is answered %q, want %q", name, got, want)
			}
			continue
		}
		target, ok := s.Proxy.Resolve(e)
		if !ok || string(target.Name) != want || s.Proxy.HalfClose {
			t.Errorf("%q leads to %q (%v), want %q", name, target.Name, ok, want)
		}
	}
}

func TestBuildStreamProblemsSayWhere(t *testing.T) {
	const frame = "stream {\n%s\nserver { listen 1;\n%s\nproxy_pass 127.0.0.1:1;\n} }\n"
	for _, c := range []struct{ name, stream, server, want string }{
		{"unknown", "log_format f $nope;\naccess_log /a f;", "", "nginx.conf:2: error: unknown variable \"$nope\""},
		{"http only", "log_format f $request_uri;\naccess_log /a f;", "", `nginx.conf:2: error: the variable "$request_uri" exists in http only`},
		{"field", "", "set $x $http_host;", `nginx.conf:4: error: the variable "$http_host" exists in http only`},
		{"built in", "", "set $remote_addr x;", `nginx.conf:4: error: the variable "$remote_addr" is built in`},
		{"map", "map $nope $x { default 1; }", "", "nginx.conf:2: error: unknown variable"},
		{"rate", "", "proxy_upload_rate $nope;", "nginx.conf:4: error: unknown variable"},
		{"bind", "", "proxy_bind $nope;", "nginx.conf:4: error: unknown variable"},
		{"key", "limit_conn_zone $nope zone=z:1m;", "limit_conn z 1;", "nginx.conf:2: error: unknown variable"},
		{"late map", "map $status $ok { default 1; }\nlog_format f $ok;\naccess_log /a f;", "", `nginx.conf:3: error: the map "$ok" depends on`},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems := Check(load(t, fmt.Sprintf(frame, c.stream, c.server)))
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) {
				t.Errorf("problems %v, want one that begins with %q", problems, c.want)
			}
		})
	}
}
