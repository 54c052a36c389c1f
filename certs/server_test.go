package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"holdfast/tlsio"
)

func TestFilesThatCannotBeUsed(t *testing.T) {
	f := newFolder(t)
	ca := issue(t, nil, authority, false)
	one, other := issue(t, ca, named("a.test"), false), issue(t, ca, named("a.test"), true)
	good, foreign := f.pair("good", one), f.pair("other", other)
	der, err := pkcs8.MarshalPrivateKey(one.key, []byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := f.write("closed.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
	ecDER, _ := x509.MarshalPKCS8PrivateKey(one.key)
	legacyBlock, err := x509.EncryptPEMBlock(rand.Reader, "PRIVATE KEY", ecDER, []byte("secret"), x509.PEMCipherAES128) //nolint:staticcheck // nginx takes it
	if err != nil {
		t.Fatal(err)
	}
	legacy := f.write("legacy.key", pem.EncodeToMemory(legacyBlock))
	empty, text := f.write("empty", nil), f.write("text", []byte("hello\n"))
	broken := f.write("broken", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	right, wrong := f.write("right", []byte("no\n\nsecret\r\n")), f.write("wrong", []byte("no\n"))
	missing := File{Path: f.dir + "/missing", Conf: "nginx.conf", Line: 9}
	for _, tc := range []struct {
		name   string
		change func(*ServerSpec)
		want   string // empty: it can be used
	}{
		{"good", func(*ServerSpec) {}, ""},
		{"missing", func(s *ServerSpec) { s.Certificates[0].Certificate = missing }, "nginx.conf:9: DIR/missing: no such file"},
		{"missing key", func(s *ServerSpec) { s.Certificates[0].Key = missing }, "nginx.conf:9: DIR/missing: no such file"},
		{"no PEM", func(s *ServerSpec) { s.Certificates[0].Certificate = text }, "DIR/text: no certificate in it"},
		{"empty", func(s *ServerSpec) { s.Certificates[0].Key = empty }, "DIR/empty: no secret key in it"},
		{"a key as certificate", func(s *ServerSpec) { s.Certificates[0].Certificate = good.Key }, "DIR/good.key: no certificate in it"},
		{"broken", func(s *ServerSpec) { s.Certificates[0].Certificate = broken }, "DIR/broken: certificate 1 of the file: malformed certificate"},
		{"another's key", func(s *ServerSpec) { s.Certificates[0].Key = foreign.Key }, "DIR/other.key: "},
		{"a folder", func(s *ServerSpec) { s.Certificates[0].Key.Path = f.dir }, "DIR: is a directory"},
		{"encrypted", func(s *ServerSpec) { s.Certificates[0].Key = closed }, "the key is encrypted, and there is no password; write ssl_password_file FILE;"},
		{"wrong password", func(s *ServerSpec) { s.Certificates[0].Key, s.PasswordFile = closed, wrong }, "no password of DIR/wrong opens the key"},
		{"no password", func(s *ServerSpec) { s.Certificates[0].Key, s.PasswordFile = closed, empty }, "DIR/empty: no password in it"},
		{"right password", func(s *ServerSpec) { s.Certificates[0].Key, s.PasswordFile = closed, right }, ""},
		{"old encryption", func(s *ServerSpec) { s.Certificates[0].Key, s.PasswordFile = legacy, right }, ""},
		{"old encryption, wrong password", func(s *ServerSpec) { s.Certificates[0].Key, s.PasswordFile = legacy, wrong }, "no password of"},
		{"ticket key", func(s *ServerSpec) { s.TicketKeys = []File{text} }, "a key for tickets has 48 or 80 bytes, this file has 6"},
		{"no CA", func(s *ServerSpec) { s.AskClient, s.ClientCA = true, text }, "DIR/text: no certificate in it"},
		{"no list", func(s *ServerSpec) { s.AskClient, s.CRL = true, text }, "DIR/text: no list of revoked certificates in it"},
		{"no OCSP", func(s *ServerSpec) { s.StaplingFile = text }, "DIR/text: no OCSP response"},
	} {
		spec := serverSpec(good)
		tc.change(&spec)
		s, errs := NewStore(Options{}).Server(spec)
		got := ""
		for _, err := range errs {
			got += strings.ReplaceAll(err.Error(), f.dir, "DIR")
		}
		if (s == nil) != (tc.want != "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if strings.Contains(got, "secret\r") || strings.Contains(got, "PRIVATE KEY-----\n") {
			t.Errorf("%s: %q tells a secret", tc.name, got)
		}
	}
}

// TestCertificateByClient proves that a client with elliptic curves gets the certificate with
// one, others get RSA, whatever name they ask for.
func TestCertificateByClient(t *testing.T) {
	f := newFolder(t)
	ca := issue(t, nil, authority, false)
	rsaPair, ecPair := f.pair("rsa", issue(t, ca, named("a.test"), true)), f.pair("ec", issue(t, ca, named("a.test"), false))
	s := mustServer(t, NewStore(Options{}), serverSpec(rsaPair, ecPair))
	client := func(suites ...uint16) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, ServerName: "other.test", CipherSuites: suites, MaxVersion: tls.VersionTLS12}
	}
	for _, tc := range []struct {
		client *tls.Config
		want   x509.PublicKeyAlgorithm
	}{
		{&tls.Config{InsecureSkipVerify: true}, x509.ECDSA},
		{client(), x509.ECDSA},
		{client(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), x509.RSA},
		{client(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), x509.ECDSA},
	} {
		h := shake(t, tc.client, s.state.Load().config)
		if h.clientErr != nil || h.client.PeerCertificates[0].PublicKeyAlgorithm != tc.want {
			t.Errorf("%v, %v, want %v", h.clientErr, h.client.PeerCertificates, tc.want)
		}
	}
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if h := shake(t, old, s.state.Load().config); h.serverErr == nil {
		t.Error("TLS 1.1 is spoken")
	}
	cbc := client(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA)
	if h := shake(t, cbc, s.state.Load().config); h.serverErr == nil {
		t.Error("a suite without AEAD is spoken")
	}
}

func TestChoose(t *testing.T) {
	f := newFolder(t)
	ca := issue(t, nil, authority, false)
	st := NewStore(Options{})
	a := mustServer(t, st, serverSpec(f.pair("a", issue(t, ca, named("a.test"), false))))
	b := mustServer(t, st, serverSpec(f.pair("b", issue(t, ca, named("b.test"), false))))
	numbers := map[string]int{"a.test": 0, "b.test": 1, "bare.test": 2, "no.test": 3}
	choose := Choose([]*Server{a, b, nil, nil}, 1, []bool{false, false, false, true}, func(host string) int {
		if n, ok := numbers[host]; ok {
			return n
		}
		return 1
	})
	for host, want := range map[string]*Server{"a.test": a, "b.test": b, "bare.test": b, "": b, "unknown": b} {
		got := choose(&tls.ClientHelloInfo{ServerName: host})
		wantNumber, known := numbers[host]
		if !known || host == "bare.test" {
			wantNumber = 1
		}
		if got == nil || got.Config != want.state.Load().config || got.Index != wantNumber || got.Verify != nil {
			t.Errorf("%q gets %+v", host, got)
		}
	}
	if got := choose(&tls.ClientHelloInfo{ServerName: "no.test"}); got != (*tlsio.ServerConfig)(nil) {
		t.Error("ssl_reject_handshake is ignored")
	}
}

// TestClientVerify compares the words for what is wrong with a client's certificate. They are
// what nginx with OpenSSL 3.0 says about such certificates.
func TestClientVerify(t *testing.T) {
	f := newFolder(t)
	ca, stranger := issue(t, nil, authority, false), issue(t, nil, authority, false)
	first := issue(t, ca, authority, false)
	second := issue(t, first, authority, false)
	leaf := func(parent *issued, change func(*x509.Certificate)) *issued { return issue(t, parent, change, false) }
	dated := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	usage := func(u x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{u} }
	}
	revoked := leaf(ca, nil)
	list := func(by *issued, serials ...*issued) []byte {
		template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		for _, c := range serials {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: c.cert.SerialNumber, RevocationTime: time.Now()})
		}
		der, err := x509.CreateRevocationList(rand.Reader, template, by.cert, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	}
	server := func(change func(*ServerSpec)) *Server {
		spec := serverSpec(f.pair("s", issue(t, ca, named("a.test"), false)))
		spec.AskClient, spec.VerifyDepth, spec.ClientCA = true, 1, f.authorities("ca.pem", ca)
		change(&spec)
		return mustServer(t, NewStore(Options{}), spec)
	}
	plain := server(func(*ServerSpec) {})
	withList := server(func(s *ServerSpec) { s.CRL = f.write("crl", list(ca, revoked)) })
	trusting := server(func(s *ServerSpec) { s.TrustedCA = f.authorities("more.pem", stranger) })
	deep := server(func(s *ServerSpec) { s.VerifyDepth = 2 })
	chain := func(list ...*issued) []*x509.Certificate {
		var certs []*x509.Certificate
		for _, i := range list {
			certs = append(certs, i.cert)
		}
		return certs
	}
	const failed = "FAILED:"
	for _, tc := range []struct {
		name   string
		server *Server
		certs  []*x509.Certificate
		want   string
	}{
		{"none", plain, nil, "NONE"},
		{"good", plain, chain(leaf(ca, nil)), "SUCCESS"},
		{"good for clients", plain, chain(leaf(ca, usage(x509.ExtKeyUsageClientAuth))), "SUCCESS"},
		{"one between", plain, chain(leaf(first, nil), first), "SUCCESS"},
		{"two between", plain, chain(leaf(second, nil), second, first), failed + faultIssuer},
		{"two between, allowed", deep, chain(leaf(second, nil), second, first), "SUCCESS"},
		{"for servers", plain, chain(leaf(ca, usage(x509.ExtKeyUsageServerAuth))), failed + faultPurpose},
		{"expired", plain, chain(leaf(ca, dated(-2*time.Hour, -time.Hour))), failed + faultExpired},
		{"not yet valid", plain, chain(leaf(ca, dated(time.Hour, 2*time.Hour))), failed + faultNotYet},
		{"its own", plain, chain(leaf(nil, nil)), failed + faultSelfSigned},
		{"a stranger's", plain, chain(leaf(stranger, nil)), failed + faultFirst},
		{"a stranger's, with the stranger", plain, chain(leaf(stranger, nil), stranger), failed + faultSelfInChain},
		{"the one between is missing", plain, chain(leaf(first, nil)), failed + faultFirst},
		{"the first one is missing", plain, chain(leaf(second, nil), second), failed + faultIssuer},
		{"trusted by the other file", trusting, chain(leaf(stranger, nil)), "SUCCESS"},
		{"revoked", withList, chain(revoked), failed + faultRevoked},
		{"not revoked", withList, chain(leaf(ca, nil)), "SUCCESS"},
		{"no list of the one between", withList, chain(leaf(first, nil), first), failed + faultNoCRL},
	} {
		got := tc.server.state.Load().verify(&tls.ConnectionState{PeerCertificates: tc.certs})
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	own := leaf(stranger, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "me"} })
	client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: [][]byte{own.cert.Raw}, PrivateKey: own.key}}}
	if h := shake(t, client, plain.state.Load().config); h.serverErr != nil || h.clientErr != nil {
		t.Errorf("a bad certificate ends the handshake: %v, %v", h.serverErr, h.clientErr)
	}
}
