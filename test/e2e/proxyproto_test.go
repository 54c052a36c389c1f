package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"holdfast/test/pki"
	"holdfast/test/port"
	"holdfast/test/proc"
)

// addresses is what a server that takes the PROXY protocol says about its client.
const addresses = "$remote_addr|$remote_port|$realip_remote_addr|$proxy_protocol_addr|$proxy_protocol_port|" +
	"$proxy_protocol_server_addr|$proxy_protocol_server_port"

// behind is a server behind a proxy that speaks the PROXY protocol.
const behind = `
server {
    listen 127.0.0.1:{{port:front}} proxy_protocol;
    set_real_ip_from 127.0.0.1;
    real_ip_header proxy_protocol;
    location / { return 200 "` + addresses + `"; }
}
`

// text is the body of the answer to a GET.
func text(t *testing.T, c *proc.Raw, target string) string {
	t.Helper()
	c.Send(get(target))
	return string(c.Body(c.Response(200)))
}

func TestProxyProtocolIn(t *testing.T) {
	both(t, proc.Spec{HTTP: behind}, func(t *testing.T, p *proc.Proxy) {
		v2 := func(from, to string) string {
			h := proxyproto.HeaderProxyFromAddrs(2, tcpAddr(from), tcpAddr(to))
			b, err := h.Format()
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		for name, c := range map[string]struct{ header, want string }{
			"v1 IPv4":  {"PROXY TCP4 192.0.2.9 198.51.100.1 4711 443\r\n", "192.0.2.9|4711|127.0.0.1|192.0.2.9|4711|198.51.100.1|443"},
			"v1 IPv6":  {"PROXY TCP6 2001:db8::9 ::1 4711 443\r\n", "2001:db8::9|4711|127.0.0.1|2001:db8::9|4711|::1|443"},
			"v2 IPv4":  {v2("192.0.2.9:1", "192.0.2.1:2"), "192.0.2.9|1|127.0.0.1|192.0.2.9|1|192.0.2.1|2"},
			"v2 IPv6":  {v2("[2001:db8::9]:1", "[::1]:2"), "2001:db8::9|1|127.0.0.1|2001:db8::9|1|::1|2"},
			"v1 none":  {"PROXY UNKNOWN\r\n", "127.0.0.1|PORT|127.0.0.1||||"},
			"v1 words": {"PROXY UNKNOWN some words\r\n", "127.0.0.1|PORT|127.0.0.1||||"},
			"v2 local": {"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1|PORT|127.0.0.1||||"},
		} {
			c1 := proc.Dial(t, p.Front())
			_, own, _ := net.SplitHostPort(c1.Conn().LocalAddr().String())
			c1.Send(c.header + get("/"))
			want := strings.ReplaceAll(c.want, "PORT", own)
			equal(t, name, string(c1.Body(c1.Response(200))), want)
			equal(t, name+", second request", text(t, c1, "/"), want)
			c1.Close()
		}
		proc.Until(t, "the access log", func() error {
			if !strings.Contains(p.AccessLog(), "192.0.2.9 - - [") {
				return errors.New(p.AccessLog())
			}
			return nil
		})
	})
}

// Settings of the server hold in all its locations; those of a location come too late for
// its own return.
func TestRealIPLevels(t *testing.T) {
	both(t, proc.Spec{HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        location / { return 200 "$remote_addr"; }
        location /late { set_real_ip_from 127.0.0.1; return 200 "$remote_addr"; }
        location /inside { set_real_ip_from 127.0.0.1; real_ip_header X-Other; try_files /nothing @named; }
        location @named { set_real_ip_from 192.0.2.9; return 200 "$remote_addr $realip_remote_addr"; }
    }
    server {
        listen 127.0.0.1:{{port:outer}};
        set_real_ip_from 127.0.0.1;
        location / { return 200 "$remote_addr"; }
        location /none { set_real_ip_from 192.0.2.1; try_files /nothing @named; }
        location @named { return 200 "$remote_addr $realip_remote_addr"; }
    }`}, func(t *testing.T, p *proc.Proxy) {
		for _, c := range []struct{ server, target, want string }{
			{"front", "/", "127.0.0.1"},
			{"front", "/late", "127.0.0.1"},
			{"front", "/inside", "192.0.2.8 127.0.0.1"},
			{"outer", "/", "192.0.2.9"},
			{"outer", "/none", "192.0.2.9 127.0.0.1"},
		} {
			raw := proc.Dial(t, p.Addr(c.server))
			raw.Send("GET " + c.target + " HTTP/1.1\r\nHost: a\r\nX-Real-IP: 192.0.2.9\r\nX-Other: 192.0.2.8\r\n\r\n")
			equal(t, c.server+" "+c.target, string(raw.Body(raw.Response(200))), c.want)
			raw.Close()
		}
	})
}

func tcpAddr(s string) *net.TCPAddr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestCurlSendsTheProxyProtocol(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		proc.Skip(t, "curl is not on PATH")
	}
	both(t, proc.Spec{HTTP: behind}, func(t *testing.T, p *proc.Proxy) {
		ctx, cancel := context.WithTimeout(context.Background(), proc.Patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, curl, "-sS", "--haproxy-protocol", "http://"+p.Front()+"/").CombinedOutput()
		words := strings.Split(string(out), "|")
		if err != nil || len(words) != 7 {
			t.Fatalf("%q, %v", out, err)
		}
		equal(t, "the port that curl sent", words[4], words[1])
		equal(t, "the port that curl connected to", words[6], p.Port("front"))
	})
}

// A header may come in any pieces; nginx wants it whole.
func TestProxyProtocolInPieces(t *testing.T) {
	p := holdfast(t, proc.Spec{HTTP: behind})
	for _, size := range []int{1, 3, 7, 40} {
		c := proc.Dial(t, p.Front())
		c.SendEach([]byte("PROXY TCP4 192.0.2.9 198.51.100.1 4711 443\r\n"+get("/")), size)
		equal(t, "answer", string(c.Body(c.Response(200))), "192.0.2.9|4711|127.0.0.1|192.0.2.9|4711|198.51.100.1|443")
		c.Close()
	}
}

// badProxyHeaders are beginnings that are no header.
var badProxyHeaders = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "\x00", "\r\nX", "\r\n\r\n\r", "PROXY\r\n", "PROXY \r\n", "PROXY\n",
	"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY TCP4 1.2.3.4\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8\r\n",
	"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
	"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
	"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n", "PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n",
	"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
	"PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP6 ::1::2 ::1 1 2\r\n", "PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
	"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY UNKNOWNX\r\n", "PROXY UNKNOWN\n",
	"PROXY UNKNOWN a\rb\r\n", "PROXY TCP4 a b c d\r\n", "PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n",
	"\r\n\r\n\x00\r\nQUIT\n\x10\x00\x00\x00", "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c", "\r\n\r\n\x00\r\nQUIT\n\x22\x00\x00\x00",
	"\r\n\r\n\x00\r\nQUIT\n\x21\x13\x00\x0c012345678901", "\r\n\r\n\x00\r\nQUIT\n\x21\x41\x00\x0c012345678901",
	"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0b01234567890", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
	"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0e012345678901ab", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x10012345678901\x01\x00\x02a",
	"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13012345678901\x03\x00\x04abcd", "\r\n\r\n\x00\r\nQUIX",
}

func TestBadProxyHeaders(t *testing.T) {
	if len(badProxyHeaders) < 40 {
		t.Errorf("%d bad headers", len(badProxyHeaders))
	}
	p := holdfast(t, proc.Spec{HTTP: behind})
	for _, header := range badProxyHeaders {
		c := proc.Try(p.Front())
		c.Send(header)
		if c.Err() == nil {
			if b, err := c.Reader().ReadByte(); err == nil {
				t.Errorf("%q is answered, beginning with %q", header, b)
			}
		}
		c.Close()
	}
	proc.Until(t, "the counter", func() error {
		if n := p.Metrics(t)[`holdfast_session_closes_total{reason="bad_request",side="client"}`]; int(n) != len(badProxyHeaders) {
			return fmt.Errorf("%v of %d\n%s", n, len(badProxyHeaders), p.ErrorLog())
		}
		return nil
	})
	if log := p.ErrorLog(); !strings.Contains(log, `[error]`) || !strings.Contains(log, `broken header: "GET / HTTP/1.1`) {
		t.Errorf("error log:\n%s", log)
	}
	// Those that come to no end are ended by the timer, others by their client.
	c := proc.Dial(t, p.Front())
	c.Send("PROXY TCP4 192.0")
	c.CloseWrite()
	c.ExpectEnd()
}

func TestProxyProtocolTimeout(t *testing.T) {
	p := holdfast(t, proc.Spec{HTTP: "proxy_protocol_timeout 200ms;" + behind})
	for _, begin := range []string{"", "PROXY TCP4 192.0"} {
		c := proc.Dial(t, p.Front())
		if begin != "" {
			c.Send(begin)
		}
		c.ExpectEnd()
	}
}

// startHAProxy runs haproxy with these frontends and backends, and waits for their ports.
func startHAProxy(t *testing.T, text string, ports ...string) {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		proc.Skip(t, "haproxy is not on PATH")
	}
	dir := t.TempDir()
	conf, output := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "output")
	text = "global\n maxconn 500\ndefaults\n mode tcp\n timeout connect 30s\n timeout client 60s\n timeout server 60s\n" + text
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := proc.Launch(proc.Command{Path: path, Args: []string{"-db", "-f", conf}, Dir: dir, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	for _, address := range ports {
		proc.Until(t, "haproxy", func() error {
			if p.Ended() {
				said, _ := os.ReadFile(output)
				t.Fatalf("haproxy ended: %s", said)
			}
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				conn.Close()
			}
			return err
		})
	}
}

