package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/procfs"
	"holdfast/test/wire"
)

// At the session cap an idle keep-alive connection gives way to a new client; silent
// ones do not, and those beyond the cap are turned away.
func TestHostileSilentAtTheCap(t *testing.T) {
	t.Parallel()
	b := proc.NewBackend(t, echoTarget)
	spec := hostileSpec(t, b)
	spec.Connections = 16
	p := holdfast(t, spec)
	p.Tolerate("worker_connections are not enough")
	g := &ground{Proxy: p, backend: b}
	var idle []*proc.Raw
	for range 64 {
		c := proc.Try(p.Front())
		c.Send(get("/own/"))
		c.Body(c.Response(200))
		if c.Err() != nil {
			t.Fatalf("client %d was not served: %v", len(idle), c.Err())
		}
		idle = append(idle, c)
	}
	if live := p.Status(t).Totals.Live(); live > 32 {
		t.Errorf("%d sessions live, the cap is 32", live)
	}
	for _, c := range idle {
		c.Close()
	}
	g.settled(t)
	var silent []*proc.Raw
	// Each of the two shards takes 64 past its 16, to tell them so.
	for range 250 {
		silent = append(silent, proc.Try(p.Front()))
	}
	proc.Until(t, "the cap", func() error {
		if s := p.Status(t).Totals; s.Live() != 160 || s.Accepted < 314 {
			return fmt.Errorf("%d sessions, %d accepted", s.Live(), s.Accepted)
		}
		return nil
	})
	g.calm(t, "at the cap")
	for _, c := range silent {
		c.Close()
	}
	g.settled(t)
	g.alive(t)
}

// Without descriptors accepting pauses and goes on by itself, and a lack of our own is
// not held against the upstream.
func TestHostileOutOfDescriptors(t *testing.T) {
	t.Parallel()
	b := proc.NewBackend(t, echoTarget)
	spec := hostileSpec(t, b)
	spec.HTTP = strings.Replace(spec.HTTP, "max_fails=0;", "max_fails=1; server {{dead}} backup;", 1)
	spec.Vars["dead"] = port.Address(t)
	p := holdfast(t, spec)
	p.Tolerate("accept4() failed")
	g := &ground{Proxy: p, backend: b}
	held := proc.Dial(t, p.Front())
	held.Send(get("/own/"))
	held.Body(held.Response(200))
	files, err := procfs.OpenFiles(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	low := unix.Rlimit{Cur: 3, Max: 1 << 16}
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	low.Max = old.Max
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Skip("prlimit: ", err)
	}
	for range 3 {
		held.Send(get("/x"))
		h := held.Head()
		if h.Status() < 500 {
			t.Errorf("got %q with %d files open and a limit of 3", h.Start, files.Total)
		}
		held.Body(h)
	}
	var waiting []*proc.Raw
	for range 30 {
		waiting = append(waiting, proc.Try(p.Front()))
	}
	g.calm(t, "without descriptors")
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &old, nil); err != nil {
		t.Fatal(err)
	}
	for i, c := range waiting {
		c.Send(get("/own/"))
		if h := c.Head(); h.Status() != 200 {
			t.Fatalf("client %d: %q, %v", i, h.Start, c.Err())
		}
		c.Close()
	}
	held.Send(get("/again"))
	equal(t, "answer", string(held.Body(held.Response(200))), "/again")
	held.Close()
	g.alive(t)
}

// Two hundred tunnels blocked both ways hold bounded memory and give it back.
func TestHostileBlockedTunnels(t *testing.T) {
	const tunnels = 200
	g := startGround(t, upgraded(func(x *proc.Exchange) {
		_, _ = x.Conn().Write([]byte(bigFrame))
		flood(x.Conn())
		x.WaitEnd()
	}))
	g.alive(t)
	before, err := procfs.PSS(g.PID())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	clients := make([]*proc.Raw, tunnels)
	for i := range clients {
		wg.Go(func() {
			c := proc.Try(g.Front())
			c.Handshake("a", "/blocked")
			c.Send(bigFrame)
			flood(c.Conn())
			clients[i] = c
		})
	}
	wg.Wait()
	g.calm(t, "with every tunnel blocked")
	during, err := procfs.PSS(g.PID())
	if err != nil {
		t.Fatal(err)
	}
	// Two buffers or pipes of 64 KiB a tunnel, and as much again for the runtime.
	if most := int64(tunnels * 4 * 64 << 10); during-before > most {
		t.Errorf("%d bytes for %d blocked tunnels", during-before, tunnels)
	}
	if s := g.Status(t).Totals; s.Tunnels != tunnels || s.BufsOut+s.PipesOut > 2*tunnels {
		t.Errorf("tunnels %d, bufs %d, pipes %d", s.Tunnels, s.BufsOut, s.PipesOut)
	}
	for _, c := range clients {
		c.Reset()
	}
	g.settled(t)
	g.alive(t)
}

