package e2e_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/test/proc"
)

// secure makes the TLS client of c.
func secure(c *proc.Raw, config *tls.Config) (*tls.Conn, error) {
	conn := tls.Client(c.Conn(), config)
	_ = conn.SetDeadline(time.Now().Add(proc.Patience))
	return conn, conn.Handshake()
}

// dialTLS connects to address with TLS; the connection is closed with the test.
func dialTLS(t *testing.T, address string, config *tls.Config) *proc.Raw {
	t.Helper()
	c := proc.Dial(t, address)
	conn, err := secure(c, config)
	if err != nil {
		t.Fatal(err)
	}
	return proc.NewRaw(conn)
}

// sound ends the test if a step of c went wrong.
func sound(t *testing.T, c *proc.Raw) {
	t.Helper()
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestStreamTerminatesTLS(t *testing.T) {
	id := certify(t, "a.test")
	size := bulkBytes()
	b := serveRaw(t, func(c *proc.Raw) error {
		if first, err := c.Reader().Peek(1); err != nil || first[0] == 'e' {
			return errors.Join(err, echoRaw(c))
		}
		return pump(c, 'd', 'u', size)
	})
	const block = `
    log_format f "$bytes_received|$bytes_sent|$ssl_protocol|$ssl_server_name|$ssl_session_reused|$status";
    server {
        listen 127.0.0.1:{{port:front}} ssl; ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {{dir}}/a.test.pem; ssl_certificate_key {{dir}}/a.test.key;
        proxy_half_close on; proxy_pass {{backend}}; access_log logs/stream.log f;
    }`
	bothStreams(t, block, vars("backend", b.addr, "dir", id.dir), func(t *testing.T, p *proc.Proxy) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := id.client("a.test")
			config.MinVersion, config.MaxVersion = version, version
			c := dialTLS(t, p.Front(), config)
			c.Send("echo this").Expect("echo this")
			c.CloseWrite().ExpectEOF()
			sound(t, c)
			c.Close()
		}
		lines := logged(t, p, "stream.log", 2)
		equal(t, "line of TLS 1.2", lines[0], "9|9|TLSv1.2|a.test|.|200")
		equal(t, "line of TLS 1.3", lines[1], "9|9|TLSv1.3|a.test|.|200")
		c := dialTLS(t, p.Front(), id.client("a.test"))
		if err := pump(c, 'u', 'd', size); err != nil {
			t.Error(err)
		}
		b.served(t)
	})
}

// A rate holds for what TLS carries, and what was decrypted but not passed on is not lost.
func TestStreamRatesWithTLS(t *testing.T) {
	id := certify(t, "a.test")
	const size = 1 << 20
	play := func(c *proc.Raw) error { return pump(c, 'd', 'u', size) }
	plain, secured := serveRaw(t, play), serveRawAt(t, "127.0.0.1:0", id.server("a.test"), play)
	const block = `
    proxy_half_close on; proxy_download_rate 700k; proxy_upload_rate 600k;
    ssl_certificate {{pki}}/a.test.pem; ssl_certificate_key {{pki}}/a.test.key;
    ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_protocols TLSv1.2 TLSv1.3;
    server { listen 127.0.0.1:{{port:front}} ssl; proxy_pass {{plain}}; }
    server { listen 127.0.0.1:{{port:back}}; proxy_pass {{secured}}; proxy_ssl on; }
    server { listen 127.0.0.1:{{port:both}} ssl; proxy_pass {{secured}}; proxy_ssl on; }`
	// nginx drops the last bytes of the upload when a client with TLS has sent its FIN.
	p := holdfastStreams(t, block, vars("plain", plain.addr, "secured", secured.addr, "pki", id.dir))
	front, both := dialTLS(t, p.Front(), id.client("a.test")), dialTLS(t, p.Addr("both"), id.client("a.test"))
	failures := make(chan error, 3)
	for _, c := range []*proc.Raw{front, proc.Dial(t, p.Addr("back")), both} {
		go func() { failures <- pump(c, 'u', 'd', size) }()
	}
	for range 3 {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	plain.served(t)
	secured.served(t)
	front.Close()
	both.Close()
}

func TestStreamTLSOfForeignClients(t *testing.T) {
	openssl, curl := program(t, "openssl"), program(t, "curl")
	id := certify(t, "a.test")
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		proc.Answer(200, "a page\n")(x)
		x.Keep = false
	})
	const block = `
    server {
        listen 127.0.0.1:{{port:front}} ssl; ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {{dir}}/a.test.pem; ssl_certificate_key {{dir}}/a.test.key; proxy_pass {{backend}};
    }`
	bothStreams(t, block, vars("backend", b.Addr, "dir", id.dir), func(t *testing.T, p *proc.Proxy) {
		out := run(t, curl, "-sS", "--cacert", id.dir+"/root.pem", "--resolve", "a.test:"+p.Port("front")+":127.0.0.1",
			"https://a.test:"+p.Port("front")+"/")
		equal(t, "curl's page", out, "a page\n")
		out = run(t, "/bin/sh", "-c", `printf 'GET / HTTP/1.0\r\n\r\n' | `+openssl+` s_client -quiet -verify_quiet -ign_eof `+
			`-verify_return_error -CAfile `+id.dir+`/root.pem -servername a.test -connect `+p.Front())
		if !strings.HasSuffix(out, "a page\n") {
			t.Errorf("s_client got %q", out)
		}
	})
}

