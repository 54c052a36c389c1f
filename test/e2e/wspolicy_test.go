package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

const policies = `
tunnel_log both;
server {
	listen 127.0.0.1:{{port:front}};
	proxy_http_version 1.1;
	location / { proxy_pass http://{{backend}}; }
	location /origin {
		websocket_origin https://good.example *.any.example ~^https://re[0-9]\.example$; websocket_origin same;
		error_page 403 = @refused;
		proxy_pass http://{{backend}};
		location /origin/none { websocket_origin none; proxy_pass http://{{backend}}; }
		location /origin/off { websocket_origin off; proxy_pass http://{{backend}}; }
	}
	location @refused { return 403 "not from there"; }
	location /few { tunnels_max 2 retry_after=20s; proxy_pass http://{{backend}}; }
	location /few/too { tunnels_max 1; proxy_pass http://{{backend}}; }
	location /old { tunnel_max_lifetime 1s jitter=20%; proxy_pass http://{{backend}}; }
}`

func TestWebsocketOrigin(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{HTTP: policies, Vars: map[string]string{"backend": b.Addr}})
	for _, tc := range []struct {
		target, origin string
		ok             bool
	}{
		{"/", "https://bad.example", true},
		{"/origin", "https://good.example", true},
		{"/origin", "https://good.example:443", true},
		{"/origin", "http://good.example", false},
		{"/origin", "http://a.b.any.example", true},
		{"/origin", "https://any.example", false},
		{"/origin", "https://re7.example", true},
		{"/origin", "https://re7.example.evil.example", false},
		{"/origin", "http://test.example", true},
		{"/origin", "", false},
		{"/origin", "null", false},
		{"/origin/none", "", true},
		{"/origin/none", "https://good.example", false},
		{"/origin/off", "https://bad.example", true},
	} {
		var fields []string
		if tc.origin != "" {
			fields = []string{"Origin: " + tc.origin}
		}
		c := proc.Dial(t, p.Front())
		if tc.ok {
			c.Handshake("test.example", tc.target, fields...)
			c.EchoText("hello")
		} else {
			before := b.Connections()
			c.Send(wire.UpgradeRequest("test.example", tc.target, fields...))
			h := c.Response(403)
			if got := string(c.Body(h)); tc.target == "/origin" && got != "not from there" {
				t.Errorf("%+v: page %q", tc, got)
			}
			equal(t, "an upstream is asked", b.Connections(), before)
		}
		c.Close()
	}
	c := proc.Dial(t, p.Front())
	c.Send(wire.UpgradeRequest("test.example", "/origin", "Origin: https://good.example", "Origin: https://good.example"))
	c.Response(403)
	equal(t, "upgrades rejected", p.Metrics(t)[`holdfast_upgrades_total{outcome="rejected"}`], 7)
}

func TestTunnelsMax(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{HTTP: policies, Vars: map[string]string{"backend": b.Addr}, Workers: 2})
	open := func(target string) *proc.Raw {
		c := proc.Dial(t, p.Front())
		c.Handshake("test.example", target)
		return c
	}
	refused := func(target string, low, high int) {
		t.Helper()
		for range 5 { // on both shards, most likely
			c := proc.Dial(t, p.Front())
			c.Send(wire.UpgradeRequest("test.example", target))
			if delay, err := strconv.Atoi(c.Response(503).Get("Retry-After")); err != nil || delay < low || delay > high {
				t.Errorf("Retry-After %d, %v", delay, err)
			}
			c.Close()
		}
	}
	one := open("/few")
	open("/few")
	refused("/few", 20, 30)
	open("/few/too")
	refused("/few/too", 10, 15)
	open("/")
	one.Close()
	proc.Until(t, "its place is free", func() error {
		c := proc.Dial(t, p.Front())
		c.Send(wire.UpgradeRequest("test.example", "/few"))
		if h := c.Head(); h.Status() != 101 {
			c.Close()
			return fmt.Errorf("status %d", h.Status())
		}
		return nil
	})
	m := p.Metrics(t)
	place := fmt.Sprintf(`zone="server %s location /few"`, p.Front())
	equal(t, "counted", m[`holdfast_limit_keys{directive="tunnels_max",`+place+`}`], 2)
	if n := m[`holdfast_limits_total{directive="tunnels_max",result="rejected",`+place+`}`]; n < 5 {
		t.Errorf("%v refused: %v", n, m)
	}
}

