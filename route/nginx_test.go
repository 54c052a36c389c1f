package route_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/httpparse"
	"holdfast/route"
)

// peerDeadline bounds everything that waits for another process.
const peerDeadline = 20 * time.Second

// startNginx runs the installed nginx with the given text inside its http block and
// returns its working folder. "DIR" in the text is that folder. Servers should listen
// on unix:DIR/name.
func startNginx(t *testing.T, http string) string {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is not installed, but HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx is not installed")
	}
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text := "daemon off; master_process off; pid DIR/pid; error_log DIR/error.log info; events {}\n" +
		"http { access_log off; client_body_temp_path DIR/c; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f;\n" +
		"uwsgi_temp_path DIR/u; scgi_temp_path DIR/s; server_names_hash_bucket_size 128;\n" + http +
		"\nserver { listen unix:DIR/ready; }\n}\n"
	text = strings.ReplaceAll(text, "DIR", dir)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(bin, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", conf)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	deadline := time.After(peerDeadline)
	for {
		if conn, err := net.Dial("unix", filepath.Join(dir, "ready")); err == nil {
			conn.Close()
			return dir
		}
		select {
		case <-exited:
			t.Fatalf("nginx did not start: %s\n%s", output.String(), text)
		case <-deadline:
			t.Fatalf("nginx does not listen: %s", output.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// exchange sends raw to the unix-domain socket and returns the response's head and
// body; the body ends with the connection, so raw should ask for that.
func exchange(t *testing.T, socket, raw string) (head, body string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(peerDeadline))
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	head, body, _ = strings.Cut(string(answer), "\r\n\r\n")
	return head, body
}

// ask is a GET on a connection that closes, and the answer's body.
func ask(t *testing.T, socket, target string, fields ...string) string {
	t.Helper()
	_, body := exchange(t, socket, get(target, append(fields, "Connection: close")...))
	return body
}

// mirror is a backend that answers every request with its head as the body, and with
// the response field lines that X-Answer asks for. It returns its address.
func mirror(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answerWithHead(ctx, conn)
		}
	}()
	return l.Addr().String()
}

func answerWithHead(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(peerDeadline))
	var head strings.Builder
	extra := ""
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if line == "\r\n" {
			break
		}
		head.WriteString(line)
		if value, ok := strings.CutPrefix(line, "X-Answer: "); ok {
			extra += strings.ReplaceAll(strings.TrimSpace(value), "|", "\r\n") + "\r\n"
		}
	}
	fmt.Fprintf(conn, "HTTP/1.1 200 Fine\r\nServer: mirror\r\nX-Pad: 1\r\nX-Accel-Buffering: no\r\n"+
		"Connection: close\r\nContent-Length: %d\r\n%s\r\n%s", head.Len(), extra, head.String())
}

// fieldLines is a head's first line and then its field lines in order, without those
// that no two proxies can agree on. Repeated commas' spacing and names' case stay.
func fieldLines(head string, without ...string) []string {
	lines := strings.Split(strings.TrimRight(head, "\r\n"), "\r\n")
	rest := lines[1:]
	kept := []string{}
	for _, line := range rest {
		name, _, _ := strings.Cut(line, ":")
		drop := false
		for _, w := range without {
			drop = drop || strings.EqualFold(w, name)
		}
		if !drop {
			kept = append(kept, line)
		}
	}
	sort.Strings(kept)
	return append(lines[:1:1], kept...)
}

// render writes a location block.
func (l loc) render(out *strings.Builder, headers []route.SetHeader) {
	modifier, pattern := l.split()
	fmt.Fprintf(out, "location %s \"%s\" {", modifier, pattern)
	if l.pass != "" {
		fmt.Fprintf(out, " proxy_pass %s;", l.pass)
		for _, h := range headers {
			fmt.Fprintf(out, " proxy_set_header %s \"%s\";", h.Name, h.Value)
		}
	} else {
		fmt.Fprintf(out, " return 200 \"%s\";", strings.ReplaceAll(l.text, "$", ""))
	}
	for _, n := range l.nested {
		n.render(out, headers)
	}
	out.WriteString(" }\n")
}

