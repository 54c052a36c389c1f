package httpparse_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strings"
	"testing"

	"holdfast/httpparse"
)

// checkCuts parses in byte by byte and cut in two, and wants what the whole gave.
func checkCuts(t *testing.T, p head, in []byte) (outcome string) {
	t.Helper()
	outcome = feed(p, in, len(in))
	for _, cut := range []int{1, len(in) / 3, len(in) / 2, len(in) - 1} {
		if cut < 1 || cut >= len(in) {
			continue
		}
		if got := feed(p, in, cut, len(in)); got != outcome {
			t.Fatalf("cut at %d:\n got %s\nwant %s", cut, got, outcome)
		}
	}
	if len(in) <= 4096 {
		if got := feed(p, in, upTo(len(in))...); got != outcome {
			t.Fatalf("byte by byte:\n got %s\nwant %s", got, outcome)
		}
	}
	return outcome
}

// rewritten are the fields net/http takes out of Header, or makes up from others.
var rewritten = map[string]bool{
	"Host": true, "Transfer-Encoding": true, "Content-Length": true, "Trailer": true,
	"Pragma": true, "Cache-Control": true, "Connection": true,
}

// checkHeader compares fields with what net/http read, where it kept them.
func checkHeader(t *testing.T, buf []byte, fields []httpparse.Field, header http.Header) {
	t.Helper()
	ours := http.Header{}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.Of(buf)))
		ours[name] = append(ours[name], string(f.Value.Of(buf)))
	}
	for name := range rewritten {
		delete(ours, name)
		header.Del(name)
	}
	if got, want := fmt.Sprintf("%q", ours), fmt.Sprintf("%q", header); got != want {
		t.Fatalf("fields:\n ours %s\n net/http %s", got, want)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(browserUpgrade))
	f.Add([]byte("POST /a?b HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := new(httpparse.Request)
		checkCuts(t, r, in)
		r.Reset()
		done, err := r.Parse(in)
		if !done || err != httpparse.OK {
			return
		}
		target, err := httpparse.ParseTarget(r.Target.Of(in), r.MethodID)
		if err == httpparse.OK {
			_, _, _ = httpparse.ParseHost(r.Authority(in, target))
		}
		_, _, _ = r.Upgrade(in), r.KeepAlive(in), r.Check(in)

		theirs, httpErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if httpErr != nil {
			return
		}
		if string(r.Method.Of(in)) != theirs.Method || string(r.Target.Of(in)) != theirs.RequestURI ||
			int(r.Minor) != min(theirs.ProtoMinor, 1) {
			t.Fatalf("%s, net/http: %s %s %s", describe(r, in, err), theirs.Method, theirs.RequestURI, theirs.Proto)
		}
		checkHeader(t, in, r.Fields, theirs.Header)
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := new(httpparse.Response)
		checkCuts(t, r, in)
		r.Reset()
		done, err := r.Parse(in)
		if !done || err != httpparse.OK {
			return
		}
		framing, err := r.Framing(in, httpparse.MethodGet)
		theirs, httpErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), nil)
		if httpErr != nil {
			return
		}
		if r.Status != theirs.StatusCode || int(r.Minor) != min(theirs.ProtoMinor, 1) {
			t.Fatalf("%s, net/http: %s %s", describe(r, in, httpparse.OK), theirs.Proto, theirs.Status)
		}
		checkHeader(t, in, r.Fields, theirs.Header)
		if err == httpparse.OK && framing.Kind == httpparse.BodyLength && framing.Length != theirs.ContentLength {
			t.Fatalf("length %d, net/http: %d", framing.Length, theirs.ContentLength)
		}
	})
}

