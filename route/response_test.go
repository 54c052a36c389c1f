package route_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

const now = "Tue, 14 Nov 2023 22:13:21 GMT"

func TestAppendResponse(t *testing.T) {
	const own = "Server: holdfast\r\nDate: " + now + "\r\n"
	length := func(n int64) httpparse.Framing { return httpparse.Framing{Kind: httpparse.BodyLength, Length: n} }
	tests := []struct {
		rule string
		spec route.ProxySpec
		head string // the request; GET / unless set
		resp string
		form route.ResponseForm
		want string
	}{
		{
			rule: "a 101 keeps Upgrade, Connection and all end-to-end fields",
			resp: "HTTP/1.1 101 Switching Protocols\r\nServer: x\r\nUpgrade: websocket\r\nConnection: Upgrade, Keep-Alive\r\n" +
				"Sec-WebSocket-Accept: a\r\nSec-WebSocket-Protocol: p\r\nContent-Length: 0\r\nSet-Cookie: c\r\n",
			want: "HTTP/1.1 101 Switching Protocols\r\n" + own + "Sec-WebSocket-Accept: a\r\nSec-WebSocket-Protocol: p\r\n" +
				"Set-Cookie: c\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
		},
		{
			rule: "our own Server and Date, hidden fields, the upstream's hop",
			resp: "HTTP/1.1 200 All right\r\nServer: x\r\nDate: y\r\nX-Pad: 1\r\nX-Accel-Redirect: 1\r\nX-Accel-Expires: 1\r\n" +
				"X-Accel-Limit-Rate: 1\r\nX-Accel-Charset: 1\r\nX-Accel-Buffering: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n" +
				"Keep-Alive: 1\r\nTrailer: 1\r\nTransfer-Encoding: chunked\r\nX-End: 1\r\n",
			form: route.ResponseForm{Framing: httpparse.Framing{Kind: httpparse.BodyChunked}, Keepalive: true},
			want: "HTTP/1.1 200 All right\r\n" + own + "X-End: 1\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n",
		},
		{
			rule: "proxy_pass_header and proxy_hide_header",
			spec: route.ProxySpec{
				PassHeaders: []string{"server", "Date", "X-Pad", "Connection"}, HideHeaders: []string{"X-Secret", "Set-Cookie"},
			},
			resp: "HTTP/1.1 200 \r\nServer: x\r\nDate: y\r\nX-Pad: 1\r\nx-secret: 1\r\nSet-Cookie: 1\r\nConnection: close\r\n",
			form: route.ResponseForm{Framing: length(3)},
			want: "HTTP/1.1 200 \r\nServer: x\r\nDate: y\r\nX-Pad: 1\r\nContent-Length: 3\r\nConnection: close\r\n",
		},
		{
			rule: "a passed Server and Date that are missing are made",
			spec: route.ProxySpec{PassHeaders: []string{"Server", "Date"}},
			resp: "HTTP/1.1 200 OK\r\n",
			form: route.ResponseForm{Framing: length(0)},
			want: "HTTP/1.1 200 OK\r\n" + own + "Content-Length: 0\r\nConnection: close\r\n",
		},
		{
			rule: "an HTTP/1.0 answer becomes HTTP/1.1, its end is the connection's",
			resp: "HTTP/1.0 200 OK\r\n",
			form: route.ResponseForm{Framing: httpparse.Framing{Kind: httpparse.BodyClose}},
			want: "HTTP/1.1 200 OK\r\n" + own + "Connection: close\r\n",
		},
		{
			rule: "a HEAD response keeps its length", head: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
			resp: "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n", form: route.ResponseForm{Keepalive: true},
			want: "HTTP/1.1 200 OK\r\n" + own + "Content-Length: 12345\r\nConnection: keep-alive\r\n",
		},
		{
			rule: "a 304 keeps its length", resp: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: e\r\n",
			form: route.ResponseForm{Keepalive: true},
			want: "HTTP/1.1 304 Not Modified\r\n" + own + "ETag: e\r\nContent-Length: 7\r\nConnection: keep-alive\r\n",
		},
		{
			rule: "a 204 has none", resp: "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n",
			form: route.ResponseForm{Keepalive: true},
			want: "HTTP/1.1 204 No Content\r\n" + own + "Connection: keep-alive\r\n",
		},
		{
			rule: "a 426 says which protocol it wants",
			resp: "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
			form: route.ResponseForm{Framing: length(0), Keepalive: true},
			want: "HTTP/1.1 426 Upgrade Required\r\n" + own + "Content-Length: 0\r\nUpgrade: websocket\r\n" +
				"Connection: upgrade\r\nConnection: keep-alive\r\n",
		},
		{
			rule: "of other statuses Upgrade is the upstream's hop",
			resp: "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\n", form: route.ResponseForm{Framing: length(0)},
			want: "HTTP/1.1 200 OK\r\n" + own + "Content-Length: 0\r\nConnection: close\r\n",
		},
		{
			rule: "proxy_pass_header takes back a hidden field of any name",
			spec: route.ProxySpec{HideHeaders: []string{"X-A", "X-B"}, PassHeaders: []string{"x-a"}},
			resp: "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 1\r\n", form: route.ResponseForm{Framing: length(0)},
			want: "HTTP/1.1 200 OK\r\n" + own + "X-A: 1\r\nContent-Length: 0\r\nConnection: close\r\n",
		},
		{
			rule: "Location: the URL of proxy_pass becomes the location",
			resp: "HTTP/1.1 302 Found\r\nLocation: http://back:81/two/x?y\r\n", form: route.ResponseForm{Framing: length(0)},
			want: "HTTP/1.1 302 Found\r\n" + own + "Location: http://example.com:8080/one/x?y\r\nContent-Length: 0\r\n" +
				"Connection: close\r\n",
		},
		{
			rule: "Refresh likewise, without scheme and host",
			resp: "HTTP/1.1 200 OK\r\nRefresh: 5; URL=http://back:81/two/\r\n",
			form: route.ResponseForm{Framing: length(0)},
			want: "HTTP/1.1 200 OK\r\n" + own + "Refresh: 5; URL=/one/\r\nContent-Length: 0\r\nConnection: close\r\n",
		},
		{
			rule: "other URLs stay", resp: "HTTP/1.1 302 Found\r\nLocation: http://back:81/three/\r\nRefresh: 5\r\n",
			form: route.ResponseForm{Framing: length(0)},
			want: "HTTP/1.1 302 Found\r\n" + own + "Location: http://back:81/three/\r\nRefresh: 5\r\nContent-Length: 0\r\n" +
				"Connection: close\r\n",
		},
		{
			rule: "proxy_redirect off", spec: route.ProxySpec{RedirectOff: true},
			resp: "HTTP/1.1 302 Found\r\nLocation: http://back:81/two/\r\n", form: route.ResponseForm{Framing: length(0)},
			want: "HTTP/1.1 302 Found\r\n" + own + "Location: http://back:81/two/\r\nContent-Length: 0\r\n" +
				"Connection: close\r\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			tt.spec.URL, tt.spec.Pattern = "http://back:81/two/", "/one/"
			p, err := newCompiler().NewProxy(&tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			if tt.head == "" {
				tt.head = get("/one/")
			}
			e := newEnv(t, tt.head)
			e.Location = &route.Location{Settings: settings, Proxy: p}
			respond(t, e, tt.resp+"\r\n")
			if got := string(p.AppendResponse(nil, e, tt.form)); got != tt.want+"\r\n" {
				t.Errorf("got\n%q\nwant\n%q", got, tt.want+"\r\n")
			}
		})
	}
}

