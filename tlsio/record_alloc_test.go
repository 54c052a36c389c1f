package tlsio_test

import (
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"testing"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
)

// twins are the two ends of one connection, both with a layer.
type twins struct {
	a, b     *tlsio.Layer
	ida, idb uint32
	fda, fdb int32
	data     []byte
	in       []byte
}

func newTwins(t testing.TB, s suite, size int) *twins {
	t.Helper()
	var client, server tlsio.Established
	client.Version, client.Suite, client.Client = s.version, s.id, true
	client.In.Secret[0], client.Out.Secret[0] = 1, 2
	server.Version, server.Suite = s.version, s.id
	server.In, server.Out = client.Out, client.In
	w := &twins{a: tlsio.NewLayer(pool.NewBufs(1 << 20)), b: tlsio.NewLayer(pool.NewBufs(1 << 20)),
		data: make([]byte, size), in: make([]byte, 64<<10)}
	w.ida, w.idb = w.a.Open(&client, nil), w.b.Open(&server, nil)
	w.fda, w.fdb = sockets(t)
	t.Cleanup(func() { sys.Close(w.fda); sys.Close(w.fdb) })
	return w
}

// message sends one there.
func (w *twins) message(t testing.TB) {
	n, errno := w.a.Write(w.ida, w.fda, w.data)
	if n != len(w.data) || errno != 0 {
		t.Fatal(n, errno)
	}
	for n := 0; n < len(w.data); {
		m, errno := w.b.Recv(w.idb, w.fdb, w.in)
		if errno != 0 {
			t.Fatal(n, errno)
		}
		n += m
	}
}

// TestNothingIsAllocated for a record while its ciphers are cached.
func TestNothingIsAllocated(t *testing.T) {
	for _, s := range suites {
		for _, size := range []int{1, 64, 16 << 10, 60_000} {
			w := newTwins(t, s, size)
			w.message(t)
			if n := testing.AllocsPerRun(100, func() { w.message(t) }); n != 0 {
				t.Errorf("%s, %d bytes: %v allocations for a message", s.name, size, n)
			}
		}
	}
}

// TestNothingIsAllocatedWhenASocketRefuses: buffers come from the pool and go back.
func TestNothingIsAllocatedWhenASocketRefuses(t *testing.T) {
	w := newTwins(t, suites[0], 400_000)
	big := func() {
		for sent, got := 0, 0; got < len(w.data); {
			if n, _ := w.a.Write(w.ida, w.fda, w.data[sent:]); n > 0 {
				sent += n
			}
			n, errno := w.b.Recv(w.idb, w.fdb, w.in[:5000])
			if errno != 0 && errno != sys.EAGAIN {
				t.Fatal(errno)
			}
			if got += n; got == sent {
				w.a.Flush(w.ida, w.fda)
			}
		}
	}
	big()
	if n := testing.AllocsPerRun(20, big); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkMessage is a message through a layer on both ends of a socket pair.
func BenchmarkMessage(b *testing.B) {
	for _, s := range suites[:6] {
		for _, size := range []int{64, 1024, 16 << 10, 64 << 10} {
			b.Run(s.name+"/"+strconv.Itoa(size), func(b *testing.B) {
				w := newTwins(b, s, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					w.message(b)
				}
			})
		}
	}
}

// BenchmarkWake is a message of a connection whose ciphers are not cached.
func BenchmarkWake(b *testing.B) {
	for _, s := range suites[:6] {
		b.Run(s.name, func(b *testing.B) {
			w := newTwins(b, s, 64)
			b.ReportAllocs()
			for b.Loop() {
				w.message(b)
				for w.a.Trim() {
				}
				for w.b.Trim() {
				}
			}
		})
	}
}

// BenchmarkCryptoTLS is the same with crypto/tls on both ends, through blocking sockets as
// it needs them.
func BenchmarkCryptoTLS(b *testing.B) {
	for _, s := range []suite{suites[0], suites[3], suites[5]} {
		for _, size := range []int{64, 1024, 16 << 10, 64 << 10} {
			b.Run(s.name+"/"+strconv.Itoa(size), func(b *testing.B) {
				serverConfig, clientConfig := configs(s)
				fda, fdb := sockets(b)
				client, server := tls.Client(fileConn(b, fda), clientConfig), tls.Server(fileConn(b, fdb), serverConfig)
				sys.Close(fda)
				sys.Close(fdb)
				defer client.Close()
				defer server.Close()
				go server.Handshake()
				if err := client.Handshake(); err != nil {
					b.Fatal(err)
				}
				data, in := make([]byte, size), make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := client.Write(data); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(net.Conn(server), in); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
