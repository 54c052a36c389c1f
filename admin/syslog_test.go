package admin

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func receive(t *testing.T, conn net.PacketConn) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	if err := conn.SetReadDeadline(time.Now().Add(testDeadline)); err != nil {
		t.Fatal(err)
	}
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func mustMatch(t *testing.T, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("got %q, want %s", got, pattern)
	}
}

func TestSyslogOverUDP(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	logs := NewLogs(io.Discard)
	defer closeLogs(t, logs)
	open := func(s Syslog) *Sink {
		s.Network, s.Address = "udp", server.LocalAddr().String()
		sink, err := logs.Open(Target{Label: s.Tag, Syslog: &s})
		if err != nil {
			t.Fatal(err)
		}
		return sink
	}
	const stamp = `[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d `
	open(Syslog{Facility: 23, Severity: 6, Tag: "nginx", Hostname: "edge"}).Swap([]byte("GET /\nGET /2\n"))
	mustMatch(t, receive(t, server), `^<190>`+stamp+`edge nginx: GET /$`)
	mustMatch(t, receive(t, server), `^<190>`+stamp+`edge nginx: GET /2$`)
	open(Syslog{Facility: 1, Tag: "e", Errors: true}).Swap([]byte("2026/11/21 07:30:00 [crit] 1#1: broken\n"))
	mustMatch(t, receive(t, server), `^<10>`+stamp+`e: 2026/11/21 07:30:00 \[crit\] 1#1: broken$`)
}

// A syslog server that is started anew gets the lines again; what it missed is counted.
func TestSyslogOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logs := NewLogs(io.Discard)
	defer closeLogs(t, logs)
	to := Syslog{Network: "unixgram", Address: path, Tag: "x"}
	sink, err := logs.Open(Target{Label: "syslog", Syslog: &to})
	if err != nil {
		t.Fatal(err)
	}
	sink.Swap([]byte("nobody\nlistens\n"))
	waitFor(t, "the loss", func() bool { return sink.Dropped() == 2 })
	for range 2 {
		server, err := net.ListenPacket("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		sink.Swap([]byte("hello\n"))
		mustMatch(t, receive(t, server), ` x: hello$`)
		server.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if n := sink.Dropped(); n != 2 {
		t.Errorf("%d lines were dropped, want 2", n)
	}
}

// A server that reads nothing costs lines, and neither a shard's time nor the end's.
func TestSyslogNeverBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	logs := NewLogs(io.Discard)
	sink, err := logs.Open(Target{Label: "syslog", Syslog: &Syslog{Network: "unixgram", Address: path, Tag: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 60000)
	line[len(line)-1] = '\n'
	for range 200 {
		sink.Swap(append([]byte(nil), line...))
	}
	_ = logs.Close(time.Millisecond)
	if sink.Dropped() == 0 {
		t.Error("nothing was dropped")
	}
}
