package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"holdfast/observe"
	"holdfast/pool"
	"holdfast/route"
)

// said is a frame as it came.
type said struct {
	first   byte
	masked  bool
	payload string
}

// frame reads a whole frame (RFC 6455 section 5.2).
func (c *conn) frame() (f said, err error) {
	var head [2]byte
	if _, err = io.ReadFull(c.r, head[:]); err != nil {
		return f, err
	}
	f.first, f.masked = head[0], head[1]&0x80 != 0
	length := uint64(head[1] & 0x7F)
	rest := make([]byte, 8)
	switch length {
	case 126:
		_, err = io.ReadFull(c.r, rest[:2])
		length = uint64(binary.BigEndian.Uint16(rest))
	case 127:
		_, err = io.ReadFull(c.r, rest)
		length = binary.BigEndian.Uint64(rest)
	}
	if err != nil {
		return f, fmt.Errorf("inside a frame: %w", err)
	}
	var key [4]byte
	if f.masked {
		if _, err = io.ReadFull(c.r, key[:]); err != nil {
			return f, fmt.Errorf("inside a frame: %w", err)
		}
	}
	payload := make([]byte, length)
	if _, err = io.ReadFull(c.r, payload); err != nil {
		return f, fmt.Errorf("inside a frame: %w", err)
	}
	for i := range payload {
		payload[i] ^= key[i&3]
	}
	f.payload = string(payload)
	return f, nil
}

const (
	goingAway  = "\x03\xe9"
	closeReply = "\x88\x82\x00\x00\x00\x00" + goingAway // a client's
	closeTold  = "\x88\x02" + goingAway
)

// wantClose reads a Close frame of ours.
func (c *conn) wantClose(masked bool) {
	c.w.t.Helper()
	f, err := c.frame()
	if err != nil || f != (said{0x88, masked, goingAway}) {
		c.w.t.Errorf("%+v came, %v; want a Close frame", f, err)
	}
}

// leaveNow has the shard end all tunnels.
func (w *world) leaveNow() {
	w.t.Helper()
	w.ask(func(sh *Shard) {
		sh.sessions.Each(func(_ pool.Handle, s *Session) { sh.closeTunnel(s, codeGoingAway, observe.ReasonLifetime) })
	})
}

func TestLifetime(t *testing.T) {
	for _, tls := range []legs{{}, {down: true}, {up: true}, {down: true, up: true}} {
		t.Run(fmt.Sprintf("%+v", tls), func(t *testing.T) {
			w := newWorld(t, site{tls: tls, policy: Policy{LifetimeMs: 1, LingerMs: 30_000, LingerReadMs: 30_000, Logs: LogSet{1}}})
			down, up := w.tunnel()
			down.wantClose(false)
			up.wantClose(true)
			w.state(Closing)
			down.send(closeReply)
			up.send(closeTold)
			down.end()
			up.end()
			down.Close()
			w.empty()
			w.logged(w.access, "reason=lifetime side=proxy")
			w.ask(func(sh *Shard) {
				if n := sh.counters.TunnelCloses[observe.ReasonLifetime][observe.SideProxy]; n != 1 || len(sh.closings) != 0 {
					t.Errorf("%d tunnels ended by age, %d are left", n, len(sh.closings))
				}
			})
		})
	}
}

// Tunnels end at moments of their own.
func TestLifetimeJitter(t *testing.T) {
	const hour, most = 3600_000, 3600_000 / 5
	w := newWorld(t, site{policy: Policy{LifetimeMs: hour, LifetimeJitter: 20, LingerMs: 1000, LingerReadMs: 1000}})
	for range 40 {
		w.tunnel()
	}
	w.ask(func(sh *Shard) {
		low, high, moments := int64(hour), int64(-hour), map[int64]bool{}
		for slot := range uint32(40) {
			s := sh.sessions.At(slot)
			off := sh.expiresAt(s, sh.opt.Policies.At(s.policy)) - sh.tickMs(s.openedTick) - hour
			low, high = min(low, off), max(high, off)
			moments[off] = true
			if !s.timer.Armed() {
				t.Error("a tunnel has no timer")
			}
		}
		if low < -most || high > most || low > -most/2 || high < most/2 || len(moments) < 35 {
			t.Errorf("from %d to %d, %d moments", low, high, len(moments))
		}
	})
}

