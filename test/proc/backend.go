package proc

import (
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"holdfast/test/wire"
)

// Exchange is one request a Backend received, with the connection to answer it on.
// Steps on the connection keep their first failure in Err.
type Exchange struct {
	*Raw
	// Head is the request head as the backend saw it.
	Head wire.Head
	// Connection counts the backend's connections from 1, Request those on it.
	Connection, Request int
	// Keep leaves the connection open for another request.
	Keep bool
}

// Behaviour plays the backend for one request. After it returns the connection is
// closed unless it set Keep.
type Behaviour func(x *Exchange)

// Backend is a scripted upstream server that records what it sees.
type Backend struct {
	// Addr is the address as nginx writes it: "127.0.0.1:port" or "unix:/path".
	Addr string

	ln    net.Listener
	play  Behaviour
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	total int
	seen  []Exchange
	wg    sync.WaitGroup
}

// NewBackend starts a backend on a free port of 127.0.0.1; it ends with the test.
func NewBackend(t testing.TB, play Behaviour) *Backend {
	t.Helper()
	return NewBackendAt(t, "127.0.0.1:0", play)
}

// NewBackendAt is NewBackend on a given address: "host:port" or "unix:/path".
func NewBackendAt(t testing.TB, address string, play Behaviour) *Backend {
	t.Helper()
	network := "tcp"
	path, unix := strings.CutPrefix(address, "unix:")
	if unix {
		network = "unix"
	} else {
		path = address
	}
	ln, err := net.Listen(network, path)
	if err != nil {
		t.Fatal(err)
	}
	b := &Backend{ln: ln, play: play, conns: map[net.Conn]struct{}{}, Addr: ln.Addr().String()}
	if unix {
		b.Addr = address
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	b.wg.Add(1)
	go b.accept()
	t.Cleanup(b.Close)
	return b
}

// Close stops listening, closes every connection and waits for the behaviours.
func (b *Backend) Close() {
	b.ln.Close()
	b.CloseConnections()
	b.wg.Wait()
}

// CloseConnections closes every open connection; new ones are still accepted.
func (b *Backend) CloseConnections() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

// Seen returns the requests so far, in the order of their arrival.
func (b *Backend) Seen() []Exchange {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Exchange(nil), b.seen...)
}

// Last returns the newest request; it must exist.
func (b *Backend) Last(t testing.TB) Exchange {
	t.Helper()
	seen := b.Seen()
	if len(seen) == 0 {
		t.Fatal("the backend has seen no request")
	}
	return seen[len(seen)-1]
}

// Connections is the number of connections accepted so far.
func (b *Backend) Connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// Open is the number of connections open now.
func (b *Backend) Open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

func (b *Backend) accept() {
	defer b.wg.Done()
	for {
		c, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.total++
		number := b.total
		b.conns[c] = struct{}{}
		b.wg.Add(1)
		b.mu.Unlock()
		go b.serve(c, number)
	}
}

func (b *Backend) serve(c net.Conn, number int) {
	defer b.wg.Done()
	raw := NewRaw(c)
	for request := 1; ; request++ {
		// No deadline while waiting for a request: the proxy may keep the connection idle.
		head, err := wire.ReadHead(raw.br)
		if err != nil {
			break
		}
		x := &Exchange{Raw: raw, Head: head, Connection: number, Request: request}
		b.mu.Lock()
		b.seen = append(b.seen, *x)
		b.mu.Unlock()
		b.play(x)
		if !x.Keep {
			break
		}
		_ = c.SetDeadline(noDeadline)
	}
	c.Close()
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

// ByPath chooses a behaviour by the path of the request target; other paths get 404.
func ByPath(paths map[string]Behaviour) Behaviour {
	return func(x *Exchange) {
		path, _, _ := strings.Cut(x.Head.Target(), "?")
		if play := paths[path]; play != nil {
			play(x)
			return
		}
		Answer(404, "no such path\n")(x)
	}
}

// Answer sends an ordinary response with a body and keeps the connection.
func Answer(status int, body string, fields ...string) Behaviour {
	return func(x *Exchange) {
		lines := append([]string{"HTTP/1.1 " + strconv.Itoa(status) + " Scripted"}, fields...)
		lines = append(lines, "Content-Length: "+strconv.Itoa(len(body)))
		x.drain()
		x.Send(wire.Lines(lines...) + body)
		x.Keep = x.Err() == nil
	}
}

// drain reads the request's body, if its head declares one.
func (x *Exchange) drain() {
	if x.Head.Chunked() || x.Head.ContentLength() > 0 {
		x.Body(x.Head)
	}
}

// Echo switches every WebSocket request and echoes its messages; other requests get a
// 200 whose body is the request line.
func Echo() Behaviour {
	return func(x *Exchange) {
		if !x.Head.IsUpgrade() {
			Answer(200, x.Head.Start+"\n", "Content-Type: text/plain")(x)
			return
		}
		x.Switch()
		_ = x.Conn().SetDeadline(noDeadline)
		_ = wire.Echo(x.Reader(), x.Conn())
	}
}

// Switch sends the 101 that belongs to the request, with glued bytes in the same write.
func (x *Exchange) Switch(glued ...byte) {
	x.Send(wire.SwitchResponse(x.Head.Get("Sec-WebSocket-Key")) + string(glued))
}

// WaitEnd reads and drops until the peer ends the connection, however long it takes.
func (x *Exchange) WaitEnd() {
	_ = x.Conn().SetDeadline(noDeadline)
	_, _ = io.Copy(io.Discard, x.Reader())
}

// Silent never answers: it waits until the proxy gives up.
func Silent() Behaviour { return func(x *Exchange) { x.WaitEnd() } }
