package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// forwarder passes requests on in the ways that differ in what it may hold.
const forwarder = `
server {
    listen 127.0.0.1:{{port:front}};
    client_max_body_size 0;
    location / {
        proxy_pass http://{{backend}};
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Connection "";
    }
    location /streamed/ {
        proxy_pass http://{{backend}};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
    }
    location /old/ { proxy_pass http://{{backend}}; proxy_http_version 1.0; }
}`

// mirror answers with the request line and the body it got.
func mirror(x *proc.Exchange) {
	var body []byte
	if x.Head.Chunked() || x.Head.ContentLength() > 0 {
		body = x.Body(x.Head)
	}
	text := x.Head.Start + "\n" + string(body)
	head := wire.Lines("HTTP/1.1 200 OK", fmt.Sprintf("Content-Length: %d", len(text)))
	if x.Head.Method() == http.MethodHead {
		text = ""
	}
	x.Send(head + text)
	x.Keep = x.Err() == nil
}

// The body is held before an upstream is asked, so it is the proxy that asks for it (RFC
// 9110 section 10.1.1).
func TestExpectIsAnsweredBeforeTheUpstreamIsAsked(t *testing.T) {
	b := proc.NewBackend(t, mirror)
	both(t, proc.Spec{HTTP: forwarder, Vars: map[string]string{"backend": b.Addr}}, func(t *testing.T, p *proc.Proxy) {
		for _, framing := range []struct{ field, body string }{
			{"Content-Length: 4", "body"}, {"Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"},
		} {
			asked := len(b.Seen())
			c := proc.Dial(t, p.Front())
			c.Send(wire.Lines("POST /held HTTP/1.1", "Host: x", "Expect: 100-continue", framing.field))
			c.Response(100)
			c.ExpectSilence()
			equal(t, "requests at the backend before the body", len(b.Seen())-asked, 0)
			c.Send(framing.body)
			equal(t, "answer", string(c.Body(c.Response(200))), "POST /held HTTP/1.1\nbody")
			equal(t, "Expect at the backend", b.Last(t).Head.Has("Expect"), false)
			// Who does not wait for it gets none.
			c.Send(wire.Lines("POST /eager HTTP/1.1", "Host: x", "Expect: 100-continue", framing.field) + framing.body)
			h := c.Head()
			if h.Status() == 100 {
				h = c.Head()
			}
			equal(t, "answer", string(c.Body(h)), "POST /eager HTTP/1.1\nbody")
		}
	})
}

// Without request buffering it is the upstream that decides: its 100 comes back, and so
// does a final answer instead of it.
func TestExpectGoesOnWithoutBuffering(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		if !strings.EqualFold(x.Head.Get("Expect"), "100-continue") {
			mirror(x)
			return
		}
		status, _ := strconv.Atoi(strings.TrimPrefix(x.Head.Target(), "/streamed/"))
		if status == 100 {
			x.Send("HTTP/1.1 100 Continue\r\n\r\n")
			mirror(x)
			return
		}
		x.Send(fmt.Sprintf("HTTP/1.1 %d No\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno", status))
		x.WaitEnd()
	})
	p := holdfast(t, proc.Spec{HTTP: forwarder, Vars: map[string]string{"backend": b.Addr}})
	ask := func(c *proc.Raw, status int) {
		c.Send(wire.Lines(fmt.Sprintf("POST /streamed/%d HTTP/1.1", status), "Host: x", "Expect: 100-continue",
			"Content-Length: 4"))
	}
	c := proc.Dial(t, p.Front())
	for range 2 {
		ask(c, 100)
		c.Response(100)
		c.Send("body")
		equal(t, "answer", string(c.Body(c.Response(200))), "POST /streamed/100 HTTP/1.1\nbody")
	}
	for _, status := range []int{417, 401, 413} {
		c := proc.Dial(t, p.Front())
		ask(c, status)
		h := c.Response(status)
		equal(t, "WWW-Authenticate", h.Get("WWW-Authenticate"), "Basic")
		equal(t, "body", string(c.Body(h)), "no")
		// The client sends no body after that. What it sends next is a request or nothing.
		if strings.EqualFold(h.Get("Connection"), "close") {
			c.CloseWrite().ExpectEnd()
			continue
		}
		c.Send(get("/next"))
		equal(t, "the next answer", string(c.Body(c.Response(200))), "GET /next HTTP/1.1\n")
	}
}

