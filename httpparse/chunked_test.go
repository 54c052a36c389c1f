package httpparse_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"holdfast/httpparse"
)

// dechunk decodes in, handed over in the pieces that end at ends, and describes the
// body, how much of in was taken, and how it ended.
func dechunk(in []byte, ends ...int) string {
	var c httpparse.Chunked
	var body []byte
	taken, pos := 0, 0
	for _, end := range ends {
		piece := append([]byte(nil), in[pos:end]...)
		behind := append([]byte(nil), piece...)
		pos = end
		payload, consumed, done, err := c.Decode(piece)
		body = append(body, piece[:payload]...)
		taken += consumed
		switch {
		case payload > consumed || consumed > len(piece):
			return fmt.Sprintf("payload %d, consumed %d of %d", payload, consumed, len(piece))
		case !bytes.Equal(piece[consumed:], behind[consumed:]):
			return "bytes behind the body were touched"
		case err != httpparse.OK:
			return fmt.Sprintf("%q refused at %d: %v", body, taken, err)
		case done:
			return fmt.Sprintf("%q done at %d", body, taken)
		case consumed != len(piece):
			return fmt.Sprintf("consumed %d of %d", consumed, len(piece))
		}
	}
	return fmt.Sprintf("%q so far", body)
}

func checkChunkedEveryWay(t *testing.T, in, want string) {
	t.Helper()
	data := []byte(in)
	if got := dechunk(data, len(data)); got != want {
		t.Fatalf("whole:\n got %s\nwant %s", got, want)
	}
	for cut := 1; cut < len(data); cut++ {
		if cut > 40 && cut < len(data)-40 && cut%97 != 0 {
			continue // the long cases: every place near the ends, some in between
		}
		if got := dechunk(data, cut, len(data)); got != want {
			t.Fatalf("cut at %d:\n got %s\nwant %s", cut, got, want)
		}
	}
	if got := dechunk(data, upTo(len(data))...); got != want {
		t.Fatalf("byte by byte:\n got %s\nwant %s", got, want)
	}
	var c httpparse.Chunked
	c.Decode(atGuardPage(t, data))
}

func TestChunkedAccepted(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"9112-7.1 empty body", "0\r\n\r\n", `"" done at 5`},
		{"9112-7.1 one chunk", "5\r\nhello\r\n0\r\n\r\n", `"hello" done at 15`},
		{"9112-7.1 several chunks", "1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", `"abc" done at 19`},
		{"9112-7.1 hexadecimal in both cases", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
			`"01234567890123456789a" done at 36`},
		{"9112-7.1 leading zeros", "000000000000001\r\na\r\n0\r\n\r\n", `"a" done at 25`},
		{"9112-7.1 data that looks like chunks", "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", `"0\r\n\r\n\r\n" done at 17`},
		{"9112-7.1.1 extensions", "1;a;b=c;d=\"e;f\"\r\nx\r\n0;z\r\n\r\n", `"x" done at 27`},
		{"9112-7.1.1 whitespace around an extension", "1 \t; a = b \r\nx\r\n0\r\n\r\n", `"x" done at 21`},
		{"9112-7.1.1 padding behind the size", "1  \r\nx\r\n0 \r\n\r\n", `"x" done at 14`},
		{"9112-7.1.2 trailers are dropped", "0\r\nA: b\r\nContent-Length:\r\n\r\n", `"" done at 28`},
		{"9112-7.1 what follows is left", "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", `"a" done at 11`},
		{"9112-7.1 incomplete size", "1f", `"" so far`},
		{"9112-7.1 incomplete data", "5\r\nhel", `"hel" so far`},
		{"9112-7.1 incomplete end", "1\r\na\r\n0\r\n\r", `"a" so far`},
		{
			"9112-7.1.1 longest extension",
			"1;" + strings.Repeat("e", 1023) + "\r\na\r\n1;" + strings.Repeat("e", 1023) + "\r\nb\r\n0\r\n\r\n",
			`"ab" done at 2065`,
		},
		{
			"9112-7.1.2 longest trailers",
			"0\r\nA:" + strings.Repeat("b", 8188) + "\r\n\r\n",
			`"" done at 8197`,
		},
		{
			"9112-7.1.2 an extension does not count as a trailer",
			"0;" + strings.Repeat("e", 9) + "\r\nA:" + strings.Repeat("b", 8188) + "\r\n\r\n",
			`"" done at 8207`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkChunkedEveryWay(t, c.in, c.want) })
	}
}