// FuzzFraming builds requests from the fields that delimit a body and wants, wherever
// a request is accepted here and by net/http, the same end of its body.
func FuzzFraming(f *testing.F) {
	f.Add("Content-Length: 3\r\n", true)
	f.Add("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", true)
	f.Add("Transfer-Encoding: gzip, chunked\r\n", false)
	f.Fuzz(func(t *testing.T, fields string, minor bool) {
		version := "1.0"
		if minor {
			version = "1.1"
		}
		in := []byte("POST / HTTP/" + version + "\r\nHost: a\r\n" + fields + "\r\n")
		r := new(httpparse.Request)
		done, err := r.Parse(in)
		if !done || err != httpparse.OK {
			return
		}
		framing, err := r.Framing(in)
		if err != httpparse.OK {
			if framing != (httpparse.Framing{}) || r.Check(in) == httpparse.OK {
				t.Fatalf("refused (%v), and yet %+v, Check %v", err, framing, r.Check(in))
			}
			return
		}
		lengths, codings := r.Count(httpparse.FieldContentLength), r.Count(httpparse.FieldTransferEncoding)
		if lengths+codings > 1 || codings > 0 && !minor || framing.Length < 0 ||
			(framing.Kind == httpparse.BodyNone) != (lengths+codings == 0) {
			t.Fatalf("%d lengths, %d codings accepted as %+v", lengths, codings, framing)
		}
		theirs, httpErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if httpErr != nil {
			return
		}
		want := httpparse.Framing{Kind: httpparse.BodyLength, Length: theirs.ContentLength}
		if theirs.ContentLength < 0 {
			want = httpparse.Framing{Kind: httpparse.BodyChunked}
		} else if lengths == 0 {
			want = httpparse.Framing{}
		}
		if framing != want {
			t.Fatalf("%+v, net/http: %+v", framing, want)
		}
	})
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\nrest"))
	f.Fuzz(func(t *testing.T, in []byte) {
		outcome := dechunk(in, len(in))
		for _, ends := range [][]int{upTo(len(in)), {len(in) / 2, len(in)}, {len(in) / 3, len(in)}} {
			if got := dechunk(in, ends...); got != outcome {
				if len(in) == 0 {
					continue
				}
				t.Fatalf("cut at %v:\n got %s\nwant %s", ends, got, outcome)
			}
		}
		if !strings.Contains(outcome, "done at") {
			return
		}
		body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		if err != nil {
			return
		}
		if want := fmt.Sprintf("%q done at ", body); !strings.HasPrefix(outcome, want) {
			t.Fatalf("%s, net/http: %s", outcome, want)
		}
	})
}

// FuzzPath checks what must hold of every normalised path, and that escaping one and
// normalising it again changes nothing.
func FuzzPath(f *testing.F) {
	f.Add([]byte("/a/./b/../c//%2e%2e/%41?q=1"), true)
	f.Add([]byte("/a%2f..%2fb"), false)
	f.Add([]byte("http://a:80//b"), false)
	f.Fuzz(func(t *testing.T, in []byte, merge bool) {
		target, err := httpparse.ParseTarget(in, httpparse.MethodGet)
		if err != httpparse.OK {
			return
		}
		path := target.Path.Of(in)
		room := make([]byte, 0, len(path)+1)
		uri, err := httpparse.NormalizePath(room, path, merge)
		if err != httpparse.OK {
			if len(uri) != 0 {
				t.Fatalf("refused (%v) with %q", err, uri)
			}
			return
		}
		if &uri[0] != &room[:1][0] {
			t.Fatalf("%q outgrew len+1", path)
		}
		if bad := badPath(string(uri), merge); bad != "" {
			t.Fatalf("%q became %q: %s", path, uri, bad)
		}
		escaped := httpparse.AppendEscapedPath(nil, uri)
		again, err := httpparse.NormalizePath(nil, escaped, merge)
		if err != httpparse.OK || !bytes.Equal(again, uri) {
			t.Fatalf("%q, escaped %q, became %q, %v", uri, escaped, again, err)
		}
	})
}

func badPath(uri string, merge bool) string {
	switch {
	case uri[0] != '/':
		return "not absolute"
	case strings.Contains(uri+"/", "/../"), strings.Contains(uri+"/", "/./"):
		return "dots left"
	case merge && strings.Contains(uri, "//"):
		return "slashes left"
	case strings.Contains(uri, "\x00"):
		return "NUL"
	}
	return ""
}
