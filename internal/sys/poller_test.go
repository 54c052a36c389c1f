package sys_test

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
)

const deadlineMs = 60_000 // for what must happen; never reached by working code

func newPoller(t testing.TB, batch int) *sys.Poller {
	t.Helper()
	p, e := sys.NewPoller(batch)
	if e != 0 {
		t.Fatal(e)
	}
	t.Cleanup(p.Close)
	return p
}

func socketpair(t testing.TB) (int32, int32) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close(int32(fds[0])); sys.Close(int32(fds[1])) })
	return int32(fds[0]), int32(fds[1])
}

// wait is Wait for what must happen. A signal may end a Wait early: the runtime sends
// some to its own threads.
func wait(p *sys.Poller) (int, sys.Errno) {
	for end := time.Now().Add(deadlineMs * time.Millisecond); ; {
		if n, e := p.Wait(deadlineMs); n != 0 || e != 0 || time.Now().After(end) {
			return n, e
		}
	}
}

// one waits for exactly one event.
func one(t *testing.T, p *sys.Poller) sys.Event {
	t.Helper()
	n, e := wait(p)
	if e != 0 || n != 1 {
		t.Fatalf("%d events, %v", n, e)
	}
	return p.Event(0)
}

func none(t *testing.T, p *sys.Poller, why string) {
	t.Helper()
	if n, e := p.Wait(0); e != 0 || n != 0 {
		t.Fatalf("%s: %d events, %v, the first %+v", why, n, e, p.Event(0))
	}
}

func write(t *testing.T, fd int32, s string) {
	t.Helper()
	if n, e := sys.Write(fd, []byte(s)); e != 0 || n != len(s) {
		t.Fatalf("wrote %d: %v", n, e)
	}
}

func TestPollerIsEdgeTriggered(t *testing.T) {
	p := newPoller(t, 8)
	a, b := socketpair(t)
	const data = 0xFEDC_BA98_7654_3210
	if e := p.Add(a, data); e != 0 {
		t.Fatal(e)
	}
	if ev := one(t, p); ev.Data != data || ev.Bits != sys.EventWrite {
		t.Fatalf("%+v", ev)
	}
	none(t, p, "writable is reported once")
	write(t, b, "x")
	if ev := one(t, p); ev.Data != data || ev.Bits&sys.EventRead == 0 {
		t.Fatalf("%+v", ev)
	}
	none(t, p, "readable is reported once, read or not")
	write(t, b, "y")
	if ev := one(t, p); ev.Bits&sys.EventRead == 0 {
		t.Fatalf("more bytes: %+v", ev)
	}
	if e := p.Add(a, 1); e != sys.EEXIST {
		t.Fatalf("added twice: %v", e)
	}
	sys.ShutdownWrite(b)
	if ev := one(t, p); ev.Bits&sys.EventRdHup == 0 {
		t.Fatalf("half-close: %+v", ev)
	}
}

func TestDeleteTakesOut(t *testing.T) {
	p := newPoller(t, 8)
	a, b := socketpair(t)
	p.Add(a, 1)
	one(t, p)
	if e := p.Delete(a); e != 0 {
		t.Fatal(e)
	}
	write(t, b, "z")
	none(t, p, "the descriptor is out")
	if e := p.Delete(a); e != sys.ENOENT {
		t.Fatalf("deleted twice: %v", e)
	}
}

// TestRawWaitEnds: the wait behind one that had events is raw, and ends although nothing
// comes, long before its timeout.
func TestRawWaitEnds(t *testing.T) {
	p := newPoller(t, 8)
	a, _ := socketpair(t)
	p.Add(a, 1)
	one(t, p)
	const never = 10 * 60 * 1000
	start := time.Now()
	if n, e := p.Wait(never); n != 0 || e != 0 || time.Since(start) > time.Minute {
		t.Fatalf("%d events, errno %d after %v", n, e, time.Since(start))
	}
}

func TestPollerTakesAtMostABatch(t *testing.T) {
	p := newPoller(t, 2)
	for i := range 3 {
		a, _ := socketpair(t)
		p.Add(a, uint64(i))
	}
	seen := map[uint64]bool{}
	for _, want := range []int{2, 1} {
		n, e := wait(p)
		if n != want || e != 0 {
			t.Fatalf("%d events, want %d: %v", n, want, e)
		}
		for i := range n {
			seen[p.Event(i).Data] = true
		}
	}
	if len(seen) != 3 {
		t.Fatalf("%v", seen)
	}
}