// outcome is what the client of our location would see as a body from the same
// configuration: its text, or the request line that the upstream gets.
func outcome(s *route.Server, e *route.Env) string {
	e.Server = s
	l, redirect := s.Locate(e)
	switch {
	case l == nil:
		return "404"
	case redirect:
		head, _, _ := strings.Cut(string(route.AppendSlashRedirect(nil, e, l, route.ReplyForm{})), "\r\n\r\n")
		_, rest, _ := strings.Cut(head, "Location: ")
		url, _, _ := strings.Cut(rest, "\r\n")
		return "301 " + url
	case l.Proxy != nil:
		e.Location = l
		if l.Proxy.Dynamic() {
			if _, ok := l.Proxy.Resolve(e); !ok {
				return "500"
			}
		}
		head, _ := l.Proxy.AppendRequest(nil, e, route.RequestForm{})
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return string(line)
	}
	_, body, _ := bytes.Cut(l.Rewrite.Run(e, nil).Return.Append(nil, e, route.ReplyForm{}), []byte("\r\n\r\n"))
	return string(body)
}

// nginxOutcome asks nginx and reports in the same words.
func nginxOutcome(t *testing.T, socket, target string) string {
	t.Helper()
	head, body := exchange(t, socket, get(target, "Connection: close"))
	status := strings.Fields(head)[1]
	switch status {
	case "200":
		line, _, _ := strings.Cut(body, "\r\n")
		return line
	case "301":
		_, rest, _ := strings.Cut(head, "\r\nLocation: ")
		url, _, _ := strings.Cut(rest, "\r\n")
		return "301 " + url
	}
	return status
}

// unixLocal makes e a request that came in on a unix-domain socket, as nginx's do here.
func unixLocal(e *route.Env, dir, name string) {
	plain := route.Env{}
	e.Remote, e.Local, e.LocalPath = plain.Remote, plain.Local, filepath.Join(dir, name)
}

// sites are the configurations whose location choice and upstream URIs are compared.
// MIRROR is the backend's address.
var sites = [][]loc{
	{
		{text: "/"}, {text: "/a/"}, {text: "= /a/"}, {text: "/a/b"}, {text: "^~ /a/b/c"}, {text: "~ b"}, {text: "~* C$"},
		{text: "= /"},
	},
	{
		{text: "/a/", nested: []loc{{text: "/a/b/"}, {text: "~ x$"}, {text: "= /a/c"}}},
		{text: "^~ /a/b/c/", nested: []loc{{text: "~ y$"}}},
		{text: "~ y$"}, {text: "~ ^/a/b", nested: []loc{{text: "~ z$"}}},
	},
	{{text: "/a", pass: "http://MIRROR"}, {text: "/a/b/", pass: "http://MIRROR"}, {text: "~ c", pass: "http://MIRROR"}},
	{
		{text: "/a/", pass: "http://MIRROR/"}, {text: "/a b/", pass: "http://MIRROR/q/"},
		{text: "/", pass: "http://MIRROR/r"},
	},
	{
		{text: "/a", pass: "http://MIRROR/z"}, {text: "= /a/b", pass: "http://MIRROR/y"},
		{text: "/a/b/", pass: "http://MIRROR/x/"},
	},
	{{text: "/a/b", pass: "http://MIRROR/?k=1"}, {text: "/a", pass: "http://MIRROR/p?k=1"}, {text: "/a/"}},
	{{text: "~ ^/a/(.*)$", pass: "http://MIRROR/v/$1"}, {text: "/x", pass: "http://MIRROR$request_uri"}},
	{{text: "/a/", pass: "http://$http_x_none"}, {text: "/", pass: "http://MIRROR$http_x_none"}},
	{{text: "/a/", pass: "http://MIRROR/?u=$uri&"}, {text: "/", pass: "http://MIRROR?$args"}},
	{{text: "/a/", pass: "http://MIRROR"}, {text: "/a!"}, {text: "~ ^/a$"}, {text: "/"}},
	{{text: "/a/", pass: "http://MIRROR", nested: []loc{{text: "/a/b/", pass: "http://MIRROR/n/"}}}, {text: "= /a"}},
}