// A peer that only keeps the other side's clock from running out does not hold a request
// open for ever: its bytes are not those that are waited for.
func TestHostileDribbleHoldsNoTimer(t *testing.T) {
	g := startGround(t, func(x *proc.Exchange) {
		switch {
		case strings.HasSuffix(x.Head.Target(), "/silent"):
			x.WaitEnd()
		case strings.HasSuffix(x.Head.Target(), "/stall"):
			x.Send(ok200 + "Content-Length: 100\r\n\r\nabc")
			x.WaitEnd()
		case strings.HasSuffix(x.Head.Target(), "/flood"):
			x.Send(ok200 + "Content-Length: 1000000000\r\n\r\n")
			flood(x.Conn())
			x.WaitEnd()
		}
	})
	for _, path := range []string{"silent", "stall", "flood"} {
		t.Run(path, func(t *testing.T) {
			c := proc.Dial(t, g.Front())
			c.Send(get("/quick/" + path))
			ended := func() error {
				idle := g.Status(t).Totals.UpstreamIdle
				if open := g.backend.Open(); int64(open) > idle {
					return fmt.Errorf("%d connections at the backend, %d of them idle", open, idle)
				}
				return nil
			}
			proc.Until(t, "the request at the backend", func() error {
				if len(g.targets()) == 0 {
					return errors.New("none")
				}
				return nil
			})
			over := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-over:
						return
					case <-time.After(30 * time.Millisecond):
						_, _ = c.Conn().Write([]byte("x"))
					}
				}
			})
			// The limits are 300 ms; the client goes on until the proxy has given up.
			err := proc.Poll(proc.Patience, ended)
			close(over)
			wg.Wait()
			c.Reset()
			if err != nil {
				t.Errorf("the request is still open: %v", err)
			}
			g.settled(t)
			g.alive(t)
		})
	}
}

// An upstream that speaks before it is asked, and then not at all.
func TestHostileUpstreamSpeaksFirst(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var mu sync.Mutex
	say := poison2
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			text := say
			mu.Unlock()
			if text == "RST" {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
				continue
			}
			_, _ = c.Write([]byte(text))
			go func() { <-time.After(2 * time.Second); _ = c.Close() }()
		}
	}()
	spec := hostileSpec(t, proc.NewBackend(t, echoTarget))
	spec.Vars["backend"] = ln.Addr().String()
	p := holdfast(t, spec)
	for _, text := range []string{"RST", "garbage\r\n\r\n", "HTTP/1.1 400 Go away\r\nContent-Length: 0\r\n\r\n", poison2 + poison2} {
		mu.Lock()
		say = text
		mu.Unlock()
		for range 3 {
			c := proc.Dial(t, p.Front())
			c.Send(get("/x"))
			h := c.Head()
			c.Body(h)
			if want := strings.HasPrefix(text, "HTTP"); want != (h.Status() != 502) {
				t.Errorf("to %q the client got %q", text, h.Start)
			}
			// An answer to nobody's question ends the connection: no second client sees the rest.
			c.Send(get("/own/"))
			equal(t, "the next answer", string(c.Body(c.Response(200))), "own\n")
			c.Close()
		}
	}
}