// parseReply checks that net/http understands an answer of ours, and gives its body.
func parseReply(t *testing.T, answer []byte, method string) (*http.Response, string) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(answer))
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	var body strings.Builder
	if _, err := bufio.NewReader(resp.Body).WriteTo(&body); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	if in.Buffered() > 0 {
		t.Errorf("%q has bytes behind its body", answer)
	}
	return resp, body.String()
}

func TestReturn(t *testing.T) {
	tests := []struct {
		rule, text            string
		code                  int
		wantBody, wantURL     string
		wantType, wantLenText string
	}{
		{"a status alone", "", 204, "", "", "", ""},
		{"a status alone, 200", "", 200, "", "", "text/x", "0"},
		{"a text", "hello $host", 200, "hello example.com", "", "text/x", "17"},
		{"an error with a text", "no $arg_none", 403, "no ", "", "text/x", "3"},
		{"an error alone has a page", "", 404, "404 Not Found", "", "text/html", ""},
		{"an unknown error", "", 499, "499", "", "text/html", ""},
		{"a URL", "https://$host$request_uri", 301, "301 Moved Permanently", "https://example.com/a%20b?c", "text/html", ""},
		{"a path becomes a URL", "/x", 302, "302 Found", "http://example.com:8080/x", "text/html", ""},
		{"a decoded path cannot begin a field", "/$uri", 307, "307", "http://example.com:8080//a%20b", "text/html", ""},
		{"a redirect without URL", "", 308, "308", "", "text/html", ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			r, err := newCompiler().NewReturn(tt.code, tt.text, "text/x")
			if err != nil {
				t.Fatal(err)
			}
			for _, method := range []string{"GET", "HEAD"} {
				e := newEnv(t, method+strings.TrimPrefix(get("/a%20b?c"), "GET"))
				resp, body := parseReply(t, r.Append(nil, e, route.ReplyForm{Keepalive: true}), method)
				h := resp.Header
				if resp.StatusCode != tt.code || h.Get("Location") != tt.wantURL || h.Get("Server") != "holdfast" ||
					h.Get("Date") != now || h.Get("Connection") != "keep-alive" || h.Get("Content-Type") != tt.wantType {
					t.Errorf("%s: got %d %v", method, resp.StatusCode, h)
				}
				if tt.wantLenText != "" && h.Get("Content-Length") != tt.wantLenText {
					t.Errorf("%s: got length %q, want %q", method, h.Get("Content-Length"), tt.wantLenText)
				}
				if method == "HEAD" && body != "" || method == "GET" && !strings.Contains(body, tt.wantBody) {
					t.Errorf("%s: got body %q", method, body)
				}
			}
		})
	}
}

