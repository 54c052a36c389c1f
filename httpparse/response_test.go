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
