package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"testing"

	"holdfast/test/pki"
	"holdfast/tlsio"
)

// refusal is a client that must be told off, by an alert with these words of crypto/tls.
type refusal struct {
	name  string
	class tlsio.FailureClass
	alert string
	set   func(server, client *tls.Config, certs *certificates)
}

var refusals = []refusal{
	{"old version", tlsio.FailVersion, "protocol version", func(_, c *tls.Config, _ *certificates) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}},
	{"server wants 1.3", tlsio.FailVersion, "protocol version", func(s, c *tls.Config, _ *certificates) {
		s.MinVersion, c.MaxVersion = tls.VersionTLS13, tls.VersionTLS12
	}},
	{"only CBC", tlsio.FailCipher, "handshake failure", func(_, c *tls.Config, _ *certificates) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
	}},
	{"server has CBC", tlsio.FailCipher, "handshake failure", func(s, c *tls.Config, _ *certificates) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		s.CipherSuites = c.CipherSuites
	}},
	{"no group", tlsio.FailCipher, "handshake failure", func(s, c *tls.Config, _ *certificates) {
		s.CurvePreferences, c.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP521}
	}},
	{"no group in 1.2", tlsio.FailCipher, "handshake failure", func(s, c *tls.Config, _ *certificates) {
		s.CurvePreferences, c.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP521}
		c.MaxVersion = tls.VersionTLS12
	}},
	{"no protocol", tlsio.FailCipher, "no application protocol", func(_, c *tls.Config, _ *certificates) {
		c.NextProtos = []string{"h2"}
	}},
	{"no certificate", tlsio.FailCertificate, "certificate required", func(s, _ *tls.Config, certs *certificates) {
		s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, certs.ca.Pool()
	}},
	{"no certificate in 1.2", tlsio.FailCertificate, "handshake failure", func(s, c *tls.Config, certs *certificates) {
		s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, certs.ca.Pool()
		c.MaxVersion = tls.VersionTLS12
	}},
	{"wrong certificate", tlsio.FailCertificate, "", func(s, c *tls.Config, certs *certificates) {
		s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, certs.ca.Pool()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs.strange, nil }
	}},
	{"client trusts another", tlsio.FailPeerAlert, "", func(_, c *tls.Config, certs *certificates) {
		c.RootCAs = certs.stranger.Pool()
	}},
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	certs.stranger = pki.NewAuthority(t, "stranger")
	certs.strange = certs.stranger.Issue(t, pki.Request{Name: "stranger", Client: true}).TLS()
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			server, client := certs.server(), certs.clientConfig()
			c.set(server, client, certs)
			r.refused(t, only(server), client, c)
		})
	}
	nobody := func(*tls.ClientHelloInfo) *tlsio.ServerConfig { return nil }
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := certs.clientConfig()
		client.MaxVersion = version
		r.refused(t, nobody, client, refusal{name: "refused", class: tlsio.FailRefused, alert: "unrecognized name"})
	}
}

func (r *handshaker) refused(t *testing.T, choose func(*tls.ClientHelloInfo) *tlsio.ServerConfig, client *tls.Config, c refusal) {
	t.Helper()
	fd, conn := pair(t)
	_, result := r.start(tlsio.Order{FD: fd, Choose: choose})
	peer := tls.Client(conn, client)
	err := peer.Handshake()
	if err == nil { // in 1.3 the client is done before it hears of it
		_, err = peer.Read(make([]byte, 1))
	}
	res := await(t, result)
	if class(t, res) != c.class {
		t.Errorf("%s: class %v: %v", c.name, class(t, res), res.Err)
	}
	if err == nil || !strings.Contains(err.Error(), c.alert) {
		t.Errorf("%s: the client got %v", c.name, err)
	}
	if res.Info == nil || res.Info.ServerName != "localhost" {
		t.Errorf("%s: nothing is known of the client: %+v", c.name, res.Info)
	}
}

// Clients that don't speak TLS, or not well. The answer is an alert's last byte, 0 for
// none: OpenSSL is silent too where the first bytes are no TLS.
func TestGarbage(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	hello := firstFlight(t, certs.clientConfig())
	change := func(at int, b ...byte) []byte {
		return append(append(bytes.Clone(hello[:at]), b...), hello[at+len(b):]...)
	}
	for _, c := range []struct {
		name  string
		sent  []byte
		alert byte
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 0},
		{"noise", bytes.Repeat([]byte{0x99, 0x5a}, 100), 0},
		{"SSL 2", append([]byte{0x80, 0x2e, 1, 0, 2}, make([]byte, 0x2e)...), 70},
		{"oversized record", []byte{22, 3, 1, 0xff, 0xff}, 22},
		{"data first", append([]byte{23, 3, 1, 0, 5}, "hello"...), 0},
		{"another message", []byte{22, 3, 1, 0, 4, 2, 0, 0, 0}, 50},
		{"empty record", []byte{22, 3, 1, 0, 0}, 10},
		{"long session ID", change(recordAt+38, 0xff), 50},
		{"long message", change(recordAt+1, 0xff), 80},
		{"unknown record type", append([]byte{99}, hello[1:]...), 0},
		{"change cipher spec", []byte{20, 3, 3, 0, 1, 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd, conn := pair(t)
			_, result := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
			if _, err := conn.Write(c.sent); err != nil {
				t.Fatal(err)
			}
			res := await(t, result)
			if class(t, res) != tlsio.FailHello {
				t.Errorf("class %v: %v", class(t, res), res.Err)
			}
			b := make([]byte, 7)
			n := 0
			if c.alert != 0 {
				n, _ = io.ReadFull(conn, b)
			}
			if c.alert != 0 && (n != 7 || b[0] != 21 || b[6] != c.alert) {
				t.Errorf("answer %x: %v", b[:n], res.Err)
			}
		})
	}
}

// recordAt is where a record's payload begins.
const recordAt = 5

// Servers that a client of ours must not trust.
func TestBadServers(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	stranger := pki.NewAuthority(t, "stranger")
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, c := range []struct {
		name  string
		class tlsio.FailureClass
		set   func(server, client *tls.Config)
	}{
		{"unknown authority", tlsio.FailCertificate, func(_, c *tls.Config) { c.RootCAs = stranger.Pool() }},
		{"another name", tlsio.FailCertificate, func(_, c *tls.Config) { c.ServerName = "example.com" }},
		{"old", tlsio.FailPeerAlert, func(s, _ *tls.Config) { s.MaxVersion = tls.VersionTLS11 }},
		{"another protocol", tlsio.FailPeerAlert, func(s, _ *tls.Config) { s.NextProtos = []string{"acme"} }},
		{"CBC", tlsio.FailPeerAlert, func(s, _ *tls.Config) {
			s.MaxVersion, s.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := certs.server(), certs.clientConfig()
			server.MinVersion = tls.VersionTLS10
			c.set(server, client)
			fd, conn := pair(t)
			_, result := r.start(tlsio.Order{FD: fd, Client: client})
			if err := tls.Server(conn, server).Handshake(); err == nil {
				t.Error("the server is content")
			}
			if res := await(t, result); class(t, res) != c.class {
				t.Errorf("class %v: %v", class(t, res), res.Err)
			}
		})
	}
	fd, conn := pair(t)
	_, result := r.start(tlsio.Order{FD: fd, Client: certs.clientConfig()})
	if _, err := conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if res := await(t, result); class(t, res) != tlsio.FailHello {
		t.Errorf("class %v: %v", class(t, res), res.Err)
	}
}
