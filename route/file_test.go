package route_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/route"
)

var fileSettings = route.Settings{ETag: true, MaxRanges: -1, DefaultType: "text/plain"}

const fileTag = `"5f5e1000-64"`

// judge asks about a file of 100 bytes.
func judge(t *testing.T, change func(*route.Settings), method string, fields ...string) (*route.Env, route.FileAnswer) {
	t.Helper()
	e := newEnv(t, method+strings.TrimPrefix(get("/f.txt", fields...), "GET"))
	s := fileSettings
	if change != nil {
		change(&s)
	}
	e.Location = &route.Location{Settings: s}
	return e, e.JudgeFile(route.File{Size: 100, ModifiedSec: filesModified})
}

// What nginx does differently, or has no answer to: RFC 9110 sections 13.2.2, 13.1 and 14.2.
func TestJudgeFileByTheRFC(t *testing.T) {
	many := "Range: bytes=" + strings.Repeat("0-0,", route.RangesMax)
	before := func(s *route.Settings) { s.IfModifiedSince = route.IfModifiedBefore }
	tests := []struct {
		rule   string
		fields []string
		status int
		ranges int
		change func(*route.Settings)
	}{
		{"If-None-Match comes before If-Modified-Since", []string{"If-None-Match: " + fileTag, "If-Modified-Since: " + earlierDate},
			304, 0, nil},
		{"and a failing one ends it", []string{`If-None-Match: "x"`, "If-Modified-Since: " + modifiedDate}, 200, 0, nil},
		{"If-Match comes before If-Unmodified-Since", []string{"If-Match: " + fileTag, "If-Unmodified-Since: " + earlierDate}, 200, 0, nil},
		{"If-Match is strong", []string{"If-Match: W/" + fileTag}, 412, 0, nil},
		{"If-Match before If-None-Match", []string{`If-Match: "x"`, "If-None-Match: *"}, 412, 0, nil},
		{"several lines are one list", []string{`If-None-Match: "x"`, "If-None-Match: " + fileTag}, 304, 0, nil},
		{"a malformed list element is passed over", []string{`If-None-Match: x, ` + fileTag + `z, ` + fileTag}, 304, 0, nil},
		{"a tag needs a comma behind it", []string{`If-None-Match: ` + fileTag + `z`}, 200, 0, nil},
		{"an unclosed tag", []string{`If-None-Match: "x, ` + fileTag}, 200, 0, nil},
		{"a bad If-Unmodified-Since is ignored", []string{"If-Unmodified-Since: nonsense"}, 200, 0, nil},
		{"a repeated If-Modified-Since is ignored", []string{"If-Modified-Since: " + modifiedDate, "If-Modified-Since: " + modifiedDate},
			200, 0, nil},
		{"a later If-Modified-Since, exact", []string{"If-Modified-Since: " + laterDate}, 200, 0, nil},
		{"a later If-Modified-Since, before", []string{"If-Modified-Since: " + laterDate}, 304, 0, before},
		{"a bad If-Modified-Since, before", []string{"If-Modified-Since: Mon, 31 Feb 2022 00:00:00 GMT"}, 200, 0, before},
		{"Range", []string{"Range: bytes=1-2"}, 206, 1, nil},
		{"a repeated Range is ignored", []string{"Range: bytes=1-2", "Range: bytes=1-2"}, 200, 0, nil},
		{"first behind last is malformed", []string{"Range: bytes=5-3"}, 200, 0, nil},
		{"no digits", []string{"Range: bytes=-"}, 200, 0, nil},
		{"letters", []string{"Range: bytes=a-b"}, 200, 0, nil},
		{"one bad element spoils the set", []string{"Range: bytes=0-1,x"}, 200, 0, nil},
		{"nothing", []string{"Range: bytes="}, 200, 0, nil},
		{"spaces inside", []string{"Range: bytes=0 - 1"}, 200, 0, nil},
		{"a hyphen too many", []string{"Range: bytes=--1"}, 200, 0, nil},
		{"no unit", []string{"Range: 0-1"}, 200, 0, nil},
		{"empty elements", []string{"Range: bytes=,0-1,,3-4,"}, 206, 2, nil},
		{"as many ranges as are answered", []string{many[:len(many)-1]}, 206, route.RangesMax, nil},
		{"one more", []string{many + "0-0"}, 200, 0, nil},
		{"max_ranges", []string{"Range: bytes=0-0,1-1"}, 200, 0, func(s *route.Settings) { s.MaxRanges = 1 }},
		{"max_ranges 0", []string{"Range: bytes=0-0"}, 200, 0, func(s *route.Settings) { s.MaxRanges = 0 }},
		{"past everything", []string{"Range: bytes=100-"}, 416, 0, nil},
		{"huge numbers", []string{"Range: bytes=0-999999999999999999999999"}, 206, 1, nil},
		{"a repeated If-Range", []string{"Range: bytes=0-0", "If-Range: " + fileTag, "If-Range: " + fileTag}, 200, 0, nil},
		{"a weak If-Range", []string{"Range: bytes=0-0", "If-Range: W/" + fileTag}, 200, 0, nil},
		{"a bad If-Range", []string{"Range: bytes=0-0", "If-Range: nonsense"}, 200, 0, nil},
		{"an empty If-Range", []string{"Range: bytes=0-0", "If-Range:"}, 200, 0, nil},
	}
	for _, tt := range tests {
		_, a := judge(t, tt.change, "GET", tt.fields...)
		if a.Status != tt.status || a.Ranges != tt.ranges {
			t.Errorf("%s: %q: got %+v, want %d with %d", tt.rule, tt.fields, a, tt.status, tt.ranges)
		}
	}
	if _, a := judge(t, nil, "HEAD", "Range: bytes=0-0"); a.Status != 200 {
		t.Errorf("ranges of a HEAD: got %+v", a)
	}
	if _, a := judge(t, nil, "HEAD", "If-None-Match: "+fileTag); a.Status != 304 {
		t.Errorf("condition of a HEAD: got %+v", a)
	}
}

