package engine

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/httpparse"
	"holdfast/route"
)

// diskTests asks the disk as a shard does.
type diskTests struct{}

func (diskTests) Test(kind route.FileTest, path []byte) bool {
	info, err := os.Stat(string(path))
	if err != nil {
		return false
	}
	switch kind {
	case route.FileIsRegular:
		return info.Mode().IsRegular()
	case route.FileIsFolder:
		return info.IsDir()
	case route.FileIsExecutable:
		return info.Mode()&0o100 != 0
	}
	return true
}

// rewriteEnv is an Env for a GET of target.
func rewriteEnv(t *testing.T, target string) *route.Env {
	t.Helper()
	e := &route.Env{}
	e.Reset()
	e.Head, e.Req = []byte("GET "+target+" HTTP/1.1\r\nHost: a\r\nX-A: b c\r\n\r\n"), &httpparse.Request{}
	if done, perr := e.Req.Parse(e.Head); !done || perr != httpparse.OK {
		t.Fatalf("%s: %v", target, perr)
	}
	parsed, perr := httpparse.ParseTarget(e.Req.Target.Of(e.Head), e.Req.MethodID)
	if perr != httpparse.OK || e.SetHost(parsed) != httpparse.OK || e.SetTarget(parsed, true) != httpparse.OK {
		t.Fatalf("%s: %v", target, perr)
	}
	e.Local = netip.MustParseAddrPort("127.0.0.1:8080")
	return e
}

