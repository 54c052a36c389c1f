package certs

import (
	"bytes"
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
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// pem is the certificate with those of its issuers behind it, and its key.
func (i *issued) pem(issuers ...*issued) (certs, key []byte) {
	for _, c := range append([]*issued{i}, issuers...) {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		panic(err)
	}
	return certs, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var serial int64

// issue makes a certificate, signed by parent or, without one, by itself.
func issue(t *testing.T, parent *issued, change func(*x509.Certificate), useRSA bool) *issued {
	t.Helper()
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "subject " + big.NewInt(serial).String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	var key crypto.Signer = rsaKey()
	if !useRSA {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

func named(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

// folder writes files and names them.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) *folder { return &folder{t, t.TempDir()} }

func (f *folder) write(name string, text []byte) File {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return File{Path: path, Conf: "nginx.conf", Line: 7}
}

// pair writes a certificate and its key.
func (f *folder) pair(name string, i *issued, issuers ...*issued) KeyPair {
	certs, key := i.pem(issuers...)
	return KeyPair{f.write(name+".pem", certs), f.write(name+".key", key)}
}

func (f *folder) authorities(name string, list ...*issued) File {
	certs, _ := list[0].pem(list[1:]...)
	return f.write(name, certs)
}

// newer moves a file's time on, as a file system with coarse times would not by itself.
func (f *folder) newer(file File, by time.Duration) {
	f.t.Helper()
	at := time.Now().Add(by)
	if err := os.Chtimes(file.Path, at, at); err != nil {
		f.t.Fatal(err)
	}
}

func serverSpec(pairs ...KeyPair) ServerSpec {
	return ServerSpec{
		Certificates: pairs, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, Tickets: true,
		SessionTimeout: 5 * time.Minute, NextProtos: []string{"http/1.1"},
	}
}

func mustServer(t *testing.T, st *Store, spec ServerSpec) *Server {
	t.Helper()
	s, errs := st.Server(spec)
	if errs != nil {
		t.Fatal(errs)
	}
	return s
}

// handshake is what both sides know after a handshake and one byte each way.
type handshake struct {
	client, server       tls.ConnectionState
	clientErr, serverErr error
}

// shake makes a handshake between a client and a server, with a byte behind it so that
// tickets arrive.
func shake(t *testing.T, client, server *tls.Config) (h handshake) {
	t.Helper()
	a, b := connected(t)
	deadline := time.Now().Add(30 * time.Second)
	_, _ = a.SetDeadline(deadline), b.SetDeadline(deadline)
	var both sync.WaitGroup
	both.Go(func() {
		conn := tls.Server(b, server)
		if h.serverErr = conn.Handshake(); h.serverErr == nil {
			h.server = conn.ConnectionState()
			_, _ = conn.Write([]byte("x"))
		}
		_, _ = conn.Read(make([]byte, 1)) // until the client has read
		_ = b.Close()
	})
	conn := tls.Client(a, client)
	if h.clientErr = conn.Handshake(); h.clientErr == nil {
		_, h.clientErr = conn.Read(make([]byte, 1))
		h.client = conn.ConnectionState()
	}
	_ = a.Close()
	both.Wait()
	return h
}

// connected is both ends of a connection, with buffers between: in TLS 1.3 both may write.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// log collects what a store says.
type log struct{ bytes.Buffer }

func (l *log) add(problem bool, text string) {
	if problem {
		l.WriteString("problem: ")
	}
	l.WriteString(text + "\n")
}
