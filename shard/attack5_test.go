package shard

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/route"
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

// Bulk both ways over TLS on both sides while memory in flight is far past its limit, with
// ends of both streams: everything comes, once.
func TestBulkOverTLSWithoutMemory(t *testing.T) {
	for _, l := range []legs{{down: true}, {up: true}, {down: true, up: true}} {
		w := newWorld(t, site{tls: l, inFlight: 64 << 10})
		const size = 2 << 20
		var all sync.WaitGroup
		carry := func(from, to *conn, seed byte) {
			all.Add(2)
			go func() {
				defer all.Done()
				b := make([]byte, 10_000)
				for sent := 0; sent < size; {
					n := min(len(b), size-sent)
					for i := range b[:n] {
						b[i] = byte((sent+i)>>3)*7 + seed
					}
					if _, err := from.Write(b[:n]); err != nil {
						t.Error("write:", err)
						return
					}
					sent += n
				}
				_ = from.CloseWrite()
			}()
			go func() {
				defer all.Done()
				b := make([]byte, 3000)
				for got := 0; ; {
					n, err := to.r.Read(b)
					for i := range b[:n] {
						if b[i] != byte((got+i)>>3)*7+seed {
							t.Errorf("byte %d is wrong", got+i)
							return
						}
					}
					if got += n; err != nil {
						if err != io.EOF || got != size {
							t.Errorf("%d bytes, then %v", got, err)
						}
						return
					}
					if got%7 == 0 {
						runtime.Gosched()
					}
				}
			}()
		}
		for i := range 6 {
			down, up := w.tunnel()
			carry(down, up, byte(2*i))
			carry(up, down, byte(2*i+1))
		}
		all.Wait()
		w.empty()
	}
}

// A client that speaks plain HTTP to a TLS port gets one answer, whatever it sent behind its
// first request.
func TestPlainRequestsOnTLS(t *testing.T) {
	w := newWorld(t, site{tls: legs{down: true}})
	for _, pieces := range [][]string{
		{get("/own") + get("/own")},
		{"G", "ET /own HTTP/1.1\r\nHo", "st: a\r\n\r\n" + get("/")},
		{"POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n" + get("/own")},
		{"GET http://a/own HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + get("/own")},
		{wsAsk + "frames"},
		{"nonsense\r\n\r\n" + get("/own")},
	} {
		c := w.wrap(net.Dial("tcp", w.shard))
		for _, piece := range pieces {
			c.send(piece)
			c.delivered()
		}
		c.status(400)
		c.end()
		c.Close()
	}
	w.empty()
	w.ask(func(sh *Shard) {
		if n := sh.counters.Responses[2]; n != 0 {
			t.Errorf("%d requests were answered", n)
		}
	})
}

// Handshakes in every stage when the shard stops, or their clients leave: nothing is left.
func TestHandshakesThatAreLeft(t *testing.T) {
	w := newWorld(t, site{tls: legs{down: true, up: true}})
	hello := &capture{}
	_ = tls.Client(hello, clientTLS(0)).Handshake()
	for i := range 40 {
		c := w.wrap(net.Dial("tcp", w.shard))
		switch i % 4 {
		case 0: // nothing at all
		case 1:
			c.send(string(hello.b[:3]))
		case 2:
			c.send(string(hello.b[:len(hello.b)-1]))
		case 3:
			c.send(string(hello.b))
		}
		if i%8 < 4 {
			c.reset()
		} else if i < 20 {
			_ = c.CloseWrite()
		}
	}
	w.eventually("the last of them waits", func(sh *Shard) bool { return len(sh.handshakes) >= 2 })
}

// capture keeps what is written to it and has nothing to read.
type capture struct {
	net.Conn
	b []byte
}

func (c *capture) Write(b []byte) (int, error)      { c.b = append(c.b, b...); return len(b), nil }
func (c *capture) Read([]byte) (int, error)         { return 0, io.EOF }
func (c *capture) Close() error                     { return nil }
func (c *capture) SetWriteDeadline(time.Time) error { return nil }

// secureUpstream is an upstream that speaks TLS itself, and how to put it in the place of the
// site's.
func secureUpstream(t *testing.T) (l net.Listener, group func(*upstream.GroupSpec)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, func(g *upstream.GroupSpec) {
		g.Servers[0].Addr = l.Addr().(*net.TCPAddr).AddrPort()
		g.Servers[0].Name = l.Addr().String()
	}
}

// askedOf answers the next request on a TLS connection to the upstream.
func askedOf(t *testing.T, c net.Conn, answer string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(deadline))
	var head []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, b...) {
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(c, answer); err != nil {
		t.Fatal(err)
	}
}