func free(t *testing.T) string {
	t.Helper()
	n, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strconv.Itoa(n)
}

func TestBehindHAProxy(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen 127.0.0.1:{{port:front}} proxy_protocol;
        set_real_ip_from 127.0.0.1;
        real_ip_header proxy_protocol;
        location / { return 200 "` + addresses + `"; }
        location /tlv {
            return 200 "$proxy_protocol_tlv_ssl_version|$proxy_protocol_tlv_ssl_cipher|$proxy_protocol_tlv_ssl_verify|` +
		`$proxy_protocol_tlv_authority|$proxy_protocol_tlv_unique_id|$proxy_protocol_tlv_ssl_cn|$proxy_protocol_tlv_0x03";
        }
        location /ws { proxy_pass http://{{backend}}; proxy_set_header X-Real-IP $remote_addr:$remote_port; }
    }`})
	authority := pki.NewAuthority(t, "test")
	pair := authority.Issue(t, pki.Request{Name: "test", Hosts: []string{"test.example"}})
	crt := pki.WriteFile(t, t.TempDir(), "both.pem", append(pair.PEM(), pair.KeyPEM(t)...))
	v1, v2, ssl := free(t), free(t), free(t)
	startHAProxy(t, fmt.Sprintf(`
frontend one
 bind %[1]s
 default_backend one
backend one
 server s %[4]s send-proxy
frontend two
 bind %[2]s
 default_backend two
backend two
 server s %[4]s send-proxy-v2 check inter 50ms
frontend ssl
 bind %[3]s ssl crt %[5]s alpn http/1.1
 unique-id-format id-%%cp
 default_backend ssl
backend ssl
 server s %[4]s send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,authority,unique-id,crc32c
`, v1, v2, ssl, p.Front(), crt), v1, v2, ssl)
	for name, address := range map[string]string{"v1": v1, "v2": v2} {
		c := proc.Dial(t, address)
		_, own, _ := net.SplitHostPort(c.Conn().LocalAddr().String())
		_, to, _ := net.SplitHostPort(address)
		equal(t, name, text(t, c, "/"), "127.0.0.1|"+own+"|127.0.0.1|127.0.0.1|"+own+"|127.0.0.1|"+to)
		c.Close()
		c = proc.Dial(t, address)
		_, own, _ = net.SplitHostPort(c.Conn().LocalAddr().String())
		c.Handshake("a", "/ws")
		c.EchoText("through two proxies")
		equal(t, name+", X-Real-IP", b.Last(t).Head.Get("X-Real-IP"), "127.0.0.1:"+own)
		c.Close()
	}
	conn, err := tls.Dial("tcp", ssl, &tls.Config{RootCAs: authority.Pool(), ServerName: "test.example", NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, own, _ := net.SplitHostPort(conn.LocalAddr().String())
	c := proc.NewRaw(conn)
	got := text(t, c, "/tlv")
	words := strings.SplitN(got, "|", 7) // the checksum may have any byte
	if len(words) != 7 || words[0] != "TLSv1.3" || words[1] == "" || words[3] != "test.example" || words[4] != "id-"+own || len(words[6]) != 4 {
		t.Errorf("the vectors of haproxy: %q", got)
	}
	equal(t, "over TLS", text(t, c, "/")[:len("127.0.0.1|"+own)], "127.0.0.1|"+own)
	if log := p.ErrorLog(); strings.Contains(log, "broken header") {
		t.Errorf("error log:\n%s", log)
	}
}

// streamModule is the line that loads nginx's stream module where it is a file.
func streamModule(t *testing.T) string {
	t.Helper()
	const file = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(file); err != nil {
		proc.Skip(t, "nginx has no stream module in its usual place")
	}
	return "load_module " + file + ";"
}

func TestBehindNginxStream(t *testing.T) {
	p := holdfast(t, proc.Spec{HTTP: behind})
	front := proc.Start(t, proc.Nginx, proc.Spec{Vars: map[string]string{"back": p.Front()}, Main: streamModule(t) + `
    stream { server { listen 127.0.0.1:{{port:front}}; proxy_pass {{back}}; proxy_protocol on; } }`})
	c := proc.Dial(t, front.Front())
	_, own, _ := net.SplitHostPort(c.Conn().LocalAddr().String())
	want := "127.0.0.1|" + own + "|127.0.0.1|127.0.0.1|" + own + "|127.0.0.1|" + front.Port("front")
	equal(t, "answer", text(t, c, "/"), want)
	equal(t, "second answer", text(t, c, "/"), want)
}

// receiver is a web server that takes the PROXY protocol and answers with the addresses in
// its header and the number of connections so far.
func receiver(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wrapped := &proxyproto.Listener{Listener: ln, ReadHeaderTimeout: proc.Patience,
		ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.REQUIRE, nil }}
	type key struct{}
	server := &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := r.Context().Value(key{}).(*proxyproto.Conn).ProxyHeader()
			fmt.Fprintf(w, "%d %s %s", h.Version, h.SourceAddr, h.DestinationAddr)
		}),
	}
	done := make(chan struct{})
	go func() { _ = server.Serve(wrapped); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return ln.Addr().String()
}

