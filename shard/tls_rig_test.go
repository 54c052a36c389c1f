package shard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"holdfast/route"
	"holdfast/tlsio"
)

// testCertificate is for the name "a", and signed by itself.
var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"a"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func serverTLS(version uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testCertificate()}, NextProtos: []string{"http/1.1"}, MaxVersion: version}
}

func clientTLS(version uint16) *tls.Config {
	return &tls.Config{ServerName: "a", InsecureSkipVerify: true, MaxVersion: version}
}

// legs says which of a shard's connections carry TLS, and the highest version spoken.
type legs struct {
	down, up bool
	version  uint16 // 0: TLS 1.3
}

// listener is that of a test's shard.
func (l legs) listener() ListenerInfo {
	info := ListenerInfo{Addr: netip.MustParseAddrPort("127.0.0.1:80"), HandshakeMs: 60_000}
	if l.down {
		config := &tlsio.ServerConfig{Config: serverTLS(0)}
		info.TLS = func(*tls.ClientHelloInfo) *tlsio.ServerConfig { return config }
	}
	return info
}

// upstreams are the settings of locations whose Proxy.TLS is 1.
func (l legs) upstreams(c *route.Compiler) []*UpstreamTLS {
	name, _ := c.Compile("a")
	return []*UpstreamTLS{{ID: 1, Name: &name, Config: func(string) *tls.Config { return clientTLS(0) }}}
}

// proxyTLS is Proxy.TLS of the locations.
func (l legs) proxyTLS() int {
	if l.up {
		return 1
	}
	return 0
}

// shim joins plain connections of a test and TLS connections of a shard, byte by byte, end by
// end, reset by reset.
type shim struct {
	t  testing.TB
	l  *net.TCPListener
	wg sync.WaitGroup
	mu sync.Mutex
	of []net.Conn
}

// newShim listens; wrap makes of each accepted connection and one to target the two to join.
func newShim(t testing.TB, target string, wrap func(accepted, dialed *net.TCPConn) (a, b net.Conn)) *shim {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &shim{t: t, l: l}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			s.wg.Add(1)
			go func() { defer s.wg.Done(); s.join(c, target, wrap) }()
		}
	}()
	t.Cleanup(s.close)
	return s
}

func (s *shim) close() {
	s.l.Close()
	s.mu.Lock()
	for _, c := range s.of {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *shim) addr() string { return s.l.Addr().String() }

func (s *shim) join(accepted *net.TCPConn, target string, wrap func(accepted, dialed *net.TCPConn) (a, b net.Conn)) {
	defer accepted.Close()
	c, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer c.Close()
	dialed := c.(*net.TCPConn)
	s.mu.Lock()
	s.of = append(s.of, accepted, dialed)
	s.mu.Unlock()
	a, b := wrap(accepted, dialed)
	var both sync.WaitGroup
	both.Add(2)
	go func() { defer both.Done(); pipe(a, b, accepted, dialed) }()
	go func() { defer both.Done(); pipe(b, a, dialed, accepted) }()
	both.Wait()
}

// pipe moves one direction. An end is passed on as one, and a failed read resets both
// sockets. Where a write failed the other direction goes on: what had come before the reset
// is still delivered, as between two sockets, and its failed read ends it.
func pipe(from, to net.Conn, fromTCP, toTCP *net.TCPConn) {
	r := &source{Reader: from}
	_, err := io.Copy(to, r)
	if err == nil {
		if c, ok := to.(*tls.Conn); ok {
			// Before the handshake has ended there is no close_notify to pass the end on with.
			r.err = c.Handshake()
		}
		err = errors.Join(r.err, to.(interface{ CloseWrite() error }).CloseWrite())
	}
	if err == nil || r.err == nil || errors.Is(err, net.ErrClosed) {
		return
	}
	for _, c := range []*net.TCPConn{fromTCP, toTCP} {
		_ = c.SetLinger(0)
		c.Close()
	}
}

// source is a reader that remembers whether it failed.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// secureFront lets clients in the clear reach a shard that speaks TLS.
func secureFront(t testing.TB, l legs, front string) string {
	return newShim(t, front, func(accepted, dialed *net.TCPConn) (a, b net.Conn) {
		return accepted, tls.Client(dialed, clientTLS(l.version))
	}).addr()
}

// secureBack lets a shard that speaks TLS reach a backend in the clear.
func secureBack(t testing.TB, l legs, back netip.AddrPort) (*shim, netip.AddrPort) {
	s := newShim(t, back.String(), func(accepted, dialed *net.TCPConn) (a, b net.Conn) {
		return tls.Server(accepted, serverTLS(l.version)), dialed
	})
	return s, netip.MustParseAddrPort(s.addr())
}
