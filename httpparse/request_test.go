package httpparse_test

import (
	"strings"
	"testing"

	"holdfast/httpparse"
)

const browserUpgrade = "GET /socket/room?id=42&token=eyJhbGciOiJIUzI1NiJ9 HTTP/1.1\r\n" +
	"Host: chat.example.com\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
	"Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: https://chat.example.com\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Cookie: session=b64f7a2c9d1e4f5a8b3c; theme=dark; _ga=GA1.2.123456789.1700000000\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"\r\n"

func TestRequestIncomplete(t *testing.T) {
	for _, in := range []string{"", "\r", "\r\n", "GET", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\n",
		browserUpgrade[:len(browserUpgrade)-1]} {
		if got := feed(new(httpparse.Request), []byte(in), len(in)); got != incomplete {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestRequestBrowserUpgrade(t *testing.T) {
	r, buf := parsedRequest(t, browserUpgrade)
	checkEveryWay(t, r, browserUpgrade, describe(r, buf, httpparse.OK))
	if r.HeadLen != len(browserUpgrade) || len(r.Fields) != 13 || r.MethodID != httpparse.MethodGet {
		t.Errorf("HeadLen %d, %d fields, method %d", r.HeadLen, len(r.Fields), r.MethodID)
	}
	if value, ok := r.Find(buf, httpparse.FieldOrigin); !ok || string(value) != "https://chat.example.com" {
		t.Errorf("Origin: %q %v", value, ok)
	}
	if value, ok := r.FindName(buf, []byte("accept-LANGUAGE")); !ok || string(value) != "en-GB,en;q=0.9,de;q=0.8" {
		t.Errorf("Accept-Language: %q %v", value, ok)
	}
	if _, ok := r.FindName(buf, []byte("accept")); ok {
		t.Error("found a field that is not there")
	}
	if n := r.Count(httpparse.FieldUpgrade); n != 1 {
		t.Errorf("Upgrade counted %d times", n)
	}
	if err := r.Check(buf); err != httpparse.OK {
		t.Errorf("Check: %v", err)
	}
}

func TestRequestTooManyFields(t *testing.T) {
	in := "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 3) + "\r\n"
	r, buf := parsedRequest(t, in)
	checkEveryWay(t, &httpparse.Request{MaxFields: 3}, in, describe(r, buf, httpparse.OK))
	checkEveryWay(t, &httpparse.Request{MaxFields: 2}, in, verdict(httpparse.ErrTooManyFields))

	in = "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", httpparse.DefaultMaxFields+1) + "\r\n"
	if got := feed(new(httpparse.Request), []byte(in), len(in)); got != verdict(httpparse.ErrTooManyFields) {
		t.Errorf("default limit: %s", got)
	}
}

// TestHeadTooLarge sends a start line and a field line without an end, in one piece
// and in two.
func TestHeadTooLarge(t *testing.T) {
	long := strings.Repeat("x", httpparse.MaxHead)
	for p, start := range map[head]string{
		new(httpparse.Request):            "GET /",
		new(httpparse.Response):           "HTTP/1.1 200 ",
		&httpparse.Request{MaxFields: 1}:  "GET / HTTP/1.1\r\nA:",
		&httpparse.Response{MaxFields: 1}: "HTTP/1.1 200 OK\r\nA:",
	} {
		in := []byte(start + long)
		for _, ends := range [][]int{{len(in)}, {httpparse.MaxHead, len(in)}} {
			if got := feed(p, in, ends...); got != describe(p, nil, httpparse.ErrHeadTooLarge) {
				t.Errorf("%q: %s", start, got)
			}
		}
		if got := feed(p, in[:httpparse.MaxHead], httpparse.MaxHead); got != incomplete {
			t.Errorf("%q at the limit: %s", start, got)
		}
	}
}

func TestAnswerIsFinalUntilReset(t *testing.T) {
	r := &httpparse.Request{MaxFields: 7}
	bad, good := []byte("GET / HTTP/1.1\r\n x\r\n"), []byte("GET / HTTP/1.1\r\nA: b\r\n\r\n")
	for range 2 {
		if done, err := r.Parse(bad); done || err != httpparse.ErrFieldFold {
			t.Fatalf("done %v, %v", done, err)
		}
		bad = append(bad, "A: b\r\n\r\n"...)
	}
	r.Reset()
	for range 2 {
		if done, err := r.Parse(good); !done || err != httpparse.OK || len(r.Fields) != 1 {
			t.Fatalf("done %v, %v, %d fields", done, err, len(r.Fields))
		}
	}
	var resp httpparse.Response
	for range 2 {
		if done, err := resp.Parse([]byte("HTTP/1.1 20\r\n")); done || err != httpparse.ErrStatusLine {
			t.Fatalf("response: done %v, %v", done, err)
		}
	}
	if r.Reset(); r.MaxFields != 7 || r.HeadLen != 0 || len(r.Fields) != 0 || cap(r.Fields) == 0 {
		t.Errorf("after Reset: %+v", r)
	}
}

// TestParseRefusesToGoBack gives Parse less than it had before: a fault of the caller
// that must not become a panic.
func TestParseRefusesToGoBack(t *testing.T) {
	r := new(httpparse.Request)
	for _, in := range []string{"GET / HTTP/1.1\r\nA: b", "GET", ""} {
		if done, err := r.Parse([]byte(in)); done || err != httpparse.OK {
			t.Errorf("%q: done %v, %v", in, done, err)
		}
	}
}

func TestMethodIDOf(t *testing.T) {
	want := map[string]httpparse.MethodID{
		"GET": httpparse.MethodGet, "HEAD": httpparse.MethodHead, "POST": httpparse.MethodPost,
		"PUT": httpparse.MethodPut, "DELETE": httpparse.MethodDelete, "CONNECT": httpparse.MethodConnect,
		"OPTIONS": httpparse.MethodOptions, "TRACE": httpparse.MethodTrace, "PATCH": httpparse.MethodPatch,
		"get": httpparse.MethodOther, "GETS": httpparse.MethodOther, "": httpparse.MethodOther,
	}
	for name, id := range want {
		if got := httpparse.MethodIDOf([]byte(name)); got != id {
			t.Errorf("%q: %d, want %d", name, got, id)
		}
	}
}
