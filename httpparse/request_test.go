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

func TestRequestAccepted(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"9112-3 request line alone", "GET / HTTP/1.1\r\n\r\n", "GET / 1.1 +18"},
		{"9112-2.5 version 1.0", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 +18"},
		{"9110-2.5 minor version above 1 is 1", "GET / HTTP/1.7\r\n\r\n", "GET / 1.1 +18"},
		{"9112-2.2 one empty line before", "\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1.1 +20"},
		{"9112-2.2 four empty lines before", "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1.1 +26"},
		{"9110-9.1 unknown method", "BREW-IT /pot HTTP/1.1\r\n\r\n", "BREW-IT /pot 1.1 +25"},
		{
			"9112-3 longest method",
			strings.Repeat("M", httpparse.MaxMethod) + " / HTTP/1.1\r\n\r\n",
			strings.Repeat("M", httpparse.MaxMethod) + " / 1.1 +47",
		},
		{"9112-3.2 bytes above 0x7f in the target", "GET /\xc3\xa9 HTTP/1.1\r\n\r\n", "GET /\xc3\xa9 1.1 +20"},
		{
			"9112-5.1 whitespace around a value",
			"GET / HTTP/1.1\r\nA:\t b \t c\t \r\nB:x\r\n\r\n",
			"GET / 1.1 [A: b \t c] [B: x] +36",
		},
		{"9110-5.5 empty values", "GET / HTTP/1.1\r\nA:\r\nB:   \r\n\r\n", "GET / 1.1 [A: ] [B: ] +29"},
		{"9110-5.5 obs-text in a value", "GET / HTTP/1.1\r\nA: \x80\xff\r\n\r\n", "GET / 1.1 [A: \x80\xff] +25"},
		{"9110-5.6.2 all token characters in a name", "GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09azAZ: v\r\n\r\n",
			"GET / 1.1 [!#$%&'*+-.^_`|~09azAZ: v] +44"},
		{"bytes behind the head are left", "GET / HTTP/1.1\r\n\r\n\x81\x00bad\nGET", "GET / 1.1 +18"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkEveryWay(t, new(httpparse.Request), c.in, c.want) })
	}
}

func TestRequestRefused(t *testing.T) {
	line := "GET / HTTP/1.1\r\n"
	cases := []struct {
		name, in string
		want     httpparse.Error
	}{
		{"9112-2.2 five empty lines", "\r\n\r\n\r\n\r\n\r\n" + line + "\r\n", httpparse.ErrEmptyLines},
		{"9112-2.2 bare LF before", "\n" + line + "\r\n", httpparse.ErrLineEnd},
		{"9112-2.2 bare LF after the request line", "GET / HTTP/1.1\n\r\n", httpparse.ErrLineEnd},
		{"9112-2.2 bare LF after a field", line + "A: b\n\r\n", httpparse.ErrLineEnd},
		{"9112-2.2 bare LF ends the head", line + "A: b\r\n\n", httpparse.ErrLineEnd},
		{"9112-2.2 bare CR before", "\rGET / HTTP/1.1\r\n\r\n", httpparse.ErrMethod},
		{"9110-9.1 method in lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", httpparse.ErrMethod},
		{"9112-2.2 bare CR in a value", line + "A: b\rc\r\n\r\n", httpparse.ErrFieldValue},
		{"9112-2.2 CR CR LF", line + "A: b\r\r\n\r\n", httpparse.ErrFieldValue},
		{"9112-2.2 whitespace before the first field", line + " A: b\r\n\r\n", httpparse.ErrFieldFold},
		{"9112-3 no method", " / HTTP/1.1\r\n\r\n", httpparse.ErrMethod},
		{"9112-3 method not a token", "G(T / HTTP/1.1\r\n\r\n", httpparse.ErrMethod},
		{"9112-3 method alone", "GET\r\n\r\n", httpparse.ErrMethod},
		{"9112-3 tab for a space", "GET\t/ HTTP/1.1\r\n\r\n", httpparse.ErrMethod},
		{"9112-3 method too long", strings.Repeat("M", httpparse.MaxMethod+1) + " / HTTP/1.1\r\n\r\n",
			httpparse.ErrMethodTooLong},
		{"9112-3 TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", httpparse.ErrMethod},
		{"9112-3 two spaces", "GET  / HTTP/1.1\r\n\r\n", httpparse.ErrTarget},
		{"9112-3.2 no target", "GET HTTP/1.1\r\n\r\n", httpparse.ErrVersion},
		{"9112-3.2 empty target", "GET \r\n\r\n", httpparse.ErrTarget},
		{"9112-3.2 space in the target", "GET /a b HTTP/1.1\r\n\r\n", httpparse.ErrVersion},
		{"9112-3.2 control in the target", "GET /a\x01 HTTP/1.1\r\n\r\n", httpparse.ErrTarget},
		{"9112-3.2 DEL in the target", "GET /\x7f HTTP/1.1\r\n\r\n", httpparse.ErrTarget},
		{"9112-3.2 fragment", "GET /a#b HTTP/1.1\r\n\r\n", httpparse.ErrTarget},
		{"9112-2.3 HTTP/0.9", "GET /\r\n\r\n", httpparse.ErrVersion},
		{"9112-2.3 lower case", "GET / http/1.1\r\n\r\n", httpparse.ErrVersion},
		{"9112-2.3 trailing space", "GET / HTTP/1.1 \r\n\r\n", httpparse.ErrVersion},
		{"9112-2.3 two digits", "GET / HTTP/1.10\r\n\r\n", httpparse.ErrVersion},
		{"9112-2.3 no digit", "GET / HTTP/1.x\r\n\r\n", httpparse.ErrVersion},
		{"9110-15.6.6 HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", httpparse.ErrVersionUnsupported},
		{"9112-5.1 space before the colon", line + "Host : a\r\n\r\n", httpparse.ErrFieldSpace},
		{"9112-5.1 tab before the colon", line + "Host\t: a\r\n\r\n", httpparse.ErrFieldSpace},
		{"9112-5.1 empty name", line + ": a\r\n\r\n", httpparse.ErrFieldName},
		{"9112-5.1 no colon", line + "Host\r\n\r\n", httpparse.ErrFieldName},
		{"9112-5.1 name not a token", line + "Ho(st: a\r\n\r\n", httpparse.ErrFieldName},
		{"9112-5.1 byte above 0x7f in a name", line + "H\xc3\xb6st: a\r\n\r\n", httpparse.ErrFieldName},
		{"9112-5.1 NUL in a name", line + "Ho\x00st: a\r\n\r\n", httpparse.ErrFieldName},
		{"9112-5.2 folded field", line + "A: b\r\n c\r\n\r\n", httpparse.ErrFieldFold},
		{"9112-5.2 folded field with tab", line + "A: b\r\n\tc\r\n\r\n", httpparse.ErrFieldFold},
		{"9110-5.5 NUL in a value", line + "A: b\x00c\r\n\r\n", httpparse.ErrFieldValue},
		{"9110-5.5 DEL in a value", line + "A: 0123456789\x7fc\r\n\r\n", httpparse.ErrFieldValue},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checkEveryWay(t, new(httpparse.Request), c.in, "refused: "+c.want.String())
		})
	}
}

