package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/procfs"
	"holdfast/test/wire"
)

// Clients that send and never read, or never stop: each is bounded in memory and in time.
func TestHostileFloods(t *testing.T) {
	g := startGround(t, echoTarget)
	for _, row := range []struct{ name, begin, repeat string }{
		{"pipelined_own_answers", "", strings.Repeat(get("/own/"), 1000)},
		{"pipelined_to_the_backend", "", strings.Repeat(get("/x"), 1000)},
		{"pipelined_upgrades", "", strings.Repeat(wire.UpgradeRequest("a", "/x"), 500)},
		{"behind_a_refusal", "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", strings.Repeat("b", 1<<20)},
		{"behind_a_bad_request", "BAD\r\n\r\n", strings.Repeat("b", 1<<20)},
		{"endless_chunks", "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nb\r\n", 100_000)},
		{"endless_extensions", "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
			strings.Repeat("1;"+strings.Repeat("x", 900)+"\r\nb\r\n", 1000)},
		{"empty_lines", "", strings.Repeat("\r\n", 1<<18)},
	} {
		t.Run(row.name, func(t *testing.T) {
			before, err := procfs.PSS(g.PID())
			if err != nil {
				t.Fatal(err)
			}
			c := proc.Try(g.Front())
			defer c.Close()
			c.Send(row.begin)
			_ = c.Conn().SetWriteDeadline(time.Now().Add(400 * time.Millisecond))
			for {
				if _, err := c.Conn().Write([]byte(row.repeat)); err != nil {
					break
				}
			}
			after, err := procfs.PSS(g.PID())
			if err != nil {
				t.Fatal(err)
			}
			if grown := after - before; grown > 32<<20 {
				t.Errorf("one client made the proxy grow by %d bytes", grown)
			}
			g.alive(t)
			c.Reset()
			g.settled(t)
		})
	}
	g.calm(t, "after the floods")
}

// A client that never stops sending behind a refusal is cut off at lingering_time.
func TestHostileLingerHasAnEnd(t *testing.T) {
	g := startGround(t, echoTarget)
	c := proc.Try(g.Front())
	defer c.Close()
	c.Send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
	c.Response(413)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			if _, err := c.Conn().Write([]byte(strings.Repeat("b", 1000))); err != nil {
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	}()
	_ = c.Conn().SetWriteDeadline(time.Time{})
	proc.Until(t, "the end of the lingering", func() error {
		if live := g.Status(t).Totals.Live(); live != 0 {
			return fmt.Errorf("%d sessions", live)
		}
		return nil
	})
	c.Close()
	<-over
}

// Everything byte by byte: heads, bodies, chunks, the upgrade and its frames.
func TestHostileByteAtATime(t *testing.T) {
	g := startGround(t, func(x *proc.Exchange) {
		if x.Head.IsUpgrade() {
			x.SendEach([]byte(wire.SwitchResponse(x.Head.Get("Sec-WebSocket-Key"))), 1)
			_ = x.Conn().SetDeadline(time.Time{})
			_ = wire.Echo(x.Reader(), x.Conn())
			return
		}
		if x.Head.Chunked() || x.Head.ContentLength() > 0 {
			x.Body(x.Head)
		}
		x.SendEach([]byte(ok200+"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: r\r\n\r\n"), 1)
		x.Keep = true
	})
	for name, request := range map[string]string{
		"get": get("/b"), "length": post("Content-Length: 5\r\n", "hello"),
		"chunked": chunked("2;a\r\nhe\r\n3\r\nllo\r\n0\r\nT: r\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			c := proc.Dial(t, g.Front())
			for range 3 {
				c.SendEach([]byte(request), 1)
				equal(t, "body", string(c.Body(c.Response(200))), "abcde")
			}
			c.Close()
			g.settled(t)
		})
	}
	t.Run("tunnel", func(t *testing.T) {
		c := proc.Dial(t, g.Front())
		c.SendEach([]byte(wire.UpgradeRequest("a", "/ws")), 1)
		c.Response(101)
		for range 3 {
			c.SendEach(wire.ClientFrame(wire.OpText, []byte("byte by byte")), 1)
			c.ExpectBytes(wire.ServerFrame(wire.OpText, []byte("byte by byte")))
		}
		c.Close()
		g.settled(t)
	})
	g.alive(t)
}
