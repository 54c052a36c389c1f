package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/procfs"
	"holdfast/test/slow"
	"holdfast/test/wire"
)

// holder holds up to 16 KiB of a request body and 64 KiB of a response.
const holder = `
upstream pair {
    server {{first}} max_fails=0;
    server {{second}} backup;
}
server {
    listen 127.0.0.1:{{port:front}};
    client_max_body_size 100k;
    client_body_buffer_size 16k;
    proxy_buffers 8 8k;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location / { proxy_pass http://pair; }
    location /old/ { client_max_body_size 0; proxy_pass http://pair; proxy_http_version 1.0; }
    location /streamed/ { proxy_pass http://pair; proxy_request_buffering off; }
    location /any-size/ { client_max_body_size 0; proxy_pass http://pair; }
    location /hurry/ { client_body_timeout 300ms; proxy_pass http://pair; }
}`

// A body that is held goes to the next peer when the first one takes it and dies. That
// holds for methods that can be repeated (RFC 9110 section 9.2.2).
func TestHeldBodyGoesToTheNextPeer(t *testing.T) {
	first := proc.NewBackend(t, func(x *proc.Exchange) {
		if x.Head.Chunked() || x.Head.ContentLength() > 0 {
			x.Body(x.Head)
		}
		x.Reset()
	})
	second := proc.NewBackend(t, mirror)
	spec := proc.Spec{HTTP: holder, Vars: map[string]string{"first": first.Addr, "second": second.Addr}}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for _, row := range []struct{ name, method, fields, body string }{
			{"length", "PUT", "Content-Length: 9", "held body"},
			{"chunked", "PUT", "Transfer-Encoding: chunked", "5\r\nheld \r\n4\r\nbody\r\n0\r\n\r\n"},
			{"as_much_as_is_held", "PUT", "Content-Length: 16384", strings.Repeat("held bod", 2048)},
			{"DELETE", "DELETE", "Content-Length: 9", "held body"},
			{"GET", "GET", "X-None: 1", ""},
		} {
			t.Run(row.name, func(t *testing.T) {
				before := len(first.Seen())
				c := proc.Dial(t, p.Front())
				c.Send(wire.Lines(row.method+" /x HTTP/1.1", "Host: x", row.fields) + row.body)
				want := row.method + " /x HTTP/1.1\n" + row.body
				if row.name == "chunked" {
					want = row.method + " /x HTTP/1.1\nheld body"
				}
				equal(t, "the second peer's answer", string(c.Body(c.Response(200))), want)
				equal(t, "requests at the first peer", len(first.Seen())-before, 1)
			})
		}
		before := len(second.Seen())
		c := proc.Dial(t, p.Front())
		c.Send(wire.Lines("POST /x HTTP/1.1", "Host: x", "Content-Length: 4") + "body")
		c.Body(c.Response(502))
		equal(t, "POSTs at the second peer", len(second.Seen())-before, 0)
	})
}

// pair is a spec whose first peer is b and whose second is never asked.
func pair(b *proc.Backend) proc.Spec {
	return proc.Spec{HTTP: holder, Vars: map[string]string{"first": b.Addr, "second": b.Addr}}
}

// A body larger than the buffer is streamed: the upstream has its first bytes while the
// client still holds back the last.
func TestLargeBodyIsStreamed(t *testing.T) {
	begun := make(chan struct{}, 1)
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		body := x.BodyReader(x.Head)
		if _, err := io.CopyN(io.Discard, body, 30_000); err != nil {
			return
		}
		begun <- struct{}{}
		rest, err := io.Copy(io.Discard, body)
		x.Send(wire.Lines("HTTP/1.1 200 OK", "Connection: close") + fmt.Sprint(30_000+rest, err))
	})
	p := holdfast(t, pair(b))
	for _, target := range []string{"/any-size/", "/streamed/"} {
		piece := strings.Repeat("p", 40_000)
		for framing, parts := range map[string][2]string{
			"Content-Length: 80000":      {piece, piece},
			"Transfer-Encoding: chunked": {"9c40\r\n" + piece + "\r\n", "9c40\r\n" + piece + "\r\n0\r\n\r\n"},
		} {
			c := proc.Dial(t, p.Front())
			c.Send(wire.Lines("POST "+target+" HTTP/1.1", "Host: x", framing) + parts[0])
			select {
			case <-begun:
			case <-time.After(proc.Patience):
				t.Fatalf("%s, %s: the upstream does not see the first bytes", target, framing)
			}
			c.Send(parts[1])
			equal(t, "answer", string(c.Body(c.Response(200))), "80000 <nil>")
			c.Close()
		}
	}
}

