package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
	"holdfast/test/port"
)

func inStream(body string) string { return "stream {\n" + body + "\n}" }

// streamVerdicts are bodies of the stream context on which nginx and holdfast must agree.
var streamVerdicts = struct{ good, bad []string }{
	good: []string{
		`server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:1; }`,
		`server { listen 127.0.0.1:PORT backlog=5 so_keepalive=on proxy_protocol reuseport; proxy_pass unix:/x; }`,
		`server { listen unix:DIR/s; return "hello $remote_addr\n"; }`,
		`upstream u { server 127.0.0.1:1 weight=2 max_fails=0 fail_timeout=5s; server unix:/x backup; server 127.0.0.2:2 down; }
			server { listen 127.0.0.1:PORT; proxy_pass u; }`,
		`server { listen 127.0.0.1:PORT; proxy_pass U; } upstream u { zone z 64k; server 127.0.0.1:1; }`,
		`server { listen 127.0.0.1:PORT; proxy_pass $ssl_preread_server_name:443; ssl_preread on; }`,
		`proxy_timeout 1h; proxy_connect_timeout 1s; proxy_half_close on; proxy_next_upstream off; proxy_next_upstream_tries 2;
			proxy_next_upstream_timeout 3s; proxy_socket_keepalive on; tcp_nodelay off; proxy_buffer_size 4k;`,
		`proxy_download_rate 10k; proxy_upload_rate 1m; proxy_protocol on; proxy_bind 127.0.0.1; preread_buffer_size 4k; preread_timeout 1s;`,
		`proxy_bind off; proxy_download_rate $bytes_sent; server { listen 127.0.0.1:PORT; return a; proxy_bind $remote_addr; }`,
		`map $ssl_preread_server_name $u { hostnames; default a; *.b.test b; ~^(?<n>x) $n; }
			server { listen 127.0.0.1:PORT; proxy_pass $u; ssl_preread on; }`,
		`log_format f escape=json '$remote_addr $time_local $protocol $status $bytes_sent $bytes_received $session_time';
			access_log DIR/l f; server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:1; access_log off; }`,
		`log_format combined '$upstream_addr $upstream_bytes_sent $upstream_connect_time $upstream_first_byte_time $upstream_session_time';
			server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:1; access_log DIR/l combined buffer=8k; }`,
		`allow 127.0.0.1; allow 10.0.0.0/8; allow ::1; allow 2001:db8::/32; deny unix:; deny all;`,
		`limit_conn_zone $binary_remote_addr zone=a:1m; limit_conn a 5; limit_conn_log_level info; limit_conn_dry_run on;
			server { listen 127.0.0.1:PORT; limit_conn a 1; proxy_pass 127.0.0.1:1; }`,
		`server { listen 127.0.0.1:PORT; set $x a$remote_port; set $y $x; return $x$y; }`,
		`server { listen 127.0.0.1:PORT; error_log DIR/e; return a; } variables_hash_max_size 1024; map_hash_max_size 64;`,
		`server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:1; preread_buffer_size 0; }`,
	},
	bad: []string{
		`server { listen 127.0.0.1:PORT; }`,
		`server { proxy_pass 127.0.0.1:1; }`,
		`server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1; }`,
		`server { listen 127.0.0.1:PORT; proxy_pass nosuch; }`,
		`server { listen 127.0.0.1:PORT; proxy_pass http://127.0.0.1:1; }`,
		`server { listen 127.0.0.1:PORT; proxy_pass 127.0.0.1:1; proxy_pass 127.0.0.1:1; }`,
		`server { listen 127.0.0.1:PORT; return a; } server { listen 127.0.0.1:PORT; return b; }`,
		`server { listen 127.0.0.1:PORT http2; return a; }`,
		`server { listen 127.0.0.1:PORT weird; return a; }`,
		`server { listen 127.0.0.1:PORT; return a; location / { } }`,
		`server { listen 127.0.0.1:PORT; return; }`,
		`server { listen 127.0.0.1:PORT; return $uri; }`,
		`server { listen 127.0.0.1:PORT; return $http_host; }`,
		`server { listen 127.0.0.1:PORT; set x y; return a; }`,
		`set $x y;`,
		`upstream u { server 127.0.0.1; }`,
		`upstream u { }`,
		`upstream u { server 127.0.0.1:1; keepalive 4; }`,
		`upstream u { server 127.0.0.1:1 backup; }`,
		`access_log DIR/l;`,
		`access_log DIR/l combined;`,
		`log_format f '$request'; access_log DIR/l f;`,
		`allow 10.0.0.0/33;`,
		`allow example.test;`,
		`deny;`,
		`limit_conn a 5; server { listen 127.0.0.1:PORT; return a; }`,
		`limit_conn_zone $binary_remote_addr zone=a;`,
		`limit_conn_zone $binary_remote_addr zone=a:1k;`,
		`limit_conn_zone $binary_remote_addr zone=a:1m; limit_conn a 0;`,
		`limit_conn_zone $binary_remote_addr zone=a:1m; limit_conn a 70000;`,
		`limit_conn_zone $binary_remote_addr zone=a:1m; limit_conn a 1; limit_conn a 2;`,
		`limit_conn_zone $binary_remote_addr zone=a:1m; limit_conn_zone $remote_addr zone=a:1m;`,
		`limit_conn_status 503;`,
		`proxy_timeout x;`, `proxy_next_upstream error;`, `proxy_download_rate fast;`, `proxy_bind nothing;`,
		`proxy_protocol maybe;`, `ssl_preread maybe;`, `proxy_half_close;`, `proxy_set_header A b;`, `keepalive_timeout 5s;`,
		`stream { }`, `server_tokens off;`, `nosuchdirective on;`,
	},
}

