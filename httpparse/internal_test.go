package httpparse

import (
	"encoding/binary"
	"testing"
)

// TestSwarEveryByteInEveryPlace puts each pair of bytes into each pair of
// neighbouring places, since a borrow or carry could only come from the neighbour.
func TestSwarEveryByteInEveryPlace(t *testing.T) {
	control := func(c byte) bool { return c < 0x20 || c == 0x7f }
	for place := range 8 {
		for a := range 256 {
			for b := range 256 {
				text := []byte("zZzZzZzZ")
				text[place] = byte(a)
				if place < 7 {
					text[place+1] = byte(b)
				}
				w := binary.LittleEndian.Uint64(text)
				want := control(byte(a)) || place < 7 && control(byte(b))
				if anyControl(w) != want {
					t.Fatalf("anyControl(%q) is not %v", text, want)
				}
				for i := range text {
					text[i] = lowerByte(text[i])
				}
				if toLower8(w) != binary.LittleEndian.Uint64(text) {
					t.Fatalf("toLower8(%x) is not %q", w, text)
				}
			}
		}
	}
}

func TestHasControlEveryLength(t *testing.T) {
	for n := range 40 {
		text := make([]byte, n)
		for i := range text {
			text[i] = "a\t \xff"[i%4]
		}
		if hasControl(text) {
			t.Fatalf("control character found in %q", text)
		}
		for i := range text {
			was := text[i]
			for _, c := range []byte{0, 0x1f, '\r', '\n', 0x7f} {
				if text[i] = c; !hasControl(text) {
					t.Fatalf("no control character found in %q", text)
				}
			}
			text[i] = was
		}
	}
}

func TestLoadsAgree(t *testing.T) {
	const text = "01234567"
	if load8([]byte(text)) != load8String(text) {
		t.Error("bytes and string give different words")
	}
}

// TestNothingIsSearchedTwice is what keeps a head that trickles in linear.
func TestNothingIsSearchedTwice(t *testing.T) {
	var r Request
	in := []byte("GET / HTTP/1.1\r\nA: bcd\r\nE: f")
	for end := range len(in) + 1 {
		if done, err := r.Parse(in[:end]); done || err != OK {
			t.Fatalf("at %d: done %v, %v", end, done, err)
		}
		if int(r.scan.next) != end {
			t.Fatalf("at %d: the search goes on at %d", end, r.scan.next)
		}
	}
}