// An HTTP/1.0 upstream needs a length: what is longer than the buffer has none in time.
func TestLongChunkedBodyToAnHTTP10Upstream(t *testing.T) {
	b := proc.NewBackend(t, mirror)
	p := holdfast(t, pair(b))
	c := proc.Dial(t, p.Front())
	c.Send("POST /old/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() { _ = sendStream(chunkWriter{c.Conn()}, 'u', 1<<20) }()
	c.Body(c.Response(411))
	equal(t, "requests at the upstream", len(b.Seen()), 0)
}

// A body over client_max_body_size is refused, also when that shows only in its middle,
// and the upstream never takes what it got for the whole.
func TestBodyOverTheLimit(t *testing.T) {
	var whole atomic.Int64
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		if _, err := io.Copy(io.Discard, x.BodyReader(x.Head)); err == nil {
			whole.Add(1)
		}
		proc.Answer(200, "")(&proc.Exchange{Raw: x.Raw})
	})
	both(t, pair(b), func(t *testing.T, p *proc.Proxy) {
		piece := "6000\r\n" + strings.Repeat("p", 0x6000) + "\r\n"
		for _, target := range []string{"/", "/streamed/"} {
			c := proc.Dial(t, p.Front())
			c.Send(wire.Lines("POST "+target+"declared HTTP/1.1", "Host: x", "Content-Length: 102401"))
			c.Body(c.Response(413))
			c.Close()
			for _, x := range b.Seen() {
				if strings.HasSuffix(x.Head.Target(), "declared") {
					t.Errorf("the upstream got %q", x.Head.Start)
				}
			}

			// In the middle of a chunked body there may be an upstream that has its part.
			c = proc.Dial(t, p.Front())
			c.Send(wire.Lines("POST "+target+" HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"))
			for range 4 {
				c.Send(piece)
			}
			c.Send(piece)
			c.Body(c.Response(413))
			c.Close()
		}
		proc.Until(t, "the upstream to lose its connections", func() error {
			if n := b.Open(); n != 0 {
				return fmt.Errorf("%d are open", n)
			}
			return nil
		})
		equal(t, "whole bodies at the upstream", whole.Load(), 0)
	})
}

// A client that stops in the middle of its body is told so: 408, which nginx leaves out.
func TestBodyTimeout(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) { x.Body(x.Head) })
	both(t, pair(b), func(t *testing.T, p *proc.Proxy) {
		for _, begin := range []string{
			wire.Lines("POST /hurry/ HTTP/1.1", "Host: x", "Content-Length: 100") + "a part",
			wire.Lines("POST /hurry/ HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "64\r\na part",
			wire.Lines("POST /hurry/ HTTP/1.1", "Host: x", "Content-Length: 90000") + strings.Repeat("p", 40_000),
		} {
			c := proc.Dial(t, p.Front())
			c.Send(begin)
			if p.Kind == proc.Holdfast {
				c.Body(c.Response(408))
			}
			c.ExpectEnd()
		}
		proc.Until(t, "the upstream to lose its connections", func() error {
			if n := b.Open(); n != 0 {
				return fmt.Errorf("%d are open", n)
			}
			return nil
		})
	})
}

// The connection of a client that does not read ends with a reset where
// reset_timedout_connection asks for it. One that is still sending its head is told 408 by
// holdfast, and reset by nginx.
func TestResetTimedoutConnection(t *testing.T) {
	t.Parallel() // it waits a lot
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Send(wire.Lines("HTTP/1.1 200 OK", "Content-Length: 1000000000"))
		flood(x.Conn())
		x.WaitEnd()
	})
	both(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    client_header_timeout 3s;
    server {
        listen 127.0.0.1:{{port:front}};
        reset_timedout_connection on;
        location / { send_timeout 300ms; proxy_pass http://{{backend}}; }
    }
    server {
        listen 127.0.0.1:{{port:gentle}};
        location / { proxy_pass http://{{backend}}; }
    }`}, func(t *testing.T, p *proc.Proxy) {
		asked := len(b.Seen())
		unread := proc.Dial(t, p.Front())
		unread.Send(get("/"))
		// It must not be read before the proxy has given up.
		proc.Until(t, "the upstream to lose its connection", func() error {
			if len(b.Seen()) == asked || b.Open() > 0 {
				return errors.New("still open")
			}
			return nil
		})
		equal(t, "end of who does not read", endOf(unread), error(syscall.ECONNRESET))
		head := proc.Dial(t, p.Front())
		head.Send("GET / HTTP/1.1\r\nHost: ")
		if p.Kind == proc.Holdfast {
			head.Body(head.Response(408))
			head.ExpectEOF()
		} else {
			equal(t, "end of who does not ask", endOf(head), error(syscall.ECONNRESET))
		}
		gentle := proc.Dial(t, p.Addr("gentle"))
		gentle.Send("GET / HTTP/1.1\r\nHost: ")
		equal(t, "end without the directive", endOf(gentle), nil)
	})
}

// endOf reads up to the end of a connection: nil for a FIN, ECONNRESET for a reset.
func endOf(c *proc.Raw) error {
	_ = c.Conn().SetReadDeadline(time.Now().Add(proc.Patience))
	_, err := io.Copy(io.Discard, c.Reader())
	if errors.Is(err, syscall.ECONNRESET) {
		return syscall.ECONNRESET
	}
	return err
}

// narrow connects like proc.Dial, with a receive buffer and segments so small that the
// kernel takes little for a client that does not read. The loopback's own segments of
// 64 KiB make it take megabytes.
func narrow(t *testing.T, address string) *proc.Raw {
	t.Helper()
	conn, err := slow.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return proc.NewRaw(conn)
}

// max_headers bounds the field lines of a request (RFC 6585 section 5).
func TestMaxHeaders(t *testing.T) {
	p := holdfast(t, proc.Spec{HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        max_headers 10;
        location / { return 200 "fine\n"; }
    }`})
	c := proc.Dial(t, p.Front())
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: field\r\n", 9) + "\r\n")
	equal(t, "body", string(c.Body(c.Response(200))), "fine\n")
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: field\r\n", 10) + "\r\n")
	c.Body(c.Response(431))
	c.ExpectEnd()
}

