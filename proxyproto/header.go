package proxyproto

import "net/netip"

// LengthMax is the largest header that is read, in bytes, as in nginx. Version 2 could
// announce 65,551 bytes; real ones are far below.
const LengthMax = 4096

// v1LengthMax bounds a header of version 1, its CRLF included (section 2.1).
const v1LengthMax = 107

// signature begins a header of version 2 (section 2.2).
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2Fixed is the length of a version 2 header before its addresses.
const v2Fixed = len(signature) + 4

// Header is what a header says. The zero value is one that says nothing.
type Header struct {
	// Source and Destination are the ends of the connection that the proxy accepted. They
	// are not valid where the header names none that TCP has: with LOCAL, UNKNOWN, UDP
	// and unix-domain addresses.
	Source, Destination netip.AddrPort
	// Version is 1 or 2.
	Version uint8
	// Local says that the proxy speaks for itself, as in a health check (LOCAL).
	Local bool
	// TLVs are the type-length-value vectors of version 2, well-formed and one behind the
	// other; empty for a LOCAL header. Parse copies them; the memory is the header's and
	// is used again by the next Parse.
	TLVs []byte
}

// reset empties h but for the memory of its vectors.
func (h *Header) reset() { *h = Header{TLVs: h.TLVs[:0]} }

// Status is how Parse ended.
type Status uint8

// Done and More are no errors; every status behind them is one for good: no byte that
// follows can mend it.
const (
	Done         Status = iota // the header is whole
	More                       // it is not, and nothing is wrong so far
	ErrSignature               // neither version's first bytes
	ErrLine                    // version 1: not the words of section 2.1
	ErrAddress                 // version 1: an address or port that is none of the family
	ErrLength                  // longer than allowed, or too short for its addresses
	ErrVersion                 // the signature of version 2 with another version
	ErrCommand                 // version 2: neither LOCAL nor PROXY
	ErrFamily                  // version 2: a family or transport that does not exist
	ErrVector                  // version 2: a vector that is cut short, or breaks its type's rules
	ErrChecksum                // version 2: the CRC32c is another
	statusCount
)

var statusTexts = [statusCount]string{
	"done", "incomplete", "no signature", "invalid line", "invalid address", "invalid length", "unknown version",
	"unknown command", "unknown address family", "invalid TLV", "checksum mismatch",
}

// String says in a few words what it is.
func (s Status) String() string {
	if s < statusCount {
		return statusTexts[s]
	}
	return "invalid"
}

// Parse reads the header that b begins with. With Done, n is its length and h what it
// says; with any other status n is 0 and h is of no use. It allocates nothing once
// h.TLVs has grown.
func Parse(b []byte, h *Header) (n int, s Status) {
	h.reset()
	switch {
	case len(b) == 0:
		return 0, More
	case b[0] == v1Start[0]:
		return parseV1(b, h)
	case b[0] == signature[0]:
		return parseV2(b, h)
	}
	return 0, ErrSignature
}

// begins reports whether b and start agree as far as both go, and whether b has all of
// start.
func begins(b []byte, start string) (agrees, whole bool) {
	k := min(len(b), len(start))
	return string(b[:k]) == start[:k], k == len(start)
}
