package relay_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"holdfast/relay"
)

// parsed is what a stream of frames comes to.
type parsed struct {
	messages uint32
	mid      bool
	blind    bool
	left     uint64
}

// naive parses a whole stream at once, in the plainest way (RFC 6455 section 5.2).
func naive(b []byte) (p parsed) {
	for len(b) > 0 {
		p.mid, p.left = true, 0
		if len(b) < 2 {
			return p
		}
		ends := b[0]&0x80 != 0 && b[0]&0x0F < 8
		masked, length, extra := b[1]&0x80 != 0, uint64(b[1]&0x7F), 0
		switch length {
		case 126:
			extra = 2
		case 127:
			extra = 8
		}
		rest := b[2:]
		if extra == 8 && len(rest) > 0 && rest[0] != 0 {
			// Past 2^56: no parser needs all eight bytes to see it, ours sees it at the last.
			if len(rest) >= 8 {
				return parsed{messages: p.messages, blind: true}
			}
		}
		if len(rest) < extra {
			return p
		}
		switch extra {
		case 2:
			length = uint64(binary.BigEndian.Uint16(rest))
		case 8:
			length = binary.BigEndian.Uint64(rest)
		}
		rest = rest[extra:]
		if masked {
			if len(rest) < 4 {
				return p
			}
			rest = rest[4:]
		}
		if uint64(len(rest)) < length {
			p.left = length - uint64(len(rest))
			return p
		}
		if ends {
			p.messages++
		}
		b, p.mid = rest[length:], false
	}
	return p
}

func of(h *relay.Half) parsed {
	return parsed{h.Messages, h.MidFrame(), h.BlindForTest(), h.PayloadLeftForTest()}
}

func following() *relay.Half {
	h := &relay.Half{}
	h.FollowFrames()
	return h
}

// frame appends a frame header and a payload of the given length. form 0 writes the
// shortest length, 1 and 2 the longer ones.
func frame(b []byte, first byte, masked bool, form, length int) []byte {
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch {
	case form == 2 || length > 0xFFFF:
		b = binary.BigEndian.AppendUint64(append(b, first, mask|127), uint64(length))
	case form == 1 || length > 125:
		b = binary.BigEndian.AppendUint16(append(b, first, mask|126), uint16(length))
	default:
		b = append(b, first, mask|byte(length))
	}
	if masked {
		b = append(b, 1, 2, 3, 4)
	}
	for i := range length {
		b = append(b, byte(i*7))
	}
	return b
}

// frameStream is a stream of frames of all forms, about size bytes long.
func frameStream(rng *rand.Rand, size int) (b []byte) {
	firsts := []byte{0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0xF2, 0x09}
	for len(b) < size {
		length := rng.IntN(20)
		switch rng.IntN(12) {
		case 0:
			length = 120 + rng.IntN(10)
		case 1:
			length = rng.IntN(3000)
		case 2:
			if size > 100_000 {
				length = 65_530 + rng.IntN(200_000)
			}
		}
		b = frame(b, firsts[rng.IntN(len(firsts))], rng.IntN(2) == 0, rng.IntN(3), length)
	}
	if rng.IntN(3) == 0 {
		b = b[:len(b)-rng.IntN(min(len(b), 5))] // ends inside a frame, mostly
	}
	return b
}

// TestFramesCutAnywhere follows each stream in two pieces and byte by byte: the cut
// must not matter, and at each boundary MidFrame is right.
func TestFramesCutAnywhere(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := frameStream(rng, 200)
		if rng.IntN(4) == 0 {
			b = append(b, 0x82, 0xFF, 1, 0, 0, 0, 0, 0, 0, 0, 'x') // a length no frame has
		}
		step := following()
		for i := range b {
			step.FollowForTest(b[i : i+1])
			if got, want := of(step), naive(b[:i+1]); got != want {
				t.Fatalf("seed %d, after %d bytes one by one: %+v, want %+v", seed, i+1, got, want)
			}
			h := following()
			h.FollowForTest(b[:i])
			h.FollowForTest(b[i:])
			if got, want := of(h), naive(b); got != want {
				t.Fatalf("seed %d, cut at %d: %+v, want %+v", seed, i, got, want)
			}
		}
	}
}

// TestFramesSkipCountsAsRead replaces bytes of payload by their number, as splice does.
func TestFramesSkipCountsAsRead(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		b := frameStream(rng, 5000)
		h := following()
		for at := 0; at < len(b); {
			if left := h.PayloadLeftForTest(); left > 0 && rng.IntN(2) == 0 {
				n := min(1+rng.IntN(int(left)), len(b)-at)
				h.SkipForTest(n)
				at += n
			} else {
				n := min(1+rng.IntN(300), len(b)-at)
				h.FollowForTest(b[at : at+n])
				at += n
			}
			if got, want := of(h), naive(b[:at]); got != want {
				t.Fatalf("seed %d, after %d bytes: %+v, want %+v", seed, at, got, want)
			}
		}
	}
}

