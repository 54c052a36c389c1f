package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"strings"
	"testing"
)

func mustClient(t *testing.T, spec ClientSpec) *Client {
	t.Helper()
	spec.MinVersion, spec.MaxVersion = tls.VersionTLS12, tls.VersionTLS13
	c, errs := NewStore(Options{}).Client(spec)
	if errs != nil {
		t.Fatal(errs)
	}
	return c
}

// TestUpstreamName proves that the certificate must have the name that proxy_ssl_name says,
// whether it is told or not.
func TestUpstreamName(t *testing.T) {
	f := newFolder(t)
	ca := issue(t, nil, authority, false)
	spec := ClientSpec{Verify: true, Depth: 1, Trusted: f.authorities("ca.pem", ca)}
	leaf := func(change func(*x509.Certificate)) *issued { return issue(t, ca, change, false) }
	names := leaf(named("a.test", "*.w.test"))
	address := leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("::1")} })
	common := leaf(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "c.test"} })
	both := leaf(func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{CommonName: "c.test"}, []string{"a.test"} })
	for _, tc := range []struct {
		upstream *issued
		name     string
		want     string // empty: it may
	}{
		{names, "a.test", ""},
		{names, "A.test", ""},
		{names, "a.test:8443", ""},
		{names, "x.w.test", ""},
		{names, "x.y.w.test", "does not match"},
		{names, "b.test", `does not match "b.test"`},
		{names, "", "does not match"},
		{address, "10.0.0.1:443", ""},
		{address, "[::1]:443", ""},
		{address, "10.0.0.2", "does not match"},
		{common, "c.test", ""},
		{common, "a.test", "does not match"},
		{both, "c.test", "does not match"},
		{issue(t, nil, named("a.test"), false), "a.test", "verify error: self-signed certificate"},
		{leaf(func(c *x509.Certificate) {
			named("a.test")(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}),
			"a.test", "verify error: unsuitable certificate purpose"},
	} {
		for _, tell := range []bool{false, true} {
			spec.SendName = tell
			client := mustClient(t, spec)
			seen := ""
			server := &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{tc.upstream.cert.Raw}, PrivateKey: tc.upstream.key}},
				GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					seen = h.ServerName
					return nil, nil
				},
			}
			h := shake(t, client.For(tc.name), server)
			got := ""
			if h.clientErr != nil {
				got = h.clientErr.Error()
			}
			if (got != "") != (tc.want != "") || !strings.Contains(got, tc.want) {
				t.Errorf("%q, told %v: %q, want %q", tc.name, tell, got, tc.want)
			}
			host := withoutPort(tc.name)
			if net.ParseIP(host) != nil || !tell {
				host = "" // of addresses nothing is told (RFC 6066 section 3)
			}
			if !strings.EqualFold(seen, host) {
				t.Errorf("%q, told %v: the upstream was told %q", tc.name, tell, seen)
			}
		}
	}
	if h := shake(t, mustClient(t, ClientSpec{}).For("b.test"), &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{names.cert.Raw}, PrivateKey: names.key}},
	}); h.clientErr != nil || h.server.NegotiatedProtocol != "" {
		t.Errorf("without verification: %v", h.clientErr)
	}
}

func TestUpstreamAsksForCertificate(t *testing.T) {
	f := newFolder(t)
	ca, mine := issue(t, nil, authority, false), issue(t, nil, named("me"), false)
	serverCert := issue(t, ca, named("a.test"), false)
	client := mustClient(t, ClientSpec{Certificate: f.pair("me", mine)})
	server := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{serverCert.cert.Raw}, PrivateKey: serverCert.key}},
		ClientAuth:   tls.RequireAnyClientCert, ClientCAs: x509.NewCertPool(),
	}
	server.ClientCAs.AddCert(ca.cert) // not who signed it, which nginx doesn't care about either
	h := shake(t, client.For("a.test"), server)
	if h.serverErr != nil || len(h.server.PeerCertificates) != 1 || !h.server.PeerCertificates[0].Equal(mine.cert) {
		t.Errorf("the upstream sees %v, %v", h.server.PeerCertificates, h.serverErr)
	}
}

// TestUpstreamSessions proves that sessions are resumed with the same name only, and that a
// certificate is judged anew when one is.
func TestUpstreamSessions(t *testing.T) {
	f := newFolder(t)
	ca := issue(t, nil, authority, false)
	cert := issue(t, ca, named("a.test", "b.test"), false)
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.cert.Raw}, PrivateKey: cert.key}}}
	client := mustClient(t, ClientSpec{SessionReuse: true, SendName: true, Verify: true, Trusted: f.authorities("ca.pem", ca)})
	resumed := func(name string) bool {
		h := shake(t, client.For(name), server)
		if h.clientErr != nil {
			t.Fatal(h.clientErr)
		}
		return h.client.DidResume
	}
	if resumed("a.test") || !resumed("a.test") {
		t.Error("a session is not resumed")
	}
	if resumed("b.test") {
		t.Error("a session of another name is resumed")
	}
	f.authorities("ca.pem", issue(t, nil, authority, false))
	if errs := client.load(); errs != nil {
		t.Fatal(errs)
	}
	if h := shake(t, client.For("a.test"), server); h.clientErr == nil {
		t.Error("a session outlives the authority")
	}
	fresh := mustClient(t, ClientSpec{SendName: true})
	shake(t, fresh.For("a.test"), server)
	if h := shake(t, fresh.For("a.test"), server); h.client.DidResume {
		t.Error("proxy_ssl_session_reuse off is ignored")
	}
}
