package config_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"holdfast/test/port"
)

// rewriteVerdicts are what a server may say: as in verdicts, nginx and holdfast must agree.
var rewriteVerdicts = struct{ good, bad []string }{
	good: []string{
		`rewrite ^/a /b last; rewrite a b? break; rewrite a http://b permanent; rewrite a $scheme://b; rewrite a b redirect;`,
		`set $a b; set $args ""; set $limit_rate 1k; set $http_x y; set $A_1 "$a$args"; set $arg_q $q; set $q 1;`,
		`break; return 204; break; set $x 1;`,
		`set $a 1; if ($a) { } if ( $a ) { set $b 1; } if ($a = b) { break; } if ( $a != "b c" ) { return 204; }`,
		`if ($uri ~ a) { rewrite a b; } if ($uri ~* "a{2} b") { return 301 /x; } if ($uri !~ (?<n>a)) { } if ($uri !~* a$) { }`,
		`if (-f $uri) { } if (!-f /a) { } if (-d "a b") { } if ( !-d a ) { } if (-e a) { } if (!-e a) { } if (-x a) { } if (!-x a) { }`,
		`if ($uri){return 204;}`,
		`if ($uri = ")") { } if ($uri = () { } if ($uri = )) { }`,
		`rewrite_log on; if ($uri) { rewrite_log off; uninitialized_variable_warn off; } uninitialized_variable_warn on;`,
		`location / { if ($uri) { add_header a b; expires 1h; root /x; error_page 404 /a; access_log off; sendfile on; gzip on; } }`,
		`location / { if ($uri) { limit_rate 1k; limit_rate_after 1k; rewrite_log on; proxy_pass http://127.0.0.1:1; return 204; } }`,
		`location ~ a { if ($uri) { proxy_pass http://127.0.0.1:1; } } location @a { if ($uri) { set $x 1; rewrite a b; } }`,
		`location / { if ($uri) { proxy_pass http://$host/x; } }`,
		`location / { rewrite (a)(?<n>b)|(c) /$1$2$n?$3; } access_log off;`,
		`location / { set $a $1; return 200 $a$2; }`,
	},
	bad: []string{
		`rewrite a;`, `rewrite a b c d;`, `rewrite a "";`, `rewrite a b stop;`, `rewrite ( b;`,
		`set a b;`, `set $a;`, `set $ b;`, `break now;`,
		`if { }`, `if $uri { }`, `if ($uri { }`, `if (uri) { }`, `if () { }`, `if ($uri =) { }`, `if ($uri = a b) { }`,
		`if ($uri == a) { }`, `if ($uri ~ () { }`, `if ($1) { }`, `if (-f) { }`, `if (-g a) { }`, `if (-f a b) { }`,
		`if ($uri) { if ($uri) { } }`, `if ($uri) { root /x; }`, `if ($uri) { add_header a b; }`, `if ($uri) { location / { } }`,
		`if ($uri);`, `if ($uri) { try_files a b; }`, `if ($uri) { nosuch; }`,
		`location / { if ($uri) { proxy_pass http://127.0.0.1:1/x; } }`, `location / { if ($uri) { proxy_set_header a b; } }`,
		`location / { if ($uri) { alias /x; } }`, `location / { if ($uri) { index a; } }`, `location / { if ($uri) { internal; } }`,
		`location / { if ($uri) { client_max_body_size 1m; } }`, `location / { if ($uri) { proxy_read_timeout 1s; } }`,
		`location / { if ($uri) { default_type a/b; } }`, `location / { if ($uri) { allow all; } }`,
		`location / { if ($uri) { try_files a b; } }`, `location / { if ($uri) { limit_conn a 1; } }`,
		`location / { if ($uri) { return; } }`, `location / { if ($uri) { return 1000; } }`,
	},
}

func TestRewriteVerdictsOfNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is not on PATH, and HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx is not on PATH")
	}
	frame := "server { listen 127.0.0.1:" + strconv.Itoa(port.Take(t)) + "; "
	for _, body := range rewriteVerdicts.good {
		checkVerdict(t, nginx, frame+body+" }", true)
	}
	for _, body := range rewriteVerdicts.bad {
		checkVerdict(t, nginx, frame+body+" }", false)
	}
}