// A time is no strong validator before its second is over.
func TestIfRangeOfThePresentSecond(t *testing.T) {
	e, _ := judge(t, nil, "GET", "Range: bytes=0-0", "If-Range: "+now)
	f := route.File{Size: 100, ModifiedSec: e.NowNs / 1e9}
	if a := e.JudgeFile(f); a.Status != 200 {
		t.Errorf("got %+v", a)
	}
	e.NowNs += 1e9
	if a := e.JudgeFile(f); a.Status != 206 {
		t.Errorf("a second later: got %+v", a)
	}
}

func TestDates(t *testing.T) {
	accepted := map[string]int64{
		"Sun, 06 Nov 1994 08:49:37 GMT": 784111777, "Sunday, 06-Nov-94 08:49:37 GMT": 784111777,
		"Sun Nov  6 08:49:37 1994": 784111777, "Sun Nov 06 08:49:37 1994": 784111777,
		"Thu, 01 Jan 1970 00:00:00 GMT": 0, "Tue, 29 Feb 2000 23:59:59 GMT": 951868799,
		"Wed, 31 Dec 1969 23:59:59 GMT": -1, "Sat, 31 Dec 2016 23:59:60 GMT": 1483228800,
		"Friday, 31-Dec-99 23:59:59 GMT": 946684799, "Friday, 01-Jan-73 00:00:00 GMT": 3250454400,
		"Friday, 01-Jan-74 00:00:00 GMT": 126230400,
	}
	at := func(text string, second int64) int {
		e, _ := judge(t, nil, "GET", "If-Modified-Since: "+text)
		return e.JudgeFile(route.File{Size: 1, ModifiedSec: second}).Status
	}
	for text, second := range accepted {
		if at(text, second) != 304 || at(text, second+1) != 200 {
			t.Errorf("%q is not %d", text, second)
		}
	}
	before := func(text string) int {
		_, a := judge(t, func(s *route.Settings) { s.IfModifiedSince = route.IfModifiedBefore }, "GET", "If-Modified-Since: "+text)
		return a.Status
	}
	for _, text := range []string{
		"", "Sun", "Sun, ", "Sun, 06 Nov 2094 08:49:37", "Sun, 06 Nov 2094 08:49:37 UTC", "Sun, 06 Nov 2094 08:49:37 GMT ",
		"Sun, 6 Nov 2094 08:49:37 GMT", "Sun, 00 Nov 2094 08:49:37 GMT", "Sun, 31 Nov 2094 08:49:37 GMT",
		"Sun, 29 Feb 2095 08:49:37 GMT", "Sun, 06 Xyz 2094 08:49:37 GMT", "Sun, 06 nov 2094 08:49:37 GMT",
		"Sun, 06 Nov 2094 24:00:00 GMT", "Sun, 06 Nov 2094 08:60:00 GMT", "Sun, 06 Nov 2094 08:49:61 GMT",
		"Foo, 06 Nov 2094 08:49:37 GMT", "Sunday, 06 Nov 2094 08:49:37 GMT", "Sun, 06-Nov-60 08:49:37 GMT",
		"Sun, 06 Nov 2094 08:49:3x GMT", "Sun, 06 Nov 2094 8:49:37 GMT", "Sunday Nov  6 08:49:37 2094",
		"Sun Nov 6 08:49:37 2094", "Sun, 06 Nov 2094 08:49:37 GMTx", "Sun, +6 Nov 2094 08:49:37 GMT",
	} {
		if text == "Sun, 06 Nov 2094 08:49:37 GMT " {
			continue // the parser of heads takes the space away
		}
		if got := before(text); got != 200 {
			t.Errorf("%q was taken: %d", text, got)
		}
	}
	if got := before("Sat, 06 Nov 2094 08:49:37 GMT"); got != 304 {
		t.Errorf("a date to come: got %d", got)
	}
}

