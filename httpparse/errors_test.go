package httpparse_test

import (
	"testing"

	"holdfast/httpparse"
)

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
