package relay_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/relay"
	"holdfast/tlsio"
)

const (
	scratchSize = 64 << 10
	deadline    = 60 * time.Second // for what must happen; never reached by working code
)

// pair makes two connected sockets: the relay's and the test's.
type pair func(t testing.TB) (relays, tests int32)

func unixPair(t testing.TB) (int32, int32) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return int32(fds[0]), int32(fds[1])
}

func tcpPair(t testing.TB) (int32, int32) {
	t.Helper()
	l, e := sys.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"), sys.ListenOptions{NoDelay: true})
	if e != 0 {
		t.Fatal(e)
	}
	defer sys.Close(l)
	mine, e := sys.Dial(sys.LocalAddr(l))
	if e != 0 {
		t.Fatal(e)
	}
	for end := time.Now().Add(deadline); ; {
		theirs, _, e := sys.Accept(l)
		if e == 0 {
			return mine, theirs
		}
		if e != sys.EAGAIN || time.Now().After(end) {
			t.Fatal(e)
		}
	}
}

// tiny wraps a pair so that its kernel buffers are small. TCP's receive buffer stays
// above the sender's: with less, the sender waits for its persist timer again and again.
func tiny(p pair) pair {
	return func(t testing.TB) (int32, int32) {
		a, b := p(t)
		for _, fd := range []int32{a, b} {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 4608)
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 48<<10)
		}
		return a, b
	}
}

// rig is a tunnel driven as a shard drives one: a half is pumped after an event of
// its poller, or because the last call asked for it, and never else.
type rig struct {
	t              testing.TB
	m              relay.Mover
	poller         *sys.Poller
	down, up       relay.Half
	client, server int32      // the test's ends
	sealed         *pool.Bufs // of TLS
	budget         int
	queued         bool
	idleSpins      int // turns that were asked for and came to nothing
}

func newRig(t testing.TB, left, right pair) *rig {
	t.Helper()
	p, e := sys.NewPoller(16)
	if e != 0 {
		t.Fatal(e)
	}
	r := &rig{t: t, poller: p, budget: 256 << 10}
	r.m = relay.Mover{Scratch: make([]byte, scratchSize), Bufs: pool.NewBufs(1 << 30), Pipes: pool.NewPipes(8)}
	r.sealed = pool.NewBufs(1 << 30)
	r.m.TLS = tlsio.NewLayer(r.sealed)
	var fd int32
	fd, r.client = left(t)
	r.down.Open(fd)
	fd, r.server = right(t)
	r.up.Open(fd)
	t.Cleanup(r.close)
	for data, h := range []*relay.Half{&r.down, &r.up} {
		if e := p.Add(h.FD, uint64(data)); e != 0 {
			t.Fatal(e)
		}
	}
	return r
}

func (r *rig) close() {
	r.m.Drop(&r.down)
	r.m.Drop(&r.up)
	r.nothingLent()
	r.m.Pipes.Trim()
	for _, fd := range []int32{r.down.FD, r.up.FD, r.client, r.server} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
	r.poller.Close()
}

func (r *rig) nothingLent() {
	r.t.Helper()
	if n, bytes := r.m.Bufs.Lent(); n != 0 || bytes != 0 {
		r.t.Errorf("%d buffers with %d bytes are still lent", n, bytes)
	}
	if n := r.m.Pipes.Lent(); n != 0 {
		r.t.Errorf("%d pipes are still lent", n)
	}
}

// turn waits for events and pumps both halves. It reports whether it had cause to.
func (r *rig) turn(waitMs int) bool {
	r.t.Helper()
	due := r.queued
	if due {
		waitMs = 0
	}
	n, e := r.poller.Wait(waitMs)
	if e != 0 {
		r.t.Fatal(e)
	}
	for i := range n {
		ev := r.poller.Event(i)
		h := &r.down
		if ev.Data == 1 {
			h = &r.up
		}
		h.Bits |= ready(ev.Bits)
	}
	if n == 0 && !due {
		return false
	}
	before := [...]any{r.down, r.up}
	pd := r.pump(&r.down, &r.up)
	pu := r.pump(&r.up, &r.down)
	if relay.Outcome(&r.down, &r.up) == relay.EndClose {
		sys.ShutdownWrite(r.down.FD) // as a close would, which ends the descriptors too
		sys.ShutdownWrite(r.up.FD)
	}
	r.queued = pd == relay.More || pu == relay.More || readable(&r.down) || readable(&r.up)
	if n == 0 && r.queued && before == [...]any{r.down, r.up} {
		if r.idleSpins++; r.idleSpins > 100 {
			r.t.Fatalf("the tunnel asks for turn after turn and does nothing: down %+v, up %+v", r.down, r.up)
		}
	} else {
		r.idleSpins = 0
	}
	return true
}