// talk writes messages of all sizes, in fragments, until the connection takes no more.
func talk(rng *rand.Rand, next func() (io.WriteCloser, error)) {
	for {
		w, err := next()
		if err != nil {
			return
		}
		size := []int{rng.IntN(126), rng.IntN(5000), rng.IntN(300_000)}[rng.IntN(3)]
		text := bytes.Repeat([]byte{byte(rng.IntN(256))}, size)
		for len(text) > 0 && err == nil {
			n := min(len(text), 1+rng.IntN(100_000))
			_, err = w.Write(text[:n])
			text = text[n:]
		}
		if w.Close() != nil || err != nil {
			return
		}
	}
}

// whole judges a message of talk.
func whole(message []byte) error {
	if len(message) > 0 && len(bytes.Trim(message, string(message[:1]))) > 0 {
		return fmt.Errorf("a message of %d bytes is not what was sent", len(message))
	}
	return nil
}

// listen reads messages until the connection ends and returns why it did.
func listen(read func() ([]byte, error)) error {
	for {
		message, err := read()
		if err == nil {
			err = whole(message)
		}
		if err != nil {
			return err
		}
	}
}

func talkGorilla(c *gorilla.Conn, seed uint64) error {
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(proc.Patience))
	rng := rand.New(rand.NewPCG(seed, 1))
	go talk(rng, func() (io.WriteCloser, error) { return c.NextWriter(gorilla.BinaryMessage) })
	err := listen(func() ([]byte, error) { _, b, err := c.ReadMessage(); return b, err })
	if gorilla.IsCloseError(err, gorilla.CloseGoingAway) {
		return nil
	}
	return fmt.Errorf("gorilla: %w", err)
}

func talkCoder(ctx context.Context, c *coder.Conn, seed uint64) error {
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	rng := rand.New(rand.NewPCG(seed, 2))
	go talk(rng, func() (io.WriteCloser, error) { return c.Writer(ctx, coder.MessageBinary) })
	err := listen(func() ([]byte, error) { _, b, err := c.Read(ctx); return b, err })
	if coder.CloseStatus(err) == coder.StatusGoingAway {
		return nil
	}
	return fmt.Errorf("coder: %w", err)
}

// talkers is a backend that talks without end, with gorilla's or coder's server by the path,
// and tells how each connection ended.
func talkers(t *testing.T, ended chan<- error) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upgrader := gorilla.Upgrader{WriteBufferSize: 3000, CheckOrigin: func(*http.Request) bool { return true }}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "coder") {
			c, err := coder.Accept(w, req, &coder.AcceptOptions{CompressionMode: coder.CompressionContextTakeover})
			if err == nil {
				err = talkCoder(req.Context(), c, 7)
			}
			ended <- err
			return
		}
		c, err := upgrader.Upgrade(w, req, nil)
		if err == nil {
			err = talkGorilla(c, 8)
		}
		ended <- err
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// Both ends of a tunnel that has come to its age get a Close frame, in the midst of messages
// of all sizes and in fragments, and nothing that is broken.
func TestTunnelMaxLifetime(t *testing.T) {
	const each = 4
	ended := make(chan error, 4*each)
	p := holdfast(t, proc.Spec{HTTP: policies, Vars: map[string]string{"backend": talkers(t, ended)}})
	ctx, cancel := context.WithTimeout(context.Background(), proc.Patience)
	defer cancel()
	errs := make(chan error, 2*each)
	var clients sync.WaitGroup
	for i := range uint64(each) {
		target := "ws://" + p.Front() + "/old/" + []string{"gorilla", "coder"}[i%2]
		clients.Go(func() {
			dialer := gorilla.Dialer{HandshakeTimeout: proc.Patience, WriteBufferSize: 2000 + int(i)*777}
			c, _, err := dialer.Dial(target, nil)
			if err == nil {
				err = talkGorilla(c, i)
			}
			errs <- err
		})
		clients.Go(func() {
			c, _, err := coder.Dial(ctx, target, &coder.DialOptions{CompressionMode: coder.CompressionContextTakeover})
			if err == nil {
				err = talkCoder(ctx, c, i)
			}
			errs <- err
		})
	}
	clients.Wait()
	for range 2 * each {
		if err := <-errs; err != nil {
			t.Error("a client: ", err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error("a server: ", err)
			}
		case <-ctx.Done():
			t.Fatal(errors.New("a server does not end"))
		}
	}
	proc.Until(t, "all tunnels are counted", func() error {
		if n := proc.Closed(p.Status(t).Totals.TunnelCloses, "lifetime", "proxy"); n != 2*each {
			return fmt.Errorf("%d ended for their age", n)
		}
		return nil
	})
	proc.Until(t, "the log", func() error {
		if n := strings.Count(p.AccessLog(), "reason=lifetime side=proxy"); n != 2*each {
			return fmt.Errorf("%d lines in %s", n, p.AccessLog())
		}
		return nil
	})
}