// A frame that is on its way comes to its end, what is behind it does not get through.
func TestCloseWaitsForTheFrame(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	for _, part := range []string{"\x82", "\x0A", "abc"} { // also within its header
		up.send(part)
		down.want(part)
	}
	w.leaveNow()
	up.wantClose(true)
	down.send(emptyFrame) // too late
	up.send("defghij\x82\x05world" + closeTold)
	down.want("defghij")
	down.wantClose(false)
	down.send(closeReply)
	down.end()
	up.end()
	down.Close()
	w.empty()
	w.logged(w.access, "bytes_up=0 bytes_down=12 ")
}

// A frame that does not end has its connection ended without a Close.
func TestCloseWithinAFrame(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	up.send("\x82\x0Aabc")
	down.want("\x82\x0Aabc")
	w.leaveNow()
	up.wantClose(true)
	w.expireNow()
	down.end()
	up.end()
	down.Close()
	w.empty()
	w.logged(w.access, "reason=lifetime side=proxy")
}

// Whoever does not answer is waited for once.
func TestCloseUnanswered(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	w.leaveNow()
	down.wantClose(false)
	up.wantClose(true)
	w.eventually("both are told", func(sh *Shard) bool { return sh.closings[only(sh).slot].said })
	w.expireNow()
	down.end()
	up.end()
	down.Close()
	w.empty()
}

// Behind a Close frame of an end itself no other is said.
func TestCloseBehindAClose(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	down.send(closeReply)
	up.want(closeReply)
	w.leaveNow()
	down.wantClose(false)
	up.send(closeTold)
	down.end()
	up.end()
	down.Close()
	w.empty()
}

func TestCloseOfAHalfClosedTunnel(t *testing.T) {
	for _, first := range []string{"client", "upstream"} {
		t.Run(first, func(t *testing.T) {
			w := newWorld(t, site{})
			down, up := w.tunnel()
			a, b := down, up
			if first == "upstream" {
				a, b = up, down
			}
			w.check(a.CloseWrite())
			b.end()
			w.state(HalfClosed)
			w.leaveNow()
			a.wantClose(first == "upstream")
			b.Close()
			a.end()
			down.Close()
			w.empty()
		})
	}
}

// Where frames are not followed a tunnel just ends.
func TestCloseOfABlindTunnel(t *testing.T) {
	w := newWorld(t, site{set: func(s *route.Settings) { s.TunnelFrames = false }})
	down, up := w.tunnel()
	w.leaveNow()
	down.end()
	up.end()
	down.Close()
	w.empty()
	w.logged(w.access, "reason=lifetime side=proxy")
}

// A client that does not read holds up its own Close only.
func TestCloseForABlockedClient(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	block := "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("x", 1<<16)
	go func() {
		for {
			if _, err := up.Write([]byte(block)); err != nil {
				return
			}
		}
	}()
	w.eventually("the tunnel is blocked", func(sh *Shard) bool { return only(sh).Up.Holding() })
	w.leaveNow()
	up.wantClose(true)
	for {
		f, err := down.frame()
		if err != nil {
			t.Fatal(err)
		}
		if f.first == 0x88 {
			break
		}
		if f.payload != strings.Repeat("x", 1<<16) {
			t.Fatalf("a frame of %d bytes", len(f.payload))
		}
	}
	down.send(closeReply)
	down.end()
	down.Close()
	up.Close()
	w.empty()
}

