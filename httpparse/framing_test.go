package httpparse_test

import (
	"testing"

	"holdfast/httpparse"
)

func TestRequestFraming(t *testing.T) {
	none := httpparse.Framing{}
	cases := []struct {
		name, version, fields string
		want                  httpparse.Framing
		err                   httpparse.Error
		status                int
	}{
		{"9112-6.3 neither field", "1.1", "", none, httpparse.OK, 0},
		{"9112-6.3 length", "1.1", "Content-Length: 12\r\n",
			httpparse.Framing{Kind: httpparse.BodyLength, Length: 12}, httpparse.OK, 0},
		{"9112-6.3 length 0", "1.1", "Content-Length: 0\r\n",
			httpparse.Framing{Kind: httpparse.BodyLength}, httpparse.OK, 0},
		{"9112-6.3 length in 1.0", "1.0", "content-length: 7\r\n",
			httpparse.Framing{Kind: httpparse.BodyLength, Length: 7}, httpparse.OK, 0},
		{"9112-6.3 longest length", "1.1", "Content-Length: 999999999999999999\r\n",
			httpparse.Framing{Kind: httpparse.BodyLength, Length: 999999999999999999}, httpparse.OK, 0},
		{"9112-6.3 chunked", "1.1", "Transfer-Encoding: ChunKed\r\n",
			httpparse.Framing{Kind: httpparse.BodyChunked}, httpparse.OK, 0},
		{"9112-6.1 both", "1.1", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
			none, httpparse.ErrLengthAndCoding, 400},
		{"9112-6.1 both, length 0", "1.1", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
			none, httpparse.ErrLengthAndCoding, 400},
		{"9112-6.1 coding in 1.0", "1.0", "Transfer-Encoding: chunked\r\n", none, httpparse.ErrCodingVersion, 400},
		{"9112-6.1 unknown coding", "1.1", "Transfer-Encoding: gzip\r\n", none, httpparse.ErrCodingUnknown, 501},
		{"9112-6.1 unknown before chunked", "1.1", "Transfer-Encoding: gzip, chunked\r\n",
			none, httpparse.ErrCodingUnknown, 501},
		{"9112-6.1 unknown after chunked", "1.1", "Transfer-Encoding: chunked, identity\r\n",
			none, httpparse.ErrCodingUnknown, 501},
		{"9112-6.1 chunked with a parameter", "1.1", "Transfer-Encoding: chunked;a=b\r\n",
			none, httpparse.ErrCodingUnknown, 501},
		{"9112-6.1 chunked in quotes", "1.1", "Transfer-Encoding: \"chunked\"\r\n",
			none, httpparse.ErrCodingUnknown, 501},
		{"9112-6.1 xchunked", "1.1", "Transfer-Encoding: xchunked\r\n", none, httpparse.ErrCodingUnknown, 501},
		{"9112-6.3 chunked twice", "1.1", "Transfer-Encoding: chunked, chunked\r\n",
			none, httpparse.ErrCoding, 400},
		{"9112-6.3 chunked in two fields", "1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
			none, httpparse.ErrCoding, 400},
		{"9112-6.3 chunked and an empty element", "1.1", "Transfer-Encoding: chunked,\r\n",
			none, httpparse.ErrCoding, 400},
		{"9112-6.3 empty coding", "1.1", "Transfer-Encoding:\r\n", none, httpparse.ErrCoding, 400},
		{"9112-6.3 two equal lengths", "1.1", "Content-Length: 3\r\nContent-Length: 3\r\n",
			none, httpparse.ErrLengthRepeated, 400},
		{"9112-6.3 two different lengths", "1.1", "Content-Length: 3\r\nContent-Length: 4\r\n",
			none, httpparse.ErrLengthRepeated, 400},
		{"9112-6.3 list of equal lengths", "1.1", "Content-Length: 3, 3\r\n", none, httpparse.ErrLength, 400},
		{"9112-6.3 empty length", "1.1", "Content-Length:\r\n", none, httpparse.ErrLength, 400},
		{"9112-6.3 plus sign", "1.1", "Content-Length: +3\r\n", none, httpparse.ErrLength, 400},
		{"9112-6.3 minus sign", "1.1", "Content-Length: -3\r\n", none, httpparse.ErrLength, 400},
		{"9112-6.3 space inside", "1.1", "Content-Length: 1 2\r\n", none, httpparse.ErrLength, 400},
		{"9112-6.3 hexadecimal", "1.1", "Content-Length: 0x3\r\n", none, httpparse.ErrLength, 400},
		{"9112-6.3 nineteen digits", "1.1", "Content-Length: 1000000000000000000\r\n", none, httpparse.ErrLength, 400},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, buf := parsedRequest(t, "POST / HTTP/"+c.version+"\r\nHost: a\r\n"+c.fields+"\r\n")
			got, err := r.Framing(buf)
			if got != c.want || err != c.err || err.Status() != c.status {
				t.Errorf("got %+v, %v, status %d", got, err, err.Status())
			}
			if check := r.Check(buf); check != c.err {
				t.Errorf("Check: %v", check)
			}
		})
	}
}