var targets = []string{
	"/", "/a", "/a/", "/a?x=1", "/a/?x=1", "/a/?", "/a/b", "/a/b?k", "/a/b/", "/a/b/c", "/a/b/c/", "/a/b/c/y",
	"/a/b/z", "/a/c", "/a/C", "/a/x", "/a/b/x", "/a/b/cx", "/A/", "/a!b", "/x", "/x/y?z", "/b/c", "//a//b", "/a/./b/../c",
	"/a/%62/c", "/a/b%2Fc", "/a/b%20c", "/a%20b/", "/a%20b/c%25d?e%20f", "/a/%C3%A9", "/a/b%3Fc?d",
	"/a/\xc3\xa9", "/a/b{c}",
	"/a/b%22c", "/a/%7Eb", "/a/b;c=d,e", "/a/b+c", "/%61/b", "/a/b?x=/../y", "/a//b%20c", "/a/./b%22c",
	"/a/b%0d%0ac", "/..%2fa", "/a/b%", "/a/%00", "/../a",
}

func TestNginxLocationsAndURIs(t *testing.T) {
	address := mirror(t)
	var conf strings.Builder
	for i, locations := range sites {
		fmt.Fprintf(&conf, "server { listen unix:DIR/%d; server_name example.com;\n", i)
		for _, l := range locations {
			l.render(&conf, nil)
		}
		conf.WriteString("}\n")
	}
	dir := startNginx(t, strings.ReplaceAll(conf.String(), "MIRROR", address))
	for i, locations := range sites {
		c := newCompiler()
		s := server(t, c, specs(t, c, withMirror(locations, address), nil))
		socket := fmt.Sprintf("%d", i)
		for _, target := range targets {
			want := nginxOutcome(t, filepath.Join(dir, socket), target)
			e := &route.Env{}
			e.Reset()
			got := "400"
			if err := fill(e, get(target)); err == nil {
				unixLocal(e, dir, socket)
				got = outcome(s, e)
			}
			if got != want && !knownDifference(want, got) {
				t.Errorf("site %d, %s: got %q, nginx %q", i, target, got, want)
			}
		}
	}
}

// knownDifference is where we do not follow nginx: it passes control characters and
// spaces that it decoded on to the upstream raw, within the request line, which may
// even end it; we encode them.
func knownDifference(nginx, ours string) bool {
	line, cut := strings.CutSuffix(nginx, " HTTP/1.0")
	if !strings.HasPrefix(line, "GET ") {
		return false
	}
	if !cut {
		return strings.HasPrefix(ours, line+"%0D%0A")
	}
	return "GET "+strings.ReplaceAll(line[len("GET "):], " ", "%20")+" HTTP/1.0" == ours
}

func withMirror(locations []loc, address string) []loc {
	out := make([]loc, len(locations))
	for i, l := range locations {
		l.pass = strings.ReplaceAll(l.pass, "MIRROR", address)
		l.nested = withMirror(l.nested, address)
		out[i] = l
	}
	return out
}

