package admin

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func gathered(g *gatherer, lines ...string) []string {
	var writes []string
	for _, line := range lines {
		g.add([]byte(line), func(b []byte) { writes = append(writes, string(b)) })
	}
	return writes
}

// A buffer is written when the next line does not fit, and a line larger than it by itself,
// as in nginx.
func TestGatherFillsTheBuffer(t *testing.T) {
	g := newGatherer(&Target{Buffer: 10})
	for _, step := range []struct{ add, written, left string }{
		{"1234\n", "", "1234\n"},
		{"5678\n", "", "1234\n5678\n"},
		{"9\n", "1234\n5678\n", "9\n"},
		{"a\nb\nc\nd\ne\n", "9\na\nb\nc\nd\n", "e\n"},
		{"larger than ten\nf\n", "e\n|larger than ten\n", "f\n"},
	} {
		if got := strings.Join(gathered(&g, step.add), "|"); got != step.written || string(g.lines) != step.left {
			t.Errorf("%q: wrote %q, want %q; left %q, want %q", step.add, got, step.written, g.lines, step.left)
		}
	}
}

func inflate(t *testing.T, packed []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testDeadline); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// What is gathered is written when the log is reopened, to the file it was meant for, and at
// the end. Each time the gzip member is whole.
func TestBufferedGzipReopens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log.gz")
	logs := NewLogs(io.Discard)
	sink, err := logs.Open(Target{Path: path, Buffer: 4096, Gzip: 6})
	if err != nil {
		t.Fatal(err)
	}
	sink.Swap([]byte("one\ntwo\n"))
	waitWritten(t, sink)
	if text := readFile(t, path); text != "" {
		t.Errorf("%d bytes were written at once", len(text))
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := logs.Reopen(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first file", func() bool { return readFile(t, path+".1") != "" })
	sink.Swap([]byte("three\n"))
	closeLogs(t, logs)
	if got := inflate(t, []byte(readFile(t, path+".1"))); got != "one\ntwo\n" {
		t.Errorf("the first file has %q", got)
	}
	if got := inflate(t, []byte(readFile(t, path))); got != "three\n" {
		t.Errorf("the second file has %q", got)
	}
	if sink.Dropped() != 0 {
		t.Errorf("%d lines were dropped", sink.Dropped())
	}
}

func TestFlushTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	logs := NewLogs(io.Discard)
	defer closeLogs(t, logs)
	sink, err := logs.Open(Target{Path: path, Buffer: 1 << 20, Flush: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one\n", "one\ntwo\n"} {
		sink.Swap([]byte(want[strings.LastIndexByte(want[:len(want)-1], '\n')+1:]))
		waitFor(t, "the line", func() bool { return readFile(t, path) == want })
	}
}

// A gzip member that could not be written whole is taken off the file, so that what follows
// can be read.
func TestTornGzipIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gz")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sink := &Sink{path: path, report: io.Discard, gather: newGatherer(&Target{Buffer: 100, Gzip: 1})}
	whole := bytes.Clone(sink.gather.pack([]byte("whole\n")))
	if _, err := file.Write(append(bytes.Clone(whole), "torn"...)); err != nil {
		t.Fatal(err)
	}
	sink.cutOff(file, len("torn"))
	if got := readFile(t, path); got != string(whole) {
		t.Errorf("the file has %d bytes, want %d", len(got), len(whole))
	}
}

func TestDroppedBy(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here: ", err)
	}
	logs := NewLogs(io.Discard)
	full, err := logs.Open(Target{Path: "/dev/full"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logs.Open(Target{Path: "/dev/null"}); err != nil {
		t.Fatal(err)
	}
	full.Swap([]byte("a\nb\n"))
	closeLogs(t, logs)
	if by := logs.DroppedBy(); len(by) != 2 || by["/dev/full"] != 2 || by["/dev/null"] != 0 {
		t.Errorf("dropped: %v", by)
	}
}