// An HTTP/1.0 upstream: no Expect, no chunks, and answers that end with the connection.
func TestHTTP10Upstream(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		var body []byte
		if x.Head.ContentLength() > 0 {
			body = x.Body(x.Head)
		}
		switch x.Head.Target() {
		case "/old/204":
			x.Send("HTTP/1.0 204 No Content\r\n\r\n")
		case "/old/304":
			x.Send("HTTP/1.0 304 Not Modified\r\nContent-Length: 100\r\n\r\n")
		case "/old/head":
			x.Send("HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n")
		default:
			x.Send("HTTP/1.0 200 OK\r\n\r\n" + x.Head.Start + "\n" + string(body))
		}
	})
	both(t, proc.Spec{HTTP: forwarder, Vars: map[string]string{"backend": b.Addr}}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for range 2 {
			c.Send(get("/old/page"))
			h := c.Response(200)
			equal(t, "chunked", h.Chunked(), true)
			equal(t, "answer", string(c.Body(h)), "GET /old/page HTTP/1.0\n")
		}
		equal(t, "Connection", strings.ToLower(b.Last(t).Head.Get("Connection")), "close")
		c.Send("POST /old/form HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n5\r\n more\r\n0\r\n\r\n")
		equal(t, "answer", string(c.Body(c.Response(200))), "POST /old/form HTTP/1.0\nbody more")
		equal(t, "Content-Length", b.Last(t).Head.Get("Content-Length"), "9")
		equal(t, "Transfer-Encoding present", b.Last(t).Head.Has("Transfer-Encoding"), false)
		for _, ask := range []struct {
			method, target string
			status         int
		}{{"HEAD", "/old/head", 200}, {"GET", "/old/204", 204}, {"GET", "/old/304", 304}} {
			c.Send(ask.method + " " + ask.target + " HTTP/1.1\r\nHost: x\r\n\r\n")
			c.Response(ask.status)
		}
		c.Send(get("/old/last"))
		equal(t, "answer", string(c.Body(c.Response(200))), "GET /old/last HTTP/1.0\n")
	})
}

// An HTTP/1.0 client gets neither chunks nor 1xx, and keeps its connection if it asks to
// and the length is known.
func TestHTTP10ClientOfAModernUpstream(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		if x.Head.Target() == "/chunked" {
			x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n")
			x.Keep = true
			return
		}
		x.Send("HTTP/1.1 102 Processing\r\n\r\n")
		mirror(x)
	})
	both(t, proc.Spec{HTTP: forwarder, Vars: map[string]string{"backend": b.Addr}}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		if p.Kind == proc.Holdfast { // nginx 1.22 takes a 1xx for the answer
			for range 2 {
				c.Send("POST /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody")
				h := c.Response(200)
				equal(t, "Connection", strings.ToLower(h.Get("Connection")), "keep-alive")
				equal(t, "answer", string(c.Body(h)), "POST /a HTTP/1.1\nbody")
			}
		}
		c.Send("GET /chunked HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
		h := c.Response(200)
		equal(t, "Transfer-Encoding present", h.Has("Transfer-Encoding"), false)
		equal(t, "Connection", strings.ToLower(h.Get("Connection")), "close")
		equal(t, "answer up to the end", string(c.Body(h)), "body")
	})
}

