package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/test/port"
)

// nginxFlags keep a test run of nginx inside the test's own folder.
const nginxFlags = `client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c;
uwsgi_temp_path DIR/d; scgi_temp_path DIR/e; access_log off;
`

// verdicts are bodies of the http context. nginx and holdfast must agree on each:
// those under good are accepted by both, those under bad are refused by both.
// PORT is a free port.
var verdicts = struct{ good, bad []string }{
	good: []string{
		`server { listen 127.0.0.1:PORT; }`,
		`server { listen 127.0.0.1:PORT default; } server { listen 127.0.0.1:PORT; }`,
		`server { listen 127.0.0.1:PORT so_keepalive=30m::10; }`,
		`server { listen 127.0.0.1:PORT so_keepalive=30; }`,
		`server { listen 127.0.0.1:PORT backlog=16 rcvbuf=0 sndbuf=8k deferred reuseport fastopen=0 bind; }`,
		`server { listen 127.0.0.1:PORT ipv6only=on; }`,
		`server { listen unix:DIR/s; }`,
		`server { listen 127.0.0.1:PORT; server_name _ "" .x.com *.x.com x.* x.com. EXAMPLE.com; }`,
		`server { listen 127.0.0.1:PORT; server_name a a; } server { listen 127.0.0.1:PORT; server_name a; }`,
		`server { listen 127.0.0.1:PORT; server_name ~^(?<n>.+)\.x$; return 200 $n; }`,
		`server { listen 127.0.0.1:PORT; location "" { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location foo { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location /a { return 200; } location = /a { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location =/a { return 200; } location ~*\.x$ { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location ~ /a { location /a { return 200; } } }`,
		`server { listen 127.0.0.1:PORT; location /a { location ~ b { return 200; } location = /a { return 200; } } }`,
		`server { listen 127.0.0.1:PORT; location ~ "^/(a|b){2,3}$" { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location @a { proxy_pass http://127.0.0.1:1; } }`,
		`server { listen 127.0.0.1:PORT; return 0; }`,
		`server { listen 127.0.0.1:PORT; return 999 ""; }`,
		`server { listen 127.0.0.1:PORT; return $scheme://x; }`,
		`server { listen 127.0.0.1:PORT; return 200; return 201; }`,
		`server { listen 127.0.0.1:PORT; return 200 "a;b}{" ; }`,
		"server { listen 127.0.0.1:PORT; # comment ; } \\\n return 200 'a\nb'; }",
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://unix:/a/b:/; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://unix:/a/b; } }`,
		`server { listen 127.0.0.1:PORT; location @x { proxy_pass http://unix:/a/b:; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass HTTP://127.0.0.1; } }`,
		`server { listen 127.0.0.1:PORT; location ~ (.*) { proxy_pass http://127.0.0.1/$1; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://[::1]:8080/x; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1:1/; proxy_redirect default; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://U; } } upstream u { server 127.0.0.1; }`,
		`upstream u { server 127.0.0.1 down; } server { listen 127.0.0.1:PORT; }`,
		`upstream u { server 127.0.0.1:1 weight=2 max_fails=0 fail_timeout=1m; server unix:/x backup; }`,
		`upstream u { server 127.0.0.1; keepalive 4; keepalive_timeout 5s; keepalive_time 1h; keepalive_requests 5; }`,
		`upstream u { server 127.0.0.1; zone z 64k; }`,
		`map $uri $b { x 1; } map $uri $b { x 2; }`,
		`map a$uri $b { hostnames; volatile; default x; *.x 1; .y 2; z.* 3; "" 4; ~^a 5; ~*b 6; \~c 7; \default 8; }`,
		`log_format a escape=json;`,
		`log_format a escape=none '$uri' "$host"; server { listen 127.0.0.1:PORT; access_log DIR/l a; access_log off; }`,
		`server { listen 127.0.0.1:PORT; access_log DIR/l combined buffer=8k flush=1s; }`,
		`client_max_body_size 1g; client_header_buffer_size 0; large_client_header_buffers 1 512;`,
		`keepalive_timeout 0; keepalive_requests 0; keepalive_time 0;`,
		`keepalive_timeout 75s 0;`,
		`client_header_timeout "1h 30m"; client_body_timeout 1m30; send_timeout 500ms; lingering_time 1w;`,
		`client_header_timeout 99999999999;`,
		`tcp_nodelay ON; lingering_close ALWAYS; merge_slashes off; underscores_in_headers on; ignore_invalid_headers off;`,
		`proxy_next_upstream error error; proxy_next_upstream_tries 3; proxy_next_upstream_timeout 5s;`,
		`proxy_next_upstream off; proxy_next_upstream timeout;`,
		`proxy_set_header A ""; proxy_set_header A b; proxy_hide_header X; proxy_pass_header Date; proxy_redirect off;`,
		`proxy_redirect http://a/ $scheme://b/; proxy_redirect ~^http://(a)/ /$1; proxy_redirect ~*B c; proxy_redirect "" x;`,
		`proxy_cookie_domain .a .b; proxy_cookie_domain ~(x)$ $1.y; proxy_cookie_path /a $uri; proxy_cookie_path ~*^/b /c; proxy_cookie_path ~^/c$ /d;`,
		`proxy_cookie_flags ~a secure httponly; proxy_cookie_flags b samesite=strict nosecure $arg_x; server { listen 127.0.0.1:PORT; proxy_cookie_flags off; }`,
		`proxy_ignore_headers x-accel-redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires cache-control Set-Cookie VARY;`,
		`proxy_method POST; proxy_set_body "a$uri"; proxy_pass_request_body off; proxy_pass_request_headers OFF; proxy_ignore_client_abort on;`,
		`proxy_method $request_method; proxy_set_header Content-Length ""; proxy_set_header Transfer-Encoding ""; chunked_transfer_encoding off;`,
		`proxy_bind 127.0.0.1; server { listen 127.0.0.1:PORT; proxy_bind 127.0.0.2; location / { proxy_bind $remote_addr transparent; } }`,
		`absolute_redirect off; port_in_redirect off; server_name_in_redirect on; server { listen 127.0.0.1:PORT; proxy_bind off; proxy_cookie_path off; }`,
		`add_trailer A b; add_trailer B "$uri" always; server { listen 127.0.0.1:PORT; location / { empty_gif; } location /s { stub_status; } }`,
		`server { listen 127.0.0.1:PORT; stub_status on; }`,
		`proxy_http_version 1.0; proxy_socket_keepalive on; proxy_connect_timeout 1; proxy_read_timeout 7d;`,
		`default_type ""; gzip on; sendfile on; types { a/b c; } types_hash_max_size 64; resolver 127.0.0.1;`,
		`server { listen 127.0.0.1:PORT; root /x; index a; location / { return 204; } }`,
		`"server" { "listen" "127.0.0.1:PORT"; }`,
		`server { listen 127.0.0.1:PORT; error_log DIR/err warn; }`,
		`server { listen 127.0.0.1:PORT; location /a { } }`,
		`server { listen 127.0.0.1:PORT; root data; location /a/ { alias /x/; location /a/b { } } }`,
		`server { listen 127.0.0.1:PORT; location ~ /(a) { alias /x/$1; } location @n { root $host; } }`,
		`index a; index b /c; root /x/; server { listen 127.0.0.1:PORT; index d$host; }`,
		`types { } default_type a/b; server { listen 127.0.0.1:PORT; types { a/b c D; a/b; } types { e/f g; } }`,
		`types { a/b c; d/e C; }`,
		`server { listen 127.0.0.1:PORT; try_files $uri $uri/ @n; location @n { try_files /a =404; } }`,
		`server { listen 127.0.0.1:PORT; location / { internal; try_files @a /x?y=z; } }`,
		`error_page 404 /a; error_page 404 500 =200 /b?c; error_page 302 = /$uri; error_page 303 $scheme://x/; error_page 494 599 http://x/;`,
		`error_page 404 a.html; recursive_error_pages on; proxy_intercept_errors on; log_not_found off;`,
		`server { listen 127.0.0.1:PORT; error_page 404 =503 @n; location @n { return 204; } }`,
		`add_header A b; add_header A "" always; add_header C $host;`,
		`expires 1h; server { listen 127.0.0.1:PORT; expires modified -1d; location / { expires @24h; } }`,
		`expires epoch; server { listen 127.0.0.1:PORT; expires max; location / { expires off; } location /a { expires $uri; } }`,
		`expires +5;`,
		`server_tokens build; etag off; if_modified_since BEFORE; max_ranges 0; sendfile on; reset_timedout_connection on;`,
		`client_body_buffer_size 8k; proxy_buffering on; proxy_buffers 8 8k; proxy_buffer_size 8k; proxy_request_buffering on;`,
		`client_body_buffer_size 0; proxy_max_temp_file_size 0; autoindex off; disable_symlinks off;`,
		`gzip_static on; sendfile_max_chunk 1m; tcp_nopush on; aio off; directio off; output_buffers 1 8k; open_file_cache off;`,
	},
	bad: []string{
		`server { listen 127.0.0.1:PORT; location ~ ^/(a|b){2,3}$ { return 200; } }`,
		`server { listen 127.0.0.1:PORT }`,
		`server { listen 127.0.0.1:PORT;; }`,
		`server { listen 127.0.0.1:PORT; } }`,
		`server { listen 127.0.0.1:PORT; return 200 "a; }`,
		`server { listen 127.0.0.1:PORT; location / { `,
		`{ }`,
		`server listen 80;`,
		`server { listen 127.0.0.1:PORT; listen 127.0.0.1:PORT; }`,
		`server { listen 127.0.0.1:PORT default; } server { listen 127.0.0.1:PORT default; }`,
		`server { listen 127.0.0.1:PORT backlog=8; } server { listen 127.0.0.1:PORT backlog=8; }`,
		`server { listen 127.0.0.1:PORT so_keepalive=::; }`,
		`server { listen 127.0.0.1:PORT so_keepalive=500ms::; }`,
		`server { listen 127.0.0.1:PORT backlog=-1; }`,
		`server { listen 127.0.0.1:PORT ipv6only=maybe; }`,
		`server { listen 127.0.0.1:PORT =; }`,
		`server { listen 127.0.0.1:PORT weird; }`,
		`server { listen :80; }`,
		`server { listen [::1; }`,
		`server { listen 70000; }`,
		`server { listen 127.0.0.1:0; }`,
		`server { listen unix:; }`,
		`server { listen; }`,
		`server { listen 127.0.0.1:PORT; server_name *; }`,
		`server { listen 127.0.0.1:PORT; server_name *x.com; }`,
		`server { listen 127.0.0.1:PORT; server_name a*b; } server { listen 127.0.0.1:PORT; }`,
		`server { listen 127.0.0.1:PORT; server_name www.*.com; } server { listen 127.0.0.1:PORT; }`,
		`server { listen 127.0.0.1:PORT; server_name a..b; } server { listen 127.0.0.1:PORT; }`,
		`server { listen 127.0.0.1:PORT; server_name .; }`,
		`server { listen 127.0.0.1:PORT; server_name ~; }`,
		`server { listen 127.0.0.1:PORT; server_name ~(; }`,
		`server { listen 127.0.0.1:PORT; server_name ~(?<x>a)(?<x>b); }`,
		`server { listen 127.0.0.1:PORT; location /a { return 200; } location ^~ /a { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location = /a { return 200; } location = /a { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location ~ /a { location /b { return 200; } } }`,
		`server { listen 127.0.0.1:PORT; location /a { location /b { return 200; } } }`,
		`server { listen 127.0.0.1:PORT; location = /a { location /a { return 200; } } }`,
		`server { listen 127.0.0.1:PORT; location /a { location @b { return 200; } } }`,
		`server { listen 127.0.0.1:PORT; location @b { location /a { return 200; } } }`,
		`server { listen 127.0.0.1:PORT; location ! /a { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location { return 200; } }`,
		`server { listen 127.0.0.1:PORT; location ~ ( { return 200; } }`,
		`server { listen 127.0.0.1:PORT; return 1000; }`,
		`server { listen 127.0.0.1:PORT; return foo; }`,
		`server { listen 127.0.0.1:PORT; return -1; }`,
		`server { listen 127.0.0.1:PORT; return 200 a b; }`,
		`server { listen 127.0.0.1:PORT; return /path; }`,
		`return 200;`,
		`server { listen 127.0.0.1:PORT; proxy_pass http://127.0.0.1; }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass ftp://x; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass 127.0.0.1:80; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1:0; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1:99999; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://:80; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://; } }`,
		`server { listen 127.0.0.1:PORT; location ~ / { proxy_pass http://127.0.0.1/; } }`,
		`server { listen 127.0.0.1:PORT; location @x { proxy_pass http://127.0.0.1/; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass http://u:80; } } upstream u { server 127.0.0.1; }`,
		`upstream u { }`,
		`upstream u { server 127.0.0.1 backup; }`,
		`upstream u { server 127.0.0.1 weight=0; }`,
		`upstream u { server 127.0.0.1 max_fails=-1; }`,
		`upstream u { server 127.0.0.1 fail_timeout=10ms; }`,
		`upstream u { server 127.0.0.1 what; }`,
		`upstream u { server 127.0.0.1/x; }`,
		`upstream u { server http://127.0.0.1; }`,
		`upstream u { server 127.0.0.1; } upstream U { server 127.0.0.1; }`,
		`upstream u { server 127.0.0.1; listen 80; }`,
		`map $uri $b { x 1; X 2; }`,
		`map $uri b { x 1; }`,
		`map $uri $b { default 1; default 2; }`,
		`map $uri $b { a; }`,
		`map $uri $b { a b c; }`,
		`map $uri $b { ~( 1; }`,
		`map $uri $b { hostnames; *x 4; }`,
		`map $uri $b { a { } }`,
		`log_format combined x;`,
		`log_format a escape=foo x;`,
		`log_format a;`,
		`log_format a x; log_format a y;`,
		`server { listen 127.0.0.1:PORT; access_log off x; }`,
		`server { listen 127.0.0.1:PORT; access_log DIR/l nosuch; }`,
		`server { listen 127.0.0.1:PORT; access_log DIR/l combined flush=1s; }`,
		`server { listen 127.0.0.1:PORT; access_log DIR/l buffer=8k; }`,
		`error_log DIR/e loud;`,
		`client_max_body_size 1kb;`,
		`client_header_timeout 30m1h;`,
		`client_header_timeout 1.5s;`,
		`large_client_header_buffers 4 100; server { listen 127.0.0.1:PORT; }`,
		`large_client_header_buffers 0 8k;`,
		`large_client_header_buffers 4;`,
		`tcp_nodelay yes;`,
		`lingering_close maybe;`,
		`proxy_next_upstream sometimes;`,
		`proxy_http_version 2;`,
		`proxy_set_header A;`,
		`proxy_redirect default;`,
		`proxy_redirect off; proxy_redirect off;`,
		`proxy_redirect off; proxy_redirect a b;`, `proxy_redirect a b; proxy_redirect off;`, `proxy_redirect foo;`, `proxy_redirect ~( b;`,
		`proxy_cookie_domain a;`, `proxy_cookie_domain off; proxy_cookie_domain a b;`, `proxy_cookie_path a;`, `proxy_cookie_path a b c;`,
		`proxy_cookie_flags a;`, `proxy_cookie_flags off; proxy_cookie_flags a secure;`, `proxy_ignore_headers foo;`, `proxy_ignore_headers;`,
		`proxy_method;`, `proxy_set_body a; proxy_set_body b;`, `proxy_bind foo;`, `proxy_bind 127.0.0.1 foo;`, `proxy_bind off transparent;`,
		`proxy_pass_request_body x;`, `proxy_pass_request_headers;`, `proxy_ignore_client_abort 1;`, `absolute_redirect yes;`,
		`port_in_redirect a;`, `server_name_in_redirect a;`, `chunked_transfer_encoding a;`, `add_trailer a;`, `add_trailer a b c;`, `empty_gif;`,
		`server { listen 127.0.0.1:PORT; location / { empty_gif on; } }`, `stub_status;`, `server { listen 127.0.0.1:PORT; stub_status a b; }`,
		`default_type a; default_type b;`,
		`keepalive_timeout 1; keepalive_timeout 2;`,
		`keepalive_timeout 1 x;`,
		`server { listen 127.0.0.1:PORT; location / { root /a; alias /b; } }`,
		`server { listen 127.0.0.1:PORT; location / { alias /a; root /b; } }`,
		`server { listen 127.0.0.1:PORT; root /a; root /a; }`,
		`server { listen 127.0.0.1:PORT; location @n { alias /a; } }`,
		`server { listen 127.0.0.1:PORT; alias /a; }`,
		`root $document_root/a;`,
		`server { listen 127.0.0.1:PORT; location / { alias ${realpath_root}; } }`,
		`index "";`,
		`index;`,
		`types x { }`,
		`types { a/b { } }`,
		`types a/b c;`,
		`try_files $uri /a;`,
		`server { listen 127.0.0.1:PORT; try_files $uri; }`,
		`server { listen 127.0.0.1:PORT; try_files $uri =1000; }`,
		`server { listen 127.0.0.1:PORT; try_files $uri =x; }`,
		`server { listen 127.0.0.1:PORT; try_files $uri /a; try_files $uri /b; }`,
		`error_page 404;`,
		`error_page 299 /a;`,
		`error_page 600 /a;`,
		`error_page 499 /a;`,
		`error_page x /a;`,
		`error_page = /a;`,
		`error_page 404 =x /a;`,
		`recursive_error_pages maybe;`,
		`internal;`,
		`server { listen 127.0.0.1:PORT; location / { internal; internal; } }`,
		`server { listen 127.0.0.1:PORT; location / { internal on; } }`,
		`add_header A b never;`,
		`add_header A b always x;`,
		`add_header A;`,
		`expires never;`,
		`expires "";`,
		`expires @;`,
		`expires @25h;`,
		`expires 500ms;`,
		`expires modified @1h;`,
		`expires modified max;`,
		`expires sometimes 1d;`,
		`expires max; expires off;`,
		`server_tokens "";`,
		`max_ranges x;`,
		`max_ranges -1;`,
		`if_modified_since sometimes;`,
		`proxy_buffers 0 8k;`,
		`proxy_buffers 8 0;`,
		`proxy_buffers 8;`,
		`server { listen 127.0.0.1:PORT; proxy_buffers 1 8k; }`,
		`client_body_buffer_size 8kb;`,
		`proxy_max_temp_file_size x;`,
		`keepalive_min_timeout;`,
		`worker_connections 5;`,
		`nosuchdirective on;`,
		`include DIR/nosuch.conf;`,
		`http { }`,
		`location / { }`,
	},
}

