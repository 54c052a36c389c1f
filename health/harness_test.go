package health

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/observe"
	"holdfast/upstream"
)

// backends answer on connections in memory, by address.
type backends struct {
	mu     sync.Mutex
	serve  map[string]func(net.Conn) // nil: refused
	dials  map[string]int
	active int
	most   int
	lines  []string
}

func newBackends() *backends {
	return &backends{serve: map[string]func(net.Conn){}, dials: map[string]int{}}
}

// is sets what an address does from now on.
func (b *backends) is(address string, serve func(net.Conn)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serve[address] = serve
}

func (b *backends) dial(_ context.Context, _, address string, _ netip.Addr) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials[address]++
	serve := b.serve[address]
	if serve == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	b.active++
	b.most = max(b.most, b.active)
	go func() {
		serve(far)
		far.Close()
	}()
	return &counted{Conn: near, b: b}, nil
}

// counted is a connection that counts as active until it is closed.
type counted struct {
	net.Conn
	b    *backends
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() {
		c.b.mu.Lock()
		c.b.active--
		c.b.mu.Unlock()
	})
	return c.Conn.Close()
}

func (b *backends) dialled(address string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dials[address]
}

func (b *backends) log(level observe.Level, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, "["+level.String()+"] "+fmt.Sprintf(format, args...))
}

// logged returns the lines since the last call.
func (b *backends) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.lines = nil }()
	return strings.Join(b.lines, "\n")
}

func (b *backends) set() *Set {
	return NewSet(Options{Log: b.log, NowMs: func() int64 { return time.Now().UnixMilli() }, dial: b.dial})
}

// answer is a backend that reads heads of requests and answers each with the text; it ends the
// connection unless keep is set.
func answer(text string, keep bool) func(net.Conn) {
	return func(c net.Conn) {
		for in := bufio.NewReader(c); ; {
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == "\r\n" {
					break
				}
			}
			if _, err := io.WriteString(c, text); err != nil || !keep {
				return
			}
		}
	}
}

// hang is a backend that takes everything and says nothing.
func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func server(host string) upstream.ServerSpec {
	addr := netip.MustParseAddrPort(host)
	return upstream.ServerSpec{Name: host, Addr: addr, Weight: 1, MaxFails: 1, FailTimeoutMs: 10_000}
}

func group(t *testing.T, spec upstream.GroupSpec, hosts ...string) *upstream.Group {
	t.Helper()
	spec.Name = "u"
	for _, h := range hosts {
		spec.Servers = append(spec.Servers, server(h))
	}
	g, err := upstream.NewGroup(upstream.NewRegistry(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// check is a check of HTTP as written without parameters, every second.
func check(g *upstream.Group) *Check {
	return &Check{
		Key: "k", Group: g, Upstream: "u", Interval: time.Second, Fails: 1, Passes: 1,
		ConnectTimeout: 60 * time.Second, Timeout: 60 * time.Second,
		HTTP: &HTTP{Request: []byte("GET / HTTP/1.1\r\nHost: u\r\n\r\n")},
	}
}

// picked are the servers that get requests, in order.
func picked(g *upstream.Group) string {
	var names []string
	for c := (upstream.Choice{}); ; {
		p := g.Pick(&c, time.Now().UnixMilli())
		if p == nil {
			break
		}
		p.Release()
		names = append(names, p.Name)
	}
	return strings.Join(sorted(names), " ")
}
