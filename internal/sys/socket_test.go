package sys_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/test/port"
)

func TestDialAcceptAndAddresses(t *testing.T) {
	for _, c := range []struct{ listen, dial, seen string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"[::1]:0", "::1", "::1"},
		{"0.0.0.0:0", "::ffff:127.0.0.1", "127.0.0.1"},
		{"[::]:0", "127.0.0.1", "127.0.0.1"}, // reached through a mapped address
	} {
		t.Run(c.listen+" "+c.dial, func(t *testing.T) {
			l, e := sys.ListenTCP(netip.MustParseAddrPort(c.listen), sys.ListenOptions{})
			if e == unix.EADDRNOTAVAIL || e == unix.EAFNOSUPPORT {
				t.Skip("no IPv6 here")
			}
			if e != 0 {
				t.Fatal(e)
			}
			defer sys.Close(l)
			if _, _, e := sys.Accept(l); e != sys.EAGAIN {
				t.Fatalf("nobody there: %v", e)
			}
			port := sys.LocalAddr(l).Port()
			a, e := sys.Dial(netip.AddrPortFrom(netip.MustParseAddr(c.dial), port))
			if e != 0 {
				t.Fatal(e)
			}
			defer sys.Close(a)
			b := accept(t, l)
			want := netip.AddrPortFrom(netip.MustParseAddr(c.seen), port)
			if got := sys.LocalAddr(b); got != want {
				t.Errorf("accepted at %v, want %v", got, want)
			}
			if got := sys.RemoteAddr(b); got != sys.LocalAddr(a) || got.Addr() != want.Addr() {
				t.Errorf("peer %v, want %v", got, sys.LocalAddr(a))
			}
			if e := sys.SocketError(a); e != 0 {
				t.Errorf("connected, with error %v", e)
			}
			for name, fd := range map[string]int32{"accepted": b, "dialled": a, "listener": l} {
				nonBlockingAndPrivate(t, name, fd)
			}
		})
	}
}

func nonBlockingAndPrivate(t *testing.T, name string, fd int32) {
	t.Helper()
	fl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	fdfl, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if fl&unix.O_NONBLOCK == 0 || fdfl&unix.FD_CLOEXEC == 0 {
		t.Errorf("%s: flags %#x, %#x: a raw call could block, or a child inherit it", name, fl, fdfl)
	}
}

func TestDialRefused(t *testing.T) {
	fd, e := sys.Dial(netip.MustParseAddrPort(port.Address(t)))
	if e == 0 {
		defer sys.Close(fd)
		p := newPoller(t, 4)
		p.Add(fd, 1)
		if ev := one(t, p); ev.Bits&sys.EventErr == 0 {
			t.Fatalf("%+v", ev)
		}
		e = sys.SocketError(fd)
		if again := sys.SocketError(fd); again != 0 {
			t.Fatalf("the error is taken once, then %v", again)
		}
	}
	if e != sys.ECONNREFUSED {
		t.Fatal(e)
	}
	if e := sys.SocketError(-1); e != unix.EBADF {
		t.Fatal(e)
	}
}

