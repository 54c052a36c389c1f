package shard

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/relay"
	"holdfast/route"
	"holdfast/upstream"
)

const evilAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

// As TestPooledConnectionWithUnaskedBytes, with more sockets ready than one wait reports:
// the bytes that nobody asked for have come before the wait, their event has not.
func TestUnaskedBytesBehindAFullBatch(t *testing.T) {
	w := newWorld(t, site{paused: true, sessions: 2 * eventBatch})
	c, d := w.client(), w.client()
	var crowd []*conn
	for range eventBatch {
		crowd = append(crowd, w.client())
	}
	w.turnUntil(func() bool { return w.sh.counters.Accepted == 2+eventBatch })
	c.send(get("/first"))
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	w.turnUntil(func() bool { return w.sh.pooled.Len() == 1 })
	c.status(200)
	for range 3 { // nothing is left to report
		w.sh.poller.Wake()
		w.sh.turn()
	}
	d.send(get("/second"))
	d.delivered()
	for _, each := range crowd {
		each.send("G")
		each.delivered()
	}
	u.send(evilAnswer)
	u.delivered()
	w.sh.turn()
	_ = w.back.SetDeadline(time.Now().Add(deadline))
	go func() {
		if other, err := w.back.Accept(); err == nil {
			defer other.Close()
			_, _ = other.Read(make([]byte, 4096))
			_, _ = io.WriteString(other, okAnswer)
			_, _ = io.Copy(io.Discard, other)
		}
	}()
	w.turnUntil(func() bool { return w.sh.counters.Responses[2] == 2 })
	if _, body := d.response("GET"); body != "ok" {
		t.Errorf("the second request was answered with %q, which came before it was sent", body)
	}
}

// The end of an upstream's connection is reported in the turn in which it goes to the idle
// ones, behind the event of the client that had held the response up. It must not be lost.
func TestFinInTheTurnThatPools(t *testing.T) {
	w := newWorld(t, site{paused: true, set: func(s *route.Settings) { s.Buffering, s.BuffersSize = true, 8<<10 }})
	c := w.client()
	w.turnUntil(func() bool { return w.sh.counters.Accepted == 1 })
	c.send(get("/large"))
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	s := only(w.sh)
	u := w.upstream()
	u.head()
	u.sendf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 100_000, strings.Repeat("x", 100))
	w.turnUntil(func() bool { return w.sh.counters.Sessions[Body] == 1 })
	w.sh.poller.Wake()
	w.sh.turn()
	// The client's socket is full, the upstream's has more than is read ahead.
	s.Down.Bits &^= relay.CanWrite
	u.send(strings.Repeat("x", 99_000))
	u.delivered()
	for range 3 {
		w.sh.poller.Wake()
		s.Down.Bits &^= relay.CanWrite
		w.sh.turn()
		s.Down.Bits &^= relay.CanWrite
	}
	if s.Up.Bits&relay.CanRead == 0 {
		t.Fatal("not the case meant: all of the response was read")
	}
	// The last bytes and the FIN come; then the client can take everything, which its own
	// event, of a byte that it sends, stands for. That event is made to come first.
	c.send("G")
	c.delivered()
	s.Down.Bits |= relay.CanWrite
	u.send(strings.Repeat("x", 900))
	w.check(u.CloseWrite())
	u.delivered()
	awaitRdHup(t, s.Up.FD)
	w.sh.turn()
	for range 3 {
		w.sh.poller.Wake()
		w.sh.turn()
	}
	w.turnUntil(func() bool { return s.Up.FD < 0 })
	if n := w.sh.pooled.Len(); n != 0 {
		t.Errorf("a connection whose end has come, and was reported, idles for others: %d", n)
	}
}