// Nothing a client sends makes a line in a log, or reaches a terminal as control.
func TestHostileLogInjection(t *testing.T) {
	g := startGround(t, echoTarget)
	forged := "127.0.0.1 \"GET /forged HTTP/1.1\" 200"
	for _, request := range []string{
		wire.Lines("GET /a%0a%0d"+strings.ReplaceAll(forged, " ", "%20")+" HTTP/1.1", "Host: a"),
		wire.Lines("GET /l HTTP/1.1", "Host: a", "User-Agent: x\" 200 \""+forged),
		wire.Lines("GET /l HTTP/1.1", "Host: a", "User-Agent: \\x0a\\\"\\"),
		wire.Lines("GET /l HTTP/1.1", "Host: a", "Referer: \xff\xfe\u2028\u0085\u202e"+forged),
		wire.Lines("GET /%1b%5b2J%0a%09%22%5c HTTP/1.1", "Host: a"),
		wire.Lines("GET /l\x1b[2J HTTP/1.1", "Host: a"),
		wire.Lines("GET /\"quote\"\\ HTTP/1.1", "Host: a"),
		wire.Lines("GET /../\x9b2J HTTP/1.1", "Host: a"),
		wire.Lines("POST /small/\"\x9b\xe2\x80\xa8 HTTP/1.1", "Host: a", "Content-Length: 5000"),
		"\x1b]0;owned\x07\r\n\r\n",
	} {
		c := proc.Try(g.Front())
		c.Send(request)
		c.Body(c.Head())
		c.Close()
	}
	g.settled(t)
	for name, log := range map[string]string{"error log": g.ErrorLog(), "access log": hostileLog(t, g)} {
		for _, line := range strings.Split(log, "\n") {
			if strings.HasPrefix(line, forged) {
				t.Errorf("%s: a client wrote the line %q", name, line)
			}
			for _, c := range []byte(line) {
				if c < 0x20 || c > 0x7e {
					t.Errorf("%s: byte %#x in %q", name, c, line)
					break
				}
			}
			if name == "access log" && line != "" && strings.Count(line, "\"") != 8 {
				t.Errorf("%s: quotes got through: %q", name, line)
			}
		}
	}
}

// hostileLog waits for the access log's lines.
func hostileLog(t *testing.T, g *ground) string {
	var text string
	proc.Until(t, "the access log", func() error {
		file, err := os.ReadFile(g.Dir + "/logs/hostile.log")
		if err != nil {
			return err
		}
		text = string(file[:bytes.LastIndexByte(file, '\n')+1]) // the last line may not be whole yet
		if strings.Count(text, "\n") < 8 {
			return errors.New("lines are missing")
		}
		return nil
	})
	return text
}

// The admin listener against web pages, bad requests and silent clients.
func TestHostileAdmin(t *testing.T) {
	g := startGround(t, echoTarget)
	for _, row := range []struct {
		name, send string
		want       int
	}{
		{"DNS_rebinding", wire.Lines("GET /status HTTP/1.1", "Host: evil.example"), 403},
		{"DNS_rebinding_port", wire.Lines("GET /status HTTP/1.1", "Host: evil.example:9180"), 403},
		{"DNS_rebinding_localhost_suffix", wire.Lines("GET /status HTTP/1.1", "Host: localhost.evil.example"), 403},
		{"DNS_rebinding_dotted_quad_prefix", wire.Lines("GET /status HTTP/1.1", "Host: 127.0.0.1.evil.example"), 403},
		{"DNS_rebinding_absolute_form", wire.Lines("GET http://evil.example/status HTTP/1.1", "Host: 127.0.0.1"), 403},
		{"other_origin", wire.Lines("GET /status HTTP/1.1", "Host: 127.0.0.1", "Origin: http://evil.example"), 403},
		{"null_origin", wire.Lines("GET /status HTTP/1.1", "Host: 127.0.0.1", "Origin: null"), 403},
		{"cross_site_fetch", wire.Lines("GET /metrics HTTP/1.1", "Host: 127.0.0.1", "Sec-Fetch-Site: cross-site"), 403},
		{"POST", wire.Lines("POST /status HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 0"), 405},
		{"traversal", wire.Lines("GET /../../etc/passwd HTTP/1.1", "Host: 127.0.0.1"), 0},
		{"traversal_encoded", wire.Lines("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", "Host: 127.0.0.1"), 0},
		{"huge_head", wire.Lines("GET /status HTTP/1.1", "Host: 127.0.0.1", "X: "+strings.Repeat("x", 60_000)), 431},
		{"smuggling", wire.Lines("GET /status HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 3, 4"), 400},
		{"garbage", "\x16\x03\x01\x00\r\n\r\n", 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := proc.Try(g.Admin())
			defer c.Close()
			c.Send(row.send)
			h := c.Head()
			if row.want != 0 && h.Status() != row.want {
				t.Errorf("got %q, %v, want %d", h.Start, c.Err(), row.want)
			}
			if body := string(c.Body(h)); strings.Contains(body, "root:") || h.Status() == http.StatusOK {
				t.Errorf("got %q %q", h.Start, body)
			}
		})
	}
	var silent []*proc.Raw
	for range 200 {
		silent = append(silent, proc.Try(g.Admin()).Send("GET /"))
	}
	g.Status(t) // waits for its turn: the silent ones are dropped after a while
	for _, c := range silent {
		c.Close()
	}
	g.settled(t)
	g.alive(t)
}
