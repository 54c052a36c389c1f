package admin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testDeadline is how long a test waits for what must happen.
const testDeadline = 60 * time.Second

func openSink(t *testing.T, path string) (*Logs, *Sink) {
	t.Helper()
	logs := NewLogs(io.Discard)
	sink, err := logs.Open(Target{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return logs, sink
}

func closeLogs(t *testing.T, logs *Logs) {
	t.Helper()
	if err := logs.Close(testDeadline); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitWritten waits until the writer has taken and written everything.
func waitWritten(t *testing.T, s *Sink) {
	t.Helper()
	written := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.queued == 0
	}
	for deadline := time.Now().Add(testDeadline); !written(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the writer does not finish")
		}
	}
}

func TestSinkKeepsLinesWholeAndInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	logs, sink := openSink(t, path)
	const shards, turns, linesATurn = 8, 200, 5
	var wg sync.WaitGroup
	for shard := range shards {
		wg.Go(func() {
			var buf []byte
			for turn := range turns {
				for line := range linesATurn {
					buf = fmt.Appendf(buf, "%d %d\n", shard, turn*linesATurn+line)
				}
				if buf = sink.Swap(buf); len(buf) != 0 {
					t.Error("Swap returned a buffer that is not empty")
				}
			}
		})
	}
	wg.Wait()
	closeLogs(t, logs)

	next := [shards]int{}
	scanner := bufio.NewScanner(strings.NewReader(readFile(t, path)))
	scanner.Scan()
	if scanner.Text() != "before" {
		t.Fatalf("the file was not appended to: it begins with %q", scanner.Text())
	}
	for scanner.Scan() {
		var shard, n int
		if _, err := fmt.Sscanf(scanner.Text(), "%d %d", &shard, &n); err != nil {
			t.Fatalf("line %q: %v", scanner.Text(), err)
		}
		if n != next[shard] {
			t.Fatalf("shard %d: line %d where %d was due", shard, n, next[shard])
		}
		next[shard]++
	}
	for shard, n := range next {
		if n != turns*linesATurn {
			t.Errorf("shard %d: %d lines, want %d", shard, n, turns*linesATurn)
		}
	}
	if sink.Dropped() != 0 {
		t.Errorf("%d lines were dropped", sink.Dropped())
	}
}

func TestSwapDoesNotAllocate(t *testing.T) {
	logs, sink := openSink(t, filepath.Join(t.TempDir(), "access.log"))
	defer closeLogs(t, logs)
	buf := make([]byte, 0, 4096)
	turn := func() {
		buf = append(buf, "a line of the access log\n"...)
		buf = sink.Swap(buf)
		waitWritten(t, sink)
	}
	for range 10 {
		turn()
	}
	if n := testing.AllocsPerRun(200, turn); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

// A log that nobody takes lines from costs bounded memory, and a bounded stop.
func TestSinkIsBoundedWhenBlocked(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	sink := newSink(&Target{Path: "pipe"}, writer, io.Discard)
	line := append(bytes.Repeat([]byte{'x'}, 1<<16-1), '\n')
	const given = 200
	for range given {
		sink.Swap(bytes.Clone(line))
		sink.mu.Lock()
		if sink.queued > sinkBytesMax {
			t.Errorf("%d bytes are waiting", sink.queued)
		}
		sink.mu.Unlock()
	}
	// 200 lines of 64 KiB: 4 MiB may wait, and the pipe holds a little.
	if n := sink.Dropped(); n < given/2 || n >= given {
		t.Errorf("%d of %d lines were dropped", n, given)
	}
	if err := sink.close(time.Now()); err == nil || !strings.Contains(err.Error(), "not written in time") {
		t.Errorf("close of a blocked log: error %v", err)
	}
	before := sink.Dropped()
	sink.Swap([]byte("late\nlines\n"))
	if n := sink.Dropped() - before; n != 2 {
		t.Errorf("%d lines counted after close, want 2", n)
	}
}

func TestSinkReopens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	logs, sink := openSink(t, path)
	sink.Swap([]byte("one\n"))
	waitWritten(t, sink)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // more often than the writer may notice
		if err := logs.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	sink.Swap([]byte("two\n"))
	waitWritten(t, sink)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := logs.Reopen(); err == nil {
		t.Error("reopening a path that became a folder gave no error")
	}
	sink.Swap([]byte("three\n"))
	closeLogs(t, logs)
	if got := readFile(t, path+".1"); got != "one\n" {
		t.Errorf("the rotated file holds %q", got)
	}
	if sink.Dropped() != 0 {
		t.Errorf("%d lines were dropped", sink.Dropped())
	}
	if err := logs.Reopen(); err == nil {
		t.Error("reopening after close gave no error for a folder")
	}
}

