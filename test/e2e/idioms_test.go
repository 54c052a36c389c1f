package e2e_test

import (
	"strings"
	"testing"

	"holdfast/test/proc"
)

// The idiom of nginx's own WebSocket page: a map for the Connection field.
func TestIdiomMapConnectionUpgrade(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    map $http_upgrade $connection_upgrade {
        default upgrade;
        ''      close;
    }

    server {
        listen 127.0.0.1:{{port:front}};
        server_name chat.example.com;

        location /chat/ {
            proxy_pass http://{{backend}};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
        }
    }`}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Handshake("chat.example.com:8000", "/chat/room?id=7")
		c.EchoText("hello").EchoText(strings.Repeat("long ", 20_000))
		head := b.Last(t).Head
		equal(t, "request line", head.Start, "GET /chat/room?id=7 HTTP/1.1")
		equal(t, "Host", head.Get("Host"), "chat.example.com")
		equal(t, "Upgrade", head.Get("Upgrade"), "websocket")
		equal(t, "Connection", strings.ToLower(head.Get("Connection")), "upgrade")
		equal(t, "number of Connection fields", len(head.Values("Connection")), 1)

		plain := proc.Dial(t, p.Front())
		plain.Send(get("/chat/plain"))
		equal(t, "plain body", string(plain.Body(plain.Response(200))), "GET /chat/plain HTTP/1.1\n")
		equal(t, "Upgrade of a plain request", b.Last(t).Head.Has("Upgrade"), false)
		equal(t, "Connection of a plain request", b.Last(t).Head.Get("Connection"), "close")
	})
}

// A WebSocket location and a plain one on the same port, each with its own backend.
func TestIdiomWebSocketBesidePlainLocation(t *testing.T) {
	ws := proc.NewBackend(t, proc.Echo())
	app := proc.NewBackend(t, proc.Answer(200, "from the app"))
	both(t, proc.Spec{Vars: map[string]string{"ws": ws.Addr, "app": app.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};

        location /ws {
            proxy_pass http://{{ws}};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }

        location /app {
            proxy_pass http://{{app}};
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
        }
    }`}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Handshake("test.example", "/ws", "X-Forwarded-For: 192.0.2.1")
		c.EchoText("one")
		head := ws.Last(t).Head
		equal(t, "X-Real-IP", head.Get("X-Real-IP"), "127.0.0.1")
		equal(t, "X-Forwarded-For", head.Get("X-Forwarded-For"), "192.0.2.1, 127.0.0.1")
		equal(t, "Host by default", head.Get("Host"), ws.Addr)

		plain := proc.Dial(t, p.Front())
		plain.Send(get("/app/page"))
		equal(t, "body", string(plain.Body(plain.Response(200))), "from the app")
		equal(t, "Host", app.Last(t).Head.Get("Host"), "test.example")
		equal(t, "X-Real-IP", app.Last(t).Head.Get("X-Real-IP"), "127.0.0.1")
		c.EchoText("still there")
	})
}

// An upstream of two servers, with the usual timeouts.
func TestIdiomUpstreamOfTwo(t *testing.T) {
	one, two := proc.NewBackend(t, proc.Echo()), proc.NewBackend(t, proc.Echo())
	both(t, proc.Spec{Vars: map[string]string{"one": one.Addr, "two": two.Addr}, HTTP: `
    upstream backend {
        server {{one}};
        server {{two}} weight=2;
    }
    server {
        listen 127.0.0.1:{{port:front}} default_server;
        server_name _;
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_connect_timeout 5s;
            proxy_read_timeout 60s;
            proxy_send_timeout 30s;
        }
    }`}, func(t *testing.T, p *proc.Proxy) {
		before1, before2 := len(one.Seen()), len(two.Seen())
		const tunnels = 12
		for range tunnels {
			c := proc.Dial(t, p.Front())
			c.Handshake("x", "/")
			c.EchoText("ping")
		}
		n1, n2 := len(one.Seen())-before1, len(two.Seen())-before2
		// Each nginx worker counts for itself, so only holdfast gives exact shares.
		if n1+n2 != tunnels || n1 == 0 || n2 == 0 || (p.Kind == proc.Holdfast && n2 != 2*n1) {
			t.Errorf("%d and %d of %d tunnels went to servers of weight 1 and 2", n1, n2, tunnels)
		}
		equal(t, "Host", one.Last(t).Head.Get("Host"), "backend")
	})
}

