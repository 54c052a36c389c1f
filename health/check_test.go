package health

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/upstream"
)

// once makes one check against a backend and returns the fault as "text while step".
func once(t *testing.T, c *Check, serve func(net.Conn)) string {
	t.Helper()
	b := newBackends()
	if serve != nil {
		b.is(hostA, serve)
	}
	g := group(t, upstream.GroupSpec{}, hostA)
	kept, f := c.run(t.Context(), b.dial, g.AppendPeers(nil)[0], nil)
	if kept != nil {
		kept.Close()
	}
	if b.active != 0 {
		t.Errorf("%d connections are left open", b.active)
	}
	if f == (fault{}) {
		return ""
	}
	return f.text + f.found + " while " + f.while
}

func TestResponses(t *testing.T) {
	const notBefore = "upstream prematurely closed connection while "
	body := &HTTP{Bodies: []BodyTest{{Pattern: regexp.MustCompile("^Welcome")}}}
	notBody := &HTTP{Bodies: []BodyTest{{Not: true, Pattern: regexp.MustCompile("maintenance")}}}
	statuses := func(not bool, ranges ...[2]int) *HTTP { return &HTTP{Statuses: []StatusTest{{not, ranges}}} }
	header := func(op HeaderOp, value string) *HTTP {
		return &HTTP{Headers: []HeaderTest{{Name: "x-a", Op: op, Value: value}}}
	}
	match := func(op HeaderOp, pattern string) *HTTP {
		return &HTTP{Headers: []HeaderTest{{Name: "x-a", Op: op, Pattern: regexp.MustCompile(pattern)}}}
	}
	const status, head, inBody = "while checking status code", `unexpected header "x-a" while checking header`, "unexpected body while checking body"
	long := strings.Repeat("x", bodyMax)
	for _, tc := range []struct {
		h      *HTTP
		answer string
		want   string
	}{
		// Without match: 2xx and 3xx.
		{&HTTP{}, "HTTP/1.1 200 OK\r\n\r\n", ""},
		{&HTTP{}, "HTTP/1.0 399 \r\n\r\n", ""},
		{&HTTP{}, "HTTP/1.1 404 No\r\n\r\n", "unexpected status code 404 " + status},
		{&HTTP{}, "HTTP/1.1 199 No\r\n\r\nHTTP/1.1 204 Yes\r\n\r\n", ""},
		{&HTTP{}, "HTTP/1.1 101 Up\r\n\r\n", "unexpected status code 101 " + status},
		{&HTTP{}, strings.Repeat("HTTP/1.1 103 E\r\n\r\n", 9) + "HTTP/1.1 204 Yes\r\n\r\n",
			"upstream sent invalid header: too many interim responses while " + whileReadingHead},
		{&HTTP{}, "", notBefore + whileReadingHead},
		{&HTTP{}, "HTTP/1.1 200 OK\r\nA: b", notBefore + whileReadingHead},
		{&HTTP{}, "SSH-2.0-x\r\n", "upstream sent invalid header: malformed status line while " + whileReadingHead},
		{&HTTP{}, "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", headMax), "upstream sent too big header while " + whileReadingHead},
		{&HTTP{}, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
			"upstream sent invalid header: both Content-Length and Transfer-Encoding while " + whileReadingHead},
		// status
		{statuses(false, [2]int{200, 200}, [2]int{204, 204}), "HTTP/1.1 204 OK\r\n\r\n", ""},
		{statuses(false, [2]int{200, 200}, [2]int{204, 204}), "HTTP/1.1 201 OK\r\n\r\n", "unexpected status code 201 " + status},
		{statuses(true, [2]int{400, 599}), "HTTP/1.1 399 OK\r\n\r\n", ""},
		{statuses(true, [2]int{400, 599}), "HTTP/1.1 400 OK\r\n\r\n", "unexpected status code 400 " + status},
		{statuses(true, [2]int{301, 303}, [2]int{307, 307}), "HTTP/1.1 307 OK\r\n\r\n", "unexpected status code 307 " + status},
		// header
		{header(HeaderPresent, ""), "HTTP/1.1 500 OK\r\nX-A:\r\n\r\n", ""},
		{header(HeaderPresent, ""), "HTTP/1.1 200 OK\r\nX-B: c\r\n\r\n", head},
		{header(HeaderAbsent, ""), "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n", head},
		{header(HeaderAbsent, ""), "HTTP/1.1 200 OK\r\n\r\n", ""},
		{header(HeaderEqual, "b"), "HTTP/1.1 200 OK\r\nX-A: a\r\nx-a:  b \r\n\r\n", ""},
		{header(HeaderEqual, "b"), "HTTP/1.1 200 OK\r\nX-A: bb\r\n\r\n", head},
		{header(HeaderNotEqual, "b"), "HTTP/1.1 200 OK\r\nX-A: c\r\n\r\n", ""},
		{header(HeaderNotEqual, "b"), "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n", head},
		{header(HeaderNotEqual, "b"), "HTTP/1.1 200 OK\r\n\r\n", head},
		{match(HeaderMatches, "^b+$"), "HTTP/1.1 200 OK\r\nX-A: bbb\r\n\r\n", ""},
		{match(HeaderMatches, "^b+$"), "HTTP/1.1 200 OK\r\nX-A: abb\r\n\r\n", head},
		{match(HeaderNotMatch, "^b+$"), "HTTP/1.1 200 OK\r\nX-A: abb\r\n\r\n", ""},
		{match(HeaderNotMatch, "^b+$"), "HTTP/1.1 200 OK\r\n\r\n", head},
		// body
		{body, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nWelcome!!", ""},
		{body, "HTTP/1.1 200 OK\r\n\r\nWelcome", ""},
		{body, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nWel\r\n4\r\ncome\r\n0\r\n\r\n", ""},
		{body, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome", inBody},
		{body, "HTTP/1.1 204 OK\r\n\r\n", inBody},
		{body, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nWelcome", notBefore + whileReading},
		{body, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nWel\r\n", notBefore + whileReading},
		{body, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello",
			"upstream sent invalid chunked response: malformed chunk size while " + whileReading},
		{body, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
			"upstream sent invalid header: unknown transfer coding while " + whileReadingHead},
		{notBody, "HTTP/1.1 200 OK\r\n\r\nin maintenance now", inBody},
		{notBody, "HTTP/1.1 200 OK\r\n\r\n" + long + "maintenance", ""}, // beyond what is looked at
		{notBody, "HTTP/1.1 200 OK\r\n\r\n" + long[:bodyMax-11] + "maintenance", inBody},
	} {
		h := *tc.h
		h.Request = []byte("GET / HTTP/1.1\r\nHost: u\r\n\r\n")
		c := &Check{ConnectTimeout: time.Minute, Timeout: time.Minute, HTTP: &h}
		if got := once(t, c, answer(tc.answer, false)); got != tc.want {
			t.Errorf("%.60q, %+v: %q, want %q", tc.answer, h, got, tc.want)
		}
		drip := func(conn net.Conn) {
			answer("", true)(prefixed{conn, strings.Count(string(h.Request), "\n")})
			for i := range min(len(tc.answer), 200) {
				if _, err := conn.Write([]byte{tc.answer[i]}); err != nil {
					return
				}
			}
			if len(tc.answer) > 200 {
				_, _ = io.WriteString(conn, tc.answer[200:])
			}
		}
		if got := once(t, c, drip); got != tc.want {
			t.Errorf("%.60q byte by byte, %+v: %q, want %q", tc.answer, h, got, tc.want)
		}
	}
}

// prefixed ends after so many reads of a request's bytes.
type prefixed struct {
	net.Conn
	_ int
}

// Read reads up to the end of a head.
func (p prefixed) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
		return n, io.EOF
	}
	return n, err
}

func TestStreams(t *testing.T) {
	serve := func(wants, says string) func(net.Conn) {
		return func(c net.Conn) {
			got := make([]byte, len(wants))
			if _, err := io.ReadFull(c, got); err == nil && string(got) == wants {
				_, _ = io.WriteString(c, says)
			}
		}
	}
	pattern := func(p string) *regexp.Regexp { return regexp.MustCompile(Latin1([]byte(p))) }
	for _, tc := range []struct {
		s           Stream
		wants, says string
		want        string
	}{
		{Stream{}, "", "", ""},
		{Stream{Send: []byte("PING\r\n")}, "PING\r\n", "", ""},
		{Stream{Send: []byte("PING\r\n"), Expect: []byte("PONG")}, "PING\r\n", "+PONG\r\n", ""},
		{Stream{Send: []byte("PING\r\n"), Expect: []byte("PONG")}, "PING\r\n", "-ERR\r\n", "unexpected data while checking data"},
		{Stream{Expect: []byte("220 ")}, "", "220 mail\r\n", ""},
		{Stream{Pattern: pattern("(?i)200 ok")}, "", "HTTP/1.0 200 OK\r\n", ""},
		{Stream{Pattern: pattern("^\xff\x00[\x80-\x9f]$")}, "", "\xff\x00\x81", ""},
		{Stream{Pattern: pattern("^\xff\x00[\x80-\x9f]$")}, "", "\xff\x00\xa1", "unexpected data while checking data"},
		{Stream{Expect: []byte("z")}, "", strings.Repeat("a", expectMax) + "z", "unexpected data while checking data"},
		{Stream{Expect: []byte("az")}, "", strings.Repeat("a", expectMax-1) + "z", ""},
		{Stream{Expect: []byte("x")}, "", "", "unexpected data while checking data"},
	} {
		c := &Check{ConnectTimeout: time.Minute, Timeout: time.Minute, Stream: &tc.s}
		if got := once(t, c, serve(tc.wants, tc.says)); got != tc.want {
			t.Errorf("send %q expect %q %v: %q, want %q", tc.s.Send, tc.s.Expect, tc.s.Pattern, got, tc.want)
		}
	}
	if got := once(t, &Check{ConnectTimeout: time.Minute, Timeout: time.Minute, Stream: &Stream{}}, nil); got !=
		"connect() failed (111: Connection refused) while connecting to upstream" {
		t.Error(got)
	}
}

// The limits of time: connecting, each step of HTTP, the whole of a stream.
func TestTimeLimits(t *testing.T) {
	const timedOut = "upstream timed out (110: Connection timed out) while "
	slow := func(text string, pause time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			go hang(c)
			for i := range len(text) {
				time.Sleep(pause)
				if _, err := c.Write([]byte{text[i]}); err != nil {
					return
				}
			}
			time.Sleep(time.Hour)
		}
	}
	body := &HTTP{Request: []byte("GET / HTTP/1.0\r\n\r\n"), Bodies: []BodyTest{{Pattern: regexp.MustCompile("ok")}}}
	plain := &HTTP{Request: []byte("GET / HTTP/1.0\r\n\r\n")}
	for _, tc := range []struct {
		name  string
		check Check
		serve func(net.Conn)
		want  string
		took  time.Duration
	}{
		{"head", Check{HTTP: plain}, slow(ok, time.Second), timedOut + whileReadingHead, 10 * time.Second},
		{"body", Check{HTTP: body}, slow(ok, 200*time.Millisecond), "", 8 * time.Second},
		{"endless body", Check{HTTP: body}, slow("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 100), 200*time.Millisecond),
			timedOut + whileReading, 14 * time.Second},
		{"stream", Check{Stream: &Stream{Expect: []byte("ok")}}, slow("........ok", 2*time.Second), timedOut + whileReading, 10 * time.Second},
		{"unread", Check{Stream: &Stream{Send: []byte("x")}}, func(net.Conn) { time.Sleep(time.Hour) }, timedOut + whileSending, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			tc.check.ConnectTimeout, tc.check.Timeout = 3*time.Second, 10*time.Second
			begun := time.Now()
			if got := once(t, &tc.check, tc.serve); got != tc.want {
				t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			}
			if took := time.Since(begun); took > tc.took || took < tc.took/2 {
				t.Errorf("%s: %v, want %v", tc.name, took, tc.took)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

// keepalive_time: one connection for many checks, until it is too old; one that the server has
// closed is no failure.
func TestKeptConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBackends(), group(t, upstream.GroupSpec{}, hostA)
		b.is(hostA, answer(ok, true))
		s := b.set()
		defer s.Close()
		c := check(g)
		c.HTTP.KeepaliveTime = time.Minute
		s.Update([]*Check{c})
		after(50 * time.Second)
		peer := g.AppendPeers(nil)[0]
		if n := b.dialled(hostA); n != 1 || peer.Health.Checks.Load() < 49 {
			t.Errorf("%d connections for %d checks", n, peer.Health.Checks.Load())
		}
		after(20 * time.Second)
		if n := b.dialled(hostA); n != 2 {
			t.Errorf("%d connections after 70 s, want 2", n)
		}
		b.is(hostA, func(c net.Conn) { // it says that it keeps the connection, and does not
			answer(ok, false)(c)
		})
		after(2 * time.Minute)
		if n := peer.Health.Fails.Load(); n != 0 || b.dialled(hostA) < 50 {
			t.Errorf("%d fails, %d connections", n, b.dialled(hostA))
		}
		b.is(hostA, answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", true))
		before := b.dialled(hostA)
		after(10 * time.Second)
		if n := b.dialled(hostA) - before; n < 9 {
			t.Errorf("%d connections for ten checks of a server that closes", n)
		}
		b.is(hostA, nil)
		after(2 * time.Second)
		wants(t, g, "it is dead", "")
	})
}

// Something goes out before anything else: the header of the PROXY protocol.
func TestGreeting(t *testing.T) {
	var got bytes.Buffer
	c := &Check{
		ConnectTimeout: time.Minute, Timeout: time.Minute, Greeting: []byte("PROXY UNKNOWN\r\n"),
		Stream: &Stream{Send: []byte("x"), Expect: []byte("y")},
	}
	fault := once(t, c, func(c net.Conn) {
		_, _ = io.CopyN(&got, c, int64(len("PROXY UNKNOWN\r\nx")))
		_, _ = io.WriteString(c, "y")
	})
	if fault != "" || got.String() != "PROXY UNKNOWN\r\nx" {
		t.Errorf("%q, %s", got.String(), fault)
	}
}

// A reset, and an error without a number.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "recv() failed (104: Connection reset by peer)"},
		{context.DeadlineExceeded, "upstream timed out (110: Connection timed out)"},
		{io.ErrUnexpectedEOF, "upstream prematurely closed connection"},
		{net.ErrClosed, "recv() failed (use of closed network connection)"},
	} {
		if got := failed("recv()", tc.err, "").text; got != tc.want {
			t.Errorf("%v: %q, want %q", tc.err, got, tc.want)
		}
	}
}
