package observe

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

var testTime = time.Date(2026, 11, 21, 7, 30, 0, 0, time.Local).UnixNano()

func fullEntry() *Entry {
	return &Entry{
		NowNs: testTime, Level: LevelError, Conn: 42,
		Message: "connect() failed", Detail: []byte("(111: Connection refused) while connecting to upstream"),
		Client: []byte("10.0.0.9"), Server: "example.org", Request: []byte("GET /ws HTTP/1.1"),
		Upstream: "127.0.0.1:8080", URI: []byte("/ws"), Host: []byte("example.org:80"),
	}
}

func TestErrorLine(t *testing.T) {
	log := NewErrorLog(LevelInfo, 17, 77)
	want := "2026/11/21 07:30:00 [error] 17#77: *42 connect() failed (111: Connection refused) " +
		"while connecting to upstream, client: 10.0.0.9, server: example.org, request: \"GET /ws HTTP/1.1\", " +
		"upstream: \"http://127.0.0.1:8080/ws\", host: \"example.org:80\"\n"
	if got := string(log.Append(nil, fullEntry())); got != want {
		t.Errorf("line\n%swant\n%s", got, want)
	}
	bare := Entry{NowNs: testTime, Level: LevelNotice, Message: "started"}
	want = "2026/11/21 07:30:00 [notice] 17#0: started\n"
	if got := string(NewErrorLog(LevelInfo, 17, 0).Append(nil, &bare)); got != want {
		t.Errorf("line\n%swant\n%s", got, want)
	}
	unix := Entry{NowNs: testTime, Level: LevelWarn, Message: "m", Upstream: "unix:/run/b", URI: []byte("/x")}
	if got := string(log.Append(nil, &unix)); !strings.HasSuffix(got, `m, upstream: "http://unix:/run/b:/x"`+"\n") {
		t.Errorf("line %s", got)
	}
}

func TestErrorLevels(t *testing.T) {
	log := NewErrorLog(LevelWarn, 17, 0)
	for level := LevelDebug; level <= LevelEmerg; level++ {
		parsed, ok := ParseLevel(level.String())
		if !ok || parsed != level {
			t.Errorf("%s parses as %s, %v", level, parsed, ok)
		}
		line := log.Append(nil, &Entry{Level: level, Message: "m"})
		if written := len(line) > 0; written != (level >= LevelWarn) || written != log.Enabled(level) {
			t.Errorf("%s with error_log at warn: written is %v", level, written)
		}
	}
	if _, ok := ParseLevel("loud"); ok {
		t.Error("an unknown level parses")
	}
}

// hostile checks that a line with the bytes in every field is one line of printable
// ASCII whose quotes are the six of its own fields.
func hostile(t *testing.T, value []byte) {
	t.Helper()
	e := fullEntry()
	e.Client, e.Server, e.Request, e.URI, e.Host, e.Detail = value, string(value), value, value, value, value
	e.Upstream = string(value)
	line := NewErrorLog(LevelDebug, 17, 0).Append(nil, e)
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Fatalf("more than one line: %q", line)
	}
	for _, c := range line[:len(line)-1] {
		if c < 0x20 || c > 0x7e {
			t.Fatalf("byte %#x in %q", c, line)
		}
	}
	e.Detail = nil
	if n := bytes.Count(NewErrorLog(LevelDebug, 17, 0).Append(nil, e), []byte{'"'}); len(value) > 0 && n != 6 {
		t.Fatalf("%d quotes with %q, want 6", n, value)
	}
	if len(line) > 8*(4*valueBytesMax+64) {
		t.Fatalf("a line of %d bytes", len(line))
	}
}

func TestHostileBytes(t *testing.T) {
	for c := range 256 {
		hostile(t, []byte{'a', byte(c), 'b'})
	}
	hostile(t, bytes.Repeat([]byte{0}, 1<<20))
	got := string(appendValue(nil, "a\"b\\c\n\x1b[31m\x7f\xe2\x82\xac"))
	if want := `a\x22b\x5Cc\x0A\x1B[31m\x7F\xE2\x82\xAC`; got != want {
		t.Errorf("escaped as %s, want %s", got, want)
	}
	if got := string(appendText(nil, "open \"x\\y\":\nno")); got != `open "x\y":\x0Ano` {
		t.Errorf("escaped as %s", got)
	}
}

func FuzzErrorLine(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\", host: \"x"))
	f.Fuzz(hostile)
}

