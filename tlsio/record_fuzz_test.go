package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
)

// play gives a fresh connection what a peer sent, in pieces whose sizes cuts tells, and
// reads it by size. The secrets are always the same, so that a failure can be had again.
func play(t *testing.T, s suite, client bool, wire, cuts []byte, size int) (got []byte, errno sys.Errno, problem string) {
	t.Helper()
	var e tlsio.Established
	e.Version, e.Suite, e.Client = s.version, s.id, client
	e.In.Secret, e.Out.Secret = fuzzSecret, fuzzSecret
	bufs := pool.NewBufs(16 << 20)
	l := tlsio.NewLayer(bufs)
	r := &rig{t: t, bufs: bufs, layer: l, id: l.Open(&e, nil)}
	r.fd, r.peer = sockets(t)
	if client {
		l.OnTickets(r.id, func([]byte) {})
	}
	defer r.close()
	errno = sys.EAGAIN
	for i := 0; len(wire) > 0 && errno == sys.EAGAIN; i++ {
		n := min(len(wire), 100_000)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)])*(1+i%3*100))
		}
		r.raw(wire[:n])
		wire = wire[n:]
		var b []byte
		b, errno = r.recv(size)
		got = append(got, b...)
	}
	if errno != sys.EAGAIN && errno != 0 && errno != sys.EBADMSG && errno != sys.EPROTO {
		t.Fatalf("errno %v", errno)
	}
	if (errno == sys.EBADMSG || errno == sys.EPROTO) != (l.Problem() != "") {
		t.Fatalf("errno %v, problem %q", errno, l.Problem())
	}
	return got, errno, l.Problem()
}

var fuzzSecret = [48]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}

// FuzzRecv reads what anybody may send behind records that are in order.
func FuzzRecv(f *testing.F) {
	f.Add(byte(0), []byte("ok"), []byte("GET / HTTP/1.1\r\n"), []byte{1})
	f.Add(byte(3), []byte("ok"), []byte{23, 3, 3, 0, 30, 1, 2, 3}, []byte{3, 200})
	f.Add(byte(9), bytes.Repeat([]byte("long"), 5000), []byte{23, 3, 3, 255, 255}, []byte(nil))
	f.Add(byte(2), []byte(""), append([]byte{23, 3, 3, 0, 19}, make([]byte, 40)...), []byte{9})
	f.Fuzz(func(t *testing.T, kind byte, valid, rest, cuts []byte) {
		s, client := suites[int(kind)%len(suites)], kind&0x80 != 0
		if len(valid) > 16384 || len(rest) > 60_000 {
			t.Skip()
		}
		d := newDirection(t, s, fuzzSecret[:], 0)
		wire := append(d.seal(typeData, valid, 0), rest...)
		got, errno, problem := play(t, s, client, wire, cuts, 1+len(rest)%3000)
		if !bytes.Equal(got, valid) {
			t.Fatalf("%d bytes were read, %d are authentic", len(got), len(valid))
		}
		if errno != sys.EAGAIN && errno != sys.EBADMSG {
			t.Fatalf("%v, %q", errno, problem)
		}
	})
}

// FuzzPeer runs programs of a peer that has the keys: what comes of them must not depend on
// how the bytes arrive and how they are read.
func FuzzPeer(f *testing.F) {
	f.Add(byte(0), []byte{0, 5, 1, 0, 2, 24, 3, 0, 0, 7}, []byte{1}, uint16(3))
	f.Add(byte(1), []byte{4, 1, 0, 9, 4, 0, 0, 9, 5, 0}, []byte{7, 1}, uint16(100))
	f.Add(byte(0x80), []byte{6, 100, 6, 3, 0, 9, 6, 200}, []byte{50}, uint16(1))
	f.Add(byte(4), []byte{0, 255, 7, 100, 0, 9, 3, 90, 0, 1}, []byte{250}, uint16(4000))
	f.Add(byte(0x82), []byte{8, 2, 8, 200, 6, 1, 9, 9}, []byte{5}, uint16(7))
	f.Fuzz(func(t *testing.T, kind byte, program, cuts []byte, size uint16) {
		s, client := suites[int(kind&0x7f)%len(suites)], kind&0x80 != 0
		if len(program) > 80 {
			t.Skip()
		}
		w := &wire{t: t, out: newDirection(t, s, fuzzSecret[:], 0)}
		for ; len(program) >= 2; program = program[2:] {
			step(w, program[0], program[1])
		}
		if len(w.b) > 100_000 {
			t.Skip()
		}
		wantGot, wantErrno, wantProblem := play(t, s, client, w.b, nil, 200_000)
		got, errno, problem := play(t, s, client, w.b, cuts, 1+int(size))
		if !bytes.Equal(got, wantGot) || errno != wantErrno || problem != wantProblem {
			t.Fatalf("at once: %d bytes, %v, %q; in pieces: %d bytes, %v, %q",
				len(wantGot), wantErrno, wantProblem, len(got), errno, problem)
		}
	})
}

