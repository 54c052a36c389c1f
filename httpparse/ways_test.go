package httpparse_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"holdfast/httpparse"
)

// head is what Request and Response have in common.
type head interface {
	Reset()
	Parse(buf []byte) (done bool, err httpparse.Error)
}

// feed gives a reset p the prefixes of in that end at each of ends, each in memory of
// its own, and describes what came out of the last call that was needed.
func feed(p head, in []byte, ends ...int) string {
	p.Reset()
	for _, end := range ends {
		buf := append([]byte(nil), in[:end]...)
		if done, err := p.Parse(buf); done || err != httpparse.OK {
			return describe(p, buf, err)
		}
	}
	return "incomplete"
}

// describe renders a head, so that two outcomes compare as text.
func describe(p head, buf []byte, err httpparse.Error) string {
	if err != httpparse.OK {
		return "refused: " + err.String()
	}
	var b strings.Builder
	var fields []httpparse.Field
	headLen := 0
	switch p := p.(type) {
	case *httpparse.Request:
		fmt.Fprintf(&b, "%s %s 1.%d", p.Method.Of(buf), p.Target.Of(buf), p.Minor)
		fields, headLen = p.Fields, p.HeadLen
	case *httpparse.Response:
		fmt.Fprintf(&b, "1.%d %d %q", p.Minor, p.Status, p.Reason.Of(buf))
		fields, headLen = p.Fields, p.HeadLen
	}
	for _, f := range fields {
		fmt.Fprintf(&b, " [%s: %s]", f.Name.Of(buf), f.Value.Of(buf))
	}
	fmt.Fprintf(&b, " +%d", headLen)
	return b.String()
}

// upTo lists 1 to n.
func upTo(n int) []int {
	ends := make([]int, n)
	for i := range ends {
		ends[i] = i + 1
	}
	return ends
}

// checkEveryWay parses in whole, cut in two at every place, byte by byte, and flush
// against a page that must not be touched, and wants the same outcome each time.
func checkEveryWay(t *testing.T, p head, in, want string) {
	t.Helper()
	data := []byte(in)
	if got := feed(p, data, len(data)); got != want {
		t.Fatalf("whole:\n got %s\nwant %s", got, want)
	}
	for cut := 1; cut < len(data); cut++ {
		if got := feed(p, data, cut, len(data)); got != want {
			t.Fatalf("cut at %d:\n got %s\nwant %s", cut, got, want)
		}
	}
	if got := feed(p, data, upTo(len(data))...); got != want {
		t.Fatalf("byte by byte:\n got %s\nwant %s", got, want)
	}
	guarded := atGuardPage(t, data)
	p.Reset()
	done, err := p.Parse(guarded)
	got := "incomplete"
	if done || err != httpparse.OK {
		got = describe(p, guarded, err)
	}
	if got != want {
		t.Fatalf("at the guard page:\n got %s\nwant %s", got, want)
	}
}

// atGuardPage copies data to the end of a mapping whose next page faults on any
// access. Its capacity ends there too.
func atGuardPage(t testing.TB, data []byte) []byte {
	t.Helper()
	page := syscall.Getpagesize()
	size := (len(data)/page + 1) * page
	mem, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(mem); err != nil {
			t.Errorf("munmap: %v", err)
		}
	})
	if err := syscall.Mprotect(mem[size:], syscall.PROT_NONE); err != nil {
		t.Fatalf("mprotect: %v", err)
	}
	out := mem[size-len(data) : size : size]
	copy(out, data)
	return out
}

// parsedRequest is the head of in, which must be good and whole.
func parsedRequest(t testing.TB, in string) (*httpparse.Request, []byte) {
	t.Helper()
	r := new(httpparse.Request)
	if done, err := r.Parse([]byte(in)); !done || err != httpparse.OK {
		t.Fatalf("request %q: done %v, %v", in, done, err)
	}
	return r, []byte(in)
}

func parsedResponse(t testing.TB, in string) (*httpparse.Response, []byte) {
	t.Helper()
	r := new(httpparse.Response)
	if done, err := r.Parse([]byte(in)); !done || err != httpparse.OK {
		t.Fatalf("response %q: done %v, %v", in, done, err)
	}
	return r, []byte(in)
}