func TestResponseFraming(t *testing.T) {
	length := httpparse.Framing{Kind: httpparse.BodyLength, Length: 5}
	none := httpparse.Framing{Kind: httpparse.BodyNone}
	cases := []struct {
		name   string
		head   string
		method httpparse.MethodID
		want   httpparse.Framing
		err    httpparse.Error
	}{
		{"9112-6.3 to HEAD", "1.1 200 OK\r\nContent-Length: 5\r\n", httpparse.MethodHead, none, httpparse.OK},
		{"9112-6.3 interim", "1.1 103 Early\r\n", httpparse.MethodGet, none, httpparse.OK},
		{"9112-6.3 switching", "1.1 101 Switching\r\nContent-Length: 5\r\n", httpparse.MethodGet, none, httpparse.OK},
		{"9112-6.3 204", "1.1 204 No Content\r\n", httpparse.MethodGet, none, httpparse.OK},
		{"9112-6.3 304", "1.1 304 Not Modified\r\nContent-Length: 5\r\n", httpparse.MethodGet, none, httpparse.OK},
		{"9112-6.3 2xx to CONNECT", "1.1 200 OK\r\nContent-Length: 5\r\n", httpparse.MethodConnect, none, httpparse.OK},
		{"9112-6.3 4xx to CONNECT", "1.1 400 No\r\nContent-Length: 5\r\n", httpparse.MethodConnect, length,
			httpparse.OK},
		{"9112-6.3 length", "1.0 200 OK\r\nContent-Length: 5\r\n", httpparse.MethodGet, length, httpparse.OK},
		{"9112-6.3 chunked", "1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", httpparse.MethodGet,
			httpparse.Framing{Kind: httpparse.BodyChunked}, httpparse.OK},
		{"9112-6.3 neither", "1.1 200 OK\r\n", httpparse.MethodGet,
			httpparse.Framing{Kind: httpparse.BodyClose}, httpparse.OK},
		{"9112-6.1 both", "1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
			httpparse.MethodGet, httpparse.Framing{}, httpparse.ErrLengthAndCoding},
		{"9112-6.1 both, to HEAD", "1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
			httpparse.MethodHead, httpparse.Framing{}, httpparse.ErrLengthAndCoding},
		{"9112-6.1 coding in 1.0", "1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
			httpparse.MethodGet, httpparse.Framing{}, httpparse.ErrCodingVersion},
		{"9112-6.3 two lengths", "1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
			httpparse.MethodGet, httpparse.Framing{}, httpparse.ErrLengthRepeated},
		{"9112-6.3 malformed length", "1.1 304 Not Modified\r\nContent-Length: 5x\r\n",
			httpparse.MethodGet, httpparse.Framing{}, httpparse.ErrLength},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, buf := parsedResponse(t, "HTTP/"+c.head+"\r\n")
			if got, err := r.Framing(buf, c.method); got != c.want || err != c.err {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestHostField(t *testing.T) {
	cases := []struct {
		name, head string
		want       httpparse.Error
	}{
		{"9112-3.2 one Host", "GET / HTTP/1.1\r\nHost: a.example:80\r\n", httpparse.OK},
		{"9112-3.2 none in 1.1", "GET / HTTP/1.1\r\n", httpparse.ErrHostMissing},
		{"9112-3.2 none in 1.0", "GET / HTTP/1.0\r\n", httpparse.OK},
		{"9112-3.2 none beside an absolute target", "GET http://a/ HTTP/1.1\r\n", httpparse.ErrHostMissing},
		{"9112-3.2 two equal", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", httpparse.ErrHostRepeated},
		{"9112-3.2 two in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n", httpparse.ErrHostRepeated},
		{"9112-3.2 malformed", "GET / HTTP/1.1\r\nHost: a/b\r\n", httpparse.ErrHost},
		{"9112-3.2 malformed in 1.0", "GET / HTTP/1.0\r\nHost: u@a\r\n", httpparse.ErrHost},
		{"9112-3.2 empty", "GET / HTTP/1.1\r\nHost:\r\n", httpparse.ErrHost},
		{"9112-3.2.4 asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n", httpparse.OK},
		{"9112-3.2.4 asterisk of another method", "GET * HTTP/1.1\r\nHost: a\r\n", httpparse.ErrTargetMethod},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, buf := parsedRequest(t, c.head+"\r\n")
			if got := r.Check(buf); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestErrorTextAndStatus(t *testing.T) {
	seen := map[string]httpparse.Error{}
	for i := range httpparse.ErrorCount {
		e := httpparse.Error(i)
		if first, ok := seen[e.String()]; ok || e.String() == "" || e.String() == "invalid" {
			t.Errorf("error %d has the text %q of %d", e, e, first)
		}
		seen[e.String()] = e
		switch status := e.Status(); {
		case e == httpparse.OK && status != 0, e != httpparse.OK && (status < 400 || status > 505):
			t.Errorf("%v: status %d", e, status)
		}
	}
	if got := httpparse.Error(httpparse.ErrorCount).String(); got != "invalid" {
		t.Errorf("beyond the last: %q", got)
	}
	statuses := map[httpparse.Error]int{
		httpparse.ErrFieldValue: 400, httpparse.ErrTooManyFields: 431, httpparse.ErrHeadTooLarge: 431,
		httpparse.ErrCodingUnknown: 501, httpparse.ErrMethodTooLong: 501, httpparse.ErrVersionUnsupported: 505,
	}
	for e, want := range statuses {
		if got := e.Status(); got != want {
			t.Errorf("%v: status %d, want %d", e, got, want)
		}
	}
}