// newerStream are bodies that the installed nginx does not know, or judges otherwise.
var newerStream = struct{ good, bad []string }{
	good: []string{
		`proxy_protocol v2;`,
		`server { listen 127.0.0.1:1 default_server; server_name a.test; ssl_preread on; return a; }
			server { listen 127.0.0.1:1; server_name b.test *.c.test ~^d; ssl_preread on; return b; }`,
		`tunnel_send_timeout 5s;`,
		`resolver 127.0.0.1; resolver_timeout 5s;`,
		`server { listen 127.0.0.1:1; proxy_pass $remote_addr:5; } resolver 127.0.0.1;`,
		`upstream u { server a.test:1 resolve; resolver 127.0.0.1; tunnels close; } resolver_timeout 5s;`,
	},
	bad: []string{
		`server { listen 127.0.0.1:1 udp; return a; }`,
		`server { listen 127.0.0.1; return a; }`, // nginx takes any port
		`server { listen 127.0.0.1:1; return a; proxy_pass 127.0.0.1:1; }`,
		`server { listen 127.0.0.1:1; pass 127.0.0.1:2; }`,
		`proxy_bind 127.0.0.1 opaque;`,
		`proxy_responses 1;`,
		`js_access a;`,
	},
}

func TestStreamVerdictsOnNewer(t *testing.T) {
	for i, list := range [][]string{newerStream.good, newerStream.bad} {
		for _, body := range list {
			if cfg, problems := config.LoadText("x", inStream(body), hermetic(nil)); (cfg != nil) != (i == 0) {
				t.Errorf("holdfast disagrees with the table about\n%s\n%s", body, lines(problems))
			}
		}
	}
}

// TestStreamVerdictsOfNginx asks the installed nginx about the same configurations.
func TestStreamVerdictsOfNginx(t *testing.T) {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	nginx, err := exec.LookPath("nginx")
	if _, missing := os.Stat(module); err != nil || missing != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" && err != nil {
			t.Fatal("nginx is not on PATH, and HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx with its stream module is not installed")
	}
	free := strconv.Itoa(port.Take(t))
	check := func(body string, good bool) {
		t.Helper()
		dir := t.TempDir()
		text := strings.NewReplacer("DIR", dir, "PORT", free).Replace("events { }\n" + inStream(body) + "\n")
		conf := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(conf, []byte("load_module "+module+";\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"-t", "-p", dir, "-c", conf, "-e", "stderr", "-g", "pid " + dir + "/pid; error_log stderr;"}
		out, err := exec.Command(nginx, args...).CombinedOutput()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			t.Fatal(err)
		}
		if (err == nil) != good {
			t.Errorf("nginx disagrees with the table about\n%s\n%s", body, out)
		}
		opt := config.Options{CheckStreamText: checkStreamNames}
		if cfg, problems := config.LoadText(conf, text, opt); (cfg != nil) != good {
			t.Errorf("holdfast disagrees with the table about\n%s\n%s", body, lines(problems))
		}
	}
	for _, body := range streamVerdicts.good {
		check(body, true)
	}
	for _, body := range streamVerdicts.bad {
		check(body, false)
	}
}

// checkStreamNames stands for the compiler, which this package does not know.
func checkStreamNames([]string) func(string) error {
	return func(text string) error {
		for _, name := range []string{"$uri", "$http_host", "$request"} {
			if strings.Contains(text, name) {
				return errUnknown
			}
		}
		return nil
	}
}

