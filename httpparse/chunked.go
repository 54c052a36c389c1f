package httpparse

import "strconv"

// Limits of the chunked coding. They bound what a sender may make the proxy read, or
// keep, beside the body.
const (
	maxChunkDigits    = 15   // hexadecimal digits: keeps a size within an int64
	maxChunkExtension = 1024 // bytes behind the size of one chunk
	MaxTrailer        = 8192 // bytes of all trailer lines, their CRLF counted
)

type chunkState uint8

const (
	chunkSize           chunkState = iota // before or within the digits
	chunkSpace                            // whitespace behind the digits or an extension
	extensionNameStart                    // behind a ";"
	extensionName                         // within an extension's name
	extensionNameEnd                      // whitespace behind a name
	extensionValueStart                   // behind a "="
	extensionValue                        // within a value that is a token
	extensionQuoted                       // within a quoted string
	extensionEscape                       // behind a backslash in one
	chunkSizeLF                           // LF of the size line
	chunkData                             // within chunk data
	chunkDataCR                           // CR behind the data
	chunkDataLF                           // LF behind the data
	trailerStart                          // first byte of a trailer line, or of the final one
	trailerName                           // within a trailer's name
	trailerValue                          // within a trailer's value
	trailerLF                             // LF of a trailer line
	chunkedFinalLF                        // LF of the final empty line
	chunkedFinished                       // the body is complete
)

// Chunked decodes the chunked transfer coding (RFC 9112 section 7.1). The zero value
// is ready for a body and drops its trailers. It holds no pointer and no bytes of the
// body.
type Chunked struct {
	left    int64 // bytes of data left in this chunk; its size while the digits are read
	extra   int32 // bytes of extension of this chunk, or of trailers
	kept    int32 // bytes of trailers that the last Decode kept
	digits  uint8
	state   chunkState
	refused Error
	keep    bool
}

// Decode takes chunked-coded bytes from buf and leaves the bytes of the body they
// carry, payload many, at the start of buf. consumed is how many bytes of buf it took:
// all of them, unless the body ended or was refused. When done, buf[consumed:] is
// untouched and belongs to whatever follows the body; the bytes from payload to
// consumed are of no use any more, but for those that Kept counts. The state is kept
// between calls, however the bytes are cut.
//
// Extensions are checked against their grammar, limited and dropped; trailers too,
// unless KeepTrailers was called. Only CRLF ends a line, also within quotes. Whitespace
// at the end of a size line is accepted, since some senders pad it. Stricter than RFC
// 9112: a size has at most 15 digits, leading zeros counted, and trailers are not
// unfolded. After done or an error, further calls consume nothing and repeat it.
func (c *Chunked) Decode(buf []byte) (payload, consumed int, done bool, err Error) {
	c.kept = 0
	for consumed < len(buf) && c.state != chunkedFinished && c.refused == OK {
		if c.state != chunkData {
			if c.refused = c.step(buf[consumed]); c.refused != OK {
				break
			}
			if c.keep && c.inTrailer() {
				buf[payload+int(c.kept)] = buf[consumed]
				c.kept++
			}
			consumed++
			continue
		}
		n := int(min(c.left, int64(len(buf)-consumed)))
		if payload != consumed {
			copy(buf[payload:], buf[consumed:consumed+n])
		}
		payload += n
		consumed += n
		if c.left -= int64(n); c.left == 0 {
			c.state = chunkDataCR
		}
	}
	return payload, consumed, c.state == chunkedFinished, c.refused
}

// Left is how many bytes of data of the present chunk have yet to come, as far as its
// size is known: a limit can refuse a body before they do.
func (c *Chunked) Left() int64 { return c.left }

// step takes one byte that is not chunk data.
func (c *Chunked) step(b byte) Error {
	switch c.state {
	case chunkSizeLF:
		return c.sizeLineEnd(b)
	case chunkDataCR:
		return c.expect(b, '\r', chunkDataLF, ErrChunkEnd)
	case chunkDataLF:
		c.digits, c.extra = 0, 0
		return c.expect(b, '\n', chunkSize, ErrChunkEnd)
	}
	if c.state < chunkSizeLF {
		return c.sizeLine(b)
	}
	return c.trailer(b)
}

