package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// One client connection carries many requests, over one upstream connection.
func TestKeepAliveOnBothSides(t *testing.T) {
	const requests = 30
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		before := b.Connections()
		c := proc.Dial(t, p.Front())
		for i := range requests {
			target := fmt.Sprintf("/page?n=%d", i)
			c.Send(get(target))
			equal(t, "body", string(c.Body(c.Response(200))), "GET "+target+" HTTP/1.1\n")
		}
		equal(t, "upstream connections", b.Connections()-before, 1)
		equal(t, "requests on the last connection", b.Last(t).Request, requests)
		if p.Kind == proc.Holdfast {
			sum := p.Status(t).Totals
			equal(t, "upstream_reuses", sum.UpstreamReuses, requests-1)
			equal(t, "upstream_connects", sum.UpstreamConnects, 1)
			equal(t, "requests", sum.Requests, requests)
		}
	})
}

// An idle upstream connection that the backend has closed is not an error for the next
// request.
func TestStaleUpstreamConnectionIsReplaced(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for range 10 {
			c.Send(get("/"))
			c.Body(c.Response(200))
			b.CloseConnections()
		}
	})
}

// Requests sent in one write are answered in their order.
func TestPipelinedRequests(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		post := "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
		chunked := "POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
		c.Send(get("/1") + post + chunked + get("/4"))
		for _, want := range []string{"GET /1", "POST /2", "POST /3", "GET /4"} {
			equal(t, "body", string(c.Body(c.Response(200))), want+" HTTP/1.1\n")
		}
	})
}

// bodySizes lie around the buffer sizes in use, and well above them.
func bodySizes() []int64 {
	return []int64{0, 1, 4095, 4096, 65535, 65536, 65537, 1 << 20, bulkBytes()}
}

// Request bodies arrive whole, in both framings.
func TestUploads(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		_ = x.Conn().SetDeadline(time.Now().Add(2 * proc.Patience))
		var size int64
		_, _ = fmt.Sscanf(x.Head.Target(), "/%d", &size)
		body := x.BodyReader(x.Head)
		err := checkStream(body, 'u', size)
		if rest, _ := io.ReadAll(body); err == nil && len(rest) > 0 {
			err = fmt.Errorf("%d bytes too many", len(rest))
		}
		proc.Answer(200, fmt.Sprint(err))(&proc.Exchange{Raw: x.Raw})
		x.Keep = true
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, size := range bodySizes() {
			sent := make(chan error, 1)
			c.Send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size, size))
			go func() { sent <- sendStream(c.Conn(), 'u', size) }()
			equal(t, fmt.Sprintf("%d bytes by Content-Length", size), string(c.Body(c.Response(200))), "<nil>")
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			c.Send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", size))
			go func() { sent <- sendStream(chunkWriter{c.Conn()}, 'u', size) }()
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			c.SendBytes(wire.AppendChunk(nil, nil))
			equal(t, fmt.Sprintf("%d bytes chunked", size), string(c.Body(c.Response(200))), "<nil>")
		}
	})
}

// chunkWriter writes every block as one chunk.
type chunkWriter struct{ w io.Writer }

