package holder_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/bench/hold/holder"
	"holdfast/bench/load/front"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

func startBackend(t *testing.T, addresses ...string) (*holder.Backend, []netip.AddrPort) {
	t.Helper()
	var all []netip.Addr
	for _, a := range addresses {
		all = append(all, netip.MustParseAddr(a))
	}
	b, bound, err := holder.Listen(all)
	if err != nil {
		t.Fatal(err)
	}
	go b.Serve() // for the life of the test binary
	return b, bound
}

func open(t *testing.T, c *holder.Client, n int) {
	t.Helper()
	tally, err := c.Open(n, func(int) {})
	if err != nil || tally.Opened != n || tally.Retries != 0 {
		t.Fatalf("%+v, %v", tally, err)
	}
}

func TestTunnelsEchoAndClose(t *testing.T) {
	const n = 200
	b, bound := startBackend(t, "127.0.0.1", "127.64.0.1")
	c := holder.NewClient(holder.Options{Targets: bound, Path: "/", First: 3990}) // across the border of two source addresses
	open(t, c, n/2)
	open(t, c, n/2)
	if got, err := c.Echo(holder.All, func(int) {}); got != n || err != nil {
		t.Errorf("%d echoed, %v", got, err)
	}
	chosen := 0
	sample := holder.Sample(7, 10)
	for i := range n {
		if sample(3990 + i) {
			chosen++
		}
	}
	if got, err := c.Echo(sample, func(int) {}); got != chosen || got == 0 || got == n || err != nil {
		t.Errorf("%d echoed of %d chosen, %v", got, chosen, err)
	}
	if dead, err := c.Dead(); dead != 0 || err != nil {
		t.Errorf("%d dead, %v", dead, err)
	}
	if b.Open() != n || b.Refused() != 0 {
		t.Errorf("the backend has %d open, %d refused", b.Open(), b.Refused())
	}
	if got := c.Close(); got != n {
		t.Errorf("%d closed", got)
	}
	proc.Until(t, "the backend's connections to end", func() error {
		if n := b.Open(); n != 0 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})
}

// TestFramesInPieces sends a handshake and frames byte by byte, and several at once.
func TestFramesInPieces(t *testing.T) {
	_, bound := startBackend(t, "127.0.0.1")
	r := proc.Dial(t, bound[0].String())
	head := wire.UpgradeRequest("a", "/")
	long := strings.Repeat("x", 300)
	frames := append(wire.ClientFrame(wire.OpText, []byte("one")), wire.ClientFrame(wire.OpBinary, []byte(long))...)
	r.SendEach([]byte(head), 7).SendEach(frames, 1)
	r.ExpectBytes([]byte(wire.SwitchResponse(wire.SampleKey)))
	echoes := append(wire.ServerFrame(wire.OpText, []byte("one")), wire.ServerFrame(wire.OpBinary, []byte(long))...)
	r.ExpectBytes(echoes)
	r.SendBytes(append(append([]byte{}, frames...), frames[:5]...)).ExpectBytes(echoes)
	r.SendBytes(frames[5:]).ExpectBytes(echoes)
	if r.Err() != nil {
		t.Error(r.Err())
	}
}

func TestBackendRefusesWhatIsNoHandshake(t *testing.T) {
	b, bound := startBackend(t, "127.0.0.1")
	r := proc.Dial(t, bound[0].String())
	r.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ExpectEnd()
	if r.Err() != nil {
		t.Error(r.Err())
	}
	proc.Until(t, "the count", func() error {
		if b.Refused() != 1 {
			return fmt.Errorf("%d refused", b.Refused())
		}
		return nil
	})
}

// scripted is a server that lets play have each connection, with its number from 1.
func scripted(t *testing.T, play func(number int64, c net.Conn)) []netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var number atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go play(number.Add(1), c)
		}
	}()
	return []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}
}

// handshake answers a handshake well and returns what reads on.
func handshake(c net.Conn) *bufio.Reader {
	_ = c.SetDeadline(time.Now().Add(holder.Patience))
	br := bufio.NewReader(c)
	h, err := wire.ReadHead(br)
	if err == nil {
		_, _ = io.WriteString(c, wire.SwitchResponse(h.Get("Sec-WebSocket-Key")))
	}
	return br
}

func TestRefusedConnectionsAreTriedAgain(t *testing.T) {
	at := scripted(t, func(number int64, c net.Conn) {
		switch number % 4 {
		case 1:
			c.Close()
		case 2:
			br := bufio.NewReader(c)
			_, _ = wire.ReadHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n")
			c.Close()
		default:
			handshake(c)
		}
	})
	c := holder.NewClient(holder.Options{Targets: at, Path: "/"})
	defer c.Close()
	tally, err := c.Open(20, func(int) {})
	if err != nil || tally.Opened != 20 || tally.Retries == 0 || tally.Reasons[`answered "HTTP/1.1 503 Full"`] == 0 {
		t.Errorf("%+v, %v", tally, err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	c := holder.NewClient(holder.Options{Targets: []netip.AddrPort{at}, Path: "/"})
	if tally, err := c.Open(3, func(int) {}); err == nil || tally.Opened != 0 {
		t.Errorf("%+v, %v", tally, err)
	}
}

func TestWrongEchoesAndEndsAreDead(t *testing.T) {
	at := scripted(t, func(number int64, c net.Conn) {
		br := handshake(c)
		_, data, err := wire.ReadFrame(br, 1000)
		if err != nil {
			return
		}
		switch number {
		case 1:
			c.Close()
			return
		case 2:
			data[20] ^= 1
		}
		_, _ = c.Write(wire.ServerFrame(wire.OpBinary, data))
	})
	c := holder.NewClient(holder.Options{Targets: at, Path: "/"})
	defer c.Close()
	open(t, c, 5)
	if got, err := c.Echo(holder.All, func(int) {}); got != 3 || err == nil {
		t.Errorf("%d echoed, %v", got, err)
	}
	if dead, _ := c.Dead(); dead != 2 {
		t.Errorf("%d dead", dead)
	}
}

func TestEndsAreSeen(t *testing.T) {
	at := scripted(t, func(number int64, c net.Conn) {
		if handshake(c); number == 1 {
			c.Close()
		}
	})
	c := holder.NewClient(holder.Options{Targets: at, Path: "/"})
	defer c.Close()
	open(t, c, 4)
	proc.Until(t, "the end of one tunnel", func() error {
		if dead, _ := c.Dead(); dead != 1 {
			return fmt.Errorf("%d dead", dead)
		}
		return nil
	})
}

func TestTunnelsOverTLS(t *testing.T) {
	_, bound := startBackend(t, "127.0.0.1")
	at := netip.MustParseAddrPort(front.Before(t, bound[0].String(), &tls.Config{}))
	c := holder.NewClient(holder.Options{Targets: []netip.AddrPort{at}, Path: "/", Secure: true, MessageBytes: 16 << 10})
	defer c.Close()
	open(t, c, 100)
	for range 3 {
		if n, err := c.Echo(holder.All, func(int) {}); n != 100 || err != nil {
			t.Fatalf("%d echoed, %v", n, err)
		}
	}
	if dead, err := c.Dead(); dead != 0 {
		t.Errorf("%d dead: %v", dead, err)
	}
}
