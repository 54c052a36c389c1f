package tlsio_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"flag"
	"hash"
	"io"
	"math/big"
	randv2 "math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
)

var bulk = flag.Int64("tls.bytes", 64<<20, "how many bytes go each way in the bulk test")

// bulkCertificates are made once: one with an RSA key, one with an ECDSA key.
var bulkCertificates = sync.OnceValue(func() (list []tls.Certificate) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	add := func(public, private any) {
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
		if err != nil {
			panic(err)
		}
		list = append(list, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private})
	}
	add(&rsaKey.PublicKey, rsaKey)
	add(&ecKey.PublicKey, ecKey)
	return list
})

// recordConn gives crypto/tls one record's header or the rest of its payload at most, so
// that what follows the handshake stays in the socket. It remembers what is needed for keys.
type recordConn struct {
	net.Conn
	left, head int
	header     [5]byte
	seen       bytes.Buffer // what was read and written, for the hellos
}

func (c *recordConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		n, err := c.Conn.Read(c.header[c.head:])
		c.head += n
		copy(b, c.header[c.head-n:c.head])
		if c.head == 5 {
			c.left, c.head = int(c.header[3])<<8|int(c.header[4]), 0
		}
		c.seen.Write(b[:n])
		return n, err
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	c.seen.Write(b[:n])
	return n, err
}

func (c *recordConn) Write(b []byte) (int, error) {
	c.seen.Write(b)
	return c.Conn.Write(b)
}

