package httpparse

import "bytes"

// MaxHead is the length in bytes at which a head without an end is refused even
// when the caller's buffers have no limit of their own. Offsets are 32 bits wide.
const MaxHead = 16 << 20

// phase is how far the parse of a head has come.
type phase uint8

const (
	phaseStart  phase = iota // before the end of the start line
	phaseFields              // within the field lines
	phaseDone                // the empty line was found
)

// scanner remembers between two calls of Parse where the current line begins and how
// far it was searched for its end, so that no byte is searched twice.
type scanner struct {
	line  uint32 // start of the current line
	next  uint32 // first byte not yet searched for LF
	phase phase
	blank uint8 // empty lines before the request line
	err   Error // what Parse answered once, it answers again
}

// nextLine is the current line if it is complete, without its CRLF. If it is, the
// scanner stands at the line after it; a line ended by a bare LF is ErrLineEnd.
func (s *scanner) nextLine(buf []byte) (line Span, ok bool, err Error) {
	if len(buf) < int(s.next) {
		return Span{}, false, OK
	}
	found := bytes.IndexByte(buf[s.next:], '\n')
	if found < 0 {
		if len(buf) > MaxHead {
			return Span{}, false, ErrHeadTooLarge
		}
		s.next = uint32(len(buf))
		return Span{}, false, OK
	}
	lf := int(s.next) + found
	if lf > MaxHead {
		return Span{}, false, ErrHeadTooLarge
	}
	line = Span{s.line, uint32(lf)}
	s.line, s.next = uint32(lf+1), uint32(lf+1)
	if line.Len() == 0 || buf[lf-1] != '\r' {
		return line, false, ErrLineEnd
	}
	line.End--
	return line, true, OK
}

// fieldLines reads field lines up to and including the empty line.
func (s *scanner) fieldLines(buf []byte, fields *[]Field, limit int) (done bool, err Error) {
	if limit <= 0 {
		limit = DefaultMaxFields
	}
	for {
		line, ok, err := s.nextLine(buf)
		if !ok {
			return false, err
		}
		if line.Len() == 0 {
			return true, OK
		}
		if len(*fields) >= limit {
			return false, ErrTooManyFields
		}
		field, err := parseField(buf, line)
		if err != OK {
			return false, err
		}
		*fields = append(*fields, field)
	}
}

// parseField reads one field line (RFC 9112 section 5): name ":" OWS value OWS.
func parseField(buf []byte, line Span) (Field, Error) {
	text := line.Of(buf)
	colon := 0
	for colon < len(text) && classes[text[colon]]&classToken != 0 {
		colon++
	}
	if colon == len(text) || text[colon] != ':' || colon == 0 {
		return Field{}, fieldNameError(text, colon)
	}
	start, end := colon+1, len(text)
	for start < end && isSpace(text[start]) {
		start++
	}
	for start < end && isSpace(text[end-1]) {
		end--
	}
	if hasControl(text[start:end]) {
		return Field{}, ErrFieldValue
	}
	return Field{
		Name:  Span{line.Start, line.Start + uint32(colon)},
		Value: Span{line.Start + uint32(start), line.Start + uint32(end)},
		ID:    FieldIDOf(text[:colon]),
	}, OK
}

// fieldNameError says what is wrong with a line whose name ends at bad.
func fieldNameError(text []byte, bad int) Error {
	if bad == len(text) || !isSpace(text[bad]) {
		return ErrFieldName
	}
	if bad == 0 {
		return ErrFieldFold
	}
	return ErrFieldSpace
}

// parseVersion reads HTTP-version (RFC 9112 section 2.3). A minor version above 1 is
// taken as 1, the highest that is known (RFC 9110 section 2.5).
func parseVersion(text []byte) (minor uint8, err Error) {
	if len(text) != len("HTTP/1.1") || string(text[:5]) != "HTTP/" || text[6] != '.' {
		return 0, ErrVersion
	}
	major, minor := text[5]-'0', text[7]-'0'
	if major > 9 || minor > 9 {
		return 0, ErrVersion
	}
	if major != 1 {
		return 0, ErrVersionUnsupported
	}
	return min(minor, 1), OK
}