func TestReturnErrors(t *testing.T) {
	c := newCompiler()
	for _, code := range []int{-1, 0, 101, 199, 1000} {
		if _, err := c.NewReturn(code, "", ""); err == nil {
			t.Errorf("%d was accepted", code)
		}
	}
	if _, err := c.NewReturn(200, "$hots", ""); err == nil {
		t.Error("an unknown variable was accepted")
	}
}

func TestAppendError(t *testing.T) {
	for _, status := range []int{400, 404, 408, 413, 429, 431, 499, 500, 502, 503, 504, 505, 599} {
		e := newEnv(t, get("/"))
		resp, body := parseReply(t, route.AppendError(nil, e, status, route.ReplyForm{}), "GET")
		if resp.StatusCode != status || !resp.Close || !strings.Contains(body, fmt.Sprint(status)) {
			t.Errorf("%d: got %d, close %v, %q", status, resp.StatusCode, resp.Close, body)
		}
		if got, want := resp.Header.Get("Retry-After"), map[bool]string{true: "1"}[status == 503]; got != want {
			t.Errorf("%d: got Retry-After %q, want %q", status, got, want)
		}
	}
	e := newEnv(t, get("/"))
	for _, status := range []int{429, 503} {
		resp, _ := parseReply(t, route.AppendError(nil, e, status, route.ReplyForm{RetryAfterSec: 7}), "GET")
		if got := resp.Header.Get("Retry-After"); got != "7" {
			t.Errorf("%d: got Retry-After %q", status, got)
		}
	}
	// Before a head was understood there is nothing but the time.
	bare := &route.Env{}
	bare.Reset()
	bare.NowNs = startNs
	if resp, _ := parseReply(t, route.AppendError(nil, bare, 400, route.ReplyForm{}), "GET"); resp.StatusCode != 400 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestKeepAliveField(t *testing.T) {
	e := newEnv(t, get("/"))
	e.Server = &route.Server{Settings: route.Settings{KeepaliveHeaderSec: 60}}
	resp, _ := parseReply(t, route.AppendError(nil, e, 404, route.ReplyForm{Keepalive: true}), "GET")
	if got := resp.Header.Get("Keep-Alive"); got != "timeout=60" {
		t.Errorf("got %q", got)
	}
}

func TestAbsoluteRedirectOrigin(t *testing.T) {
	r, err := newCompiler().NewReturn(302, "/x", "")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ rule, host, local, want string }{
		{"the requested host and the port of our address", "a.test", "192.0.2.1:8080", "http://a.test:8080/x"},
		{"port 80 is left out", "a.test", "192.0.2.1:80", "http://a.test/x"},
		{"our address without a host", "", "192.0.2.1:8080", "http://192.0.2.1:8080/x"},
		{"our IPv6 address", "", "[2001:db8::1]:8080", "http://[2001:db8::1]:8080/x"},
		{"a unix-domain socket", "a.test", "", "http://a.test/x"},
		{"nothing at all", "", "", "http://localhost/x"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			e := newEnv(t, get("/"))
			e.Host = []byte(tt.host)
			e.Local = netip.AddrPort{}
			if tt.local != "" {
				e.Local = netip.MustParseAddrPort(tt.local)
			}
			resp, _ := parseReply(t, r.Append(nil, e, route.ReplyForm{}), "GET")
			if got := resp.Header.Get("Location"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDateOfEachSecond(t *testing.T) {
	e := newEnv(t, get("/"))
	for _, want := range []string{now, "Tue, 14 Nov 2023 22:13:22 GMT"} {
		resp, _ := parseReply(t, route.AppendError(nil, e, 404, route.ReplyForm{}), "GET")
		if got := resp.Header.Get("Date"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		e.NowNs += 1e9
	}
}

func TestSentFields(t *testing.T) {
	c := newCompiler()
	tmpl := compile(t, c, "$sent_http_content_type|$sent_http_connection|$sent_http_location|$sent_http_x_none|"+
		"$sent_http_server")
	s := server(t, c, nil)
	e := newEnv(t, get("/"))
	e.Server = s
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != "-|-|-|-|-" {
		t.Errorf("nothing sent: got %q", got)
	}
	r, err := c.NewReturn(302, "/x", "")
	if err != nil {
		t.Fatal(err)
	}
	r.Append(nil, e, route.ReplyForm{})
	want := "text/html|close|http://example.com:8080/x|-|holdfast"
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
