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

// responseTo is a response with the method that it answers.
type responseTo struct {
	httpparse.Response
	method httpparse.MethodID
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
	return incomplete
}

const incomplete = "incomplete\n"

// describe renders a head and everything that can be asked of it, so that two outcomes
// compare as text.
func describe(p head, buf []byte, err httpparse.Error) string {
	switch p := p.(type) {
	case *httpparse.Request:
		if err == httpparse.OK {
			return describeRequest(p, buf)
		}
	case *responseTo:
		return describeResponse(&p.Response, buf, p.method, err)
	case *httpparse.Response:
		return describeResponse(p, buf, httpparse.MethodGet, err)
	}
	return verdict(err)
}

func describeRequest(r *httpparse.Request, buf []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.%d\n", visible(r.Method.Of(buf)), visible(r.Target.Of(buf)), r.Minor)
	writeFields(&b, buf, r.Fields)
	framing, _ := r.Framing(buf)
	fmt.Fprintf(&b, "head %d bytes, %s, %s\n", r.HeadLen, body(framing), connection(r.KeepAlive(buf)))
	kinds := map[httpparse.UpgradeKind]string{httpparse.UpgradeWebSocket: "WebSocket", httpparse.UpgradeOther: "other"}
	if kind := r.Upgrade(buf); kind != httpparse.UpgradeNone {
		fmt.Fprintf(&b, "upgrade: %s\n", kinds[kind])
	}
	if r.AsksWebSocket(buf) {
		fmt.Fprintf(&b, "handshake: %s", verdict(r.CheckWebSocket(buf)))
	}
	b.WriteString(verdict(r.Check(buf)))
	return b.String()
}

func describeResponse(r *httpparse.Response, buf []byte, method httpparse.MethodID, err httpparse.Error) string {
	var b strings.Builder
	if err != httpparse.OK {
		return badGateway(err)
	}
	fmt.Fprintf(&b, "HTTP/1.%d %d %q\n", r.Minor, r.Status, visible(r.Reason.Of(buf)))
	writeFields(&b, buf, r.Fields)
	framing, err := r.Framing(buf, method)
	fmt.Fprintf(&b, "head %d bytes, %s, %s\n%s", r.HeadLen, body(framing), connection(r.KeepAlive(buf)), badGateway(err))
	return b.String()
}

func writeFields(b *strings.Builder, buf []byte, fields []httpparse.Field) {
	for _, f := range fields {
		line := visible(f.Name.Of(buf)) + ": " + visible(f.Value.Of(buf))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// badGateway is verdict for a response: whoever asked gets a 502.
func badGateway(err httpparse.Error) string {
	if err == httpparse.OK {
		return verdict(err)
	}
	return fmt.Sprintf("refused: %v, 502\n", err)
}

// verdict names the status that a refused request gets.
func verdict(err httpparse.Error) string {
	if err == httpparse.OK {
		return "accepted\n"
	}
	return fmt.Sprintf("refused: %v, %d\n", err, err.Status())
}

func body(f httpparse.Framing) string {
	switch f.Kind {
	case httpparse.BodyLength:
		return fmt.Sprintf("body of %d bytes", f.Length)
	case httpparse.BodyChunked:
		return "body chunked"
	case httpparse.BodyClose:
		return "body until close"
	}
	return "no body"
}

func connection(persists bool) string {
	if persists {
		return "persists"
	}
	return "closes"
}

// visible is text with every byte that is not printable ASCII escaped.
func visible(text []byte) string {
	var b strings.Builder
	for i, c := range text {
		switch {
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c > '~' || c == ' ' && i == len(text)-1:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
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

// cuts lists the places to cut n bytes in two: all of them, but in a short run of the
// tests only some in the middle of long inputs.
func cuts(n int) (places []int) {
	for cut := 1; cut < n; cut++ {
		if !testing.Short() || cut < 64 || cut > n-64 || cut%97 == 0 {
			places = append(places, cut)
		}
	}
	return places
}

// everyWay parses in whole, cut in two at every place, byte by byte, and flush against a
// page that must not be touched, and wants the same outcome each time.
func everyWay(t *testing.T, p head, in string) (outcome string) {
	t.Helper()
	data := []byte(in)
	outcome = feed(p, data, len(data))
	for _, cut := range cuts(len(data)) {
		if got := feed(p, data, cut, len(data)); got != outcome {
			t.Fatalf("cut at %d:\n%swhole:\n%s", cut, got, outcome)
		}
	}
	if got := feed(p, data, upTo(len(data))...); got != outcome {
		t.Fatalf("byte by byte:\n%swhole:\n%s", got, outcome)
	}
	guarded := atGuardPage(t, data)
	p.Reset()
	done, err := p.Parse(guarded)
	got := incomplete
	if done || err != httpparse.OK {
		got = describe(p, guarded, err)
	}
	if got != outcome {
		t.Fatalf("at the guard page:\n%swhole:\n%s", got, outcome)
	}
	return outcome
}

// checkEveryWay is everyWay for a test that knows the outcome.
func checkEveryWay(t *testing.T, p head, in, want string) {
	t.Helper()
	if got := everyWay(t, p, in); got != want {
		t.Fatalf("\n got %s\nwant %s", got, want)
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
