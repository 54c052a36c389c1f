package httpparse_test

import (
	"testing"

	"holdfast/httpparse"
)

func TestResponseAccepted(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"9112-4 status line", "HTTP/1.1 200 OK\r\n\r\n", `1.1 200 "OK" +19`},
		{"9112-4 empty reason", "HTTP/1.1 200 \r\n\r\n", `1.1 200 "" +17`},
		{"9112-4 empty reason without its space", "HTTP/1.0 204\r\n\r\n", `1.0 204 "" +16`},
		{"9112-4 reason with spaces", "HTTP/1.1 404 Not  Found \r\n\r\n", `1.1 404 "Not  Found " +28`},
		{"9112-4 obs-text in the reason", "HTTP/1.1 200 \xc3\xa9\r\n\r\n", `1.1 200 "é" +19`},
		{"9110-15 status above 599", "HTTP/1.1 999 x\r\n\r\n", `1.1 999 "x" +18`},
		{
			"6455-4.2.2 switching protocols, frames behind it",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi",
			`1.1 101 "Switching Protocols" [Upgrade: websocket] [Connection: Upgrade] +77`,
		},
		{"9110-15.2 interim response first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
			`1.1 100 "Continue" +25`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkEveryWay(t, new(httpparse.Response), c.in, c.want) })
	}
}

func TestResponseRefused(t *testing.T) {
	cases := []struct {
		name, in string
		want     httpparse.Error
	}{
		{"9112-4 another protocol", "220 mail.example.com ESMTP\r\n", httpparse.ErrStatusLine},
		{"9112-4 empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-4 code of two digits", "HTTP/1.1 20 OK\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-4 code of four digits", "HTTP/1.1 2000 OK\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-4 code below 100", "HTTP/1.1 099 OK\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-4 code not digits", "HTTP/1.1 2x0 OK\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-4 two spaces before the code", "HTTP/1.1  200 OK\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-4 control in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-4 no code", "HTTP/1.1\r\n\r\n", httpparse.ErrStatusLine},
		{"9112-2.3 malformed version", "HTTP/1,1 200 OK\r\n\r\n", httpparse.ErrVersion},
		{"9112-2.3 HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", httpparse.ErrVersionUnsupported},
		{"9112-2.2 bare LF", "HTTP/1.1 200 OK\n\r\n", httpparse.ErrLineEnd},
		{"9112-2.2 bare LF, another protocol", "SSH-2.0-x\n", httpparse.ErrStatusLine},
		{"9112-5.1 space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", httpparse.ErrFieldSpace},
		{"9112-5.2 folded field", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", httpparse.ErrFieldFold},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checkEveryWay(t, new(httpparse.Response), c.in, "refused: "+c.want.String())
		})
	}
}

func TestResponseFields(t *testing.T) {
	r, buf := parsedResponse(t, "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Other: o\r\nset-cookie: b=2\r\n\r\n")
	if value, ok := r.Find(buf, httpparse.FieldSetCookie); !ok || string(value) != "a=1" {
		t.Errorf("Set-Cookie: %q %v", value, ok)
	}
	if n := r.Count(httpparse.FieldSetCookie); n != 2 {
		t.Errorf("Set-Cookie counted %d times", n)
	}
	if value, ok := r.FindName(buf, []byte("x-OTHER")); !ok || string(value) != "o" {
		t.Errorf("X-Other: %q %v", value, ok)
	}
	r.MaxFields = 2
	if got := feed(r, buf, len(buf)); got != "refused: too many header fields" {
		t.Errorf("limit of 2: %s", got)
	}
}