func TestStreamProblems(t *testing.T) {
	for _, tc := range []struct{ name, conf, want string }{
		{"udp", inStream("server {\nlisten 53 udp;\nproxy_pass 127.0.0.1:53; }"), `
nginx.conf:3: error: "udp" of "listen" is not supported in stream; datagrams are not supported: ` +
			`remove the server, or let another program do it`},
		{"no handler", inStream("server { listen 1; }"), `
nginx.conf:2: error: no handler for the server; write: proxy_pass ADDRESS:PORT;`},
		{"no port", inStream("server { listen 1;\nproxy_pass 127.0.0.1; }"), `
nginx.conf:3: error: no port in upstream "127.0.0.1"; write an address with a port, unix:PATH, or the name of an upstream block`},
		{"one address for http and stream", "http {\nserver { listen 80; return 204; }\n}\nstream {\nserver { listen 80; return a; }\n}", `
nginx.conf:5: error: 0.0.0.0:80 is already listened on in http, at /etc/h/nginx.conf:2; this is stream; choose another address`},
		{"two on one address", inStream("server { listen 1; return a; }\nserver { listen 1; return b; }"), `
nginx.conf:3: warning: conflicting server name "" on 0.0.0.0:1, ignored
nginx.conf:3: error: duplicate "0.0.0.0:1" address and port pair; the first is at /etc/h/nginx.conf:2; ` +
			`give it an address of its own, or choose by server_name with ssl or ssl_preread`},
		{"format of http", "http { log_format f a; }\n" + inStream("access_log /l f;"), `
nginx.conf:3: error: unknown log format "f"; define it with log_format in stream`},
		{"zone of http", "http { limit_conn_zone $host zone=a:1m; }\n" + inStream("limit_conn a 1;"), `
nginx.conf:3: error: unknown "limit_conn" zone "a"; define it in stream: limit_conn_zone $binary_remote_addr zone=a:10m;`},
		{"http in stream", inStream("server { listen 1; return a;\nadd_header A b;\n}"), `
nginx.conf:3: error: "add_header" directive is not allowed here; its place is: http, server, location, if in location`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, problems := config.LoadText("/etc/h/nginx.conf", tc.conf, hermetic(nil))
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n")+"\n", lines(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStreamIsApart proves that names of stream and http don't meet, and that values are
// inherited within stream only.
func TestStreamIsApart(t *testing.T) {
	cfg, problems := config.LoadText("/etc/h/nginx.conf", `
http { upstream u { server 127.0.0.1:1; } map $uri $m { default a; } log_format f a; access_log /http f;
  tcp_nodelay off; server { listen 1; location / { proxy_pass http://u; } } }
stream { upstream u { server 127.0.0.1:2; } map $remote_addr $m { default b; } log_format f b; access_log /stream f;
  proxy_timeout 5s; deny all; server { listen 2; proxy_pass u; set $v x; }
  server { listen 3; proxy_pass 127.0.0.1:9; proxy_timeout 7s; allow all; access_log off; } }`, hermetic(nil))
	if cfg == nil {
		t.Fatal(lines(problems))
	}
	first, second := cfg.Stream.Servers[0], cfg.Stream.Servers[1]
	if u := first.Stream.ProxyPass.Upstream; u != cfg.Stream.Upstreams[0] || u.Servers[0].Addrs[0].IP.Port() != 2 || u.Keepalive != 0 {
		t.Errorf("upstream %+v", u)
	}
	if len(cfg.HTTP.Maps) != 1 || len(cfg.Stream.Maps) != 1 || cfg.Stream.Maps[0].Source != "$remote_addr" {
		t.Errorf("maps %+v and %+v", cfg.HTTP.Maps, cfg.Stream.Maps)
	}
	if first.Settings.Stream.ProxyTimeout != 5*time.Second || second.Settings.Stream.ProxyTimeout != 7*time.Second {
		t.Error("proxy_timeout is not inherited as it should")
	}
	if !first.Settings.TCPNodelay || len(first.Settings.Access) != 1 || len(second.Settings.Access) != 1 || !second.Settings.Access[0].Allow {
		t.Errorf("values of http or of the outer level: %+v", second.Settings.Access)
	}
	if logs := first.Settings.AccessLogs; len(logs) != 1 || logs[0].Path != "/stream" || logs[0].Format.Text != "b" {
		t.Errorf("logs %+v", logs)
	}
	if len(second.Settings.AccessLogs) != 0 || len(cfg.HTTP.Listeners) != 3 || cfg.HTTP.Listeners[2].Default != second {
		t.Errorf("%d listeners, logs %+v", len(cfg.HTTP.Listeners), second.Settings.AccessLogs)
	}
	if diff := cmp.Diff([]string{"v"}, cfg.Stream.SetNames); diff != "" {
		t.Errorf("set names (-want +got):\n%s", diff)
	}
}
