package httpparse

// KeepTrailers makes Decode keep the trailer section instead of dropping it. Call it
// before the first Decode.
func (c *Chunked) KeepTrailers() {}

// Kept is how many bytes of the trailer section the last Decode put behind the payload:
// they stand at buf[payload:payload+Kept()] and are whole or partial field lines with
// their CRLF, without the final empty line. The caller collects them, at most MaxTrailer
// bytes, and gives them to ParseFields when the body is done.
func (c *Chunked) Kept() int { return 0 }

// ParseFields reads a section of whole field lines (RFC 9112 section 7.1.2) into fields,
// under the rules of a head, and returns them with spans into buf. There are at most
// limit; 0 means DefaultMaxFields.
func ParseFields(buf []byte, fields []Field, limit int) ([]Field, Error) { return fields[:0], OK }