// rewriteServer is the one server of a configuration, whose directives are text.
func rewriteServer(t *testing.T, text string) *route.Server {
	t.Helper()
	cfg := load(t, "http { root /html; map $arg_m $mapped { default none; x X; }\nserver { listen 1; server_name a;\n"+text+"\n} }")
	built, problems := Build(cfg, route.Process{}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	return built.Snapshot.Table.FindServer(0, []byte("a"), &route.Env{})
}

// outcome takes a request through the rewrite phases and says what answers it: a status and a
// text or URL, what goes upstream, or a file.
func outcome(s *route.Server, e *route.Env) string {
	e.Server = s
	if w := s.Rewrite.Run(e, diskTests{}); w.End >= route.RewriteReturns {
		return answer(e, &w)
	}
	for range 10 {
		if e.Location, _ = s.Locate(e); e.Location == nil {
			e.Location = s.Content
		}
		w := e.Location.Rewrite.Run(e, diskTests{})
		if w.Location != nil && w.Location != e.Location {
			return "the block's location is not set"
		}
		switch w.End {
		case route.RewriteMoved:
			continue
		case route.RewriteReturns, route.RewriteRedirects:
			return answer(e, &w)
		}
		if e.Location.Proxy != nil {
			head, _ := e.Location.Proxy.AppendRequest(nil, e, route.RequestForm{})
			line, _, _ := bytes.Cut(head, []byte(" HTTP/"))
			return string(line)
		}
		return "file " + string(e.Location.Static.AppendPath(nil, e))
	}
	return "cycle"
}

func answer(e *route.Env, w *route.Rewritten) string {
	if w.End == route.RewriteRedirects {
		return fmt.Sprintf("%d %s", w.Status, w.URL)
	}
	if w.Failure != "" {
		return fmt.Sprintf("%d, %s", w.Return.Code, w.Failure)
	}
	_, body, _ := strings.Cut(string(w.Return.Append(nil, e, route.ReplyForm{})), "\r\n\r\n")
	return fmt.Sprintf("%d %s", w.Return.Code, body)
}

// rewriteCases are servers, targets and what nginx 1.22 does with them: text, target, outcome,
// and more pairs of the two.
var rewriteCases = []struct {
	name, text string
	pairs      []string
}{
	{"captures in set", `location ~ ^/esc/(.*)$ { set $x $1; return 200 $x; }`, []string{
		"/esc/a%20b+c%3fd", "200 a%20b%2Bc%3Fd",
		`/esc/ab"<>^` + "`{|};&=", `200 ab"<>^` + "`{|};&=",
		"/esc/%25%21%22%23%24%26%27%28%29%2a%2b%2c%2d%2e%3a%3b%3c%3d%3e%3f%40%5b%5c%5d%5e%5f%60%7b%7c%7d%7e%7f%80%01",
		"200 %25!%22%23$%26'()*%2B,-.:%3B%3C=%3E%3F@[%5C]%5E_%60%7B%7C%7D~%7F%80%01",
	}},
	{"captures in return", `location ~ ^/esc/(.*)$ { set $y 1; set $x "a$1"; return 200 "$x $1"; }`, []string{
		"/esc/a%20b", "200 aa%20b a b",
	}},
	{"redirect", `location / { rewrite ^/red/(.*)$ http://h/$1?q=$1 redirect; }`, []string{
		"/red/a%20b%2fx%26?u=1", "302 http://h/a%20b/x&?q=a%20b/x%26&u=1",
		"/red/ab", "302 http://h/ab?q=ab",
		"/other", "file /html/other",
	}},
	{"redirect is unescaped", `rewrite ^/red/(.*)$ /%41%2f%20%3fx%41/$1 permanent;`, []string{
		"/red/a%20%2fb?u=1", "301 /A/%20?x%41/a%20/b?u=1",
	}},
	{"redirect with broken escapes", `rewrite ^ http://h/%zz%4g%41%3Fa%41%;`, []string{"/?u", "302 http://h/zzA?a%41%?u"}},
	{"redirect by its beginning", `rewrite ^/a https://h/x last; rewrite ^/b $scheme://h? permanent; return 204;`, []string{
		"/a?u", "302 https://h/x?u", "/b?u", "301 http://h", "/c", "204 ",
	}},
	{"arguments of a redirect", `rewrite ^/a /x?y redirect; rewrite ^/b /x? redirect;`, []string{
		"/a?u=1", "302 /x?y&u=1", "/b?u=1", "302 /x",
	}},
	{"arguments", `rewrite ^/a /x?y; rewrite ^/b /x?; rewrite ^/c /x??; rewrite ^/d /x; rewrite ^/e /x?y?; rewrite ^/f /x?$arg_u;
		location / { return 200 "$uri|$args|$request_uri"; }`, []string{
		"/a?u=1", "200 /x|y&u=1|/a?u=1", "/a", "200 /x|y|/a", "/b?u=1", "200 /x||/b?u=1", "/c?u=1", "200 /x||/c?u=1",
		"/d?u=1", "200 /x|u=1|/d?u=1", "/e?u=1", "200 /x|y|/e?u=1", "/f?u=1", "200 /x|1&u=1|/f?u=1",
	}},
	{"break takes all of the URI upstream", `location / { rewrite ^/brk/(.*)$ /new/$1?z=$1 break; proxy_pass http://127.0.0.1:1/base/; }`,
		[]string{
			"/brk/a%20b?u=1", "GET /new/a%20b?z=a%20b&u=1", "/brk/ab?u=1", "GET /new/ab?z=ab&u=1", "/x%20y", "GET /base/x%20y",
		}},
	{"a break of its own", `location /a/ { rewrite ^/a/(.*)$ /new/$1; break; proxy_pass http://127.0.0.1:1/base/; }
		location /b/ { break; proxy_pass http://127.0.0.1:1; }`, []string{
		"/a/b?u=1", "GET /new/b?u=1", "/b/a%20b//c?u=1", "GET /b/a%20b//c?u=1",
	}},
	{"break in the server", `rewrite ^/s/(.*)$ /t/$1 break; set $q $uri;
		location /t/ { proxy_pass http://127.0.0.1:1/base/; } location / { return 200 "[$uri][$q]"; }`, []string{
		"/s/foo", "GET /t/foo", "/t/foo", "GET /base/foo", "/other", "200 [/other][/other]",
	}},
	{"set $args", `location /a/ { set $args x=1; proxy_pass http://127.0.0.1:1; }
		location /b/ { set $args x=1; proxy_pass http://127.0.0.1:1/b/; } location /c/ { set $args "$args&z"; return 200 $args$is_args; }`,
		[]string{
			"/a/a%20b//c?u=1", "GET /a/a%20b/c?x=1", "/b/a%20b//c?u=1", "GET /b/a%20b/c?x=1", "/c/?u", "200 u&z?",
		}},
	{"what goes upstream is escaped", `location / { rewrite ^/brk/(.*)$ /n/$1 break; proxy_pass http://127.0.0.1:1; }`, []string{
		`/brk/a"b//c?u=1`, "GET /n/a%22b/c?u=1",
	}},
	{"no match leaves no captures", `location / { if ($request_uri ~ "(m)(.)") { set $r 1; } if ($request_uri ~ (zzz)) { set $r 2; }
		return 200 "[$1][$r]"; }`, []string{"/nomatch", "200 [][1]"}},
	{"captures of if", `location / { if ($request_uri ~ "x(.)") { return 200 "[$1]"; } if ($uri ~ cap) { return 200 "none[$1]"; } }`,
		[]string{"/cap?xy", "200 [y]", "/cap", "200 none[]"}},
	{"named captures", `location / { if ($arg_a ~ "^(?<who>.)(?<rest>.*)") { set $who "$who!"; } return 200 "$who,$rest"; }`,
		[]string{"/?a=xyz", "200 x!,yz", "/", "200 ,"}},
	{"an empty URI", `rewrite ^/zero $arg_x last;`, []string{"/zero", "500, the rewritten URI has a zero length"}},
	{"a path gets its slash", `location / { rewrite ^/x/(.*)$ $1 break; proxy_pass http://127.0.0.1:1; }`, []string{
		"/x/http://evil/y", "GET /http:/evil/y",
	}},
	{"blocks in turn", `location / { set $v a; if ($arg_a) { set $v "$v-a"; root /a; } if ($arg_b) { set $v "$v-b"; root /b; }
		if ($arg_c) { root /c; break; } set $v "$v-end"; if ($arg_d) { return 200 $v; } }`, []string{
		"/f?a=1&d=1", "200 a-a-end", "/f?a=1&b=1", "file /b/f", "/f?a=1", "file /a/f", "/f?a=1&c=1&d=1", "file /c/f",
		"/f", "file /html/f", "/f?a=0", "file /html/f", "/f?a=00", "file /a/f",
	}},
	{"proxy_pass in a block", `location /p/ { if ($arg_a) { proxy_pass http://127.0.0.1:1; } if ($arg_b) { root /x; }
		proxy_pass http://127.0.0.1:1/y/; }`, []string{
		"/p/f?a=1", "GET /p/f?a=1", "/p/f?b=1", "GET /y/f?b=1", "/p/f", "GET /y/f",
	}},
	{"comparing", `if ($arg_u = "") { return 200 empty; } if ($arg_u != b) { return 200 notb; }
		if ($http_x_a = "b c") { return 200 b; }`, []string{"/", "200 empty", "/?u=c", "200 notb", "/?u=b", "200 b"}},
	{"matching", `if ($arg_u ~ ^A) { return 200 A; } if ($arg_u ~* ^b) { return 200 b; } if ($arg_u !~ c) { return 200 notc; }
		if ($arg_u !~* D) { return 200 notd; } return 200 rest;`, []string{
		"/?u=Ax", "200 A", "/?u=ax", "200 notc", "/?u=Bx", "200 b", "/?u=xc", "200 notd", "/?u=cd", "200 rest",
	}},
	{"another location, and again", `location /a { rewrite ^/a(.*) /b$1; rewrite ^/b(.*) /c$1 last; return 200 no; }
		location /c { rewrite ^/c(.*) /d$1; set $x "$uri"; } location /d { return 200 "$uri $x"; } location /l { rewrite ^ /l last; }`,
		[]string{"/ax", "200 /dx /dx", "/l", "cycle"}},
	{"no location matches", `rewrite ^/a /b; location /c { return 200 c; }`, []string{"/a", "file /html/b"}},
	{"the variable of a map", `location / { if ($arg_s) { set $mapped mine; } return 200 $mapped; }`, []string{
		"/?m=x", "200 X", "/?m=x&s=1", "200 mine", "/", "200 none",
	}},
	{"a name of nginx's families", `location / { if ($arg_s) { set $http_x_a mine; } return 200 "$http_x_a"; }`, []string{
		"/", "200 ", "/?s=1", "200 mine",
	}},
	{"a file", `location / { if (-f DIR/file) { set $a "${a}f"; } if (!-f DIR/file) { set $a "${a}F"; } if (-d DIR/) { set $a "${a}d"; }
		if (-f DIR/$arg_n) { set $a "${a}n"; } if (!-d DIR/x) { set $a "${a}D"; } if (-e DIR) { set $a "${a}e"; }
		if (-x DIR/run) { set $a "${a}x"; } if (!-x DIR/file) { set $a "${a}X"; } if (!-e DIR/x) { set $a "${a}E"; } return 200 $a; }`,
		[]string{"/?n=run", "200 fdnDexXE", "/", "200 fdDexXE"}},
	{"internal locations", `location /in { internal; return 200 in; } location / { rewrite ^/x /in; }`, []string{"/x", "200 in"}},
}

func TestRewriteAsNginxDoes(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "run"), nil, 0o700))
	for _, c := range rewriteCases {
		t.Run(c.name, func(t *testing.T) {
			s := rewriteServer(t, strings.ReplaceAll(c.text, "DIR", dir))
			for i := 0; i < len(c.pairs); i += 2 {
				if got := outcome(s, rewriteEnv(t, c.pairs[i])); got != c.pairs[i+1] {
					t.Errorf("%s\n got %s\nwant %s", c.pairs[i], got, c.pairs[i+1])
				}
			}
		})
	}
}

