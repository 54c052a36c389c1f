package shard

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/tlsio"
	"holdfast/upstream"
)

// secure makes a TLS connection to the shard itself, not through a shim.
func (w *world) secure(front string) (*tls.Conn, *net.TCPConn) {
	w.t.Helper()
	c, err := net.Dial("tcp", front)
	w.check(err)
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(deadline))
	return tls.Client(c, clientTLS(0)), c.(*net.TCPConn)
}

// A response that only the connection's end delimits and that is cut must not end with a
// close_notify: the client would take it for the whole (RFC 9112 section 9.8).
func TestCutResponseHasNoCloseNotify(t *testing.T) {
	w := newWorld(t, site{tls: legs{down: true}})
	c, _ := w.secure(w.shard)
	_, err := io.WriteString(c, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	w.check(err)
	u := w.upstream()
	u.head()
	u.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	got := make([]byte, 0, 4096)
	buf := make([]byte, 4096)
	for !strings.HasSuffix(string(got), "hello") {
		n, err := c.Read(buf)
		w.check(err)
		got = append(got, buf[:n]...)
	}
	u.Close()
	if n, err := c.Read(buf); err == io.EOF {
		t.Errorf("the cut response ended in order: %d, %v", n, err)
	}
}

// The direction that has no limit is not held up by the other's.
func TestPaceOfOneDirection(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	w.ask(func(sh *Shard) { sh.pace(only(sh), 1000, 0) })
	up.send(strings.Repeat("d", 200<<10))
	const size = 16 << 20
	go func() { _, _ = io.Copy(down, io.LimitReader(zeros{}, size)) }()
	_ = up.SetReadDeadline(time.Now().Add(deadline / 3))
	if n, err := io.CopyN(io.Discard, up.r, size); err != nil {
		t.Errorf("%d bytes of the direction without a limit came: %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A tunnel that waits for its pace is not silent.
func TestPaceIsNoSilence(t *testing.T) {
	w := newWorld(t, site{policy: Policy{TunnelReadMs: 500, TunnelBlockedMs: 240_000, LingerMs: 30_000, LingerReadMs: 5000}})
	down, up := w.tunnel()
	w.ask(func(sh *Shard) { sh.pace(only(sh), 40_000, 0) })
	const size = 100_000
	up.send(strings.Repeat("d", size))
	up.Close()
	if n, err := io.CopyN(io.Discard, down.r, size); err != nil {
		t.Errorf("%d bytes came: %v\n%s", n, err, w.access)
	}
}

// A pool that takes no more handshakes is our own want and not the peer's fault.
func TestRefusedHandshakeIsNotThePeersFault(t *testing.T) {
	w := newWorld(t, site{tls: legs{up: true}, group: func(g *upstream.GroupSpec) {
		second := g.Servers[0]
		second.Addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), 1)
		second.Name, second.Backup = "127.0.0.2:1", true
		g.Servers = append(g.Servers, second)
	}})
	full := tlsio.NewPool(tlsio.PoolOptions{})
	full.Close()
	w.ask(func(sh *Shard) { sh.opt.Handshakes = full })
	c := w.client()
	c.send(get("/"))
	c.status(503)
	if n := w.peer.Fails.Load(); n != 0 {
		t.Errorf("%d failures are on the peer's account", n)
	}
}

// fullListener is an address where connections neither stand nor fail.
func fullListener(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	addr := sys.LocalAddr(int32(fd))
	for range 3 {
		if fd, errno := sys.Dial(addr); errno == 0 {
			t.Cleanup(func() { sys.Close(fd) })
		}
	}
	return addr
}

// What comes at a socket whose handshake was abandoned is not an event of the connection
// that took its place.
func TestEventOfAnAbandonedSocket(t *testing.T) {
	silent, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	full := fullListener(t)
	w := newWorld(t, site{tls: legs{up: true}, group: func(g *upstream.GroupSpec) {
		first := silent.Addr().(*net.TCPAddr).AddrPort()
		g.Servers[0].Addr, g.Servers[0].Name = first, first.String()
		second := g.Servers[0]
		second.Addr, second.Name, second.Backup = full, full.String(), true
		g.Servers = append(g.Servers, second)
	}})
	c := w.client()
	c.send(wsAsk)
	u := w.wrap(silent.Accept())
	w.state(UpHandshake)
	w.ask(func(sh *Shard) {
		s := only(sh)
		sh.timers.Cancel(s.slot)
		sh.onTimer(s)
		if s.state != Connect {
			t.Errorf("state %v", s.state)
		}
		u.send("x")
		u.delivered()
		n, _ := sh.poller.Wait(0)
		for i := range n {
			if ev := sh.poller.Event(i); ev.Data != sys.WakeData {
				sh.dispatch(ev)
			}
		}
		if s.state != Connect || s.Up.Bits != 0 {
			t.Errorf("state %v, bits %b: the second connection does not stand", s.state, s.Up.Bits)
		}
	})
}
