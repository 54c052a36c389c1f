package route_test

import (
	"bufio"
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// newProxy compiles a proxy_pass to http://back with proxy_set_header name, value, …
func newProxy(t testing.TB, set ...string) *route.Proxy {
	t.Helper()
	spec := &route.ProxySpec{URL: "http://back", Minor: 1, Pattern: "/"}
	for i := 0; i < len(set); i += 2 {
		spec.SetHeaders = append(spec.SetHeaders, route.SetHeader{Name: set[i], Value: set[i+1]})
	}
	p, err := newCompiler().NewProxy(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// through is an Env that goes through p.
func through(t testing.TB, p *route.Proxy, head string) *route.Env {
	t.Helper()
	e := newEnv(t, head)
	e.Location = &route.Location{Settings: settings, Proxy: p}
	return e
}

var chunkedBody = httpparse.Framing{Kind: httpparse.BodyChunked}

func TestRequestForms(t *testing.T) {
	keep := route.RequestForm{Keepalive: true}
	with := func(change func(*route.RequestForm)) route.RequestForm {
		form := keep
		change(&form)
		return form
	}
	trailers := with(func(f *route.RequestForm) { f.Trailers = true })
	announced := with(func(f *route.RequestForm) { f.Trailers, f.Framing = true, chunkedBody })
	closing := route.RequestForm{Trailers: true}
	expect := with(func(f *route.RequestForm) { f.Expect = true })
	isGet := with(func(f *route.RequestForm) { f.Get = true })
	tests := []struct {
		rule   string
		set    []string
		fields []string
		form   route.RequestForm
		want   string // the fields behind Host
		sent   route.RequestSent
	}{
		{rule: "TE: trailers goes on", fields: []string{"TE: trailers, gzip;q=0.5"}, form: trailers,
			want: "TE: trailers\r\nConnection: TE\r\n"},
		{rule: "beside close", fields: []string{"TE: trailers"}, form: closing,
			want: "TE: trailers\r\nConnection: close, TE\r\n", sent: route.RequestSent{Close: true}},
		{rule: "not without trailers", fields: []string{"TE: trailers", "Trailer: X"}, form: keep},
		{rule: "not if the client does not want them", fields: []string{"TE: gzip"}, form: trailers},
		{rule: "nginx's idiom", set: []string{"Connection", "te", "TE", "trailers"}, form: trailers,
			want: "TE: trailers\r\nConnection: te\r\n"},
		{rule: "nginx's idiom, with close", set: []string{"Connection", "te, close", "TE", "trailers"}, form: keep,
			want: "TE: trailers\r\nConnection: te, close\r\n", sent: route.RequestSent{Close: true}},
		{rule: "proxy_set_header TE is listed whatever Connection says",
			set: []string{"Connection", "", "TE", "trailers"}, form: keep, want: "TE: trailers\r\nConnection: TE\r\n"},
		{rule: "proxy_set_header TE that renders empty", set: []string{"TE", "$http_none"}, fields: []string{"TE: trailers"},
			form: trailers},
		{rule: "Trailer passes before a chunked body", fields: []string{"Trailer: X-Sum"}, form: announced,
			want: "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"},
		{rule: "Trailer does not pass without one", fields: []string{"Trailer: X-Sum"}, form: trailers},
		{rule: "a Trailer that is set is the only one", set: []string{"Trailer", "X-Y"}, fields: []string{"Trailer: X-Sum"},
			form: announced, want: "Trailer: X-Y\r\nTransfer-Encoding: chunked\r\n"},
		{rule: "Expect is the caller's", fields: []string{"Expect: 100-continue"}, form: keep},
		{rule: "Expect goes on", fields: []string{"Expect: 100-continue"}, form: expect, want: "Expect: 100-continue\r\n",
			sent: route.RequestSent{Expect: true}},
		{rule: "Expect that is set to nothing", set: []string{"Expect", ""}, form: expect},
		{rule: "Expect that is set", set: []string{"Expect", "100-Continue"}, form: expect, want: "Expect: 100-Continue\r\n",
			sent: route.RequestSent{Expect: true}},
		{rule: "a GET has nothing of the body", form: isGet, fields: []string{"Content-Type: a/b", "Content-Encoding: gzip",
			"content-language: en", "Content-Range: bytes 0-1/2", "Digest: x", "Repr-Digest: x", "Content-Digest: y", "X-C: 1"},
			want: "X-C: 1\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			p := newProxy(t, tt.set...)
			e := through(t, p, "PUT /x HTTP/1.1\r\nHost: h\r\n"+strings.Join(append(tt.fields, "", ""), "\r\n"))
			got, sent := p.AppendRequest(nil, e, tt.form)
			method := "PUT"
			if tt.form.Get {
				method = "GET"
			}
			want := method + " /x HTTP/1.1\r\nHost: back\r\n" + tt.want + "\r\n"
			tt.sent.Minor, tt.sent.Method = 1, sent.Method
			if string(got) != want || sent != tt.sent {
				t.Errorf("got\n%q %+v\nwant\n%q %+v", got, sent, want, tt.sent)
			}
		})
	}
}

func TestHeadStaysHead(t *testing.T) {
	p := newProxy(t)
	e := through(t, p, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got, _ := p.AppendRequest(nil, e, route.RequestForm{Get: true}); !strings.HasPrefix(string(got), "HEAD ") {
		t.Errorf("got %q", got)
	}
}

func TestUpgradeBesideTE(t *testing.T) {
	p := newProxy(t)
	e := through(t, p, upgrade("/", "TE: trailers"))
	got, _ := p.AppendRequest(nil, e, route.RequestForm{Upgrade: httpparse.UpgradeWebSocket, Trailers: true})
	if !strings.Contains(string(got), "Connection: upgrade, TE\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestHTTP10UpstreamGetsNoneOfIt(t *testing.T) {
	p, err := newCompiler().NewProxy(&route.ProxySpec{URL: "http://back", Pattern: "/"})
	if err != nil {
		t.Fatal(err)
	}
	e := through(t, p, get("/", "TE: trailers", "Expect: 100-continue"))
	got, sent := p.AppendRequest(nil, e, route.RequestForm{Expect: true, Trailers: true})
	if want := "GET / HTTP/1.0\r\nHost: back\r\nConnection: close\r\n\r\n"; string(got) != want || sent.Expect {
		t.Errorf("got %q %+v, want %q", got, sent, want)
	}
}

// HTTP/1.1 can't do without Host (RFC 9112 section 3.2), unless the configuration says so.
func TestHostThatRendersEmpty(t *testing.T) {
	for _, tt := range []struct {
		minor       uint8
		value, want string
	}{
		{1, "$http_none", "GET / HTTP/1.1\r\nHost: back:81\r\n\r\n"},
		{0, "$http_none", "GET / HTTP/1.0\r\n\r\n"},
		{1, "", "GET / HTTP/1.1\r\n\r\n"},
	} {
		for _, url := range []string{"http://back:81", "http://$arg_to"} {
			p, err := newCompiler().NewProxy(&route.ProxySpec{
				URL: url, Minor: tt.minor, SetHeaders: []route.SetHeader{{Name: "Host", Value: tt.value}},
			})
			if err != nil {
				t.Fatal(err)
			}
			e := through(t, p, get("/"))
			e.Args = []byte("to=back:81")
			if p.Dynamic() {
				p.Resolve(e)
			}
			if got, _ := p.AppendRequest(nil, e, route.RequestForm{Keepalive: true}); string(got) != tt.want {
				t.Errorf("%s, %q: got %q, want %q", url, tt.value, got, tt.want)
			}
		}
	}
}

// Connection names fields to remove; it must not reach what we set.
func TestConnectionCannotRemoveWhatWeSet(t *testing.T) {
	names := []string{"Host", "X-Real-IP", "X-Set", "Content-Length", "Transfer-Encoding", "TE", "Expect", "Upgrade", "Trailer",
		"Content-Type", "Sec-WebSocket-Key"}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			set := []string{"X-Real-IP", "$remote_addr", "X-Set", "ours", "TE", "trailers"}
			for _, framing := range []httpparse.Framing{chunkedBody, {Kind: httpparse.BodyLength, Length: 5}} {
				p := newProxy(t, set...)
				form := route.RequestForm{Framing: framing, Keepalive: true, Expect: true, Trailers: true}
				head := get("/", "X-Set: theirs", "X-Real-IP: 198.51.100.9", "Content-Type: a/b", "Sec-WebSocket-Key: k")
				plain, _ := p.AppendRequest(nil, through(t, p, head), form)
				head = strings.Replace(head, "\r\n\r\n", "\r\nConnection: close, "+name+", "+strings.ToLower(name)+"\r\n\r\n", 1)
				got, _ := p.AppendRequest(nil, through(t, p, head), form)
				if string(got) != string(plain) {
					t.Errorf("got\n%q\nwithout Connection\n%q", got, plain)
				}
			}
		})
	}
	for _, name := range []string{"Server", "Date", "Content-Length", "Transfer-Encoding", "X-Added", "Connection", "Content-Type"} {
		p := newProxy(t)
		e := through(t, p, get("/"))
		var err error
		e.Location.Settings.Headers, err = newCompiler().NewHeaders(&route.HeadersSpec{
			Add: []route.AddHeader{{Name: "X-Added", Value: "ours"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		answer := func(connection string) string {
			respond(t, e, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"+connection+"\r\n")
			return string(p.AppendResponse(nil, e, route.ResponseForm{Framing: chunkedBody}))
		}
		if got, want := answer("Connection: "+name+"\r\n"), answer(""); got != want {
			t.Errorf("%s: got\n%q\nwithout Connection\n%q", name, got, want)
		}
	}
}

func TestAppendInterim(t *testing.T) {
	p, err := newCompiler().NewProxy(&route.ProxySpec{URL: "http://back", Pattern: "/", HideHeaders: []string{"X-Secret"}})
	if err != nil {
		t.Fatal(err)
	}
	e := through(t, p, get("/"))
	respond(t, e, "HTTP/1.0 103 Early\r\nLink: </a>\r\nX-Secret: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\n"+
		"Upgrade: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nTrailer: X\r\nServer: s\r\nLink: </b>\r\nTE: x\r\n\r\n")
	want := "HTTP/1.1 103 Early\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
	if got := string(p.AppendInterim([]byte("x"), e)); got != "x"+want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResponseForms(t *testing.T) {
	p := newProxy(t)
	length := httpparse.Framing{Kind: httpparse.BodyLength, Length: 7}
	tests := []struct {
		rule, head, resp string
		form             route.ResponseForm
		want             string // the status line and what follows Date
	}{
		{"another status has a text of ours", get("/"), "HTTP/1.1 200 Fine\r\nX: 1\r\n",
			route.ResponseForm{Status: 404, Framing: length}, "404 Not Found|X: 1\r\nContent-Length: 7\r\n"},
		{"the same status keeps the upstream's", get("/"), "HTTP/1.1 404 Fine\r\n",
			route.ResponseForm{Status: 404, Framing: length}, "404 Fine|Content-Length: 7\r\n"},
		{"a status nobody knows", get("/"), "HTTP/1.1 200 Fine\r\n",
			route.ResponseForm{Status: 499, Framing: length}, "499 |Content-Length: 7\r\n"},
		{"a 304 in another's place has no length of a body that is not sent", get("/"),
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n", route.ResponseForm{Status: 404}, "404 Not Found|Content-Length: 0\r\n"},
		{"a 204 likewise", get("/"), "HTTP/1.1 204 No Content\r\n", route.ResponseForm{Status: 503},
			"503 Service Unavailable|Content-Length: 0\r\n"},
		{"a 204 in the place of another", get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n",
			route.ResponseForm{Status: 204, Framing: length}, "204 No Content|"},
		{"HEAD keeps its length", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n",
			route.ResponseForm{Status: 404}, "404 Not Found|Content-Length: 7\r\n"},
		{"Trailer passes", get("/"), "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n",
			route.ResponseForm{Framing: chunkedBody, Trailers: true}, "200 OK|Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n"},
		{"Trailer needs chunks", get("/"), "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n",
			route.ResponseForm{Framing: length, Trailers: true}, "200 OK|Content-Length: 7\r\n"},
		{"Trailer that is of the hop", get("/"), "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nConnection: trailer\r\n",
			route.ResponseForm{Framing: chunkedBody, Trailers: true}, "200 OK|Transfer-Encoding: chunked\r\n"},
	}
	for _, tt := range tests {
		e := through(t, p, tt.head)
		respond(t, e, tt.resp+"\r\n")
		got := string(p.AppendResponse(nil, e, tt.form))
		status, rest, _ := strings.Cut(tt.want, "|")
		want := "HTTP/1.1 " + status + "\r\nServer: holdfast\r\nDate: " + now + "\r\n" + rest + "Connection: close\r\n\r\n"
		if got != want {
			t.Errorf("%s: got\n%q\nwant\n%q", tt.rule, got, want)
		}
	}
}

func TestTrailersThatPass(t *testing.T) {
	const section = "X-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\nAuthorization: x\r\n" +
		"Cache-Control: x\r\nSet-Cookie: x\r\nContent-Type: x\r\nContent-Encoding: x\r\nContent-Range: x\r\nTrailer: x\r\n" +
		"Connection: x\r\nTE: x\r\nAge: 1\r\nExpires: 1\r\nIf-None-Match: x\r\nRange: x\r\nX-Forwarded-For: x\r\nX_Forwarded_For: x\r\n" +
		"X-Real-IP: x\r\nForwarded: x\r\nServer: x\r\nDate: x\r\nGrpc-Status: 0\r\nETag: \"x\"\r\nx-user: x\r\nX-Secret: x\r\n" +
		"WWW-Authenticate: x\r\nset_cookie: x\r\nLocation: x\r\nVary: x\r\nX-Accel-Redirect: x\r\nMax-Forwards: 1\r\n" +
		"Sec-WebSocket-Key: x\r\nOrigin: x\r\nRepr-Digest: x\r\nPragma: x\r\nServer-Timing: a\r\n"
	head := &httpparse.Request{}
	buf := []byte("GET / HTTP/1.1\r\n" + section + "\r\n")
	if done, err := head.Parse(buf); !done || err != httpparse.OK {
		t.Fatal(done, err)
	}
	p, err := newCompiler().NewProxy(&route.ProxySpec{URL: "http://back", Pattern: "/", HideHeaders: []string{"X-Secret"},
		SetHeaders: []route.SetHeader{{Name: "X-User", Value: "$remote_user"}}})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{
		"any": {string((&route.Proxy{}).AppendResponseTrailers(nil, buf, head.Fields)),
			"X-Sum: 1\r\nGrpc-Status: 0\r\nETag: \"x\"\r\nx-user: x\r\nX-Secret: x\r\nServer-Timing: a\r\n"},
		"request": {string(p.AppendRequestTrailers(nil, buf, head.Fields)),
			"X-Sum: 1\r\nGrpc-Status: 0\r\nETag: \"x\"\r\nX-Secret: x\r\nServer-Timing: a\r\n"},
		"response": {string(p.AppendResponseTrailers(nil, buf, head.Fields)),
			"X-Sum: 1\r\nGrpc-Status: 0\r\nETag: \"x\"\r\nx-user: x\r\nServer-Timing: a\r\n"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got\n%q\nwant\n%q", what, pair[0], pair[1])
		}
	}
}

func TestEarlyHints(t *testing.T) {
	c := newCompiler()
	for conditions, want := range map[string]bool{"": false, "$arg_a": false, "$arg_b": false, "$arg_a $arg_c": true, "1": true} {
		h, err := c.NewEarlyHints(strings.Fields(conditions))
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Pass(newEnv(t, get("/?b=0&c=x"))); got != want {
			t.Errorf("%q: got %v", conditions, got)
		}
	}
	if (*route.EarlyHints)(nil).Pass(newEnv(t, get("/"))) {
		t.Error("nil passes")
	}
	if _, err := c.NewEarlyHints([]string{"$hots"}); err == nil {
		t.Error("an unknown variable was accepted")
	}
}

func reader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
