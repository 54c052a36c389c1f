package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"holdfast/config"
)

func TestDefaults(t *testing.T) {
	cfg := mustLoad(t, inHTTP("server { return 204; }"))
	if got := cfg.HTTP.Listeners[0].Addr.String(); got != "0.0.0.0:8000" {
		t.Errorf("a server without listen, not root: listens on %s", got)
	}
	want := config.Main{
		WorkerProcesses: 1,
		ErrorLogs:       []config.ErrorLog{{Path: "/var/lib/holdfast/logs/error.log", Level: config.LevelError}},
		PID:             "/var/lib/holdfast/logs/holdfast.pid",
		Prefix:          "/var/lib/holdfast",
	}
	if diff := cmp.Diff(want, cfg.Main); diff != "" {
		t.Errorf("main (-want +got):\n%s", diff)
	}
	if cfg.Events.WorkerConnections != 512 {
		t.Errorf("worker_connections = %d", cfg.Events.WorkerConnections)
	}
	set := cfg.HTTP.Servers[0].Settings
	if len(set.AccessLogs) != 1 || set.AccessLogs[0].Path != "/var/lib/holdfast/logs/access.log" ||
		set.AccessLogs[0].Format.Name != "combined" {
		t.Errorf("access logs = %+v", set.AccessLogs)
	}
	if diff := cmp.Diff([]string{"/var/lib/holdfast/logs/access.log"}, logPaths(set.TunnelLogs)); diff != "" {
		t.Errorf("tunnel logs (-want +got):\n%s", diff)
	}
	if set.Proxy.ReadTimeoutSet || set.Proxy.SendTimeoutSet || set.Proxy.ReadTimeout != time.Minute {
		t.Errorf("proxy = %+v", set.Proxy)
	}

	opt := hermetic(nil)
	opt.Geteuid = func() int { return 0 }
	cfg, _ = config.LoadText("x", inHTTP("server { return 204; }"), opt)
	if got := cfg.HTTP.Listeners[0].Addr.String(); got != "0.0.0.0:80" {
		t.Errorf("a server without listen, root: listens on %s", got)
	}
}