func TestProxyProtocolOut(t *testing.T) {
	accept := free(t)
	startHAProxy(t, fmt.Sprintf(`
frontend in
 mode http
 bind %s accept-proxy
 http-request return status 200 content-type text/plain lf-string "%%[src] %%[src_port] %%[dst] %%[dst_port]"
`, accept), accept)
	p := holdfast(t, proc.Spec{Vars: map[string]string{"receiver": receiver(t), "haproxy": accept}, HTTP: `
    upstream kept { server {{receiver}}; keepalive 8; }
    server {
        listen 127.0.0.1:{{port:front}};
        location /v1 { proxy_pass http://kept; proxy_protocol v1; }
        location /v2 { proxy_pass http://kept; proxy_protocol v2; }
        location /h1 { proxy_pass http://{{haproxy}}; proxy_protocol v1; }
        location /h2 { proxy_pass http://{{haproxy}}; proxy_protocol v2; }
        location /told { proxy_pass http://{{haproxy}}; proxy_protocol v2; set_real_ip_from 127.0.0.0/8; }
    }`})
	c := proc.Dial(t, p.Front())
	_, own, _ := net.SplitHostPort(c.Conn().LocalAddr().String())
	for range 2 {
		equal(t, "v1", text(t, c, "/v1"), "1 127.0.0.1:"+own+" "+p.Front())
		equal(t, "v2", text(t, c, "/v2"), "2 127.0.0.1:"+own+" "+p.Front())
		equal(t, "v1 to haproxy", text(t, c, "/h1"), "127.0.0.1 "+own+" 127.0.0.1 "+p.Port("front"))
		equal(t, "v2 to haproxy", text(t, c, "/h2"), "127.0.0.1 "+own+" 127.0.0.1 "+p.Port("front"))
	}
	c.Send("GET /told HTTP/1.1\r\nHost: a\r\nX-Real-IP: 2001:db8::9\r\n\r\n")
	equal(t, "an IPv6 client told by a field", string(c.Body(c.Response(200))), "2001:db8::9  ::ffff:127.0.0.1 "+p.Port("front"))
}

