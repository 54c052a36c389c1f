package engine

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// raw is a connection to the front that is written and read by hand.
type raw struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func dialFront(t *testing.T, dir string) *raw {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, "front"))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	return &raw{Conn: conn, in: bufio.NewReader(conn), t: t}
}

// exchange sends a request and reads its response.
func (c *raw) exchange(request, method string) (*http.Response, string) {
	c.t.Helper()
	_, err := io.WriteString(c, request)
	must(c.t, err)
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	must(c.t, err)
	body, err := io.ReadAll(resp.Body)
	must(c.t, err)
	return resp, string(body)
}

// proxied starts holdfast with one server at DIR/front.
func proxied(t *testing.T, dir, locations string) {
	t.Helper()
	ours := launch(t, dir, "worker_processes 1; pid DIR/pid; error_log DIR/error.log info;\nevents { worker_connections 64; }\n"+
		"http { access_log off; server { listen unix:DIR/front;\n"+locations+"\n} }\n")
	listens(t, dir, ours.ended)
}

// TestConnectionsGoOn proves that a client's connection can carry on after what proxy_method and
// proxy_pass_request_body do to its request.
func TestConnectionsGoOn(t *testing.T) {
	dir := worldDir(t)
	replyBackend(t, dir)
	proxied(t, dir, `location /nobody { proxy_pass http://unix:DIR/back; proxy_pass_request_body off; }
		location /own { proxy_pass http://unix:DIR/back; proxy_set_body "own $request_method"; proxy_request_buffering off; }
		location /empty { proxy_pass http://unix:DIR/back; proxy_set_body ""; }
		location /head { proxy_pass http://unix:DIR/back; proxy_method HEAD; }
		location /get { proxy_pass http://unix:DIR/back; proxy_method GET; }
		location /none { proxy_pass http://unix:DIR/back; proxy_method $arg_m; }`)
	c := dialFront(t, dir)
	long := strings.Repeat("x", 300_000)
	post := func(path string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(long), long)
	}
	for _, tt := range []struct{ request, method, want string }{
		{post("/nobody"), "POST", "POST /nobody [] "},
		{post("/own"), "POST", "POST /own [] own POST"},
		{post("/empty"), "POST", "POST /empty [] "},
		{"POST /nobody HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST", "POST /nobody [] "},
		{"POST /own HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n", "POST",
			"POST /own [] own POST"},
		{"GET /head HTTP/1.1\r\nHost: a\r\n\r\n", "GET", ""},
		{"HEAD /get HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD", ""},
		{"GET /none?m=a/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "GET /none?m=a/b [] "},
		{"GET /none?m=CONNECT HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "GET /none?m=CONNECT [] "},
		{"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "GET /none [] "},
	} {
		resp, body := c.exchange(tt.request, tt.method)
		if resp.StatusCode != 200 || body != tt.want || resp.Close {
			t.Errorf("%.60q: status %d, body %q, want %q; closes %v", tt.request, resp.StatusCode, body, tt.want, resp.Close)
		}
	}
}

// TestUnchunked proves that chunked_transfer_encoding off ends a body of unknown length with the
// connection.
func TestUnchunked(t *testing.T) {
	dir := worldDir(t)
	replyBackend(t, dir)
	proxied(t, dir, `location / { proxy_pass http://unix:DIR/back; chunked_transfer_encoding off; add_trailer A b; }`)
	c := dialFront(t, dir)
	resp, body := c.exchange("GET / HTTP/1.1\r\nHost: a\r\nX-Reply: ~\r\n\r\n", "GET")
	if len(resp.TransferEncoding) > 0 || !resp.Close || body != "GET / [] " {
		t.Errorf("%+v %q", resp, body)
	}
	c = dialFront(t, dir)
	if resp, body = c.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET"); resp.Close || resp.ContentLength != int64(len(body)) {
		t.Errorf("%+v %q", resp, body)
	}
}

// TestHandshakeFieldsGoOn proves that a WebSocket passes where proxy_pass_request_headers is off.
func TestHandshakeFieldsGoOn(t *testing.T) {
	dir := worldDir(t)
	replyBackend(t, dir)
	proxied(t, dir, `location / { proxy_pass http://unix:DIR/back; proxy_pass_request_headers off; proxy_set_header B b;
		proxy_method PUT; }`)
	_, body := dialFront(t, dir).exchange("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nA: a\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n", "GET")
	if want := "GET / [B: b|Sec-Websocket-Key: AAAAAAAAAAAAAAAAAAAAAA==|Sec-Websocket-Version: 13|Upgrade: websocket] "; body != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

// peers accepts connections at a loopback address and answers requests with the address they came
// from. One for /list ends its connection.
func peers(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					from := conn.RemoteAddr().(*net.TCPAddr).IP.String()
					closes := strings.HasPrefix(req.URL.Path, "/list")
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n", len(from))
					if closes {
						fmt.Fprint(conn, "Connection: close\r\n")
					}
					fmt.Fprintf(conn, "\r\n%s", from)
					if closes {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// TestProxyBind proves that connections come from the addresses of proxy_bind in turn, and that
// one whose address depends on the request serves no other.
func TestProxyBind(t *testing.T) {
	dir := worldDir(t)
	addr := peers(t)
	proxied(t, dir, `location /list { proxy_pass http://`+addr+`; proxy_bind 127.0.0.11 [::1] 127.0.0.12 127.0.0.13; }
		location /one { proxy_pass http://`+addr+`; proxy_bind 127.0.0.21; }
		location /off { proxy_pass http://`+addr+`; proxy_bind off; }
		location /var { proxy_pass http://u; proxy_bind $arg_from; }
		location /wrong { proxy_pass http://`+addr+`; proxy_bind ::1; }
		location /transparent { proxy_pass http://`+addr+`; proxy_bind 127.0.0.41 transparent; }
		location /foreign { proxy_pass http://`+addr+`; proxy_bind 192.0.2.1 127.0.0.14; }
	}
	upstream u { server `+addr+`; keepalive 4; } server { listen unix:DIR/other;`)
	c := dialFront(t, dir)
	from := func(path string) string {
		t.Helper()
		resp, body := c.exchange("GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
		if resp.StatusCode != 200 {
			return resp.Status
		}
		return body
	}
	seen := map[string]int{}
	for range 40 {
		seen[from("/list")]++
	}
	if len(seen) != 3 || seen["127.0.0.11"] < 8 || seen["127.0.0.12"] < 8 || seen["127.0.0.13"] < 8 {
		t.Errorf("not in turn: %v", seen)
	}
	// Without CAP_NET_RAW and CAP_NET_ADMIN it is refused.
	if got := from("/transparent"); got != "127.0.0.41" && got != "502 Bad Gateway" {
		t.Errorf("transparent: from %s", got)
	}
	for _, tt := range [][2]string{
		{"/one", "127.0.0.21"}, {"/off", "127.0.0.1"},
		{"/var?from=127.0.0.31", "127.0.0.31"}, {"/var?from=127.0.0.32", "127.0.0.32"}, {"/var?from=x", "127.0.0.1"},
		{"/wrong", "502 Bad Gateway"}, {"/foreign", "127.0.0.14"}, {"/foreign", "127.0.0.14"}, {"/one", "127.0.0.21"},
	} {
		if got := from(tt[0]); got != tt[1] {
			t.Errorf("%s: from %s, want %s", tt[0], got, tt[1])
		}
	}
}

// TestIgnoreClientAbort proves that a request goes on without its client where
// proxy_ignore_client_abort says so, and ends otherwise.
func TestIgnoreClientAbort(t *testing.T) {
	dir := worldDir(t)
	ln, err := net.Listen("unix", filepath.Join(dir, "back"))
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	proxied(t, dir, `location /on { proxy_pass http://unix:DIR/back; proxy_ignore_client_abort on; }
		location /off { proxy_pass http://unix:DIR/back; }`)
	for _, path := range []string{"/on", "/off"} {
		c := dialFront(t, dir)
		_, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		must(t, err)
		up, err := ln.Accept()
		must(t, err)
		defer up.Close()
		must(t, up.SetDeadline(time.Now().Add(patience)))
		in := bufio.NewReader(up)
		_, err = http.ReadRequest(in)
		must(t, err)
		c.Close()
		if path == "/off" {
			if _, err := in.ReadByte(); err == nil {
				t.Error("the upstream's connection lives on")
			}
			continue
		}
		// Another request tells that the first client's end has been seen.
		other := dialFront(t, dir)
		_, err = io.WriteString(other, "GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		must(t, err)
		_, err = io.ReadAll(other)
		must(t, err)
		_, err = io.WriteString(up, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		must(t, err)
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("the exchange did not come to its end: %v", err)
		}
	}
}

// TestStubStatus proves that stub_status answers in nginx's form, for all shards.
func TestStubStatus(t *testing.T) {
	dir := worldDir(t)
	ours := launch(t, dir, "worker_processes 2; pid DIR/pid; error_log DIR/error.log info;\nevents { worker_connections 64; }\n"+
		"http { access_log off; server { listen unix:DIR/front; location / { stub_status; } }\n"+
		"server { listen unix:DIR/server; stub_status on; } }\n")
	listens(t, dir, ours.ended)
	idle := dialFront(t, dir)
	until(t, "the idle connection", func() bool {
		resp, body := idle.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
		if got := resp.Header.Get("Content-Type"); got != "text/plain" {
			t.Fatalf("Content-Type %q", got)
		}
		other := dialFront(t, dir)
		defer other.Close()
		_, text := other.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET")
		var active, accepted, handled, requests, reading, writing, waiting int
		_, err := fmt.Sscanf(text, "Active connections: %d \nserver accepts handled requests\n %d %d %d \nReading: %d Writing: %d Waiting: %d \n",
			&active, &accepted, &handled, &requests, &reading, &writing, &waiting)
		if err != nil || !strings.HasPrefix(body, "Active connections: ") {
			t.Fatalf("%v: %q, %q", err, body, text)
		}
		return writing >= 1 && waiting >= 1 && active >= 2 && accepted == handled && requests >= 2 && reading >= 0
	})
	if status, body := ours.get(t, "unix", dir+"/server", "/x"); status != 200 || !strings.HasPrefix(body, "Active connections: ") {
		t.Errorf("%d %q", status, body)
	}
}

// TestAccelKeepsConnection proves that a connection whose response was an X-Accel-Redirect serves
// other requests, unless more of a body was to come, and that a streamed upload ends well.
func TestAccelKeepsConnection(t *testing.T) {
	dir := worldDir(t)
	ln, err := net.Listen("unix", filepath.Join(dir, "back"))
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for number := 1; ; number++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: %s\r\nX-Number: %d\r\nContent-Length: %s\r\n\r\n",
						cmp.Or(req.URL.Query().Get("to"), "/loop"), number, cmp.Or(req.URL.Query().Get("length"), "0"))
				}
			}()
		}
	}()
	proxied(t, dir, `location / { proxy_pass http://u; proxy_request_buffering off; }
		location /in { internal; return 200 "$upstream_http_x_number $request_method"; }
		location @in { return 200 "@ $upstream_http_x_number $request_method"; }
		location @up { proxy_pass http://u; }
		location /loop { internal; proxy_pass http://u; }
	}
	upstream u { server unix:DIR/back; keepalive 4; } server { listen unix:DIR/other;`)
	c := dialFront(t, dir)
	for _, tt := range [][2]string{
		{"/?to=/in&length=0", "1 GET"}, {"/?to=@in&length=0", "@ 1 GET"}, {"/?to=/in&length=5", "1 GET"}, {"/?to=/in&length=0", "2 GET"},
	} {
		resp, body := c.exchange("GET "+tt[0]+" HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
		if resp.StatusCode != 200 || body != tt[1] {
			t.Errorf("%s: %d %q, want %q", tt[0], resp.StatusCode, body, tt[1])
		}
	}
	// This target leads to itself.
	resp, _ := c.exchange("GET /?to=/loop HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
	if resp.StatusCode != 500 {
		t.Errorf("a loop: %d", resp.StatusCode)
	}
	for _, target := range []string{"@in", "/in", "@up"} {
		c = dialFront(t, dir)
		resp, body := c.exchange("POST /?to="+target+"&length=0 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc", "POST")
		want := map[string]int{"@in": 200, "/in": 200, "@up": 502}[target]
		if resp.StatusCode != want || !resp.Close {
			t.Errorf("an upload to %s: %d %q, closes %v", target, resp.StatusCode, body, resp.Close)
		}
	}
}

// TestStreamBindList proves that the connections of stream take turns too.
func TestStreamBindList(t *testing.T) {
	dir := worldDir(t)
	addr := peers(t)
	ours := launch(t, dir, "worker_processes 1; pid DIR/pid; error_log DIR/error.log info;\nevents { worker_connections 64; }\n"+
		"stream { server { listen unix:DIR/front; proxy_pass "+addr+"; proxy_bind 127.0.0.51 127.0.0.52; } }\n")
	listens(t, dir, ours.ended)
	seen := map[string]int{}
	for range 20 {
		_, body := dialFront(t, dir).exchange("GET /list HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
		seen[body]++
	}
	if len(seen) != 2 || seen["127.0.0.51"] < 9 || seen["127.0.0.52"] < 9 {
		t.Errorf("not in turn: %v", seen)
	}
}
