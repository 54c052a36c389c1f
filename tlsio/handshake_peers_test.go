package tlsio_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/sys"
	"holdfast/test/pki"
	"holdfast/tlsio"
)

// program runs a client or a server of another make.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func run(t *testing.T, name string, args ...string) *program {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name, "is not installed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	p := &program{t: t, cmd: exec.CommandContext(ctx, path, args...)}
	p.cmd.Stderr = &p.stderr
	p.stdin, err = p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stdin.Close()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		cancel()
		if t.Failed() {
			t.Logf("%s %q:\n%s", name, args, p.stderr.String())
		}
	})
	return p
}

// line waits for a line with these words.
func (p *program) line(words string) string {
	p.t.Helper()
	for {
		s, err := p.stdout.ReadString('\n')
		if strings.Contains(s, words) {
			return s
		}
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", words, err)
		}
	}
}

// files are the certificates for programs.
type files struct{ ca, cert, key, clientCert, clientKey string }

func (c *certificates) files(t *testing.T) files {
	dir := t.TempDir()
	server := c.ca.Issue(t, pki.Request{Name: "localhost", Hosts: []string{"localhost", "127.0.0.1"}})
	server.Write(t, dir, "server")
	c.client.Write(t, dir, "client")
	pki.WriteFile(t, dir, "ca.pem", c.ca.PEM())
	at := func(name string) string { return filepath.Join(dir, name) }
	f := files{at("ca.pem"), at("server.pem"), at("server.key"), at("client.pem"), at("client.key")}
	for _, name := range []string{f.ca, f.cert, f.key, f.clientCert, f.clientKey} {
		if _, err := os.Stat(name); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// accept makes a handshake with whoever connects.
func (r *handshaker) accept(t *testing.T, ln net.Listener, server *tls.Config) (int32, *tlsio.Result) {
	t.Helper()
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := conn.(*net.TCPConn).File() // a descriptor of our own, which the runtime doesn't poll
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	t.Cleanup(func() { file.Close() })
	fd := int32(file.Fd())
	_, c := r.start(tlsio.Order{FD: fd, Choose: only(server)})
	return fd, await(t, c)
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, ln.Addr().String()
}

func TestOpenSSLClient(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	f := certs.files(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	server := certs.server()
	server.ClientAuth, server.ClientCAs = tls.VerifyClientCertIfGiven, certs.ca.Pool()
	server.NextProtos = nil
	server.CipherSuites = []uint16{ // with those without forward secrecy
		0x9c, 0x9d, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9,
	}
	one := func(t *testing.T, args ...string) *tlsio.Result {
		t.Helper()
		ln, addr := listen(t)
		p := run(t, "openssl", append([]string{"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", f.ca,
			"-verify_return_error", "-quiet", "-ign_eof"}, args...)...)
		fd, res := r.accept(t, ln, server)
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		s := openSide(t, fd, res)
		fmt.Fprintln(p.stdin, "ping")
		if got := s.read(5); string(got) != "ping\n" {
			t.Errorf("%q", got)
		}
		s.write([]byte("pong\n"))
		p.line("pong")
		if errno := s.layer.CloseNotify(s.id, s.fd); errno != 0 {
			t.Error(errno)
		}
		sys.ShutdownWrite(s.fd)
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("s_client: %v", err)
		}
		return res
	}
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		t.Run(suite, func(t *testing.T) {
			res := one(t, "-tls1_3", "-ciphersuites", suite)
			if res.Info.Cipher != suite || res.Info.Ciphers != suite+":TLS_EMPTY_RENEGOTIATION_INFO_SCSV" {
				t.Errorf("%+v", res.Info)
			}
		})
	}
	for _, suite := range []string{"AES128-GCM-SHA256", "AES256-GCM-SHA384",
		"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"} {
		t.Run(suite, func(t *testing.T) {
			res := one(t, "-tls1_2", "-cipher", suite)
			if res.Info.Cipher != suite || res.Info.Version != "TLSv1.2" {
				t.Errorf("%+v", res.Info)
			}
		})
	}
	t.Run("retry", func(t *testing.T) {
		server.CurvePreferences = []tls.CurveID{tls.CurveP384}
		defer func() { server.CurvePreferences = nil }()
		if res := one(t, "-curves", "X25519:P-384"); res.Info.Curves != "X25519:secp384r1" {
			t.Errorf("%+v", res.Info)
		}
	})
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run("resumed"+version, func(t *testing.T) {
			session := filepath.Join(t.TempDir(), "session")
			for i, args := range [][]string{{version, "-sess_out", session}, {version, "-sess_in", session}} {
				if res := one(t, args...); res.Info.Resumed != (i == 1) {
					t.Errorf("%d: %+v", i, res.Info)
				}
			}
		})
		t.Run("certificate"+version, func(t *testing.T) {
			res := one(t, version, "-cert", f.clientCert, "-key", f.clientKey)
			if !bytes.Equal(res.Info.ClientCert, certs.client.Cert.Raw) {
				t.Errorf("%+v", res.Info)
			}
		})
	}
}