// pump is Pump with its promises checked.
func (r *rig) pump(h, other *relay.Half) relay.Progress {
	r.t.Helper()
	before := h.Bytes
	p := r.m.Pump(h, other, r.budget)
	if moved := h.Bytes - before; moved > uint64(r.budget)+2*(256<<10) {
		r.t.Fatalf("%d bytes moved with a budget of %d", moved, r.budget)
	}
	switch held := r.m.Held(h); {
	case p == relay.Drained && (h.Holding() || h.Bits&relay.CanRead != 0):
		r.t.Fatalf("drained, but %+v", h)
	case p == relay.Stuck && h.State == relay.Eof && other.TLS() != 0 && other.Bits&relay.CanWrite == 0: // its close_notify
	case p == relay.Stuck && (h.State != relay.Blocked || other.Bits&relay.CanWrite != 0):
		r.t.Fatalf("stuck, but %+v and destination %+v", h, other)
	case p == relay.Ended && (h.State != relay.Shut || h.Holding()):
		r.t.Fatalf("ended, but %+v", h)
	case p == relay.More && (h.Bits&relay.CanRead == 0 || held != 0):
		r.t.Fatalf("more, but %+v", h)
	}
	return p
}

func readable(h *relay.Half) bool { return h.State == relay.Flow && h.Bits&relay.CanRead != 0 }

// ready is what a shard makes of epoll's bits.
func ready(e uint32) (b relay.Bits) {
	if e&(sys.EventRead|sys.EventRdHup|sys.EventErr|sys.EventHup) != 0 {
		b |= relay.CanRead
	}
	if e&(sys.EventWrite|sys.EventErr|sys.EventHup) != 0 {
		b |= relay.CanWrite
	}
	if e&(sys.EventRdHup|sys.EventHup) != 0 {
		b |= relay.RdHup
	}
	return b
}

// reset makes the test's end of a TCP pair send RST.
func reset(fd *int32) {
	sys.ResetOnClose(*fd)
	sys.Close(*fd)
	*fd = -1
}

// send writes all of b to one of the test's ends; it must fit the kernel's buffers.
func (r *rig) send(fd int32, b []byte) {
	r.t.Helper()
	if n, e := sys.Write(fd, b); e != 0 || n != len(b) {
		r.t.Fatalf("the test could write %d of %d bytes: %v", n, len(b), e)
	}
}

// receive drives the tunnel until the test's end has got n bytes, and returns them.
func (r *rig) receive(fd int32, n int) []byte {
	r.t.Helper()
	got := make([]byte, 0, n)
	r.until("bytes arrive", func() bool {
		if len(got) < n {
			k, e := sys.Read(fd, got[len(got):n])
			if e != 0 && e != sys.EAGAIN || e == 0 && k == 0 {
				r.t.Fatalf("after %d of %d bytes: %d, %v", len(got), n, k, e)
			}
			got = got[:len(got)+k]
		}
		return len(got) == n
	})
	return got
}

// atEOF drives the tunnel until the test's end reads the end of the stream.
func (r *rig) atEOF(fd int32) {
	r.t.Helper()
	var b [1]byte
	r.until("FIN arrives", func() bool {
		n, e := sys.Read(fd, b[:])
		if n > 0 {
			r.t.Fatalf("%q instead of FIN", b[:n])
		}
		return e == 0
	})
}

// until drives the tunnel until done says so.
func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(deadline); !done(); r.turn(1) {
		if time.Now().After(end) {
			r.t.Fatalf("never: %s; down %+v holding %d, up %+v holding %d",
				what, r.down, r.m.Held(&r.down), r.up, r.m.Held(&r.up))
		}
	}
}