// Reopening again before the writer has noticed leaves no file open.
func TestReopenOverReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	sink := &Sink{path: path, report: io.Discard, wake: make(chan struct{}, 1)} // no writer
	before := openFds()
	for range 3 {
		if err := sink.reopen(); err != nil {
			t.Fatal(err)
		}
	}
	if n := openFds() - before; n != 1 {
		t.Errorf("%d files are open, want 1", n)
	}
	sink.next.Close()
}

func TestSinkOnFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here: ", err)
	}
	var report bytes.Buffer
	logs := NewLogs(&report)
	sink, err := logs.Open(Target{Path: "/dev/full"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		sink.Swap([]byte("one\ntwo\n"))
		waitWritten(t, sink)
	}
	closeLogs(t, logs)
	if sink.Dropped() != 10 || logs.Dropped() != 10 {
		t.Errorf("%d lines counted as dropped, want 10", sink.Dropped())
	}
	if got := strings.Count(report.String(), "\n"); got != 1 || !strings.Contains(report.String(), "no space left") {
		t.Errorf("reported %q, want one line that says why", report.String())
	}
}

// After a line that was cut by an error the next one begins on a line of its own.
func TestSinkAfterTornLine(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	sink := &Sink{path: "pipe", report: io.Discard}
	cut := make(chan error, 1)
	go func() { // once a part of the line is in the pipe, the write fails
		_, err := reader.Read(make([]byte, 1))
		cut <- errors.Join(err, writer.SetWriteDeadline(time.Now()))
	}()
	sink.write(writer, append(bytes.Repeat([]byte{'x'}, 1<<20), '\n'))
	if err := <-cut; err != nil {
		t.Fatal(err)
	}
	if sink.Dropped() != 1 {
		t.Fatalf("%d lines dropped, want the cut one", sink.Dropped())
	}
	received := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(reader)
		received <- string(text)
	}()
	if err := writer.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	sink.write(writer, []byte("next\n"))
	writer.Close()
	if text := <-received; !strings.HasSuffix(text, "x\nnext\n") {
		t.Errorf("the text ends with %q", text[max(0, len(text)-20):])
	}
}

func TestOpenPaths(t *testing.T) {
	dir := t.TempDir()
	logs := NewLogs(io.Discard)
	defer closeLogs(t, logs)

	null, err := logs.Open(Target{Path: "/dev/null"})
	if err != nil {
		t.Fatal(err)
	}
	given := []byte("line\n")
	if back := null.Swap(given); len(back) != 0 || cap(back) != cap(given) || null.Dropped() != 0 {
		t.Error("/dev/null did not give the buffer back")
	}
	first, err := logs.Open(Target{Path: filepath.Join(dir, "a.log")})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := logs.Open(Target{Path: filepath.Join(dir, "a.log")}); err != nil || again != first {
		t.Errorf("the same path gave another sink (error %v)", err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                              "is a directory",
		filepath.Join(dir, "no", "such"): "no such file",
		fifo:                             "is a named pipe",
	} {
		if _, err := logs.Open(Target{Path: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: error %v, want %q", path, err, want)
		}
	}
}

func TestOpenAfterClose(t *testing.T) {
	logs := NewLogs(io.Discard)
	closeLogs(t, logs)
	if _, err := logs.Open(Target{Path: "/dev/null"}); err == nil {
		t.Error("a closed set of logs opened one")
	}
}

// Container images link their log files to the process's streams.
func TestLinkToStdout(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = writer
	defer func() { os.Stdout = old }()
	link := filepath.Join(t.TempDir(), "access.log")
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", writer.Fd()), link); err != nil {
		t.Fatal(err)
	}
	if standardStream(link) != writer || standardStream("stdout") != writer || standardStream("/dev/stdout") != writer {
		t.Error("a path to stdout is not taken for it")
	}
	if standardStream("stderr") != os.Stderr {
		t.Error("stderr is not stderr")
	}
	logs, sink := openSink(t, link)
	sink.Swap([]byte("hello\n"))
	if err := logs.Reopen(); err != nil {
		t.Error(err)
	}
	closeLogs(t, logs)
	if _, err := writer.Write([]byte("still open\n")); err != nil {
		t.Errorf("closing the log closed stdout: %v", err)
	}
	writer.Close()
	text, err := io.ReadAll(reader)
	if err != nil || string(text) != "hello\nstill open\n" {
		t.Errorf("stdout got %q, error %v", text, err)
	}
	reader.Close()
}
