package engine

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/route"
	"holdfast/test/pki"
)

func TestBuildTLS(t *testing.T) {
	dir := t.TempDir()
	ca := pki.NewAuthority(t, "authority")
	pki.WriteFile(t, dir, "ca.pem", ca.PEM())
	for _, name := range []string{"a", "b"} {
		ca.Issue(t, pki.Request{Hosts: []string{name + ".test"}}).Write(t, dir, name)
	}
	conf := strings.ReplaceAll(`http { ssl_verify_depth 2;
  server { listen 1 ssl; listen 2; server_name a.test; ssl_certificate DIR/a.pem; ssl_certificate_key DIR/a.key; ssl_handshake_timeout 3s;
    location /x { proxy_pass https://127.0.0.1; } location /y { proxy_pass https://$host; } location /z { proxy_pass http://127.0.0.1; }
    location /n { proxy_pass https://127.0.0.1; proxy_ssl_name n.test; }
    location /v { proxy_pass https://127.0.0.1; proxy_ssl_verify on; proxy_ssl_trusted_certificate DIR/ca.pem; } }
  server { listen 1; server_name *.b.test ~^c(?<rest>.*); ssl_certificate DIR/b.pem; ssl_certificate_key DIR/b.key;
    ssl_verify_client on; ssl_client_certificate DIR/ca.pem; }
  server { listen 1; server_name bare.test; }
  server { listen 1; server_name no.test; ssl_reject_handshake on; }
} stream { upstream s { server 127.0.0.1:9; }
  server { listen 3 ssl; ssl_certificate DIR/b.pem; ssl_certificate_key DIR/b.key; proxy_pass s; proxy_ssl on; } }`, "DIR", dir)
	built, problems := Build(load(t, conf), route.Process{}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	first := sn.Listeners[0]
	if first.TLS == nil || sn.Listeners[1].TLS != nil || sn.Listeners[2].TLS == nil || first.HandshakeMs != 3000 || sn.Listeners[2].HandshakeMs != 60_000 {
		t.Errorf("listeners %+v", sn.Listeners)
	}
	for host, want := range map[string]int{
		"": 0, "a.test": 0, "A.TEST": 0, "unknown": 0, "x.b.test": 1, "cc": 1, "bare.test": 0, "no.test": -1,
	} {
		got := first.TLS(&tls.ClientHelloInfo{ServerName: host})
		switch {
		case want < 0:
			if got != nil {
				t.Errorf("%q is not refused", host)
			}
		case got == nil || got.Index != want || (got.Verify != nil) != (want == 1):
			t.Errorf("%q gets %+v, want server %d", host, got, want)
		}
	}
	if protos := first.TLS(&tls.ClientHelloInfo{}).Config.NextProtos; len(protos) != 1 || protos[0] != "http/1.1" {
		t.Errorf("ALPN %v", protos)
	}
	if protos := sn.Listeners[2].TLS(&tls.ClientHelloInfo{}).Config.NextProtos; len(protos) != 0 {
		t.Errorf("ALPN of stream %v", protos)
	}
	server := sn.Table.Default(0)
	number := func(path string) int {
		e := &route.Env{}
		e.Reset()
		e.URI = []byte(path)
		l, _ := server.Locate(e)
		return l.Proxy.TLS
	}
	x, y, z, n, v := number("/x"), number("/y"), number("/z"), number("/n"), number("/v")
	if z != 0 || x == 0 || x != y || n == x || v == x || n == v {
		t.Errorf("numbers %d %d %d %d %d", x, y, z, n, v)
	}
	if sn.UpstreamTLS[x-1].ID != sn.UpstreamTLS[n-1].ID || sn.UpstreamTLS[x-1].ID == sn.UpstreamTLS[v-1].ID {
		t.Error("identities of settings")
	}
	stream := sn.Listeners[2].Stream.Proxy.TLS
	if stream == 0 {
		t.Fatal("proxy_ssl of stream is lost")
	}
	if name, _ := sn.UpstreamTLS[stream-1].Name.Const(); name != "s" {
		t.Errorf("name of stream's upstream %q", name)
	}
}

func TestBadCertificatesSayWhere(t *testing.T) {
	dir := t.TempDir()
	ca := pki.NewAuthority(t, "authority")
	ca.Issue(t, pki.Request{Hosts: []string{"a.test"}, Until: time.Now().Add(24 * time.Hour)}).Write(t, dir, "a")
	ca.Issue(t, pki.Request{Hosts: []string{"b.test"}}).Write(t, dir, "b")
	conf := "http { server { listen 1 ssl;\nssl_certificate DIR/a.pem;\nssl_certificate_key DIR/b.key;\n}\n" +
		"server { listen 2 ssl;\nssl_certificate DIR/nope;\nssl_certificate_key DIR/b.key;\nlocation / { proxy_pass https://127.0.0.1;\n" +
		"proxy_ssl_verify on; proxy_ssl_trusted_certificate DIR/b.key; } } }"
	var got []string
	for _, p := range Check(load(t, strings.ReplaceAll(conf, "DIR", dir))) {
		got = append(got, strings.ReplaceAll(p.String(), dir, "DIR"))
	}
	want := []string{
		"nginx.conf:9: error: DIR/b.key: no certificate in it; it must be PEM, with -----BEGIN CERTIFICATE-----",
		"nginx.conf:3: error: DIR/b.key: the key doesn't belong to the certificate in DIR/a.pem; the certificate is the first one of its file",
		"nginx.conf:6: error: DIR/nope: no such file; relative names are looked for beside the main configuration file",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	good := "http { server { listen 1 ssl;\nssl_certificate DIR/a.pem;\nssl_certificate_key DIR/a.key; } }"
	problems := Check(load(t, strings.ReplaceAll(good, "DIR", dir)))
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "nginx.conf:2: warning: ") || !strings.Contains(problems[0].Text, "expires on") {
		t.Errorf("problems %v", problems)
	}
}

// TestCertificateIsReplaced proves that HUP has new handshakes get the new certificate while
// a connection goes on.
func TestCertificateIsReplaced(t *testing.T) {
	dir := t.TempDir()
	ca := pki.NewAuthority(t, "authority")
	one, two := ca.Issue(t, pki.Request{Hosts: []string{"a.test"}}), ca.Issue(t, pki.Request{Hosts: []string{"a.test"}})
	one.Write(t, dir, "a")
	c := start(t, strings.ReplaceAll("error_log DIR/logs/error.log notice;\nevents { worker_connections 64; }\n"+
		"http { access_log off; server { listen FRONT ssl; ssl_certificate CERTS/a.pem; ssl_certificate_key CERTS/a.key; "+
		"add_header Strict-Transport-Security max-age=1 always; return 200 \"$scheme $ssl_session_reused\"; } }\n", "CERTS", dir))
	sessions := tls.NewLRUClientSessionCache(1)
	open := func() (*tls.Conn, *x509.Certificate) {
		t.Helper()
		raw, err := net.DialTimeout("tcp", c.front, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		must(t, raw.SetDeadline(time.Now().Add(30*time.Second)))
		conn := tls.Client(raw, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test", ClientSessionCache: sessions})
		must(t, conn.Handshake())
		return conn, conn.ConnectionState().PeerCertificates[0]
	}
	ask := func(conn *tls.Conn) string {
		t.Helper()
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		reader, head := bufio.NewReader(conn), ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := reader.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			head += line
		}
		if !strings.Contains(head, "Strict-Transport-Security: max-age=1") {
			t.Errorf("no HSTS in %s", head)
		}
		body := make([]byte, len("https ."))
		if _, err := reader.Read(body); err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	old, seen := open()
	defer old.Close()
	if got := ask(old); got != "https ." || !bytes.Equal(seen.Raw, one.Cert.Raw) {
		t.Errorf("answer %q, certificate %v", got, seen.SerialNumber)
	}
	two.Write(t, dir, "a")
	c.signal(t, syscall.SIGHUP)
	until(t, "the new certificate", func() bool {
		text, _ := os.ReadFile(c.dir + "/logs/error.log")
		return strings.Contains(string(text), "the configuration is in use, generation 2")
	})
	fresh, _ := open()
	defer fresh.Close()
	if got := ask(fresh); got != "https r" {
		t.Errorf("a session from before is not resumed: %q", got)
	}
	sessions = tls.NewLRUClientSessionCache(1)
	third, seen := open()
	defer third.Close()
	if !bytes.Equal(seen.Raw, two.Cert.Raw) {
		t.Error("the old certificate is served")
	}
	if got := ask(old); got != "https ." {
		t.Errorf("the connection of before answers %q", got)
	}
}
