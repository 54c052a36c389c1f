package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/test/proc"
)

const (
	ok200   = "HTTP/1.1 200 OK\r\n"
	poison2 = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Evil: yes\r\n\r\npoison"
)

// Late bytes on an idle upstream connection go nowhere. The proxy is stopped while the
// next request and then the late bytes arrive, so that it learns of both at once.
func TestHostileLateBytesOnAPooledConnection(t *testing.T) {
	for _, late := range []struct{ name, bytes string }{
		{"response", poison2}, {"one_byte", "H"}, {"interim", "HTTP/1.1 100 Continue\r\n\r\n"}, {"end", ""},
	} {
		t.Run(late.name, func(t *testing.T) {
			conns := make(chan *proc.Exchange, 8)
			g := startGround(t, func(x *proc.Exchange) {
				if strings.HasSuffix(x.Head.Target(), "/first") {
					conns <- x
				}
				echoTarget(x)
			})
			c := proc.Dial(t, g.Front())
			c.Send(get("/first"))
			c.Body(c.Response(200))
			up := <-conns
			proc.Until(t, "the pooled connection", func() error {
				if n := g.Status(t).Totals.UpstreamIdle; n != 1 {
					return fmt.Errorf("%d idle", n)
				}
				return nil
			})
			g.halt(t)
			c.Send(get("/second"))
			proc.Until(t, "the request to arrive", func() error { return arrived(c.Conn()) })
			if late.bytes == "" {
				_ = up.Conn().(interface{ CloseWrite() error }).CloseWrite()
			} else {
				_, _ = up.Conn().Write([]byte(late.bytes))
			}
			proc.Until(t, "the late bytes to arrive", func() error { return arrived(up.Conn()) })
			if err := g.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			h := c.Response(200)
			if h.Has("X-Evil") {
				t.Error("the client got the late bytes for its answer")
			}
			equal(t, "answer", string(c.Body(h)), "/second")
			c.Close()
			g.alive(t)
		})
	}
}

// halt stops the proxy and waits until each of its threads stands.
func (g *ground) halt(t *testing.T) {
	t.Helper()
	if err := g.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	proc.Until(t, "the proxy to stand still", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", g.PID()))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("no threads: %w", err)
		}
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if _, state, ok := strings.Cut(string(text), ") "); err == nil && ok && state[0] != 'T' {
				return fmt.Errorf("%s", text)
			}
		}
		return nil
	})
}

// arrived is nil once the kernel of the other side has all that was sent on a TCP
// connection, or the connection is no more.
func arrived(conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	const closed = 7 // TCP_CLOSE of the kernel's tcp_states.h
	var unacked int
	var info *unix.TCPInfo
	var err1, err2 error
	err = raw.Control(func(fd uintptr) {
		unacked, err1 = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
		info, err2 = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err := errors.Join(err, err1, err2); err != nil {
		return err
	}
	if unacked > 0 && info.State != closed {
		return fmt.Errorf("%d bytes are under way", unacked)
	}
	return nil
}

// A request that must not be done twice is not sent twice (RFC 9110 section 9.2.2), also
// where a pooled connection turns out to be dead.
func TestHostileUpstreamTakesAndCloses(t *testing.T) {
	g := startGround(t, func(x *proc.Exchange) {
		if strings.Contains(x.Head.Target(), "/take") {
			return
		}
		echoTarget(x)
	})
	c := proc.Dial(t, g.Front())
	for _, method := range []string{"POST", "PATCH", "LOCK", "MADEUP"} {
		t.Run(method, func(t *testing.T) {
			c.Send(get("/fill"))
			c.Body(c.Response(200))
			g.targets()
			c.Send(method + " /take HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
			c.Body(c.Response(502))
			if seen := g.targets(); len(seen) != 1 {
				t.Errorf("the upstream got %s %d times", method, len(seen))
			}
		})
	}
	c.Close()
}
