package client_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/bench/load/client"
	"holdfast/bench/load/origin"
	"holdfast/test/wire"
)

// targets are an origin's URL with and without frames, on one and on two loops.
func targets(t *testing.T) map[string]client.Target {
	t.Helper()
	s, err := origin.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	url := "ws://" + s.Addr() + "/"
	return map[string]client.Target{
		"frames":    {URL: url, Loops: 1},
		"two loops": {URL: url, Loops: 2},
		"raw":       {URL: url, Raw: true, Loops: 1},
	}
}

func check(t *testing.T, name string, r client.Result, err error) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("%s: %v", name, err)
	case r.Errors != 0 || r.Seconds <= 0 || r.PerSecond <= 0 || r.GBPerSecond <= 0 || r.CPUSeconds <= 0:
		t.Errorf("%s: %+v", name, r)
	}
}

func checkLatency(t *testing.T, name string, r client.Result) {
	t.Helper()
	l := r.Latency
	if l == nil || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max || l.Max <= 0 {
		t.Errorf("%s: latencies %+v", name, l)
	}
	last := [2]float64{}
	for _, point := range r.Histogram {
		if point[0] < last[0] || point[1] < last[1] || point[0] > 1 {
			t.Errorf("%s: histogram %v", name, r.Histogram)
			break
		}
		last = point
	}
	if last[0] != 1 || last[1] != l.Max {
		t.Errorf("%s: the histogram ends at %v, the largest is %v", name, last, l.Max)
	}
}

func TestEchoAtAFixedRateSendsEveryMessage(t *testing.T) {
	for name, target := range targets(t) {
		r, err := client.Echo(client.EchoOptions{
			Target: target, Connections: 7, Size: 64, Rate: 5000, Duration: 200 * time.Millisecond,
		})
		check(t, name, r, err)
		checkLatency(t, name, r)
		// A loop may lose a part of a message to rounding.
		if r.Count < 998 || r.Count > 1000 || r.Bytes != r.Count*64 {
			t.Errorf("%s: %d messages, %d bytes", name, r.Count, r.Bytes)
		}
	}
}

func TestEchoInTheClosedLoop(t *testing.T) {
	for name, target := range targets(t) {
		for _, size := range []int{1, 7, 8, 126, 70_000, 5 << 20} {
			r, err := client.Echo(client.EchoOptions{
				Target: target, Connections: 3, Size: size, Duration: 20 * time.Millisecond,
			})
			check(t, name, r, err)
			checkLatency(t, name, r)
			if r.Count < 3 {
				t.Errorf("%s: %d messages of %d bytes", name, r.Count, size)
			}
		}
	}
}

func TestStormMakesEverySession(t *testing.T) {
	for name, target := range targets(t) {
		for _, rate := range []float64{0, 3000} {
			r, err := client.Storm(client.StormOptions{Target: target, Sessions: 301, AtOnce: 10, Size: 64, Rate: rate})
			check(t, name, r, err)
			checkLatency(t, name, r)
			if r.Count != 301 {
				t.Errorf("%s: %d sessions", name, r.Count)
			}
		}
	}
}

func TestBulkMovesEveryByte(t *testing.T) {
	for name, target := range targets(t) {
		for _, up := range []bool{false, true} {
			for _, size := range []uint64{1, 125, 4096, 65536, 1 << 20} {
				total := min(30<<20, size*20_000)
				r, err := client.Bulk(client.BulkOptions{Target: target, Connections: 3, Frame: size, Up: up, Bytes: total})
				check(t, name, r, err)
				if r.Count != 3 || r.Bytes != int64(total/3*3) || r.Latency != nil {
					t.Errorf("%s, up %v, frames of %d: %+v", name, up, size, r)
				}
			}
		}
	}
}