func (c chunkWriter) Write(p []byte) (int, error) {
	if _, err := c.w.Write(wire.AppendChunk(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Response bodies arrive whole, in all three framings.
func TestDownloads(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		_ = x.Conn().SetDeadline(time.Now().Add(2 * proc.Patience))
		var size int64
		var framing string
		_, _ = fmt.Sscanf(x.Head.Target(), "/%d/%s", &size, &framing)
		switch framing {
		case "length":
			x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
			x.Keep = sendStream(x.Conn(), 'd', size) == nil
		case "chunked":
			x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			x.Keep = sendStream(chunkWriter{x.Conn()}, 'd', size) == nil
			x.SendBytes(wire.AppendChunk(nil, nil))
		case "close":
			x.Send("HTTP/1.1 200 OK\r\n\r\n")
			_ = sendStream(x.Conn(), 'd', size)
		}
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		for _, framing := range []string{"length", "chunked", "close"} {
			c := proc.Dial(t, p.Front())
			for _, size := range bodySizes() {
				c.Send(get(fmt.Sprintf("/%d/%s", size, framing)))
				h := c.Response(200)
				equal(t, "keeps its length", h.ContentLength() >= 0, framing == "length")
				body := c.BodyReader(h)
				err := checkStream(body, 'd', size)
				if rest, _ := io.ReadAll(body); err == nil && len(rest) > 0 {
					err = fmt.Errorf("%d bytes too many", len(rest))
				}
				if err != nil {
					t.Fatalf("%d bytes, %s: %v", size, framing, err)
				}
			}
		}
	})
}

// A body that ends before its declared length is not passed off as complete.
func TestTruncatedResponse(t *testing.T) {
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/length":  func(x *proc.Exchange) { x.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort") },
		"/chunked": func(x *proc.Exchange) { x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort") },
	}))
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		for _, target := range []string{"/length", "/chunked"} {
			c := proc.Dial(t, p.Front())
			c.Send(get(target))
			h := c.Response(200)
			body, err := io.ReadAll(c.BodyReader(h))
			if err == nil {
				t.Errorf("%s: the truncated body looks complete: %q", target, body)
			}
		}
	})
}

// A client that does not read holds the backend back, and gets every byte in the end.
func TestSlowReaderOfAResponse(t *testing.T) {
	size := 2 * bulkBytes()
	written := &counter{}
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		_ = x.Conn().SetDeadline(time.Now().Add(3 * proc.Patience))
		x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
		if err := sendStream(io.MultiWriter(x.Conn(), written), 'd', size); err != nil {
			t.Error("backend: ", err)
		}
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		written.reset()
		c := proc.Dial(t, p.Front())
		c.Send(get("/"))
		stalled(t, written)
		if n := written.value(); n >= size && !testing.Short() {
			t.Errorf("the backend could write all %d bytes though nobody read", n)
		}
		_ = c.Conn().SetDeadline(time.Now().Add(3 * proc.Patience))
		if err := checkStream(c.BodyReader(c.Response(200)), 'd', size); err != nil {
			t.Error(err)
		}
	})
}

// A backend that does not read holds the uploading client back.
func TestSlowReaderOfAnUpload(t *testing.T) {
	size := 2 * bulkBytes()
	read := make(chan struct{})
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		<-read
		_ = x.Conn().SetDeadline(time.Now().Add(3 * proc.Patience))
		err := checkStream(x.BodyReader(x.Head), 'u', size)
		x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%v", err))
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		written := &counter{}
		c := proc.Dial(t, p.Front())
		c.Send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size))
		_ = c.Conn().SetDeadline(time.Now().Add(3 * proc.Patience))
		sent := make(chan error, 1)
		go func() { sent <- sendStream(io.MultiWriter(c.Conn(), written), 'u', size) }()
		stalled(t, written)
		if n := written.value(); n >= size && !testing.Short() {
			t.Errorf("the client could send all %d bytes though the backend did not read", n)
		}
		read <- struct{}{}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		equal(t, "the backend's verdict", string(c.Body(c.Response(200))), "<nil>")
	})
}

// An answer that comes while the upload still runs reaches the client.
func TestEarlyResponseDuringAnUpload(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Read(1000)
		x.Send("HTTP/1.1 422 No\r\nContent-Length: 5\r\n\r\nearly")
		x.WaitEnd()
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n")
		stopped := make(chan error, 1)
		go func() { stopped <- sendStream(c.Conn(), 'u', 64<<20) }()
		equal(t, "body", string(c.Body(c.Response(422))), "early")
		c.Close()
		<-stopped
	})
}