func TestFileHead(t *testing.T) {
	e, a := judge(t, nil, "GET", "Range: bytes=1-2,5-")
	a.Boundary = 1
	f := route.File{Size: 100, ModifiedSec: filesModified}
	out := route.AppendFileHead(nil, e, f, a, route.ReplyForm{Keepalive: true})
	for i := range a.Ranges {
		out = route.AppendPartHead(out, e, f, a, i)
		start, end := e.FileRange(i)
		out = append(out, strings.Repeat("x", int(end-start))...)
	}
	out = route.AppendPartHead(out, e, f, a, a.Ranges)
	resp, body := parseReply(t, out, "GET")
	if resp.StatusCode != 206 || resp.ContentLength != int64(len(body)) ||
		!strings.HasPrefix(body, "\r\n--00000000000000000001\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/100\r\n\r\nxx\r\n") ||
		!strings.HasSuffix(body, "x\r\n--00000000000000000001--\r\n") {
		t.Errorf("got %q", out)
	}
	// A file of tomorrow was not modified later than now.
	head := string(route.AppendFileHead(nil, e, route.File{ModifiedSec: startNs/1_000_000_000 + 86400}, route.FileAnswer{Status: 200},
		route.ReplyForm{}))
	if !strings.Contains(head, "Last-Modified: "+now+"\r\n") {
		t.Errorf("got %q", head)
	}
	for status, length := range map[int]string{200: "100", 404: "100", 204: ""} {
		out := route.AppendFileHead(nil, e, f, route.FileAnswer{Status: 200}, route.ReplyForm{Status: status})
		resp, err := http.ReadResponse(reader(string(out)), &http.Request{Method: "HEAD"})
		if err != nil || resp.StatusCode != status || resp.Header.Get("Content-Length") != length {
			t.Errorf("%d: %v, got %q", status, err, out)
		}
	}
	resp, _ = parseReply(t, route.AppendRangeError(nil, e, f, route.ReplyForm{}), "GET")
	if resp.StatusCode != 416 || resp.Header.Get("Content-Range") != "bytes */100" {
		t.Errorf("got %v", resp)
	}
}

