package engine

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
	"holdfast/upstream"
)

// everything sets each value that a shard reads to something that is no default and
// not like any other.
const everything = `
events { worker_connections 100; }
http {
    log_format short escape=json "$status $request_uri";
    map $http_upgrade $mode { default plain; websocket ws; }
    upstream chat {
        server 10.0.0.1:9001 weight=3 max_fails=7 fail_timeout=11s;
        server 10.0.0.2:9002 backup;
        server unix:/run/chat.sock down;
        keepalive 5; keepalive_requests 6; keepalive_timeout 7s; keepalive_time 8s;
    }
    server {
        listen 127.0.0.1:8081;
        listen unix:/run/front.sock;
        listen [::]:8082;
        server_name a.example *.b.example ~^c\\d+$;
        client_header_timeout 1s; client_header_buffer_size 2k; large_client_header_buffers 3 4k;
        merge_slashes off; underscores_in_headers on; ignore_invalid_headers off;
        location = /chat {
            proxy_pass http://chat;
            client_body_timeout 5s; send_timeout 6s; client_max_body_size 7m;
            keepalive_timeout 8s 9s; keepalive_requests 10; keepalive_time 11s;
            lingering_close always; lingering_time 12s; lingering_timeout 13s;
            proxy_connect_timeout 14s; proxy_send_timeout 15s; proxy_read_timeout 16s;
            proxy_next_upstream_timeout 17s; proxy_next_upstream_tries 18; proxy_next_upstream timeout;
            tunnel_send_timeout 19s; tcp_nodelay off; proxy_socket_keepalive off;
            access_log /logs/a short; access_log /logs/b; tunnel_log /logs/c;
        }
    }
    server {
        listen 127.0.0.1:8081 default_server;
        server_name d.example;
        location / { return 204; }
    }
}
`

func TestBuildSettings(t *testing.T) {
	cfg := load(t, everything)
	policies := &shard.Policies{}
	b := newBuilder(cfg, route.Process{}, upstream.NewRegistry(), policies)
	location := cfg.HTTP.Servers[0].Locations[0]
	got := b.settings(&location.Settings, location.Position)
	want := route.Settings{
		ClientHeaderTimeout:    1_000,
		ClientHeaderBufferSize: 2 << 10,
		LargeHeaderBuffers:     route.Buffers{Count: 3, Size: 4 << 10},
		ClientBodyTimeout:      5_000,
		ClientSendTimeout:      6_000,
		ClientMaxBodySize:      7 << 20,
		KeepaliveTimeout:       8_000,
		KeepaliveHeaderSec:     9,
		KeepaliveRequests:      10,
		KeepaliveTime:          11_000,
		LingeringClose:         route.LingeringAlways,
		LingeringTime:          12_000,
		LingeringTimeout:       13_000,
		ConnectTimeout:         14_000,
		SendTimeout:            15_000,
		ReadTimeout:            16_000,
		NextUpstreamTimeout:    17_000,
		NextUpstreamTries:      18,
		NextUpstream:           route.NextOnTimeout,
		TunnelReadTimeout:      16_000,
		TunnelSendTimeout:      15_000,
		TunnelBlockedTimeout:   19_000,
		UnderscoresInHeaders:   true,
		AccessLogs:             got.AccessLogs,
		TunnelLogs:             []int{2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("settings\n%+v, want\n%+v", got, want)
	}
	if n := len(got.AccessLogs); n != 2 || got.AccessLogs[0].File != 0 || got.AccessLogs[1].File != 1 ||
		got.AccessLogs[0].Format.Escape != route.EscapeJSON || got.AccessLogs[1].Format.Escape != route.EscapeDefault {
		t.Errorf("access logs %+v", got.AccessLogs)
	}
	policy := shard.Policy{TunnelReadMs: 16_000, TunnelBlockedMs: 15_000, LingerMs: 12_000, LingerReadMs: 13_000, Logs: 1 << 2}
	if *policies.At(got.Policy) != policy {
		t.Errorf("policy %+v, want %+v", *policies.At(got.Policy), policy)
	}
	if want := []string{"/logs/a", "/logs/b", "/logs/c"}; !reflect.DeepEqual(b.logFiles, want) {
		t.Errorf("log files %q, want %q", b.logFiles, want)
	}
}

// Every field of the settings that a shard reads has a value of its own above, so that
// a field that is not translated shows.
func TestEverySettingIsTranslated(t *testing.T) {
	cfg := load(t, everything)
	b := newBuilder(cfg, route.Process{}, upstream.NewRegistry(), &shard.Policies{})
	written := cfg.HTTP.Servers[0].Locations[0]
	untouched := config.Settings{}
	got := reflect.ValueOf(b.settings(&written.Settings, written.Position))
	zero := reflect.ValueOf(b.settings(&untouched, written.Position))
	off := map[string]bool{"TCPNodelay": true, "MergeSlashes": true, "IgnoreInvalidHeaders": true, "ProxySocketKeepalive": true}
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		if name == "Policy" || off[name] {
			continue // a number of its own; switched off above
		}
		if reflect.DeepEqual(got.Field(i).Interface(), zero.Field(i).Interface()) {
			t.Errorf("%s stays %v", name, got.Field(i))
		}
	}
}