func TestSkipOutsideAPayloadDoesNothing(t *testing.T) {
	var blind relay.Half
	blind.SkipForTest(10)
	start := following()
	start.SkipForTest(10)
	header := following()
	header.FollowForTest([]byte{0x81})
	header.SkipForTest(10)
	if of(&blind) != (parsed{blind: true}) || of(start) != (parsed{}) || of(header) != (parsed{mid: true}) {
		t.Fatalf("%+v %+v %+v", of(&blind), of(start), of(header))
	}
}

func TestAMessageCountsWithItsLastByte(t *testing.T) {
	cases := []struct {
		name   string
		stream []byte
		whole  uint32 // messages of the whole stream; without its last byte one less
	}{
		{"text", frame(nil, 0x81, false, 0, 3), 1},
		{"masked", frame(nil, 0x82, true, 0, 3), 1},
		{"empty", frame(nil, 0x81, false, 0, 0), 1},
		{"empty, masked", frame(nil, 0x81, true, 0, 0), 1},
		{"empty, long form", frame(nil, 0x81, true, 2, 0), 1},
		{"16 bits", frame(nil, 0x81, false, 0, 126), 1},
		{"64 bits", frame(nil, 0x81, false, 0, 70_000), 1},
		{"fragments", frame(frame(nil, 0x01, false, 0, 3), 0x80, false, 0, 3), 1},
		{"a ping between fragments", frame(frame(frame(nil, 0x01, false, 0, 3), 0x89, false, 0, 3), 0x80, false, 0, 3), 1},
		{"compressed", frame(nil, 0xC1, false, 0, 3), 1},
	}
	for _, c := range cases {
		h := following()
		h.FollowForTest(c.stream[:len(c.stream)-1])
		if h.Messages != c.whole-1 || !h.MidFrame() {
			t.Errorf("%s, one byte short: %d messages, mid frame %v", c.name, h.Messages, h.MidFrame())
		}
		h.FollowForTest(c.stream[len(c.stream)-1:])
		if h.Messages != c.whole || h.MidFrame() {
			t.Errorf("%s: %d messages, mid frame %v", c.name, h.Messages, h.MidFrame())
		}
	}
}

func TestControlFramesAreNoMessages(t *testing.T) {
	for op := byte(8); op < 16; op++ {
		h := following()
		h.FollowForTest(frame(nil, 0x80|op, true, 0, 5))
		if h.Messages != 0 || h.MidFrame() {
			t.Errorf("opcode %d: %d messages, mid frame %v", op, h.Messages, h.MidFrame())
		}
	}
}

func TestLengthsOf64Bits(t *testing.T) {
	header := func(length uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{0x82, 127}, length)
	}
	for _, length := range []uint64{1, 1 << 16, 1 << 32, 1<<48 - 1, 1<<56 - 1} {
		h := following()
		h.FollowForTest(header(length))
		if got := of(h); got != (parsed{mid: true, left: length}) {
			t.Errorf("length %d: %+v", length, got)
		}
	}
	for _, length := range []uint64{1 << 56, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		h := following()
		h.FollowForTest(header(length))
		h.FollowForTest([]byte{0x81, 0}) // no message: nobody looks any more
		if got := of(h); got != (parsed{blind: true}) {
			t.Errorf("length %d: %+v, want blind", length, got)
		}
	}
}

func TestMessagesWrap(t *testing.T) {
	h := following()
	h.Messages = 1<<32 - 1
	h.FollowForTest([]byte{0x81, 0})
	if h.Messages != 0 {
		t.Fatalf("%d", h.Messages)
	}
}

// FuzzFrames compares with the naive parser, cut in three at arbitrary places.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 0x03, 'a', 'b', 'c', 0x89, 0x00}, uint16(1), uint16(4))
	f.Add([]byte{0x82, 0xFF, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(3), uint16(9))
	f.Add(frame(nil, 0x01, true, 2, 300), uint16(12), uint16(20))
	f.Fuzz(func(t *testing.T, b []byte, one, two uint16) {
		i := min(int(one), len(b))
		j := max(i, min(int(two), len(b)))
		h := following()
		for _, part := range [][]byte{b[:i], b[i:j], b[j:]} {
			h.FollowForTest(part)
		}
		if got, want := of(h), naive(b); got != want {
			t.Fatalf("%x cut at %d and %d: %+v, want %+v", b, i, j, got, want)
		}
	})
}

func BenchmarkFollowFrames(b *testing.B) {
	for _, c := range []struct {
		name   string
		length int
	}{{"64B", 64}, {"1KiB", 1 << 10}, {"64KiB", 64 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			stream := frame(nil, 0x82, true, 0, c.length)
			h := following()
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				h.FollowForTest(stream)
			}
		})
	}
}
