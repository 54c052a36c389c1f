package route_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/httpparse"
	"holdfast/route"
)

// filesModified is the time of all files in these tests, in seconds since 1970.
const filesModified = 1_600_000_000

// The same time as an HTTP-date, and a day earlier and later.
const (
	modifiedDate = "Sun, 13 Sep 2020 12:26:40 GMT"
	earlierDate  = "Sat, 12 Sep 2020 12:26:40 GMT"
	laterDate    = "Mon, 14 Sep 2020 12:26:40 GMT"
)

// makeFiles fills a document root: names with their contents; a final "/" makes a folder.
func makeFiles(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(filesModified, 0)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
}

// site of files as the caller of this package would serve it, without index loops.
type fileSite struct {
	t      *testing.T
	server *route.Server
}

// serve answers one request as a shard does.
func (s *fileSite) serve(e *route.Env) string {
	e.Server = s.server
	status := 0
	for range 10 {
		l, _ := s.server.Locate(e)
		if l == nil {
			l = s.server.Content
		}
		e.Location = l
		text, code, again := s.locate(e, l, route.ReplyForm{Status: status})
		if again {
			continue
		}
		if code == 0 {
			return text
		}
		page := e.Location.Settings.ErrorPages.For(code)
		if page == nil || status != 0 {
			return string(route.AppendError(nil, e, code, route.ReplyForm{}))
		}
		if page.Redirects() {
			return string(route.AppendErrorRedirect(nil, e, page, route.ReplyForm{}))
		}
		switch status = page.Overwrite; status {
		case route.KeepStatus:
			status = code
		case route.OwnStatus:
			status = 0
		}
		e.SetInternal(page.Target(e))
	}
	return string(route.AppendError(nil, e, 500, route.ReplyForm{}))
}

// locate answers from one location: with a text, with an error's status, or by going on
// elsewhere.
func (s *fileSite) locate(e *route.Env, l *route.Location, form route.ReplyForm) (text string, code int, again bool) {
	if l.Rewrite != nil {
		ret := l.Rewrite.Run(e, nil).Return
		if code := ret.Code; l.Settings.ErrorPages.For(code) != nil && form.Status == 0 {
			return "", code, false
		}
		return string(ret.Append(nil, e, form)), 0, false
	}
	path := string(l.Static.AppendPath(nil, e))
	for i := range l.Static.Tries() {
		uri, try, folder := l.Static.AppendTry(nil, nil, e, i)
		if info, err := os.Stat(string(try)); err == nil && info.IsDir() == folder {
			e.SetTried(uri)
			path = string(try)
			return s.file(e, l, path, form)
		}
	}
	if l.TryElse != nil {
		switch {
		case l.TryElse.Code != 0:
			return "", l.TryElse.Code, false
		case l.TryElse.Named != "":
			e.Location = s.server.Named(l.TryElse.Named)
			return s.locate(e, e.Location, form)
		}
		e.SetInternal(l.TryElse.Target(e))
		return "", 0, true
	}
	return s.file(e, l, path, form)
}

func (s *fileSite) file(e *route.Env, l *route.Location, path string, form route.ReplyForm) (string, int, bool) {
	if strings.HasSuffix(string(e.URI), "/") {
		for i := range l.Static.Index() {
			name := string(l.Static.AppendIndex(nil, e, i))
			if _, err := os.Stat(path + name); err == nil {
				e.SetInternal([]byte(string(e.URI) + name))
				return "", 0, true
			}
		}
		return "", 403, false
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return string(route.AppendFolderRedirect(nil, e, form)), 0, false
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", 404, false
	}
	f := route.File{Size: int64(len(content)), ModifiedSec: filesModified}
	a := route.FileAnswer{Status: 200}
	if form.Status == 0 || form.Status == 200 {
		a = e.JudgeFile(f)
	}
	switch a.Status {
	case 412:
		return "", 412, false
	case 416:
		return string(route.AppendRangeError(nil, e, f, form)), 0, false
	}
	a.Boundary = 7
	out := route.AppendFileHead(nil, e, f, a, form)
	if a.Status == 304 || e.Req.MethodID == httpparse.MethodHead {
		return string(out), 0, false
	}
	for i := range a.Ranges {
		if a.Ranges > 1 {
			out = route.AppendPartHead(out, e, f, a, i)
		}
		start, end := e.FileRange(i)
		out = append(out, content[start:end]...)
	}
	switch a.Ranges {
	case 0:
		out = append(out, content...)
	case 1:
	default:
		out = route.AppendPartHead(out, e, f, a, a.Ranges)
	}
	return string(out), 0, false
}

