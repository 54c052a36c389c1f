package shard

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"holdfast/observe"
	"holdfast/pool"
	"holdfast/relay"
	"holdfast/route"
)

const emptyFrame = "\x81\x80\x00\x00\x00\x00" // masked, no payload

// What stands behind either head is the beginning of the tunnel.
func TestTunnelLeftovers(t *testing.T) {
	w := newWorld(t, site{})
	down := w.client()
	down.send(wsAsk + "early from the client")
	up := w.upstream()
	up.head()
	up.send(wsAnswer + "early from the upstream")
	if head := down.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Fatalf("answer %q", head)
	}
	down.want("early from the upstream")
	up.want("early from the client")
	w.logged(w.access, "GET /ws HTTP/1.1|101|0|")
}

// Leftovers of a 101 for a client that does not read cost no turns.
func TestBlockedLeftoversDoNotSpin(t *testing.T) {
	w := newWorld(t, site{paused: true})
	c := w.client()
	_ = c.SetReadBuffer(4096)
	w.turnUntil(func() bool { return w.sh.counters.Accepted == 1 })
	s := only(w.sh)
	c.send(wsAsk)
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u := w.upstream()
	u.head()
	s.Down.Bits &^= relay.CanWrite // as after a full socket
	go func() { _, _ = u.Write([]byte(wsAnswer + strings.Repeat("x", 60_000))) }()
	w.turnUntil(func() bool {
		s.Down.Bits &^= relay.CanWrite
		return w.sh.counters.Sessions[Switch] == 1
	})
	s.Down.Bits |= relay.CanWrite
	done, ok := w.sh.flush(&s.Down, &w.sh.cold(s).down)
	if !done || !ok {
		t.Fatal("the 101 was not written")
	}
	s.Down.Bits &^= relay.CanWrite
	w.sh.openTunnel(s)
	w.sh.advance(s)
	for range 10 { // events that the sockets already have
		w.sh.poller.Wake()
		s.Down.Bits &^= relay.CanWrite
		w.sh.turn()
		s.Down.Bits &^= relay.CanWrite
	}
	if s.has(flagQueued) {
		t.Error("a blocked tunnel stands on the run queue")
	}
}

func TestHalfClose(t *testing.T) {
	for _, first := range []string{"client", "upstream"} {
		t.Run(first, func(t *testing.T) {
			w := newWorld(t, site{})
			a, b := w.tunnel()
			if first == "upstream" {
				a, b = b, a
			}
			a.send(emptyFrame)
			w.check(a.CloseWrite())
			b.want(emptyFrame)
			b.end()
			w.state(HalfClosed)
			b.send(emptyFrame)
			a.want(emptyFrame)
			w.check(b.CloseWrite())
			a.end()
			w.empty()
			w.logged(w.access, "reason=done side="+first)
		})
	}
}

func TestTunnelResets(t *testing.T) {
	for _, side := range []string{"client", "upstream"} {
		t.Run(side, func(t *testing.T) {
			w := newWorld(t, site{})
			a, b := w.tunnel()
			if side == "upstream" {
				a, b = b, a
			}
			a.reset()
			if _, err := io.ReadAll(b.r); err != nil && side == "upstream" {
				t.Errorf("the client's end: %v", err)
			}
			b.TCPConn.Close()
			w.empty()
			w.logged(w.access, "reason=reset side="+side)
			w.ask(func(sh *Shard) {
				if sh.counters.Tunnels != 0 || w.peer.Tunnels.Load() != 0 {
					t.Error("the gauges of tunnels are not back")
				}
			})
		})
	}
}

func TestTunnelTimeouts(t *testing.T) {
	t.Run("silence", func(t *testing.T) {
		w := newWorld(t, site{policy: Policy{TunnelReadMs: 60_000, Logs: LogSet{1}}})
		w.tunnel()
		w.eventually("a timer", func(sh *Shard) bool { s := only(sh); return s.state == Tunnel && s.timer.Armed() })
		w.expireNow() // too early: armed anew
		w.state(Tunnel)
		w.ask(func(sh *Shard) { sh.nowMs += 61_000; sh.onTunnelTimer(only(sh)); sh.readClock() })
		w.empty()
		w.logged(w.access, "reason=read_timeout side=upstream")
	})
	t.Run("blocked", func(t *testing.T) {
		w := newWorld(t, site{})
		_, up := w.tunnel()
		go func() { _, _ = up.Write(make([]byte, 64<<20)) }()
		w.eventually("the client is blocked", func(sh *Shard) bool { s := only(sh); return s.sinceTick != 0 && s.Up.Holding() })
		w.ask(func(sh *Shard) { sh.nowMs += 300_000; sh.onTunnelTimer(only(sh)); sh.readClock() })
		w.empty()
		w.logged(w.access, "reason=send_timeout side=client")
	})
}

