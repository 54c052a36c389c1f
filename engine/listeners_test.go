package engine

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/config"
	"holdfast/internal/sys"
)

// listening are the listeners of a server with these listen directives.
func listening(t *testing.T, listens ...string) []*config.Listener {
	t.Helper()
	text := "http { server {\n"
	for _, l := range listens {
		text += "listen " + l + ";\n"
	}
	return load(t, text+"return 204; } }").HTTP.Listeners
}

// open opens sockets for two shards and closes them with the test.
func open(t *testing.T, listens ...string) (*sockets, error) {
	t.Helper()
	before := openFiles(t)
	s, err := openSockets(listening(t, listens...), 2, false)
	if after := openFiles(t); err != nil && after > before {
		t.Errorf("%d files were open before the failure, %d after", before, after)
	}
	if err == nil {
		t.Cleanup(func() {
			s.close()
			if after := openFiles(t); after > before {
				t.Errorf("%d files were open before, %d after", before, after)
			}
		})
	}
	return s, err
}

// openFiles may count some that another test's clients are about to close: only more
// than before is a leak.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func refused(t *testing.T, err error, fragments ...string) {
	t.Helper()
	for _, f := range fragments {
		if err == nil || !strings.Contains(err.Error(), f) {
			t.Fatalf("error %v does not say %q", err, f)
		}
	}
}

// taker waits until a listener has got a connection, and tells which one.
func taker(t *testing.T, s *sockets) (listener int) {
	t.Helper()
	until(t, "the connection at a listener", func() bool {
		for _, fds := range s.tcp {
			for i, l := range fds {
				if fd, _, errno := sys.Accept(l); errno == 0 {
					sys.Close(fd)
					listener = i
					return true
				}
			}
		}
		return false
	})
	return listener
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestWildcardBesideAddress(t *testing.T) {
	port := freeAddress(t).Port()
	s, err := open(t, fmt.Sprintf("%d", port), fmt.Sprintf("127.0.0.1:%d", port))
	must(t, err)
	dial(t, fmt.Sprintf("127.0.0.1:%d", port))
	if taker(t, s) != 1 {
		t.Error("the connection to the address did not come to its own listener")
	}
	dial(t, fmt.Sprintf("127.0.0.2:%d", port))
	if taker(t, s) != 0 {
		t.Error("another address does not come to the wildcard")
	}
}

func TestBothFamiliesOnOnePort(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here:", err)
	} else {
		l.Close()
	}
	for _, only := range []string{"on", "off"} {
		t.Run("ipv6only="+only, func(t *testing.T) {
			port := freeAddress(t).Port()
			s, err := open(t, fmt.Sprintf("[::]:%d ipv6only=%s", port, only), fmt.Sprintf("*:%d", port))
			must(t, err)
			dial(t, fmt.Sprintf("127.0.0.1:%d", port))
			if taker(t, s) != 1 {
				t.Error("IPv4 does not come to its own wildcard")
			}
			dial(t, fmt.Sprintf("[::1]:%d", port))
			if taker(t, s) != 0 {
				t.Error("IPv6 does not come to its own wildcard")
			}
		})
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	for _, listen := range []string{l.Addr().String(), fmt.Sprint(l.Addr().(*net.TCPAddr).Port)} {
		_, err := open(t, freeAddress(t).String(), listen)
		refused(t, err, "nginx.conf:3: listen ", "address already in use", "another line of this configuration")
	}
}

func TestSharedAddress(t *testing.T) {
	address := freeAddress(t).String()
	_, err := open(t, address+" shared")
	must(t, err)
	_, err = open(t, address+" shared")
	must(t, err)
	_, err = open(t, address)
	refused(t, err, "address already in use")
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "front.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	left.SetUnlinkOnClose(false)
	left.Close()
	s, err := open(t, "unix:"+path)
	if err != nil {
		t.Fatal("a socket left behind is in the way:", err)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, want rw for all", info.Mode())
	}
	_, err = open(t, "unix:"+path)
	refused(t, err, "nginx.conf:2: listen unix:"+path, "another line of this configuration listens there")
	s.close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file stays: %v", err)
	}
	must(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = open(t, "unix:"+path)
	refused(t, err, "no socket has this name")
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file is now %q", text)
	}
	_, err = open(t, "unix:"+filepath.Join(path, "missing", "x.sock"))
	refused(t, err, "nginx.conf:2: listen unix:")
}

// An abstract address is no file: one with its name is none of ours.
func TestAbstractUnixSocket(t *testing.T) {
	t.Chdir(t.TempDir())
	name := fmt.Sprintf("@holdfast-front-%d", os.Getpid())
	must(t, os.WriteFile(name, nil, 0o600))
	s, err := open(t, "unix:"+name)
	must(t, err)
	s.close()
	info, err := os.Stat(name)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is now %v", info.Mode())
	}
}

func TestUnixAcceptorEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "front.sock")
	s, err := openSockets(listening(t, "unix:"+path), 1, false)
	must(t, err)
	ended := make(chan struct{})
	socket := s.unix[0]
	go func() {
		acceptUnix(socket, nil)
		close(ended)
	}()
	s.closeUnix()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the acceptor goes on")
	}
}

func TestBindErrorHints(t *testing.T) {
	_, err := open(t, "192.0.2.1:80")
	refused(t, err, "nginx.conf:2: listen 192.0.2.1:80: ", "no interface of this machine has the address")
	unix := config.Addr{Unix: "/nowhere/x.sock"}
	refused(t, bindError("listen", unix, sys.ENOENT, sys.ENOENT), "make the folder first")
	tcp := config.Addr{IP: netip.MustParseAddrPort("127.0.0.1:80")}
	refused(t, bindError("listen", tcp, 13, os.ErrPermission), "CAP_NET_BIND_SERVICE")
}

// The largest values that check accepts are ones that the kernel takes.
func TestKeepaliveLimits(t *testing.T) {
	l := listening(t, freeAddress(t).String()+" so_keepalive=32767:32767:127")
	if o := listenOptions(l[0]); o.Keepalive.UserTimeoutMs != math.MaxInt32 {
		t.Errorf("user timeout %d", o.Keepalive.UserTimeoutMs)
	}
	s, err := openSockets(l, 1, false)
	must(t, err)
	s.close()
	o := listenOptions(listening(t, "1")[0])
	if o.Keepalive != sys.DefaultKeepalive {
		t.Errorf("default keepalive %+v", o.Keepalive)
	}
}