// fileLocation is one location of the comparison: its directives for nginx, and the same
// as settings.
type fileLocation struct {
	pattern string
	text    string // nginx's directives
	static  route.StaticSpec
	els     string // last argument of try_files
	headers route.HeadersSpec
	pages   []route.ErrorPageSpec
	set     func(*route.Settings)
	code    int // return
	body    string
}

func (l fileLocation) spec(t *testing.T, c *route.Compiler, root string) route.LocationSpec {
	t.Helper()
	modifier, pattern := loc{text: l.pattern}.split()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("location %s: %v", l.pattern, err)
		}
	}
	location := &route.Location{Settings: settings}
	location.Settings.ETag, location.Settings.MaxRanges = true, -1
	location.Settings.DefaultType = "text/plain"
	if l.set != nil {
		l.set(&location.Settings)
	}
	var err error
	location.Settings.Headers, err = c.NewHeaders(&l.headers)
	check(err)
	location.Settings.ErrorPages, err = c.NewErrorPages(l.pages)
	check(err)
	if l.code != 0 {
		location.Rewrite, err = returning(c, l.code, l.body)
		check(err)
	}
	static := l.static
	static.Modifier, static.Pattern, static.Prefix = modifier, pattern, root
	if static.Root == "" {
		static.Root = root
	}
	static.Root = strings.ReplaceAll(static.Root, "ROOT", root)
	static.Index = []string{"index.html"}
	location.Static, err = c.NewStatic(&static)
	check(err)
	if l.els != "" {
		location.TryElse, err = c.NewTryElse(l.els)
		check(err)
	}
	s := route.LocationSpec{Modifier: modifier, Pattern: pattern, Location: location}
	if modifier == route.Regex {
		s.Regexp = pattern
	}
	return s
}

// startFiles runs nginx with the locations and builds ours.
func startFiles(t *testing.T, locations []fileLocation) (s *fileSite, dir string) {
	t.Helper()
	var conf strings.Builder
	conf.WriteString("server { listen unix:DIR/files; server_name example.com; root DIR/www; etag on;\n" +
		"if_modified_since exact; default_type text/plain; index index.html;\n")
	for _, l := range locations {
		modifier, pattern := loc{text: l.pattern}.split()
		fmt.Fprintf(&conf, "location %s \"%s\" { %s }\n", modifier, pattern,
			strings.ReplaceAll(l.text, "ROOT", "DIR/www"))
	}
	conf.WriteString("}\n")
	dir = startNginx(t, conf.String())
	root := filepath.Join(dir, "www")
	makeFiles(t, root, map[string]string{
		"a.html": "<p>0123456789</p>\n", "empty": "", "dir/index.html": "index", "dir/b.GIF": "GIF", "noindex/": "",
		"x.y/z": "no ending", "big.txt": strings.Repeat("0123456789", 100), "dir/.jpg": "dot", "sp ace": "space",
		"50x.html": "error page", "dir/other.jpg": "jpg", "a f%\"/": "", "dir/sub/": "",
	})
	c := newCompiler()
	var out []route.LocationSpec
	for _, l := range locations {
		out = append(out, l.spec(t, c, root))
	}
	return &fileSite{t: t, server: server(t, c, out)}, dir
}

