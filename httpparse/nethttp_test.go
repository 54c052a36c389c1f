package httpparse_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/httpparse"
)

// message is bytes to be read as one message with its body. A response has the method
// that it answers.
type message struct {
	in       []byte
	response bool
	method   string
}

var errIncomplete = errors.New("incomplete")

// readHere is what httpparse makes of a message: its start line, fields, body and trailers
// as text.
func readHere(m message) (text string, refused httpparse.Error, err error) {
	var start string
	var fields []httpparse.Field
	var framing httpparse.Framing
	var headLen int
	if m.response {
		var r httpparse.Response
		done, refused := r.Parse(m.in)
		if !done {
			return "", refused, errIncomplete
		}
		if framing, refused = r.Framing(m.in, httpparse.MethodIDOf([]byte(m.method))); refused != httpparse.OK {
			return "", refused, nil
		}
		start, fields, headLen = fmt.Sprintf("1.%d %d", r.Minor, r.Status), r.Fields, r.HeadLen
	} else {
		var r httpparse.Request
		done, refused := r.Parse(m.in)
		if !done {
			return "", refused, errIncomplete
		}
		if refused = r.Check(m.in); refused != httpparse.OK {
			return "", refused, nil
		}
		framing, _ = r.Framing(m.in)
		start = fmt.Sprintf("%s %s 1.%d", r.Method.Of(m.in), r.Target.Of(m.in), r.Minor)
		fields, headLen = r.Fields, r.HeadLen
	}
	body, trailers, refused, err := ourBody(m.in[headLen:], framing)
	if refused != httpparse.OK || err != nil {
		return "", refused, err
	}
	return asText(start, headerOf(m.in, fields), body, trailers), httpparse.OK, nil
}

// ourBody is the body and the trailers at the start of rest.
func ourBody(rest []byte, f httpparse.Framing) (body []byte, trailers http.Header, e httpparse.Error, err error) {
	switch {
	case f.Kind == httpparse.BodyClose:
		return rest, nil, httpparse.OK, nil
	case f.Kind == httpparse.BodyLength && f.Length > int64(len(rest)):
		return nil, nil, httpparse.OK, errIncomplete
	case f.Kind == httpparse.BodyLength:
		return rest[:f.Length], nil, httpparse.OK, nil
	case f.Kind == httpparse.BodyNone:
		return nil, nil, httpparse.OK, nil
	}
	d := dechunk(rest, true, len(rest))
	if d.err != httpparse.OK || !d.done {
		return nil, nil, d.err, errIncomplete
	}
	fields, e := httpparse.ParseFields(d.trailers, nil, httpparse.MaxTrailer)
	return d.body, headerOf(d.trailers, fields), e, nil
}

// readNetHTTP is what net/http makes of it.
func readNetHTTP(m message) (text string, err error) {
	from := bufio.NewReader(bytes.NewReader(m.in))
	if m.response {
		r, err := http.ReadResponse(from, &http.Request{Method: m.method})
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(r.Body)
		return asText(fmt.Sprintf("1.%d %d", min(r.ProtoMinor, 1), r.StatusCode), r.Header, body, r.Trailer), err
	}
	r, err := http.ReadRequest(from)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Body)
	start := fmt.Sprintf("%s %s 1.%d", r.Method, r.RequestURI, min(r.ProtoMinor, 1))
	return asText(start, r.Header, body, r.Trailer), err
}

// rewritten are the fields net/http takes out of Header, or makes up from others.
var rewritten = []string{"Host", "Transfer-Encoding", "Content-Length", "Trailer", "Pragma", "Cache-Control", "Connection"}

func headerOf(buf []byte, fields []httpparse.Field) http.Header {
	header := http.Header{}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.Of(buf)))
		header[name] = append(header[name], string(f.Value.Of(buf)))
	}
	return header
}

// asText is a message in a form that compares.
func asText(start string, header http.Header, body []byte, trailers http.Header) string {
	for _, name := range rewritten {
		header.Del(name)
	}
	came := http.Header{} // net/http also lists those that were announced and didn't come
	for name, values := range trailers {
		if values != nil {
			came[name] = values
		}
	}
	return fmt.Sprintf("%s\n%q\n%q\n%q", start, header, body, came)
}