// randomFrames writes frames of all sizes, in fragments or not, and at the end a Close.
func randomFrames(c *conn, rng *rand.Rand, masked bool, stop *atomic.Bool) {
	var b []byte
	open := false
	for !stop.Load() {
		first := byte(0x80 | 0x09) // a ping may come between fragments
		if rng.IntN(4) > 0 {
			first = 0x02
			if open {
				first = 0
			}
			if open = rng.IntN(3) == 0; !open {
				first |= 0x80
			}
		}
		length := rng.IntN(126)
		if first&0x0F < 8 {
			length = []int{length, 126 + rng.IntN(5000), 65_000 + rng.IntN(200_000)}[rng.IntN(3)]
		}
		b = append(b[:0], first)
		mask := byte(0)
		if masked {
			mask = 0x80
		}
		switch {
		case length > 0xFFFF:
			b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(length))
		case length > 125:
			b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(length))
		default:
			b = append(b, mask|byte(length))
		}
		if masked {
			b = append(b, 0, 0, 0, 0)
		}
		for range length {
			b = append(b, byte(length))
		}
		for len(b) > 0 {
			n := min(len(b), 1+rng.IntN(100_000))
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
			b = b[n:]
		}
	}
	goodbye := closeTold
	if masked {
		goodbye = closeReply
	}
	_, _ = c.Write([]byte(goodbye)) // the connection may have ended
}

// readFrames reads frames until a Close has come, and judges them.
func readFrames(c *conn, masked bool) error {
	for {
		f, err := c.frame()
		switch {
		case err != nil:
			return err
		case f.masked != masked:
			return errors.New("masked as by the other side")
		case f.first == 0x88 && f.payload == goingAway:
			return nil
		case f.first&0x70 != 0 || f.first&0x0F > 2 && f.first != 0x89:
			return fmt.Errorf("a frame that begins with %#x", f.first)
		case strings.Trim(f.payload, string([]byte{byte(len(f.payload))})) != "":
			return fmt.Errorf("a frame of %d bytes has others", len(f.payload))
		}
	}
}

// In the midst of traffic both ends get whole frames, then a Close, then nothing.
func TestCloseInTraffic(t *testing.T) {
	for i, tls := range []legs{{}, {}, {}, {}, {down: true}, {up: true}, {down: true, up: true}, {down: true, up: true}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			w := newWorld(t, site{tls: tls})
			down, up := w.tunnel()
			ends := make(chan error, 2)
			for side, c := range []*conn{down, up} {
				rng := rand.New(rand.NewPCG(uint64(i), uint64(side)))
				var stop atomic.Bool
				go randomFrames(c, rng, c == down, &stop)
				go func() {
					err := readFrames(c, c == up)
					stop.Store(true)
					if err == nil {
						if rest, e := io.ReadAll(c.r); len(rest) > 0 || e != nil && !errors.Is(e, syscall.ECONNRESET) {
							err = fmt.Errorf("behind the Close: %d bytes, %w", len(rest), e)
						}
					}
					c.Close()
					ends <- err
				}()
			}
			w.eventually("traffic", func(sh *Shard) bool {
				s := only(sh)
				return s != nil && s.Down.Bytes > uint64(i)<<20 && s.Up.Bytes > uint64(i)<<20
			})
			w.leaveNow()
			for range 2 {
				if err := <-ends; err != nil {
					t.Error(err)
				}
			}
			w.empty()
		})
	}
}

// A tunnel that ends is not ended a second time, and what is no tunnel is left alone.
func TestCloseOfOtherStates(t *testing.T) {
	w := newWorld(t, site{})
	c := w.client()
	c.send("GET")
	w.state(ReadHead)
	w.leaveNow()
	w.state(ReadHead)
	c.Close()
	w.empty()
	down, up := w.tunnel()
	w.leaveNow()
	w.leaveNow()
	down.wantClose(false)
	up.wantClose(true)
	down.reset()
	up.Close()
	w.empty()
	w.ask(func(sh *Shard) {
		if n := sh.counters.TunnelCloses[observe.ReasonLifetime][observe.SideProxy]; n != 1 || sh.counters.Tunnels != 0 {
			t.Errorf("%d tunnels ended, %d live", n, sh.counters.Tunnels)
		}
	})
}