func TestTunnelTimeoutsOnlyWhereWritten(t *testing.T) {
	cfg := load(t, "http { server { listen 1; location / { proxy_pass http://127.0.0.1:1; } } }")
	b := newBuilder(cfg, route.Process{}, upstream.NewRegistry(), &shard.Policies{})
	location := cfg.HTTP.Servers[0].Locations[0]
	got := b.settings(&location.Settings, location.Position)
	if got.ReadTimeout != 60_000 || got.TunnelReadTimeout != 0 || got.TunnelSendTimeout != 0 {
		t.Errorf("read %d, tunnel read %d, tunnel send %d", got.ReadTimeout, got.TunnelReadTimeout, got.TunnelSendTimeout)
	}
	if p := b.policies.At(got.Policy); p.TunnelReadMs != 0 || p.TunnelBlockedMs != 240_000 || !p.DeadPeers {
		t.Errorf("policy %+v", p)
	}
}

func TestBuildSnapshot(t *testing.T) {
	cfg := load(t, everything)
	built, problems := Build(cfg, route.Process{}, upstream.NewRegistry(), &shard.Policies{})
	if built == nil {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	want := []shard.ListenerInfo{
		{Addr: netip.MustParseAddrPort("127.0.0.1:8081")},
		{Unix: "/run/front.sock"},
		{Addr: netip.MustParseAddrPort("[::]:8082"), Wildcard: true},
	}
	if !reflect.DeepEqual(sn.Listeners, want) {
		t.Errorf("listeners %+v, want %+v", sn.Listeners, want)
	}
	g := sn.GroupByName["chat"]
	if g == nil || sn.Groups[0] != g || g.Keepalive != 5 || g.KeepaliveRequests != 6 ||
		g.KeepaliveTimeoutMs != 7_000 || g.KeepaliveTimeMs != 8_000 {
		t.Errorf("group %+v", g)
	}
	for host, want := range map[string]string{
		"a.example": "a.example", "x.b.example": "a.example", "c12": "a.example", "d.example": "d.example", "other": "d.example",
	} {
		if s := sn.Table.FindServer(0, []byte(host), &route.Env{}); s == nil || s.Name != want {
			t.Errorf("host %s is served by %+v, want %s", host, s, want)
		}
	}
}

// What only compiling shows is reported where it was written.
func TestBuildProblemsSayWhere(t *testing.T) {
	const frame = "http {\n%s\nserver { listen 1;\n%s\nlocation / {\n%s\nproxy_pass http://127.0.0.1:1;\n} } }\n"
	cases := []struct{ name, http, server, location, want string }{
		{"map", "map $nope $x {\ndefault 1;\n}", "", "", "nginx.conf:2: error: "},
		{"map value", "map $uri $x {\ndefault $nope;\n}", "", "", "nginx.conf:2: error: "},
		{"map entry", "map $uri $x {\ndefault 1;\n/a $nope;\n}", "", "", "nginx.conf:4: error: "},
		{"log_format", "log_format f \"$nope\";\naccess_log /a f;", "", "", "nginx.conf:2: error: "},
		{"return", "", "return 200 $nope;", "", "nginx.conf:4: error: "},
		{"proxy_set_header", "", "", "proxy_set_header A b;\nproxy_set_header X $nope;", "nginx.conf:7: error: "},
		{"proxy_pass", "", "", "}\nlocation /x {\nproxy_pass http://$nope;\n}\nlocation /y {", "nginx.conf:8: error: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			problems := Check(load(t, fmt.Sprintf(frame, c.http, c.server, c.location)))
			if len(problems) == 0 || !strings.HasPrefix(problems[0].String(), c.want) ||
				!strings.Contains(problems[0].String(), "nope") {
				t.Errorf("problems %v, want one that begins with %q", problems, c.want)
			}
		})
	}
}

func TestTooManyLogFiles(t *testing.T) {
	var text strings.Builder
	text.WriteString("http { server { listen 1;\n")
	for i := range logFilesMax + 1 {
		fmt.Fprintf(&text, "location /%d { return 204; access_log /logs/%d; }\n", i, i)
	}
	text.WriteString("} }")
	problems := Check(load(t, text.String()))
	if !config.HasErrors(problems) || problems[0].Line != logFilesMax+1 { // the server has logs/access.log
		t.Errorf("problems %v", problems)
	}
}
