package httpparse

import "strconv"

// Limits of the chunked coding. A chunk's size line and the trailers are dropped, so
// these bound only what a sender may make the proxy read for nothing.
const (
	maxChunkDigits    = 15   // hexadecimal digits: keeps a size within an int64
	maxChunkExtension = 1024 // bytes behind the size of one chunk
	MaxTrailer        = 8192 // bytes of all trailer lines
)

type chunkState uint8

const (
	chunkSize       chunkState = iota // before or within the digits
	chunkSpace                        // whitespace behind the digits
	chunkExtension                    // behind a ";"
	chunkSizeLF                       // LF of the size line
	chunkData                         // within chunk data
	chunkDataCR                       // CR behind the data
	chunkDataLF                       // LF behind the data
	trailerStart                      // first byte of a trailer line, or of the final one
	trailerName                       // within a trailer's name
	trailerValue                      // within a trailer's value
	trailerLF                         // LF of a trailer line
	chunkedFinalLF                    // LF of the final empty line
	chunkedFinished                   // the body is complete
)

// Chunked decodes the chunked transfer coding (RFC 9112 section 7.1). The zero value
// is ready for a body. It holds no pointer and no bytes of the body.
type Chunked struct {
	left    int64 // bytes of data left in this chunk; its size while the digits are read
	extra   int   // bytes of extension of this chunk, or of trailers
	digits  uint8
	state   chunkState
	refused Error
}

// Decode takes chunked-coded bytes from buf and leaves the bytes of the body they
// carry, payload many, at the start of buf. consumed is how many bytes of buf it took:
// all of them, unless the body ended or was refused. When done, buf[consumed:] is
// untouched and belongs to whatever follows the body; the bytes from payload to
// consumed are of no use any more. The state is kept between calls, however the bytes
// are cut.
//
// Extensions and trailers are checked, limited and dropped. Only CRLF ends a line.
// After done or an error, further calls consume nothing and repeat it.
func (c *Chunked) Decode(buf []byte) (payload, consumed int, done bool, err Error) {
	for consumed < len(buf) && c.state != chunkedFinished && c.refused == OK {
		if c.state != chunkData {
			if c.refused = c.step(buf[consumed]); c.refused == OK {
				consumed++
			}
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

// step takes one byte that is not chunk data.
func (c *Chunked) step(b byte) Error {
	switch c.state {
	case chunkSize, chunkSpace, chunkExtension:
		return c.sizeLine(b)
	case chunkSizeLF:
		return c.sizeLineEnd(b)
	case chunkDataCR:
		return c.expect(b, '\r', chunkDataLF, ErrChunkEnd)
	case chunkDataLF:
		c.digits, c.extra = 0, 0
		return c.expect(b, '\n', chunkSize, ErrChunkEnd)
	}
	return c.trailer(b)
}

// sizeLine takes a byte of chunk-size [ chunk-ext ] CR. Whitespace behind the size is
// accepted, since some senders pad it; anything behind that must be an extension.
func (c *Chunked) sizeLine(b byte) Error {
	if digit := unhex(b); c.state == chunkSize && digit >= 0 {
		if c.digits == maxChunkDigits {
			return ErrChunkSize
		}
		c.digits++
		c.left = c.left<<4 | int64(digit)
		return OK
	}
	if c.digits == 0 {
		return ErrChunkSize
	}
	if b == '\r' {
		c.state = chunkSizeLF
		return OK
	}
	switch {
	case c.state == chunkExtension:
		if classes[b]&classValue == 0 {
			return ErrChunkExtension
		}
	case b == ';':
		c.state = chunkExtension
	case isSpace(b):
		c.state = chunkSpace
	case c.state == chunkSize:
		return ErrChunkSize
	default:
		return ErrChunkExtension
	}
	if c.extra++; c.extra > maxChunkExtension {
		return ErrChunkExtension
	}
	return OK
}

func (c *Chunked) sizeLineEnd(b byte) Error {
	if c.left > 0 {
		return c.expect(b, '\n', chunkData, ErrChunkSize)
	}
	c.extra = 0
	return c.expect(b, '\n', trailerStart, ErrChunkSize)
}

// trailer takes a byte behind the last chunk: trailer lines, then the empty line.
func (c *Chunked) trailer(b byte) Error {
	if c.extra++; c.extra > MaxTrailer+len("\r\n") {
		return ErrTrailerTooLong
	}
	switch c.state {
	case trailerLF:
		return c.expect(b, '\n', trailerStart, ErrTrailer)
	case chunkedFinalLF:
		return c.expect(b, '\n', chunkedFinished, ErrTrailer)
	case trailerStart:
		if b == '\r' {
			c.state = chunkedFinalLF
			return OK
		}
		return c.trailerToken(b, trailerName)
	case trailerName:
		if b == ':' {
			c.state = trailerValue
			return OK
		}
		return c.trailerToken(b, trailerName)
	}
	if b == '\r' {
		c.state = trailerLF
		return OK
	}
	if classes[b]&classValue == 0 {
		return ErrTrailer
	}
	return OK
}

func (c *Chunked) trailerToken(b byte, next chunkState) Error {
	if classes[b]&classToken == 0 {
		return ErrTrailer
	}
	c.state = next
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