func TestRequestIncomplete(t *testing.T) {
	for _, in := range []string{"", "\r", "\r\n", "GET", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\n",
		browserUpgrade[:len(browserUpgrade)-1]} {
		if got := feed(new(httpparse.Request), []byte(in), len(in)); got != "incomplete" {
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
	checkEveryWay(t, &httpparse.Request{MaxFields: 3}, in, "GET / 1.1 [A: b] [A: b] [A: b] +36")
	checkEveryWay(t, &httpparse.Request{MaxFields: 2}, in, "refused: too many header fields")

	in = "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", httpparse.DefaultMaxFields+1) + "\r\n"
	if got := feed(new(httpparse.Request), []byte(in), len(in)); got != "refused: too many header fields" {
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
			if got := feed(p, in, ends...); got != "refused: head too large" {
				t.Errorf("%q: %s", start, got)
			}
		}
		if got := feed(p, in[:httpparse.MaxHead], httpparse.MaxHead); got != "incomplete" {
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

func TestKeepAlive(t *testing.T) {
	cases := []struct {
		name, version, fields string
		want                  bool
	}{
		{"9112-9.3 default of 1.1", "1.1", "", true},
		{"9112-9.3 default of 1.0", "1.0", "", false},
		{"9112-9.3 close", "1.1", "Connection: close\r\n", false},
		{"9112-9.3 close in another case", "1.1", "Connection: CLOSE\r\n", false},
		{"9112-9.3 close in a list", "1.1", "Connection: upgrade , Close\r\n", false},
		{"9112-9.3 close in a second field", "1.1", "Connection: x\r\nconnection: close\r\n", false},
		{"9112-9.3 keep-alive in 1.0", "1.0", "Connection: Keep-Alive\r\n", true},
		{"9112-9.3 close wins over keep-alive", "1.0", "Connection: keep-alive, close\r\n", false},
		{"9110-7.6.1 not a part of a token", "1.1", "Connection: closed\r\n", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req, buf := parsedRequest(t, "GET / HTTP/"+c.version+"\r\n"+c.fields+"\r\n")
			if got := req.KeepAlive(buf); got != c.want {
				t.Errorf("request: %v", got)
			}
			resp, buf := parsedResponse(t, "HTTP/"+c.version+" 200 OK\r\n"+c.fields+"\r\n")
			if got := resp.KeepAlive(buf); got != c.want {
				t.Errorf("response: %v", got)
			}
		})
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