// TestUrgentDataMakesShortReadsDoubtful: the mark is reported as EventRdHup is.
func TestUrgentDataMakesShortReadsDoubtful(t *testing.T) {
	p := newPoller(t, 8)
	a, b := tcpPair(t, sys.ListenOptions{})
	p.Add(a, 1)
	one(t, p)
	if err := unix.Sendto(int(b), []byte("!"), unix.MSG_OOB, nil); err != nil {
		t.Fatal(err)
	}
	if ev := one(t, p); ev.Bits&sys.EventRdHup == 0 {
		t.Fatalf("%+v", ev)
	}
}

func TestWake(t *testing.T) {
	p := newPoller(t, 8)
	p.Wake()
	p.Wake()
	if ev := one(t, p); ev.Data != sys.WakeData {
		t.Fatalf("%+v", ev)
	}
	if ev := one(t, p); ev.Data != sys.WakeData {
		t.Fatalf("unread, it must be reported again: %+v", ev)
	}
	p.Woken()
	none(t, p, "it was read")
	var wg sync.WaitGroup
	wg.Go(p.Wake)
	if ev := one(t, p); ev.Data != sys.WakeData {
		t.Fatalf("from another thread: %+v", ev)
	}
	wg.Wait()
}

// TestWakeAfterCloseTouchesNobody: the eventfd's number is taken again at once; what
// holds it now must not get the bytes.
func TestWakeAfterCloseTouchesNobody(t *testing.T) {
	p, e := sys.NewPoller(8)
	if e != 0 {
		t.Fatal(e)
	}
	p.Close()
	var peers []int32
	for range 4 {
		a, b := socketpair(t)
		peers = append(peers, a, b)
	}
	p.Wake()
	p.Close()
	for _, fd := range peers {
		var buf [8]byte
		if n, e := sys.Read(fd, buf[:]); e != sys.EAGAIN {
			t.Fatalf("%d bytes in a foreign socket: %v, %v", n, buf[:n], e)
		}
	}
}

func TestWaitErrors(t *testing.T) {
	p, e := sys.NewPoller(8)
	if e != 0 {
		t.Fatal(e)
	}
	early := 0      // a signal may end a few
	for range 100 { // a wait longer than the kernel's 32 bits can say is no short one
		go p.Wake()
		n, e := p.Wait(1 << 32)
		if n == 0 {
			early++
			n, e = wait(p)
		}
		if n != 1 || e != 0 || early > 10 {
			t.Fatalf("%d, %v, %d ended early", n, e, early)
		}
		p.Woken()
	}
	p.Close()
	for _, ms := range []int{0, 1} {
		if n, e := p.Wait(ms); n != 0 || e != unix.EBADF {
			t.Fatalf("closed: %d, %v", n, e)
		}
	}
	if e := p.Add(0, 0); e != unix.EBADF {
		t.Fatal(e)
	}
}

func TestNowMsGoesForward(t *testing.T) {
	before := sys.NowMs()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	clock := ts.Nano() / 1e6
	after := sys.NowMs()
	// The two clocks were read one after the other when the process began, which may have
	// been interrupted in between.
	const apart = 10_000
	if before > clock+apart || after < clock-apart || after < before {
		t.Fatalf("%d, kernel %d, %d", before, clock, after)
	}
}

// tcpPair is an accepted and a dialled socket.
func tcpPair(t testing.TB, o sys.ListenOptions) (accepted, dialled int32) {
	t.Helper()
	l := listen(t, "127.0.0.1:0", o)
	dialled, e := sys.Dial(sys.LocalAddr(l))
	if e != 0 {
		t.Fatal(e)
	}
	t.Cleanup(func() { sys.Close(dialled) })
	accepted = accept(t, l)
	return accepted, dialled
}

func listen(t testing.TB, addr string, o sys.ListenOptions) int32 {
	t.Helper()
	l, e := sys.ListenTCP(netip.MustParseAddrPort(addr), o)
	if e != 0 {
		t.Fatal(e)
	}
	t.Cleanup(func() { sys.Close(l) })
	return l
}

func accept(t testing.TB, l int32) int32 {
	t.Helper()
	for end := time.Now().Add(deadlineMs * time.Millisecond); ; {
		fd, _, e := sys.Accept(l)
		if e == 0 {
			t.Cleanup(func() { sys.Close(fd) })
			return fd
		}
		if e != sys.EAGAIN || time.Now().After(end) {
			t.Fatal(e)
		}
	}
}