// A graceful stop leaves an idle client its keepalive_min_timeout: a request that is on
// its way already is answered.
func TestKeepaliveMinTimeout(t *testing.T) {
	p := holdfast(t, proc.Spec{HTTP: `
    server {
        listen 127.0.0.1:{{port:front}};
        keepalive_min_timeout 20s;
        location / { return 200 "fine\n"; }
    }`})
	c := proc.Dial(t, p.Front())
	c.Send(get("/"))
	c.Body(c.Response(200))
	var wg sync.WaitGroup
	wg.Go(func() { p.Stop(t, sigQUIT) })
	defer wg.Wait()
	proc.Until(t, "the listener's end", func() error {
		conn, err := net.Dial("tcp", p.Front())
		if err == nil {
			conn.Close()
			return errors.New("it still accepts")
		}
		return nil
	})
	c.Send(get("/"))
	h := c.Response(200)
	equal(t, "body", string(c.Body(h)), "fine\n")
	equal(t, "Connection", strings.ToLower(h.Get("Connection")), "close")
	c.ExpectEOF()
}

// Clients that do not read make the proxy hold what proxy_buffers says and no more.
func TestSlowReadersHoldBoundedMemory(t *testing.T) {
	const readers, ahead = 60, 64 << 10
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Send(wire.Lines("HTTP/1.1 200 OK", "Content-Length: 1000000000"))
		flood(x.Conn())
		x.WaitEnd()
	})
	p := holdfast(t, pair(b))
	before, err := procfs.PSS(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	var clients []*proc.Raw
	for range readers {
		c := narrow(t, p.Front())
		c.Send(get("/"))
		c.Response(200)
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
		clients = append(clients, c)
	}
	last := proc.Totals{}
	same := 0
	proc.Until(t, "the proxy to fill up", func() error {
		now := p.Status(t).Totals
		if now.HTTPBytesDown != last.HTTPBytesDown || now.BufBytes != last.BufBytes {
			last, same = now, 0
		}
		if same++; same < 40 {
			return errors.New("still moving")
		}
		return nil
	})
	// Beside what is read ahead each has a head of either side, and a shard its own buffers.
	if most := int64(readers*(ahead+16<<10) + 1<<20); last.BufBytes > most {
		t.Errorf("%d bytes in buffers for %d readers, at most %d are allowed", last.BufBytes, readers, most)
	}
	during, err := procfs.PSS(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(2*readers*ahead + 16<<20); during-before > most {
		t.Errorf("the memory grew by %d bytes for %d readers", during-before, readers)
	}
	for _, c := range clients {
		c.Close()
	}
}

// A crowd of slow clients is held at a bounded cost, harms nobody, and leaves nothing
// behind (the harness looks at that).
func TestBesideSlowClients(t *testing.T) {
	crowd := slow.Crowd{Heads: 50, Bodies: 50, Readers: 20, Pause: 50 * time.Millisecond}
	origin, err := slow.StartOrigin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(origin.Close)
	p := holdfast(t, proc.Spec{HTTP: strings.ReplaceAll(holder, "100k", "0"),
		Vars: map[string]string{"first": origin.Addr, "second": origin.Addr}})
	siege, err := crowd.Start(p.Front())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(siege.Stop)
	proc.Until(t, "the slow readers to take something", func() error {
		if siege.Read() == 0 {
			return errors.New("nothing yet")
		}
		return nil
	})
	t.Run("good", func(t *testing.T) {
		for range 4 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				c := proc.Dial(t, p.Front())
				for i := range 150 {
					c.Send(get("/small"))
					if body := string(c.Body(c.Response(200))); body != slow.SmallBody {
						t.Fatalf("answer %d: %q", i, body)
					}
				}
			})
		}
	})
	sum := p.Status(t).Totals
	most := int64(crowd.Heads*(4<<10) + crowd.Bodies*(20<<10) + crowd.Readers*(80<<10) + 1<<20)
	if sum.BufBytes > most {
		t.Errorf("%d bytes in buffers, at most %d are allowed", sum.BufBytes, most)
	}
	if siege.Lost() > 0 || siege.Open() != crowd.Size() {
		t.Errorf("%d of %d slow clients are connected, %d were cut off", siege.Open(), crowd.Size(), siege.Lost())
	}
	if live := sum.Live(); live < int64(crowd.Size()) {
		t.Errorf("%d sessions for %d slow clients", live, crowd.Size())
	}
}
