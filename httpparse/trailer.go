package httpparse

// KeepTrailers makes Decode keep the trailer section instead of dropping it. Call it
// before the first Decode.
func (c *Chunked) KeepTrailers() { c.keep = true }

// Kept is how many bytes of the trailer section the last Decode put behind the payload:
// they stand at buf[payload:payload+Kept()] and are whole or partial field lines with
// their CRLF, without the final empty line. The caller collects them, at most MaxTrailer
// bytes, and gives them to ParseFields when the body is done.
func (c *Chunked) Kept() int { return int(c.kept) }

// ParseFields reads a section of whole field lines (RFC 9112 section 7.1.2) into fields,
// under the rules of a head, and returns them with spans into buf. There are at most
// limit; 0 means DefaultMaxFields. Which of them may be believed is for the caller (RFC
// 9110 section 6.5.1). On an error, also for an empty line or one without an end, no
// field is returned.
func ParseFields(buf []byte, fields []Field, limit int) ([]Field, Error) {
	if limit <= 0 {
		limit = DefaultMaxFields
	}
	fields = fields[:0]
	var s scanner
	for int(s.line) < len(buf) {
		line, ok, err := s.nextLine(buf)
		switch {
		case err != OK:
			return fields[:0], err
		case !ok || line.Len() == 0:
			return fields[:0], ErrTrailer
		case len(fields) >= limit:
			return fields[:0], ErrTooManyFields
		}
		field, err := parseField(buf, line)
		if err != OK {
			return fields[:0], err
		}
		fields = append(fields, field)
	}
	return fields, OK
}