// awaitRdHup waits until the peer's FIN has arrived at fd.
func awaitRdHup(t *testing.T, fd int32) {
	t.Helper()
	p := []unix.PollFd{{Fd: fd, Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(p, int(deadline.Milliseconds())); n != 1 || err != nil {
		t.Fatal("no FIN:", n, err)
	}
}

// A request that can't be repeated never goes to an idle connection whose end was reported.
func TestPostAfterTheEndOfAnIdleConnection(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send(get("/a"))
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	c.status(200)
	w.eventually("an idle connection", func(sh *Shard) bool { return sh.pooled.Len() == 1 })
	w.check(u.CloseWrite())
	w.eventually("none", func(sh *Shard) bool { return sh.pooled.Len() == 0 })
	c.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	u2 := w.upstream()
	u2.head()
	u2.want("hi")
	u2.send(okAnswer)
	c.status(200)
}

// A tunnel that opens in any way, with bytes glued on either side and ends that come at
// once, moves everything and ends on both sides.
func TestTunnelOpensInPieces(t *testing.T) {
	for _, followed := range []bool{true, false} {
		t.Run(fmt.Sprint("tunnel_frames=", followed), func(t *testing.T) { tunnelsOpen(t, followed) })
	}
}

func tunnelsOpen(t *testing.T, followed bool) {
	w := newWorld(t, site{set: func(s *route.Settings) { s.TunnelFrames = followed }})
	seed := time.Now().UnixNano()
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	for i := range rounds {
		random := rand.New(rand.NewSource(seed + int64(i)))
		ask := wsAsk
		if pad := random.Intn(4); pad > 0 { // heads that fill a buffer to the byte, or nearly
			size := []int{0, 1024, 2048, 1023}[pad]
			field := "X-Pad: " + strings.Repeat("p", size-len(ask)-len("X-Pad: \r\n")) + "\r\n"
			ask = strings.TrimSuffix(ask, "\r\n") + field + "\r\n"
		}
		early, late := chaff(random, 1), chaff(random, 2)
		hello, rest := chaff(random, 3), chaff(random, 4)
		down := w.client()
		var both sync.WaitGroup
		switched := make(chan struct{}) // a client that ends before that counts as gone
		clientSeed, upSeed := random.Int63(), random.Int63()
		both.Go(func() {
			dribble(clientSeed, down, ask, early)
			<-switched
			dribble(clientSeed+1, down, late)
			_ = down.CloseWrite()
		})
		up := w.upstream()
		up.head()
		both.Go(func() { dribble(upSeed, up, wsAnswer, hello, rest); _ = up.CloseWrite() })
		done := make(chan struct{})
		go func() {
			defer close(done)
			if got, err := io.ReadAll(up.r); err != nil || string(got) != early+late {
				t.Errorf("seed %d: upstream got %d bytes (%v), want %d", seed+int64(i), len(got), err, len(early+late))
			}
		}()
		if head := down.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Fatalf("seed %d: %q", seed+int64(i), head)
		}
		close(switched)
		if got, err := io.ReadAll(down.r); err != nil || string(got) != hello+rest {
			t.Errorf("seed %d: client got %d bytes (%v), want %d", seed+int64(i), len(got), err, len(hello+rest))
		}
		<-done
		both.Wait()
		down.TCPConn.Close()
		up.TCPConn.Close()
		if t.Failed() {
			return
		}
	}
	w.empty()
}

// chaff is something between nothing and more than the sockets hold.
func chaff(random *rand.Rand, salt byte) string {
	sizes := []int{0, 0, 1, 100, 4096, 65_535, 65_536, 65_537, 300_000, 3_000_000}
	if random.Intn(2) == 0 {
		return frames(random)
	}
	n := sizes[random.Intn(len(sizes))]
	b := bytes.Repeat([]byte{salt, 'a', 'b', 'c', 'd', 'e', 'f'}, n/7+1)
	return string(b[:n])
}

// frames is some WebSocket frames in a row, small and large, masked or not.
func frames(random *rand.Rand) string {
	var b []byte
	sizes := []int{0, 1, 125, 126, 16_383, 16_384, 16_400, 65_521, 65_535, 65_536, 80_000, 200_000}
	size := sizes[random.Intn(len(sizes))]
	for range 1 + random.Intn(60) {
		if random.Intn(8) == 0 {
			size = sizes[random.Intn(len(sizes))]
		}
		mask := byte(random.Intn(2)) << 7
		b = append(b, 0x82)
		switch {
		case size < 126:
			b = append(b, mask|byte(size))
		case size < 1<<16:
			b = append(b, mask|126, byte(size>>8), byte(size))
		default:
			b = append(b, mask|127, 0, 0, 0, 0, 0, byte(size>>16), byte(size>>8), byte(size))
		}
		if mask != 0 {
			b = append(b, 1, 2, 3, 4)
		}
		from := len(b)
		b = append(b, make([]byte, size)...)
		random.Read(b[from:])
	}
	return string(b)
}

// dribble writes the parts glued or one by one, cut anywhere.
func dribble(seed int64, c *conn, parts ...string) {
	random := rand.New(rand.NewSource(seed))
	all := strings.Join(parts, "")
	for len(all) > 0 {
		n := len(all)
		switch random.Intn(4) {
		case 0:
			n = 1 + random.Intn(min(n, 200))
		case 1:
			n = 1 + random.Intn(n)
		}
		if _, err := c.Write([]byte(all[:n])); err != nil {
			return
		}
		all = all[n:]
	}
}

// The upstream's socket gets its keepalive at the age of 30 s, whatever else the tunnel's
// timer is for, and never before; a tunnel that was blocked or half-closed gets it, too.
func TestKeepaliveOfATunnelComesWithAge(t *testing.T) {
	for name, p := range map[string]Policy{
		"no limits":    {},
		"blocked":      {TunnelBlockedMs: 10_000},
		"silence":      {TunnelReadMs: 45_000},
		"both":         {TunnelReadMs: 45_000, TunnelBlockedMs: 240_000},
		"long silence": {TunnelReadMs: 3_600_000},
	} {
		for _, half := range []bool{false, true} {
			p.DeadPeers, p.LingerMs, p.LingerReadMs, p.Logs = true, 30_000, 5_000, LogSet{1}
			t.Run(name, func(t *testing.T) { keepaliveComes(t, p, half) })
		}
	}
}

func keepaliveComes(t *testing.T, p Policy, half bool) {
	w := newWorld(t, site{paused: true, policy: p})
	c := w.client()
	c.send(wsAsk)
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	s := only(w.sh)
	u := w.upstream()
	u.head()
	u.send(wsAnswer)
	w.turnUntil(func() bool { return s.state == Tunnel })
	if half {
		w.check(u.CloseWrite())
		w.turnUntil(func() bool { return s.state == HalfClosed })
	}
	at := func(ms int64, want int) {
		t.Helper()
		w.sh.nowMs = w.sh.tickMs(s.openedTick) + ms
		w.sh.expire()
		if s.state == Closed {
			t.Fatalf("closed at %d ms", ms)
		}
		if on, err := unix.GetsockoptInt(int(s.Up.FD), unix.SOL_SOCKET, unix.SO_KEEPALIVE); on != want || err != nil {
			t.Errorf("at %d ms SO_KEEPALIVE is %d (%v), want %d", ms, on, err, want)
		}
	}
	w.sh.snapshot.Listeners[s.listener].SpreadKeepalive = half
	before, _ := unix.GetsockoptInt(int(s.Down.FD), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
	at(0, 0)
	at(youthMs-100, 0)
	at(youthMs+100, 1)
	wantDown := before
	if half {
		wantDown = sys.SpreadKeepalive(2*s.id + 1).Idle
	}
	if idle, _ := unix.GetsockoptInt(int(s.Down.FD), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); idle != wantDown {
		t.Errorf("TCP_KEEPIDLE of the client is %d, want %d", idle, wantDown)
	}
	want := sys.SpreadKeepalive(2 * s.id)
	if idle, _ := unix.GetsockoptInt(int(s.Up.FD), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); idle != want.Idle {
		t.Errorf("TCP_KEEPIDLE is %d, want %d", idle, want.Idle)
	}
	if armed := s.timer.Armed(); armed != (p.TunnelReadMs > 0) {
		t.Errorf("the timer runs: %v", armed)
	}
}

// Slots are used again, and others share their places in the cache: every session has the
// address of its own client.
func TestAddressOfItsOwnClient(t *testing.T) {
	w := newWorld(t, site{})
	for range 3 {
		var conns []net.Conn
		for range 40 {
			c, err := net.Dial("tcp", w.front)
			w.check(err)
			conns = append(conns, c)
		}
		w.eventually("all of them", func(sh *Shard) bool { return sh.sessions.Len()-len(sh.closed) == len(conns) })
		w.ask(func(sh *Shard) {
			sh.sessions.Each(func(h pool.Handle, s *Session) {
				if s.state == Closed {
					return
				}
				sa, err := unix.Getpeername(int(s.Down.FD))
				if err != nil {
					t.Error(err)
					return
				}
				port := uint16(sa.(*unix.SockaddrInet4).Port)
				for _, other := range []pool.Handle{h, {Slot: h.Slot, Gen: h.Gen + 1}, {Slot: h.Slot + addressSlots, Gen: h.Gen}} {
					if other != h {
						sh.addresses.put(other, netip.MustParseAddrPort("192.0.2.1:1"))
					}
					if got := sh.remoteAddr(s); got.Port() != port || !got.Addr().IsLoopback() {
						t.Errorf("slot %d: %v, want port %d", h.Slot, got, port)
					}
				}
			})
		})
		for _, c := range conns {
			c.Close()
		}
		w.empty()
	}
}

// Two requests that want the same idle connection in one turn, ends and resets in between:
// no record of a reusable connection outlives its connection.
func TestNoRecordOfAConnectionIsLeft(t *testing.T) {
	w := newWorld(t, site{set: quick, policy: quickPolicy, noVar: true, group: func(g *upstream.GroupSpec) {
		g.Keepalive, g.KeepaliveRequests = 2, 3
	}})
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	var mu sync.Mutex
	w.serve(func(string) string {
		mu.Lock()
		defer mu.Unlock()
		switch random.Intn(8) {
		case 0:
			return ""
		case 1:
			return okAnswer + "junk"
		case 2:
			return "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort"
		case 3:
			return "nonsense\r\n\r\n"
		case 4:
			return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
		case 5:
			return wsAnswer
		}
		return okAnswer
	})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 40 {
				c, err := net.Dial("tcp", w.front)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ask := []string{get("/x"), get("/x") + get("/y"), wsAsk, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"}[random.Intn(4)]
				how := random.Intn(3)
				mu.Unlock()
				_, _ = io.WriteString(c, ask)
				_ = c.SetReadDeadline(time.Now().Add(time.Duration(how) * 3 * time.Millisecond))
				_, _ = c.Read(make([]byte, 4096))
				if how == 1 {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	w.eventually("only the idle ones have records", func(sh *Shard) bool {
		return sh.sessions.Len()-len(sh.closed) == 0 && sh.pooled.slab.Len() == sh.pooled.Len() &&
			w.peer.Connections.Load() == int64(sh.pooled.Len())
	})
}
