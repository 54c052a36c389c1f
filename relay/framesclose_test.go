package relay_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"holdfast/relay"
)

// TestPumpFrameStopsAtTheBoundary cuts streams anywhere: the frame that a cut lies in comes
// to its end, and no byte behind it is read.
func TestPumpFrameStopsAtTheBoundary(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 4))
		b := frameStream(rng, 300+rng.IntN(3000))
		cut := rng.IntN(len(b))
		end := cut
		for end < len(b) && naive(b[:end]).mid {
			end++
		}
		r := newRig(t, unixPair, unixPair)
		r.down.FollowFrames()
		if cut > 0 {
			r.send(r.client, b[:cut])
			if got := r.receive(r.server, cut); !bytes.Equal(got, b[:cut]) {
				t.Fatalf("seed %d: the beginning is not what was sent", seed)
			}
		}
		if r.down.AtBoundary() != !naive(b[:cut]).mid {
			t.Fatalf("seed %d: at a boundary %v", seed, r.down.AtBoundary())
		}
		r.send(r.client, b[cut:])
		r.down.Bits |= relay.CanRead
		before := r.down.Bytes
		for budget := 1 + rng.IntN(40); ; budget += 1 + rng.IntN(40) {
			if p := r.m.PumpFrame(&r.down, &r.up, budget); p != relay.More {
				break
			}
		}
		if n := int(r.down.Bytes - before); n != end-cut {
			t.Fatalf("seed %d: %d bytes went behind %d, want %d", seed, n, cut, end-cut)
		}
		if whole := !naive(b[:end]).mid; r.down.AtBoundary() != whole {
			t.Fatalf("seed %d: at a boundary %v, want %v", seed, r.down.AtBoundary(), whole)
		}
		if rest := len(b) - end; rest > 0 { // the rest is there still
			got := append(r.receive(r.server, end-cut), r.receive(r.server, rest)...)
			if !bytes.Equal(got, b[cut:]) {
				t.Fatalf("seed %d: the rest is not what was sent", seed)
			}
		}
	}
}

// TestClosed: a Close frame is noticed with its first byte, and never forgotten.
func TestClosed(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 5))
		h := following()
		want := false
		for range 30 {
			first := []byte{0x81, 0x02, 0x00, 0x89, 0x88}[min(rng.IntN(20), 4-rng.IntN(2))%5]
			f := frame(nil, first, rng.IntN(2) == 0, rng.IntN(3), rng.IntN(400))
			want = want || first == 0x88
			h.FollowForTest(f[:1])
			if h.Closed() != want {
				t.Fatalf("seed %d: closed %v, want %v", seed, h.Closed(), want)
			}
			if rng.IntN(2) == 0 {
				h.FollowForTest(f[1:])
			} else {
				for _, c := range f[1:] {
					h.FollowForTest([]byte{c})
				}
			}
			if h.Closed() != want || h.MidFrame() {
				t.Fatalf("seed %d: closed %v, want %v; inside a frame %v", seed, h.Closed(), want, h.MidFrame())
			}
		}
	}
}

func TestAppendClose(t *testing.T) {
	if b := relay.AppendClose(nil, 1001, false, 0); string(b) != "\x88\x02\x03\xe9" {
		t.Errorf("%x", b)
	}
	b := relay.AppendClose(nil, 1001, true, 0x11223344)
	if string(b) != "\x88\x82\x11\x22\x33\x44\x12\xcb" || len(b) != relay.CloseMax {
		t.Errorf("%x", b)
	}
	h := following()
	h.FollowForTest(b)
	if h.MidFrame() || !h.Closed() || h.Messages != 0 {
		t.Errorf("%+v", of(h))
	}
}

// TestSayAndDiscard: what is said comes behind what was delivered; what comes meanwhile is
// dropped up to a Close.
func TestSayAndDiscard(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	r.turn(0)
	r.down.FollowFrames()
	if n, done, gone := r.m.Say(&r.up, []byte("goodbye")); n != 7 || !done || gone {
		t.Fatalf("%d %v %v", n, done, gone)
	}
	r.send(r.client, frame(nil, 0x81, true, 0, 100))
	r.down.Bits |= relay.CanRead
	if done, more := r.m.Discard(&r.down, 1<<20); done || more {
		t.Fatalf("done %v, more %v", done, more)
	}
	r.send(r.client, frame(nil, 0x88, true, 0, 2))
	r.down.Bits |= relay.CanRead
	if done, _ := r.m.Discard(&r.down, 1<<20); !done {
		t.Fatal("a Close came")
	}
	if got := r.receive(r.server, 7); string(got) != "goodbye" || r.down.Bytes != 0 {
		t.Fatalf("%q", got)
	}
	r.fill(&r.up)
	r.up.Bits |= relay.CanWrite
	if n, done, gone := r.m.Say(&r.up, filler); n == len(filler) || done || gone || r.up.Bits&relay.CanWrite != 0 {
		t.Fatalf("%d bytes went to a full socket", n)
	}
}