func TestDialNowhere(t *testing.T) {
	before := openFiles(t)
	if fd, e := sys.Dial(netip.AddrPort{}); e == 0 {
		sys.Close(fd)
	}
	// A broadcast address fails at once.
	if fd, e := sys.Dial(netip.MustParseAddrPort("255.255.255.255:9")); e == 0 || fd != -1 {
		t.Errorf("%d, %v", fd, e)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir + "/s", fmt.Sprintf("@holdfast-test-%d", os.Getpid())} {
		l, e := sys.ListenUnix(path, sys.ListenOptions{Backlog: 1})
		if e != 0 {
			t.Fatalf("%s: %v", path, e)
		}
		if _, e := sys.ListenUnix(path, sys.ListenOptions{}); e != sys.EADDRINUSE {
			t.Errorf("%s twice: %v", path, e)
		}
		fd, e := sys.DialUnix(path)
		if e != 0 {
			t.Fatalf("%s: %v", path, e)
		}
		nonBlockingAndPrivate(t, path, fd)
		peer := accept(t, l)
		write(t, fd, "hello")
		var buf [16]byte
		if n, _ := sys.Read(peer, buf[:]); string(buf[:n]) != "hello" {
			t.Errorf("%q", buf[:n])
		}
		if sys.RemoteAddr(peer).IsValid() || sys.LocalAddr(fd).IsValid() {
			t.Error("a unix socket with an IP address")
		}
		// A full queue is EAGAIN, and the descriptor is closed.
		var queued []int32
		for range 10 {
			q, e := sys.DialUnix(path)
			if e != 0 {
				if e != sys.EAGAIN || q != -1 {
					t.Errorf("full queue: %d, %v", q, e)
				}
				break
			}
			queued = append(queued, q)
		}
		if len(queued) == 10 {
			t.Error("the queue is never full")
		}
		for _, q := range append(queued, fd, l) {
			sys.Close(q)
		}
		if _, e := sys.DialUnix(path); e != sys.ECONNREFUSED {
			t.Errorf("%s, closed: %v", path, e)
		}
	}
	if _, e := sys.DialUnix(dir + "/none"); e != sys.ENOENT {
		t.Errorf("no such path: %v", e)
	}
	for _, path := range []string{"", "/" + strings.Repeat("x", 107), "/" + strings.Repeat("x", 500)} {
		before := openFiles(t)
		if fd, e := sys.DialUnix(path); e != sys.EINVAL || fd != -1 {
			t.Errorf("dial a path of %d: %d, %v", len(path), fd, e)
		}
		if path != "" {
			if fd, e := sys.ListenUnix(path, sys.ListenOptions{}); e != sys.EINVAL || fd != -1 {
				t.Errorf("listen on a path of %d: %d, %v", len(path), fd, e)
			}
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	}
}

func TestBlockingListener(t *testing.T) {
	path := t.TempDir() + "/s"
	l, e := sys.ListenUnix(path, sys.ListenOptions{Blocking: true})
	if e != 0 {
		t.Fatal(e)
	}
	defer sys.Close(l)
	type result struct {
		fd int32
		e  sys.Errno
	}
	results := make(chan result)
	go func() {
		for {
			fd, e := sys.AcceptBlocking(l)
			results <- result{fd, e}
			if e != 0 {
				return
			}
		}
	}()
	fd, e := sys.DialUnix(path)
	if e != 0 {
		t.Fatal(e)
	}
	defer sys.Close(fd)
	r := <-results
	if r.e != 0 {
		t.Fatal(r.e)
	}
	nonBlockingAndPrivate(t, "accepted", r.fd)
	sys.Close(r.fd)
	sys.ShutdownListener(l)
	if r := <-results; r.e != sys.EINVAL || r.fd != -1 {
		t.Fatalf("shut down: %d, %v", r.fd, r.e)
	}
}

func option(t *testing.T, fd int32, level, opt int) int {
	t.Helper()
	v, err := unix.GetsockoptInt(int(fd), level, opt)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestListenOptions asks the kernel for each option, on the listener and on what it accepts.
func TestListenOptions(t *testing.T) {
	o := sys.ListenOptions{ReusePort: true, Backlog: 7, RcvBuf: 70_000, SndBuf: 60_000, FastOpen: 5, NoDelay: true,
		Keepalive: sys.Keepalive{On: true, Idle: 61, Interval: 7, Count: 3, UserTimeoutMs: 83_000}}
	l := listen(t, "127.0.0.1:0", o)
	fd, e := sys.Dial(sys.LocalAddr(l))
	if e != 0 {
		t.Fatal(e)
	}
	defer sys.Close(fd)
	conn := accept(t, l)
	for _, c := range []struct {
		name             string
		level, opt, want int
		inherited        bool
	}{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, true},
		{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, true},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 140_000, true}, // the kernel doubles it
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 120_000, true},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, true},
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, true},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 61, true},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 7, true},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3, true},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 83_000, true},
		{"TCP_FASTOPEN", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 5, false},
	} {
		if got := option(t, l, c.level, c.opt); got != c.want {
			t.Errorf("%s of the listener: %d, want %d", c.name, got, c.want)
		}
		if c.inherited {
			if got := option(t, conn, c.level, c.opt); got != c.want {
				t.Errorf("%s of the connection: %d, want %d", c.name, got, c.want)
			}
		}
	}
	if again, e := sys.ListenTCP(sys.LocalAddr(l), o); e != 0 {
		t.Errorf("a second listener with SO_REUSEPORT: %v", e)
	} else {
		sys.Close(again)
	}
}

