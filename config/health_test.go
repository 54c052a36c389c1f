package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"holdfast/config"
)

// checked is a location that passes to an upstream block, with more in it.
func checked(more string) string {
	return inHTTP("upstream u { server 127.0.0.1; }\nserver { listen 1; location / { proxy_pass http://u;\n" + more + "\n} }")
}

func checkedStream(more string) string {
	return inStream("upstream u { server 127.0.0.1:1; }\nserver { listen 1; proxy_pass u;\n" + more + "\n}")
}

func TestHealthCheck(t *testing.T) {
	cfg, problems := judged(`http {
		upstream u { server 127.0.0.1; }
		upstream v { server 127.0.0.1; }
		server { listen 1;
			location /a { health_check; proxy_pass http://u; }
			location /b { proxy_pass http://v/x;
				health_check interval=3s jitter=1500ms fails=2 passes=3 uri=/up?full=1 mandatory persistent match=good port=8081 keepalive_time=60s; }
		}
		match good {
			status 200 204; status ! 400-599;
			header Content-Type = text/html; header Server != x; header Host; header ! X-Accel-Redirect;
			header Connection ~ close; header Connection !~* close;
			body ~ "Welcome to nginx!"; body !~ "maintenance mode"; body ~* x;
		}
	}
	stream {
		match good { send "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n\xff\x00"; expect ~* "200 OK\xff"; }
		match plain { send PING\x0d\x0a; expect +PONG; }
		upstream u { server 127.0.0.1:1; }
		health_check_timeout 2s;
		server { listen 2; proxy_pass u; health_check match=good mandatory; }
		server { listen 3; proxy_pass u; health_check_timeout 100ms; health_check match=plain interval=1m; }
	}`)
	if cfg == nil || problems != "" {
		t.Fatal(problems)
	}
	locations := cfg.HTTP.Servers[0].Locations
	position := cmpopts.IgnoreTypes(config.Position{})
	for i, want := range []*config.HealthCheck{
		{Interval: 5 * time.Second, Fails: 1, Passes: 1, URI: "/"},
		{Interval: 3 * time.Second, Jitter: 1500 * time.Millisecond, Fails: 2, Passes: 3, URI: "/up?full=1", Mandatory: true,
			Persistent: true, Port: 8081, KeepaliveTime: time.Minute,
			Match: &config.Match{
				Name:     "good",
				Statuses: []config.StatusTest{{Ranges: [][2]int{{200, 200}, {204, 204}}}, {Not: true, Ranges: [][2]int{{400, 599}}}},
				Headers: []config.HeaderTest{{Name: "Content-Type", Op: "=", Value: "text/html"}, {Name: "Server", Op: "!=", Value: "x"},
					{Name: "Host"}, {Name: "X-Accel-Redirect", Op: "!"}, {Name: "Connection", Op: "~", Regexp: "close"},
					{Name: "Connection", Op: "!~*", Regexp: "(?i)close"}},
				Bodies: []config.BodyTest{{Regexp: "Welcome to nginx!"}, {Not: true, Regexp: "maintenance mode"}, {Regexp: "(?i)x"}},
			}},
	} {
		if diff := cmp.Diff(want, locations[i].HealthCheck, position); diff != "" {
			t.Errorf("location %s: %s", locations[i].Pattern, diff)
		}
	}
	for i, want := range []struct {
		match   *config.Match
		timeout time.Duration
	}{
		{&config.Match{Name: "good", Send: []byte("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n\xff\x00"), Regexp: `(?i)200 OK\xff`}, 2 * time.Second},
		{&config.Match{Name: "plain", Send: []byte("PING\r\n"), Expect: []byte("+PONG")}, 100 * time.Millisecond},
	} {
		s := cfg.Stream.Servers[i]
		if diff := cmp.Diff(want.match, s.Stream.HealthCheck.Match, position); diff != "" {
			t.Errorf("server %d: %s", i, diff)
		}
		if s.Settings.Stream.CheckTimeout != want.timeout {
			t.Errorf("server %d: health_check_timeout %v, want %v", i, s.Settings.Stream.CheckTimeout, want.timeout)
		}
	}
	for i, want := range []bool{false, true} {
		if got := cfg.HTTP.Upstreams[i].CheckMandatory; got != want {
			t.Errorf("upstream %d: mandatory %v, want %v", i, got, want)
		}
	}
	if !cfg.Stream.Upstreams[0].CheckMandatory {
		t.Error("the upstream of stream is not mandatory")
	}
}