func TestSimilarMessagesAreSuppressed(t *testing.T) {
	log := NewErrorLog(LevelDebug, 17, 1)
	write := func(nowNs int64, message string, n int) string {
		var out []byte
		for range n {
			out = log.Append(out, &Entry{NowNs: nowNs, Level: LevelError, Message: message})
		}
		return string(out)
	}
	if got := strings.Count(write(testTime, "refused", 1000), "\n"); got != linesPerSecond {
		t.Fatalf("%d lines of 1000 in one second, want %d", got, linesPerSecond)
	}
	if got := write(testTime, "another", 1); strings.Count(got, "\n") != 1 {
		t.Fatalf("another message in the same second gave %q", got)
	}
	if got := log.AppendSuppressed(nil, testTime); len(got) != 0 {
		t.Fatalf("a summary before the second is over: %q", got)
	}
	got := write(testTime+nsPerSecond, "refused", 1)
	summary := regexp.MustCompile(`^2026/11/21 07:30:01 \[error\] \d+#1: 990 similar messages suppressed: refused\n`)
	if !summary.MatchString(got) || strings.Count(got, "\n") != 2 {
		t.Fatalf("the next second began with %q", got)
	}
	write(testTime+nsPerSecond, "refused", 100)
	write(testTime+nsPerSecond, "another", 13)
	got = string(log.AppendSuppressed(nil, testTime+2*nsPerSecond))
	if !strings.Contains(got, ": 91 similar messages suppressed: refused\n") ||
		!strings.Contains(got, ": 3 similar messages suppressed: another\n") || strings.Count(got, "\n") != 2 {
		t.Fatalf("summaries %q", got)
	}
	if got := log.AppendSuppressed(nil, testTime+3*nsPerSecond); len(got) != 0 || log.limiter.pending != 0 {
		t.Fatalf("summaries twice: %q", got)
	}
}

// Whatever falls into one slot, no message is lost without being counted.
func TestSuppressedCountsAddUp(t *testing.T) {
	log := NewErrorLog(LevelDebug, 17, 1)
	var out []byte
	const messages, times = 300, 40
	names := make([]string, messages)
	for i := range names {
		names[i] = fmt.Sprintf("message %d", i)
	}
	for n := range times {
		for i := range names {
			out = log.Append(out, &Entry{NowNs: testTime + int64(n/20)*nsPerSecond, Level: LevelInfo, Message: names[i]})
		}
	}
	for i := range 100 {
		for range i {
			out = log.Append(out, &Entry{NowNs: testTime + 5*nsPerSecond, Level: LevelInfo, Message: names[i]})
		}
	}
	out = log.AppendSuppressed(out, testTime+9*nsPerSecond)
	counted := 0
	for line := range strings.Lines(string(out)) {
		var n int
		_, text, _ := strings.Cut(line, ": ")
		if _, err := fmt.Sscanf(text, "%d similar", &n); err != nil {
			n = 1
		}
		counted += n
	}
	if want := messages*times + 99*100/2; counted != want {
		t.Errorf("%d messages are accounted for, want %d", counted, want)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	log := NewErrorLog(LevelDebug, 17, 1)
	e := fullEntry()
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(1000, func() {
		e.NowNs += nsPerSecond / 20
		dst = log.Append(dst[:0], e)
		dst = log.AppendSuppressed(dst, e.NowNs)
	}); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkErrorLine(b *testing.B) {
	log := NewErrorLog(LevelDebug, 17, 1)
	e := fullEntry()
	dst := make([]byte, 0, 4096)
	for b.Loop() {
		e.NowNs += nsPerSecond
		dst = log.Append(dst[:0], e)
	}
}

// What programs count is written every time, and does not touch what is limited.
func TestAlways(t *testing.T) {
	log := NewErrorLog(LevelDebug, 17, 1)
	var out []byte
	for range 1000 {
		out = log.Append(out, &Entry{NowNs: testTime, Level: LevelError, Message: "refused", Always: true})
	}
	if got := bytes.Count(out, []byte("\n")); got != 1000 || log.limiter.pending != 0 {
		t.Errorf("%d lines, %d suppressed", got, log.limiter.pending)
	}
}

// A text may quote a long value and still end with what matters.
func TestQuotedInText(t *testing.T) {
	value := bytes.Repeat([]byte(`x"\`), 4<<10)
	text := append(AppendQuoted([]byte("user "), value), ": password mismatch"...)
	line := string(NewErrorLog(LevelDebug, 17, 1).Append(nil, &Entry{NowNs: testTime, Level: LevelError, Text: text}))
	if !strings.HasSuffix(line, "...\": password mismatch\n") || strings.Count(line, `"`) != 2 || strings.Contains(line, `\"`) {
		t.Errorf("line %.200s", line)
	}
	if got, want := string(AppendQuoted(nil, "a\"b")), `"a\x22b"`; got != want {
		t.Errorf("quoted as %s, want %s", got, want)
	}
}