// newer are bodies with directives that the nginx of most distributions does not know
// yet; that nginx is not asked about them.
var newer = struct{ good, bad []string }{
	good: []string{
		`max_headers 1000; server { listen 127.0.0.1:PORT; max_headers 1; }`, // 1.29.8
		`keepalive_min_timeout 5s;`, // 1.27.4
		`early_hints $http_sec_fetch_mode; server { listen 127.0.0.1:PORT; early_hints a b; early_hints c; }`, // 1.29.0
		`proxy_pass_trailers on;`,                  // 1.27.2
		`websocket_strict off; tunnel_frames off;`, // never
		`server_tokens "My edge";`,
	},
	bad: []string{
		`max_headers 0;`,
		`server { listen 127.0.0.1:PORT; location / { max_headers 5; } }`,
		`keepalive_min_timeout x;`,
		`early_hints;`,
		`proxy_pass_trailers yes;`,
		`websocket_strict;`, `tunnel_frames yes;`,
		`server { listen 127.0.0.1:PORT; try_files $uri @nowhere; }`, // nginx finds out with the first request
		`server { listen 127.0.0.1:PORT; error_page 404 @nowhere; }`,
		`autoindex on;`,
		`disable_symlinks on;`,
		`add_header Content-Length 5;`,
		`error_page 404 $uri;`,
	},
}