// Pipelined requests with bodies that are held are answered in their order.
func TestPipelinedRequestsWithHeldBodies(t *testing.T) {
	b := proc.NewBackend(t, mirror)
	both(t, proc.Spec{HTTP: forwarder, Vars: map[string]string{"backend": b.Addr}}, func(t *testing.T, p *proc.Proxy) {
		long := strings.Repeat("long body ", 5000) // more than what is held
		var all, want strings.Builder
		for i := range 12 {
			body := []string{"", "short", long}[i%3]
			method := []string{"GET", "POST", "PUT"}[i%3]
			fmt.Fprintf(&want, "%s /%d HTTP/1.1\n%s", method, i, body)
			fmt.Fprintf(&all, "%s /%d HTTP/1.1\r\nHost: x\r\n", method, i)
			switch {
			case i%3 == 0:
				all.WriteString("\r\n")
			case i%2 == 0:
				fmt.Fprintf(&all, "Content-Length: %d\r\n\r\n%s", len(body), body)
			default:
				fmt.Fprintf(&all, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			}
		}
		c := proc.Dial(t, p.Front())
		go func() { _, _ = io.WriteString(c.Conn(), all.String()) }()
		var got strings.Builder
		for range 12 {
			got.Write(c.Body(c.Response(200)))
		}
		equal(t, "answers", got.String() == want.String(), true)
	})
}

// The forms of a request target (RFC 9112 section 3.2).
func TestTargetForms(t *testing.T) {
	b := proc.NewBackend(t, mirror)
	both(t, proc.Spec{HTTP: forwarder, Vars: map[string]string{"backend": b.Addr}}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("GET http://named.example/path?q=1 HTTP/1.1\r\nHost: named.example\r\n\r\n")
		equal(t, "answer", string(c.Body(c.Response(200))), "GET /path?q=1 HTTP/1.1\n")
		equal(t, "Host", b.Last(t).Head.Get("Host"), "named.example")
		c.Send("OPTIONS /path HTTP/1.1\r\nHost: x\r\n\r\n")
		equal(t, "answer", string(c.Body(c.Response(200))), "OPTIONS /path HTTP/1.1\n")
		// nginx knows no asterisk; whoever does must not take it for a path.
		asked := len(b.Seen())
		star := proc.Dial(t, p.Front())
		star.Send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
		h := star.Head()
		star.Body(h)
		if p.Kind == proc.Nginx {
			equal(t, "OPTIONS *", h.Status(), 400)
		}
		for _, x := range b.Seen()[asked:] {
			equal(t, "target of OPTIONS *", x.Head.Target(), "*")
		}
		star.Close()
	})
}

