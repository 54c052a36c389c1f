package tlsio_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
)

// deadline is for what must happen; working code never reaches it.
const deadline = 30 * time.Second

// suite is one that the record layer speaks.
type suite struct {
	name    string
	version tlsio.Version
	id      uint16
}

var suites = []suite{
	{"1.3 AES-128", tlsio.TLS13, tls.TLS_AES_128_GCM_SHA256},
	{"1.3 AES-256", tlsio.TLS13, tls.TLS_AES_256_GCM_SHA384},
	{"1.3 ChaCha20", tlsio.TLS13, tls.TLS_CHACHA20_POLY1305_SHA256},
	{"1.2 AES-128", tlsio.TLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	{"1.2 AES-256", tlsio.TLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"1.2 ChaCha20", tlsio.TLS12, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	{"1.2 RSA AES-128", tlsio.TLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
}

// lengths are a suite's key and implicit nonce in bytes, and its hash.
func (s suite) lengths() (key, iv int, newHash func() hash.Hash) {
	key, iv, newHash = 16, 12, sha256.New
	switch s.id {
	case tls.TLS_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		key, newHash = 32, sha512.New384
	case tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		key = 32
	}
	if s.version == tlsio.TLS12 && !s.chacha() {
		iv = 4
	}
	return key, iv, newHash
}

func (s suite) chacha() bool {
	return s.id == tls.TLS_CHACHA20_POLY1305_SHA256 || s.id == tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
}

func (s suite) tls13() bool { return s.version == tlsio.TLS13 }

// direction is one direction of the test's own record layer. It shares nothing with the
// one under test but the standard library's ciphers.
type direction struct {
	suite  suite
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func newDirection(t testing.TB, s suite, secret []byte, seq uint64) *direction {
	d := &direction{suite: s, seq: seq}
	d.setSecret(t, secret)
	return d
}

func label(t testing.TB, s suite, secret []byte, name string, size int) []byte {
	t.Helper()
	_, _, newHash := s.lengths()
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(append(info, byte(6+len(name))), "tls13 "+name...), 0)
	b, err := hkdf.Expand(newHash, secret, string(info), size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (d *direction) setSecret(t testing.TB, secret []byte) {
	t.Helper()
	keyLen, ivLen, newHash := d.suite.lengths()
	var key []byte
	if d.suite.tls13() {
		d.secret = bytes.Clone(secret[:newHash().Size()])
		key, d.iv = label(t, d.suite, d.secret, "key", keyLen), label(t, d.suite, d.secret, "iv", 12)
	} else {
		key, d.iv = secret[:keyLen], bytes.Clone(secret[keyLen:keyLen+ivLen])
	}
	var err error
	if d.suite.chacha() {
		d.aead, err = chacha20poly1305.New(key)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			d.aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// next goes on to the next secret, as a KeyUpdate says.
func (d *direction) next(t testing.TB) {
	t.Helper()
	_, _, newHash := d.suite.lengths()
	d.setSecret(t, label(t, d.suite, d.secret, "traffic upd", newHash().Size()))
	d.seq = 0
}

func (d *direction) nonce(explicit []byte) []byte {
	if len(d.iv) == 4 {
		return append(bytes.Clone(d.iv), explicit...)
	}
	n := bytes.Clone(d.iv)
	for i := range 8 {
		n[11-i] ^= byte(d.seq >> (8 * i))
	}
	return n
}

// seal makes a record of a type. In TLS 1.3 it may be padded with zeros.
func (d *direction) seal(typ byte, b []byte, padding int) []byte {
	if d.suite.tls13() {
		inner := append(append(bytes.Clone(b), typ), make([]byte, padding)...)
		return d.sealInner(inner, 23, 0x0303)
	}
	return d.sealInner(b, typ, 0x0303)
}

// sealInner makes a record of what is inside, with any outer type and version.
func (d *direction) sealInner(inner []byte, typ byte, version uint16) []byte {
	head := binary.BigEndian.AppendUint16([]byte{typ}, version)
	if d.suite.tls13() {
		head = binary.BigEndian.AppendUint16(head, uint16(len(inner)+16))
		rec := d.aead.Seal(bytes.Clone(head), d.nonce(nil), inner, head)
		d.seq++
		return rec
	}
	var explicit []byte
	if len(d.iv) == 4 {
		explicit = binary.BigEndian.AppendUint64(nil, d.seq^0x5a5a) // any will do (RFC 5288 section 3)
	}
	extra := binary.BigEndian.AppendUint64(nil, d.seq)
	extra = append(extra, head...)
	extra = binary.BigEndian.AppendUint16(extra, uint16(len(inner)))
	rec := binary.BigEndian.AppendUint16(bytes.Clone(head), uint16(len(explicit)+len(inner)+16))
	rec = append(rec, explicit...)
	rec = d.aead.Seal(rec, d.nonce(explicit), inner, extra)
	d.seq++
	return rec
}

// open takes the first record off b. ok is false if b holds none.
func (d *direction) open(t testing.TB, b []byte) (typ byte, plain, rest []byte, ok bool) {
	t.Helper()
	if len(b) < 5 || len(b) < 5+int(binary.BigEndian.Uint16(b[3:])) {
		return 0, nil, b, false
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	head, body, rest := b[:5], b[5:5+size], b[5+size:]
	if d.suite.tls13() {
		plain, err := d.aead.Open(nil, d.nonce(nil), body, head)
		if err != nil || head[0] != 23 {
			t.Fatalf("record %d of type %d from the layer: %v", d.seq, head[0], err)
		}
		d.seq++
		plain = bytes.TrimRight(plain, "\x00")
		return plain[len(plain)-1], plain[:len(plain)-1], rest, true
	}
	var explicit []byte
	if len(d.iv) == 4 {
		explicit, body = body[:8], body[8:]
	}
	extra := append(binary.BigEndian.AppendUint64(nil, d.seq), head[:3]...)
	extra = binary.BigEndian.AppendUint16(extra, uint16(len(body)-16))
	plain, err := d.aead.Open(nil, d.nonce(explicit), body, extra)
	if err != nil {
		t.Fatalf("record %d of type %d from the layer: %v", d.seq, head[0], err)
	}
	d.seq++
	return head[0], plain, rest, true
}

// rig is a layer with one connection, whose other end the test plays.
type rig struct {
	t      testing.TB
	bufs   *pool.Bufs
	layer  *tlsio.Layer
	id     uint32
	fd     int32
	peer   int32 // the test's socket, -1: closed
	suite  suite
	out    *direction // what the test sends
	in     *direction // what the test reads
	unread []byte     // from the layer, not opened yet
	began  time.Time  // when the test first waited for something
}

// newRig makes one with random secrets.
func newRig(t testing.TB, s suite, client bool) *rig {
	t.Helper()
	fd, peer := sockets(t)
	return newRigOn(t, s, client, fd, peer)
}

// newRigOn makes one over the two ends of a connection.
func newRigOn(t testing.TB, s suite, client bool, fd, peer int32) *rig {
	t.Helper()
	var e tlsio.Established
	e.Version, e.Suite, e.Client = s.version, s.id, client
	if !s.tls13() {
		e.In.Seq, e.Out.Seq = 1, 1
	}
	rand.Read(e.In.Secret[:])
	rand.Read(e.Out.Secret[:])
	r := &rig{t: t, suite: s, bufs: pool.NewBufs(64 << 20)}
	r.out = newDirection(t, s, e.In.Secret[:], e.In.Seq)
	r.in = newDirection(t, s, e.Out.Secret[:], e.Out.Seq)
	r.fd, r.peer = fd, peer
	r.layer = tlsio.NewLayer(r.bufs)
	r.id = r.layer.Open(&e, nil)
	return r
}

func sockets(t testing.TB) (a, b int32) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return int32(fds[0]), int32(fds[1])
}

// close ends the rig and checks that nothing stays behind.
func (r *rig) close() {
	r.t.Helper()
	r.layer.Close(r.id)
	sys.Close(r.fd)
	r.hangUp()
	if n, bytes := r.bufs.Lent(); n != 0 || bytes != 0 {
		r.t.Errorf("%d buffers, %d bytes are still lent", n, bytes)
	}
	if n := r.layer.Len(); n != 0 {
		r.t.Errorf("%d connections are open", n)
	}
	if n, _ := r.layer.CachedForTest(); n != 0 {
		r.t.Errorf("%d ciphers are cached", n)
	}
	if n := r.layer.FactsForTest(); n != 0 {
		r.t.Errorf("%d facts are kept", n)
	}
}

func (r *rig) hangUp() {
	if r.peer >= 0 {
		sys.Close(r.peer)
		r.peer = -1
	}
}

// raw puts bytes on the wire to the layer.
func (r *rig) raw(b []byte) {
	r.t.Helper()
	for len(b) > 0 {
		n, e := sys.Write(r.peer, b)
		if e != 0 {
			r.t.Fatalf("the socket takes no more: %v", e)
		}
		b = b[n:]
	}
}

// data sends one record of data.
func (r *rig) data(s string) { r.raw(r.out.seal(23, []byte(s), 0)) }

// pull reads what the layer has written.
func (r *rig) pull() {
	r.t.Helper()
	b := make([]byte, 1<<18)
	for {
		n, e := sys.Recv(r.peer, b)
		if e != 0 || n == 0 {
			return
		}
		r.unread = append(r.unread, b[:n]...)
	}
}

// read is the next record from the layer; ok is false if it has written none.
func (r *rig) read() (typ byte, plain []byte, ok bool) {
	r.t.Helper()
	r.pull()
	typ, plain, r.unread, ok = r.in.open(r.t, r.unread)
	return typ, plain, ok
}

// recv reads from the layer until it has nothing more. errno is how that ended: EAGAIN, a
// failure, or 0 at the end of the stream.
func (r *rig) recv(size int) (got []byte, errno sys.Errno) {
	r.t.Helper()
	b := make([]byte, size)
	for {
		n, e := r.layer.Recv(r.id, r.fd, b)
		if e != 0 || n == 0 {
			return got, e
		}
		got = append(got, b[:n]...)
		if n < size && !r.layer.Ready(r.id) {
			// What is said of a short read has to be true.
			if n, e := r.layer.Recv(r.id, r.fd, b); e == 0 && n > 0 {
				r.t.Fatalf("%d bytes after a short read", n)
			} else if e != 0 || n == 0 {
				return got, e
			}
		}
	}
}