func TestStreamSpeaksTLSToTheUpstream(t *testing.T) {
	id, stranger := certify(t, "good.test", "other.test"), certify(t, "good.test")
	names := make(chan string, 16)
	config := id.server("good.test")
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}
	size := bulkBytes()
	b := serveRawAt(t, "127.0.0.1:0", config, func(c *proc.Raw) error {
		first, err := c.Reader().Peek(1)
		switch {
		case err == nil && first[0] == 'e':
			return echoRaw(c)
		case err == nil:
			return pump(c, 'd', 'u', size)
		}
		return nil // a proxy that does not trust us
	})
	plain := serveRaw(t, readToEnd)
	const block = `
    proxy_ssl on; proxy_half_close on; proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_session_reuse off;
    server { listen 127.0.0.1:{{port:front}}; proxy_pass {{backend}}; }
    server { listen 127.0.0.1:{{port:named}}; proxy_pass {{backend}};
             proxy_ssl_server_name on; proxy_ssl_name good.test;
             proxy_ssl_verify on; proxy_ssl_trusted_certificate {{dir}}/root.pem; }
    server { listen 127.0.0.1:{{port:misnamed}}; proxy_pass {{backend}}; proxy_ssl_name other.test;
             proxy_ssl_verify on; proxy_ssl_trusted_certificate {{dir}}/root.pem; }
    server { listen 127.0.0.1:{{port:strange}}; proxy_pass {{backend}}; proxy_ssl_name good.test;
             proxy_ssl_verify on; proxy_ssl_trusted_certificate {{stranger}}/root.pem; }
    server { listen 127.0.0.1:{{port:plain}}; proxy_pass {{plain}}; proxy_connect_timeout 300ms; }`
	v := vars("backend", b.addr, "plain", plain.addr, "dir", id.dir, "stranger", stranger.dir)
	bothStreams(t, block, v, func(t *testing.T, p *proc.Proxy) {
		for server, name := range map[string]string{"front": "", "named": "good.test"} {
			c := proc.Dial(t, p.Addr(server))
			c.Send("encrypt me").Expect("encrypt me")
			c.CloseWrite().ExpectEOF()
			c.Close()
			equal(t, "server name of "+server, <-names, name)
		}
		for _, server := range []string{"misnamed", "strange"} {
			c := proc.Dial(t, p.Addr(server))
			c.Send("e").ExpectEnd()
			c.Close()
			<-names
		}
		errorLogged(t, p, "error] ")
		c := proc.Dial(t, p.Addr("plain")) // its server never answers the hello
		c.Send("e").ExpectEnd()
		c.Close()
		c = proc.Dial(t, p.Addr("named"))
		if err := pump(c, 'u', 'd', size); err != nil {
			t.Error(err)
		}
		<-names
		b.served(t)
	})
}

// prereadBlock routes by what a hello says.
const prereadBlock = `
    map $ssl_preread_alpn_protocols $by_alpn { default {{none}}; ~\bh2\b {{h2}}; ~\bxmpp\b {{xmpp}}; }
    map $ssl_preread_server_name $to { hostnames; default $by_alpn; a.test {{a}}; *.b.test {{b}}; }
    log_format f "$ssl_preread_server_name|$ssl_preread_alpn_protocols|$ssl_preread_protocol|$upstream_addr|$status";
    preread_timeout 300ms; preread_buffer_size 2k;
    server { listen 127.0.0.1:{{port:front}}; ssl_preread on; proxy_pass $to; access_log logs/stream.log f; }
    server { listen 127.0.0.1:{{port:patient}}; ssl_preread on; proxy_pass $to; preread_timeout 60s; }`