// Of the 1xx a 102 passes and a 103 only where early_hints says so (RFC 8297).
func TestInterimResponses(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Send("HTTP/1.1 102 Processing\r\n\r\n" +
			"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n")
		x.Send("HTTP/1.1 103 Early Hints\r\nLink: </script.js>; rel=preload\r\n\r\n")
		mirror(x)
	})
	p := holdfast(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        early_hints $http_x_hints;
        location / { proxy_pass http://{{backend}}; }
        location /never/ { early_hints ""; proxy_pass http://{{backend}}; }
    }`})
	c := proc.Dial(t, p.Front())
	for _, ask := range []struct {
		target, value string
		hints         bool
	}{{"/", "1", true}, {"/", "0", false}, {"/", "", false}, {"/never/", "1", false}, {"/", "yes", true}} {
		c.Send("GET " + ask.target + " HTTP/1.1\r\nHost: x\r\nX-Hints: " + ask.value + "\r\n\r\n")
		c.Response(102)
		if ask.hints {
			h := c.Response(103)
			equal(t, "Link", h.Get("Link"), "</style.css>; rel=preload")
			equal(t, "field of the hop", h.Has("X-Hop"), false)
			equal(t, "Link", c.Response(103).Get("Link"), "</script.js>; rel=preload")
		}
		equal(t, "answer", string(c.Body(c.Response(200))), "GET "+ask.target+" HTTP/1.1\n")
	}
	old := proc.Dial(t, p.Front())
	old.Send("GET /old HTTP/1.0\r\nHost: x\r\nX-Hints: 1\r\n\r\n")
	equal(t, "answer", string(old.Body(old.Response(200))), "GET /old HTTP/1.1\n")
}

// trailerProxy passes trailers, with and without request buffering, and drops them.
const trailerProxy = `
server {
    listen 127.0.0.1:{{port:front}};
    proxy_http_version 1.1;
    proxy_pass_trailers on;
    location / { proxy_pass http://{{backend}}; }
    location /streamed/ { proxy_pass http://{{backend}}; proxy_request_buffering off; }
    location /dropped/ { proxy_pass http://{{backend}}; proxy_pass_trailers off; }
}`

// Trailers in both directions between Go's client and Go's server.
func TestTrailersOfGoPeers(t *testing.T) {
	origin := goServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s|%s|%s", body, r.Trailer.Get("X-Sent"), r.Header.Get("TE"))
		w.Header().Set("X-Sum", "of the answer")
	}))
	p := holdfast(t, proc.Spec{HTTP: trailerProxy, Vars: map[string]string{"backend": origin}})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: proc.Patience}
	for _, c := range []struct {
		path, body, want string
		passes           bool
	}{
		{"/", "small", "small|of the request|trailers", true},
		{"/streamed/", "small", "small|of the request|trailers", true},
		{"/", strings.Repeat("large", 50_000), strings.Repeat("large", 50_000) + "|of the request|trailers", true},
		{"/dropped/", "small", "small||", false},
	} {
		req, err := http.NewRequest(http.MethodPost, "http://"+p.Front()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("TE", "trailers")
		req.ContentLength = -1
		req.Trailer = http.Header{"X-Sent": nil}
		req.Body = io.NopCloser(io.MultiReader(strings.NewReader(c.body), atEnd(func() {
			req.Trailer.Set("X-Sent", "of the request")
		})))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if string(body) != c.want {
			t.Errorf("%s with a body of %d bytes: the origin got …%q", c.path, len(c.body), tailOf(string(body), 40))
		}
		sum := resp.Trailer.Get("X-Sum")
		if (sum == "of the answer") != c.passes {
			t.Errorf("%s: the answer's trailer is %q", c.path, sum)
		}
	}
}

// atEnd is an empty reader that calls a function when it is read.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func tailOf(s string, most int) string { return s[max(len(s)-most, 0):] }

// readTrailers reads a chunked body and its trailer section.
func readTrailers(c *proc.Raw) (body string, trailers []string, err error) {
	line := func() string {
		text, failed := c.Reader().ReadString('\n')
		if failed != nil {
			err = failed
		}
		return strings.TrimSuffix(text, "\r\n")
	}
	for err == nil {
		size, failed := strconv.ParseUint(line(), 16, 20)
		if err = errors.Join(err, failed); err != nil || size == 0 {
			break
		}
		piece := c.Read(int(size))
		body += string(piece)
		if end := line(); end != "" {
			err = fmt.Errorf("%q behind a chunk", end)
		}
	}
	for err == nil {
		field := line()
		if field == "" {
			break
		}
		trailers = append(trailers, field)
	}
	return body, trailers, errors.Join(err, c.Err())
}

// What may not be a trailer is dropped from them (RFC 9110 section 6.5.1), both ways.
func TestTrailersAreFiltered(t *testing.T) {
	const section = "X-Good: 1\r\nContent-Length: 7\r\nHost: evil\r\nTransfer-Encoding: chunked\r\nX-More: 2\r\n" +
		"Connection: close\r\nAuthorization: Basic eA==\r\nContent-Type: text/evil\r\n\r\n"
	got := make(chan string, 10)
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		if x.Head.Chunked() {
			body, trailers, err := readTrailers(x.Raw)
			got <- fmt.Sprintln(body, trailers, err)
		}
		x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Good, X-More\r\n\r\n4\r\ndown\r\n0\r\n" + section)
		x.Keep = true
	})
	p := holdfast(t, proc.Spec{HTTP: trailerProxy, Vars: map[string]string{"backend": b.Addr}})
	c := proc.Dial(t, p.Front())
	for range 2 {
		c.Send("POST /streamed/ HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Good, X-More\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n" + section)
		h := c.Response(200)
		equal(t, "Trailer", h.Get("Trailer"), "X-Good, X-More")
		body, trailers, err := readTrailers(c)
		equal(t, "the answer", fmt.Sprintln(body, trailers, err), fmt.Sprintln("down", []string{"X-Good: 1", "X-More: 2"}, nil))
		equal(t, "the request", <-got, fmt.Sprintln("up", []string{"X-Good: 1", "X-More: 2"}, nil))
	}
	// Without the directive none passes, nor what announces them.
	c.Send("GET /dropped/ HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
	h := c.Response(200)
	body, trailers, err := readTrailers(c)
	equal(t, "the answer", fmt.Sprintln(body, trailers, err), fmt.Sprintln("down", []string(nil), nil))
	equal(t, "TE at the backend", b.Last(t).Head.Has("TE"), false)
	equal(t, "Trailer", h.Has("Trailer"), false)
}

// The trailer section is bounded, like a head.
func TestEndlessTrailers(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndown\r\n0\r\n")
		w := bufio.NewWriter(x.Conn())
		for range 1 << 20 {
			if _, err := w.WriteString("X-Endless: and one more\r\n"); err != nil {
				return
			}
		}
	})
	p := holdfast(t, proc.Spec{HTTP: trailerProxy, Vars: map[string]string{"backend": b.Addr}})
	c := proc.Dial(t, p.Front())
	c.Send("GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
	// They may come to light before the head is on its way, or only behind it.
	if h := c.Head(); h.Status() != 502 {
		if body, err := io.ReadAll(c.BodyReader(h)); err == nil || h.Status() != 200 {
			t.Errorf("%q: an answer with endless trailers looks complete: %q", h.Start, body)
		}
	}
}