func TestOpenSSLServer(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	f := certs.files(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, args := range [][]string{
		{"-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"},
		{"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"},
		{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{"-tls1_3", "-curves", "P-384"},
		{"-tls1_3", "-Verify", "2", "-CAfile", f.ca},
		{"-tls1_2", "-Verify", "2", "-CAfile", f.ca},
		{"-tls1_3", "-num_tickets", "4"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			p := run(t, "openssl", append([]string{"s_server", "-accept", "127.0.0.1:0", "-cert", f.cert, "-key", f.key,
				"-rev"}, args...)...)
			_, addr, _ := strings.Cut(strings.TrimSpace(p.line("ACCEPT")), " ")
			client := certs.clientConfig()
			client.NextProtos = nil
			client.Certificates = []tls.Certificate{certs.client.TLS()}
			cache := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(4), put: make(chan struct{}, 16)}
			client.ClientSessionCache = cache
			for i := range 2 {
				fd, errno := sys.Dial(netip.MustParseAddrPort(addr))
				if errno != 0 {
					t.Fatal(errno)
				}
				_, c := r.start(tlsio.Order{FD: fd, Client: client})
				res := await(t, c)
				if res.Err != nil {
					t.Fatal(res.Err)
				}
				s := openSide(t, fd, res)
				s.write([]byte("abcde\n"))
				if got := s.read(6); string(got) != "edcba\n" {
					t.Errorf("%q", got)
				}
				if res.Info.Resumed != (i > 0) {
					t.Errorf("connection %d: resumed %v", i, res.Info.Resumed)
				}
				if i == 0 { // OpenSSL renews no session of TLS 1.2
					cache.await(t)
				}
				s.layer.CloseNotify(s.id, fd)
				sys.Close(fd)
			}
		})
	}
}

func TestOtherClients(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	f := certs.files(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	python := `import ssl,sys,socket
c=ssl.create_default_context(cafile=sys.argv[1]); c.set_alpn_protocols(["http/1.1"])
s=c.wrap_socket(socket.create_connection(("127.0.0.1",int(sys.argv[2]))),server_hostname="localhost")
s.sendall(b"GET / HTTP/1.1\r\n\r\n"); print(s.recv(99).decode()); s.unwrap()`
	for _, c := range []struct {
		name string
		args func(port string) []string
	}{
		{"curl", func(port string) []string {
			return []string{"-sS", "--cacert", f.ca, "https://localhost:" + port + "/", "--resolve", "localhost:" + port + ":127.0.0.1"}
		}},
		{"python3", func(port string) []string { return []string{"-c", python, f.ca, port} }},
		{"node", func(port string) []string {
			return []string{"-e", `const c=require("tls").connect({port:` + port + `,host:"127.0.0.1",servername:"localhost",` +
				`ALPNProtocols:["http/1.1"],ca:require("fs").readFileSync("` + f.ca + `")},()=>c.write("GET / HTTP/1.1\r\n\r\n"));` +
				`c.on("data",d=>{console.log(String(d));c.end()})`}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, addr := listen(t)
			_, port, _ := net.SplitHostPort(addr)
			p := run(t, c.name, c.args(port)...)
			fd, res := r.accept(t, ln, certs.server())
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			s := openSide(t, fd, res)
			if got := s.read(14); string(got) != "GET / HTTP/1.1" {
				t.Errorf("%q", got)
			}
			s.write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nall well\n"))
			p.line("all well")
			if res.Info.ALPN != "http/1.1" || res.Info.Ciphers == "" {
				t.Errorf("%+v", res.Info)
			}
			s.layer.CloseNotify(s.id, fd)
			sys.ShutdownWrite(fd)
			if err := p.cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
