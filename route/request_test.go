package route_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// upgrade is a browser's WebSocket handshake, with more field lines.
func upgrade(target string, fields ...string) string {
	return get(target, append([]string{
		"Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: http://example.com",
	}, fields...)...)
}

const handshakeFields = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Origin: http://example.com\r\n"

// mapIdiom is the map that every WebSocket guide for nginx has.
var mapIdiom = route.MapSpec{
	Source: "$http_upgrade", Name: "connection_upgrade", Default: "upgrade",
	Entries: []route.MapEntry{{Pattern: "", Value: "close"}},
}

func TestAppendRequest(t *testing.T) {
	type sent = route.RequestSent
	tests := []struct {
		rule    string
		url     string // http://back unless set
		headers []route.SetHeader
		minor   uint8
		form    route.RequestForm
		head    string
		want    string
		sent    sent
	}{
		{
			rule: "a WebSocket passes without any configuration", minor: 1, head: upgrade("/ws"),
			want: "GET /ws HTTP/1.1\r\nHost: back\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" + handshakeFields + "\r\n",
			sent: sent{Upgrade: true, Minor: 1},
		},
		{
			rule: "an upgrade is HTTP/1.1 even where proxy_http_version says 1.0", head: upgrade("/ws"),
			want: "GET /ws HTTP/1.1\r\nHost: back\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" + handshakeFields + "\r\n",
			sent: sent{Upgrade: true, Minor: 1},
		},
		{
			rule: "the keep-alive idiom does not break a WebSocket", minor: 1, head: upgrade("/ws"),
			headers: []route.SetHeader{{Name: "Connection", Value: ""}},
			want: "GET /ws HTTP/1.1\r\nHost: back\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" + handshakeFields +
				"\r\n",
			sent: sent{Upgrade: true, Minor: 1},
		},
		{
			rule: "the classic idiom on an upgrade", minor: 1, head: upgrade("/ws"),
			headers: []route.SetHeader{
				{Name: "Upgrade", Value: "$http_upgrade"}, {Name: "Connection", Value: "$connection_upgrade"},
				{Name: "Host", Value: "$host"},
			},
			want: "GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" +
				handshakeFields + "\r\n",
			sent: sent{Upgrade: true, Minor: 1},
		},
		{
			rule: "the classic idiom on another request", minor: 1, head: get("/x"),
			headers: []route.SetHeader{
				{Name: "Upgrade", Value: "$http_upgrade"}, {Name: "Connection", Value: "$connection_upgrade"},
			},
			want: "GET /x HTTP/1.1\r\nHost: back\r\nConnection: close\r\n\r\n",
			sent: sent{Close: true, Minor: 1},
		},
		{
			rule: "a fixed Connection: upgrade is dropped where nothing is upgraded", minor: 1, head: get("/x"),
			headers: []route.SetHeader{{Name: "Upgrade", Value: "$http_upgrade"}, {Name: "Connection", Value: "upgrade"}},
			form:    route.RequestForm{Keepalive: true},
			want:    "GET /x HTTP/1.1\r\nHost: back\r\n\r\n",
			sent:    sent{Minor: 1},
		},
		{
			rule: "an Upgrade written as empty text keeps WebSockets out", minor: 1, head: upgrade("/ws"),
			headers: []route.SetHeader{{Name: "Upgrade", Value: ""}},
			form:    route.RequestForm{Keepalive: true},
			want:    "GET /ws HTTP/1.1\r\nHost: back\r\n" + handshakeFields + "\r\n",
			sent:    sent{Minor: 1},
		},
		{
			rule: "other protocols do not pass by themselves", minor: 1,
			head: get("/", "Connection: upgrade", "Upgrade: foo/1"), form: route.RequestForm{Keepalive: true},
			want: "GET / HTTP/1.1\r\nHost: back\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "other protocols pass where Upgrade is passed on, h2c does not", minor: 1,
			head:    get("/", "Connection: upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk", "Upgrade: foo/1, H2C, bar"),
			headers: []route.SetHeader{{Name: "Upgrade", Value: "$http_upgrade"}},
			want:    "GET / HTTP/1.1\r\nHost: back\r\nUpgrade: foo/1, bar\r\nConnection: upgrade\r\n\r\n",
			sent:    sent{Upgrade: true, Minor: 1},
		},
		{
			rule: "h2c alone is no upgrade where Upgrade is passed on", minor: 1,
			head:    get("/", "Connection: upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk", "Upgrade: h2c"),
			headers: []route.SetHeader{{Name: "Upgrade", Value: "$http_upgrade"}, {Name: "Connection", Value: "upgrade"}},
			form:    route.RequestForm{Keepalive: true},
			want:    "GET / HTTP/1.1\r\nHost: back\r\n\r\n",
			sent:    sent{Minor: 1},
		},
		{
			rule: "h2c passes where it is written out", minor: 1,
			head:    get("/", "Connection: upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk", "Upgrade: h2c"),
			headers: []route.SetHeader{{Name: "Upgrade", Value: "h2c"}},
			want: "GET / HTTP/1.1\r\nHost: back\r\nUpgrade: h2c\r\nConnection: upgrade, HTTP2-Settings\r\n" +
				"HTTP2-Settings: AAMAAABk\r\n\r\n",
			sent: sent{Upgrade: true, Minor: 1},
		},
		{
			rule: "a written protocol is not asked for unless the client does", minor: 1,
			head: get("/", "Connection: upgrade", "Upgrade: foo"), form: route.RequestForm{Keepalive: true},
			headers: []route.SetHeader{{Name: "Upgrade", Value: "h2c"}},
			want:    "GET / HTTP/1.1\r\nHost: back\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "Connection: close when the connection is not used again", minor: 1, head: get("/"),
			want: "GET / HTTP/1.1\r\nHost: back\r\nConnection: close\r\n\r\n", sent: sent{Close: true, Minor: 1},
		},
		{
			rule: "other options of Connection pass", minor: 1, head: get("/"),
			headers: []route.SetHeader{{Name: "connection", Value: "Upgrade, Keep-Alive"}},
			want:    "GET / HTTP/1.1\r\nHost: back\r\nConnection: Keep-Alive\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "fields of the client's hop end here", minor: 1, form: route.RequestForm{Keepalive: true},
			head: get("/", "Connection: X-Hop, close, Host", "X-Hop: 1", "Keep-Alive: 1", "Proxy-Connection: 1", "TE: 1",
				"Trailer: 1", "Expect: 100-continue", "X-End: 1", "Proxy-Authorization: 1"),
			want: "GET / HTTP/1.1\r\nHost: back\r\nX-End: 1\r\nProxy-Authorization: 1\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "Connection cannot take the handshake apart", minor: 1,
			head: strings.Replace(upgrade("/"), "keep-alive", "Sec-WebSocket-Key, Origin", 1),
			want: "GET / HTTP/1.1\r\nHost: back\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" +
				strings.Replace(handshakeFields, "Origin: http://example.com\r\n", "", 1) + "\r\n",
			sent: sent{Upgrade: true, Minor: 1},
		},
		{
			rule: "framing: a length", minor: 1, head: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
			form: route.RequestForm{Keepalive: true, Framing: httpparse.Framing{Kind: httpparse.BodyLength, Length: 5}},
			want: "POST / HTTP/1.1\r\nHost: back\r\nContent-Length: 5\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "framing: chunked", minor: 1, head: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
			form: route.RequestForm{Keepalive: true, Framing: httpparse.Framing{Kind: httpparse.BodyChunked}},
			want: "POST / HTTP/1.1\r\nHost: back\r\nTransfer-Encoding: chunked\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "an empty value drops the field", minor: 1, head: get("/", "Accept-Encoding: gzip"),
			headers: []route.SetHeader{{Name: "accept-encoding", Value: ""}, {Name: "Host", Value: ""}},
			want:    "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", sent: sent{Close: true, Minor: 1},
		},
		{
			rule: "a value cannot begin a field of its own", minor: 1, head: get("/a%0d%0aEvil:%201"),
			headers: []route.SetHeader{{Name: "X-Path", Value: "$uri"}}, form: route.RequestForm{Keepalive: true},
			want: "GET /a%0d%0aEvil:%201 HTTP/1.1\r\nHost: back\r\nX-Path: /a  Evil: 1\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "a rendered URI cannot end the request line", minor: 1, head: get("/a%0d%0a%20HTTP"),
			url: "http://back/?p=$uri", form: route.RequestForm{Keepalive: true},
			want: "GET /?p=/a%0D%0A%20HTTP HTTP/1.1\r\nHost: back\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "a URI that begins with its query gets a path", minor: 1, head: get("/x?y"), url: "http://back?$args",
			form: route.RequestForm{Keepalive: true},
			want: "GET /?y HTTP/1.1\r\nHost: back\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "an absolute-form target is sent in origin-form, its host counts", minor: 1,
			head:    "GET http://Real.test:81/x?y HTTP/1.1\r\nHost: fake.test\r\n\r\n",
			headers: []route.SetHeader{{Name: "Host", Value: "$http_host"}, {Name: "X-Host", Value: "$host"}},
			form:    route.RequestForm{Keepalive: true},
			want:    "GET /x?y HTTP/1.1\r\nHost: Real.test:81\r\nX-Host: real.test\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "an absolute-form target without a path", minor: 1, form: route.RequestForm{Keepalive: true},
			head: "GET http://h?y HTTP/1.1\r\nHost: h\r\n\r\n",
			want: "GET /?y HTTP/1.1\r\nHost: back\r\n\r\n", sent: sent{Minor: 1},
		},
		{
			rule: "OPTIONS *", minor: 1, form: route.RequestForm{Keepalive: true},
			head: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
			want: "OPTIONS * HTTP/1.1\r\nHost: back\r\n\r\n", sent: sent{Minor: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			c := newCompiler()
			if problems := c.DefineMaps([]route.MapSpec{mapIdiom}); len(problems) > 0 {
				t.Fatal(problems[0])
			}
			if tt.url == "" {
				tt.url = "http://back"
			}
			p, err := c.NewProxy(&route.ProxySpec{URL: tt.url, Pattern: "/", Minor: tt.minor, SetHeaders: tt.headers})
			if err != nil {
				t.Fatal(err)
			}
			e := newEnv(t, tt.head)
			e.Server = server(t, c, nil)
			e.Location = &route.Location{Settings: settings, Proxy: p}
			if p.Dynamic() {
				if _, ok := p.Resolve(e); !ok {
					t.Fatal("not resolved")
				}
			}
			tt.form.Upgrade = e.Req.Upgrade(e.Head)
			got, sent := p.AppendRequest([]byte("before "), e, tt.form)
			if want := "before " + tt.want; string(got) != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
			tt.sent.Method = e.Req.MethodID
			if sent != tt.sent {
				t.Errorf("got %+v, want %+v", sent, tt.sent)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	tests := []struct {
		rule, url, name, port, unix, hostField string
		ok                                     bool
	}{
		{"a name", "http://$arg_h", "group", "80", "", "group", true},
		{"a port", "http://$arg_h:81/x", "group:81", "81", "", "group:81", true},
		{"the default port is not in $proxy_host", "http://$arg_h:80", "group:80", "80", "", "group", true},
		{"a unix-domain socket", "http://unix:/run/$arg_h:/x", "", "", "/run/group", "localhost", true},
		{"IPv6", "http://[::1]:81$arg_none", "[::1]:81", "81", "", "[::1]:81", true},
		{"the scheme in any case", "HTTP://$arg_h", "group", "80", "", "group", true},
		{"another scheme", "ftp://$arg_h", "", "", "", "", false},
		{"no host", "http://$arg_none/", "", "", "", "", false},
		{"nothing", "$arg_none", "", "", "", "", false},
		{"no path of a socket", "http://unix:$arg_none", "", "", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			c := newCompiler()
			p, err := c.NewProxy(&route.ProxySpec{URL: tt.url, Pattern: "/"})
			if err != nil {
				t.Fatal(err)
			}
			e := newEnv(t, get("/?h=group"))
			e.Location = &route.Location{Proxy: p}
			if p.Group != -1 || !p.Dynamic() {
				t.Errorf("group %d, dynamic %v", p.Group, p.Dynamic())
			}
			target, ok := p.Resolve(e)
			if ok != tt.ok || string(target.Name) != tt.name || string(target.Port) != tt.port ||
				string(target.Unix) != tt.unix {
				t.Errorf("got %q %q %q, %v", target.Name, target.Port, target.Unix, ok)
			}
			if got := string(compile(t, c, "$proxy_host").Append(nil, e)); got != tt.hostField {
				t.Errorf("$proxy_host: got %q", got)
			}
		})
	}
}

func TestProxyPassParts(t *testing.T) {
	tests := []struct{ url, host, port string }{
		{"http://back", "back", "80"},
		{"http://back:80/x", "back", "80"},
		{"http://back:8080", "back:8080", "8080"},
		{"http://unix:/run/s:/x", "localhost", ""},
		{"http://[2001:db8::1]:81", "[2001:db8::1]:81", "81"},
	}
	for _, tt := range tests {
		p, err := newCompiler().NewProxy(&route.ProxySpec{URL: tt.url, Pattern: "/", Group: 3})
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if p.Host != tt.host || p.Port != tt.port || p.Group != 3 || p.Dynamic() {
			t.Errorf("%s: got %q %q group %d", tt.url, p.Host, p.Port, p.Group)
		}
	}
}

func TestProxyErrors(t *testing.T) {
	tests := []struct {
		rule string
		spec route.ProxySpec
		want string
		set  int // index of the refused proxy_set_header, or -1
	}{
		{"no URL", route.ProxySpec{URL: "back"}, "invalid URL", -1},
		{"unknown variable", route.ProxySpec{URL: "http://$bakend"}, `unknown variable "$bakend"`, -1},
		{"a URI in a regex location", route.ProxySpec{URL: "http://b/x", Modifier: route.Regex}, "cannot have a URI", -1},
		{"a URI in a named one", route.ProxySpec{URL: "http://b/", Modifier: route.NamedLocation}, "cannot have a URI", -1},
		{"an unknown variable in a field", route.ProxySpec{
			URL: "http://b", SetHeaders: []route.SetHeader{{Name: "A", Value: "1"}, {Name: "B", Value: "$hots"}},
		}, `unknown variable "$hots"`, 1},
		{"the body's framing", route.ProxySpec{
			URL: "http://b", SetHeaders: []route.SetHeader{{Name: "content-length", Value: "5"}},
		}, "how the body is really sent", 0},
		{"no field name", route.ProxySpec{
			URL: "http://b", SetHeaders: []route.SetHeader{{Name: "A B", Value: "1"}},
		}, "invalid header field name", 0},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			_, err := newCompiler().NewProxy(&tt.spec)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			var compileError *route.CompileError
			if !errors.As(err, &compileError) {
				t.Errorf("%T holds no CompileError", err)
			}
			var setError *route.SetHeaderError
			if errors.As(err, &setError) != (tt.set >= 0) || setError != nil && setError.Index != tt.set {
				t.Errorf("got %#v, want proxy_set_header %d", err, tt.set)
			}
		})
	}
}
