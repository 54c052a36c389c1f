package route_test

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/route"
)

func TestCompileSyntax(t *testing.T) {
	tests := []struct{ rule, text, want string }{
		{"no variable", "plain text", "plain text"},
		{"empty", "", ""},
		{"a variable", "$uri", "/p"},
		{"braces", "a${uri}b", "a/pb"},
		{"a name ends at another character", "$uri-$args.", "/p-q=1."},
		{"names ignore case", "$URI$Arg_Q", "/p1"},
		{"one digit is a capture", "$10", "0"},
		{"prefix variables", "$http_x_y$cookie_z", "hc"},
		{"constants of the process", "$pid $hostname $nginx_version", "4711 box 0.1"},
	}
	c := newCompiler()
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			e := newEnv(t, get("/p?q=1", "X-Y: h", "Cookie: z=c"))
			if got := string(compile(t, c, tt.text).Append(nil, e)); got != tt.want {
				t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	tests := []struct{ text, wantText, wantHint string }{
		{"$hots", `unknown variable "$hots"`, `did you mean "$host"?`},
		{"x $remote_adr", `unknown variable "$remote_adr"`, `did you mean "$remote_addr"?`},
		{"$connection_upgrad", `unknown variable "$connection_upgrad"`, `did you mean "$connection_upgrade"?`},
		{"$nothing_like_it", `unknown variable "$nothing_like_it"`, "define it with map, geo, set or a named group of a regex"},
		{"$http_", `unknown variable "$http_"`, `did you mean "$http2"?`},
		{"$0", `unknown variable "$0"`, "define it with map, geo, set or a named group of a regex"},
		{"a$", "without a variable's name", "must follow"},
		{"$-", "without a variable's name", "must follow"},
		{"${}", "without a variable's name", "must follow"},
		{"${host", "closing bracket", `"${name}"`},
	}
	c := newCompiler()
	c.DefineMaps([]route.MapSpec{{Source: "$http_upgrade", Name: "connection_upgrade"}})
	for _, tt := range tests {
		_, err := c.Compile(tt.text)
		var refused *route.CompileError
		if !errors.As(err, &refused) {
			t.Errorf("%q: got %v, want a CompileError", tt.text, err)
			continue
		}
		if !strings.Contains(refused.Text, tt.wantText) || !strings.Contains(refused.Hint, tt.wantHint) {
			t.Errorf("%q: got %q; %q", tt.text, refused.Text, refused.Hint)
		}
		if tt.wantHint == "" && refused.Hint != "" {
			t.Errorf("%q: got the hint %q, want none", tt.text, refused.Hint)
		}
	}
}

func TestConst(t *testing.T) {
	c := newCompiler()
	for text, want := range map[string]bool{"": true, "a b": true, "$pid": true, "$uri": false, "a${uri}": false} {
		got, ok := compile(t, c, text).Const()
		if ok != want || ok && text[:min(1, len(text))] != "$" && got != text {
			t.Errorf("%q: got %q, %v", text, got, ok)
		}
	}
}

func TestLogEscapes(t *testing.T) {
	c := newCompiler()
	format := compile(t, c, `"$http_x" $http_none`)
	value := "a\"b\\c\td\xc3\xa9"
	tests := map[route.Escape]string{
		route.EscapeDefault: `"a\x22b\x5Cc\x09d\xC3\xA9" -`,
		route.EscapeJSON:    `"a\"b\\c\td` + "\xc3\xa9" + `" `,
		route.EscapeNone:    `"` + value + `" `,
	}
	for escape, want := range tests {
		e := newEnv(t, get("/", "X: "+value))
		f := route.LogFormat{Line: format, Escape: escape}
		if got := string(f.Append(nil, e)); got != want+"\n" {
			t.Errorf("escape %d: got %q, want %q", escape, got, want)
		}
	}
	// The rarer JSON escapes cannot come in a field; they can in a decoded path.
	e := newEnv(t, get("/%08%0C%0A%0D%01"))
	if got, want := string(compile(t, c, "$uri").AppendLog(nil, e, route.EscapeJSON)), `/\b\f\n\r\u0001`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCombinedFormat(t *testing.T) {
	was := time.Local
	time.Local = time.FixedZone("", 2*3600)
	t.Cleanup(func() { time.Local = was })
	c := newCompiler()
	e := newEnv(t, get("/a?b", "User-Agent: me", "Authorization: Basic dXNlcjpwYXNz"))
	e.Status, e.BodyBytesSent = 200, 17
	want := `192.0.2.7 - user [15/Nov/2023:00:13:21 +0200] "GET /a?b HTTP/1.1" 200 17 "-" "me"`
	if got := string(compile(t, c, route.CombinedFormat).AppendLog(nil, e, route.EscapeDefault)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTimeVariables(t *testing.T) {
	was := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = was })
	c := newCompiler()
	tmpl := compile(t, c, "$msec|$time_iso8601|$time_local|$request_time|$connection_time")
	e := newEnv(t, get("/"))
	want := "1700000001.357|2023-11-14T22:13:21+00:00|14/Nov/2023:22:13:21 +0000|1.234|6.234"
	for range 2 { // the second time from the cache
		if got := string(tmpl.Append(nil, e)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	e.NowNs = startNs - 1 // a clock that was set back
	want = "1700000000.122|2023-11-14T22:13:20+00:00|14/Nov/2023:22:13:20 +0000|0.000|4.999"
	if got := string(tmpl.Append(nil, e)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestUpstreamVariables(t *testing.T) {
	c := newCompiler()
	tmpl := compile(t, c, "$upstream_addr $upstream_status $upstream_connect_time $upstream_header_time "+
		"$upstream_response_time $upstream_bytes_sent $upstream_bytes_received $upstream_response_length $upstream_http_x_y")
	e := newEnv(t, get("/"))
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != "- - - - - - - - -" {
		t.Errorf("no upstream: got %q", got)
	}
	e.UpstreamAddr = "192.0.2.9:80"
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != "192.0.2.9:80 - - - - 0 0 0 -" {
		t.Errorf("no answer: got %q", got)
	}
	e.UpstreamStatus, e.UpstreamConnectMs, e.UpstreamHeaderMs, e.UpstreamResponseMs = 101, 0, 12, 3456
	e.UpstreamBytesSent, e.UpstreamBytesReceived, e.UpstreamResponseLength = 1, 2, 3
	respond(t, e, "HTTP/1.1 200 OK\r\nX-Y: 1\r\nx-y: 2\r\n\r\n")
	if got := string(tmpl.Append(nil, e)); got != "192.0.2.9:80 101 0.000 0.012 3.456 1 2 3 1, 2" {
		t.Errorf("answered: got %q", got)
	}
}

func TestAddressVariables(t *testing.T) {
	c := newCompiler()
	tmpl := compile(t, c, "$remote_addr $remote_port $server_addr $server_port $binary_remote_addr")
	e := newEnv(t, get("/"))
	if got := string(tmpl.Append(nil, e)); got != "192.0.2.7 40000 192.0.2.1 8080 \xc0\x00\x02\x07" {
		t.Errorf("got %q", got)
	}
	unixLocal(e, "/run", "s")
	if got := string(tmpl.Append(nil, e)); got != "unix:  unix:/run/s  unix:" {
		t.Errorf("got %q", got)
	}
}

func TestRequestVariables(t *testing.T) {
	c := newCompiler()
	tmpl := compile(t, c, "$connection $connection_requests $request_length $bytes_sent $body_bytes_sent $pipe"+
		"$request_completion $proxy_port $binary_remote_addr")
	e := newEnv(t, get("/"))
	e.Remote = netip.MustParseAddrPort("[2001:db8::7]:40000")
	if got, want := string(tmpl.AppendLog(nil, e, route.EscapeNone)),
		"99 3 0 0 0 .  \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	proxy, err := c.NewProxy(&route.ProxySpec{URL: "http://back:81", Pattern: "/"})
	if err != nil {
		t.Fatal(err)
	}
	e.Location = &route.Location{Proxy: proxy}
	e.RequestLength, e.BytesSent, e.BodyBytesSent, e.Pipelined, e.Completed = 1, 2, 3, true, true
	e.Remote = netip.MustParseAddrPort("192.0.2.7:1")
	want := `99 3 1 2 3 pOK 81 \xC0\x00\x02\x07`
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRequestID(t *testing.T) {
	c := newCompiler()
	tmpl := compile(t, c, "$request_id")
	e := newEnv(t, get("/"))
	first := string(tmpl.Append(nil, e))
	if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(first) {
		t.Fatalf("got %q", first)
	}
	if again := string(tmpl.Append(nil, e)); again != first {
		t.Errorf("%q became %q within one request", first, again)
	}
	e.Reset()
	if next := string(tmpl.Append(nil, e)); next == first {
		t.Errorf("the next request has %q too", next)
	}
}

func TestRequestVariableOfARefusedHead(t *testing.T) {
	c := newCompiler()
	tmpl := compile(t, c, `"$request" $status $server_protocol $uri`)
	e := &route.Env{}
	e.Reset()
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != `"-" 000 - -` {
		t.Errorf("nothing received: got %q", got)
	}
	e.Head, e.Status = []byte("\x16\x03bad\r\nx"), 400
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != `"\x16\x03bad" 400 - -` {
		t.Errorf("a bad line: got %q", got)
	}
}

func TestUnderscoresInHeaders(t *testing.T) {
	c := newCompiler()
	tmpl := compile(t, c, "$http_x_y")
	e := newEnv(t, get("/", "X_Y: 1"))
	e.Server = server(t, c, nil)
	if got := string(tmpl.Append(nil, e)); got != "" {
		t.Errorf("off: got %q", got)
	}
	e.Server.Settings.UnderscoresInHeaders = true
	if got := string(tmpl.Append(nil, e)); got != "1" {
		t.Errorf("on: got %q", got)
	}
}

// What goes on to an error page is a GET, but a HEAD stays one; $request does not change.
func TestRequestMethodOfAnErrorPage(t *testing.T) {
	tmpl := compile(t, newCompiler(), "$request_method $request")
	for method, want := range map[string]string{"POST": "GET POST / HTTP/1.1", "HEAD": "HEAD HEAD / HTTP/1.1"} {
		e := newEnv(t, method+" / HTTP/1.1\r\nHost: a\r\n\r\n")
		e.SetGet()
		if got := string(tmpl.Append(nil, e)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestContentLengthOfChunks(t *testing.T) {
	tmpl := compile(t, newCompiler(), "[$content_length]")
	e := newEnv(t, get("/", "Transfer-Encoding: chunked"))
	if got := string(tmpl.Append(nil, e)); got != "[]" {
		t.Errorf("before the body was read: %s", got)
	}
	e.SetChunkedLength(12)
	if got := string(tmpl.Append(nil, e)); got != "[12]" {
		t.Errorf("once it was read: %s", got)
	}
	e.Reset()
	if err := fill(e, get("/", "Content-Length: 3")); err != nil {
		t.Fatal(err)
	}
	if got := string(tmpl.Append(nil, e)); got != "[3]" {
		t.Errorf("of the next request: %s", got)
	}
}

func TestMapProblems(t *testing.T) {
	entry := func(pattern, value string) []route.MapEntry {
		return []route.MapEntry{{Pattern: pattern, Value: value}}
	}
	tests := []struct {
		rule  string
		specs []route.MapSpec
		want  string // of the first problem
		entry int
	}{
		{"itself", []route.MapSpec{{Source: "$a", Name: "a"}}, `"$a" depends on itself: $a uses $a`, -1},
		{"through others", []route.MapSpec{
			{Source: "$b", Name: "a"}, {Source: "x", Name: "b", Entries: entry("x", "$c")},
			{Source: "y", Name: "c", Default: "$a"},
		}, `$a uses $b, $b uses $c, $c uses $a`, -1},
		{"unknown source", []route.MapSpec{{Source: "$hots", Name: "a"}}, `unknown variable "$hots"`, -1},
		{"unknown in a value", []route.MapSpec{{Name: "a", Entries: entry("x", "$hots")}}, `unknown variable "$hots"`, 0},
		{"repeated key", []route.MapSpec{{Name: "a", Entries: append(entry("x", ""), entry("X", "")...)}}, "conflicting", 1},
		{"built-in name", []route.MapSpec{{Name: "Host"}}, "built in", -1},
		{"bad regex", []route.MapSpec{{Name: "a", Entries: []route.MapEntry{{Regexp: "("}}}}, "regular expression", 0},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			problems := newCompiler().DefineMaps(tt.specs)
			if len(problems) == 0 || !strings.Contains(problems[0].Error(), tt.want) || problems[0].Entry != tt.entry {
				t.Errorf("got %v, want %q at entry %d", problems, tt.want, tt.entry)
			}
		})
	}
}

func TestMapIsKeptUnlessVolatile(t *testing.T) {
	c := newCompiler()
	entries := []route.MapEntry{{Pattern: "1", Value: "one"}, {Pattern: "2", Value: "two $arg_k"}}
	if problems := c.DefineMaps([]route.MapSpec{
		{Source: "$arg_k", Name: "kept", Entries: entries},
		{Source: "$arg_k", Name: "fresh", Entries: entries, Volatile: true},
	}); len(problems) > 0 {
		t.Fatal(problems[0])
	}
	tmpl := compile(t, c, "$kept/$fresh")
	e := newEnv(t, get("/?k=1"))
	if got := string(tmpl.Append(nil, e)); got != "one/one" {
		t.Errorf("got %q", got)
	}
	e.Args = []byte("k=2")
	if got := string(tmpl.Append(nil, e)); got != "one/two 2" {
		t.Errorf("got %q", got)
	}
}
