package frame_test

import (
	"bufio"
	"bytes"
	"io"
	"testing"

	"holdfast/bench/load/frame"
	"holdfast/test/wire"
)

// sizes stand at the borders of the header's forms.
var sizes = []int{0, 1, 7, 8, 125, 126, 127, 65535, 65536}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i*7)
	}
	return b
}

// conversation is what a client sends and what an echo must answer.
func conversation() (sent, answer []byte) {
	for _, n := range sizes {
		sent = append(sent, wire.ClientFrame(wire.OpBinary, payload(n))...)
		answer = append(answer, wire.ServerFrame(wire.OpBinary, payload(n))...)
		sent = append(sent, wire.ClientFrame(wire.OpPing, payload(n%125))...)
		answer = append(answer, wire.ServerFrame(wire.OpPong, payload(n%125))...)
		sent = append(sent, wire.ClientFrame(wire.OpPong, payload(n%125))...)
	}
	sent = append(sent, wire.ClientFrame(wire.OpClose, []byte{3, 232})...)
	answer = append(answer, wire.ServerFrame(wire.OpClose, []byte{3, 232})...)
	return append(sent, "behind the end"...), answer
}

func TestEchoAnswersWhateverThePieces(t *testing.T) {
	sent, want := conversation()
	for _, step := range []int{1, 2, 3, 5, 13, 14, 15, 64, 127, 4096, len(sent)} {
		var d frame.Decoder
		var got []byte
		buf := make([]byte, frame.HeaderBytesMax+step)
		closed := false
		for rest := sent; len(rest) > 0 && !closed; {
			n := copy(buf[frame.HeaderBytesMax:], rest)
			rest = rest[n:]
			answer, end, ok := d.Echo(buf[:frame.HeaderBytesMax+n], frame.HeaderBytesMax)
			if !ok {
				t.Fatalf("pieces of %d: refused", step)
			}
			got, closed = append(got, answer...), end
		}
		if !closed || !bytes.Equal(got, want) {
			t.Errorf("pieces of %d: closed %v, %d bytes answered, want %d", step, closed, len(got), len(want))
		}
	}
}

func TestEchoRefusesUnmaskedFrames(t *testing.T) {
	var d frame.Decoder
	b := append(make([]byte, frame.HeaderBytesMax), wire.ServerFrame(wire.OpText, []byte("x"))...)
	if _, _, ok := d.Echo(b, frame.HeaderBytesMax); ok {
		t.Error("an unmasked frame of a client was echoed")
	}
}

func TestCountSeesEveryByteWhateverThePieces(t *testing.T) {
	var sent []byte
	want := uint64(0)
	for _, n := range sizes {
		sent = append(sent, wire.ServerFrame(wire.OpBinary, payload(n))...)
		want += uint64(n)
	}
	for _, step := range []int{1, 2, 3, 9, 10, 11, 1000, len(sent)} {
		var d frame.Decoder
		var got uint64
		for at := 0; at < len(sent); at += step {
			n, ok := d.Count(sent[at:min(at+step, len(sent))], false)
			if got += n; !ok {
				t.Fatalf("pieces of %d: refused at %d", step, at)
			}
		}
		if got != want || d.Within() {
			t.Errorf("pieces of %d: %d bytes, want %d; within a frame: %v", step, got, want, d.Within())
		}
	}
}

func TestCountRefusesWhatIsNoData(t *testing.T) {
	for name, b := range map[string][]byte{
		"masked":  wire.ClientFrame(wire.OpBinary, []byte("x")),
		"ping":    wire.ServerFrame(wire.OpPing, nil),
		"garbage": []byte("HTTP/1.1 502"),
	} {
		var d frame.Decoder
		if _, ok := d.Count(b, false); ok {
			t.Errorf("%s was counted", name)
		}
	}
}

func TestStreamIsFramesOfOneSizeAndARest(t *testing.T) {
	cases := []struct{ payload, size uint64 }{
		{1, 1}, {1, 4096}, {4096, 4096}, {10_000, 4096}, {700_001, 4096}, {300_000, 125},
		{65536 * 5, 65536}, {65536*5 + 7, 65536}, {128<<10 + 1, 128 << 10}, {1 << 20, 1<<20 - 3}, {3<<20 + 1, 1 << 20},
	}
	for _, c := range cases {
		for _, masked := range []bool{false, true} {
			s := frame.NewStream(c.payload, c.size, masked)
			br := bufio.NewReader(bytes.NewReader(whole(t, s, 70_001)))
			var got uint64
			for {
				h, err := wire.ReadHeader(br)
				if err == io.EOF {
					break
				}
				want := min(c.size, c.payload-got)
				if err != nil || h.Length != want || h.Masked != masked || h.Op != wire.OpBinary || !h.Fin {
					t.Fatalf("%+v masked %v: header %+v behind %d bytes, error %v", c, masked, h, got, err)
				}
				if _, err := io.CopyN(io.Discard, br, int64(h.Length)); err != nil {
					t.Fatal(err)
				}
				got += h.Length
			}
			if got != c.payload {
				t.Errorf("%+v masked %v: %d bytes of payload", c, masked, got)
			}
		}
	}
}

func TestStreamWithoutFrames(t *testing.T) {
	s := frame.NewStream(300_001, 0, false)
	if n := len(whole(t, s, 4099)); n != 300_001 {
		t.Errorf("%d bytes", n)
	}
}

// whole takes a stream in steps of at most so many bytes, as partial writes do.
func whole(t *testing.T, s *frame.Stream, step int) []byte {
	t.Helper()
	var b []byte
	for uint64(len(b)) < s.Bytes() {
		piece := s.Piece(uint64(len(b)))
		if len(piece) == 0 {
			t.Fatalf("nothing at %d of %d", len(b), s.Bytes())
		}
		b = append(b, piece[:min(len(piece), step)]...)
	}
	if uint64(len(b)) != s.Bytes() {
		t.Fatalf("%d bytes, want %d", len(b), s.Bytes())
	}
	return b
}