// An Env that is used again knows nothing of the request before.
func TestRewriteForgets(t *testing.T) {
	s := rewriteServer(t, `location /a { set $x 1; set $limit_rate 1k; rewrite ^ /b break; proxy_pass http://127.0.0.1:1/c; }
		location /c { return 200 "[$x][$limit_rate]"; }`)
	e := rewriteEnv(t, "/a")
	if got := outcome(s, e); got != "GET /b" || e.LimitRate.BytesPerSec != 1024 {
		t.Fatalf("got %s, rate %+v", got, e.LimitRate)
	}
	e.Reset()
	other := rewriteEnv(t, "/c")
	e.Head, e.Req, e.RawTarget, e.URI = other.Head, other.Req, other.RawTarget, other.URI
	if got := outcome(s, e); got != "200 [][0]" {
		t.Errorf("got %s", got)
	}
}

// Several rewrites in a row can't make a path of any length.
func TestRewriteIsBounded(t *testing.T) {
	s := rewriteServer(t, strings.Repeat("rewrite ^(.*)$ $1$1;\n", 40))
	if got := outcome(s, rewriteEnv(t, "/0123456789")); got != "500, the rewritten URI is too long" {
		t.Errorf("got %.100s", got)
	}
}

func TestRewriteLog(t *testing.T) {
	s := rewriteServer(t, `rewrite_log on; rewrite ^/a(.*)$ /b$1?x; if ($uri ~ /c) { return 204; } rewrite b http://h/;`)
	e := rewriteEnv(t, "/a1?y")
	e.Server = s
	w := s.Rewrite.Run(e, nil)
	want := `"^/a(.*)$" matches "/a1"
rewritten data: "/b1", args: "x&y"
"/c" does not match "/b1"
"b" matches "/b1"
rewritten redirect: "http://h/?x&y"`
	if got := string(bytes.Join(w.Notices, []byte("\n"))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !w.Internal {
		t.Error("a rewrite that matched opens internal locations")
	}
}

func TestRewriteProblemsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		"set $uri x;":                       `the variable "$uri" is built in and cannot be defined again`,
		"set $ssl_protocol x;":              `the variable "$ssl_protocol" is built in and cannot be defined again`,
		"set $x $nope;":                     `unknown variable "$nope"`,
		"rewrite a $nope;":                  `unknown variable "$nope"`,
		"rewrite a /b?$nope;":               `unknown variable "$nope"`,
		"if ($nope) { }":                    `unknown variable "$nope"`,
		"if ($uri = $nope) { }":             `unknown variable "$nope"`,
		"if (-f $nope) { }":                 `unknown variable "$nope"`,
		"rewrite (?<host>.) /;":             `the variable "$host" is built in and cannot be defined again`,
		"set $longname 1; set $x $longnam;": `unknown variable "$longnam"; did you mean "$longname"?`,
	} {
		problems := Check(load(t, "http { server { listen 1;\n"+text+"\n} }"))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), "nginx.conf:2: error: "+want) ||
			problems[0].Severity != config.Error {
			t.Errorf("%s: %v", text, problems)
		}
	}
}

// Only regular expressions with groups allocate, once an Env has grown its memory.
func TestRewriteAllocatesNothing(t *testing.T) {
	s := rewriteServer(t, `set $a "$uri-$arg_x"; set $b 1; if ($a = "/y-1") { set $b "$b$a"; } if (-f $uri) { break; }
		if ($b ~ y) { set $args "z=$b"; } set $limit_rate 10k; if ($b = none) { return 403; }`)
	e := rewriteEnv(t, "/y?x=1")
	uri, args := []byte("/y"), []byte("x=1")
	allocated := testing.AllocsPerRun(200, func() {
		head, req, target := e.Head, e.Req, e.RawTarget
		e.Reset()
		e.Server, e.Head, e.Req, e.RawTarget, e.URI, e.Args = s, head, req, target, uri, args
		if w := s.Rewrite.Run(e, noFiles{}); w.End != route.RewriteNext || !bytes.HasPrefix(e.Args, []byte("z=1/y-1")) {
			panic(string(e.Args))
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}

type noFiles struct{}

func (noFiles) Test(route.FileTest, []byte) bool { return false }