// prereadServers are servers that say who they are, by name; "none" is not spoken to in TLS.
func prereadServers(t *testing.T, id *identity) (servers map[string]*rawServer, v map[string]string) {
	t.Helper()
	servers, v = map[string]*rawServer{}, map[string]string{}
	for name, cert := range map[string]string{"a": "a.test", "b": "x.b.test", "h2": "other.test", "xmpp": "other.test"} {
		config := id.server(cert)
		if cert == "other.test" {
			config.NextProtos = []string{name}
		}
		servers[name] = serveRawAt(t, "127.0.0.1:0", config, func(c *proc.Raw) error {
			first, err := c.Reader().Peek(1)
			if err != nil {
				return err
			}
			if first[0] == 'G' {
				c.Head()
				c.Send("HTTP/1.0 200 OK\r\n\r\nI am " + name)
				return nil
			}
			c.Expect("who?").Send("I am " + name)
			return readToEnd(c)
		})
	}
	servers["none"] = serveRaw(t, func(c *proc.Raw) error {
		// What comes, with a word before it.
		if _, err := io.WriteString(c.Conn(), "plain "); err != nil {
			return gone(err)
		}
		return echoRaw(c)
	})
	for name, s := range servers {
		v[name] = s.addr
	}
	return servers, v
}

func TestStreamPrereadRoutes(t *testing.T) {
	id := certify(t, "a.test", "x.b.test", "other.test")
	servers, v := prereadServers(t, id)
	curl, openssl := program(t, "curl"), program(t, "openssl")
	bothStreams(t, prereadBlock, v, func(t *testing.T, p *proc.Proxy) {
		for i, c := range []struct {
			name      string
			protocols []string
			want      string
			line      string
		}{
			{"a.test", nil, "a", "a.test||TLSv1.3|" + servers["a"].addr},
			{"x.b.test", nil, "b", "x.b.test||TLSv1.3|" + servers["b"].addr},
			{"other.test", []string{"h2", "http/1.1"}, "h2", "other.test|h2,http/1.1|TLSv1.3|" + servers["h2"].addr},
			{"other.test", []string{"xmpp"}, "xmpp", "other.test|xmpp|TLSv1.3|" + servers["xmpp"].addr},
		} {
			conn := dialTLS(t, p.Addr("front"), id.client(c.name, c.protocols...))
			conn.Send("who?").Expect("I am " + c.want)
			sound(t, conn)
			conn.Close()
			equal(t, "log line", logged(t, p, "stream.log", i+1)[i], c.line+"|200")
		}
		out := run(t, "/bin/sh", "-c", `printf 'GET / HTTP/1.0\r\n\r\n' | `+openssl+` s_client -quiet -verify_quiet -ign_eof `+
			`-verify_return_error -CAfile `+id.dir+`/root.pem -servername x.b.test -connect `+p.Addr("patient"))
		if !strings.HasSuffix(out, "I am b") {
			t.Errorf("s_client got %q", out)
		}
		out = run(t, curl, "-sS", "--max-time", "60", "--cacert", id.dir+"/root.pem", "--http1.1",
			"--resolve", "a.test:"+p.Port("patient")+":127.0.0.1", "https://a.test:"+p.Port("patient")+"/")
		equal(t, "curl's page", out, "I am a")
	})
}