// bad serves each connection once by a script, behind a 101 if switches is set.
func bad(t *testing.T, switches bool, script func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				br := bufio.NewReader(c)
				if _, err := wire.ReadHead(br); err != nil {
					return
				}
				if switches {
					_, _ = io.WriteString(c, wire.SwitchResponse(wire.SampleKey))
				}
				script(c, br)
			})
		}
	})
	return "ws://" + ln.Addr().String() + "/"
}

// answering is a script that reads a frame and writes what it is told.
func answering(text []byte) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, br *bufio.Reader) {
		if _, _, err := wire.ReadFrame(br, 1<<20); err == nil {
			_, _ = c.Write(text)
			_, _ = io.Copy(io.Discard, br)
		}
	}
}

func saying(text string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, br *bufio.Reader) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, br)
	}
}

var number = []byte{0, 0, 0, 0, 0, 0, 0, 0} // of the first message

func TestABackendThatMisbehavesIsAnError(t *testing.T) {
	cases := []struct {
		name, want string
		switches   bool
		script     func(net.Conn, *bufio.Reader)
	}{
		{"no upgrade", `answered "HTTP/1.1 502`, false, saying("HTTP/1.1 502 Bad Gateway\r\n\r\n")},
		{"another key", "does not say", false, saying(wire.SwitchResponse("AAAAAAAAAAAAAAAAAAAAAA=="))},
		{"endless head", "does not end", false, saying("HTTP/1.1 101 Switching Protocols\r\nA: " + strings.Repeat("a", 20<<10))},
		{"glue", "nobody asked for", false, saying(wire.SwitchResponse(wire.SampleKey) + "\x82\x00")},
		{"end in the head", "closed it", false, func(c net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(c, "HTTP/1.1 101") }},
		{"end", "closed it", true, func(_ net.Conn, br *bufio.Reader) { _, _, _ = wire.ReadFrame(br, 1<<20) }},
		{"reset", "connection 0: ", true, func(c net.Conn, _ *bufio.Reader) { _ = c.(*net.TCPConn).SetLinger(0) }},
		{"another number", "not what was sent", true, answering(wire.ServerFrame(wire.OpBinary, []byte{1, 0, 0, 0, 0, 0, 0, 0}))},
		{"another length", "not what was sent", true, answering(wire.ServerFrame(wire.OpBinary, append(number, 0)))},
		{"another opcode", "not what was sent", true, answering(wire.ServerFrame(wire.OpText, number))},
		{"masked", "not what was sent", true, answering(wire.ClientFrame(wire.OpBinary, number))},
		{"no answer", "no progress", true, answering(nil)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target := client.Impatient(client.Target{URL: bad(t, c.switches, c.script), Loops: 1}, c.want == "no progress")
			r, err := client.Echo(client.EchoOptions{Target: target, Connections: 1, Size: 8, Duration: time.Millisecond})
			if err == nil || !strings.Contains(err.Error(), c.want) || r.Errors != 1 || r.Count != 0 {
				t.Errorf("echo: %v, want %q; %d errors, count %d", err, c.want, r.Errors, r.Count)
			}
			r, err = client.Storm(client.StormOptions{Target: target, Sessions: 2, AtOnce: 1, Size: 8})
			if err == nil || !strings.Contains(err.Error(), c.want) || r.Errors != 1 || r.Count != 0 {
				t.Errorf("storm: %v, want %q; %d errors, count %d", err, c.want, r.Errors, r.Count)
			}
		})
	}
}

func TestAMessageTooManyIsAnError(t *testing.T) {
	echo := wire.ServerFrame(wire.OpBinary, number)
	target := client.Target{URL: bad(t, true, answering(append(echo, echo...))), Loops: 1}
	if _, err := client.Storm(client.StormOptions{Target: target, Sessions: 2, AtOnce: 1, Size: 8}); err == nil {
		t.Error("storm: no error")
	}
	if _, err := client.Echo(client.EchoOptions{
		Target: target, Connections: 1, Size: 8, Rate: 1000, Duration: 5 * time.Millisecond,
	}); err == nil {
		t.Error("echo: no error")
	}
}