// stricter lists the reasons for which a message is refused here and accepted by
// net/http, each with what speaks for refusing it.
var stricter = map[httpparse.Error]string{
	httpparse.ErrLineEnd:            "a bare LF: what others take for a part of a line (RFC 9112 section 2.2 allows it)",
	httpparse.ErrMethod:             "nginx takes no other methods; some servers read get as GET",
	httpparse.ErrMethodTooLong:      "a limit of our own",
	httpparse.ErrTarget:             "a scheme that no proxy can forward, or a raw control character",
	httpparse.ErrTargetMethod:       "RFC 9112 sections 3.2.3 and 3.2.4: * is for OPTIONS, host:port for CONNECT",
	httpparse.ErrVersionUnsupported: "another major version is another syntax (RFC 9110 section 2.5)",
	httpparse.ErrStatusLine:         "RFC 9112 section 4: a code below 100, a control character in the reason",
	httpparse.ErrFieldSpace:         "RFC 9112 section 5.1: must be refused",
	httpparse.ErrFieldFold:          "RFC 9112 section 5.2: refused or unfolded; refused",
	httpparse.ErrHostMissing:        "RFC 9112 section 3.2: must be refused; net/http's server does so later",
	httpparse.ErrHost:               "RFC 9112 section 3.2: must be refused; net/http's server does so later",
	httpparse.ErrLength:             "18 digits at most, and no list",
	httpparse.ErrLengthRepeated:     "RFC 9112 section 6.3: refused or repaired; refused",
	httpparse.ErrLengthAndCoding:    "RFC 9112 section 6.1: refused or repaired; refused",
	httpparse.ErrCoding:             "net/http ignores the field in HTTP/1.0",
	httpparse.ErrCodingVersion:      "RFC 9112 section 6.1: faulty framing; net/http ignores the field",
	httpparse.ErrChunkExtension:     "RFC 9112 section 7.1.1: not its grammar; net/http drops what is behind the semicolon",
	httpparse.ErrTrailer:            "a bare LF behind the last chunk or a folded trailer",
}

// looser lists the errors of net/http for messages that are accepted here.
var looser = []struct {
	says, reason string
	method       string // only in answers to it
}{
	{says: "malformed HTTP request \"\"", reason: "an empty line before the request: RFC 9112 section 2.2"},
	{says: "invalid byte in chunk length", reason: "whitespace before an extension: RFC 9112 section 7.1.1"},
	{says: "suspiciously long trailer", reason: "trailers longer than its buffer; the limit here is MaxTrailer"},
	{says: "bad trailer key", reason: "Trailer names a field of framing: which trailers count is for the caller"},
	{says: "unexpected EOF", method: "CONNECT", reason: "2xx to CONNECT has no body: RFC 9112 section 6.3"},
}

// compare gives the fault if the two disagree in a way that no table above lists, and the
// row if one does.
func compare(m message) (row, fault string) {
	text, refused, ourErr := readHere(m)
	want, theirErr := readNetHTTP(m)
	switch {
	case refused != httpparse.OK && theirErr == nil:
		if stricter[refused] == "" {
			return "", fmt.Sprintf("refused here (%v), net/http reads\n%s", refused, want)
		}
		return refused.String(), ""
	case refused != httpparse.OK || ourErr != nil && theirErr != nil:
		return "", ""
	case ourErr != nil:
		return "", fmt.Sprintf("incomplete here, net/http reads\n%s", want)
	case theirErr != nil:
		for _, l := range looser {
			if strings.Contains(theirErr.Error(), l.says) && (l.method == "" || l.method == m.method) {
				return l.says, ""
			}
		}
		return "", fmt.Sprintf("net/http: %v, here\n%s", theirErr, text)
	case text != want:
		return "", fmt.Sprintf("here\n%s\nnet/http\n%s", text, want)
	}
	return "", ""
}

