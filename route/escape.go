package route

// Escape says how the values of variables are escaped in a log line: the escape=
// parameter of log_format.
type Escape uint8

// The values of log_format's escape= parameter.
const (
	EscapeDefault Escape = iota // \xXX for control characters, DEL, bytes above it, `"` and `\`
	EscapeJSON                  // as inside a JSON string
	EscapeNone                  // not at all
)

const upperHex = "0123456789ABCDEF"

// escapes reports whether c is not written as itself.
func (esc Escape) escapes(c byte) bool {
	switch esc {
	case EscapeDefault:
		return c < 0x20 || c >= 0x7f || c == '"' || c == '\\'
	case EscapeJSON:
		return c < 0x20 || c == '"' || c == '\\'
	}
	return false
}

// appendByte appends the escaped form of c, for which escapes is true.
func (esc Escape) appendByte(dst []byte, c byte) []byte {
	if esc == EscapeDefault {
		return append(dst, '\\', 'x', upperHex[c>>4], upperHex[c&15])
	}
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	}
	return append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
}

// escapeFrom escapes dst[at:]. Most values need nothing, so the first byte that does
// is looked for before anything is moved.
func (esc Escape) escapeFrom(dst []byte, at int, e *Env) []byte {
	for at < len(dst) && !esc.escapes(dst[at]) {
		at++
	}
	if at == len(dst) {
		return dst
	}
	raw := append(e.borrow(), dst[at:]...)
	dst = dst[:at]
	for _, c := range raw {
		if esc.escapes(c) {
			dst = esc.appendByte(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	e.giveBack(raw)
	return dst
}

// cleanFieldValue makes dst[at:] a valid field value by turning CR, LF, NUL and the
// other control characters into spaces (RFC 9110 section 5.5): a decoded path or a
// map's result must not be able to begin a field of its own.
func cleanFieldValue(dst []byte, at int) []byte {
	for i := at; i < len(dst); i++ {
		if c := dst[i]; c < 0x20 && c != '\t' || c == 0x7f {
			dst[i] = ' '
		}
	}
	return dst
}

// appendTarget is appendCleanURI for a request line, which has no fragment (RFC 9112
// section 3.2).
func appendTarget(dst, uri []byte) []byte {
	for _, c := range uri {
		if c <= ' ' || c == 0x7f || c == '#' {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// appendCleanURI appends uri with control characters and spaces percent-encoded, for
// the same reason. Everything else stays as it was rendered.
func appendCleanURI(dst, uri []byte) []byte {
	for _, c := range uri {
		if c <= ' ' || c == 0x7f {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