func TestProxyProtocolOutOfStream(t *testing.T) {
	p := holdfast(t, proc.Spec{Vars: map[string]string{"receiver": receiver(t)}, Main: `
    stream {
        server { listen 127.0.0.1:{{port:one}}; proxy_pass {{receiver}}; proxy_protocol on; }
        server { listen 127.0.0.1:{{port:two}}; proxy_pass {{receiver}}; proxy_protocol v2; }
        server {
            listen 127.0.0.1:{{port:both}} proxy_protocol; set_real_ip_from 127.0.0.1;
            proxy_pass {{receiver}}; proxy_protocol v2;
        }
    }`})
	for version, name := range map[string]string{"1": "one", "2": "two"} {
		c := proc.Dial(t, p.Addr(name))
		want := version + " " + c.Conn().LocalAddr().String() + " " + p.Addr(name)
		equal(t, name, text(t, c, "/"), want)
		equal(t, name, text(t, c, "/"), want)
		c.Close()
	}
	c := proc.Dial(t, p.Addr("both"))
	c.Send("PROXY TCP4 192.0.2.9 198.51.100.1 4711 443\r\n")
	equal(t, "both", text(t, c, "/"), "2 192.0.2.9:4711 "+p.Addr("both"))
}

// The header comes before TLS, on both sides, and tells the upstream about TLS with the client.
func TestProxyProtocolAndTLS(t *testing.T) {
	dir := t.TempDir()
	authority := pki.NewAuthority(t, "test")
	authority.Issue(t, pki.Request{Name: "test", Hosts: []string{"test.example"}}).Write(t, dir, "server")
	client := authority.Issue(t, pki.Request{Name: "somebody", Client: true})
	ca := pki.WriteFile(t, dir, "ca.pem", authority.PEM())
	p := holdfast(t, proc.Spec{Vars: map[string]string{"keys": dir, "ca": ca}, HTTP: `
    ssl_certificate {{keys}}/server.pem;
    ssl_certificate_key {{keys}}/server.key;
    server {
        listen 127.0.0.1:{{port:front}} ssl proxy_protocol;
        server_name test.example;
        ssl_verify_client on;
        ssl_client_certificate {{ca}};
        set_real_ip_from 127.0.0.1;
        real_ip_header proxy_protocol;
        location / { return 200 "$remote_addr $ssl_protocol"; }
        location /out { proxy_pass http://127.0.0.1:{{port:plain}}/tlv; proxy_protocol v2; }
        location /tls { proxy_pass https://127.0.0.1:{{port:tls}}; proxy_protocol v1; }
    }
    server {
        listen 127.0.0.1:{{port:plain}} proxy_protocol;
        location / {
            return 200 "$proxy_protocol_addr $proxy_protocol_tlv_ssl_version $proxy_protocol_tlv_ssl_cn ` +
		`$proxy_protocol_tlv_ssl_verify $proxy_protocol_tlv_authority $proxy_protocol_tlv_alpn";
        }
    }
    server {
        listen 127.0.0.1:{{port:tls}} ssl proxy_protocol;
        location / { return 200 "$proxy_protocol_addr $ssl_protocol"; }
    }`})
	raw := proc.Dial(t, p.Front())
	raw.SendEach([]byte("PROXY TCP4 192.0.2.9 198.51.100.1 4711 443\r\n"), 9)
	conn := tls.Client(raw.Conn(), &tls.Config{RootCAs: authority.Pool(), ServerName: "test.example", NextProtos: []string{"http/1.1"},
		Certificates: []tls.Certificate{client.TLS()}})
	c := proc.NewRaw(conn)
	ask := func(target string) string {
		c.Send("GET " + target + " HTTP/1.1\r\nHost: test.example\r\n\r\n")
		body := string(c.Body(c.Response(200)))
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
		return body
	}
	for range 2 {
		equal(t, "in", ask("/"), "192.0.2.9 TLSv1.3")
		equal(t, "out", ask("/out"), "192.0.2.9 TLSv1.3 somebody 0 test.example http/1.1")
		equal(t, "out, before TLS", ask("/tls"), "192.0.2.9 TLSv1.3")
	}
}
