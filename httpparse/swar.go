package httpparse

import "encoding/binary"

// Eight bytes at a time in one 64-bit word. Every function here is about the set of
// bytes of the word, so byte order does not matter; swar_test.go checks each byte
// value in each of the eight places.
const (
	everyByte = 0x0101010101010101
	everyHigh = 0x8080808080808080
)

// load8 is the word at b[0:8]; the compiler makes it one load.
func load8(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// load8String is load8 for a string.
func load8String(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// anyControl reports whether a byte of w is a control character: below 0x20, or 0x7f.
//
// A borrow of the subtraction can only reach a byte above one that is itself below
// 0x20 (or, for the second, equal to 0x7f), so a wrong mark never stands alone and
// the answer for the whole word is exact.
func anyControl(w uint64) bool {
	below := (w - everyByte*0x20) & ^w
	del := w ^ everyByte*0x7f
	isDel := (del - everyByte) & ^del
	return (below|isDel)&everyHigh != 0
}

// toLower8 is w with each byte 'A' to 'Z' in lower case and every other byte kept.
//
// The additions work on seven bits per byte and so never carry into the next one:
// the high bit becomes set where the byte is at least 'A', or above 'Z'. Shifted by
// two it is 0x20, the bit in which the cases differ.
func toLower8(w uint64) uint64 {
	low := w & ^uint64(everyHigh)
	atLeastA := low + everyByte*(0x80-'A')
	aboveZ := low + everyByte*(0x7f-'Z')
	upper := (atLeastA ^ aboveZ) & ^w & everyHigh
	return w | upper>>2
}

// hasControl reports whether b contains a control character other than HTAB
// (RFC 9110 section 5.5).
func hasControl(b []byte) bool {
	for len(b) >= 8 {
		if anyControl(load8(b)) && slowControl(b[:8]) {
			return true
		}
		b = b[8:]
	}
	return slowControl(b)
}

func slowControl(b []byte) bool {
	for _, c := range b {
		if classes[c]&classValue == 0 {
			return true
		}
	}
	return false
}