func TestPlainListener(t *testing.T) {
	l := listen(t, "127.0.0.1:0", sys.ListenOptions{})
	for name, opt := range map[string][2]int{
		"SO_REUSEPORT": {unix.SOL_SOCKET, unix.SO_REUSEPORT},
		"SO_KEEPALIVE": {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
		"TCP_NODELAY":  {unix.IPPROTO_TCP, unix.TCP_NODELAY},
		"TCP_FASTOPEN": {unix.IPPROTO_TCP, unix.TCP_FASTOPEN},
		"DEFER_ACCEPT": {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT},
	} {
		if got := option(t, l, opt[0], opt[1]); got != 0 {
			t.Errorf("%s is %d", name, got)
		}
	}
	before := openFiles(t)
	if fd, e := sys.ListenTCP(sys.LocalAddr(l), sys.ListenOptions{}); e != sys.EADDRINUSE || fd != -1 {
		t.Errorf("the same address twice: %d, %v", fd, e)
	}
	if fd, e := sys.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"),
		sys.ListenOptions{Keepalive: sys.Keepalive{On: true, Count: 1000}}); e != sys.EINVAL || fd != -1 {
		t.Errorf("a thousand probes: %d, %v", fd, e)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestDeferAndV6Only(t *testing.T) {
	l := listen(t, "127.0.0.1:0", sys.ListenOptions{Defer: true})
	if option(t, l, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT) == 0 {
		t.Error("TCP_DEFER_ACCEPT is not set")
	}
	for _, only := range []bool{true, false} {
		l, e := sys.ListenTCP(netip.MustParseAddrPort("[::]:0"), sys.ListenOptions{V6Only: only})
		if e == unix.EAFNOSUPPORT {
			t.Skip("no IPv6 here")
		}
		if e != 0 {
			t.Fatal(e)
		}
		if got := option(t, l, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) == 1; got != only {
			t.Errorf("IPV6_V6ONLY is %v, want %v", got, only)
		}
		sys.Close(l)
	}
}

// TestKeepaliveIsSpread: a thousand neighbours share no more than a few times, none of which
// the kernel would round to 16 seconds, and a dead peer is found in time.
func TestKeepaliveIsSpread(t *testing.T) {
	count := map[int]int{}
	for seed := range uint64(1000) {
		k := sys.SpreadKeepalive(seed)
		count[k.Idle]++
		if k.Idle < 30 || k.Idle >= 131 || k.Interval < 5 || k.Interval >= 16 || k.UserTimeoutMs != 240_000 || !k.On ||
			k.Idle+k.Count*k.Interval < k.UserTimeoutMs/1000 {
			t.Fatalf("seed %d: %+v", seed, k)
		}
	}
	for idle, n := range count {
		if n > 40 {
			t.Errorf("%d of 1000 have TCP_KEEPIDLE %d", n, idle)
		}
	}
	if len(count) < 60 {
		t.Errorf("%d different times", len(count))
	}
}

func TestKeepaliveAndNoDelay(t *testing.T) {
	_, fd := tcpPair(t, sys.ListenOptions{})
	if option(t, fd, unix.IPPROTO_TCP, unix.TCP_NODELAY) != 1 {
		t.Error("a dialled socket waits to fill segments")
	}
	sys.SetNoDelay(fd, false)
	if option(t, fd, unix.IPPROTO_TCP, unix.TCP_NODELAY) != 0 {
		t.Error("TCP_NODELAY stays")
	}
	system := option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
	if e := sys.SetKeepalive(fd, sys.Keepalive{On: true, Idle: 99}); e != 0 {
		t.Fatal(e)
	}
	if option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE) != 99 ||
		option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL) != system {
		t.Error("a zero field must leave the system's value")
	}
	sys.SetKeepalive(fd, sys.DefaultKeepalive)
	if got := option(t, fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != 240_000 {
		t.Errorf("user timeout %d", got)
	}
	sys.SetKeepalive(fd, sys.Keepalive{})
	if option(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0 {
		t.Error("keepalive stays on")
	}
	if e := sys.SetKeepalive(fd, sys.Keepalive{On: true, Idle: 1 << 20}); e != sys.EINVAL {
		t.Errorf("an idle time past tcp(7)'s limit: %v", e)
	}
	if e := sys.SetKeepalive(-1, sys.DefaultKeepalive); e != unix.EBADF {
		t.Error(e)
	}
}

func TestReadWriteAndFin(t *testing.T) {
	a, b := tcpPair(t, sys.ListenOptions{NoDelay: true})
	var buf [16]byte
	if n, e := sys.Read(a, buf[:]); n != 0 || e != sys.EAGAIN {
		t.Fatalf("nothing there: %d, %v", n, e)
	}
	if n, e := sys.Peek(a, buf[:]); n != 0 || e != sys.EAGAIN {
		t.Fatalf("nothing there: %d, %v", n, e)
	}
	if sys.PeekEOF(a) {
		t.Fatal("an open, silent peer has not ended")
	}
	write(t, b, "bytes")
	readable(t, a)
	if n, e := sys.Peek(a, buf[:3]); e != 0 || string(buf[:n]) != "byt" {
		t.Fatalf("%q, %v", buf[:n], e)
	}
	if sys.PeekEOF(a) {
		t.Fatal("bytes are left to read")
	}
	if n, e := sys.Read(a, buf[:]); e != 0 || string(buf[:n]) != "bytes" {
		t.Fatalf("%q, %v", buf[:n], e)
	}
	sys.ShutdownWrite(b)
	readable(t, a)
	if !sys.PeekEOF(a) {
		t.Fatal("FIN with nothing before it is the end")
	}
	if n, e := sys.Read(a, buf[:]); n != 0 || e != 0 {
		t.Fatalf("end of stream: %d, %v", n, e)
	}
	if n, e := sys.Write(b, buf[:]); n != 0 || e != sys.EPIPE {
		t.Fatalf("after our FIN: %d, %v", n, e)
	}
	write(t, a, "the other direction lives")
}

func readable(t *testing.T, fd int32) {
	t.Helper()
	fds := []unix.PollFd{{Fd: fd, Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, deadlineMs); n != 1 {
		t.Fatalf("nothing to read: %v", err)
	}
}

func TestResetOnClose(t *testing.T) {
	l := listen(t, "127.0.0.1:0", sys.ListenOptions{})
	x, e := sys.Dial(sys.LocalAddr(l))
	if e != 0 {
		t.Fatal(e)
	}
	y := accept(t, l)
	z, e := sys.Dial(sys.LocalAddr(l))
	if e != 0 {
		t.Fatal(e)
	}
	v := accept(t, l)
	for _, fd := range []int32{x, z} {
		sys.ResetOnClose(fd)
		if e := sys.Close(fd); e != 0 {
			t.Fatal(e)
		}
	}
	readable(t, y)
	var buf [4]byte
	if _, e := sys.Peek(y, buf[:]); e != sys.ECONNRESET {
		t.Fatalf("%v instead of a reset", e)
	}
	readable(t, v)
	if !sys.PeekEOF(v) {
		t.Fatal("after a reset nothing comes")
	}
	if e := sys.Close(-1); e != unix.EBADF {
		t.Fatal(e)
	}
}

// TestNothingIsAllocated: the calls of the data path keep their arguments on the stack.
func TestNothingIsAllocated(t *testing.T) {
	p := newPoller(t, 8)
	a, b := tcpPair(t, sys.ListenOptions{NoDelay: true})
	l := listen(t, "127.0.0.1:0", sys.ListenOptions{})
	buf := bytes.Repeat([]byte("b"), 64)
	to := sys.LocalAddr(l)
	p.Add(a, 1)
	for name, f := range map[string]func(){
		"Read":        func() { sys.Read(a, buf) },
		"Write":       func() { sys.Write(b, buf[:1]) },
		"Peek":        func() { sys.Peek(a, buf) },
		"PeekEOF":     func() { sys.PeekEOF(b) },
		"Wait":        func() { p.Wait(0); p.Event(0) },
		"Wake":        func() { p.Wake(); p.Woken() },
		"RemoteAddr":  func() { sys.RemoteAddr(a) },
		"LocalAddr":   func() { sys.LocalAddr(a) },
		"SocketError": func() { sys.SocketError(a) },
		"Keepalive":   func() { sys.SetKeepalive(b, sys.DefaultKeepalive) },
		"NowMs":       func() { sys.NowMs() },
		"Dial": func() {
			fd, _ := sys.Dial(to)
			conn, _, _ := sys.Accept(l)
			sys.Close(conn)
			sys.ResetOnClose(fd)
			sys.Close(fd)
		},
		"DialUnix": func() { sys.DialUnix("/nowhere/at/all") },
	} {
		if n := testing.AllocsPerRun(50, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