// proxy_pass without a URI, with "/", and with a path: what the backend is asked for.
func TestIdiomProxyPassURI(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	spec := proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        location /xx/    { proxy_pass http://{{backend}}; }
        location /root/  { proxy_pass http://{{backend}}/; }
        location /yy/    { proxy_pass http://{{backend}}/zz/; }
        location /bare   { proxy_pass http://{{backend}}/other; }
        location ~ ^/re/ { proxy_pass http://{{backend}}; }
        location = /exact { proxy_pass http://{{backend}}/hit; }
    }`}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for _, c := range []struct{ ask, sees string }{
			{"/xx/a?b=c", "/xx/a?b=c"},
			{"/xx/", "/xx/"},
			{"/xx/a%20b/./c%2Fd", "/xx/a%20b/./c%2Fd"},
			{"/root/a?b=c", "/a?b=c"},
			{"/root/", "/"},
			{"/root/a%20b%3Fc?d", "/a%20b%3Fc?d"},
			{"/root/a/../b", "/b"},
			{"/yy/a?b=c", "/zz/a?b=c"},
			{"/yy/", "/zz/"},
			{"/yy//a", "/zz/a"},
			{"/bare", "/other"},
			{"/bare/more", "/other/more"},
			{"/re/a%20b", "/re/a%20b"},
			{"/exact?q", "/hit?q"},
		} {
			conn := proc.Dial(t, p.Front())
			conn.Send(get(c.ask))
			conn.Body(conn.Response(200))
			equal(t, "backend's target for "+c.ask, b.Last(t).Head.Target(), c.sees)
			conn.Close()
		}
		conn := proc.Dial(t, p.Front())
		conn.Send(get("/xx?q"))
		h := conn.Response(301)
		equal(t, "Location", h.Get("Location"), "http://test.example:"+p.Port("front")+"/xx/?q")
	})
}

// The client's hop-by-hop fields stay behind; the others pass.
func TestHopByHopFields(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, to(b))
	c := proc.Dial(t, p.Front())
	c.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Gone, keep-alive\r\nX-Gone: 1\r\n" +
		"Keep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: close\r\nX-Stays: 2\r\n\r\n")
	c.Body(c.Response(200))
	head := b.Last(t).Head
	for _, name := range []string{"X-Gone", "Keep-Alive", "TE", "Proxy-Connection", "Upgrade"} {
		equal(t, name+" present", head.Has(name), false)
	}
	equal(t, "X-Stays", head.Get("X-Stays"), "2")
}

// No upgrade header configured anywhere: the WebSocket works all the same.
func TestWebSocketPassesByDefault(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        location / { proxy_pass http://{{backend}}; }
    }`})
	c := proc.Dial(t, p.Front())
	c.Handshake("test.example", "/socket", "Sec-WebSocket-Protocol: chat", "Origin: http://test.example")
	c.EchoText("by default")
	head := b.Last(t).Head
	equal(t, "Upgrade", head.Get("Upgrade"), "websocket")
	equal(t, "Connection", strings.ToLower(head.Get("Connection")), "upgrade")
	equal(t, "Sec-WebSocket-Protocol", head.Get("Sec-WebSocket-Protocol"), "chat")
	equal(t, "Origin", head.Get("Origin"), "http://test.example")
	equal(t, "switched", p.Status(t).Totals.Upgrades["switched"], 1)
}

// An upgrade to something else passes only where the configuration asks for it.
func TestOtherUpgradeTokensDoNotPass(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        location / { proxy_pass http://{{backend}}; }
    }`})
	c := proc.Dial(t, p.Front())
	c.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
		"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
	c.Body(c.Response(200))
	head := b.Last(t).Head
	equal(t, "Upgrade present", head.Has("Upgrade"), false)
	equal(t, "HTTP2-Settings present", head.Has("HTTP2-Settings"), false)
}