func fileConn(t testing.TB, fd int32) net.Conn {
	t.Helper()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(dup), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// configs are those of both sides for a suite. Tickets are off, since sequence numbers are
// the handshake's business.
func configs(s suite) (server, client *tls.Config) {
	server = &tls.Config{Certificates: bulkCertificates(), MinVersion: uint16(s.version), MaxVersion: uint16(s.version),
		CipherSuites: []uint16{s.id}, SessionTicketsDisabled: true}
	client = &tls.Config{InsecureSkipVerify: true, ServerName: "example.com", MinVersion: uint16(s.version),
		MaxVersion: uint16(s.version), CipherSuites: []uint16{s.id}}
	return server, client
}

// shake makes a handshake of crypto/tls over a socket pair. What our side found out is e;
// the other side goes on as peer, over wrap's connection.
func shake(t testing.TB, s suite, asClient bool, wrap func(net.Conn) net.Conn) (e tlsio.Established, fd int32, peer *tls.Conn) {
	t.Helper()
	fd, other := sockets(t)
	e, peer = shakeOver(t, s, asClient, fd, wrap, other)
	return e, fd, peer
}

// shakeOver is shake with the two ends of a connection, of which other is closed.
func shakeOver(t testing.TB, s suite, asClient bool, fd int32, wrap func(net.Conn) net.Conn, other int32) (e tlsio.Established, peer *tls.Conn) {
	t.Helper()
	ours, theirs := fileConn(t, fd), fileConn(t, other)
	sys.Close(other)
	defer ours.Close()
	tap := &recordConn{Conn: ours}
	var log bytes.Buffer
	server, client := configs(s)
	var us *tls.Conn
	if asClient {
		client.KeyLogWriter = &log
		us, peer = tls.Client(tap, client), tls.Server(wrap(theirs), server)
	} else {
		server.KeyLogWriter = &log
		us, peer = tls.Server(tap, server), tls.Client(wrap(theirs), client)
	}
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	ours.SetDeadline(time.Now().Add(deadline))
	if err := us.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	state := us.ConnectionState()
	e = tlsio.Established{Version: tlsio.Version(state.Version), Suite: state.CipherSuite, Client: asClient}
	secrets := map[string]string{}
	for _, line := range strings.Split(log.String(), "\n") {
		if f := strings.Fields(line); len(f) == 3 {
			secrets[f[0]] = f[2]
			secrets["random"] = f[1]
		}
	}
	in, out := "SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"
	if !asClient {
		in, out = out, in
	}
	if s.tls13() {
		copy(e.In.Secret[:], unhex(t, secrets[in]))
		copy(e.Out.Secret[:], unhex(t, secrets[out]))
		return e, peer
	}
	s.id = state.CipherSuite
	clientKeys, serverKeys := keyBlock(t, s, unhex(t, secrets["CLIENT_RANDOM"]), unhex(t, secrets["random"]), tap.seen.Bytes())
	e.In, e.Out = tlsio.Direction{Seq: 1}, tlsio.Direction{Seq: 1}
	if !asClient {
		clientKeys, serverKeys = serverKeys, clientKeys
	}
	copy(e.Out.Secret[:], clientKeys)
	copy(e.In.Secret[:], serverKeys)
	return e, peer
}

// keyBlock is the key derivation of RFC 5246 section 6.3. The server's random stands behind
// the client's in what was seen on the wire: it is the first hello of type 2.
func keyBlock(t testing.TB, s suite, master, clientRandom, seen []byte) (client, server []byte) {
	t.Helper()
	var serverRandom []byte
	for at := 0; at+43 < len(seen) && serverRandom == nil; at += 5 + int(seen[at+3])<<8 + int(seen[at+4]) {
		if seen[at] == 22 && seen[at+5] == 2 {
			serverRandom = seen[at+11 : at+43]
		}
	}
	if serverRandom == nil {
		t.Fatalf("no ServerHello in %s", hex.EncodeToString(seen[:min(len(seen), 100)]))
	}
	keyLen, ivLen, newHash := s.lengths()
	seed := append(append([]byte("key expansion"), serverRandom...), clientRandom...)
	mac := func(b []byte) []byte { h := hmac.New(newHash, master); h.Write(b); return h.Sum(nil) }
	var block []byte
	for a := mac(seed); len(block) < 2*(keyLen+ivLen); a = mac(a) {
		block = append(block, mac(append(bytes.Clone(a), seed...))...)
	}
	ck, sk, ivs := block[:keyLen], block[keyLen:2*keyLen], block[2*keyLen:]
	return append(bytes.Clone(ck), ivs[:ivLen]...), append(bytes.Clone(sk), ivs[ivLen:2*ivLen]...)
}

// plainSuites are those that crypto/tls can be made to choose: in TLS 1.3 it chooses itself.
var plainSuites = []suite{suites[0], suites[3], suites[4], suites[5], suites[6]}

func ready(t testing.TB, fd int32, write bool) {
	t.Helper()
	p := []unix.PollFd{{Fd: fd, Events: unix.POLLIN}}
	if write {
		p[0].Events |= unix.POLLOUT
	}
	for end := time.Now().Add(deadline); ; {
		n, err := unix.Poll(p, 1000)
		if n > 0 {
			return
		}
		if err != nil && err != unix.EINTR || time.Now().After(end) {
			t.Fatalf("the socket is not ready: %v", err)
		}
	}
}

// TestBulk sends a long stream both ways at once through a layer and crypto/tls, in writes
// and reads of all sizes, over small kernel buffers, with KeyUpdates of ours on the way, and
// compares hashes.
func TestBulk(t *testing.T) {
	total := *bulk
	if testing.Short() { // under an emulator
		total = min(total, 8<<20)
	}
	for _, s := range plainSuites {
		for _, asClient := range []bool{true, false} {
			role := "server"
			if asClient {
				role = "client"
			}
			t.Run(s.name+" "+role, func(t *testing.T) {
				t.Parallel()
				testBulk(t, s, asClient, total/int64(2*len(plainSuites)))
			})
		}
	}
}

func testBulk(t *testing.T, s suite, asClient bool, total int64) {
	e, fd, peer := shake(t, s, asClient, func(c net.Conn) net.Conn { return c })
	defer sys.Close(fd)
	defer peer.Close()
	unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 20_000)
	bufs := pool.NewBufs(1 << 20)
	l := tlsio.NewLayer(bufs)
	l.LimitsForTest(100, 1<<36)
	id := l.Open(&e, nil)
	streamBoth(&pump{t: t, l: l, id: id, fd: fd, left: total}, s, peer)
	if n, _ := bufs.Lent(); n != 0 || l.Len() != 0 {
		t.Errorf("%d buffers are lent", n)
	}
}

