package httpparse_test

import (
	"testing"

	"holdfast/httpparse"
)

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
	if got := feed(r, buf, len(buf)); got != badGateway(httpparse.ErrTooManyFields) {
		t.Errorf("limit of 2: %s", got)
	}
}

func TestBadField(t *testing.T) {
	for head, want := range map[string]string{
		"HTTP/1.1 200 OK\r\na: b\r\nx\x00y: z\r\n\r\n": "x\x00",
		"HTTP/1.1 200 OK\r\nx y\r\n\r\n":               "x ",
		"HTTP/1.1 200 OK\r\nxy\r\n\r\n":                "xy\r",
		"HTTP/1.1 200 OK\r\nx: y\x01z\r\n\r\n":         "x: y\x01",
		"HTTP/1.1 200 OK\r\n x: y\r\n\r\n":             " ",
		"HTTP/1.1 200 OK\nx: y\r\n\r\n":                "",
		"HTTP/1.1 200 OK\r\nx: y\r\n\r\n":              "",
	} {
		var r httpparse.Response
		_, _ = r.Parse([]byte(head))
		start, bad, ok := r.BadField([]byte(head))
		got := ""
		if ok {
			got = string(append(start[:len(start):len(start)], bad))
		}
		if got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}
