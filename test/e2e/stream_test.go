package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"holdfast/test/proc"
)

func TestStreamPassesBytesOn(t *testing.T) {
	b := serveRaw(t, echoRaw)
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		for range 4 {
			c := proc.Dial(t, p.Front())
			for _, text := range []string{"x", "\x00\xff not HTTP\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"} {
				c.Send(text).Expect(text)
			}
			c.CloseWrite().ExpectEOF()
			c.Close()
		}
	})
}

// A server that speaks first does so before its client has sent a byte.
func TestStreamServerSpeaksFirst(t *testing.T) {
	b := serveRaw(t, sayRaw("220 hello\r\n"))
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Expect("220 hello\r\n").ExpectSilence()
		c.Close()
	})
}

func TestStreamHalfCloseOfTheClient(t *testing.T) {
	b := serveRaw(t, func(c *proc.Raw) error {
		c.Expect("question").ExpectEOF()
		c.Send("answer")
		return nil
	})
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("question").CloseWrite()
		c.Expect("answer").ExpectEOF()
		c.Close()
		streamClosed(t, p, "done", "client")
	})
}

func TestStreamHalfCloseOfTheUpstream(t *testing.T) {
	b := serveRaw(t, func(c *proc.Raw) error {
		c.Send("greeting").CloseWrite()
		c.Expect("thanks").ExpectEOF()
		return nil
	})
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Expect("greeting").ExpectEOF()
		c.Send("thanks").CloseWrite()
		proc.Until(t, "the server's end", func() error {
			if n := b.open(); n != 0 {
				return fmt.Errorf("%d connections", n)
			}
			return nil
		})
		c.Close()
		streamClosed(t, p, "done", "upstream")
	})
}

// With proxy_half_close off the end of one direction ends both, once what came before it
// is delivered.
func TestStreamWithoutHalfClose(t *testing.T) {
	clientSawEnd := make(chan struct{}, 1)
	waits := serveRaw(t, func(c *proc.Raw) error {
		c.Expect("question").ExpectEOF()
		select {
		case <-clientSawEnd:
			return nil
		case <-time.After(proc.Patience):
			return errors.New("the client's connection is still open")
		}
	})
	greets := serveRaw(t, func(c *proc.Raw) error {
		c.Send("greeting").CloseWrite()
		return readToEnd(c)
	})
	const block = `
    proxy_half_close off;
    server { listen 127.0.0.1:{{port:front}}; proxy_pass {{waits}}; }
    server { listen 127.0.0.1:{{port:greets}}; proxy_pass {{greets}}; }`
	bothStreams(t, block, vars("waits", waits.addr, "greets", greets.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("question").CloseWrite()
		c.ExpectEOF()
		clientSawEnd <- struct{}{}
		c = proc.Dial(t, p.Addr("greets"))
		c.Expect("greeting").ExpectEOF()
		proc.Until(t, "the server's end", func() error {
			if n := greets.open(); n != 0 {
				return fmt.Errorf("%d connections", n)
			}
			return nil
		})
		c.Close()
	})
}

// pump moves size bytes each way at once over c, checks them, and ends both directions. The
// bytes sent come from the seed out, those that come from in.
func pump(c *proc.Raw, out, in byte, size int64) error {
	half, ok := c.Conn().(interface{ CloseWrite() error })
	if !ok {
		return errors.New("connection has no half-close")
	}
	_ = c.Conn().SetDeadline(time.Now().Add(bulkPatience(size)))
	sent := make(chan error, 1)
	go func() {
		err := sendStream(c.Conn(), out, size)
		sent <- errors.Join(err, half.CloseWrite())
	}()
	received := checkStream(c.Reader(), in, size)
	if received == nil {
		if n, err := io.Copy(io.Discard, c.Reader()); n != 0 || err != nil {
			received = fmt.Errorf("%d bytes behind the end, %w", n, err)
		}
	}
	return errors.Join(received, <-sent)
}

// bulkPatience is how long so many bytes may take each way.
func bulkPatience(size int64) time.Duration {
	return 2*proc.Patience + time.Duration(size>>20)*time.Second/2
}

