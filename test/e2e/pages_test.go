package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// site makes a folder of files that an unprivileged proxy can read as well. A name that
// ends with "/" is a folder.
func site(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-site-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pageServer has a location for each way in which error_page leads somewhere.
const pageServer = `
log_not_found off;
server {
    listen 127.0.0.1:{{port:front}};
    root {{site}};
    client_max_body_size 1k;
    proxy_http_version 1.1;
    error_page 400 413 414 /bad.html;
    error_page 500 502 503 504 /50x.html;
    location = /50x.html { internal; }
    location = /bad.html { internal; }
    location = /404.html { internal; }
    location = /made { return 201 "made\n"; }
    location @second { proxy_pass http://{{backend}}; }
    location @dead { error_page 502 /50x.html; proxy_pass http://{{dead}}; }

    location /dead/ { proxy_pass http://{{dead}}; }
    location /ok/ { error_page 502 =200 /50x.html; proxy_pass http://{{dead}}; }
    location /teapot/ { error_page 502 =418 /50x.html; proxy_pass http://{{dead}}; }
    location /answers/ { error_page 502 = /made; proxy_pass http://{{dead}}; }
    location /keeps/ { error_page 502 /made; proxy_pass http://{{dead}}; }
    location /fallback/ { error_page 502 504 = @second; proxy_pass http://{{dead}}; }
    location /fallback-dead/ { error_page 502 = @dead; proxy_pass http://{{dead}}; }
    location /not-found/ { error_page 404 = @second; }
    location /url/ { error_page 502 https://status.example/down?from=$uri; proxy_pass http://{{dead}}; }
    location /url-301/ { error_page 502 =301 https://status.example/; proxy_pass http://{{dead}}; }
    location /variable/ { error_page 404 =200 /$arg_page; return 404; }
    location /denied/ { error_page 403 /404.html; return 403; }
    location /texted/ { error_page 403 /404.html; return 403 "no page\n"; }

    location /upstream/ { error_page 404 500 /404.html; proxy_pass http://{{backend}}; }
    location /intercepted/ { proxy_intercept_errors on; error_page 404 500 /404.html; proxy_pass http://{{backend}}; }

    location /missing/ { error_page 403 /no-such-page.html; return 403; }
    location /once/ { error_page 502 = /second-error/; proxy_pass http://{{dead}}; }
    location /again/ { recursive_error_pages on; error_page 502 = /second-error/; proxy_pass http://{{dead}}; }
    location /second-error/ { recursive_error_pages on; error_page 404 = /made; return 404; }
    location /loop/ { recursive_error_pages on; error_page 404 /loop/more; return 404; }
    location /internal/ { internal; return 200 "inside\n"; }
    location /inside/ { error_page 418 =200 /internal/x; return 418; }
}`

// What error_page does, by directive and by status.
func TestErrorPages(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		if x.Head.Target() == "/upstream/404" || x.Head.Target() == "/intercepted/404" {
			proc.Answer(404, "the upstream's own 404\n", "X-Upstream: yes")(x)
			return
		}
		mirror(x)
	})
	spec := proc.Spec{HTTP: pageServer, Vars: map[string]string{
		"backend": b.Addr, "dead": port.Address(t),
		"site": site(t, map[string]string{
			"50x.html": "the 50x page\n", "bad.html": "the bad page\n", "404.html": "the 404 page\n", "other.html": "other\n",
		}),
	}}
	post := func(target, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: test.example\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
	}
	rows := []struct {
		name, send string
		status     int
		body       string // a part of it
		location   string
	}{
		{"keeps_the_status", get("/dead/"), 502, "the 50x page\n", ""},
		{"for_a_POST", post("/dead/", "body"), 502, "the 50x page\n", ""},
		{"another_status", get("/ok/"), 200, "the 50x page\n", ""},
		{"an_odd_status", get("/teapot/"), 418, "the 50x page\n", ""},
		{"status_of_the_answer", get("/answers/"), 201, "made\n", ""},
		{"return_under_a_kept_status", get("/keeps/"), 502, "made\n", ""},
		{"named_location", get("/fallback/page?q"), 200, "GET /fallback/page?q HTTP/1.1\n", ""},
		{"named_location_with_a_body", post("/fallback/form", "held body"), 200, "POST /fallback/form HTTP/1.1\nheld body", ""},
		{"named_location_that_fails_too", get("/fallback-dead/"), 502, "502 Bad Gateway", ""},
		{"no_such_file", get("/not-found/page"), 200, "GET /not-found/page HTTP/1.1\n", ""},
		{"redirect", get("/url/x"), 302, "", "https://status.example/down?from=/url/x"},
		{"permanent_redirect", get("/url-301/x"), 301, "", "https://status.example/"},
		{"variable", get("/variable/?page=other.html"), 200, "other\n", ""},
		{"return", get("/denied/"), 403, "the 404 page\n", ""},
		{"return_with_a_text", get("/texted/"), 403, "no page\n", ""},
		{"upstream_answers", get("/upstream/404"), 404, "the upstream's own 404\n", ""},
		{"intercepted", get("/intercepted/404"), 404, "the 404 page\n", ""},
		{"nothing_to_intercept", get("/intercepted/fine"), 200, "GET /intercepted/fine HTTP/1.1\n", ""},
		{"once_only", get("/once/"), 404, "404 Not Found", ""},
		{"recursive", get("/again/"), 201, "made\n", ""},
		{"loop", get("/loop/"), 500, "500 Internal Server Error", ""},
		{"internal_from_outside", get("/internal/x"), 404, "404 Not Found", ""},
		{"internal_page_from_outside", get("/50x.html"), 404, "404 Not Found", ""},
		{"internal_from_inside", get("/inside/"), 200, "inside\n", ""},
		{"bad_request", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "the bad page\n", ""},
		{"too_large", post("/dead/", strings.Repeat("x", 2000)), 413, "the bad page\n", ""},
		{"long_target", get("/" + strings.Repeat("l", 40_000)), 414, "the bad page\n", ""},
	}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				c := proc.Dial(t, p.Front())
				c.Send(row.send)
				h := c.Response(row.status)
				if body := string(c.Body(h)); !strings.Contains(body, row.body) {
					t.Errorf("body %q, want %q in it", body, row.body)
				}
				equal(t, "Location", h.Get("Location"), row.location)
				equal(t, "X-Upstream present", h.Has("X-Upstream"), row.name == "upstream_answers")
				c.Close()
				// The same without a body, and a connection that goes on behind it.
				if !strings.HasPrefix(row.send, "GET ") || row.status == 400 || row.status == 414 {
					return
				}
				c = proc.Dial(t, p.Front())
				c.Send("HEAD" + strings.TrimPrefix(row.send, "GET"))
				if h := c.Response(row.status); strings.EqualFold(h.Get("Connection"), "close") {
					c.ExpectEOF() // nginx after a 500
					return
				}
				c.Send(get("/made"))
				equal(t, "body behind the HEAD", string(c.Body(c.Response(201))), "made\n")
			})
		}
	})
}