// sizeLine takes a byte of chunk-size [ chunk-ext ] CR.
func (c *Chunked) sizeLine(b byte) Error {
	if c.state == chunkSize {
		if digit := unhex(b); digit >= 0 {
			if c.digits == maxChunkDigits {
				return ErrChunkSize
			}
			c.digits++
			c.left = c.left<<4 | int64(digit)
			return OK
		}
		if c.digits == 0 || b != '\r' && b != ';' && !isSpace(b) {
			return ErrChunkSize
		}
	}
	next, ok := c.state.extended(b)
	if c.extra++; !ok || next != chunkSizeLF && c.extra > maxChunkExtension {
		return ErrChunkExtension
	}
	c.state = next
	return OK
}

// extended is the state behind one more byte of *( BWS ";" BWS chunk-ext-name [ BWS "="
// BWS chunk-ext-val ] ) CR (RFC 9112 section 7.1.1); ok is false if b has no place there.
func (s chunkState) extended(b byte) (next chunkState, ok bool) {
	switch {
	case s == extensionEscape:
		return extensionQuoted, classes[b]&classValue != 0
	case s == extensionQuoted && b == '\\':
		return extensionEscape, true
	case s == extensionQuoted && b == '"':
		return chunkSpace, true
	case s == extensionQuoted:
		return s, classes[b]&classValue != 0
	case classes[b]&classToken != 0:
		if s == extensionNameStart || s == extensionName {
			return extensionName, true
		}
		return extensionValue, s == extensionValueStart || s == extensionValue
	}
	started := s == extensionNameStart || s == extensionValueStart
	switch b {
	case ' ', '\t':
		switch {
		case started || s == extensionNameEnd:
			return s, true
		case s == extensionName:
			return extensionNameEnd, true
		}
		return chunkSpace, true
	case ';':
		return extensionNameStart, !started
	case '\r':
		return chunkSizeLF, !started
	case '=':
		return extensionValueStart, s == extensionName || s == extensionNameEnd
	case '"':
		return extensionQuoted, s == extensionValueStart
	}
	return s, false
}

func (c *Chunked) sizeLineEnd(b byte) Error {
	if c.left > 0 {
		return c.expect(b, '\n', chunkData, ErrChunkSize)
	}
	c.extra = 0
	return c.expect(b, '\n', trailerStart, ErrChunkSize)
}

// inTrailer reports whether the byte that led to this state belongs to a trailer line.
func (c *Chunked) inTrailer() bool {
	return c.state >= trailerName && c.state <= trailerLF || c.state == trailerStart && c.extra > 0
}

// trailer takes a byte behind the last chunk: trailer lines, then the empty line.
func (c *Chunked) trailer(b byte) Error {
	switch {
	case c.state == chunkedFinalLF:
		return c.expect(b, '\n', chunkedFinished, ErrTrailer)
	case c.state == trailerStart && b == '\r':
		c.state = chunkedFinalLF
		return OK
	case c.extra == MaxTrailer:
		return ErrTrailerTooLong
	}
	c.extra++
	switch {
	case c.state == trailerLF:
		return c.expect(b, '\n', trailerStart, ErrTrailer)
	case c.state == trailerName && b == ':':
		c.state = trailerValue
		return OK
	case c.state == trailerStart || c.state == trailerName:
		return c.trailerToken(b)
	case b == '\r':
		c.state = trailerLF
		return OK
	case classes[b]&classValue == 0:
		return ErrTrailer
	}
	return OK
}

func (c *Chunked) trailerToken(b byte) Error {
	if classes[b]&classToken == 0 {
		return ErrTrailer
	}
	c.state = trailerName
	return OK
}

// expect moves on to next if b is want.
func (c *Chunked) expect(b, want byte, next chunkState, otherwise Error) Error {
	if b != want {
		return otherwise
	}
	c.state = next
	return OK
}

// LastChunk ends a chunked body without trailers.
const LastChunk = "0\r\n\r\n"

// AppendChunkHeader appends the size line of a chunk of n bytes, n > 0. The data and
// CRLF follow it; LastChunk follows the last of them.
func AppendChunkHeader(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, '\r', '\n')
}
