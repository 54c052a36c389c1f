package tlsio_test

import (
	"bytes"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
)

var probeKernel = sync.OnceValues(tlsio.ProbeKernel)

// kernelTLS skips a test where the kernel has no TLS, which is everywhere but in
// scripts/ktls-qemu.sh, as a rule.
func kernelTLS(t testing.TB) tlsio.Kernel {
	t.Helper()
	k, err := probeKernel()
	switch {
	case k.Use:
	case os.Getenv("HOLDFAST_REQUIRE_KTLS") != "":
		t.Fatalf("the kernel has no TLS: %v", err)
	default:
		t.Skipf("the kernel has no TLS: %v", err)
	}
	return k
}

// tcpSockets is sockets over TCP.
func tcpSockets(t testing.TB) (a, b int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	own := func(c net.Conn) (fd int32) {
		raw, _ := c.(*net.TCPConn).SyscallConn()
		raw.Control(func(of uintptr) {
			dup, err := unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			fd = int32(dup)
		})
		return fd
	}
	return own(dialed), own(accepted)
}

// newKernelRig is newRig with a kernel that opens and seals.
func newKernelRig(t testing.TB, s suite, client bool) *rig {
	t.Helper()
	k := kernelTLS(t)
	fd, peer := tcpSockets(t)
	r := newRigOn(t, s, client, fd, peer)
	r.layer.UseKernel(k)
	r.layer.ToKernel(r.id, fd)
	if in, out := r.layer.InKernelForTest(r.id); !in || !out {
		t.Fatalf("the kernel opens %v, seals %v", in, out)
	}
	return r
}

// receive waits for what the layer has next: data, or the end with its errno.
func (r *rig) receive(size int) ([]byte, sys.Errno) {
	r.t.Helper()
	b := make([]byte, size)
	for {
		n, errno := r.layer.Recv(r.id, r.fd, b)
		if errno != sys.EAGAIN {
			return b[:n], errno
		}
		ready(r.t, r.fd, false)
		r.patience()
	}
}

// patience ends the test where a socket is ready, but for something that never comes.
func (r *rig) patience() {
	r.t.Helper()
	if r.began.IsZero() {
		r.began = time.Now()
	}
	if time.Since(r.began) > deadline {
		r.t.Fatalf("nothing comes; %s", r.layer.Problem())
	}
}

// expect waits for data of the layer's.
func (r *rig) expect(want string) {
	r.t.Helper()
	var got []byte
	for len(got) < len(want) {
		b, errno := r.receive(1 + len(want)%5000)
		if errno != 0 || len(b) == 0 {
			r.t.Fatalf("%d of %d bytes, then %v, %s", len(got), len(want), errno, r.layer.Problem())
		}
		got = append(got, b...)
	}
	if string(got) != want {
		r.t.Errorf("%d bytes came that are not those sent", len(got))
	}
}

// next waits for the next record of the layer's.
func (r *rig) next() (typ byte, plain []byte) {
	r.t.Helper()
	for {
		if typ, plain, ok := r.read(); ok {
			return typ, plain
		}
		ready(r.t, r.peer, false)
		r.patience()
	}
}

// TestKernelBulk is TestBulk with the kernel's TLS.
func TestKernelBulk(t *testing.T) {
	k := kernelTLS(t)
	for _, s := range plainSuites {
		for _, asClient := range []bool{true, false} {
			role := "server"
			if asClient {
				role = "client"
			}
			t.Run(s.name+" "+role, func(t *testing.T) {
				fd, other := tcpSockets(t)
				defer sys.Close(fd)
				e, peer := shakeOver(t, s, asClient, fd, func(c net.Conn) net.Conn { return c }, other)
				defer peer.Close()
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 50_000)
				bufs := pool.NewBufs(1 << 20)
				l := tlsio.NewLayer(bufs)
				l.LimitsForTest(100, 1<<36)
				l.UseKernel(k)
				id := l.Open(&e, nil)
				l.ToKernel(id, fd)
				if in, out := l.InKernelForTest(id); !in || !out {
					t.Fatalf("the kernel opens %v, seals %v", in, out)
				}
				if l.SecretsForTest(id) && !(k.Rekey && s.tls13()) {
					t.Error("a secret is left")
				}
				streamBoth(&pump{t: t, l: l, id: id, fd: fd, left: *bulk / int64(2*len(plainSuites))}, s, peer)
				if n, _ := bufs.Lent(); n != 0 || l.Len() != 0 {
					t.Errorf("%d buffers are lent", n)
				}
			})
		}
	}
}