// A response that only the end of the upstream's connection delimits is whole with a
// close_notify, and cut with a mere FIN.
func TestEndOfAnUpstreamsStream(t *testing.T) {
	l, group := secureUpstream(t)
	w := newWorld(t, site{tls: legs{up: true}, group: group})
	for _, orderly := range []bool{true, false} {
		for _, minor := range []string{"0", "1"} {
			c := w.wrap(net.Dial("tcp", w.shard))
			c.send("GET / HTTP/1." + minor + "\r\nHost: a\r\n\r\n")
			raw, err := l.Accept()
			w.check(err)
			u := tls.Server(raw, serverTLS(0))
			askedOf(t, u, "HTTP/1.1 200 OK\r\n\r\nhello")
			if orderly {
				_ = u.CloseWrite()
			}
			raw.Close()
			resp, err := http.ReadResponse(c.r, nil)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			if (err == nil) != orderly {
				t.Errorf("HTTP/1.%s, orderly %v: %v", minor, orderly, err)
			}
			c.Close()
		}
	}
}

// A connection that was made with one name is not used for a request with another.
func TestPooledConnectionsHaveNames(t *testing.T) {
	l, group := secureUpstream(t)
	w := newWorld(t, site{tls: legs{up: true}, group: group})
	name, err := route.NewCompiler(route.Process{}, nil).Compile("$arg_n")
	w.check(err)
	w.ask(func(sh *Shard) { sh.snapshot.UpstreamTLS[0].Name = &name })
	c := w.client()
	conns := map[string]net.Conn{}
	for _, n := range []string{"x", "y", "x", "y", "y"} {
		c.send(get("/?n=" + n))
		if conns[n] == nil {
			raw, err := l.Accept()
			w.check(err)
			defer raw.Close()
			conns[n] = tls.Server(raw, serverTLS(0))
		}
		askedOf(t, conns[n], okAnswer)
		c.status(200)
	}
}

// A client that takes its response slowly makes progress although its records were all
// sealed before.
func TestSlowReaderOverTLSMakesProgress(t *testing.T) {
	w := newWorld(t, site{tls: legs{down: true}})
	c, raw := w.secure(w.shard)
	_ = raw.SetReadBuffer(4 << 10)
	w.check(c.Handshake())
	w.ask(func(sh *Shard) { _ = unix.SetsockoptInt(int(only(sh).Down.FD), unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10) })
	_, err := io.WriteString(c, get("/"))
	w.check(err)
	u := w.upstream()
	u.head()
	u.sendf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 200_000, strings.Repeat("x", 200_000))
	var mark, sent int64
	w.eventually("the client's socket is full", func(sh *Shard) bool {
		s := only(sh)
		if s.state != Body || !sh.cold(s).down.sealed || sh.cold(s).wait != waitClientWrite {
			return false
		}
		mark, sent = sh.cold(s).waitMark, sh.cold(s).down.sent
		return true
	})
	for b, done := make([]byte, 1024), false; !done; {
		w.ask(func(sh *Shard) {
			r := sh.cold(only(sh))
			if done = r.waitMark != mark || r.down.sent != sent; done && r.down.sent != sent {
				t.Error("all that was sealed is gone, and the timer was never set anew")
			}
		})
		_ = raw.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = raw.Read(b)
	}
}
