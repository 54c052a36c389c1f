package httpparse_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"holdfast/httpparse"
)

// decoded is what a chunked body came to.
type decoded struct {
	body, trailers []byte
	taken          int
	done           bool
	err            httpparse.Error
	fault          string // a promise that Decode broke
}

// dechunk decodes in, handed over in the pieces that end at ends.
func dechunk(in []byte, keep bool, ends ...int) (d decoded) {
	var c httpparse.Chunked
	if keep {
		c.KeepTrailers()
	}
	pos := 0
	for _, end := range ends {
		d.take(&c, append([]byte(nil), in[pos:end]...))
		pos = end
		if d.done || d.err != httpparse.OK || d.fault != "" {
			break
		}
	}
	return d
}

// take decodes one piece.
func (d *decoded) take(c *httpparse.Chunked, piece []byte) {
	behind := append([]byte(nil), piece...)
	payload, consumed, done, err := c.Decode(piece)
	kept := c.Kept()
	if payload+kept > consumed || consumed > len(piece) || kept < 0 {
		d.fault = fmt.Sprintf("payload %d, kept %d, consumed %d of %d", payload, kept, consumed, len(piece))
		return
	}
	d.body = append(d.body, piece[:payload]...)
	d.trailers = append(d.trailers, piece[payload:payload+kept]...)
	d.taken += consumed
	d.done, d.err = done, err
	switch {
	case !bytes.Equal(piece[consumed:], behind[consumed:]):
		d.fault = "bytes behind the body were touched"
	case !done && err == httpparse.OK && consumed != len(piece):
		d.fault = fmt.Sprintf("consumed %d of %d", consumed, len(piece))
	case len(d.trailers) > httpparse.MaxTrailer:
		d.fault = fmt.Sprintf("%d bytes of trailers", len(d.trailers))
	}
}

func (d decoded) equal(other decoded) bool {
	return bytes.Equal(d.body, other.body) && bytes.Equal(d.trailers, other.trailers) && d.taken == other.taken &&
		d.done == other.done && d.err == other.err && d.fault == other.fault
}

// String describes a body; the trailers that were kept are read as fields.
func (d decoded) String() string {
	if d.fault != "" {
		return "broken promise: " + d.fault
	}
	var b strings.Builder
	fmt.Fprintf(&b, "body %q\n", d.body)
	switch {
	case d.err != httpparse.OK:
		fmt.Fprintf(&b, "taken %d bytes\n%s", d.taken, verdict(d.err))
	case d.done:
		fields, err := httpparse.ParseFields(d.trailers, nil, httpparse.MaxTrailer)
		if err != httpparse.OK {
			return "the trailers are no fields: " + err.String()
		}
		writeFields(&b, d.trailers, fields)
		fmt.Fprintf(&b, "taken %d bytes\naccepted\n", d.taken)
	default:
		fmt.Fprintf(&b, "taken %d bytes\n%s", d.taken, incomplete)
	}
	return b.String()
}

// chunkedEveryWay decodes in whole, cut in two at every place, byte by byte, and flush
// against a page that must not be touched, with and without its trailers, and wants the
// same outcome each time.
func chunkedEveryWay(t *testing.T, in string) (outcome string) {
	t.Helper()
	data := []byte(in)
	whole := dechunk(data, true, len(data))
	outcome = whole.String()
	dropping := whole
	dropping.trailers = nil
	check := func(way string, got, want decoded) {
		t.Helper()
		if !got.equal(want) {
			t.Fatalf("%s:\n%swhole, trailers kept:\n%s", way, got, outcome)
		}
	}
	check("trailers dropped", dechunk(data, false, len(data)), dropping)
	for _, cut := range cuts(len(data)) {
		check(fmt.Sprintf("cut at %d", cut), dechunk(data, true, cut, len(data)), whole)
		if len(data) < 4096 {
			check(fmt.Sprintf("trailers dropped, cut at %d", cut), dechunk(data, false, cut, len(data)), dropping)
		}
	}
	check("byte by byte", dechunk(data, true, upTo(len(data))...), whole)
	var c httpparse.Chunked
	var guarded decoded
	c.KeepTrailers()
	guarded.take(&c, atGuardPage(t, data))
	check("at the guard page", guarded, whole)
	return outcome
}

func TestChunkedAnswerIsFinal(t *testing.T) {
	for in, want := range map[string]httpparse.Error{"0\r\nA: b\r\n\r\n": httpparse.OK, "x": httpparse.ErrChunkSize} {
		var c httpparse.Chunked
		c.KeepTrailers()
		c.Decode([]byte(in))
		payload, consumed, done, err := c.Decode([]byte("1\r\na\r\n"))
		if payload != 0 || consumed != 0 || c.Kept() != 0 || done != (want == httpparse.OK) || err != want {
			t.Errorf("after %q: %d, %d, %d, %v, %v", in, payload, consumed, c.Kept(), done, err)
		}
	}
}

func TestChunkHeaderRoundTrip(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1000)
	var coded []byte
	for i, size := 0, 1; i < len(body); i, size = i+size, size*3 {
		size = min(size, len(body)-i)
		coded = httpparse.AppendChunkHeader(coded, size)
		coded = append(append(coded, body[i:i+size]...), "\r\n"...)
	}
	coded = append(coded, httpparse.LastChunk...)
	if d := dechunk(coded, false, len(coded)); string(d.body) != body || !d.done || d.taken != len(coded) {
		t.Errorf("got %s", d)
	}
	if got := httpparse.AppendChunkHeader([]byte("kept"), 0xab10); string(got) != "keptab10\r\n" {
		t.Errorf("header %q", got)
	}
}

func TestParseFields(t *testing.T) {
	cases := []struct {
		name, in string
		limit    int
		want     string
	}{
		{"9112-7.1.2 none", "", 0, ""},
		{"9112-7.1.2 two", "A: b \r\nC:\r\n", 2, "A: b\nC:\n"},
		{"9112-7.1.2 too many", "A: b\r\nC:\r\n", 1, "too many header fields"},
		{"9112-7.1.2 no end", "A: b\r\nC:", 0, "malformed trailer section"},
		{"9112-7.1.2 final empty line", "A: b\r\n\r\n", 0, "malformed trailer section"},
		{"9112-2.2 bare LF", "A: b\n", 0, "line ends without CR"},
		{"9112-5.2 folded", "A: b\r\n c\r\n", 0, "folded field line"},
		{"9112-5.1 space before the colon", "A : b\r\n", 0, "whitespace between field name and colon"},
		{"9110-5.5 NUL", "A: \x00\r\n", 0, "control character in a field value"},
		{"more than the default", strings.Repeat("A:\r\n", httpparse.DefaultMaxFields+1), 0, "too many header fields"},
	}
	for _, c := range cases {
		buf := atGuardPage(t, []byte(c.in))
		fields, err := httpparse.ParseFields(buf, make([]httpparse.Field, 3), c.limit)
		var got strings.Builder
		if writeFields(&got, buf, fields); err != httpparse.OK {
			got.WriteString(err.String())
		}
		if got.String() != c.want {
			t.Errorf("%s: %q", c.name, got.String())
		}
	}
}