// TestInheritance proves nginx's rules: single values pass inwards unless written
// again, whatever the order; lists pass only to levels without any of their own.
func TestInheritance(t *testing.T) {
	cfg := mustLoad(t, `
error_log stderr info;
http {
  server {
    listen 80;
    location / {
      proxy_pass http://127.0.0.1:1;
      proxy_hide_header X-C;
      location /inner { proxy_pass http://127.0.0.1:1; proxy_set_header B 2; access_log off; }
      proxy_read_timeout 7d;
    }
    location /log { return 204; access_log x; access_log y; tunnel_log z; keepalive_timeout 5s 4s; }
    proxy_set_header A 1;
    access_log s.log;
  }
  proxy_set_header H 0;
  proxy_hide_header X-A;
  proxy_hide_header X-B;
  proxy_pass_header Server;
  proxy_send_timeout 5;
  keepalive_timeout 30s;
  default_type application/json;
}`)
	server := cfg.HTTP.Servers[0]
	outer, logged := server.Locations[0], server.Locations[1]
	inner := outer.Nested[0]

	header := func(l *config.Location) string {
		return l.Settings.Proxy.SetHeaders[0].Name + l.Settings.Proxy.SetHeaders[0].Value
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"error log", cfg.Main.ErrorLogs[0].Level, config.LevelInfo},
		{"error log path", cfg.Main.ErrorLogs[0].Path, ""},
		{"own set header ends inheritance", header(inner), "B2"},
		{"set header from the server", header(outer), "A1"},
		{"hide header of the location only", outer.Settings.Proxy.HideHeaders, []string{"X-C"}},
		{"hide header passes in", inner.Settings.Proxy.HideHeaders, []string{"X-C"}},
		{"hide header of http", server.Settings.Proxy.HideHeaders, []string{"X-A", "X-B"}},
		{"pass header of http", inner.Settings.Proxy.PassHeaders, []string{"Server"}},
		{"send timeout was written", inner.Settings.Proxy.SendTimeoutSet, true},
		{"send timeout", inner.Settings.Proxy.SendTimeout, 5 * time.Second},
		{"read timeout behind the nested block", inner.Settings.Proxy.ReadTimeout, 7 * 24 * time.Hour},
		{"read timeout was written", inner.Settings.Proxy.ReadTimeoutSet, true},
		{"read timeout was not written", server.Settings.Proxy.ReadTimeoutSet, false},
		{"keepalive", inner.Settings.KeepaliveTimeout, 30 * time.Second},
		{"own keepalive", logged.Settings.KeepaliveTimeout, 5 * time.Second},
		{"own keepalive header", logged.Settings.KeepaliveHeader, 4 * time.Second},
		{"type", inner.Settings.DefaultType, "application/json"},
		{"access log off", len(inner.Settings.AccessLogs), 0},
		{"tunnel log off with it", len(inner.Settings.TunnelLogs), 0},
		{"access logs", len(logged.Settings.AccessLogs), 2},
		{"tunnel log", logPaths(logged.Settings.TunnelLogs), []string{"/var/lib/holdfast/z"}},
		{"tunnel log of the server's access log", logPaths(outer.Settings.TunnelLogs), []string{"/var/lib/holdfast/s.log"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestListen(t *testing.T) {
	for _, tc := range []struct{ args, addrs string }{
		{"8080", "0.0.0.0:8080"},
		{"*:8080", "0.0.0.0:8080"},
		{"*", "0.0.0.0:80"},
		{"192.0.2.1", "192.0.2.1:80"},
		{"192.0.2.1:81", "192.0.2.1:81"},
		{"[::]:81", "[::]:81"},
		{"[2001:db8::1]", "[2001:db8::1]:80"},
		{"localhost:81", "127.0.0.1:81 [::1]:81"},
		{"unix:/run/x.sock", "unix:/run/x.sock"},
		{"8080-8082", "0.0.0.0:8080 0.0.0.0:8081 0.0.0.0:8082"},
	} {
		cfg := mustLoad(t, inHTTP("server { listen "+tc.args+"; return 204; }"))
		got := ""
		for _, li := range cfg.HTTP.Listeners {
			got += " " + li.Addr.String()
		}
		if got != " "+tc.addrs {
			t.Errorf("listen %s: got%s, want %s", tc.args, got, tc.addrs)
		}
	}
	for _, args := range []string{
		"0", "70000", ":80", "[::1", "[x]:80", "nosuch.test:80", "unix:", "80 weight=1", "80 backlog=0", "80 backlog=-1",
		"80 so_keepalive=::", "80 so_keepalive=maybe", "80 so_keepalive=500ms::", "80 so_keepalive=32768::", "80 so_keepalive=:10h:",
		"80 so_keepalive=::128", "80 ipv6only=x", "80 rcvbuf=x",
		"80 setfib=1", "80 ssl=on", "80 proxy_protocol=1", "80 fastopen=x", "80 deferred=1", "80 backlog", "9-8", "host:", "a b",
		`""`, "1-65535",
	} {
		cfg, problems := config.LoadText("x", inHTTP("server { listen "+args+"; return 204; }"), hermetic(nil))
		if cfg != nil || len(problems) != 1 || problems[0].Line != 2 {
			t.Errorf("listen %s: %v", args, problems)
		}
	}
}

func TestListenOptions(t *testing.T) {
	cfg := mustLoad(t, inHTTP(`server { listen 80 backlog=9 rcvbuf=8k sndbuf=1m so_keepalive=2m::3 deferred fastopen=5
		ipv6only=off reuseport bind shared; server_name a; return 204; }
	server { listen 80 default_server; listen [::]:80 so_keepalive=off; server_name b; return 204; }`))
	want := config.ListenOptions{
		Backlog: 9, Rcvbuf: 8 << 10, Sndbuf: 1 << 20, FastOpen: 5, Deferred: true, Bind: true, Reuseport: true,
		Shared: true, Keepalive: config.Keepalive{Idle: 2 * time.Minute, Count: 3},
	}
	v4, v6 := cfg.HTTP.Listeners[0], cfg.HTTP.Listeners[1]
	if diff := cmp.Diff(want, v4.Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.ListenOptions{Backlog: 511, IPv6Only: true, Keepalive: config.Keepalive{Off: true}},
		v6.Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	first, second := cfg.HTTP.Servers[0], cfg.HTTP.Servers[1]
	if v4.Default != second || len(v4.Servers) != 2 || v6.Default != second || len(v6.Servers) != 1 {
		t.Errorf("listeners = %+v, %+v", v4, v6)
	}
	if len(first.Listeners) != 1 || first.Listeners[0] != v4 || len(second.Listeners) != 2 {
		t.Errorf("servers listen on %v and %v", first.Listeners, second.Listeners)
	}
}

func TestServerNames(t *testing.T) {
	cfg := mustLoad(t, inServer(`server_name Example.COM *.example.com www.example.* .example.org "" _
		~^(?<user>.+)\.example\.net$; return 204;`))
	type name struct {
		Text string
		Kind config.NameKind
		Re   string
	}
	var got []name
	for _, n := range cfg.HTTP.Servers[0].Names {
		got = append(got, name{n.Text, n.Kind, n.Regexp})
	}
	want := []name{
		{"example.com", config.NameExact, ""},
		{"*.example.com", config.NamePrefix, ""},
		{"www.example.*", config.NameSuffix, ""},
		{".example.org", config.NameDot, ""},
		{"", config.NameExact, ""},
		{"_", config.NameExact, ""},
		{`~^(?<user>.+)\.example\.net$`, config.NameRegex, `(?i)^(?<user>.+)\.example\.net$`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"user"}, cfg.HTTP.CaptureNames); diff != "" {
		t.Errorf("captures (-want +got):\n%s", diff)
	}
}

func TestLocations(t *testing.T) {
	cfg := mustLoad(t, inServer(`
		location = /a { return 200; }   location =/b { return 200; }
		location ^~ /c { return 200; }  location ~ \.d$ { return 200; }  location ~*\.e$ { return 200; }
		location @f { return 200; }     location /g { return 200; location ~ ^/g/h { return 200; } }`))
	var got []string
	for _, l := range append(cfg.HTTP.Servers[0].Locations, cfg.HTTP.Servers[0].Named...) {
		got = append(got, l.Modifier.String()+" "+l.Pattern+" "+l.Regexp)
	}
	want := []string{"= /a ", "= /b ", "^~ /c ", `~ \.d$ \.d$`, `~* \.e$ (?i)\.e$`, " /g ", " @f "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
	if nested := cfg.HTTP.Servers[0].Locations[5].Nested; len(nested) != 1 || nested[0].Pattern != "^/g/h" {
		t.Errorf("nested = %+v", nested)
	}
}

func TestReturn(t *testing.T) {
	for _, tc := range []struct {
		args string
		want config.Return
	}{
		{"204", config.Return{Code: 204}},
		{"444", config.Return{Code: 444}},
		{`200 "hello $host"`, config.Return{Code: 200, Text: "hello $host", HasText: true}},
		{`200 ""`, config.Return{Code: 200, HasText: true}},
		{"301 /x", config.Return{Code: 301, URL: "/x"}},
		{"308 https://$host", config.Return{Code: 308, URL: "https://$host"}},
		{"https://x.test/", config.Return{Code: 302, URL: "https://x.test/"}},
		{"$scheme://x.test/", config.Return{Code: 302, URL: "$scheme://x.test/"}},
	} {
		got := *mustLoad(t, inServer("location / { return "+tc.args+"; }")).HTTP.Servers[0].Locations[0].Return
		got.Position = config.Position{}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("return %s (-want +got):\n%s", tc.args, diff)
		}
	}
}

func TestProxyPass(t *testing.T) {
	for _, tc := range []struct{ arg, upstream, host, port, uri string }{
		{"http://127.0.0.1", "127.0.0.1", "127.0.0.1", "80", "-"},
		{"http://127.0.0.1:80/", "127.0.0.1:80", "127.0.0.1", "80", "/"},
		{"http://127.0.0.1:81/a/b?c", "127.0.0.1:81", "127.0.0.1:81", "81", "/a/b?c"},
		{"HTTP://Backend.test", "Backend.test", "Backend.test", "80", "-"},
		{"http://[2001:db8::1]:81", "[2001:db8::1]:81", "[2001:db8::1]:81", "81", "-"},
		{"http://unix:/run/x", "unix:/run/x", "localhost", "", "-"},
		{"http://unix:/run/x:/uri", "unix:/run/x", "localhost", "", "/uri"},
		{"http://Pool/x", "pool", "Pool", "80", "/x"},
	} {
		opt := hermetic(nil)
		lookup := opt.Resolve
		opt.Resolve = func(host string) ([]netip.Addr, error) { return lookup(strings.ToLower(host)) }
		cfg, problems := config.LoadText("x", inHTTP("upstream pool { server 127.0.0.1; }\n"+
			"server { listen 80; location / {\n"+
			"proxy_pass "+tc.arg+"; } }"), opt)
		if len(problems) > 0 {
			t.Errorf("%s: %v", tc.arg, problems)
			continue
		}
		p := cfg.HTTP.Servers[0].Locations[0].ProxyPass
		uri := "-"
		if p.HasURI {
			uri = p.URI
		}
		got := []string{p.Upstream.Name, p.Host, p.Port, uri}
		if diff := cmp.Diff([]string{tc.upstream, tc.host, tc.port, tc.uri}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.arg, diff)
		}
	}
	p := mustLoad(t, inServer(`location ~ ^/(.*) { proxy_pass http://$host/$1; }`)).HTTP.Servers[0].Locations[0].ProxyPass
	if !p.Variables || p.Text != "http://$host/$1" || p.Upstream != nil {
		t.Errorf("with variables: %+v", p)
	}
}

func TestUpstream(t *testing.T) {
	cfg := mustLoad(t, inHTTP(`upstream u {
		server 127.0.0.1:81 weight=3 max_fails=0 fail_timeout=1m;
		server backend.test;
		server unix:/run/b backup;
		server localhost:82 down;
		keepalive 7; keepalive_requests 9; keepalive_timeout 2m; keepalive_time 3h;
	}
	server {
		listen 80;
		location / { proxy_pass http://127.0.0.1:81; }
		location /b { proxy_pass http://127.0.0.1:81/; }
	}`))
	if len(cfg.HTTP.Upstreams) != 2 || !cfg.HTTP.Upstreams[1].Implicit || cfg.HTTP.Upstreams[1].Keepalive != 32 {
		t.Fatalf("upstreams = %+v", cfg.HTTP.Upstreams)
	}
	u := *cfg.HTTP.Upstreams[0]
	u.Position, u.Resolver = config.Position{}, config.ResolverSettings{}
	for i := range u.Servers {
		u.Servers[i].Position = config.Position{}
	}
	addr := func(s string) config.Addr { return config.Addr{IP: netip.MustParseAddrPort(s)} }
	want := config.Upstream{
		Name: "u", Keepalive: 7, KeepaliveRequests: 9, KeepaliveTimeout: 2 * time.Minute, KeepaliveTime: 3 * time.Hour,
		Servers: []config.UpstreamServer{
			{Name: "127.0.0.1:81", Addrs: []config.Addr{addr("127.0.0.1:81")}, Weight: 3, FailTimeout: time.Minute},
			{Name: "backend.test", Addrs: []config.Addr{addr("192.0.2.7:80")}, Weight: 1, MaxFails: 1,
				FailTimeout: 10 * time.Second},
			{Name: "unix:/run/b", Addrs: []config.Addr{{Unix: "/run/b"}}, Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second,
				Backup: true},
			{Name: "localhost:82", Addrs: []config.Addr{addr("127.0.0.1:82"), addr("[::1]:82")}, Weight: 1, MaxFails: 1,
				FailTimeout: 10 * time.Second, Down: true},
		},
	}
	if diff := cmp.Diff(want, u, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmpopts.IgnoreUnexported(config.Upstream{}, config.ResolverSettings{})); diff != "" {
		t.Errorf("upstream (-want +got):\n%s", diff)
	}
}

func TestMap(t *testing.T) {
	opt := hermetic(map[string]string{"/etc/h/more.map": "\\~literal 4;\n"})
	cfg, problems := config.LoadText("/etc/h/nginx.conf", inHTTP(`map $host$uri $v {
		hostnames; volatile;
		default "a b"; *.x.test 1; ~*^Y$ 2; "~a b" 3; include more.map; \default 5; "" $host; }
		server { listen 80; return 204; }`), opt)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	m := cfg.HTTP.Maps[0]
	type entry struct{ Pattern, Regexp, Value string }
	var got []entry
	for _, e := range m.Entries {
		got = append(got, entry{e.Pattern, e.Regexp, e.Value})
	}
	want := []entry{
		{"*.x.test", "", "1"}, {"~*^Y$", "(?i)^Y$", "2"}, {"~a b", "a b", "3"}, {"~literal", "", "4"},
		{"default", "", "5"}, {"", "", "$host"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if m.Source != "$host$uri" || m.Name != "v" || m.Default != "a b" || !m.Hostnames || !m.Volatile {
		t.Errorf("map = %+v", m)
	}
}

// TestMainContext reads everything that the main context may say.
func TestMainContext(t *testing.T) {
	opt := hermetic(nil)
	opt.Prefix, opt.Globals = "/srv/h", "worker_processes auto; daemon off;"
	cfg, problems := config.LoadText("/etc/h/nginx.conf", `worker_rlimit_nofile 65535; pid run/h.pid; tunnels_min 9;
		error_log /l warn; error_log m crit; admin 9180; events { worker_connections 77; }`, opt)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	admin := config.Addr{IP: netip.MustParseAddrPort("127.0.0.1:9180")}
	if m := cfg.Main; m.WorkerProcesses != 0 || m.WorkerRlimitNofile != 65535 || m.PID != "/srv/h/run/h.pid" ||
		m.TunnelsMin != 9 || *m.Admin != admin || m.ErrorLogs[1].Path != "/srv/h/m" ||
		m.ErrorLogs[1].Level != config.LevelCrit {
		t.Errorf("main = %+v", m)
	}
	if cfg.Events.WorkerConnections != 77 {
		t.Errorf("events = %+v", cfg.Events)
	}
	for _, arg := range []string{"off", "unix:/run/a", "127.0.0.1:1", "[::1]:2"} {
		if cfg := mustLoad(t, "admin "+arg+";"); arg == "off" && cfg.Main.Admin != nil ||
			arg != "off" && cfg.Main.Admin.String() != arg {
			t.Errorf("admin %s: %v", arg, cfg.Main.Admin)
		}
	}
	for _, arg := range []string{"on", "0", "localhost", "127.0.0.1", "127.0.0.1:0", "unix:", "::1"} {
		if cfg, _ := config.LoadText("x", "admin "+arg+";", hermetic(nil)); cfg != nil {
			t.Errorf("admin %s is accepted: %v", arg, cfg.Main.Admin)
		}
	}
	opt.Globals = "worker_proceses 1;"
	_, problems = config.LoadText("x", "", opt)
	if len(problems) != 1 || problems[0].File != "command line" {
		t.Errorf("problems of -g: %v", problems)
	}
}

// TestLoadFile reads real files through the default hooks.
func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nginx.conf", "http { include s?.conf; include *.none; }\n")
	write("s1.conf", "server { listen 127.0.0.1:0x; }")
	write("s2.conf", "server { listen 127.0.0.1:8080; return 204; }")
	_, problems := config.Load(filepath.Join(dir, "nginx.conf"), config.Options{})
	if len(problems) != 1 || problems[0].File != filepath.Join(dir, "s1.conf") {
		t.Errorf("problems = %v", problems)
	}
	write("s1.conf", "")
	cfg, problems := config.Load(filepath.Join(dir, "nginx.conf"), config.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if len(cfg.Files) != 3 || cfg.Files[2].Text != "server { listen 127.0.0.1:8080; return 204; }" {
		t.Errorf("files = %+v", cfg.Files)
	}
	_, problems = config.Load(filepath.Join(dir, "absent.conf"), config.Options{})
	want := filepath.Join(dir, "absent.conf") +
		": error: cannot be read: no such file or directory; give the configuration file with -c FILE"
	if len(problems) != 1 || problems[0].String() != want {
		t.Errorf("problems = %v, want %s", problems, want)
	}
}

// TestEscapes proves what a backslash means in and outside of quotes.
func TestEscapes(t *testing.T) {
	for _, tc := range []struct{ arg, want string }{
		{`"a\"b"`, `a"b`}, {`'a\'b'`, `a'b`}, {`"a\\b"`, `a\b`}, {`"a\\\"b"`, `a\"b`}, {`'a"b'`, `a"b`},
		{`"a\tb\nc"`, "a\tb\nc"}, {`a\.b`, `a\.b`}, {`a\;b`, `a\;b`}, {`a\"b`, `a"b`}, {`${host}x`, `${host}x`},
		{`"{a;b}"`, `{a;b}`}, {"'a\nb'", "a\nb"}, {`"#a"`, "#a"}, {`a#b`, "a#b"},
	} {
		cfg := mustLoad(t, inServer("return 200 "+tc.arg+";"))
		if got := cfg.HTTP.Servers[0].Return.Text; got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.arg, got, tc.want)
		}
	}
}

// TestUser proves that a process that may change its user must be given one that
// exists.
func TestUser(t *testing.T) {
	opt := hermetic(nil)
	opt.Geteuid = func() int { return 0 }
	cfg, problems := config.LoadText("x", "user root;", opt)
	if len(problems) > 0 || cfg.Main.User == nil || cfg.Main.User.UID != 0 || cfg.Main.User.Group != "root" {
		t.Errorf("user root: %+v, %v", cfg, problems)
	}
	for _, text := range []string{"user no-such-user-here;", "user root no-such-group-here;"} {
		if cfg, _ := config.LoadText("x", text, opt); cfg != nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// TestNextUpstream proves that repetitions add up, and that off wins.
func TestNextUpstream(t *testing.T) {
	const both = config.NextOnError | config.NextOnTimeout
	for _, tc := range []struct {
		text string
		want config.NextUpstream
	}{
		{"", both},
		{"proxy_next_upstream error;", config.NextOnError},
		{"proxy_next_upstream timeout; proxy_next_upstream error;", both},
		{"proxy_next_upstream off;", 0},
		{"proxy_next_upstream off; proxy_next_upstream error;", 0},
		{"proxy_next_upstream error off;", 0},
	} {
		got := mustLoad(t, inHTTP(tc.text)).HTTP.Settings.Proxy.NextUpstream
		if got != tc.want {
			t.Errorf("%q: got %b, want %b", tc.text, got, tc.want)
		}
	}
}

// TestBounds proves that a hostile file ends in an error, and soon.
func TestBounds(t *testing.T) {
	for name, text := range map[string]string{
		"depth":          strings.Repeat("a {", 100_000),
		"unknown words":  strings.Repeat("proxi_pass x;\n", 2_000),
		"a long word":    strings.Repeat("x", 1<<20) + ";",
		"zero bytes":     "pid " + strings.Repeat("x\x00", 1<<19) + ";",
		"closing braces": strings.Repeat("}", 100_000),
	} {
		_, problems := config.LoadText("x", text, hermetic(nil))
		if !config.HasErrors(problems) {
			t.Errorf("%s: no error", name)
		}
	}
}