// A reload's, a stop's and a storm's memory: idle tunnels keep nothing, also while one
// plain request is under way, and the loop sleeps for ever.
func TestIdleTunnelsCostNothing(t *testing.T) {
	w := newWorld(t, site{paused: true})
	var tunnels []*conn
	for i := range uint64(50) {
		c := w.client()
		c.send(wsAsk)
		w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
		u := w.upstream()
		u.head()
		u.send(wsAnswer)
		w.turnUntil(func() bool { return w.sh.counters.Tunnels == i+1 })
		tunnels = append(tunnels, c, u)
	}
	slow := w.client()
	slow.send(get("/slow"))
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	u := w.upstream()
	u.head()
	for range 40 {
		w.sh.nowMs += houseEveryMs
		w.sh.house()
	}
	w.sh.readClock()
	w.sh.houseAtMs = 0 // it was set on a clock that was ahead
	objects := 0
	for _, r := range w.sh.requests.table {
		if r != nil {
			objects++
		}
	}
	if objects != 1 {
		t.Errorf("%d request records are kept, 1 is lent", objects)
	}
	u.send(okAnswer)
	u.TCPConn.Close()
	w.turnUntil(func() bool { return w.sh.counters.Sessions[Idle] == 1 })
	slow.status(200)
	slow.TCPConn.Close()
	w.turnUntil(func() bool { return w.sh.sessions.Len() == 50 && w.sh.pooled.Len() == 0 })
	for rounds := 0; w.sh.houseAtMs != 0; rounds++ {
		if rounds > 40 {
			t.Fatal("tidying does not end")
		}
		w.sh.nowMs += houseEveryMs
		w.sh.house()
	}
	if wait := w.sh.waitMs(); wait != -1 {
		t.Errorf("50 idle tunnels: the loop would sleep %d ms, want for ever", wait)
	}
	if w.sh.requests.table != nil {
		t.Error("request records are kept")
	}
	w.sh.sessions.Each(func(_ pool.Handle, s *Session) {
		if s.timer.Armed() || s.request != 0 || w.sh.mover.Held(&s.Down)+w.sh.mover.Held(&s.Up) != 0 {
			t.Errorf("session %d owns more than its record", s.id)
		}
	})
	for _, c := range tunnels {
		c.TCPConn.Close()
	}
}

// A running shard with idle tunnels does not wake up.
func TestIdleTunnelsCauseNoTurns(t *testing.T) {
	w := newWorld(t, site{})
	w.tunnel()
	w.tunnel()
	w.eventually("nothing to tidy", func(sh *Shard) bool {
		for sh.houseAtMs != 0 {
			sh.nowMs += houseEveryMs
			sh.house()
		}
		sh.readClock()
		return sh.waitMs() == -1
	})
	var before, after uint64
	w.ask(func(sh *Shard) { before = sh.counters.LoopTurns })
	time.Sleep(500 * time.Millisecond) // of silence: what is counted is turns, not time
	w.ask(func(sh *Shard) { after = sh.counters.LoopTurns })
	if after-before > 6 { // those of the questions themselves, and what signals interrupt
		t.Errorf("%d turns without anything to do", after-before)
	}
}

func TestBulkBothWays(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB; no framing after its first bytes
	for _, way := range [][2]*conn{{down, up}, {up, down}} {
		go func() { _, _ = way[0].Write(data); _ = way[0].CloseWrite() }()
	}
	for _, c := range []*conn{up, down} {
		got, err := io.ReadAll(c.r)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes (%v), want %d", len(got), err, len(data))
		}
	}
	w.empty()
	if n := w.peer.Bytes.Load(); n < uint64(2*len(data)) {
		t.Errorf("%d bytes in the peer's account", n)
	}
}

func TestBadUpgradeAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"wrong key":   strings.Replace(wsAnswer, wsAccept, "AAAA", 1),
		"no upgrade":  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
		"not asked":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
		"not HTTP":    "hello\r\n\r\n",
		"interims":    strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 30),
		"too large":   "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", respHeadMax),
		"two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, site{})
			c := w.client()
			c.send(wsAsk)
			u := w.upstream()
			u.head()
			u.send(answer)
			c.status(502)
			w.state(Idle)
			c.send(get("/own"))
			c.status(200)
			w.ask(func(sh *Shard) {
				if sh.counters.Upgrades[observe.OutcomeFailed] != 1 {
					t.Errorf("upgrades by outcome: %v", sh.counters.Upgrades)
				}
			})
		})
	}
}

