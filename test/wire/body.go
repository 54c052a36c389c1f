package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Body streams the body that a head declares (RFC 9112 section 6.3): chunked, by
// Content-Length, or up to the end of the connection if it declares nothing. For a
// request without a body, and for a response that has none, do not call it.
func Body(br *bufio.Reader, h Head) io.Reader {
	if h.Chunked() {
		return &chunkedReader{br: br}
	}
	if n := h.ContentLength(); n >= 0 {
		return &exactReader{r: br, left: n}
	}
	return br
}

// exactReader is io.LimitedReader that takes an early end for the error it is.
type exactReader struct {
	r    io.Reader
	left int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		return n, fmt.Errorf("body lacks %d bytes: %w", e.left, io.ErrUnexpectedEOF)
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// chunkedReader decodes the chunked coding strictly (RFC 9112 section 7.1).
type chunkedReader struct {
	br   *bufio.Reader
	left uint64
	any  bool
	done bool
}

func (c *chunkedReader) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.next(); err != nil || c.done {
			return 0, eofIf(c.done, err)
		}
	}
	if uint64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.br.Read(p)
	c.left -= uint64(n)
	return n, noEOF(err)
}

func (c *chunkedReader) next() error {
	if c.any {
		if err := c.crlf(); err != nil {
			return err
		}
	}
	c.any = true
	line, err := c.br.ReadString('\n')
	if err != nil {
		return noEOF(err)
	}
	digits, _, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), ";")
	if c.left, err = strconv.ParseUint(strings.TrimSpace(digits), 16, 63); err != nil {
		return fmt.Errorf("chunk size line %q: %w", line, err)
	}
	if c.left > 0 {
		return nil
	}
	c.done = true
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return noEOF(err)
		}
		if line == "\r\n" {
			return nil
		}
	}
}

func (c *chunkedReader) crlf() error {
	var b [2]byte
	if _, err := io.ReadFull(c.br, b[:]); err != nil {
		return noEOF(err)
	}
	if string(b[:]) != "\r\n" {
		return errors.New("chunk does not end with CRLF")
	}
	return nil
}

func eofIf(done bool, err error) error {
	if err == nil && done {
		return io.EOF
	}
	return err
}

// AppendChunk appends b as one chunk; an empty b is the last chunk and the end of the
// body (RFC 9112 section 7.1).
func AppendChunk(dst, b []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(len(b)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, b...)
	return append(dst, "\r\n"...)
}