// A 1xx other than 101 is not the answer.
func TestInformationalResponsesAreNotFinal(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		x.Keep = true
	})
	p := holdfast(t, to(b))
	c := proc.Dial(t, p.Front())
	for range 2 {
		c.Send(get("/"))
		h := c.Head()
		for h.Status()/100 == 1 {
			h = c.Head()
		}
		equal(t, "status", h.Status(), 200)
		equal(t, "body", string(c.Body(h)), "ok")
	}
}

// An HTTP/1.0 client gets no chunks, and its connection ends unless it asks to keep it.
func TestHTTP10Client(t *testing.T) {
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/length": proc.Answer(200, "whole"),
		"/chunked": func(x *proc.Exchange) {
			x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
			x.Keep = true
		},
	}))
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("GET /chunked HTTP/1.0\r\nHost: x\r\n\r\n")
		h := c.Response(200)
		equal(t, "chunked", h.Chunked(), false)
		equal(t, "body", string(c.Body(h)), "abcdef")
		c.ExpectEOF()

		c = proc.Dial(t, p.Front())
		for range 2 {
			c.Send("GET /length HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
			h = c.Response(200)
			equal(t, "Connection", strings.ToLower(h.Get("Connection")), "keep-alive")
			equal(t, "body", string(c.Body(h)), "whole")
		}
		c.Send("GET /length HTTP/1.0\r\nHost: x\r\n\r\n")
		c.Body(c.Response(200))
		c.ExpectEOF()
	})
}

// "Connection: close" ends the connection after the answer.
func TestConnectionClose(t *testing.T) {
	b := proc.NewBackend(t, proc.Answer(200, "last"))
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		h := c.Response(200)
		equal(t, "Connection", strings.ToLower(h.Get("Connection")), "close")
		equal(t, "body", string(c.Body(h)), "last")
		c.ExpectEOF()
	})
}

// Answers that have no body whatever their fields say (RFC 9112 section 6.3, rule 1).
func TestResponsesWithoutABody(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		switch x.Head.Target() {
		case "/head":
			x.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
		case "/head-chunked":
			x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		case "/204":
			x.Send("HTTP/1.1 204 No Content\r\n\r\n")
		case "/304":
			x.Send("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n")
		default:
			x.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
		}
		x.Keep = true
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, ask := range []struct {
			method, target string
			status         int
		}{
			{"HEAD", "/head", 200}, {"HEAD", "/head-chunked", 200}, {"GET", "/204", 204}, {"GET", "/304", 304},
		} {
			c.Send(ask.method + " " + ask.target + " HTTP/1.1\r\nHost: x\r\n\r\n")
			h := c.Response(ask.status)
			if ask.target == "/head" {
				equal(t, "Content-Length of "+ask.target, h.ContentLength(), 1000)
			}
			// The connection must go on right behind the head.
			c.Send(get("/body"))
			equal(t, "body behind "+ask.target, string(c.Body(c.Response(200))), "body")
		}
	})
}

// A large request head and a large response head pass within their limits.
func TestLargeHeads(t *testing.T) {
	long := strings.Repeat("v", 3500)
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Send("HTTP/1.1 200 OK\r\nX-Long: " + x.Head.Get("X-Long") + "\r\nContent-Length: 0\r\n\r\n")
		x.Keep = true
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for range 3 {
			c.Send("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + long + "\r\nX-More: " + long + "\r\n\r\n")
			equal(t, "X-Long", c.Response(200).Get("X-Long"), long)
		}
	})
}

// A response written byte by byte is as good as one written at once.
func TestDribblingBackend(t *testing.T) {
	text := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.SendEach([]byte(text), 1)
		x.Keep = true
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for range 3 {
			c.SendEach([]byte(get("/")), 1)
			h := c.Response(200)
			if got := c.Body(h); !bytes.Equal(got, []byte("hello world")) {
				t.Fatalf("body %q", got)
			}
		}
	})
}