// messages gives the inputs of the goldens, whole and changed in one byte, and what
// random parts make up.
func messages(t *testing.T, give func(m message)) {
	names, _ := filepath.Glob("testdata/*.md")
	for _, name := range names {
		cases, _ := readGolden(t, name)
		for _, g := range cases {
			for i, in := range g.inputs {
				kind, method, _ := strings.Cut(g.kinds[i], " ")
				m := message{in: []byte(in), response: kind == "response", method: method}
				if kind == "chunked" {
					m.in = append([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), in...)
				}
				give(m)
				changed(m, give)
			}
		}
	}
	random := rand.New(rand.NewPCG(9112, 9110))
	rounds := 30_000
	if testing.Short() {
		rounds = 3_000
	}
	for range rounds {
		give(composed(random))
	}
}

// changed gives m, unless it is long, with each of its bytes replaced by each of those
// that mean something.
func changed(m message, give func(m message)) {
	if len(m.in) > 1024 {
		return
	}
	for i := range m.in {
		for _, c := range []byte("\r\n\t :,;0a\"\\\x00\x7f\x80") {
			if testing.Short() && i%7 != 0 {
				continue
			}
			in := append([]byte(nil), m.in...)
			in[i] = c
			give(message{in: in, response: m.response, method: m.method})
		}
	}
}

// composed is a message of random parts.
func composed(random *rand.Rand) message {
	pick := func(parts ...string) string { return parts[random.IntN(len(parts))] }
	m := message{response: random.IntN(2) == 0, method: "GET"}
	var b strings.Builder
	if m.response {
		m.method = pick("GET", "GET", "HEAD", "POST")
		b.WriteString(pick("HTTP/1.1 ", "HTTP/1.1 ", "HTTP/1.0 ", "HTTP/1.2 ") +
			pick("200 OK", "200", "204 No Content", "304 Not Modified", "101 Switching", "103 Early", "404 x y", "600 z"))
	} else {
		b.WriteString(pick("", "", "", "\r\n") + pick("GET ", "POST ", "POST ", "PURGE ", "OPTIONS ", "get ") +
			pick("/", "/a/b?c=d", "*", "http://h/p", "/%41", "/\xc3\xa9", "a") +
			pick(" HTTP/1.1", " HTTP/1.1", " HTTP/1.0") + "\r\n" + pick("Host: h", "Host: h", "Host: h:80", "hOST:\th"))
	}
	b.WriteString("\r\n")
	for range random.IntN(4) {
		b.WriteString(pick("Content-Length: 5", "Content-Length: 5", "Content-Length: 0", "Content-Length: 05", "content-length: +5",
			"Transfer-Encoding: chunked", "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: identity",
			"Transfer-Encoding: gzip, chunked", "Connection: close", "Trailer: X", "Trailer: Content-Length", "X: y", "X:", "A_b: c\t",
			"X : y", "Content-Length: 5, 5", "Upgrade: websocket", "X: \x80", "X: a\x01") + pick("\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n"))
	}
	b.WriteString("\r\n")
	for range random.IntN(4) {
		b.WriteString(pick("5", "05", "3;a=b", "5 ", "5;", "0005;x=\"y\"", "3;a b", "0x5", "A", "5\n") + "\r\n" +
			pick("hello", "hello", "abc", "0123456789") + "\r\n")
	}
	b.WriteString(pick("0\r\n\r\n", "0\r\n\r\n", "00;x\r\nX: y\r\n\r\n", "0\r\nX: y\r\nX: z\r\n\r\n", "0\r\nContent-Length: 1\r\n\r\n", "0\r\n"))
	m.in = []byte(b.String())
	return m
}

// TestAgainstNetHTTP reads the same messages here and with net/http. What the two read
// differently is in one of the tables, and each row of them is needed.
func TestAgainstNetHTTP(t *testing.T) {
	t.Parallel()
	used, failures := map[string]int{}, 0
	messages(t, func(m message) {
		row, fault := compare(m)
		if fault == "" {
			used[row]++
		} else if failures++; failures <= 20 {
			t.Errorf("%q (response %v to %s): %s", m.in, m.response, m.method, fault)
		}
	})
	if failures > 0 {
		t.Fatalf("%d messages are read differently", failures)
	}
	for e := range stricter {
		if used[e.String()] == 0 {
			t.Errorf("no message is refused with %q only here", e)
		}
	}
	for _, l := range looser {
		if used[l.says] == 0 {
			t.Errorf("no message is refused by net/http alone with %q", l.says)
		}
	}
}