// streamBoth sends as many bytes each way as us has left, ends both streams, closes the
// connection and compares hashes.
func streamBoth(us *pump, s suite, peer *tls.Conn) {
	t, l, id, total := us.t, us.l, us.id, us.left
	peer.SetDeadline(time.Now().Add(20 * deadline))

	type sum struct {
		hash []byte
		err  error
	}
	sent, received := make(chan sum, 1), make(chan sum, 1)
	go func() {
		h := sha256.New()
		err := pour(io.MultiWriter(h, peer), total, 1)
		if err == nil {
			err = peer.CloseWrite()
		}
		sent <- sum{h.Sum(nil), err}
	}()
	go func() {
		h := sha256.New()
		_, err := io.Copy(h, peer)
		received <- sum{h.Sum(nil), err}
	}()

	us.sent, us.got, us.rng = sha256.New(), sha256.New(), randv2.New(randv2.NewPCG(3, uint64(s.id)))
	us.run()
	theirs, ours := <-sent, <-received
	if theirs.err != nil || ours.err != nil {
		t.Fatalf("the peer: %v, %v", theirs.err, ours.err)
	}
	if !bytes.Equal(theirs.hash, us.got.Sum(nil)) || !bytes.Equal(ours.hash, us.sent.Sum(nil)) {
		t.Error("the hashes differ")
	}
	if l.Truncated(id) {
		t.Error("truncated")
	}
	l.Close(id)
}

// pour writes total random bytes in pieces of all sizes.
func pour(w io.Writer, total int64, seed uint64) error {
	rng := randv2.New(randv2.NewPCG(seed, 7))
	var key [32]byte
	stream := randv2.NewChaCha8(key)
	b := make([]byte, 100_000)
	for total > 0 {
		n := int(min(total, int64(1+rng.IntN(1<<rng.IntN(17)))))
		stream.Read(b[:n])
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		total -= int64(n)
	}
	return nil
}

// pump drives our side as a shard does.
type pump struct {
	t         testing.TB
	l         *tlsio.Layer
	id        uint32
	fd        int32
	sent, got hash.Hash
	left      int64
	rng       *randv2.Rand
}

func (p *pump) run() {
	in, out := make([]byte, 100_000), make([]byte, 200_000)
	randv2.NewChaCha8([32]byte{1}).Read(out)
	closed, ended := false, false
	for !closed || !ended {
		idle := true
		if !ended {
			b := in[:1+p.rng.IntN(len(in)>>p.rng.IntN(17))]
			n, errno := p.l.Recv(p.id, p.fd, b)
			switch {
			case errno == 0 && n == 0:
				ended = true
			case errno == 0:
				if k := p.rng.IntN(4 * n); k < n { // some is read, and given back
					p.l.Unread(p.id, b[k:n])
					n = k
				}
				p.got.Write(b[:n])
				idle = false
			case errno != sys.EAGAIN:
				p.t.Fatalf("read: %v, %s", errno, p.l.Problem())
			}
		}
		if !closed {
			var moved bool
			moved, closed = p.push(out)
			idle = idle && !moved
		}
		if idle && !(closed && ended) {
			ready(p.t, p.fd, !closed)
		}
	}
}

// push writes a piece, or ends the stream.
func (p *pump) push(b []byte) (moved, closed bool) {
	if p.left == 0 {
		errno := p.l.CloseNotify(p.id, p.fd)
		if errno != 0 && errno != sys.EAGAIN {
			p.t.Fatalf("close_notify: %v", errno)
		}
		return false, errno == 0
	}
	b = b[:min(int64(1+p.rng.IntN(len(b)>>p.rng.IntN(18))), p.left)]
	n, errno := p.l.Write(p.id, p.fd, b)
	if errno != 0 && errno != sys.EAGAIN {
		p.t.Fatalf("write: %v", errno)
	}
	if errno == sys.EAGAIN != (n == 0) || n < len(b) && !p.l.Pending(p.id) {
		p.t.Fatalf("a write of %d: %d, %v, pending %v", len(b), n, errno, p.l.Pending(p.id))
	}
	p.sent.Write(b[:n])
	p.left -= int64(n)
	return n > 0, false
}