// TestVerdictsOnNewer judges what the installed nginx cannot, or judges otherwise.
func TestVerdictsOnNewer(t *testing.T) {
	for i, list := range [][]string{newer.good, newer.bad} {
		for _, body := range list {
			text := "http {\n" + strings.ReplaceAll(body, "PORT", "8080") + "\n}\n"
			if cfg, problems := config.LoadText("x", text, hermetic(nil)); (cfg != nil) != (i == 0) {
				t.Errorf("holdfast disagrees with the table about\n%s\n%s", body, lines(problems))
			}
		}
	}
}

// TestVerdictsOfNginx asks the installed nginx about the same configurations.
func TestVerdictsOfNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is not on PATH, and HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx is not on PATH")
	}
	free := strconv.Itoa(port.Take(t))
	for _, body := range verdicts.good {
		checkVerdict(t, nginx, strings.ReplaceAll(body, "PORT", free), true)
	}
	for _, body := range verdicts.bad {
		checkVerdict(t, nginx, strings.ReplaceAll(body, "PORT", free), false)
	}
}

func checkVerdict(t *testing.T, nginx, body string, good bool) {
	t.Helper()
	dir := t.TempDir()
	expand := strings.NewReplacer("DIR", dir).Replace
	ours := expand("events { }\nhttp {\n" + body + "\n}\n")
	theirs := expand("events { }\nhttp {\n" + nginxFlags + body + "\n}\n")
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(theirs), 0o600); err != nil {
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
	cfg, problems := config.LoadText(conf, ours, config.Options{})
	if (cfg != nil) != good {
		t.Errorf("holdfast disagrees with the table about\n%s\n%s", body, lines(problems))
	}
}