func TestNginxServerNames(t *testing.T) {
	lists := [][]string{
		{"default"}, {"example.org", "www.example.org"}, {"*.example.org"}, {".dot.test"}, {"www.*"}, {"www.sub.*"},
		{"*.sub.example.org", "~^(?<who>[a-z]+)\\.re\\.(.+)$"}, {"~UPPER\\.case"}, {""}, {"~^re2\\."},
	}
	hosts := []string{
		"example.org", "EXAMPLE.org", "www.example.org", "a.example.org", "a.b.example.org", "x.sub.example.org",
		"sub.example.org", "dot.test", "x.dot.test", "www.test", "www.sub.test", "www.dot.test", "www", "bob.re.test",
		"bob.re.", "re2.x", "re2.re.x", "upper.case", "UPPER.CASE", "nothing", "example.org.", "example.org:81",
		"192.0.2.1", "[::1]", "[::1]:80", "www.example.org.", "xdot.test",
	}
	var conf strings.Builder
	for i, list := range lists {
		listen := "listen unix:DIR/names"
		if i == 0 {
			listen += " default_server"
		}
		fmt.Fprintf(&conf, "server { %s; server_name", listen)
		for _, name := range list {
			fmt.Fprintf(&conf, " \"%s\"", name)
		}
		conf.WriteString("; return 200 \"$server_name|$who|$1|$2|$host\"; }\n")
	}
	dir := startNginx(t, conf.String())

	c := newCompiler("^(?<who>[a-z]+)$")
	b := route.NewBuilder(c, 1)
	for i, list := range lists {
		spec := &route.ServerSpec{Names: names(list...), Listens: []route.ListenUse{{Default: i == 0}}}
		for j := range spec.Names {
			if strings.Contains(spec.Names[j].Regexp, "UPPER") {
				spec.Names[j].Regexp = "(?i)" + spec.Names[j].Regexp
			}
		}
		if _, err := b.AddServer(spec); err != nil {
			t.Fatal(err)
		}
	}
	table := b.Table()
	tmpl := compile(t, c, "$server_name|$who|$1|$2|$host")
	check := func(head string) {
		t.Helper()
		_, want := exchange(t, filepath.Join(dir, "names"), head)
		e := newEnv(t, head)
		e.Server = table.FindServer(0, e.Host, e)
		if got := string(tmpl.Append(nil, e)); got != want {
			t.Errorf("%q: got %q, nginx %q", head, got, want)
		}
	}
	for _, host := range hosts {
		check("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	}
	check("GET / HTTP/1.0\r\n\r\n")
	check("GET http://www.example.org:99/x HTTP/1.1\r\nHost: nothing\r\nConnection: close\r\n\r\n")
}

func TestNginxMaps(t *testing.T) {
	const conf = `
map $arg_k $m {
	default "d:$arg_k"; a one; B two; "" empty; *.h.test nomask; "\~t" tilde;
	~^r(?<tail>.*)$ "re:$tail:$1"; ~*^q "ci"; ~^rr never;
}
map $arg_h $hm {
	hostnames; default none; h.test exact; .d.test dot; *.w.test wild; t.* tail; *.l.w.test longer; ~^re|^$ yes;
}
map "$arg_k/$hm" $both { default "-$m-"; a/none combined; }
map $both $nodefault { "combined" yes; }
server { listen unix:DIR/maps; return 200 "$m|$hm|$both|$nodefault"; }`
	dir := startNginx(t, conf)
	c := newCompiler("^(?<tail>.*)$")
	problems := c.DefineMaps([]route.MapSpec{
		{Source: "$arg_k", Name: "m", Default: "d:$arg_k", Entries: []route.MapEntry{
			{Pattern: "a", Value: "one"}, {Pattern: "B", Value: "two"}, {Pattern: "", Value: "empty"},
			{Pattern: "*.h.test", Value: "nomask"}, {Pattern: "~t", Value: "tilde"},
			{Regexp: "^r(?<tail>.*)$", Value: "re:$tail:$1"}, {Regexp: "(?i)^q", Value: "ci"},
			{Regexp: "^rr", Value: "never"},
		}},
		{Source: "$arg_h", Name: "hm", Default: "none", Hostnames: true, Entries: []route.MapEntry{
			{Pattern: "h.test", Value: "exact"}, {Pattern: ".d.test", Value: "dot"}, {Pattern: "*.w.test", Value: "wild"},
			{Pattern: "t.*", Value: "tail"}, {Pattern: "*.l.w.test", Value: "longer"}, {Regexp: "^re|^$", Value: "yes"},
		}},
		{Source: "$arg_k/$hm", Name: "both", Default: "-$m-", Entries: []route.MapEntry{
			{Pattern: "a/none", Value: "combined"},
		}},
		{Source: "$both", Name: "nodefault", Entries: []route.MapEntry{{Pattern: "combined", Value: "yes"}}},
	})
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	tmpl := compile(t, c, "$m|$hm|$both|$nodefault")
	s := server(t, c, nil)
	for _, target := range []string{
		"/", "/?k=a", "/?k=A", "/?k=b", "/?k=zzz", "/?k=", "/?k=x.h.test", "/?k=*.h.test", "/?k=~t", "/?k=rest",
		"/?k=rr", "/?k=Qq", "/?k=R", "/?h=h.test", "/?h=H.Test", "/?h=h.test.", "/?h=d.test", "/?h=x.d.test",
		"/?h=w.test", "/?h=x.w.test", "/?h=x.l.w.test", "/?h=t.abc.de", "/?h=t", "/?h=t.", "/?h=rex", "/?k=a&h=zz",
		"/?K=a", "/?h=.d.test", "/?h=.w.test", "/?h=t..", "/?h=a..w.test", "/?h=.", "/?h=t.a.", "/?h=..", "/?h=w.test.",
	} {
		e := newEnv(t, get(target))
		e.Server = s
		want := ask(t, filepath.Join(dir, "maps"), target)
		if got := string(tmpl.Append(nil, e)); got != want {
			t.Errorf("%s: got %q, nginx %q", target, got, want)
		}
	}
}

func TestNginxVariables(t *testing.T) {
	variables := []string{
		"host", "http_host", "http_x_one", "http_x_none", "http_user_agent", "http_under_score", "arg_a", "arg_b", "arg_none",
		"args", "query_string", "is_args", "cookie_a", "cookie_b", "cookie_none", "uri", "document_uri", "request_uri",
		"request", "request_method", "scheme", "https", "server_name", "server_port", "server_protocol", "remote_addr",
		"remote_port", "remote_user", "proxy_add_x_forwarded_for", "content_length", "content_type", "pipe", "status",
		"upstream_addr", "upstream_status", "upstream_response_time", "upstream_http_x", "connection_requests",
		"http_cookie", "gzip_ratio", "ssl_protocol", "http2", "proxy_host", "server_addr",
		"proxy_protocol_addr", "upstream_cache_status", "sent_http_location", "binary_remote_addr",
	}
	format := "$" + strings.Join(variables, "\t$")
	dir := startNginx(t, fmt.Sprintf(`
log_format plain '%s'; log_format json escape=json '%s'; log_format none escape=none '%s';
server { listen unix:DIR/vars; server_name first.test second.test; access_log DIR/plain plain; access_log DIR/json json;
access_log DIR/none none; return 200 "%s"; }`, format, format, format, format))
	heads := []string{
		get("/"),
		get("/a%20b/../c?x=1&A=2&a=3&b", "X-One: 1", "User-Agent: t\"e\\s\tt", "Cookie: a=1; b=2;c=3", "Under_Score: 1"),
		get("/?", "Authorization: Basic dXNlcjpwYXNz", "X-Forwarded-For: 198.51.100.1", "Content-Type: a/b"),
		get("/?b=%20&a=", "Authorization: Basic dXNlcg==", "Cookie: A = x y ; xb=1; b=", "X-One: \xc3\xa9\x7e"),
		get("/?aa=1&a=2", "Authorization: Bearer x", "Cookie: none; b=1, c=2", "Content-Length: 0"),
		"GET http://Other.TEST:99/p?q HTTP/1.1\r\nHost: Other.TEST:99\r\n\r\n",
		"HEAD / HTTP/1.0\r\n\r\n",
	}
	c := newCompiler()
	b := route.NewBuilder(c, 1)
	s, err := b.AddServer(&route.ServerSpec{
		Names: names("first.test", "second.test"), Listens: []route.ListenUse{{}}, Settings: settings,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Table()
	tmpl := compile(t, c, format)
	var wantBodies []string
	for _, head := range heads {
		closing := strings.Replace(head, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
		_, body := exchange(t, filepath.Join(dir, "vars"), closing)
		wantBodies = append(wantBodies, body)
	}
	logs := map[route.Escape][]string{
		route.EscapeDefault: readLines(t, filepath.Join(dir, "plain"), len(heads)),
		route.EscapeJSON:    readLines(t, filepath.Join(dir, "json"), len(heads)),
		route.EscapeNone:    readLines(t, filepath.Join(dir, "none"), len(heads)),
	}
	compare := func(i int, what, got, want string) {
		t.Helper()
		g, w := strings.Split(got, "\t"), strings.Split(want, "\t")
		if len(g) != len(w) {
			t.Errorf("request %d, %s: got %q, nginx %q", i, what, got, want)
			return
		}
		for j := range g {
			if g[j] != w[j] {
				t.Errorf("request %d, %s, $%s: got %q, nginx %q", i, what, variables[min(j, len(variables)-1)], g[j], w[j])
			}
		}
	}
	for i, head := range heads {
		e := newEnv(t, head)
		unixLocal(e, dir, "vars")
		e.Server, e.ConnectionRequests = s, 1
		if !strings.HasPrefix(head, "HEAD") {
			e.Status = 200
			compare(i, "text", string(tmpl.Append(nil, e)), wantBodies[i])
		}
		// A log line is written at the end.
		e.Status, e.Completed = 200, true
		for escape, lines := range logs {
			compare(i, fmt.Sprintf("log escape %d", escape), string(tmpl.AppendLog(nil, e, escape)), lines[i])
		}
	}
}

// readLines waits until the file has n lines and returns them.
func readLines(t *testing.T, path string, n int) []string {
	t.Helper()
	deadline := time.After(peerDeadline)
	for {
		text, _ := os.ReadFile(path)
		if lines := strings.SplitAfter(string(text), "\n"); len(lines) > n {
			for i := range lines {
				lines[i] = strings.TrimSuffix(lines[i], "\n")
			}
			return lines[:n]
		}
		select {
		case <-deadline:
			t.Fatalf("%s has not %d lines: %q", path, n, text)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestNginxHeads(t *testing.T) {
	address := mirror(t)
	headers := []route.SetHeader{
		{Name: "Host", Value: "$host:$server_port"}, {Name: "X-Real-IP", Value: "$remote_addr"},
		{Name: "X-Gone", Value: ""}, {Name: "x-twice", Value: "1"}, {Name: "X-Twice", Value: "2"},
		{Name: "X-Empty-Var", Value: "$http_x_none"}, {Name: "Connection", Value: ""},
		{Name: "User-Agent", Value: "$http_user_agent!"},
	}
	var conf strings.Builder
	for i, set := range [][]route.SetHeader{nil, headers} {
		fmt.Fprintf(&conf, "server { listen unix:DIR/%d; server_name example.com; keepalive_timeout 75s 60s;\n", i)
		loc{text: "/one/", pass: "http://" + address + "/two/"}.render(&conf, set)
		loc{text: "/", pass: "http://" + address}.render(&conf, set)
		conf.WriteString("}\n")
	}
	dir := startNginx(t, conf.String())
	origin := "http://" + address
	requests := []string{
		get("/one/x?y", "Connection: close", "X-Gone: 1", "X-Twice: 0", "Keep-Alive: 1", "TE: x", "Expect: x", "Upgrade: x",
			"User-Agent: me", "X_Under: 1", "X.Dot: 1", "Accept: */*", "Proxy-Authorization: a"),
		get("/x", "Connection: close", "X-Answer: Location: "+origin+"/a|Date: Thu, 01 Jan 1970 00:00:00 GMT"),
		get("/one/", "Connection: close", "X-Answer: Location: "+origin+"/two/a?b"),
		get("/one/", "Connection: close", "X-Answer: Location: "+origin+"/three/a"),
		get("/one/", "Connection: close", "X-Answer: Location: /two/a|Refresh: 5; url="+origin+"/two/z"),
		get("/one/", "Connection: close", "X-Answer: Location: relative|Set-Cookie: a|Set-Cookie: b|Vary: x"),
		"HEAD /one/ HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n",
		"GET /one/ HTTP/1.0\r\n\r\n",
		"POST /one/ HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
	}
	for i, set := range [][]route.SetHeader{nil, headers} {
		c := newCompiler()
		s := server(t, c, specs(t, c, []loc{
			{text: "/one/", pass: "http://" + address + "/two/"}, {text: "/", pass: "http://" + address},
		}, set))
		for _, raw := range requests {
			wantHead, wantBody := exchange(t, filepath.Join(dir, fmt.Sprint(i)), raw)
			e := newEnv(t, raw)
			unixLocal(e, dir, fmt.Sprint(i))
			e.Server = s
			e.Location, _ = s.Locate(e)
			framing, _ := e.Req.Framing(e.Head)
			request, _ := e.Location.Proxy.AppendRequest(nil, e, route.RequestForm{Framing: framing})
			if !strings.HasPrefix(raw, "HEAD") {
				compareLines(t, "request", fieldLines(string(request)), fieldLines(wantBody))
			}
			answer := "HTTP/1.1 200 Fine\r\nServer: mirror\r\nX-Pad: 1\r\nX-Accel-Buffering: no\r\n" +
				"Connection: close\r\nContent-Length: " + fmt.Sprint(len(wantBody)) + "\r\n"
			if _, extra, ok := strings.Cut(raw, "X-Answer: "); ok {
				extra, _, _ = strings.Cut(extra, "\r\n")
				answer += strings.ReplaceAll(extra, "|", "\r\n") + "\r\n"
			}
			respond(t, e, answer+"\r\n")
			form := route.ResponseForm{}
			form.Framing, _ = e.Resp.Framing(e.RespHead, e.Req.MethodID)
			response := string(e.Location.Proxy.AppendResponse(nil, e, form))
			without := []string{"Server", "Date"}
			if e.Req.MethodID == httpparse.MethodHead {
				without = append(without, "Content-Length")
			}
			compareLines(t, "response", fieldLines(response, without...), fieldLines(wantHead, without...))
		}
	}
}

func compareLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s: got\n%s\nnginx\n%s", what, g, w)
	}
}
