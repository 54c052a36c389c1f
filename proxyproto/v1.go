package proxyproto

import (
	"bytes"
	"net/netip"
)

const v1Start = "PROXY "

// parseV1 reads "PROXY TCP4 source destination sourceport destinationport" CRLF, with one
// space between the words, or "PROXY UNKNOWN", behind which anything may stand
// (section 2.1).
func parseV1(b []byte, h *Header) (int, Status) {
	agrees, whole := begins(b, v1Start)
	switch {
	case !agrees:
		return 0, ErrSignature
	case !whole:
		return 0, More
	}
	line := b[:min(len(b), v1LengthMax)]
	end, feed := bytes.IndexByte(line, '\r'), bytes.IndexByte(line, '\n')
	switch {
	case feed >= 0 && feed != end+1, end >= 0 && end+1 < len(b) && b[end+1] != '\n':
		return 0, ErrLine
	case end < 0 && len(b) >= v1LengthMax-1, end == v1LengthMax-1:
		return 0, ErrLength
	case feed < 0:
		return 0, v1Begun(b)
	}
	s := parseV1Line(b[len(v1Start):end], h)
	if s != Done {
		return 0, s
	}
	h.Version = 1
	return end + 2, Done
}

// v1Begun judges the second word of a line that has no end yet, so that garbage behind
// the first is not waited for.
func v1Begun(b []byte) Status {
	b = b[len(v1Start):]
	for _, word := range [...]string{"TCP4 ", "TCP6 ", "UNKNOWN"} {
		if agrees, _ := begins(b, word); agrees {
			return More
		}
	}
	return ErrLine
}

func parseV1Line(line []byte, h *Header) Status {
	if agrees, whole := begins(line, "UNKNOWN"); agrees && whole {
		if rest := line[len("UNKNOWN"):]; len(rest) > 0 && rest[0] != ' ' {
			return ErrLine
		}
		return Done
	}
	parse := parse4
	family, line, _ := cutSpace(line)
	switch string(family) {
	case "TCP4":
	case "TCP6":
		parse = parse6
	default:
		return ErrLine
	}
	source, line, ok1 := cutSpace(line)
	destination, line, ok2 := cutSpace(line)
	sourcePort, destinationPort, ok3 := cutSpace(line)
	if !ok1 || !ok2 || !ok3 || bytes.IndexByte(destinationPort, ' ') >= 0 {
		return ErrLine
	}
	from, ok1 := parse(source)
	to, ok2 := parse(destination)
	fromPort, ok3 := ParsePort(sourcePort)
	toPort, ok4 := ParsePort(destinationPort)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return ErrAddress
	}
	h.Source, h.Destination = netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)
	return Done
}

func cutSpace(b []byte) (before, after []byte, found bool) {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

// ParsePort reads 0 to 65535 without leading zeros.
func ParsePort(b []byte) (uint16, bool) {
	n, ok := decimal(b, 5)
	return uint16(n), ok && n <= 65535
}

// decimal reads a number of at most digits digits, without sign or leading zeros.
func decimal(b []byte, digits int) (n int, ok bool) {
	if len(b) == 0 || len(b) > digits || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// ParseAddr reads an IPv4 address in its dotted form, or an IPv6 one in any of its text
// forms (RFC 4291 section 2.2), without a zone. netip's parsers want a string, which they
// keep in their errors, so that each address would be an allocation.
func ParseAddr(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		return parse6(b)
	}
	return parse4(b)
}

// parse4 reads an IPv4 address.
func parse4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	for i := range a {
		part := b
		if i < 3 {
			dot := bytes.IndexByte(b, '.')
			if dot < 0 {
				return netip.Addr{}, false
			}
			part, b = b[:dot], b[dot+1:]
		}
		n, ok := decimal(part, 3)
		if !ok || n > 255 {
			return netip.Addr{}, false
		}
		a[i] = byte(n)
	}
	return netip.AddrFrom4(a), true
}

// parse6 reads an IPv6 address.
func parse6(b []byte) (netip.Addr, bool) {
	var a [16]byte
	n, gap := 0, -1
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		if n == len(a) {
			return netip.Addr{}, false
		}
		group, size := hexGroup(b)
		if size < len(b) && b[size] == '.' { // the last four bytes as IPv4
			v4, ok := parse4(b)
			if !ok || n > len(a)-4 {
				return netip.Addr{}, false
			}
			four := v4.As4()
			n += copy(a[n:], four[:])
			break
		}
		if size == 0 {
			return netip.Addr{}, false
		}
		a[n], a[n+1] = byte(group>>8), byte(group)
		n, b = n+2, b[size:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return netip.Addr{}, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return netip.Addr{}, false
			}
			gap, b = n, b[1:]
		}
	}
	if gap < 0 && n < len(a) || gap >= 0 && n == len(a) {
		return netip.Addr{}, false
	}
	if gap >= 0 {
		moved := copy(a[len(a)-(n-gap):], a[gap:n])
		clear(a[gap : len(a)-moved])
	}
	return netip.AddrFrom16(a), true
}

// hexGroup reads up to four hexadecimal digits.
func hexGroup(b []byte) (value uint16, size int) {
	for size < min(len(b), 4) {
		c := b[size]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return value, size
		}
		value = value<<4 | uint16(c)
		size++
	}
	return value, size
}