func TestStreamMovesBulkBothWays(t *testing.T) {
	size := streamBytes(t)
	b := serveRaw(t, func(c *proc.Raw) error { return pump(c, 'd', 'u', size) })
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		if err := pump(c, 'u', 'd', size); err != nil {
			t.Error(err)
		}
		b.served(t)
		c.Close()
		if p.Kind != proc.Holdfast {
			return
		}
		proc.Until(t, "the tunnel's byte counters", func() error {
			if sum := p.Status(t).Totals; sum.TunnelBytesUp != size || sum.TunnelBytesDown != size || sum.Tunnels != 0 {
				return fmt.Errorf("up %d, down %d of %d, tunnels %d", sum.TunnelBytesUp, sum.TunnelBytesDown, size, sum.Tunnels)
			}
			return nil
		})
	})
}

// Who does not read stops who sends, in either direction, and nothing is lost.
func TestStreamSlowReaders(t *testing.T) {
	size := 2 * bulkBytes()
	written := &counter{}
	sends := serveRaw(t, func(c *proc.Raw) error {
		_ = c.Conn().SetDeadline(time.Now().Add(bulkPatience(size)))
		return sendStream(io.MultiWriter(c.Conn(), written), 'd', size)
	})
	goOn := make(chan struct{}, 1)
	reads := serveRaw(t, func(c *proc.Raw) error {
		<-goOn
		_ = c.Conn().SetDeadline(time.Now().Add(bulkPatience(size)))
		if err := checkStream(c.Reader(), 'u', size); err != nil {
			return err
		}
		c.Send("received")
		return nil
	})
	const block = `
    server { listen 127.0.0.1:{{port:sends}}; proxy_pass {{sends}}; }
    server { listen 127.0.0.1:{{port:reads}}; proxy_pass {{reads}}; }`
	bothStreams(t, block, vars("sends", sends.addr, "reads", reads.addr), func(t *testing.T, p *proc.Proxy) {
		written.reset()
		c := proc.Dial(t, p.Addr("sends"))
		stalled(t, written)
		if n := written.value(); n >= size && !testing.Short() {
			t.Errorf("the server could write all %d bytes though nobody read", n)
		}
		_ = c.Conn().SetDeadline(time.Now().Add(bulkPatience(size)))
		if err := checkStream(c.Reader(), 'd', size); err != nil {
			t.Error("down: ", err)
		}
		c.ExpectEOF()
		c.Close()

		written.reset()
		c = proc.Dial(t, p.Addr("reads"))
		_ = c.Conn().SetDeadline(time.Now().Add(bulkPatience(size)))
		sent := make(chan error, 1)
		go func() { sent <- sendStream(io.MultiWriter(c.Conn(), written), 'u', size) }()
		stalled(t, written)
		if n := written.value(); n >= size && !testing.Short() {
			t.Errorf("the client could write all %d bytes though nobody read", n)
		}
		goOn <- struct{}{}
		if err := <-sent; err != nil {
			t.Error("up: ", err)
		}
		c.Expect("received").ExpectEOF()
	})
}

// A destination that takes nothing for tunnel_send_timeout ends the session.
func TestStreamBlockedForTooLong(t *testing.T) {
	b := serveRaw(t, func(c *proc.Raw) error {
		_, err := io.Copy(c.Conn(), newStream('d', 1<<40))
		return gone(err)
	})
	p := holdfastStreams(t, `server { listen 127.0.0.1:{{port:front}}; tunnel_send_timeout 300ms; proxy_pass {{backend}}; }`,
		vars("backend", b.addr))
	c := proc.Dial(t, p.Front())
	streamClosed(t, p, "send_timeout", "client")
	c.Close()
}

func TestStreamResetOfTheClient(t *testing.T) {
	ended := make(chan error, 1)
	b := serveRaw(t, func(c *proc.Raw) error {
		c.Send("hello")
		_, err := io.Copy(io.Discard, c.Reader())
		ended <- err
		return gone(err)
	})
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Expect("hello")
		c.Reset()
		select {
		case <-ended:
		case <-time.After(proc.Patience):
			t.Error("the server's connection lives on")
		}
		streamClosed(t, p, "reset", "client")
	})
}

func TestStreamResetOfTheUpstream(t *testing.T) {
	b := serveRaw(t, func(c *proc.Raw) error {
		c.Expect("please")
		c.Reset()
		return nil
	})
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("please").ExpectEnd()
		c.Close()
		streamClosed(t, p, "reset", "upstream")
	})
}