// compare asks both for the same and demands the same answer.
func (s *fileSite) compare(dir, raw string) {
	s.t.Helper()
	wantHead, wantBody := exchange(s.t, filepath.Join(dir, "files"), raw)
	e := newEnv(s.t, raw)
	unixLocal(e, dir, "files")
	e.NowNs = time.Now().UnixNano()
	gotHead, gotBody, _ := strings.Cut(s.serve(e), "\r\n\r\n")
	// The texts of pages are our own, and some reason phrases are newer.
	without := []string{"Server", "Date"}
	page := strings.Contains(wantBody, "<center>") || strings.Contains(raw, "HEAD") && !strings.Contains(wantHead, "ETag")
	if page {
		without = append(without, "Content-Length")
		wantBody, gotBody = "", ""
	}
	got, want := fieldLines(gotHead, without...), fieldLines(wantHead, without...)
	got[0], want[0] = got[0][:len("HTTP/1.1 200")], want[0][:len("HTTP/1.1 200")]
	sortBoundary := func(lines []string, body string) string {
		for i, line := range lines {
			if _, boundary, ok := strings.Cut(line, "boundary="); ok {
				lines[i] = strings.Replace(line, boundary, "BOUNDARY", 1)
				return strings.ReplaceAll(body, boundary, "BOUNDARY")
			}
		}
		return body
	}
	gotBody, wantBody = sortBoundary(got, gotBody), sortBoundary(want, wantBody)
	if g, w := expiresApart(got), expiresApart(want); g != w {
		s.t.Errorf("%q\ngot\n%s\nnginx\n%s", raw, g, w)
	}
	if gotBody != wantBody {
		s.t.Errorf("%q: got body\n%q\nnginx\n%q", raw, gotBody, wantBody)
	}
}

