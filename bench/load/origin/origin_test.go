package origin_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/bench/load/origin"
	"holdfast/test/wire"
)

const patience = 30 * time.Second

// serve starts a backend for a test.
func serve(t *testing.T, loops int) *origin.Server {
	t.Helper()
	s, err := origin.Listen("127.0.0.1:0", loops)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

type client struct {
	*testing.T
	net.Conn
	*bufio.Reader
}

func dial(t *testing.T, s *origin.Server) client {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return client{t, c, bufio.NewReader(c)}
}

func (c client) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func (c client) say(text string) {
	c.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.Fatal(err)
	}
}

// response reads a head and its body.
func (c client) response() (wire.Head, int) {
	c.Helper()
	h, err := wire.ReadHead(c.Reader)
	if err != nil {
		c.Fatal(err)
	}
	n := 0
	if h.Status() != 101 {
		b, err := io.ReadAll(wire.Body(c.Reader, h))
		if err != nil {
			c.Fatal(err)
		}
		n = len(b)
	}
	return h, n
}

// upgrade shakes hands; behind is sent in one write with the request.
func (c client) upgrade(target, behind string) {
	c.Helper()
	c.say(wire.UpgradeRequest("h", target) + behind)
	h, _ := c.response()
	if h.Status() != 101 || h.Get("Sec-WebSocket-Accept") != wire.AcceptKey(wire.SampleKey) || h.Get("Upgrade") != "websocket" {
		c.Fatalf("the upgrade was answered %q", h.Raw)
	}
}

// expectEnd reads the end of the stream.
func (c client) expectEnd() {
	c.Helper()
	if b, err := io.ReadAll(c.Reader); err != nil || len(b) > 0 {
		c.Errorf("%d bytes and %v instead of the end", len(b), err)
	}
}

func TestPlainRequestsAreAnsweredAndKept(t *testing.T) {
	c := dial(t, serve(t, 1))
	for _, r := range []struct {
		target string
		bytes  int
	}{{"/", 128}, {"/b/0", 0}, {"/b/1", 1}, {"/b/16384", 16384}, {"/b/16385", 16385}, {"/b/5000000", 5_000_000}, {"/x?y", 128}} {
		c.say("GET " + r.target + " HTTP/1.1\r\nHost: h\r\n\r\n")
		if h, n := c.response(); h.Status() != 200 || n != r.bytes {
			t.Errorf("%s: status %d, %d bytes", r.target, h.Status(), n)
		}
	}
	c.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
	if _, n := c.response(); n != 128 {
		t.Errorf("POST: %d bytes", n)
	}
	c.say("loGET /b/3 HTTP/1.1\r\nConnection: keep-alive, Close\r\n\r\n")
	if h, n := c.response(); n != 3 || h.Get("Connection") != "close" {
		t.Errorf("behind a body: %d bytes, head %q", n, h.Raw)
	}
	c.expectEnd()
}