func TestStreamUnixSocketsOnBothSides(t *testing.T) {
	dir, err := os.MkdirTemp("", "holdfast-unix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := serveRawAt(t, "unix:"+filepath.Join(dir, "backend.sock"), nil, echoRaw)
	const block = `
    log_format f "$remote_addr|$server_addr|$upstream_addr|$bytes_received|$bytes_sent|$status";
    server { listen unix:{{dir}}/front.sock; proxy_half_close on; proxy_pass {{backend}}; access_log logs/stream.log f; }`
	bothStreams(t, block, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		front := filepath.Join(p.Dir, "front.sock")
		for range 3 {
			c := proc.Dial(t, "unix:"+front)
			c.Send("over unix sockets").Expect("over unix sockets")
			c.CloseWrite().ExpectEOF()
			c.Close()
		}
		for _, line := range logged(t, p, "stream.log", 3) {
			equal(t, "log line", line, "unix:|unix:"+front+"|"+b.addr+"|17|17|200")
		}
	})
}

func TestStreamManyAtOnce(t *testing.T) {
	sessions := 2000
	if testing.Short() {
		sessions = 200
	}
	b := serveRaw(t, echoRaw)
	p := streamsOf(t, sessions, plainStream, vars("backend", b.addr))
	conns := make([]*proc.Raw, sessions)
	each := func(what string, do func(i int, c *proc.Raw)) {
		t.Helper()
		var wg sync.WaitGroup
		next := make(chan int)
		for range 32 {
			wg.Go(func() {
				for i := range next {
					do(i, conns[i])
				}
			})
		}
		for i := range sessions {
			next <- i
		}
		close(next)
		wg.Wait()
		for i, c := range conns {
			if err := c.Err(); err != nil {
				t.Fatalf("%s, session %d: %v", what, i, err)
			}
		}
	}
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	each("dial", func(i int, _ *proc.Raw) { conns[i] = proc.Try(p.Front()) })
	hello := func(i int, c *proc.Raw) {
		c.Send(fmt.Sprintf("session %d\n", i)).Expect(fmt.Sprintf("session %d\n", i))
	}
	each("first echo", hello)
	proc.Until(t, "the gauges", func() error {
		sum := p.Status(t).Totals
		gauge := p.Metrics(t)["holdfast_tunnels"]
		if sum.Tunnels != int64(sessions) || sum.Sessions["tunnel"] != int64(sessions) || gauge != float64(sessions) {
			return fmt.Errorf("tunnels %d, sessions %v, gauge %v", sum.Tunnels, sum.Sessions, gauge)
		}
		return nil
	})
	each("second echo", hello)
	each("end", func(_ int, c *proc.Raw) {
		c.CloseWrite().ExpectEOF()
		c.Close()
	})
	proc.Until(t, "all ends", func() error {
		sum := p.Status(t).Totals
		if n := proc.Closed(sum.TunnelCloses, "done", "client"); n != int64(sessions) || sum.Tunnels != 0 {
			return fmt.Errorf("tunnels %d, closes %v", sum.Tunnels, sum.TunnelCloses)
		}
		return nil
	})
}

// streamsOf starts a holdfast for so many sessions at once.
func streamsOf(t *testing.T, sessions int, block string, vars map[string]string) *proc.Proxy {
	t.Helper()
	return holdfast(t, proc.Spec{Main: "stream {\n" + block + "\n}\n", Vars: vars, Connections: 3 * sessions})
}

// QUIT ends the accepting; the sessions there are come to their own end.
func TestStreamSurvivesQuit(t *testing.T) {
	b := serveRaw(t, echoRaw)
	bothStreams(t, plainStream, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("before").Expect("before")
		var wg sync.WaitGroup
		wg.Go(func() { p.Stop(t, sigQUIT) })
		proc.Until(t, "the listener's end", func() error {
			late, err := net.DialTimeout("tcp", p.Front(), proc.Patience)
			if err == nil {
				late.Close()
				return errors.New("still accepting")
			}
			return nil
		})
		c.Send("after").Expect("after")
		c.CloseWrite().ExpectEOF()
		c.Close()
		wg.Wait()
	})
}