// step is one instruction of a peer's program.
func step(w *wire, op, n byte) {
	switch op % 10 {
	case 0:
		w.rec(typeData, bytes.Repeat([]byte{'d'}, int(n))...)
	case 1:
		w.rec(typeData, bytes.Repeat([]byte{'D'}, int(n)*70)...)
	case 2:
		w.rec(typeHandshake, n)
	case 3:
		w.rec(typeAlert, 1+n&1, n)
	case 4:
		w.keyUpdate(n)
	case 5:
		w.add([]byte{n})
	case 6:
		w.rec(typeHandshake, ticket(int(n))...)
	case 7:
		w.pad(typeData, []byte{'p'}, int(n)*70)
	case 8:
		w.rec(typeHandshake, ticket(300)[:n]...)
	case 9:
		w.add(w.out.sealInner(bytes.Repeat([]byte{n}, int(n)), 20+n%6, 0x0303))
	}
}

// FuzzSplit has crypto/tls write any plaintexts, and reads them in any pieces.
func FuzzSplit(f *testing.F) {
	f.Add(byte(0), []byte("hello"), []byte("world"), uint16(3), []byte{1})
	f.Add(byte(1), bytes.Repeat([]byte("x"), 20_000), []byte("y"), uint16(0), []byte{200, 3})
	f.Add(byte(3), []byte(""), []byte("y"), uint16(0), []byte{4})
	type talk struct {
		layer *tlsio.Layer
		rig   *rig
		peer  *tls.Conn
		side  *holdback
	}
	var talks [8]*talk // they go on, since a handshake costs more than all the rest
	f.Fuzz(func(t *testing.T, kind byte, a, b []byte, size uint16, cuts []byte) {
		k := int(kind) % len(plainSuites)
		w := talks[k]
		if w == nil {
			w = &talk{}
			e, fd, peer := shake(t, plainSuites[k], kind&0x80 != 0, func(c net.Conn) net.Conn {
				w.side = &holdback{Conn: c}
				return w.side
			})
			sys.Close(fd)
			w.peer, w.side.shut = peer, true
			w.layer = tlsio.NewLayer(pool.NewBufs(1 << 20))
			w.rig = &rig{layer: w.layer, id: w.layer.Open(&e, nil)}
			w.rig.fd, w.rig.peer = sockets(t)
		}
		talks[k] = nil // a failure makes it useless
		w.side.kept.Reset()
		w.rig.t = t
		w.peer.Write(a)
		w.peer.Write(b)
		var got []byte
		wire := w.side.kept.Bytes()
		for i := 0; len(wire) > 0; i++ {
			n := min(len(wire), 50_000)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)])*(1+i%2*50))
			}
			w.rig.raw(wire[:n])
			wire = wire[n:]
			b, errno := w.rig.recv(1 + int(size))
			if got = append(got, b...); errno != sys.EAGAIN {
				t.Fatalf("%v, %s", errno, w.layer.Problem())
			}
		}
		if !bytes.Equal(got, append(bytes.Clone(a), b...)) {
			t.Fatalf("%d bytes were read of %d", len(got), len(a)+len(b))
		}
		talks[k] = w
	})
}