func TestChunkedRefused(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"9112-7.1 no size", "\r\n", `"" refused at 0: malformed chunk size`},
		{"9112-7.1 whitespace before the size", " 1\r\na", `"" refused at 0: malformed chunk size`},
		{"9112-7.1 extension without a size", ";a\r\n", `"" refused at 0: malformed chunk size`},
		{"9112-7.1 sign", "-1\r\n", `"" refused at 0: malformed chunk size`},
		{"9112-7.1 0x", "0x1\r\na", `"" refused at 1: malformed chunk size`},
		{"9112-7.1 not hexadecimal", "1g\r\na", `"" refused at 1: malformed chunk size`},
		{"9112-7.1 sixteen digits", "0000000000000001\r\na", `"" refused at 15: malformed chunk size`},
		{"9112-7.1 bare LF behind the size", "1\na", `"" refused at 1: malformed chunk size`},
		{"9112-7.1 bare CR behind the size", "1\ra", `"" refused at 2: malformed chunk size`},
		{"9112-7.1 bare LF behind the last size", "0\n\n", `"" refused at 1: malformed chunk size`},
		{"9112-7.1 more data than the size", "1\r\nab\r\n", `"a" refused at 4: chunk data without final CRLF`},
		{"9112-7.1 bare LF behind the data", "1\r\na\n", `"a" refused at 4: chunk data without final CRLF`},
		{"9112-7.1 bare CR behind the data", "1\r\na\rx", `"a" refused at 5: chunk data without final CRLF`},
		{"9112-7.1.1 bare LF in an extension", "1;a\nb\r\nx", `"" refused at 3: malformed chunk extension`},
		{"9112-7.1.1 bare CR in an extension", "1;a\rb\r\nx", `"" refused at 4: malformed chunk size`},
		{"9112-7.1.1 NUL in an extension", "1;\x00\r\nx", `"" refused at 2: malformed chunk extension`},
		{"9112-7.1.1 no semicolon", "1 a\r\nx", `"" refused at 2: malformed chunk extension`},
		{"9112-7.1.1 size in two parts", "1 1\r\nx", `"" refused at 2: malformed chunk extension`},
		{"9112-7.1.1 extension too long", "1;" + strings.Repeat("e", 1024) + "\r\nx",
			`"" refused at 1025: malformed chunk extension`},
		{"9112-7.1.2 bare LF ends the body", "0\r\n\n", `"" refused at 3: malformed trailer section`},
		{"9112-7.1.2 bare CR ends the body", "0\r\n\rx", `"" refused at 4: malformed trailer section`},
		{"9112-7.1.2 bare LF behind a trailer", "0\r\nA: b\n\r\n", `"" refused at 7: malformed trailer section`},
		{"9112-7.1.2 trailer without a name", "0\r\n: b\r\n\r\n", `"" refused at 3: malformed trailer section`},
		{"9112-7.1.2 trailer without a colon", "0\r\nGET / HTTP/1.1\r\n", `"" refused at 6: malformed trailer section`},
		{"9112-7.1.2 folded trailer", "0\r\nA: b\r\n c\r\n", `"" refused at 9: malformed trailer section`},
		{"9112-7.1.2 NUL in a trailer", "0\r\nA: \x00\r\n", `"" refused at 6: malformed trailer section`},
		{"9112-7.1.2 trailers too long", "0\r\nA:" + strings.Repeat("b", 8192) + "\r\n\r\n",
			`"" refused at 8197: trailer section too long`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkChunkedEveryWay(t, c.in, c.want) })
	}
}

func TestChunkedAnswerIsFinal(t *testing.T) {
	for in, want := range map[string]httpparse.Error{"0\r\n\r\n": httpparse.OK, "x": httpparse.ErrChunkSize} {
		var c httpparse.Chunked
		c.Decode([]byte(in))
		payload, consumed, done, err := c.Decode([]byte("1\r\na\r\n"))
		if payload != 0 || consumed != 0 || done != (want == httpparse.OK) || err != want {
			t.Errorf("after %q: %d, %d, %v, %v", in, payload, consumed, done, err)
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
	if got, want := dechunk(coded, len(coded)), fmt.Sprintf("%q done at %d", body, len(coded)); got != want {
		t.Errorf("got %s", got)
	}
	if got := httpparse.AppendChunkHeader([]byte("kept"), 0xab10); string(got) != "keptab10\r\n" {
		t.Errorf("header %q", got)
	}
}