// expiresApart joins lines without what may have moved by a second between two answers:
// the time in Expires, and the seconds of a max-age that counts towards a fixed time.
func expiresApart(lines []string) string {
	for i, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Expires" && !strings.Contains(value, " 1970 ") && !strings.Contains(value, " 2037 ") {
			lines[i] = "Expires: later"
		}
		if age, ok := strings.CutPrefix(value, "max-age="); ok && name == "Cache-Control" {
			if n, err := strconv.Atoi(age); err == nil && n%3600 != 0 {
				lines[i] = "Cache-Control: max-age=some"
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestNginxFiles(t *testing.T) {
	s, dir := startFiles(t, []fileLocation{
		{pattern: "/"},
		{pattern: "/al/", text: "alias ROOT/dir/;", static: route.StaticSpec{Root: "ROOT/dir/", Alias: true}},
		{pattern: "= /one", text: "alias ROOT/a.html;", static: route.StaticSpec{Root: "ROOT/a.html", Alias: true}},
		{pattern: `~ ^/re/(.*)\.x$`, text: "alias ROOT/$1.html;", static: route.StaticSpec{Root: "ROOT/$1.html", Alias: true}},
		{pattern: "/var/", text: "root ROOT/$arg_r;", static: route.StaticSpec{Root: "ROOT/$arg_r"}},
		{
			pattern: "/try/", text: "try_files $uri /dir$uri $uri/ /$arg_f /a.html?x;", els: "/a.html?x",
			static: route.StaticSpec{TryFiles: []string{"$uri", "/dir$uri", "$uri/", "/$arg_f"}},
		},
		{pattern: "/code/", text: "try_files $uri =403;", els: "=403", static: route.StaticSpec{TryFiles: []string{"$uri"}}},
		{pattern: "/name/", text: "try_files $uri @n;", els: "@n", static: route.StaticSpec{TryFiles: []string{"$uri"}}},
		{pattern: "@n", text: `return 200 "named $uri";`, code: 200, body: "named $uri"},
		{
			pattern: "/altry/", text: "alias ROOT/dir/; try_files $uri other.jpg =404;", els: "=404",
			static: route.StaticSpec{Root: "ROOT/dir/", Alias: true, TryFiles: []string{"$uri", "other.jpg"}},
		},
		{pattern: "/ret/", text: `return 200 "text";`, code: 200, body: "text"},
		{
			pattern: "/types/", text: `types { text/css CSS; a/b html; } default_type x/y; try_files /dir/other.jpg =404;`,
			els: "=404", static: route.StaticSpec{TryFiles: []string{"/dir/other.jpg"}},
			set: func(s *route.Settings) {
				s.Types, s.DefaultType = route.NewTypes(map[string]string{"CSS": "text/css", "html": "a/b"}), "x/y"
			},
		},
		{
			pattern: "/none/", text: `types {} try_files /a.html =404;`, els: "=404",
			static: route.StaticSpec{TryFiles: []string{"/a.html"}},
			set:    func(s *route.Settings) { s.Types = route.NewTypes(nil) },
		},
	})
	for _, target := range []string{
		"/a.html", "/empty", "/dir/", "/dir/b.GIF", "/dir/.jpg", "/x.y/z", "/missing", "/noindex/", "/sp%20ace",
		"/al/b.GIF", "/al/", "/al/none", "/one", "/one?x", "/re/a.x", "/re/b.x", "/var/x?r=dir", "/try/x", "/try/x?f=dir/b.GIF",
		"/code/x", "/name/a%20b", "/altry/b.GIF", "/altry/none", "/ret/x.html", "/ret/x", "/ret/x.JPG", "/types/x", "/none/x",
		"/types/x.css", "/dir", "/dir?x=%20", "/a%20f%25%22", "/al/sub", "/try/noindex",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			s.compare(dir, method+" "+target+" HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
		}
	}
}

func TestNginxConditionsAndRanges(t *testing.T) {
	s, dir := startFiles(t, []fileLocation{
		{pattern: "/"},
		{
			pattern: "/noetag/", text: "alias ROOT/; etag off; if_modified_since before;",
			static: route.StaticSpec{Root: "ROOT/", Alias: true},
			set:    func(s *route.Settings) { s.ETag, s.IfModifiedSince = false, route.IfModifiedBefore },
		},
		{
			pattern: "/off/", text: "alias ROOT/; if_modified_since off; max_ranges 0;",
			static: route.StaticSpec{Root: "ROOT/", Alias: true},
			set:    func(s *route.Settings) { s.MaxRanges, s.IfModifiedSince = 0, route.IfModifiedOff },
		},
		{
			pattern: "/two/", text: "alias ROOT/; max_ranges 2;", static: route.StaticSpec{Root: "ROOT/", Alias: true},
			set: func(s *route.Settings) { s.MaxRanges = 2 },
		},
	})
	tag := fmt.Sprintf(`"%x-%x"`, filesModified, 1000)
	lists := []string{tag, "W/" + tag, `"x"`, `"x", ` + tag, `"x",W/` + tag + ` , "y"`, "*", tag + `, "z"`, `"a,b", ` + tag}
	var conditions []string
	for _, list := range lists {
		conditions = append(conditions, "If-Match: "+list, "If-None-Match: "+list)
	}
	for _, date := range []string{
		modifiedDate, earlierDate, laterDate, "Sunday, 13-Sep-20 12:26:40 GMT", "Sun Sep 13 12:26:40 2020",
	} {
		conditions = append(conditions, "If-Modified-Since: "+date, "If-Unmodified-Since: "+date)
	}
	conditions = append(conditions, "If-Modified-Since: nonsense",
		"If-None-Match: "+tag+"\r\nIf-Modified-Since: "+modifiedDate,
		"If-None-Match: \"x\"\r\nIf-Modified-Since: "+earlierDate)
	for _, set := range []string{
		"bytes=0-0", "bytes=0-", "bytes=5-9", "bytes=-1", "bytes=-2000", "bytes=999-", "bytes=1000-", "bytes=1000-2000",
		"bytes=990-5000", "bytes=0-0,2-3", "bytes=0-0, -1", "bytes=0-1,1-2,5-6", "bytes=0-999,0-0", "bytes=0-,0-", "bytes=-0",
		"bytes=-0,1-1", "bytes=0-0,5000-", "BYTES=1-2", "items=1-2", "bytes=7-8,1-2", "bytes=500-,0-499", "bytes=1-2 , 3-4",
		"bytes=99999999999999999999-", "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15",
	} {
		conditions = append(conditions, "Range: "+set)
		for _, check := range []string{tag, "W/" + tag, `"x"`, modifiedDate, earlierDate, laterDate} {
			conditions = append(conditions, "Range: "+set+"\r\nIf-Range: "+check)
		}
	}
	conditions = append(conditions, "Range: bytes=1-2\r\nIf-None-Match: "+tag, "Range: bytes=1-2\r\nIf-None-Match: \"x\"",
		"Range: bytes=1-2\r\nIf-Match: \"x\"", "If-Range: "+tag)
	for _, target := range []string{"/big.txt", "/noetag/big.txt", "/off/big.txt", "/two/big.txt", "/empty"} {
		for _, condition := range conditions {
			// Here nginx lets If-Modified-Since count beside If-None-Match.
			if strings.Contains(condition, tag+"\r\nIf-Modified-Since") && strings.HasPrefix(target, "/off/") {
				continue
			}
			s.compare(dir, get(target, condition, "Connection: close"))
			if !strings.Contains(condition, "Range: ") && target == "/big.txt" {
				s.compare(dir, "HEAD "+strings.TrimPrefix(get(target, condition, "Connection: close"), "GET "))
			}
		}
	}
}

func TestNginxHeadersAndExpires(t *testing.T) {
	add := func(fields ...route.AddHeader) route.HeadersSpec { return route.HeadersSpec{Add: fields} }
	expires := func(text string, modified bool) route.HeadersSpec {
		return route.HeadersSpec{Expires: text, Modified: modified}
	}
	alias := route.StaticSpec{Root: "ROOT/", Alias: true}
	locations := []fileLocation{
		{
			pattern: "/add/", static: alias,
			text: `alias ROOT/; add_header X-A "$uri!"; add_header X-A two; add_header X-E "$http_none"; add_header X-B b always;`,
			headers: add(route.AddHeader{Name: "X-A", Value: "$uri!"}, route.AddHeader{Name: "X-A", Value: "two"},
				route.AddHeader{Name: "X-E", Value: "$http_none"}, route.AddHeader{Name: "X-B", Value: "b", Always: true}),
		},
		{
			pattern: "/cc/", static: alias,
			text: `alias ROOT/; add_header Cache-Control public; add_header cache-control "private"; expires 1h;`,
			headers: route.HeadersSpec{Expires: "1h", Add: []route.AddHeader{
				{Name: "Cache-Control", Value: "public"}, {Name: "cache-control", Value: "private"},
			}},
		},
		{
			pattern: "/set/", static: alias,
			text: `alias ROOT/; add_header Last-Modified "x"; add_header ETag ""; add_header ETag "$arg_e"; add_header Last-Modified "$arg_l";`,
			headers: add(route.AddHeader{Name: "Last-Modified", Value: "x"}, route.AddHeader{Name: "ETag"},
				route.AddHeader{Name: "ETag", Value: "$arg_e"}, route.AddHeader{Name: "Last-Modified", Value: "$arg_l"}),
		},
	}
	for i, x := range []struct {
		text     string
		modified bool
	}{
		{"1h", false}, {"-1", false}, {"0", false}, {"+2d 3h", false}, {"epoch", false}, {"max", false}, {"off", false},
		{"@00h00m", false}, {"1h", true}, {"10y", true}, {"-1h", true}, {"0", true}, {"$arg_x", false}, {"$arg_x", true},
	} {
		modified := ""
		if x.modified {
			modified = "modified "
		}
		locations = append(locations, fileLocation{
			pattern: fmt.Sprintf("/x%d/", i), static: alias, headers: expires(x.text, x.modified),
			text: fmt.Sprintf("alias ROOT/; expires %s\"%s\";", modified, x.text),
		})
	}
	for _, code := range []int{200, 201, 204, 206, 301, 302, 303, 307, 308, 400, 403, 404, 418, 500, 503} {
		locations = append(locations, fileLocation{
			pattern: fmt.Sprintf("/%d/", code), code: code, body: "/elsewhere",
			text: fmt.Sprintf(`return %d /elsewhere; add_header X-A a; add_header X-B b always; expires 1d;`, code),
			headers: route.HeadersSpec{Expires: "1d", Add: []route.AddHeader{
				{Name: "X-A", Value: "a"}, {Name: "X-B", Value: "b", Always: true},
			}},
		})
	}
	s, dir := startFiles(t, locations)
	for _, target := range []string{
		"/add/a.html", "/add/missing", "/add/dir/", "/cc/a.html", "/cc/missing", "/set/a.html", "/set/a.html?e=%22x%22&l=y",
		"/200/", "/201/", "/204/", "/206/", "/301/", "/302/", "/303/", "/307/", "/308/", "/400/", "/403/", "/404/",
		"/418/", "/500/", "/503/",
	} {
		s.compare(dir, get(target, "Connection: close"))
	}
	for i := range 14 {
		s.compare(dir, get(fmt.Sprintf("/x%d/a.html?x=1h", i), "Connection: close"))
		s.compare(dir, get(fmt.Sprintf("/x%d/missing", i), "Connection: close"))
		s.compare(dir, get(fmt.Sprintf("/x%d/a.html", i), "Connection: close", "If-Modified-Since: "+modifiedDate))
	}
	for _, value := range []string{"off", "epoch", "max", "-1", "@0h", "", "nonsense", "1x", "3600", "@25h", "1m1h", "1h%20", "+", "h"} {
		s.compare(dir, get("/x12/a.html?x="+value, "Connection: close"))
		if value != "epoch" && value != "max" {
			s.compare(dir, get("/x13/a.html?x="+value, "Connection: close"))
		}
	}
	s.compare(dir, get("/add/a.html", "Connection: close", "Range: bytes=0-1"))
	s.compare(dir, get("/cc/a.html", "Connection: close", "Range: bytes=0-1,3-4"))
}

func TestNginxErrorPages(t *testing.T) {
	pages := func(target string, overwrite int, statuses ...int) []route.ErrorPageSpec {
		return []route.ErrorPageSpec{{Statuses: statuses, Overwrite: overwrite, Target: target}}
	}
	alias := route.StaticSpec{Root: "ROOT/", Alias: true}
	s, dir := startFiles(t, []fileLocation{
		{pattern: "/keep/", text: "alias ROOT/; error_page 404 /50x.html;", static: alias,
			pages: pages("/50x.html", route.KeepStatus, 404)},
		{pattern: "/200/", text: "alias ROOT/; error_page 404 =200 /50x.html;", static: alias, pages: pages("/50x.html", 200, 404)},
		{pattern: "/410/", text: "alias ROOT/; error_page 404 =410 /50x.html;", static: alias, pages: pages("/50x.html", 410, 404)},
		{pattern: "/own/", text: "alias ROOT/; error_page 404 = /50x.html;", static: alias,
			pages: pages("/50x.html", route.OwnStatus, 404)},
		{pattern: "/text/", text: "alias ROOT/; error_page 404 /t?$uri&$args;", static: alias,
			pages: pages("/t?$uri&$args", route.KeepStatus, 404)},
		{pattern: "/owntext/", text: "alias ROOT/; error_page 404 = /t?x?y;", static: alias,
			pages: pages("/t?x?y", route.OwnStatus, 404)},
		{pattern: "= /t", text: `return 201 "$uri|$args|$request_uri|$document_uri";`, code: 201,
			body: "$uri|$args|$request_uri|$document_uri"},
		{pattern: "/gone/", text: "alias ROOT/; error_page 404 =200 /missing;", static: alias, pages: pages("/missing", 200, 404)},
		{pattern: "/re/", text: "alias ROOT/; error_page 404 =200 /redirect;", static: alias, pages: pages("/redirect", 200, 404)},
		{pattern: "= /redirect", text: "return 301 /x;", code: 301, body: "/x"},
		{pattern: "/err/", text: "alias ROOT/; error_page 404 =200 /e403;", static: alias, pages: pages("/e403", 200, 404)},
		{pattern: "= /e403", text: "return 403;", code: 403},
		{pattern: "/url/", text: "alias ROOT/; error_page 404 http://x.test/a?u=$arg_u;", static: alias,
			pages: pages("http://x.test/a?u=$arg_u", route.KeepStatus, 404)},
		{pattern: "/url301/", text: "alias ROOT/; error_page 404 =301 $scheme://$host/a;", static: alias,
			pages: pages("$scheme://$host/a", 301, 404)},
		{pattern: "/url200/", text: "alias ROOT/; error_page 404 =200 http://x.test/a;", static: alias,
			pages: pages("http://x.test/a", 200, 404)},
		{pattern: "/url308/", text: "alias ROOT/; error_page 404 =308 http://x.test/a;", static: alias,
			pages: pages("http://x.test/a", 308, 404)},
		{pattern: "/first/", text: "alias ROOT/; error_page 404 /50x.html; error_page 404 =200 /a.html;", static: alias,
			pages: append(pages("/50x.html", route.KeepStatus, 404), pages("/a.html", 200, 404)...)},
		{pattern: "/", text: ""},
	})
	for _, target := range []string{
		"/keep/x", "/200/x", "/410/x", "/own/x", "/text/x%20y?q=1", "/owntext/x", "/gone/x", "/re/x", "/err/x", "/url/x?u=1",
		"/url301/x", "/url200/x", "/url308/x", "/first/x",
	} {
		for _, field := range []string{
			"Accept: */*", "If-Modified-Since: " + modifiedDate, "Range: bytes=1-2", "If-Match: \"x\"",
		} {
			s.compare(dir, get(target, field, "Connection: close"))
		}
	}
}

// What goes upstream after an error page, by nginx's rules.
func TestNginxProxiedErrorPages(t *testing.T) {
	address := mirror(t)
	dir := startNginx(t, strings.ReplaceAll(`server { listen unix:DIR/pages; server_name example.com;
location /a/ { error_page 404 /page$uri?q=$arg_q; return 404; }
location /b/ { error_page 404 /uri$uri; return 404; }
location /c/ { error_page 404 @named; return 404; }
location /page/ { proxy_pass http://MIRROR; }
location /uri/ { proxy_pass http://MIRROR/r/; }
location @named { proxy_pass http://MIRROR; }
}`, "MIRROR", address))
	c := newCompiler()
	s := server(t, c, specs(t, c, []loc{
		{text: "/page/", pass: "http://" + address}, {text: "/uri/", pass: "http://" + address + "/r/"},
		{text: "@named", pass: "http://" + address},
	}, nil))
	pages, err := c.NewErrorPages([]route.ErrorPageSpec{
		{Statuses: []int{1}, Target: "/page$uri?q=$arg_q"}, {Statuses: []int{2}, Target: "/uri$uri"},
		{Statuses: []int{3}, Target: "@named"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, folder := range []string{"/a/", "/b/", "/c/"} {
		for _, target := range []string{"x", "x%20y", "%25z?q=1", "?q=%20", "x%3Fy%23z?", "\xc3\xa9", "a//b/./c?q"} {
			for _, method := range []string{"GET", "POST"} {
				raw := method + strings.TrimPrefix(get(folder+target, "Connection: close"), "GET")
				_, body := exchange(t, filepath.Join(dir, "pages"), raw)
				want, _, _ := strings.Cut(body, "\r\n")
				want = strings.ReplaceAll(want, "#", "%23") // there is no fragment in a request line
				e := newEnv(t, raw)
				e.Server = s
				page := pages.For(i + 1)
				form := route.RequestForm{Get: page.Named == ""}
				if page.Named != "" {
					e.Location = s.Named(page.Named)
				} else {
					e.SetInternal(page.Target(e))
					e.Location, _ = s.Locate(e)
				}
				head, _ := e.Location.Proxy.AppendRequest(nil, e, form)
				if got, _, _ := strings.Cut(string(head), "\r\n"); got != want {
					t.Errorf("%q: got %q, nginx %q", raw, got, want)
				}
			}
		}
	}
}

// A file of try_files that is there, in a location with proxy_pass.
func TestNginxProxiedTryFiles(t *testing.T) {
	address := mirror(t)
	dir := startNginx(t, strings.ReplaceAll(`server { listen unix:DIR/try; server_name example.com; root DIR;
location /try/ { try_files /nginx.conf =404; proxy_pass http://MIRROR; }
location / { try_files /nginx.conf =404; proxy_pass http://MIRROR/r/; } }`, "MIRROR", address))
	c := newCompiler()
	s := server(t, c, specs(t, c, []loc{
		{text: "/try/", pass: "http://" + address}, {text: "/", pass: "http://" + address + "/r/"},
	}, nil))
	for _, target := range []string{"/try/x%20y?q", "/u", "/u%20v?q"} {
		want, _, _ := strings.Cut(ask(t, filepath.Join(dir, "try"), target), "\r\n")
		e := newEnv(t, get(target))
		e.Location, _ = s.Locate(e)
		e.SetTried([]byte("/nginx.conf"))
		head, _ := e.Location.Proxy.AppendRequest(nil, e, route.RequestForm{})
		if got, _, _ := strings.Cut(string(head), "\r\n"); got != want {
			t.Errorf("%s: got %q, nginx %q", target, got, want)
		}
	}
}
