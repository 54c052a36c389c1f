package tlsio_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"holdfast/tlsio"
)

// cell is one way to speak TLS.
type cell struct {
	name    string
	version uint16
	suite   uint16 // 0: whatever comes
	rsa     bool
	curve   tls.CurveID
	curveAs string
}

func cells() []cell {
	all := []cell{
		{name: "X25519", version: tls.VersionTLS13, curve: tls.X25519, curveAs: "X25519"},
		{name: "P-256", version: tls.VersionTLS13, curve: tls.CurveP256, curveAs: "prime256v1"},
		{name: "P-384", version: tls.VersionTLS13, curve: tls.CurveP384, curveAs: "secp384r1"},
		{name: "P-521", version: tls.VersionTLS13, curve: tls.CurveP521, curveAs: "secp521r1"},
		{name: "hybrid", version: tls.VersionTLS13, curve: tls.X25519MLKEM768, curveAs: "X25519MLKEM768"},
		{name: "1.3 RSA", version: tls.VersionTLS13, rsa: true},
	}
	for _, suite := range []uint16{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	} {
		rsa := suite == tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 || suite == tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 ||
			suite == tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 || suite < 0x100
		all = append(all, cell{name: fmt.Sprintf("1.2 %04x", suite), version: tls.VersionTLS12, suite: suite, rsa: rsa})
	}
	return all
}

// limit narrows a configuration to the cell.
func (c cell) limit(to *tls.Config) *tls.Config {
	to.MinVersion, to.MaxVersion = c.version, c.version
	if c.suite != 0 {
		to.CipherSuites = []uint16{c.suite}
	}
	if c.curve != 0 {
		to.CurvePreferences = []tls.CurveID{c.curve}
	}
	return to
}

