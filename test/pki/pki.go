// Package pki makes the certificates of the TLS tests: authorities, intermediates,
// leaves, revocation lists, OCSP responses and encrypted keys. Everything is made anew for
// every run and lives in the test's own folder.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serials counts the certificates of this process, from a number that shows all the bytes
// of its hexadecimal form.
var serials atomic.Int64

// rsaKeys are made once: making one takes as long as a whole test.
var rsaKeys [2]struct {
	once sync.Once
	key  *rsa.PrivateKey
	err  error
}

// Request says what a certificate is to be.
type Request struct {
	Name    string   // common name of the subject
	Hosts   []string // DNS names and addresses; of a client certificate usually none
	RSA     bool     // an RSA key of 2,048 bits, else ECDSA on P-256
	Client  bool     // for clients, else for servers
	From    time.Time
	Until   time.Time
	Subject *pkix.Name // in place of Name
}

// Authority signs certificates.
type Authority struct {
	Pair
	above *Authority // nil for a root
}

// Pair is a certificate with its key.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	// Chain are the authorities above it, but for the root, nearest first.
	Chain []*x509.Certificate
}

// NewAuthority makes a root with an ECDSA key.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	return authority(t, name, nil)
}

// Intermediate makes an authority that this one has signed.
func (a *Authority) Intermediate(t testing.TB, name string) *Authority {
	t.Helper()
	return authority(t, name, a)
}

func authority(t testing.TB, name string, above *Authority) *Authority {
	t.Helper()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Holdfast Tests"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	a := &Authority{above: above}
	a.Pair = sign(t, template, ecdsaKey(t), above)
	if above == nil {
		a.Chain = nil
	}
	return a
}

// Root is the authority at the top.
func (a *Authority) Root() *Authority {
	for a.above != nil {
		a = a.above
	}
	return a
}

// Issue makes a certificate for a server or a client.
func (a *Authority) Issue(t testing.TB, r Request) Pair {
	t.Helper()
	if r.From.IsZero() {
		r.From = time.Now().Add(-time.Hour)
	}
	if r.Until.IsZero() {
		r.Until = time.Now().Add(90 * 24 * time.Hour)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: r.Name},
		NotBefore: r.From, NotAfter: r.Until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		OCSPServer:  []string{"http://ocsp.test.example/"},
	}
	if r.Subject != nil {
		template.Subject = *r.Subject
	}
	if r.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, host := range r.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if u, err := url.Parse(host); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	var key crypto.Signer
	if r.RSA {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
		key = rsaKey(t, int(serials.Load())%len(rsaKeys))
	} else {
		key = ecdsaKey(t)
	}
	return sign(t, template, key, a)
}

// sign makes the certificate of a template; above is nil for a root.
func sign(t testing.TB, template *x509.Certificate, key crypto.Signer, above *Authority) Pair {
	t.Helper()
	template.SerialNumber = big.NewInt(0x48_00_00_00_00_01 + serials.Add(1))
	parent, signer := template, key
	var chain []*x509.Certificate
	if above != nil {
		parent, signer = above.Cert, above.Key
		if above.above != nil {
			chain = append([]*x509.Certificate{above.Cert}, above.Chain...)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{Cert: cert, Key: key, Chain: chain}
}

func ecdsaKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	k := &rsaKeys[i]
	k.once.Do(func() { k.key, k.err = rsa.GenerateKey(rand.Reader, 2048) })
	if k.err != nil {
		t.Fatal(k.err)
	}
	return k.key
}

// PEM is the certificate with the chain behind it, as ssl_certificate wants it.
func (p Pair) PEM() []byte {
	text := certPEM(p.Cert)
	for _, c := range p.Chain {
		text = append(text, certPEM(c)...)
	}
	return text
}

// TLS is the pair for crypto/tls.
func (p Pair) TLS() tls.Certificate {
	der := [][]byte{p.Cert.Raw}
	for _, c := range p.Chain {
		der = append(der, c.Raw)
	}
	return tls.Certificate{Certificate: der, PrivateKey: p.Key, Leaf: p.Cert}
}

// Pool has this authority only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