func TestStaticPaths(t *testing.T) {
	c := newCompiler()
	tests := []struct {
		rule string
		spec route.StaticSpec
		uri  string
		want string
	}{
		{"root", route.StaticSpec{Root: "/srv"}, "/a/b", "/srv/a/b"},
		{"root with a slash", route.StaticSpec{Root: "/srv/"}, "/a", "/srv/a"},
		{"the root of all", route.StaticSpec{Root: "/"}, "/a", "/a"},
		{"alias", route.StaticSpec{Root: "/srv/", Alias: true, Pattern: "/i/"}, "/i/x", "/srv/x"},
		{"alias of a path", route.StaticSpec{Root: "/srv/f", Alias: true, Pattern: "/i", Modifier: route.Exact}, "/i", "/srv/f"},
		{"alias shorter than its location", route.StaticSpec{Root: "/srv/", Alias: true, Pattern: "/long/"}, "/x", "/srv/"},
		{"alias in a regex", route.StaticSpec{Root: "/srv/$uri", Alias: true, Modifier: route.Regex}, "/x", "/srv//x"},
		{"relative", route.StaticSpec{Root: "${http_none}www/$host", Prefix: "/opt"}, "/x", "/opt/www/example.com/x"},
		{"relative, prefix with a slash", route.StaticSpec{Root: "$host", Prefix: "/opt/"}, "/x", "/opt/example.com/x"},
		{"nothing", route.StaticSpec{Root: "$http_none", Prefix: "/opt"}, "/x", "/opt/x"},
		{"absolute after all", route.StaticSpec{Root: "$uri", Prefix: "/opt"}, "/x", "/x/x"},
		{"a NUL", route.StaticSpec{Root: "/srv"}, "/a\x00b", "/dev/null/"},
	}
	for _, tt := range tests {
		s, err := c.NewStatic(&tt.spec)
		if err != nil {
			t.Fatalf("%s: %v", tt.rule, err)
		}
		e := newEnv(t, get("/"))
		e.URI = []byte(tt.uri)
		if got := string(s.AppendPath([]byte("+"), e)); got != "+"+tt.want {
			t.Errorf("%s: got %q, want %q", tt.rule, got, tt.want)
		}
		e.Location = &route.Location{Static: s}
		tmpl := compile(t, c, "$request_filename")
		if got := string(tmpl.Append(nil, e)); got != tt.want {
			t.Errorf("%s: $request_filename: got %q, want %q", tt.rule, got, tt.want)
		}
	}
	for _, spec := range []route.StaticSpec{
		{Root: "/x", Alias: true, Modifier: route.NamedLocation, Pattern: "@x"}, {Root: "$hots"}, {Index: []string{"$hots"}},
		{TryFiles: []string{"$hots"}},
	} {
		if _, err := c.NewStatic(&spec); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
	for _, text := range []string{"=1000", "=x", "=", "@$uri", "$hots", "=199"} {
		if _, err := c.NewTryElse(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	// Before a location is known, the server's content says where files are.
	content, err := c.NewStatic(&route.StaticSpec{Root: "/srv"})
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, get("/"))
	tmpl := compile(t, c, "$document_root|$request_filename|$document_uri")
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != "-|-|/" {
		t.Errorf("got %q", got)
	}
	e.Server = &route.Server{Content: &route.Location{Static: content}}
	if got := string(tmpl.Append(nil, e)); got != "/srv|/srv/|/" {
		t.Errorf("got %q", got)
	}
}

func TestTryFilesInAliases(t *testing.T) {
	c := newCompiler()
	tests := []struct {
		spec               route.StaticSpec
		uri, path, wantURI string
		folder             bool
	}{
		{route.StaticSpec{Root: "/srv/", Alias: true, Pattern: "/i/", TryFiles: []string{"$uri"}}, "/i/x", "/srv/x", "/i/x", false},
		{route.StaticSpec{Root: "/srv/", Alias: true, Pattern: "/i/", TryFiles: []string{"$uri/"}}, "/i/x", "/srv/x", "/i/x", true},
		{route.StaticSpec{Root: "/srv/", Alias: true, Pattern: "/i/", TryFiles: []string{"/i/x"}}, "/i/x", "/srv//i/x", "/i//i/x", false},
		{route.StaticSpec{Root: "/srv", Alias: true, Modifier: route.Regex, TryFiles: []string{"$uri/"}}, "/x", "/srv/x", "/x", true},
		{route.StaticSpec{Root: "/srv", Alias: true, Modifier: route.Regex, TryFiles: []string{"/y"}}, "/x", "/srv/y", "/y", false},
		{route.StaticSpec{Root: "/srv", TryFiles: []string{"/a$uri"}}, "/x\x00", "/dev/null/", "/a/x\x00", false},
	}
	for _, tt := range tests {
		s, err := c.NewStatic(&tt.spec)
		if err != nil {
			t.Fatal(err)
		}
		e := newEnv(t, get("/"))
		e.URI = []byte(tt.uri)
		uri, path, folder := s.AppendTry(nil, nil, e, 0)
		if string(uri) != tt.wantURI || string(path) != tt.path || folder != tt.folder {
			t.Errorf("%+v: got %q %q %v", tt, uri, path, folder)
		}
	}
}

func TestErrorPageTargets(t *testing.T) {
	c := newCompiler()
	pages, err := c.NewErrorPages([]route.ErrorPageSpec{
		{Statuses: []int{404, 403}, Overwrite: route.KeepStatus, Target: "/p$uri?a=$arg_a"},
		{Statuses: []int{403, 502}, Overwrite: route.OwnStatus, Target: "@back"},
		{Statuses: []int{401}, Overwrite: 303, Target: "$scheme://$host$uri"},
		{Statuses: []int{500}, Overwrite: 200, Target: "http://x.test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages.For(400) != nil || (&route.ErrorPages{}).For(404) != nil {
		t.Error("a page for a status without one")
	}
	if p := pages.For(403); p.Named != "" || p.Redirects() || p.Overwrite != route.KeepStatus {
		t.Errorf("403: got %+v", p)
	}
	if p := pages.For(502); p.Named != "@back" || p.Redirects() || p.Overwrite != route.OwnStatus {
		t.Errorf("502: got %+v", p)
	}
	e := newEnv(t, get("/x%0d%0ay%23?a=1"))
	if got := string(pages.For(404).Target(e)); got != "/p/x\r\ny#?a=1" {
		t.Errorf("404: got %q", got)
	}
	for status, want := range map[int]int{401: 303, 500: 302} {
		resp, _ := parseReply(t, route.AppendErrorRedirect(nil, e, pages.For(status), route.ReplyForm{}), "GET")
		if !pages.For(status).Redirects() || resp.StatusCode != want || len(resp.Header["X"]) > 0 {
			t.Errorf("%d: got %v", status, resp)
		}
	}
	for _, target := range []string{"", "$uri", "@$uri", "$hots", "/$hots"} {
		if _, err := c.NewErrorPages([]route.ErrorPageSpec{{Statuses: []int{404}, Target: target}}); err == nil {
			t.Errorf("%q was accepted", target)
		}
	}
}

func TestSetInternal(t *testing.T) {
	p := newProxy(t)
	for target, want := range map[string]string{
		"/a b?c=\r\nX: y#": "/a%20b?c=%0D%0AX:%20y%23", "/50x.html": "/50x.html", "x": "/x", "": "/", "?a": "/?a",
		"/%41?x?y": "/%2541?x?y", "/a#b": "/a%23b",
	} {
		e := through(t, p, get("/start?args"))
		e.SetInternal([]byte(target))
		head, _ := p.AppendRequest(nil, e, route.RequestForm{Keepalive: true})
		if got := string(head); got != "GET "+want+" HTTP/1.1\r\nHost: back\r\n\r\n" {
			t.Errorf("%q: got %q", target, got)
		}
		tmpl := compile(t, newCompiler(), "$request_uri $uri $args")
		uri, args, _ := strings.Cut(target, "?")
		if !strings.HasPrefix(uri, "/") {
			uri = "/" + uri
		}
		if got := string(tmpl.Append(nil, e)); got != "/start?args "+uri+" "+args {
			t.Errorf("%q: got %q", target, got)
		}
	}
	// OPTIONS * that ended in an error page is about that page.
	e := through(t, p, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
	e.SetInternal([]byte("/e"))
	if head, _ := p.AppendRequest(nil, e, route.RequestForm{Get: true}); !strings.HasPrefix(string(head), "GET /e HTTP/1.1") {
		t.Errorf("got %q", head)
	}
}

func TestHeadersCannotEndAField(t *testing.T) {
	c := newCompiler()
	var err error
	s := settings
	s.Headers, err = c.NewHeaders(&route.HeadersSpec{Add: []route.AddHeader{{Name: "X-Path", Value: "$uri", Always: true}}})
	if err != nil {
		t.Fatal(err)
	}
	s.ServerName = "edge"
	e := newEnv(t, get("/a%0d%0aSet-Cookie:%20x"))
	e.Location = &route.Location{Settings: s}
	for _, status := range []int{200, 301, 404, 503} {
		resp, body := parseReply(t, route.AppendError(nil, e, status, route.ReplyForm{}), "GET")
		if resp.Header.Get("X-Path") != "/a  Set-Cookie: x" || resp.Header.Get("Set-Cookie") != "" ||
			resp.Header.Get("Server") != "edge" || !strings.Contains(body, "<hr>edge\n") {
			t.Errorf("%d: got %v", status, resp.Header)
		}
	}
	for _, spec := range []route.HeadersSpec{
		{Add: []route.AddHeader{{Name: "Content-Length", Value: "1"}}}, {Add: []route.AddHeader{{Name: "a b", Value: "1"}}},
		{Add: []route.AddHeader{{Name: "", Value: "1"}}}, {Add: []route.AddHeader{{Name: "A", Value: "$hots"}}},
		{Expires: "x"}, {Expires: "1h1d"}, {Expires: "@25h"}, {Expires: "@1h", Modified: true}, {Expires: "max", Modified: true},
		{Expires: "$hots"}, {Expires: "99999999999999999999"}, {Expires: "9999999y"}, {Expires: "-"},
	} {
		if _, err := c.NewHeaders(&spec); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
	for _, spec := range []route.HeadersSpec{{}, {Expires: "off"}, {Expires: "off", Modified: true}} {
		if h, err := c.NewHeaders(&spec); h != nil || err != nil {
			t.Errorf("%+v: got %v, %v", spec, h, err)
		}
	}
}

// What expires and add_header do to an upstream's fields, on a 101 and on an error.
func TestHeadersOfAnUpstream(t *testing.T) {
	c := newCompiler()
	p := newProxy(t)
	e := through(t, p, get("/"))
	var err error
	e.Location.Settings.Headers, err = c.NewHeaders(&route.HeadersSpec{Expires: "1h", Modified: true, Add: []route.AddHeader{
		{Name: "X-A", Value: "a"}, {Name: "X-B", Value: "b", Always: true}, {Name: "ETag", Value: ""},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[string]string{
		"200 OK": "X: 1\r\nLast-Modified: Tue, 14 Nov 2023 22:00:00 GMT\r\nExpires: Tue, 14 Nov 2023 23:00:00 GMT\r\n" +
			"Cache-Control: max-age=2799\r\nX-A: a\r\nX-B: b\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
		"404 Not Found": "Expires: 0\r\nCache-Control: c\r\nX: 1\r\nETag: e\r\nLast-Modified: Tue, 14 Nov 2023 22:00:00 GMT\r\n" +
			"X-B: b\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
		"101 Switching Protocols": "Expires: 0\r\nCache-Control: c\r\nX: 1\r\nETag: e\r\n" +
			"Last-Modified: Tue, 14 Nov 2023 22:00:00 GMT\r\nX-B: b\r\nConnection: upgrade\r\n\r\n",
	} {
		respond(t, e, "HTTP/1.1 "+status+"\r\nExpires: 0\r\nCache-Control: c\r\nX: 1\r\nETag: e\r\n"+
			"Last-Modified: Tue, 14 Nov 2023 22:00:00 GMT\r\n\r\n")
		form := route.ResponseForm{}
		form.Framing.Kind, form.Framing.Length = 1, 1
		got := string(p.AppendResponse(nil, e, form))
		_, got, _ = strings.Cut(got, now+"\r\n")
		if got != want {
			t.Errorf("%s: got\n%q\nwant\n%q", status, got, want)
		}
	}
	if got := string(p.AppendInterim(nil, e)); strings.Contains(got, "X-B") {
		t.Errorf("an interim response got fields: %q", got)
	}
}

func TestChallengeOfAnUpstream(t *testing.T) {
	p := newProxy(t)
	e := through(t, p, get("/"))
	respond(t, e, "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nX: 1\r\n\r\n")
	for status, want := range map[int]string{401: "Basic", 403: ""} {
		resp, _ := parseReply(t, route.AppendError(nil, e, status, route.ReplyForm{}), "GET")
		if got := resp.Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%d: got %q", status, got)
		}
	}
	f := route.File{Size: 1}
	head := string(route.AppendFileHead(nil, e, f, route.FileAnswer{Status: 200}, route.ReplyForm{Status: 401}))
	if !strings.Contains(head, "WWW-Authenticate: Basic\r\n") {
		t.Errorf("got %q", head)
	}
}

func TestNothingIsAllocatedForAFile(t *testing.T) {
	c := newCompiler()
	s := fileSettings
	var err error
	s.Headers, err = c.NewHeaders(&route.HeadersSpec{Expires: "$arg_x", Modified: true, Add: []route.AddHeader{
		{Name: "X-A", Value: "$uri$arg_x"}, {Name: "Cache-Control", Value: "public"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Types = route.NewTypes(map[string]string{"txt": "text/x"})
	static, err := c.NewStatic(&route.StaticSpec{Root: "$host", Prefix: "/opt", Index: []string{"$host.html"}, TryFiles: []string{"$uri/"}})
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t)
	e := newEnv(t, get("/f.TXT?x=1h", "If-None-Match: \"x\", \"y\"", "If-Unmodified-Since: "+laterDate, "If-Range: "+modifiedDate,
		"Range: bytes=0-1,2-3"))
	respond(t, e, "HTTP/1.1 200 OK\r\nTrailer: x\r\nLast-Modified: "+modifiedDate+"\r\n\r\n")
	e.Location = &route.Location{Settings: s, Static: static, Proxy: p}
	pages, err := c.NewErrorPages([]route.ErrorPageSpec{{Statuses: []int{404}, Target: "/p$uri"}})
	if err != nil {
		t.Fatal(err)
	}
	was := *e
	buf := make([]byte, 0, 16<<10)
	path := make([]byte, 0, 1<<10)
	f := route.File{Size: 100, ModifiedSec: filesModified}
	ranges := 0
	run := func() {
		e.Reset()
		e.Head, e.Req, e.URI, e.Args, e.RespHead, e.Resp = was.Head, was.Req, was.URI, was.Args, was.RespHead, was.Resp
		e.Location, e.NowNs, e.Host = was.Location, was.NowNs, was.Host
		a := e.JudgeFile(f)
		ranges = a.Ranges
		buf = route.AppendFileHead(buf[:0], e, f, a, route.ReplyForm{})
		buf = route.AppendPartHead(buf, e, f, a, 1)
		buf = p.AppendResponse(buf, e, route.ResponseForm{Framing: chunkedBody, Trailers: true})
		buf = p.AppendInterim(buf, e)
		buf = p.AppendResponseTrailers(buf, e.RespHead, e.Resp.Fields)
		path = static.AppendPath(path[:0], e)
		buf, path, _ = static.AppendTry(buf, path[:0], e, 0)
		buf = static.AppendIndex(buf, e, 0)
		buf = route.AppendRangeError(buf, e, f, route.ReplyForm{})
		e.SetInternal(pages.For(404).Target(e))
		buf, _ = p.AppendRequest(buf, e, route.RequestForm{Get: true, Trailers: true, Expect: true})
	}
	run()
	if ranges != 2 || !strings.Contains(string(buf), "Content-Type: text/x") {
		t.Fatal(fmt.Sprint(ranges), string(buf))
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