// Where the page itself is missing, that is the error the client hears of.
func TestErrorPageThatIsMissing(t *testing.T) {
	spec := proc.Spec{HTTP: pageServer, Vars: map[string]string{
		"backend": port.Address(t), "dead": port.Address(t), "site": site(t, nil),
	}}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for target, status := range map[string]int{"/missing/": 404, "/dead/": 404, "/loop/": 500} {
			c := proc.Dial(t, p.Front())
			c.Send(get(target))
			if body := string(c.Body(c.Response(status))); !strings.Contains(body, fmt.Sprintf("%d ", status)) {
				t.Errorf("body %q", body)
			}
		}
	})
}

// fieldServer adds fields to answers of every origin.
const fieldServer = `
server {
    listen 127.0.0.1:{{port:front}};
    root {{site}};
    add_header X-Some some;
    add_header X-All "all $arg_v" always;
    location / { }
    location /return/ { return 200 "text\n"; }
    location /error/ { return 404; }
    location /proxied/ { proxy_pass http://{{backend}}; }
    location /own/ { add_header X-Own own; }
    location /empty/ { add_header X-Empty $arg_none always; return 200; }
    location /hour/ { expires 1h; return 200; }
    location /past/ { expires epoch; return 200; }
    location /never/ { expires -1; return 200; }
    location /max/ { expires max; proxy_pass http://{{backend}}; }
    location /off/ { expires off; proxy_pass http://{{backend}}; }
}`

// add_header and expires on answers from files, from return, from errors and from an
// upstream.
func TestAddedFields(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		status := 200
		if strings.HasSuffix(x.Head.Target(), "/500") {
			status = 500
		}
		proc.Answer(status, "proxied", "Cache-Control: private", "Expires: Thu, 01 Jan 1981 00:00:00 GMT")(x)
	})
	spec := proc.Spec{HTTP: fieldServer, Vars: map[string]string{
		"backend": b.Addr, "site": site(t, map[string]string{"file.txt": "file\n", "own/file.txt": "own\n"}),
	}}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		ask := func(target string, status int) wire.Head {
			t.Helper()
			c.Send(get(target))
			h := c.Response(status)
			c.Body(h)
			return h
		}
		for _, row := range []struct {
			target    string
			status    int
			some, all string
		}{
			{"/file.txt?v=1", 200, "some", "all 1"}, {"/no-such-file", 404, "", "all "},
			{"/return/", 200, "some", "all "}, {"/error/", 404, "", "all "},
			{"/proxied/", 200, "some", "all "}, {"/proxied/500", 500, "", "all "},
			{"/own/file.txt", 200, "", ""}, // what is added there replaces what is above
		} {
			h := ask(row.target, row.status)
			equal(t, "X-Some of "+row.target, h.Get("X-Some"), row.some)
			equal(t, "X-All of "+row.target, h.Get("X-All"), strings.TrimSpace(row.all))
		}
		equal(t, "X-Own", ask("/own/file.txt", 200).Get("X-Own"), "own")
		equal(t, "X-Empty present", ask("/empty/", 200).Has("X-Empty"), false)
		for target, want := range map[string]string{
			"/hour/": "max-age=3600", "/past/": "no-cache", "/never/": "no-cache", "/max/": "max-age=315360000", "/off/": "private",
		} {
			h := ask(target, 200)
			equal(t, "Cache-Control of "+target, strings.Join(h.Values("Cache-Control"), "; "), want)
			equal(t, "number of Expires of "+target, len(h.Values("Expires")), 1)
		}
		equal(t, "Expires", ask("/past/", 200).Get("Expires"), "Thu, 01 Jan 1970 00:00:01 GMT")
		equal(t, "Expires", ask("/max/", 200).Get("Expires"), "Thu, 31 Dec 2037 23:55:55 GMT")
		if v := ask("/file.txt?v=a%0d%0aX-Split:%20b", 200); v.Has("X-Split") {
			t.Errorf("a variable's value made a field: %q", v.Raw)
		}
	})
}

