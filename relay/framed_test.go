package relay_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/relay"
)

// large is a stream of frames that pay to be spliced, with a small one here and there.
func large(rng *rand.Rand, frames int) (b []byte) {
	for range frames {
		length := 16<<10 + rng.IntN(200<<10)
		if rng.IntN(20) == 0 {
			length = rng.IntN(200)
		}
		b = frame(b, []byte{0x82, 0x02, 0x00, 0x80, 0x89}[rng.IntN(5)], rng.IntN(2) == 0, 0, length)
	}
	return b
}

// TestLargeFramesAreSpliced: frame after frame goes through pipes, headers and all, and is
// followed as if it had been read.
func TestLargeFramesAreSpliced(t *testing.T) {
	for i, p := range []pair{unixPair, tcpPair, tiny(unixPair), tiny(tcpPair)} {
		rng := rand.New(rand.NewPCG(uint64(i), 3))
		stream := large(rng, 60)
		if i >= 2 {
			stream = large(rng, 8)
		}
		r := newRig(t, p, p)
		r.down.FollowFrames()
		r.down.FullReadsForTest(relay.Framed)
		var got []byte
		sent, spliced := 0, false
		buf := make([]byte, 64<<10)
		r.until("the stream arrives", func() bool {
			if sent < len(stream) {
				if n, e := sys.Write(r.client, stream[sent:min(len(stream), sent+rng.IntN(300_000)+1)]); e == 0 {
					sent += n
				}
			}
			spliced = spliced || r.m.Pipes.Lent() > 0 || r.down.FullReads() == relay.Framed
			for rng.IntN(4) > 0 {
				n, e := sys.Recv(r.server, buf)
				if e != 0 || n == 0 {
					break
				}
				got = append(got, buf[:n]...)
			}
			return len(got) >= len(stream)
		})
		if !bytes.Equal(got, stream) {
			t.Fatalf("pair %d: the bytes that arrived are not those sent", i)
		}
		if have, want := of(&r.down), naive(stream); have != want {
			t.Fatalf("pair %d: %+v, want %+v", i, have, want)
		}
		if !spliced {
			t.Fatalf("pair %d: nothing was spliced", i)
		}
	}
}

// TestLargeFramesAreNoticed: two full reads that end few messages show that large frames
// follow one another; small ones never do.
func TestLargeFramesAreNoticed(t *testing.T) {
	for _, c := range []struct {
		length int
		want   bool
	}{{64 << 10, true}, {20 << 10, true}, {4 << 10, false}, {100, false}} {
		r := newRig(t, unixPair, unixPair)
		r.down.FollowFrames()
		unix.SetsockoptInt(int(r.client), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
		var stream []byte
		for len(stream) < 400_000 {
			stream = frame(stream, 0x82, true, 0, c.length)
		}
		if n, _ := sys.Write(r.client, stream); n != len(stream) {
			t.Skip("the kernel allows no large socket buffer here")
		}
		seen := false
		got, buf := 0, make([]byte, 64<<10)
		r.until("all arrives", func() bool {
			seen = seen || r.down.FullReads() == relay.Framed
			n, e := sys.Recv(r.server, buf)
			if e == 0 {
				got += n
			}
			return got == len(stream)
		})
		if seen != c.want {
			t.Errorf("frames of %d bytes: noticed %v, want %v", c.length, seen, c.want)
		}
	}
}

// TestASmallFrameEndsSplicing: what is looked at stays in the socket, and is copied.
func TestASmallFrameEndsSplicing(t *testing.T) {
	for cut := 1; cut < 14; cut++ { // a header that is there in part, a small frame that is whole
		r := newRig(t, unixPair, unixPair)
		r.turn(0)
		r.down.FollowFrames()
		r.down.FullReadsForTest(relay.Framed)
		stream := frame(frame(nil, 0x82, true, 2, 70_000), 0x81, false, 0, 5)
		r.send(r.client, stream[:cut])
		got := r.receive(r.server, cut)
		if r.down.FullReads() == relay.Framed {
			t.Fatalf("%d bytes of a header: still spliced", cut)
		}
		r.send(r.client, stream[cut:])
		got = append(got, r.receive(r.server, len(stream)-cut)...)
		if !bytes.Equal(got, stream) {
			t.Fatalf("cut at %d: other bytes", cut)
		}
		if have, want := of(&r.down), naive(stream); have != want {
			t.Fatalf("cut at %d: %+v, want %+v", cut, have, want)
		}
	}
}

// TestHeaderOf reads headers of all forms at every length, as the follower does.
func TestHeaderOf(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 127, 65_535, 65_536, 300_000} {
		for _, masked := range []bool{false, true} {
			for form := range 3 {
				whole := frame(nil, 0x82, masked, form, length)
				header := len(whole) - length
				for n := range min(len(whole), 20) {
					size, payload := relay.HeaderOfForTest(whole[:n])
					switch {
					case n < header && size != 0:
						t.Errorf("%d of %d header bytes: size %d", n, header, size)
					case n >= header && (size != header || payload != uint64(length)):
						t.Errorf("length %d, masked %v: size %d, payload %d; want %d", length, masked, size, payload, header)
					}
				}
			}
		}
	}
	if size, _ := relay.HeaderOfForTest([]byte{0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0}); size != 0 {
		t.Error("a length that no frame has")
	}
}
