package engine

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/observe"
	"holdfast/route"
	"holdfast/shard"
)

// everything sets each value that a shard reads to something that is no default and
// not like any other.
const everything = `
events { worker_connections 100; }
http {
    log_format short escape=json "$status $request_uri";
    limit_conn_zone $uri zone=z:1m;
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
        merge_slashes off; underscores_in_headers on; ignore_invalid_headers off; max_headers 77;
        ssl_verify_client optional;
        location = /chat {
            proxy_pass http://chat;
            client_body_timeout 5s; send_timeout 6s; client_max_body_size 7m;
            keepalive_timeout 8s 9s; keepalive_requests 10; keepalive_time 11s;
            lingering_close always; lingering_time 12s; lingering_timeout 13s;
            proxy_connect_timeout 14s; proxy_send_timeout 15s; proxy_read_timeout 16s;
            proxy_next_upstream_timeout 17s; proxy_next_upstream_tries 18; proxy_next_upstream timeout;
            tunnel_send_timeout 19s; tcp_nodelay off; proxy_socket_keepalive off;
            access_log /logs/a short; access_log /logs/b; tunnel_log /logs/c; tunnel_log off;
            tunnel_log /logs/d short; error_log /logs/e warn;
            keepalive_min_timeout 20s; reset_timedout_connection on; websocket_strict on;
            proxy_request_buffering on; client_body_buffer_size 21k; proxy_buffering on; proxy_buffers 2 11k;
            proxy_ignore_client_abort on; add_trailer X-B b; absolute_redirect off;
            proxy_pass_trailers on; early_hints $http_a; proxy_intercept_errors on; recursive_error_pages on; rewrite_log on;
            error_page 404 =200 /missing; error_page 502 @down;
            server_tokens "An edge"; add_header X-A $uri always; expires modified 1h;
            types { a/b c; } default_type d/e; max_ranges 5; etag on; if_modified_since before; sendfile on;
            log_not_found on; set_real_ip_from 10.0.0.0/8; real_ip_header X-A; real_ip_recursive on;
            resolver 127.0.0.53; websocket_origin https://a.example; tunnels_max 22 retry_after=23s;
            limit_conn z 3; limit_conn_status 429;
            auth_basic "users of $host"; auth_basic_user_file /nonexistent/users;
            allow 10.0.0.0/8; satisfy any; auth_request /judge; mirror /copies; valid_referers x.test; secure_link $uri;
        }
        location @down { internal; return 503; }
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
	shared := NewShared()
	policies := shared.Policies
	b := newBuilder(cfg, route.Process{}, shared)
	location := cfg.HTTP.Servers[0].Locations[0]
	got := b.settings(&location.Settings, location.Position)
	want := route.Settings{
		Resolver:               1,
		SSLVerifyClient:        route.VerifyOptional,
		SSLVerifyRules:         1,
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
		MaxHeaders:             77,
		KeepaliveMinTimeout:    20_000,
		ResetTimedout:          true,
		WebsocketStrict:        true,
		TunnelFrames:           true,
		RequestBuffering:       true,
		ClientBodyBufferSize:   21 << 10,
		Buffering:              true,
		BuffersSize:            22 << 10,
		PassTrailers:           true,
		EarlyHints:             got.EarlyHints,
		InterceptErrors:        true,
		RecursiveErrorPages:    true,
		RewriteLog:             true,
		ErrorPages:             got.ErrorPages,
		Redirects:              route.RedirectForm{Relative: true},
		Trailers:               got.Trailers,
		IgnoreClientAbort:      true,
		ServerName:             "An edge",
		Headers:                got.Headers,
		Types:                  got.Types,
		DefaultType:            "d/e",
		MaxRanges:              5,
		ETag:                   true,
		IfModifiedSince:        route.IfModifiedBefore,
		Sendfile:               true,
		LogNotFound:            true,
		RealIP:                 got.RealIP,
		Limits:                 got.Limits,
		Access:                 got.Access,
		SatisfyAny:             true,
		AuthRequest:            got.AuthRequest,
		Mirror:                 &route.Mirror{URIs: []string{"/copies"}, Body: true},
		Referers:               got.Referers,
		SecureLink:             got.SecureLink,
		Auth:                   got.Auth,
		Origins:                got.Origins,
		TunnelCount:            1,
		TunnelsMax:             22,
		TunnelsRetry:           23,
		AccessLogs:             got.AccessLogs,
		TunnelLogs:             []int{2},
		TunnelLines:            got.TunnelLines,
		TunnelQuiet:            true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("settings\n%+v, want\n%+v", got, want)
	}
	if n := len(got.AccessLogs); n != 2 || got.AccessLogs[0].File != 0 || got.AccessLogs[1].File != 1 ||
		got.AccessLogs[0].Format.Escape != route.EscapeJSON || got.AccessLogs[1].Format.Escape != route.EscapeDefault {
		t.Errorf("access logs %+v", got.AccessLogs)
	}
	if l := got.TunnelLines; len(l) != 1 || l[0].File != 3 || l[0].Log == nil || l[0].Open || !l[0].Close {
		t.Errorf("tunnel lines %+v", l)
	}
	policy := shard.Policy{TunnelReadMs: 16_000, TunnelBlockedMs: 15_000, LingerMs: 12_000, LingerReadMs: 13_000,
		KeepaliveMinMs: 20_000, Logs: shard.LogSet{3}, TunnelCount: 1}
	policy.Errors[0] = shard.ErrorTarget{Log: 4, Level: observe.LevelWarn, Set: true}
	if *policies.At(got.Policy) != policy {
		t.Errorf("policy %+v, want %+v", *policies.At(got.Policy), policy)
	}
	if want := []string{"/logs/a", "/logs/b", "/logs/c", "/logs/d", "/logs/e"}; !reflect.DeepEqual(b.life.logs.list, want) {
		t.Errorf("log files %q, want %q", b.life.logs.list, want)
	}
}

// Every field of the settings that a shard reads has a value of its own above, so that
// a field that is not translated shows.
func TestEverySettingIsTranslated(t *testing.T) {
	cfg := load(t, everything)
	b := newBuilder(cfg, route.Process{}, NewShared())
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
	b := newBuilder(cfg, route.Process{}, NewShared())
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
	built, problems := Build(cfg, route.Process{}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	want := []shard.ListenerInfo{
		{Addr: netip.MustParseAddrPort("127.0.0.1:8081"), SpreadKeepalive: true},
		{Unix: "/run/front.sock"},
		{Addr: netip.MustParseAddrPort("[::]:8082"), Wildcard: true, SpreadKeepalive: true},
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
		{"add_header", "add_header A b;\nadd_header X $nope;", "", "", "nginx.conf:3: error: "},
		{"expires", "", "", "expires 1h;\n}\nlocation /x {\nexpires $nope;", "nginx.conf:9: error: "},
		{"error_page", "", "error_page 404 /a;\nerror_page 403 /$nope;", "", "nginx.conf:5: error: "},
		{"early_hints", "", "", "early_hints a;\nearly_hints $nope;", "nginx.conf:7: error: "},
		{"root", "root $nope;", "", "", "nginx.conf:2: error: "},
		{"alias", "", "", "alias /x/$nope;", "nginx.conf:6: error: "},
		{"index", "index a;\nindex $nope;", "", "", "nginx.conf:3: error: "},
		{"try_files", "", "try_files\n$nope /x;", "", "nginx.conf:4: error: "},
		{"try_files last", "", "", "try_files $uri\n/x$nope;", "nginx.conf:6: error: "},
		{"proxy_pass", "", "", "}\nlocation /x {\nproxy_pass http://$nope;\n}\nlocation /y {", "nginx.conf:8: error: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			problems := Check(load(t, fmt.Sprintf(frame, c.http, c.server, c.location)))
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) ||
				!strings.Contains(problems[0].String(), "nope") {
				t.Errorf("problems %v, want one that begins with %q", problems, c.want)
			}
		})
	}
}

// What no location matches is answered by the server's own folder and try_files.
func TestBuildContent(t *testing.T) {
	cfg := load(t, `http { root /srv; server { listen 1; server_name a;
		try_files $uri =404; error_page 404 /x; location /a/ { alias /b/; internal; location /a/c/ { try_files $uri /d; } } } }`)
	built, problems := Build(cfg, route.Process{Version: "1.2"}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	s := built.Snapshot.Table.FindServer(0, []byte("a"), &route.Env{})
	if c := s.Content; c == nil || c.Static == nil || c.TryElse == nil || c.TryElse.Code != 404 || c.Settings.ErrorPages.For(404) == nil {
		t.Fatalf("content %+v", s.Content)
	}
	e := &route.Env{URI: []byte("/a/c/f")}
	location, _ := s.Locate(e)
	if location == nil || location.Internal || location.TryElse == nil || location.TryElse.Code != 0 {
		t.Fatalf("location %+v", location)
	}
	e.Location = location
	// The alias is that of the outer location, and so is what it stands for.
	if path := string(location.Static.AppendPath(nil, e)); path != "/b/c/f" {
		t.Errorf("the file is %s", path)
	}
	e.URI = []byte("/a/f")
	if location, _ = s.Locate(e); location == nil || !location.Internal || location.TryElse != nil {
		t.Fatalf("location %+v", location)
	}
}

func TestServerTokens(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "server_tokens off;": "", "server_tokens on;": "holdfast/1.2", `server_tokens "x y";`: "x y",
	} {
		cfg := load(t, "http { server { listen 1; "+text+" } }")
		b := newBuilder(cfg, route.Process{Version: "1.2"}, NewShared())
		if got := b.serverName(&cfg.HTTP.Servers[0].Settings); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	b := &builder{version: "1.2"}
	if got := b.serverName(&config.Settings{ServerTokens: config.TokensBuild}); !strings.HasPrefix(got, "holdfast/1.2") {
		t.Errorf("build: %q", got)
	}
}

// What levels inherit is compiled once.
func TestBuildShares(t *testing.T) {
	cfg := load(t, `http { error_page 404 /x; add_header A b; early_hints 1;
		server { listen 1; location /a { } location /b { expires 1h; } } }`)
	b := newBuilder(cfg, route.Process{}, NewShared())
	b.servers()
	if n := []int{len(b.shared.errorPages), len(b.shared.earlyHints), len(b.shared.types), len(b.shared.headers)}; !reflect.DeepEqual(n,
		[]int{1, 1, 1, 2}) {
		t.Errorf("compiled %v", n)
	}
}

// Any number of log files may be in use, but not for the lines of one tunnel.
func TestTooManyLogFiles(t *testing.T) {
	for files, wrong := range map[int]bool{8: false, 9: true} {
		var text strings.Builder
		text.WriteString("http { server { listen 1;\n")
		for i := range 100 {
			fmt.Fprintf(&text, "location /%d { return 204; access_log /logs/%d; error_log /logs/e%d; }\n", i, i, i)
		}
		text.WriteString("location /many { return 204;\n")
		for i := range files {
			fmt.Fprintf(&text, "access_log /logs/many%d;\n", i)
		}
		text.WriteString("} } }")
		if problems := Check(load(t, text.String())); config.HasErrors(problems) != wrong {
			t.Errorf("%d files: problems %v", files, problems)
		}
	}
}