func TestBulkThatGoesWrongIsAnError(t *testing.T) {
	count := func(n byte) []byte { return wire.ServerFrame(wire.OpBinary, []byte{0, 0, 0, 0, 0, 0, 0, n}) }
	cases := []struct {
		name, want string
		up         bool
		script     func(net.Conn, *bufio.Reader)
	}{
		{"too little", "closed it", false, func(c net.Conn, br *bufio.Reader) {
			_, _, _ = wire.ReadFrame(br, 1)
			_, _ = c.Write(wire.ServerFrame(wire.OpBinary, number[:7]))
		}},
		{"too much", "more than asked for", false, answering(wire.ServerFrame(wire.OpBinary, append(number, 1)))},
		{"no frames", "no data frame", false, answering([]byte("HTTP/1.1 502 Bad Gateway"))},
		{"nothing", "no progress", false, answering(nil)},
		{"another count", "counted 7 bytes of 8", true, answering(count(7))},
		{"no count", "no binary message", true, answering(wire.ServerFrame(wire.OpText, number))},
		{"a count and more", "counted", true, answering(append(count(8), 0))},
		{"a count at once", "counted", true, saying(string(wire.ServerFrame(wire.OpBinary, number)))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target := client.Impatient(client.Target{URL: bad(t, true, c.script), Loops: 1}, c.want == "no progress")
			r, err := client.Bulk(client.BulkOptions{Target: target, Connections: 1, Frame: 8, Up: c.up, Bytes: 8})
			if c.name == "a count at once" && err != nil { // it may come with the 101 already
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || r.Errors != 1 {
				t.Errorf("%v, want %q; %d errors", err, c.want, r.Errors)
			}
		})
	}
}

func TestOneLoopsFailureEndsTheOthers(t *testing.T) {
	var once sync.Once
	url := bad(t, true, func(_ net.Conn, br *bufio.Reader) {
		ends := false
		once.Do(func() { ends = true })
		if !ends {
			_, _ = io.Copy(io.Discard, br) // longer than anyone's patience
		}
	})
	_, err := client.Echo(client.EchoOptions{
		Target: client.Target{URL: url, Loops: 2}, Connections: 2, Size: 8, Duration: time.Millisecond,
	})
	if err == nil || !strings.Contains(err.Error(), "connection 0") {
		t.Errorf("%v, want that of the connection that ended", err)
	}
}

func TestNobodyThereIsAnError(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	target := client.Target{URL: "ws://" + s.Addr() + "/", Loops: 1}
	s.Close()
	_, err = client.Storm(client.StormOptions{Target: target, Sessions: 1, AtOnce: 1, Size: 8})
	if err == nil || !strings.Contains(err.Error(), "connect") {
		t.Errorf("%v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := client.Target{URL: "ws://127.0.0.1:9/", Loops: 1}
	for _, url := range []string{"wss://a:1/", "ws://a/", "a:1", "ws://%zz:1/"} {
		bad := client.Target{URL: url, Loops: 1}
		if _, err := client.Echo(client.EchoOptions{Target: bad, Connections: 1, Size: 1, Duration: 1}); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
	if _, err := client.Echo(client.EchoOptions{Target: good, Connections: 0, Size: 1, Duration: 1}); err == nil {
		t.Error("echo without connections")
	}
	if _, err := client.Storm(client.StormOptions{Target: good, Sessions: 1, AtOnce: 0, Size: 1}); err == nil {
		t.Error("storm with none at once")
	}
	if _, err := client.Bulk(client.BulkOptions{Target: good, Connections: 2, Frame: 1, Bytes: 1}); err == nil {
		t.Error("bulk with connections for nothing")
	}
	if _, err := client.Bulk(client.BulkOptions{Target: client.Target{URL: good.URL}, Connections: 1, Frame: 1, Bytes: 1}); err == nil {
		t.Error("bulk without a loop")
	}
}