// helloOf is the hello of a client, a record of TLS.
func helloOf(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	go func() { _ = tls.Client(there, config).Handshake() }()
	_ = here.SetDeadline(time.Now().Add(proc.Patience))
	head := make([]byte, 5)
	if _, err := io.ReadFull(here, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(here, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// inRecords splits the content of a record over records of at most n bytes.
func inRecords(record []byte, n int) (all []byte) {
	for body := record[5:]; len(body) > 0; {
		n := min(n, len(body))
		all = append(all, record[0], record[1], record[2], byte(n>>8), byte(n))
		all = append(all, body[:n]...)
		body = body[n:]
	}
	return all
}

// However a hello comes, it is looked at whole, and its server gets it as it came.
func TestStreamPrereadOfHellosInPieces(t *testing.T) {
	id := certify(t, "a.test", "x.b.test", "other.test")
	got := make(chan []byte, 1)
	b := serveRaw(t, func(c *proc.Raw) error {
		all, err := io.ReadAll(c.Reader())
		got <- all
		return gone(err)
	})
	const block = `
    map $ssl_preread_server_name $to { default 127.0.0.1:1; a.test {{backend}}; }
    server { listen 127.0.0.1:{{port:front}}; ssl_preread on; proxy_pass $to; preread_timeout 60s; }`
	hello := helloOf(t, id.client("a.test", "h2", "http/1.1"))
	bothStreams(t, block, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		for _, sent := range []struct {
			name  string
			bytes []byte
			piece int
		}{
			{"whole", hello, len(hello)},
			{"byte by byte", hello, 1},
			{"records of 100", inRecords(hello, 100), 1 << 20},
			{"records of 7, byte by byte", inRecords(hello, 7), 1},
			{"followed by more", append(bytes.Clone(hello), "and more"...), 1 << 20},
		} {
			c := proc.Dial(t, p.Front())
			_ = c.Conn().(*net.TCPConn).SetNoDelay(true)
			c.SendEach(sent.bytes, sent.piece)
			c.CloseWrite()
			select {
			case all := <-got:
				if !bytes.Equal(all, sent.bytes) {
					t.Errorf("%s: the server got %d bytes %q", sent.name, len(all), all)
				}
			case <-time.After(proc.Patience):
				t.Fatalf("%s: the server got nothing", sent.name)
			}
			c.Close()
		}
	})
}

// What is no TLS goes on without a name; what can't be told in time or in the buffer's size
// comes to an end.
func TestStreamPrereadOfOthers(t *testing.T) {
	id := certify(t, "a.test", "x.b.test", "other.test")
	_, v := prereadServers(t, id)
	hello := string(helloOf(t, id.client("a.test")))
	long := helloOf(t, id.client("a.test", manyProtocols()...))
	bothStreams(t, prereadBlock, v, func(t *testing.T, p *proc.Proxy) {
		lines := 0
		line := func(what, want string) {
			t.Helper()
			lines++
			all := logged(t, p, "stream.log", lines)
			equal(t, "log line of "+what, all[lines-1], want)
		}
		c := proc.Dial(t, p.Front())
		c.Send("GET / HTTP/1.1\r\n").Expect("plain GET / HTTP/1.1\r\n")
		c.Close()
		line("plain HTTP", "-|-|-|"+v["none"]+"|200")
		c = proc.Dial(t, p.Front())
		c.Send("\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00").Expect("plain \x16")
		c.Close()
		line("another handshake message", "-|-|-|"+v["none"]+"|200")
		c = proc.Dial(t, p.Front())
		c.Send(hello[:len(hello)/2]).ExpectEnd()
		c.Close()
		line("half a hello", "|||-|200")
		c = proc.Dial(t, p.Front())
		c.ExpectEnd()
		c.Close()
		line("nothing", "-|-|-|-|200")
		c = proc.Dial(t, p.Addr("front"))
		c.SendBytes(long).ExpectEnd()
		c.Close()
		line("a long hello", "|||-|400")
		c = proc.Dial(t, p.Front())
		c.Send(hello[:len(hello)/2]).CloseWrite().ExpectEnd()
		c.Close()
		line("a hello cut short", "|||-|200")
	})
}

// manyProtocols make a hello longer than 2 KiB.
func manyProtocols() (list []string) {
	for i := range 100 {
		list = append(list, fmt.Sprintf("a-protocol-with-a-long-name-%d", i))
	}
	return list
}

// Servers of one address are told apart by the name that a client asks for.
func TestStreamServerNames(t *testing.T) {
	id := certify(t, "one.test", "two.test", "x.three.test")
	const block = `
    server { listen 127.0.0.1:{{port:front}} ssl; server_name one.test; return "one $ssl_server_name";
             ssl_certificate {{dir}}/one.test.pem; ssl_certificate_key {{dir}}/one.test.key; }
    server { listen 127.0.0.1:{{port:front}} ssl default_server; server_name two.test; return "two $ssl_server_name";
             ssl_certificate {{dir}}/two.test.pem; ssl_certificate_key {{dir}}/two.test.key; }
    server { listen 127.0.0.1:{{port:front}} ssl; server_name *.three.test; return "three $ssl_server_name"; deny all;
             ssl_certificate {{dir}}/x.three.test.pem; ssl_certificate_key {{dir}}/x.three.test.key; }
    server { listen 127.0.0.1:{{port:blind}}; server_name one.test; ssl_preread on; return one; }
    server { listen 127.0.0.1:{{port:blind}} default_server; server_name two.test; ssl_preread on; return two; }`
	p := holdfastStreams(t, block, vars("dir", id.dir))
	for name, want := range map[string]string{"one.test": "one one.test", "two.test": "two two.test", "x.three.test": ""} {
		c := dialTLS(t, p.Front(), id.client(name))
		all, err := io.ReadAll(c.Conn())
		if string(all) != want || err != nil && want != "" {
			t.Errorf("%s: got %q, %v", name, all, err)
		}
		c.Close()
	}
	config := id.client("two.test")
	config.ServerName, config.InsecureSkipVerify = "unknown.test", true
	c := dialTLS(t, p.Front(), config)
	if all, _ := io.ReadAll(c.Conn()); string(all) != "two unknown.test" {
		t.Errorf("unknown name: got %q", all)
	}
	c.Close()
	for name, want := range map[string]string{"one.test": "one", "two.test": "two", "unknown.test": "two"} {
		c := proc.Dial(t, p.Addr("blind"))
		c.SendBytes(helloOf(t, id.client(name)))
		c.Expect(want).ExpectEnd()
		c.Close()
	}
}