func TestHealthCheckProblems(t *testing.T) {
	const write = "; write interval=TIME, jitter=TIME, fails=NUMBER, passes=NUMBER, uri=URI, mandatory, persistent, " +
		"match=NAME, port=NUMBER or keepalive_time=TIME"
	const writeStream = "; write interval=TIME, jitter=TIME, fails=NUMBER, passes=NUMBER, mandatory, persistent, " +
		"match=NAME or port=NUMBER"
	parameter := func(arg, hint string) string {
		return `nginx.conf:4: error: invalid parameter "` + arg + `" in "health_check" directive; ` + strings.TrimPrefix(hint, "; ")
	}
	const grpc = `nginx.conf:4: error: "%" of "health_check" is not supported; gRPC is not passed on, so it is not checked either; remove it`
	for _, tc := range []struct{ conf, want string }{
		{checked("health_check interval=0;"), parameter("interval=0", "write a time above 0, such as 5s")},
		{checked("health_check interval=soon;"), parameter("interval=soon", "write a time above 0, such as 5s")},
		{checked("health_check jitter=x;"), parameter("jitter=x", "write a time such as 60s, 1m30s or 500ms")},
		{checked("health_check keepalive_time=x;"), parameter("keepalive_time=x", "write a time such as 60s, 1m30s or 500ms")},
		{checked("health_check fails=0;"), parameter("fails=0", "write a number above 0")},
		{checked("health_check passes=-1;"), parameter("passes=-1", "write a number above 0")},
		{checked("health_check port=0;"), parameter("port=0", "write a number from 1 to 65535")},
		{checked("health_check port=65536;"), parameter("port=65536", "write a number from 1 to 65535")},
		{checked("health_check uri=up;"), parameter("uri=up", "write a path that begins with /, without blanks")},
		{checked("health_check \"uri=/a b\";"), parameter("uri=/a b", "write a path that begins with /, without blanks")},
		{checked("health_check often;"), parameter("often", write)},
		{checked("health_check rise=2;"), parameter("rise=2", write)},
		{checked("health_check interval;"), parameter("interval", write)},
		{checkedStream("health_check uri=/;"), parameter("uri=/", writeStream)},
		{checkedStream("health_check keepalive_time=1s;"), parameter("keepalive_time=1s", writeStream)},
		{checked("health_check persistent;"),
			`nginx.conf:4: error: "persistent" of "health_check" without "mandatory"; write: mandatory persistent`},
		{checked("health_check match=nope;"),
			`nginx.conf:4: error: unknown match "nope" in "health_check"; define it beside the servers: match nope { ... }`},
		{checked("health_check type=grpc;"), strings.Replace(grpc, "%", "type=grpc", 1)},
		{checked("health_check grpc_status=12;"), strings.Replace(grpc, "%", "grpc_status=12", 1)},
		{checkedStream("health_check udp;"),
			`nginx.conf:4: error: "udp" of "health_check" is not supported; datagrams are not passed on; remove it`},
		{checked("health_check;\nhealth_check;"),
			`nginx.conf:5: error: "health_check" directive is duplicate; remove one; the first is at /etc/h/nginx.conf:4`},
		{inServer("location / {\nhealth_check; }"),
			`nginx.conf:4: error: "health_check" without "proxy_pass"; write proxy_pass beside it, or remove it`},
		{inServer("location / { proxy_pass http://127.0.0.1:8080;\nhealth_check; }"),
			`nginx.conf:4: error: no upstream block for "health_check"; write: upstream NAME { server 127.0.0.1:8080; } and pass to that name`},
		{inServer("resolver 127.0.0.1; location / { proxy_pass http://$host;\nhealth_check; }"),
			`nginx.conf:4: error: "health_check" beside "proxy_pass" with variables; ` +
				`name an upstream block in proxy_pass: which servers to ask must be known before a request comes`},
		{inStream("server { listen 1; return x;\nhealth_check; }"),
			`nginx.conf:3: error: "health_check" without "proxy_pass"; write proxy_pass beside it, or remove it`},
		{inHTTP("upstream u { server 127.0.0.1;\nhealth_check; }"),
			`nginx.conf:3: error: "health_check" directive is not allowed here; its place is: location, stream server`},
		{inServer("location / { fastcgi_pass x;\nhealth_check; }"),
			`nginx.conf:3: error: "fastcgi_pass" is not supported; use proxy_pass to a server that speaks HTTP`},
		{checkedStream("health_check_timeout x;"),
			`nginx.conf:4: error: invalid value "x" in "health_check_timeout" directive; write a time such as 60s, 1m30s or 500ms`},
	} {
		_, got := judged(tc.conf)
		if got = strings.TrimSuffix(got, "\n"); got != tc.want {
			t.Errorf("%s\ngot  %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}

func TestMatchProblems(t *testing.T) {
	const status, header = "write: status 200-399; or status ! 500 503;",
		"write: header NAME; header ! NAME; header NAME = VALUE; or header NAME ~ REGEX;"
	const body, send, expect = "write: body ~ REGEX; or body !~ REGEX;", "write: send TEXT;",
		"write: expect TEXT; expect ~ REGEX; or expect ~* REGEX;"
	in := func(line string) string { return inHTTP("match m {\n" + line + "\n}") }
	inS := func(line string) string { return inStream("match m {\n" + line + "\n}") }
	invalid := func(line, hint string) string {
		return `nginx.conf:3: error: invalid "` + line + `" in "match" block; ` + hint
	}
	for _, tc := range []struct{ conf, want string }{
		{in("status;"), invalid("status", status)},
		{in("status !;"), invalid("status !", status)},
		{in("status 2xx;"), `nginx.conf:3: error: invalid status "2xx" in "match" block; ` + status},
		{in("status 99;"), `nginx.conf:3: error: invalid status "99" in "match" block; ` + status},
		{in("status 300-200;"), `nginx.conf:3: error: invalid status "300-200" in "match" block; ` + status},
		{in("status 200-1000;"), `nginx.conf:3: error: invalid status "200-1000" in "match" block; ` + status},
		{in("header;"), invalid("header", header)},
		{in("header X =;"), invalid("header X =", header)},
		{in("header X == y;"), invalid("header X == y", header)},
		{in("header \"a b\";"), `nginx.conf:3: error: invalid header name "a b" in "match" block; ` + header},
		{in("header X ~ [;"), `nginx.conf:3: error: regex "[": missing closing ]; add the "]", or write "\[" for the character itself`},
		{in("body x;"), invalid("body x", body)},
		{in("body = x;"), invalid("body = x", body)},
		{in("body ~ (?=a);"), `nginx.conf:3: error: regex "(?=a)" uses lookahead, which is not supported; ` +
			"write it without; regular expressions are those of RE2, which match in linear time"},
		{in("require $good;"), `nginx.conf:3: error: "require" of "match" is not supported; ` +
			"test the response itself: write status, header or body"},
		{in("send x;"), `nginx.conf:3: error: unknown test "send" in "match" block; write status, header or body`},
		{in("status { }"), `nginx.conf:3: error: unexpected "{"; write status, header or body`},
		{inS("status 200;"), `nginx.conf:3: error: unknown test "status" in "match" block; write send or expect`},
		{inS("send;"), invalid("send", send)},
		{inS("expect = x;"), invalid("expect = x", expect)},
		{inS(`send "\xg0";`), `nginx.conf:3: error: invalid "\\xg0" in "match" block; write \x and two hexadecimal digits, as in \x0a`},
		{inS(`expect "a\x0";`), `nginx.conf:3: error: invalid "\\x0" in "match" block; write \x and two hexadecimal digits, as in \x0a`},
		{inHTTP("match m { status 200; }\nmatch m { status 200; }"),
			`nginx.conf:3: error: duplicate match "m"; choose another name; the first is at /etc/h/nginx.conf:2`},
		{inHTTP("match { status 200; }"), `nginx.conf:2: error: invalid number of arguments in "match" directive; write: match name { ... }`},
		{inServer("match m { status 200; }\nreturn 204;"),
			`nginx.conf:3: error: "match" directive is not allowed here; its place is: http, stream`},
	} {
		_, got := judged(tc.conf)
		if got = strings.TrimSuffix(got, "\n"); got != tc.want {
			t.Errorf("%s\ngot  %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}