func (c cell) check(t *testing.T, res *tlsio.Result) {
	t.Helper()
	e, i := &res.Established, res.Info
	if uint16(e.Version) != c.version || c.suite != 0 && e.Suite != c.suite {
		t.Errorf("established %x %x", e.Version, e.Suite)
	}
	if c.curveAs != "" && i.Curve != c.curveAs {
		t.Errorf("curve %q", i.Curve)
	}
	if i.ALPN != "http/1.1" || i.Resumed || i.Cipher == "" || i.Verify != "NONE" {
		t.Errorf("%+v", i)
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, c := range cells() {
		t.Run(c.name, func(t *testing.T) {
			server := certs.server()
			if c.rsa {
				server.Certificates = server.Certificates[1:]
			}
			if c.version == tls.VersionTLS12 {
				server.CipherSuites = []uint16{c.suite, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
			}
			s, peer, res := r.serve(t, server, c.limit(certs.clientConfig()))
			want := [2]uint64{0, 1} // a ticket was sent with the application's key
			if c.version == tls.VersionTLS12 {
				want = [2]uint64{1, 1} // Finished
			}
			if got := [2]uint64{res.Established.In.Seq, res.Established.Out.Seq}; got != want {
				t.Errorf("sequence numbers %v, want %v", got, want)
			}
			c.check(t, res)
			if res.Info.Server != 3 || res.Info.ServerName != "localhost" || res.Tickets != nil {
				t.Errorf("%+v", res.Info)
			}
			exchange(t, s, peer)
		})
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, c := range cells() {
		t.Run(c.name, func(t *testing.T) {
			server := certs.server()
			if c.rsa {
				server.Certificates = server.Certificates[1:]
			}
			if c.suite != 0 {
				server.CipherSuites = []uint16{c.suite}
			}
			s, peer, res := r.call(t, c.limit(certs.clientConfig()), server)
			want := [2]uint64{}
			if c.version == tls.VersionTLS12 {
				want = [2]uint64{1, 1}
			}
			if got := [2]uint64{res.Established.In.Seq, res.Established.Out.Seq}; got != want {
				t.Errorf("sequence numbers %v, want %v", got, want)
			}
			c.check(t, res)
			if res.Info.Server != -1 || !res.Established.Client {
				t.Errorf("%+v", res.Info)
			}
			exchange(t, s, peer)
		})
	}
}

// Without a ticket nothing is sent with the application's key.
func TestNoTicket(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	client := certs.clientConfig()
	client.ClientSessionCache = nil
	s, peer, res := r.serve(t, certs.server(), client)
	if res.Established.Out.Seq != 0 {
		t.Errorf("next record is %d", res.Established.Out.Seq)
	}
	exchange(t, s, peer)
}

func TestHelloRetryRequest(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	few := func(c *tls.Config) *tls.Config {
		c.CurvePreferences = []tls.CurveID{tls.CurveP384}
		return c
	}
	s, peer, res := r.serve(t, few(certs.server()), certs.clientConfig())
	if !peer.ConnectionState().HelloRetryRequest || res.Established.Out.Seq != 1 {
		t.Errorf("no retry, or tickets counted wrong: %d", res.Established.Out.Seq)
	}
	exchange(t, s, peer)
	s, peer, res = r.call(t, certs.clientConfig(), few(certs.server()))
	if !peer.ConnectionState().HelloRetryRequest || res.Info.Curve != "secp384r1" {
		t.Errorf("no retry: %+v", res.Info)
	}
	exchange(t, s, peer)
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := certs.server()
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, certs.ca.Pool()
		client := certs.clientConfig()
		client.Certificates = []tls.Certificate{certs.client.TLS()}
		client.MinVersion, client.MaxVersion = version, version
		s, peer, res := r.serve(t, server, client)
		if string(res.Info.ClientCert) != string(certs.client.Cert.Raw) {
			t.Error("not the client's certificate")
		}
		if res.Established.Out.Seq != 1 { // in 1.3 the ticket comes after the client's Finished
			t.Errorf("%x: next record is %d", version, res.Established.Out.Seq)
		}
		exchange(t, s, peer)

		s, peer, res = r.call(t, client, server)
		if len(peer.ConnectionState().PeerCertificates) != 1 || res.Info.ClientCert != nil {
			t.Error("the server saw no certificate, or we saw one")
		}
		exchange(t, s, peer)
	}
}

func TestServerResumes(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, keys := range []string{"own", "set"} {
			t.Run(fmt.Sprintf("%x %s", version, keys), func(t *testing.T) {
				server := certs.server()
				if keys == "set" {
					server.SetSessionTicketKeys([][32]byte{{1}, {2}})
				}
				client := certs.clientConfig()
				client.MinVersion, client.MaxVersion = version, version
				client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
				for i := range 3 {
					r := newHandshaker(t, tlsio.PoolOptions{}) // a pool knows nothing of sessions
					s, peer, res := r.serve(t, server, client)
					exchange(t, s, peer)
					if res.Info.Resumed != (i > 0) || peer.ConnectionState().DidResume != (i > 0) {
						t.Errorf("connection %d: resumed %v", i, res.Info.Resumed)
					}
				}
			})
		}
	}
}

func TestClientResumes(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(fmt.Sprintf("%x", version), func(t *testing.T) {
			server := certs.server()
			cache := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(4), put: make(chan struct{}, 16)}
			client := certs.clientConfig()
			client.MinVersion, client.MaxVersion = version, version
			client.ClientSessionCache = cache
			for i := range 3 {
				s, peer, res := r.call(t, client, server)
				exchange(t, s, peer)
				if res.Info.Resumed != (i > 0) || peer.ConnectionState().DidResume != (i > 0) {
					t.Errorf("connection %d: resumed %v", i, res.Info.Resumed)
				}
				cache.await(t)
			}
		})
	}
}

// countingCache tells when a session was put.
type countingCache struct {
	tls.ClientSessionCache
	put chan struct{}
}

func (c *countingCache) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	if s != nil {
		c.put <- struct{}{}
	}
}

func (c *countingCache) await(t testing.TB) {
	t.Helper()
	select {
	case <-c.put:
	case <-time.After(patience):
		t.Fatal("no session")
	}
}