// TestKernelSuites: each suite's records of all sizes both ways, and both ends by
// close_notify, in either order.
func TestKernelSuites(t *testing.T) {
	for _, s := range suites {
		for _, client := range []bool{true, false} {
			t.Run(s.name, func(t *testing.T) {
				r := newKernelRig(t, s, client)
				defer r.close()
				var text string
				for _, size := range []int{1, 2, 100, 5000, 1 << 14} {
					text += string(bytes.Repeat([]byte{byte(size)}, size))
					r.data(string(bytes.Repeat([]byte{byte(size)}, size)))
				}
				r.expect(text)
				if n, errno := r.layer.Write(r.id, r.fd, []byte(text)); n != len(text) || errno != 0 {
					t.Fatalf("%d, %v", n, errno)
				}
				for got := ""; got != text; {
					typ, plain := r.next()
					if typ != typeData || len(plain) > 1<<14 {
						t.Fatalf("a record of %d bytes and type %d", len(plain), typ)
					}
					if got += string(plain); len(got) > len(text) || got != text[:len(got)] {
						t.Fatal("not what was written")
					}
				}
				closeNotify := func() {
					if errno := r.layer.CloseNotify(r.id, r.fd); errno != 0 {
						t.Fatal(errno)
					}
					if typ, plain := r.next(); typ != typeAlert || !bytes.Equal(plain, []byte{1, 0}) {
						t.Errorf("a record of type %d: %x", typ, plain)
					}
					if _, errno := r.layer.Write(r.id, r.fd, []byte("x")); errno != sys.EPIPE {
						t.Errorf("written after close_notify: %v", errno)
					}
				}
				if client {
					closeNotify()
					r.data("late")
					r.expect("late")
				}
				r.data("last")
				r.raw(r.out.seal(typeAlert, []byte{1, 0}, 0))
				r.expect("last")
				if b, errno := r.receive(10); len(b) != 0 || errno != 0 || r.layer.Truncated(r.id) {
					t.Errorf("%q, %v, truncated %v", b, errno, r.layer.Truncated(r.id))
				}
				if !client {
					r.layer.Write(r.id, r.fd, []byte("late"))
					if typ, plain := r.next(); typ != typeData || string(plain) != "late" {
						t.Errorf("a record of type %d: %q", typ, plain)
					}
					closeNotify()
				}
			})
		}
	}
}

// TestKernelAfterTickets: a client's reading goes to the kernel when the tickets have been
// shown, and nothing is lost on the way.
func TestKernelAfterTickets(t *testing.T) {
	k := kernelTLS(t)
	for _, s := range suites[:3] {
		fd, peer := tcpSockets(t)
		r := newRigOn(t, s, true, fd, peer)
		var shown []bool
		r.layer.UseKernel(k)
		r.layer.OnTickets(r.id, func(records []byte) { shown = append(shown, records != nil) })
		r.layer.ToKernel(r.id, fd)
		if in, out := r.layer.InKernelForTest(r.id); in || !out {
			t.Fatalf("the kernel opens %v, seals %v", in, out)
		}
		w := &wire{t: t, out: r.out}
		w.rec(typeHandshake, ticket(100)...)
		w.data("a")
		w.data("b")
		r.raw(w.b[:len(w.b)-5])
		r.expect("a")
		if in, _ := r.layer.InKernelForTest(r.id); in || len(shown) != 2 || !shown[0] || shown[1] {
			t.Fatalf("the kernel opens %v; shown: %v", in, shown)
		}
		r.raw(w.b[len(w.b)-5:])
		r.expect("b")
		for _, text := range []string{"c", large} {
			r.data(text)
			r.expect(text)
		}
		if in, _ := r.layer.InKernelForTest(r.id); !in {
			t.Error("the kernel does not open")
		}
		r.close()
	}
}

// TestKernelKeyUpdate: a kernel that replaces keys does so both ways; else the connection
// ends and says why.
func TestKernelKeyUpdate(t *testing.T) {
	k := kernelTLS(t)
	for _, s := range suites[:3] {
		r := newKernelRig(t, s, false)
		w := &wire{t: t, out: r.out}
		w.data("a")
		w.keyUpdate(1)
		w.data("b")
		r.raw(w.b)
		if !k.Rekey {
			r.expect("a")
			_, errno := r.receive(10)
			const want = "KeyUpdate, and the kernel can't replace keys (ssl_ktls) (alert sent)"
			if problem := r.layer.Problem(); errno != sys.EBADMSG || problem != want {
				t.Errorf("%v, %q", errno, problem)
			}
			if typ, plain := r.next(); typ != typeAlert || !bytes.Equal(plain, []byte{2, 80}) {
				t.Errorf("a record of type %d: %x", typ, plain)
			}
			r.close()
			continue
		}
		r.expect("ab")
		for _, text := range []string{"x", "y"} {
			if _, errno := r.layer.Write(r.id, r.fd, []byte(text)); errno != 0 {
				t.Fatal(errno)
			}
			if text == "x" {
				if typ, plain := r.next(); typ != typeHandshake || !bytes.Equal(plain, []byte{24, 0, 0, 1, 0}) {
					t.Fatalf("a record of type %d: %x", typ, plain)
				}
				r.in.next(t)
			}
			if typ, plain := r.next(); typ != typeData || string(plain) != text {
				t.Errorf("a record of type %d: %q", typ, plain)
			}
		}
		r.close()
	}
}

// TestSocketThatTheKernelRefuses: the connection goes on here.
func TestSocketThatTheKernelRefuses(t *testing.T) {
	for _, s := range suites {
		r := newRig(t, s, true)
		r.layer.UseKernel(tlsio.Kernel{Use: true, Rekey: true})
		r.layer.ToKernel(r.id, r.fd) // a unix socket
		if in, out := r.layer.InKernelForTest(r.id); in || out {
			t.Errorf("the kernel opens %v, seals %v", in, out)
		}
		r.data("a")
		r.expect("a")
		r.layer.Write(r.id, r.fd, []byte("b"))
		if typ, plain := r.next(); typ != typeData || string(plain) != "b" {
			t.Errorf("a record of type %d: %q", typ, plain)
		}
		r.close()
	}
}

// TestProbe: whatever the kernel has, the answer says so.
func TestProbe(t *testing.T) {
	if k, err := tlsio.ProbeKernel(); k.Use != (err == nil) || k.Rekey && !k.Use {
		t.Errorf("%+v, %v", k, err)
	}
}