func TestErrorLogCountsSuppressed(t *testing.T) {
	w := newWorld(t, site{set: func(s *route.Settings) { s.LingeringClose = route.LingeringOff }})
	for range 30 {
		c := w.client()
		c.send("x y z\r\n\r\n")
		c.status(400)
	}
	w.eventually("the count of suppressed lines", func(*Shard) bool {
		return strings.Contains(w.errors.String(), "similar messages suppressed: client sent an invalid request:")
	})
}

func TestEvictionAndLimit(t *testing.T) {
	w := newWorld(t, site{sessions: 2})
	idle := w.client()
	idle.send(get("/own"))
	idle.status(200)
	w.tunnel() // the second
	third := w.client()
	third.send(get("/own"))
	third.status(200)
	idle.end() // gave way
	w.tunnel2(third)
	fourth := w.client()
	fourth.send(get("/own"))
	if resp := fourth.status(503); resp.Header.Get("Retry-After") == "" || !resp.Close {
		t.Errorf("past the limit: %v", resp.Header)
	}
	fourth.end()
	w.eventually("the alert", func(*Shard) bool {
		return strings.Contains(w.errors.String(), "worker_connections are not enough")
	})
}

// tunnel2 turns an idle connection into a tunnel.
func (w *world) tunnel2(c *conn) {
	c.send(wsAsk)
	u := w.upstream()
	u.head()
	u.send(wsAnswer)
	c.head()
}

func TestAllocations(t *testing.T) {
	w := newWorld(t, site{paused: true})
	var c, u *conn
	open := make(chan struct{})
	go func() { defer close(open); c = w.client(); c.send(wsAsk) }()
	w.turnUntil(func() bool { return w.sh.counters.Sessions[ReadResp] == 1 })
	<-open
	u = w.upstream()
	u.head()
	u.send(wsAnswer)
	w.turnUntil(func() bool { return w.sh.counters.Tunnels == 1 })
	c.head()
	frame, buf := []byte(emptyFrame), make([]byte, 64)
	relayOne := func(from, to *conn) {
		before := w.sh.counters.TunnelBytesUp + w.sh.counters.TunnelBytesDown
		_, _ = from.Write(frame)
		for w.sh.counters.TunnelBytesUp+w.sh.counters.TunnelBytesDown == before {
			w.sh.turn()
		}
		_, _ = io.ReadFull(to.TCPConn, buf[:len(frame)])
	}
	relayOne(c, u)
	if n := testing.AllocsPerRun(200, func() { relayOne(c, u); relayOne(u, c) }); n != 0 {
		t.Errorf("%v allocations for two messages through the loop", n)
	}
	request, answer := []byte(get("/x")), []byte(okAnswer)
	h := w.client()
	var hu *conn
	cycle := func() {
		_, _ = h.Write(request)
		for w.sh.counters.Sessions[ReadResp] == 0 {
			w.sh.turn()
		}
		if hu == nil {
			hu = w.upstream()
		}
		_, _ = hu.TCPConn.Read(buf)
		_, _ = hu.Write(answer)
		for w.sh.counters.Sessions[Idle] == 0 {
			w.sh.turn()
		}
		_, _ = h.TCPConn.Read(buf)
	}
	buf = make([]byte, 4096)
	for range 5 {
		cycle()
	}
	w.sh.houseAtMs = 1 << 60 // trimming gives memory back; it is asked for again afterwards
	if n := testing.AllocsPerRun(200, cycle); n != 0 {
		t.Errorf("%v allocations for a request and its response through the loop", n)
	}
	w.sh.houseAtMs = 0
}

// What large messages borrowed is given back while the tunnel stays.
func TestTunnelMemoryIsTidied(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	tidied := false
	w.eventually("nothing to tidy", func(sh *Shard) bool {
		sh.houseAtMs = 0
		sh.opt.Quiet = func() { tidied = true }
		return sh.counters.Sessions[Tunnel] == 1 && sh.requests.lent() == 0
	})
	const size = 1 << 20
	go func() {
		_, _ = down.Write(append([]byte("\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00"), make([]byte, size)...))
	}()
	_, err := io.CopyN(io.Discard, up.r, size+10)
	w.check(err)
	w.eventually("it will be tidied, or was", func(sh *Shard) bool { return sh.houseAtMs != 0 || tidied })
}

// tunnel_frames says whether messages are counted.
func TestTunnelFrames(t *testing.T) {
	for _, on := range []bool{true, false} {
		w := newWorld(t, site{set: func(s *route.Settings) { s.TunnelFrames = on }})
		down, up := w.tunnel()
		down.send(emptyFrame + emptyFrame)
		up.want(emptyFrame + emptyFrame)
		want := uint32(0)
		if on {
			want = 2
		}
		w.ask(func(sh *Shard) {
			if got := only(sh).Down.Messages; got != want {
				t.Errorf("tunnel_frames %v: %d messages, want %d", on, got, want)
			}
		})
	}
}
