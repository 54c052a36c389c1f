package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

func TestConnectPassesBytesOn(t *testing.T) {
	b := serveRaw(t, echoRaw)
	p := connects(t, "tunnel_allow_private on;")
	c := established(t, p, b.addr)
	c.Send("through").Expect("through")
	c.CloseWrite().ExpectEOF()
	c.Close()
	closedOnce(t, p, "done", "client")
	proc.Until(t, "the request's line", func() error {
		if log := p.AccessLog(); !strings.Contains(log, `"CONNECT `+b.addr+` HTTP/1.1" 200 `) {
			return fmt.Errorf("access log %q", log)
		}
		return nil
	})
}

// What comes behind the CONNECT before it is answered belongs to the tunnel.
func TestConnectWithEarlyData(t *testing.T) {
	b := serveRaw(t, echoRaw)
	p := connects(t, "tunnel_allow_private on;")
	early := "early\r\n\r\nGET /inside HTTP/1.1\r\n\r\n" + strings.Repeat("x", 30_000)
	c := proc.Dial(t, p.Front())
	c.Send(connect(b.addr) + early)
	c.Response(200)
	c.Expect(early)
	c.Send("later").Expect("later")
	c.Close()
}

func TestConnectHalfClose(t *testing.T) {
	asks := serveRaw(t, func(c *proc.Raw) error {
		c.Expect("question").ExpectEOF()
		c.Send("answer")
		return nil
	})
	greets := serveRaw(t, func(c *proc.Raw) error {
		c.Send("greeting").CloseWrite()
		c.Expect("thanks").ExpectEOF()
		return nil
	})
	p := connects(t, "tunnel_allow_private on;")
	c := established(t, p, asks.addr)
	c.Send("question").CloseWrite()
	c.Expect("answer").ExpectEOF()
	c.Close()
	c = established(t, p, greets.addr)
	c.Expect("greeting").ExpectEOF()
	c.Send("thanks").CloseWrite()
	proc.Until(t, "the server's end", func() error {
		if n := greets.open(); n != 0 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
}

func TestConnectMovesBulkBothWays(t *testing.T) {
	size := streamBytes(t)
	b := serveRaw(t, func(c *proc.Raw) error { return pump(c, 'd', 'u', size) })
	p := connects(t, "tunnel_allow_private on;")
	c := established(t, p, b.addr)
	if err := pump(c, 'u', 'd', size); err != nil {
		t.Error(err)
	}
	b.served(t)
}

// Ports and hosts are judged before anything is resolved or connected to.
func TestConnectAllowedPortsAndHosts(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	_, number, _ := net.SplitHostPort(b.addr)
	names := serveNames(t, func(string, int) []netip.Addr { return addrs("127.0.0.1") })
	rules := "tunnel_allow_private on; resolver " + names.addr + " ipv6=off; tunnel_allow_ports " + number + " 1-9;" +
		`tunnel_allow_hosts exact.test *.wild.test .both.test ~^re\d+\.test$ 127.0.0.1;`
	p := connects(t, rules)
	for _, host := range []string{
		"exact.test", "EXACT.test", "exact.test.", "a.wild.test", "a.b.wild.test", "both.test", "x.both.test", "re7.test", "127.0.0.1",
	} {
		c := established(t, p, host+":"+number)
		c.Expect("in")
		c.Close()
	}
	asked, reached := len(names.questions()), b.connections()
	for _, host := range []string{
		"other.test", "exact.test.evil.test", "wild.test", "evilwild.test", "re.test", "re7.test.evil", "xre7.test",
		"127.0.0.2", "2130706433", "notboth.test", "[::1]", "[::ffff:127.0.0.1]",
	} {
		refused(t, p, connect(host+":"+number), 403)
	}
	refused(t, p, connect("exact.test:22"), 403)
	refused(t, p, connect("exact.test:10"), 403)
	refused(t, p, connect("exact.test:65535"), 403)
	if n := len(names.questions()); n != asked {
		t.Errorf("%d names were asked about: %q", n-asked, names.questions()[asked:])
	}
	equal(t, "connections to the server", b.connections(), reached)
}

// 443 is the only port without a word about ports.
func TestConnectDefaults(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	p := holdfast(t, proc.Spec{HTTP: `server { listen 127.0.0.1:{{port:front}}; tunnel_pass; }`})
	refused(t, p, connect(b.addr), 403)
	refused(t, p, connect("127.0.0.1:443"), 403) // not public
	refused(t, p, connect("name.test:443"), 502) // no resolver
	c := proc.Dial(t, p.Front())
	c.Send(get("/")).Response(405)
	c.Close()
	equal(t, "connections to the server", b.connections(), 0)
}

// privateHosts are ways to write addresses that are not for the public.
var privateHosts = []string{
	"127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0x7F.1",
	"127.0.0.1.", "127.000.000.001", "0", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
	"100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
	"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::127.0.0.1]", "[::7f00:1]",
	"[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]",
	"[fc00::1]", "[fd00::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[::ffff:0:127.0.0.1]",
	"localhost", "LOCALHOST", "localhost.", "x.localhost", "private.test", "PRIVATE.test.",
}

func TestConnectRefusesPrivateAddresses(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	_, number, _ := net.SplitHostPort(b.addr)
	// Whatever a form means, the name server knows it as this machine.
	names := serveNames(t, func(string, int) []netip.Addr { return addrs("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1") })
	p := connects(t, "resolver "+names.addr+"; tunnel_bind 127.0.0.1;")
	numbers := regexp.MustCompile(`^[0-9.]+$`)
	for _, host := range privateHosts {
		status := 403
		if _, err := netip.ParseAddr(host); err != nil && numbers.MatchString(strings.TrimSuffix(host, ".")) && host != "127.0.0.1." {
			status = 502 // no address, and nothing that a name server knows
		}
		refused(t, p, connect(host+":"+number), status)
	}
	equal(t, "connections to the server", b.connections(), 0)
	equal(t, "tries to connect", p.Status(t).Totals.UpstreamConnects, int64(0))
}

// No form of an authority that is not a host and a port reaches anything, and none leaves
// the connection open for what may follow.
func TestConnectOddAuthorities(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	_, number, _ := net.SplitHostPort(b.addr)
	p := connects(t, "tunnel_allow_private on;")
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, target := range []string{
		"127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:4294967296", "127.0.0.1:" + number + "0000000000",
		"127.0.0.1:-1", "127.0.0.1:+" + number, "127.0.0.1:0x50", "127.0.0.1: " + number, "127.0.0.1 :" + number, ":" + number, ":",
		"user@127.0.0.1:" + number, "user:word@127.0.0.1:" + number, "@127.0.0.1:" + number, "127.0.0.1:" + number + "@x:1",
		"127.0.0.1:" + number + "/", "/127.0.0.1:" + number, "//127.0.0.1:" + number, "http://127.0.0.1:" + number,
		"http://127.0.0.1:" + number + "/", "*", "/", "127.0.0.1:" + number + "?", "127.0.0.1:" + number + "#x",
		"127.0.0.1:" + number + ":" + number, "::1:" + number, "[::1:" + number, "::1]:" + number, "[::1]" + number, "[]:" + number,
		"[127.0.0.1]:" + number, "[::1%25lo]:" + number, "[::1%lo]:" + number, "%31%32%37.0.0.1:" + number, "127.0.0.1%3a" + number,
		"127.0.0.1\t:" + number, "127.0.0.1\x00:" + number, "127.0.0.1\x0b:" + number, "\xff:" + number, "h\xc3\xb6st.test:" + number,
		"127.0.0.1:" + number + "\\", "127.0.0.1,x:" + number, "a..b:x", strings.Repeat("a", 5000) + ":x",
	} {
		c := proc.Try(p.Front())
		c.Send("CONNECT " + target + " HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled)
		head := c.Head()
		if status := head.Status(); status < 400 || status > 502 {
			t.Errorf("%q: answer %q", clipped(target), head.Start)
		}
		c.Body(head)
		if c.ExpectEOF(); gone(c.Err()) != nil {
			t.Errorf("%q: %v", clipped(target), c.Err())
		}
		c.Close()
	}
	equal(t, "connections to the server", b.connections(), 0)
}

// A CONNECT has no body, and what claims one could hide a request.
func TestConnectSmuggling(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	p := connects(t, "tunnel_allow_private on;")
	line := "CONNECT " + b.addr + " HTTP/1.1\r\nHost: " + b.addr + "\r\n"
	inside := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, request := range []string{
		line + "Content-Length: 5\r\n\r\nhello",
		line + "Content-Length: 5\r\n\r\n",
		line + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(inside)) + inside,
		line + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		line + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		line + "Transfer-Encoding: identity\r\n\r\n",
		line + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		line + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
		line + "Content-Length: -1\r\n\r\n",
		line + "Host: other.test\r\n\r\n",
		"CONNECT " + b.addr + "\r\n\r\n",
		"CONNECT " + b.addr + " HTTP/0.9\r\n\r\n",
		"CONNECT  " + b.addr + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT " + b.addr + " HTTP/1.1\r\n\r\n",
		"CONNECT " + b.addr + " HTTP/1.1\nHost: x\n\n",
		line + " folded: x\r\n\r\n",
		line + "Space : x\r\n\r\n",
	} {
		c := proc.Try(p.Front())
		c.Send(request + inside)
		head := c.Head()
		if status := head.Status(); status < 400 || status > 505 {
			t.Errorf("%q: answer %q", clipped(request), head.Start)
		}
		c.Body(head)
		if c.ExpectEOF(); gone(c.Err()) != nil {
			t.Errorf("%q: %v", clipped(request), c.Err())
		}
		c.Close()
	}
	equal(t, "connections to the server", b.connections(), 0)
}

// A refused CONNECT ends the connection: who sent it may already be talking to whom it
// wanted to reach.
func TestConnectRefusedEndsTheConnection(t *testing.T) {
	p := connects(t, "tunnel_allow_ports 443;")
	c := proc.Dial(t, p.Front())
	c.Send(connect("127.0.0.1:1") + get("/smuggled"))
	head := c.Response(403)
	equal(t, "Connection", head.Get("Connection"), "close")
	c.Body(head)
	c.ExpectEOF()
}

func TestConnectToUpstreamsThatFail(t *testing.T) {
	p := connects(t, "tunnel_allow_private on; tunnel_connect_timeout 300ms;")
	refused(t, p, connect(port.Address(t)), 502)
	refused(t, p, connect(deafAddress(t)), 504)
}

// tunnel_pass with an upstream of its own takes every CONNECT there, even a private one.
func TestConnectToAFixedUpstream(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	p := holdfast(t, proc.Spec{Vars: vars("backend", b.addr, "refuses", port.Address(t)), HTTP: `
    upstream group { server {{refuses}} max_fails=0; server {{backend}} max_fails=0; }
    server { listen 127.0.0.1:{{port:front}}; tunnel_allow_hosts good.test; location / { tunnel_pass group; } }`})
	for range 4 {
		c := established(t, p, "good.test:443")
		c.Expect("in")
		c.Close()
	}
	refused(t, p, connect("bad.test:443"), 403)
}

func TestConnectSilentTunnel(t *testing.T) {
	b := serveRaw(t, readToEnd)
	p := connects(t, "tunnel_allow_private on; tunnel_read_timeout 300ms;")
	c := established(t, p, b.addr)
	c.Send("anybody?").ExpectEnd()
	closedOnce(t, p, "read_timeout", "upstream")
}

func TestConnectByForeignClients(t *testing.T) {
	curl, python := program(t, "curl"), pythonWith(t, "requests")
	id := certify(t, "web.test")
	page := func(x *proc.Exchange) {
		proc.Answer(200, "a page of "+x.Head.Get("Host")+"\n")(x)
		x.Keep = false
	}
	plain := proc.NewBackend(t, page)
	secure := serveRawAt(t, "127.0.0.1:0", id.server("web.test", "http/1.1"), func(c *proc.Raw) error {
		for {
			if _, err := c.Reader().Peek(1); err != nil {
				return gone(ended(err))
			}
			head := c.Head()
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsecret\n")
			if c.Err() != nil || strings.EqualFold(head.Get("Connection"), "close") {
				return c.Err()
			}
		}
	})
	_, number, _ := net.SplitHostPort(secure.addr)
	names := serveNames(t, func(name string, _ int) []netip.Addr {
		if name == "web.test" {
			return addrs("127.0.0.1")
		}
		return nil
	})
	ca := filepath.Join(id.dir, "root.pem")
	p := holdfast(t, proc.Spec{Vars: vars("names", names.addr, "pki", id.dir), HTTP: `
    tunnel_allow_ports all; tunnel_allow_private on; resolver {{names}} ipv6=off;
    server { listen 127.0.0.1:{{port:front}}; tunnel_pass; }
    server { listen 127.0.0.1:{{port:tls}} ssl; tunnel_pass;
             ssl_certificate {{pki}}/web.test.pem; ssl_certificate_key {{pki}}/web.test.key; }`})
	for _, proxy := range []string{"http://" + p.Front(), "https://" + p.Addr("tls")} {
		base := []string{"-q", "-sS", "--max-time", "60", "--proxy-insecure", "-x", proxy, "--cacert", ca}
		equal(t, "curl -p", run(t, curl, append(base, "-p", "http://"+plain.Addr+"/")...), "a page of "+plain.Addr+"\n")
		target := "https://web.test:" + number + "/"
		equal(t, "curl", run(t, curl, append(base, target, target)...), "secret\nsecret\n")
		out := run(t, "/bin/sh", "-c", curl+" "+strings.Join(base, " ")+" https://nowhere.test/ 2>&1; echo status $?")
		if !strings.Contains(out, "502") || !strings.Contains(out, "status 56") {
			t.Errorf("curl to a name that does not exist: %q", out)
		}
	}
	out := run(t, python, filepath.Join(clientsDir, "connect_client.py"), "http://"+p.Front(), "https://web.test:"+number+"/", ca)
	equal(t, "Python", out, "ok secret\n")
	out = run(t, program(t, "node"), filepath.Join(clientsDir, "connect_client.js"), p.Front(), "web.test:"+number, ca)
	equal(t, "Node", out, "ok secret\n")
}

// ended passes over the end of a connection.
func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func TestConnectOverTLSMovesBulk(t *testing.T) {
	id := certify(t, "proxy.test")
	size := bulkBytes()
	b := serveRaw(t, func(c *proc.Raw) error { return pump(c, 'd', 'u', size) })
	p := holdfast(t, proc.Spec{Vars: vars("pki", id.dir), HTTP: `
    server { listen 127.0.0.1:{{port:front}} ssl; tunnel_allow_ports all; tunnel_allow_private on; tunnel_pass;
             ssl_certificate {{pki}}/proxy.test.pem; ssl_certificate_key {{pki}}/proxy.test.key; }`})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := id.client("proxy.test")
		config.MaxVersion = version
		c := dialTLS(t, p.Front(), config)
		c.Send("CONNECT " + b.addr + " HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
		c.Response(200)
		sound(t, c)
		if err := pump(c, 'u', 'd', size); err != nil {
			t.Error(err)
		}
		b.served(t)
		c.Close()
	}
}