// What the proxy says about itself.
func TestServerTokens(t *testing.T) {
	b := proc.NewBackend(t, proc.Answer(200, "proxied", "Server: upstream/1.0"))
	p := holdfast(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        location /default/ { return 404; }
        location /off/ { server_tokens off; return 404; }
        location /on/ { server_tokens on; return 404; }
        location /proxied/ { server_tokens on; proxy_pass http://{{backend}}; }
    }`})
	c := proc.Dial(t, p.Front())
	for target, want := range map[string]string{"/default/": "holdfast", "/off/": "holdfast", "/on/": "holdfast/"} {
		c.Send(get(target))
		h := c.Response(404)
		body := string(c.Body(h))
		got := h.Get("Server")
		if strings.HasSuffix(want, "/") && (!strings.HasPrefix(got, want) || len(got) == len(want)) ||
			!strings.HasSuffix(want, "/") && got != want {
			t.Errorf("%s: Server %q, want %q", target, got, want)
		}
		if !strings.Contains(body, got) {
			t.Errorf("%s: no %q in the page %q", target, got, body)
		}
	}
	c.Send(get("/proxied/"))
	h := c.Response(200)
	c.Body(h)
	equal(t, "number of Server fields", len(h.Values("Server")), 1)
}

// A WebSocket handshake that breaks RFC 6455 section 4.2.1 is refused by the proxy, or
// passed on where websocket_strict is off.
func TestStrictWebSocketHandshakes(t *testing.T) {
	b := proc.NewBackend(t, proc.Answer(200, "the upstream answers"))
	p := holdfast(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        location / { proxy_pass http://{{backend}}; }
        location /loose/ { websocket_strict off; proxy_pass http://{{backend}}; }
    }`})
	head := func(target string, lines ...string) string {
		return wire.Lines(append([]string{"GET " + target + " HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"}, lines...)...)
	}
	const key, version = "Sec-WebSocket-Key: " + wire.SampleKey, "Sec-WebSocket-Version: 13"
	for _, row := range []struct {
		name   string
		send   func(target string) string
		status int
	}{
		{"no_key", func(target string) string { return head(target, version) }, 400},
		{"two_keys", func(target string) string { return head(target, version, key, key) }, 400},
		{"short_key", func(target string) string { return head(target, version, "Sec-WebSocket-Key: c2hvcnQ=") }, 400},
		{"no_base64", func(target string) string {
			return head(target, version, "Sec-WebSocket-Key: ????????????????????????")
		}, 400},
		{"no_version", func(target string) string { return head(target, key) }, 426},
		{"old_version", func(target string) string { return head(target, key, "Sec-WebSocket-Version: 8") }, 426},
		{"POST", func(target string) string { return "POST" + strings.TrimPrefix(head(target, key, version), "GET") }, 400},
		{"HTTP/1.0", func(target string) string { return strings.Replace(head(target, key, version), "/1.1", "/1.0", 1) }, 400},
		{"with_a_body", func(target string) string { return head(target, key, version, "Content-Length: 4") + "body" }, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked := len(b.Seen())
			c := proc.Dial(t, p.Front())
			c.Send(row.send("/ws"))
			h := c.Response(row.status)
			c.Body(h)
			if row.status == 426 {
				equal(t, "Sec-WebSocket-Version", h.Get("Sec-WebSocket-Version"), "13")
			}
			equal(t, "requests at the upstream", len(b.Seen())-asked, 0)
			c.Close()
			c = proc.Dial(t, p.Front())
			if row.name == "with_a_body" { // would be taken for the tunnel's first bytes
				return
			}
			c.Send(row.send("/loose/ws"))
			equal(t, "body", string(c.Body(c.Response(200))), "the upstream answers")
		})
	}
}
