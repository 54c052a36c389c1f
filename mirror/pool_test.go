package mirror_test

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/mirror"
	"holdfast/upstream"
)

const deadline = 30 * time.Second

// server is a peer whose connections the test answers.
type server struct {
	net.Listener
	t *testing.T
}

func listen(t *testing.T, network, address string) *server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &server{l, t}
}

// accept takes the next connection, with all that comes first up to an empty line.
func (s *server) accept() (conn net.Conn, head string) {
	s.t.Helper()
	if l, ok := s.Listener.(*net.TCPListener); ok {
		_ = l.SetDeadline(time.Now().Add(deadline))
	}
	conn, err := s.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(deadline))
	for r := bufio.NewReader(conn); !strings.HasSuffix(head, "\r\n\r\n"); {
		line, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%q: %v", head, err)
		}
		head += line
	}
	return conn, head
}

// group is one of these servers; none of them becomes unavailable.
func group(t *testing.T, servers ...*server) *upstream.Group {
	t.Helper()
	spec := upstream.GroupSpec{Name: "up"}
	for _, s := range servers {
		one := upstream.ServerSpec{Name: s.Addr().String(), Weight: 1}
		if a, ok := s.Addr().(*net.TCPAddr); ok {
			one.Addr = a.AddrPort()
		} else {
			one.Unix = s.Addr().String()
		}
		spec.Servers = append(spec.Servers, one)
	}
	g, err := upstream.NewGroup(upstream.NewRegistry(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// sent is a copy to send to g, and where its failures are told.
func sent(p *mirror.Pool, g *upstream.Group) (c *mirror.Copy, failures chan error) {
	c, failures = p.Lend(), make(chan error, 16)
	c.Group, c.Tries = g, g.Len()
	c.Peer = g.Pick(&c.Choice, 0)
	c.Connect, c.Write, c.Read = deadline, deadline, deadline
	c.Request = append(c.Request, "GET /copy HTTP/1.1\r\nHost: a\r\n\r\n"...)
	c.Log = func(_ string, err error) { failures <- err }
	return c, failures
}

func newPool(t *testing.T) *mirror.Pool {
	p := mirror.NewPool(mirror.Options{ActiveMax: 2, QueueMax: 4, BytesMax: 1 << 20})
	t.Cleanup(func() { p.Close(deadline) })
	return p
}

func failure(t *testing.T, failures chan error) error {
	t.Helper()
	select {
	case err := <-failures:
		return err
	case <-time.After(deadline):
		t.Fatal("it does not fail")
		return nil
	}
}

// ended closes p and compares what became of its copies.
func ended(t *testing.T, p *mirror.Pool, g *upstream.Group, answered, failed uint64) {
	t.Helper()
	p.Close(deadline)
	if s := &p.Stats; s.Answered.Load() != answered || s.Failed.Load() != failed {
		t.Errorf("answered %d, failed %d, want %d and %d", s.Answered.Load(), s.Failed.Load(), answered, failed)
	}
	for _, peer := range g.AppendPeers(nil) {
		if peer.Active.Load() != 0 || peer.Connections.Load() != 0 {
			t.Errorf("%s: %d requests and %d connections at the end", peer.Name, peer.Active.Load(), peer.Connections.Load())
		}
	}
}

func TestSend(t *testing.T) {
	for _, s := range []*server{listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", filepath.Join(t.TempDir(), "s"))} {
		p, g := newPool(t), group(t, s)
		c, _ := sent(p, g)
		c.Preface = []byte("PROXY UNKNOWN\r\n")
		if !p.Send(c) {
			t.Fatal("dropped")
		}
		conn, head := s.accept()
		if head != "PROXY UNKNOWN\r\nGET /copy HTTP/1.1\r\nHost: a\r\n\r\n" {
			t.Errorf("request %q", head)
		}
		// In pieces, with an interim response before it.
		for _, b := range []byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nX: y\r\n\r\n") {
			if _, err := conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		ended(t, p, g, 1, 0)
	}
}

func TestSendFromAnAddress(t *testing.T) {
	s := listen(t, "tcp", "127.0.0.1:0")
	for _, transparent := range []bool{false, true} {
		p, g := newPool(t), group(t, s)
		c, failures := sent(p, g)
		c.Bound, c.Transparent = true, transparent
		c.Local[0], c.Fits[0] = netip.MustParseAddrPort("127.0.0.9:0"), true
		p.Send(c)
		if transparent {
			conns := make(chan net.Conn, 1)
			go func() {
				if conn, err := s.Accept(); err == nil {
					conns <- conn
				}
			}()
			select {
			case conn := <-conns:
				conn.Close()
			case err := <-failures:
				t.Skipf("no transparent sockets here: %v", err)
			}
			continue
		}
		conn, _ := s.accept()
		if from := conn.RemoteAddr().String(); !strings.HasPrefix(from, "127.0.0.9:") {
			t.Errorf("from %s", from)
		}
		conn.Close()
	}
	p, g := newPool(t), group(t, s)
	c, failures := sent(p, g)
	c.Bound = true
	c.Local[1], c.Fits[1] = netip.MustParseAddrPort("[::1]:0"), true
	p.Send(c)
	if err := failure(t, failures); !strings.Contains(err.Error(), "no address of this family") {
		t.Error(err)
	}
	ended(t, p, g, 0, 1)
}

// One that refuses is followed by the next, one that took a connection is not.
func TestSendToTheNext(t *testing.T) {
	dead, s := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	p, g := newPool(t), group(t, dead, s)
	dead.Close()
	for range 2 {
		c, _ := sent(p, g)
		p.Send(c)
		conn, _ := s.accept()
		conn.Close()
	}
	ended(t, p, g, 0, 2)
	if n := g.AppendPeers(nil)[1].Requests.Load(); n != 2 {
		t.Errorf("%d requests at the second, want 2", n)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, answer := range []string{
		"", "HTTP/1.1 200 OK\r\nX: y", "What?\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
		strings.Repeat("HTTP/1.1 102 Wait\r\n\r\n", 40),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 70_000) + "\r\n\r\n",
	} {
		s := listen(t, "tcp", "127.0.0.1:0")
		p, g := newPool(t), group(t, s)
		c, failures := sent(p, g)
		p.Send(c)
		conn, _ := s.accept()
		_, _ = conn.Write([]byte(answer))
		_ = conn.(*net.TCPConn).CloseWrite()
		failure(t, failures)
		ended(t, p, g, 0, 1)
	}
	s := listen(t, "tcp", "127.0.0.1:0")
	p, g := newPool(t), group(t, s)
	c, failures := sent(p, g)
	c.Read = time.Millisecond
	p.Send(c)
	s.accept()
	var timeout net.Error
	if err := failure(t, failures); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error(err)
	}
	ended(t, p, g, 0, 1)
}

// What is larger than all that may wait is dropped, and its peer given back.
func TestBytesAreBounded(t *testing.T) {
	s := listen(t, "tcp", "127.0.0.1:0")
	p, g := newPool(t), group(t, s)
	for range 3 {
		c, _ := sent(p, g)
		c.Request = make([]byte, 1<<20+1)
		if p.Send(c) {
			t.Error("not dropped")
		}
	}
	ended(t, p, g, 0, 0)
	if n := p.Stats.Dropped.Load(); n != 3 {
		t.Errorf("%d were dropped", n)
	}
	c, _ := sent(p, g)
	if p.Send(c) {
		t.Error("a closed pool takes a copy")
	}
}