func TestPipelinedRequestsInAnyPieces(t *testing.T) {
	var text strings.Builder
	sizes := []int{128, 70_000, 5, 0, 200_000, 17_000, 1}
	for _, n := range sizes {
		fmt.Fprintf(&text, "GET /b/%d HTTP/1.1\r\nHost: h\r\n\r\n", n)
	}
	s := serve(t, 1)
	for _, step := range []int{1, 7, text.Len()} {
		c := dial(t, s)
		go func() {
			for rest := text.String(); rest != ""; {
				n := min(step, len(rest))
				if _, err := io.WriteString(c.Conn, rest[:n]); err != nil {
					return // the reader will say so
				}
				rest = rest[n:]
			}
		}()
		for i, want := range sizes {
			if h, n := c.response(); h.Status() != 200 || n != want {
				t.Fatalf("pieces of %d, response %d: status %d, %d bytes", step, i, h.Status(), n)
			}
		}
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	s := serve(t, 1)
	for _, text := range []string{
		"GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n", "GET /" + strings.Repeat("a", 17<<10),
	} {
		c := dial(t, s)
		c.say(text)
		if h, _ := c.response(); h.Status()/100 != 4 {
			t.Errorf("%.40q was answered %q", text, h.Start)
		}
	}
}

func TestHeadGetsNoBody(t *testing.T) {
	c := dial(t, serve(t, 1))
	c.say("HEAD / HTTP/1.0\r\n\r\n")
	h, err := wire.ReadHead(c.Reader)
	if err != nil || h.Get("Content-Length") != "128" {
		t.Fatalf("%q, %v", h.Raw, err)
	}
	c.expectEnd()
}

func TestEchoWithGlueCloseAndEnd(t *testing.T) {
	c := dial(t, serve(t, 1))
	payload := bytes.Repeat([]byte("0123456"), 30_000)
	c.upgrade("/", string(wire.ClientFrame(wire.OpText, []byte("glued"))))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(append(wire.ClientFrame(wire.OpBinary, payload), wire.ClientFrame(wire.OpPing, []byte("p"))...))
		sent <- err
	}()
	for _, want := range []struct {
		op      byte
		payload string
	}{{wire.OpText, "glued"}, {wire.OpBinary, string(payload)}, {wire.OpPong, "p"}} {
		h, got, err := wire.ReadFrame(c.Reader, 1<<20)
		if err != nil || h.Op != want.op || h.Masked || string(got) != want.payload {
			t.Fatalf("frame %+v, %d bytes, %v", h, len(got), err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.say(string(wire.ClientFrame(wire.OpClose, []byte{3, 232})))
	if h, _, err := wire.ReadFrame(c.Reader, 125); err != nil || h.Op != wire.OpClose {
		t.Fatalf("close was answered %+v, %v", h, err)
	}
	c.expectEnd()
}

// TestHalfCloseLosesNothing lets a client that does not read fill every buffer, then
// send FIN: all of it must still come back.
func TestHalfCloseLosesNothing(t *testing.T) {
	c := dial(t, serve(t, 2))
	c.say("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
	if h, _ := c.response(); h.Status() != 101 || h.Get("Upgrade") != "raw" {
		t.Fatalf("answered %q", h.Raw)
	}
	const total = 20 << 20
	go func() {
		chunk := bytes.Repeat([]byte("abcdefgh"), 8192)
		for range total / len(chunk) {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	}()
	n, err := io.Copy(io.Discard, c.Reader)
	if n != total || err != nil {
		t.Errorf("%d of %d bytes came back, %v", n, total, err)
	}
}

func TestSourceAndSink(t *testing.T) {
	s := serve(t, 1)
	c := dial(t, s)
	c.upgrade("/a/source?frame=1000&bytes=2500", "")
	c.say(string(wire.ClientFrame(wire.OpText, []byte("go"))))
	for _, want := range []uint64{1000, 1000, 500} {
		if h, _, err := wire.ReadFrame(c.Reader, 1000); err != nil || h.Length != want {
			t.Fatalf("%+v, %v; want %d bytes", h, err, want)
		}
	}
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	c.expectEnd()

	c = dial(t, s)
	c.upgrade("/sink?bytes=7", string(wire.ClientFrame(wire.OpBinary, []byte("abc"))))
	c.say(string(wire.ClientFrame(wire.OpBinary, []byte("defg"))))
	h, b, err := wire.ReadFrame(c.Reader, 8)
	if err != nil || h.Op != wire.OpBinary || binary.BigEndian.Uint64(b) != 7 {
		t.Fatalf("%+v %x, %v", h, b, err)
	}
}

func TestConnectionsAreCountedAndClosed(t *testing.T) {
	s := serve(t, 1)
	var open []client
	for range 1500 { // more than one chunk of records
		c := dial(t, s)
		c.upgrade("/", "")
		open = append(open, c)
	}
	if n := s.Connections(); n != len(open) {
		t.Errorf("%d connections, want %d", n, len(open))
	}
	for _, c := range open {
		c.Close()
	}
	for end := time.Now().Add(patience); s.Connections() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", s.Connections())
		}
		probe := dial(t, s) // its answer comes behind the events of the others
		probe.say("GET / HTTP/1.0\r\n\r\n")
		probe.response()
	}
}

func TestCloseEndsOpenConnections(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0", 2)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.upgrade("/", "")
	s.Close()
	c.expectEnd()
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	s := serve(t, 1)
	for _, address := range []string{"127.0.0.1", s.Addr(), "192.0.2.1:0"} {
		if other, err := origin.Listen(address, 1); err == nil {
			other.Close()
			t.Errorf("listens on %s", address)
		}
	}
	if _, err := origin.Listen("127.0.0.1:0", 0); err == nil {
		t.Error("no loops, no error")
	}
}
