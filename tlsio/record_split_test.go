package tlsio_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
)

// holdback is a connection whose writes are kept once it is shut, so that the test sends
// them on in pieces of its own.
type holdback struct {
	net.Conn
	shut bool
	kept bytes.Buffer
}

func (h *holdback) Write(b []byte) (int, error) {
	if h.shut {
		return h.kept.Write(b)
	}
	return h.Conn.Write(b)
}

// TestEverySplit has crypto/tls write a conversation, and reads it split in two at every
// byte, then in pieces of every size up to 40, into buffers of several sizes.
func TestEverySplit(t *testing.T) {
	for _, s := range plainSuites {
		for _, asClient := range []bool{true, false} {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				testEverySplit(t, s, asClient)
			})
		}
	}
}

func testEverySplit(t *testing.T, s suite, asClient bool) {
	var peerSide *holdback
	e, fd, peer := shake(t, s, asClient, func(c net.Conn) net.Conn {
		peerSide = &holdback{Conn: c}
		return peerSide
	})
	sys.Close(fd)
	peerSide.shut = true
	var want bytes.Buffer
	for i, size := range []int{1, 2, 50, 0, 300, 16} {
		b := bytes.Repeat([]byte{byte('a' + i)}, size)
		want.Write(b)
		peer.Write(b)
	}
	peer.CloseWrite()
	wire := peerSide.kept.Bytes()
	peerSide.Conn.Close()

	bufs := pool.NewBufs(1 << 20)
	l := tlsio.NewLayer(bufs)
	try := func(size int, cuts ...[]byte) {
		copied := e
		id := l.Open(&copied, nil)
		mine, other := sockets(t)
		r := &rig{t: t, layer: l, id: id, fd: mine, peer: other}
		var got []byte
		errno := sys.EAGAIN
		for _, c := range cuts {
			if errno != sys.EAGAIN {
				t.Fatalf("ended before the last piece: %v, %s", errno, l.Problem())
			}
			r.raw(c)
			var b []byte
			b, errno = r.recv(size)
			got = append(got, b...)
		}
		if errno != 0 || !bytes.Equal(got, want.Bytes()) || l.Truncated(id) {
			t.Fatalf("%d pieces, read by %d: %d bytes, %v, %s", len(cuts), size, len(got), errno, l.Problem())
		}
		l.Close(id)
		sys.Close(mine)
		sys.Close(other)
	}
	for i := range wire {
		for _, size := range []int{1, 7, 64, 4096} {
			try(size, wire[:i], wire[i:])
		}
	}
	for step := 1; step <= 40; step++ {
		var cuts [][]byte
		for b := wire; len(b) > 0; b = b[min(step, len(b)):] {
			cuts = append(cuts, b[:min(step, len(b))])
		}
		try(1000, cuts...)
	}
	if n, _ := bufs.Lent(); n != 0 {
		t.Errorf("%d buffers are lent", n)
	}
}

// TestEverySize sends a record's worth of every size up to 300 and around the limits both
// ways through crypto/tls.
func TestEverySize(t *testing.T) {
	sizes := []int{1000, 4096, 16383, 16384, 16385, 32768, 65535, 65536, 65537, 100_000}
	for i := range 300 {
		sizes = append(sizes, i+1)
	}
	data := []byte(strings.Repeat("every size there is; ", 6000))
	for _, s := range plainSuites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			e, fd, peer := shake(t, s, true, func(c net.Conn) net.Conn { return c })
			defer sys.Close(fd)
			defer peer.Close()
			peer.SetDeadline(time.Now().Add(deadline))
			l := tlsio.NewLayer(pool.NewBufs(1 << 20))
			id := l.Open(&e, nil)
			go func() { // an echo, of what comes at once
				b := make([]byte, 200_000)
				for {
					n, err := peer.Read(b)
					if err != nil {
						return
					}
					peer.Write(b[:n])
				}
			}()
			b := make([]byte, 1<<20)
			for _, size := range sizes {
				for w := 0; w < size; {
					n, errno := l.Write(id, fd, data[w:size])
					if w += n; errno == sys.EAGAIN {
						ready(t, fd, true)
					} else if errno != 0 {
						t.Fatal(errno)
					}
				}
				for n := 0; n < size; {
					m, errno := l.Recv(id, fd, b[n:])
					if n += m; errno == sys.EAGAIN {
						if l.Flush(id, fd); n < size {
							ready(t, fd, l.Pending(id))
						}
					} else if errno != 0 || m == 0 {
						t.Fatalf("%d of %d: %v, %s", n, size, errno, l.Problem())
					}
				}
				if !bytes.Equal(b[:size], data[:size]) {
					t.Fatalf("%d bytes came back changed", size)
				}
			}
		})
	}
}

// TestPeerKnowsOfOurEnd: crypto/tls takes our close_notify for the end of the stream, while
// the socket stays open and the other direction goes on.
func TestPeerKnowsOfOurEnd(t *testing.T) {
	for _, s := range plainSuites {
		e, fd, peer := shake(t, s, false, func(c net.Conn) net.Conn { return c })
		l := tlsio.NewLayer(pool.NewBufs(1 << 20))
		id := l.Open(&e, nil)
		l.Write(id, fd, []byte("bye"))
		if errno := l.CloseNotify(id, fd); errno != 0 || l.CloseNotify(id, fd) != 0 {
			t.Errorf("close_notify: %v", errno)
		}
		peer.SetDeadline(time.Now().Add(deadline))
		if b, err := io.ReadAll(peer); string(b) != "bye" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		peer.Write([]byte("and you"))
		b := make([]byte, 100)
		ready(t, fd, false)
		if n, errno := l.Recv(id, fd, b); string(b[:n]) != "and you" || errno != 0 {
			t.Errorf("%q, %v", b[:n], errno)
		}
		l.Close(id)
		sys.Close(fd)
		peer.Close()
	}
}
