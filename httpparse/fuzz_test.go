package httpparse_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"slices"
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

// checkAgainst wants what net/http reads, wherever both accept the message.
func checkAgainst(t *testing.T, m message) {
	t.Helper()
	text, refused, err := readHere(m)
	if refused != httpparse.OK || err != nil {
		return
	}
	if want, err := readNetHTTP(m); err == nil && text != want {
		t.Fatalf("here\n%s\nnet/http\n%s", text, want)
	}
}

// addGoldens adds the inputs of testdata/*.md that are of one kind.
func addGoldens(f *testing.F, kind string, add func(in []byte)) {
	names, _ := filepath.Glob("testdata/*.md")
	for _, name := range names {
		cases, _ := readGolden(f, name)
		for _, g := range cases {
			for i, in := range g.inputs {
				if strings.HasPrefix(g.kinds[i], kind) && len(in) < 1024 {
					add([]byte(in))
				}
			}
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(browserUpgrade))
	addGoldens(f, "request", func(in []byte) { f.Add(in) })
	f.Fuzz(func(t *testing.T, in []byte) {
		checkCuts(t, new(httpparse.Request), in)
		checkAgainst(t, message{in: in})
		var r httpparse.Request
		done, err := r.Parse(in)
		if !done || err != httpparse.OK {
			return
		}
		target, err := httpparse.ParseTarget(r.Target.Of(in), r.MethodID)
		if err != httpparse.OK {
			return
		}
		host, port, err := httpparse.ParseHost(r.Authority(in, target))
		if err == httpparse.OK && (len(host) == 0 || strings.Trim(string(port), "0123456789") != "") {
			t.Fatalf("host %q, port %q", host, port)
		}
	})
}

func FuzzResponse(f *testing.F) {
	addGoldens(f, "response", func(in []byte) { f.Add(in, len(in)%3 == 0) })
	f.Fuzz(func(t *testing.T, in []byte, toHead bool) {
		checkCuts(t, new(httpparse.Response), in)
		m := message{in: in, response: true, method: "GET"}
		if toHead {
			m.method = "HEAD"
		}
		checkAgainst(t, m)
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

// recoded is d in the chunked coding, in pieces of size bytes.
func recoded(d decoded, size int) (out []byte) {
	for body := d.body; len(body) > 0; {
		n := min(size, len(body))
		out = append(append(httpparse.AppendChunkHeader(out, n), body[:n]...), "\r\n"...)
		body = body[n:]
	}
	out = append(append(out, "0\r\n"...), d.trailers...)
	return append(out, "\r\n"...)
}

// FuzzChunked wants one outcome however a body is cut and whether or not its trailers
// are kept, the body that net/http reads, and the same body and trailers once coded anew.
func FuzzChunked(f *testing.F) {
	addGoldens(f, "chunked", func(in []byte) { f.Add(in, byte(3)) })
	f.Fuzz(func(t *testing.T, in []byte, size byte) {
		whole := dechunk(in, true, len(in))
		outcome := whole.String()
		for _, ends := range [][]int{upTo(len(in)), {len(in) / 2, len(in)}, {len(in) / 3, len(in)}} {
			if got := dechunk(in, true, ends...); len(in) > 0 && !got.equal(whole) {
				t.Fatalf("cut at %v:\n got %s\nwant %s", ends, got, outcome)
			}
		}
		dropping := whole
		dropping.trailers = nil
		if got := dechunk(in, false, len(in)); !got.equal(dropping) || strings.HasPrefix(outcome, "broken") {
			t.Fatalf("trailers dropped:\n%s\nkept:\n%s", got, outcome)
		}
		if !whole.done {
			return
		}
		if body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in))); err == nil && !bytes.Equal(body, whole.body) {
			t.Fatalf("%s, net/http: %q", outcome, body)
		}
		coded := recoded(whole, int(size)+1)
		again := dechunk(coded, true, len(coded))
		if !again.done || !bytes.Equal(again.body, whole.body) || !bytes.Equal(again.trailers, whole.trailers) {
			t.Fatalf("%q came back as %s", coded, again)
		}
	})
}

// FuzzTarget checks what must hold of every target taken apart.
func FuzzTarget(f *testing.F) {
	f.Add([]byte("http://a:80/b?c"), byte(httpparse.MethodGet))
	f.Add([]byte("a:443"), byte(httpparse.MethodConnect))
	f.Fuzz(func(t *testing.T, in []byte, method byte) {
		target, err := httpparse.ParseTarget(in, httpparse.MethodID(method))
		if err != httpparse.OK {
			if target != (httpparse.Target{}) {
				t.Fatalf("refused (%v), and yet %+v", err, target)
			}
			return
		}
		scheme, authority := string(target.Scheme.Of(in)), string(target.Authority.Of(in))
		again := string(target.Path.Of(in))
		if target.HasQuery {
			again += "?" + string(target.Query.Of(in))
		}
		switch target.Form {
		case httpparse.TargetAbsolute:
			again = scheme + "://" + authority + again
		case httpparse.TargetAuthority:
			again = authority
		case httpparse.TargetAsterisk:
			again = "*"
		}
		if again != string(in) || bytes.ContainsAny(in, " \t\r\n#\x00\x7f") {
			t.Fatalf("%q was put together as %q", in, again)
		}
		if authority == "" {
			return
		}
		if host, _, err := httpparse.ParseHost([]byte(authority)); err != httpparse.OK || strings.ContainsAny(string(host), "@/?# ") {
			t.Fatalf("%q: host %q, %v", in, host, err)
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

// handshakeOK is RFC 6455 section 4.2.1 said once more, over net/http's fields.
func handshakeOK(method string, minor uint8, header http.Header, f httpparse.Framing) bool {
	versions, keys := header["Sec-Websocket-Version"], header["Sec-Websocket-Key"]
	if method != "GET" || minor == 0 || f.Kind == httpparse.BodyChunked || f.Length > 0 || len(versions) != 1 ||
		versions[0] != "13" || len(keys) != 1 || len(keys[0]) != 24 {
		return false
	}
	named := slices.ContainsFunc(elements(header, "Upgrade"), func(protocol string) bool {
		return asciiLower(protocol) == "websocket"
	})
	nonce, err := base64.StdEncoding.DecodeString(keys[0])
	return named && err == nil && len(nonce) == 16
}

// elements are those of a list field, the empty ones left out.
func elements(header http.Header, name string) (list []string) {
	for _, value := range header[name] {
		for element := range strings.SplitSeq(value, ",") {
			if element = strings.Trim(element, " \t"); element != "" {
				list = append(list, element)
			}
		}
	}
	return list
}

// answerOK is RFC 6455 section 4.1 said once more: what a client takes.
func answerOK(asked, answer http.Header) bool {
	if keys := asked["Sec-Websocket-Key"]; len(keys) == 1 {
		sum := sha1.Sum([]byte(keys[0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		accepts := answer["Sec-Websocket-Accept"]
		if len(accepts) != 1 || accepts[0] != base64.StdEncoding.EncodeToString(sum[:]) {
			return false
		}
	}
	offered := map[string]bool{}
	for _, extension := range elements(asked, "Sec-Websocket-Extensions") {
		name, _, _ := strings.Cut(extension, ";")
		offered[asciiLower(strings.Trim(name, " \t"))] = true
	}
	for _, extension := range elements(answer, "Sec-Websocket-Extensions") {
		name, _, _ := strings.Cut(extension, ";")
		if !offered[asciiLower(strings.Trim(name, " \t"))] {
			return false
		}
	}
	chosen := answer["Sec-Websocket-Protocol"]
	return len(chosen) == 0 ||
		len(chosen) == 1 && slices.Contains(elements(asked, "Sec-Websocket-Protocol"), chosen[0])
}

// asciiLower is text with its ASCII letters in lower case and every other byte kept.
func asciiLower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// FuzzWebSocket wants the handshakes judged as RFC 6455 says it a second time.
func FuzzWebSocket(f *testing.F) {
	f.Fuzz(func(t *testing.T, asking, answer []byte) {
		var req httpparse.Request
		if done, err := req.Parse(asking); !done || err != httpparse.OK {
			return
		}
		kind, asks, check := req.Upgrade(asking), req.AsksWebSocket(asking), req.CheckWebSocket(asking)
		framing, framingErr := req.Framing(asking)
		header := headerOf(asking, req.Fields)
		ok := framingErr == httpparse.OK && handshakeOK(string(req.Method.Of(asking)), req.Minor, header, framing)
		if (check == httpparse.OK) != ok || kind == httpparse.UpgradeWebSocket && !asks {
			t.Fatalf("%s: %v", describe(&req, asking, httpparse.OK), check)
		}
		var resp httpparse.Response
		if done, err := resp.Parse(answer); !done || err != httpparse.OK {
			return
		}
		loose, strict := resp.SwitchOK(answer, &req, asking, false), resp.SwitchOK(answer, &req, asking, true)
		want := loose
		if kind == httpparse.UpgradeWebSocket {
			want = loose && answerOK(header, headerOf(answer, resp.Fields))
		}
		if strict != want || loose && (kind == httpparse.UpgradeNone || resp.Status != 101) {
			t.Fatalf("%s%sswitch %v, strict %v", describe(&req, asking, httpparse.OK), describe(&resp, answer, httpparse.OK),
				loose, strict)
		}
	})
}
