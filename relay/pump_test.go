package relay_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"holdfast/internal/assert"
	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/relay"
)

func TestHalfSize(t *testing.T) {
	if n := unsafe.Sizeof(relay.Half{}); n != 32 {
		t.Fatalf("a half has %d bytes; two of them are one cache line", n)
	}
}

var filler = bytes.Repeat([]byte("f"), 4096)

// fill makes a destination refuse: it writes to the relay's socket until that is full,
// and returns what it wrote.
func (r *rig) fill(h *relay.Half) (written int) {
	for {
		n, e := sys.Write(h.FD, filler)
		if e != 0 {
			h.Bits &^= relay.CanWrite
			return written
		}
		written += n
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i*13)
	}
	return b
}

// TestHeldBytesDoNotSpin: bytes held before the tunnel began, for a destination that is
// full, with more to read behind them. The half waits for the destination and for
// nothing else.
func TestHeldBytesDoNotSpin(t *testing.T) {
	for _, known := range []bool{true, false} { // whether the destination is known to be full
		r := newRig(t, tiny(unixPair), tiny(unixPair))
		filled := r.fill(&r.up)
		if !known {
			r.up.Bits |= relay.CanWrite
		}
		r.m.Hold(&r.down, []byte("first "))
		r.send(r.client, []byte("second"))
		r.down.Bits |= relay.CanRead
		if p := r.m.Pump(&r.down, &r.up, r.budget); p != relay.Stuck {
			t.Fatalf("progress %d", p)
		}
		if readable(&r.down) || r.down.State != relay.Blocked || !r.down.Holding() {
			t.Fatalf("known=%v: it would be pumped again and again: %+v", known, r.down)
		}
		got := r.receive(r.server, filled+12)
		if string(got[filled:]) != "first second" {
			t.Fatalf("%q", got[filled:])
		}
	}
}

func TestHoldIsCountedAndFirst(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	r.down.FollowFrames()
	m := frame(nil, 0x81, true, 0, 5)
	r.m.Hold(&r.down, nil)
	if r.down.Holding() {
		t.Fatal("nothing is held, and held")
	}
	r.m.Hold(&r.down, m[:4])
	if !r.down.MidFrame() || r.m.Held(&r.down) != 4 {
		t.Fatalf("%+v", r.down)
	}
	r.send(r.client, m[4:])
	if got := r.receive(r.server, len(m)); !bytes.Equal(got, m) || r.down.Messages != 1 {
		t.Fatalf("%x, %d messages", got, r.down.Messages)
	}
}

// TestTheSecondLoanIsRefused in builds with assertions.
func TestTheSecondLoanIsRefused(t *testing.T) {
	if !assert.On {
		t.Skip("assertions are off; run with -tags verify")
	}
	r := newRig(t, unixPair, unixPair)
	r.m.Hold(&r.down, []byte("a"))
	defer func() {
		if recover() == nil {
			t.Fatal("bytes held twice")
		}
	}()
	r.m.Hold(&r.down, []byte("b"))
}

// TestResetFoundByAWrite: the write that meets a reset takes the error with it, so that
// the read after it finds an end of stream. It is a reset nevertheless.
func TestResetFoundByAWrite(t *testing.T) {
	r := newRig(t, tcpPair, tcpPair)
	r.turn(0)
	r.send(r.client, []byte("x"))
	r.turn(0)
	reset(&r.client)
	waitFor(t, r.down.FD, unix.POLLERR)
	r.send(r.server, []byte("too late"))
	waitFor(t, r.up.FD, unix.POLLIN)
	r.up.Bits |= relay.CanRead
	r.down.Bits |= relay.CanWrite
	if p := r.m.Pump(&r.up, &r.down, r.budget); p != relay.Ended || r.down.Bits&relay.WriteDead == 0 {
		t.Fatalf("progress %d, client %+v", p, r.down)
	}
	if p := r.m.Pump(&r.down, &r.up, r.budget); p != relay.Ended {
		t.Fatalf("progress %d", p)
	}
	if !r.down.Dead() || r.down.Bits&relay.AtEOF != 0 || sys.Errno(r.down.Err) != sys.ECONNRESET {
		t.Fatalf("a reset is booked as %+v", r.down)
	}
	if v := relay.Outcome(&r.down, &r.up); v != relay.EndClose {
		t.Fatalf("outcome %d", v)
	}
}

// TestFinThenRefusal: a peer that closed before our bytes came sent its FIN first: that
// is an end of stream, although the write after it fails.
func TestFinThenRefusal(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	sys.Close(r.server)
	r.server = -1
	r.up.Bits |= relay.CanWrite
	r.send(r.client, []byte("too late"))
	r.down.Bits |= relay.CanRead
	if p := r.m.Pump(&r.down, &r.up, r.budget); p != relay.Ended {
		t.Fatalf("progress %d", p)
	}
	if p := r.m.Pump(&r.up, &r.down, r.budget); p != relay.Ended {
		t.Fatalf("progress %d", p)
	}
	if r.up.Dead() || r.up.Bits&(relay.AtEOF|relay.WriteDead) != relay.AtEOF|relay.WriteDead {
		t.Fatalf("%+v", r.up)
	}
}

// TestDeadDestinationStillSpeaks: what the peer sent before it stopped reading arrives.
func TestDeadDestinationStillSpeaks(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	r.send(r.server, []byte("last words"))
	unix.Shutdown(int(r.server), unix.SHUT_RD)
	r.send(r.client, []byte("unheard"))
	if got := r.receive(r.client, 10); string(got) != "last words" {
		t.Fatalf("%q", got)
	}
	if r.down.State != relay.Shut || r.up.State != relay.Flow {
		t.Fatalf("down %+v, up %+v", r.down, r.up)
	}
	r.send(r.server, []byte("and more"))
	if got := r.receive(r.client, 8); string(got) != "and more" {
		t.Fatalf("%q", got)
	}
}

func waitFor(t *testing.T, fd int32, events int16) {
	t.Helper()
	fds := []unix.PollFd{{Fd: fd, Events: events}}
	if n, err := unix.Poll(fds, int(deadline.Milliseconds())); n != 1 {
		t.Fatalf("the kernel reports nothing: %v", err)
	}
}

// TestMemoryAtItsLimitStopsOnlyTheBlocked: receivers that do not read use up the memory;
// another tunnel goes on, and holds nothing.
func TestMemoryAtItsLimitStopsOnlyTheBlocked(t *testing.T) {
	r := newRig(t, tiny(unixPair), tiny(unixPair))
	r.m.Bufs = pool.NewBufs(1 << 10)
	hog, _ := r.m.Bufs.Get(1 << 10)
	if !r.m.Bufs.Full() {
		t.Fatal("not full")
	}
	r.send(r.client, []byte("goes on"))
	if got := r.receive(r.server, 7); string(got) != "goes on" {
		t.Fatalf("%q", got)
	}
	filled := r.fill(&r.up)
	r.send(r.client, []byte("waits in the kernel"))
	r.until("the half waits", func() bool { return r.down.State == relay.Blocked })
	if r.m.Held(&r.down) != 0 || !r.down.Holding() {
		t.Fatalf("%+v holds %d", r.down, r.m.Held(&r.down))
	}
	if got := r.receive(r.server, filled+19); string(got[filled:]) != "waits in the kernel" {
		t.Fatalf("%q", got[filled:])
	}
	r.m.Bufs.Put(hog)
	sys.ShutdownWrite(r.client)
	r.atEOF(r.server)
}

// TestBehindTheUrgentMark: a read stops at TCP's urgent mark although more has come,
// and so does a splice. Nothing behind it may wait for the next event.
func TestBehindTheUrgentMark(t *testing.T) {
	for _, splice := range []bool{false, true} {
		for _, fin := range []bool{false, true} {
			t.Run(fmt.Sprintf("splice=%v/fin=%v", splice, fin), func(t *testing.T) {
				r := newRig(t, tcpPair, unixPair)
				if splice {
					r.down.FollowFrames()
					r.down.FollowForTest([]byte{0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0})
				}
				r.send(r.client, []byte("before"))
				if err := unix.Sendto(int(r.client), []byte("!"), unix.MSG_OOB, nil); err != nil {
					t.Fatal(err)
				}
				r.send(r.client, []byte("behind"))
				if fin {
					sys.ShutdownWrite(r.client)
				}
				if got := r.receive(r.server, 12); string(got) != "beforebehind" {
					t.Fatalf("%q", got)
				}
				if fin {
					r.atEOF(r.server)
				}
			})
		}
	}
}

// bulk moves n bytes through a tunnel whose ends always keep up.
func bulk(r *rig, n int) {
	r.t.Helper()
	want, got := pattern(n), make([]byte, 0, n)
	sent := 0
	buf := make([]byte, 256<<10)
	r.until("the bulk arrives", func() bool {
		if sent < n {
			k, _ := sys.Write(r.client, want[sent:])
			if sent += k; sent == n {
				sys.ShutdownWrite(r.client)
			}
		}
		k, _ := sys.Read(r.server, buf)
		got = append(got, buf[:k]...)
		return len(got) >= n
	})
	if !bytes.Equal(got, want) {
		r.t.Fatal("the bytes that arrived are not those sent")
	}
	r.atEOF(r.server)
	r.nothingLent()
}

// TestSpliceBegins checks by the pipes lent that large transfers are spliced: blind after
// two full reads in a row, framed as soon as more than 64 KiB of a frame are left.
func TestSpliceBegins(t *testing.T) {
	const big = 150 << 10
	r := newRig(t, unixPair, tiny(unixPair))
	unix.SetsockoptInt(int(r.client), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	r.fill(&r.up)
	r.up.Bits |= relay.CanWrite
	framed := func(left int) {
		r.down.FollowFrames()
		r.down.FollowForTest([]byte{0x82, 127, 0, 0, 0, 0, 0, byte(left >> 16), byte(left >> 8), byte(left)})
	}
	cases := []struct {
		name   string
		ready  func()
		splice bool
	}{
		{"blind, first read", func() {}, false},
		{"blind, after one full read", func() { r.down.FullReadsForTest(1) }, false},
		{"blind, after two", func() { r.down.FullReadsForTest(2) }, true},
		{"framed, 64 KiB left", func() { framed(64 << 10) }, false},
		{"framed, more left", func() { framed(64<<10 + 1) }, true},
		{"framed, more left, full reads", func() { framed(100); r.down.FullReadsForTest(2) }, false},
	}
	for _, c := range cases {
		fd := r.down.FD
		r.down.Open(fd)
		c.ready()
		r.send(r.client, []byte("some bytes"))
		r.down.Bits |= relay.CanRead
		if p := r.m.Pump(&r.down, &r.up, big); p != relay.Stuck {
			t.Fatalf("%s: progress %d", c.name, p)
		}
		if spliced := r.m.Pipes.Lent() == 1; spliced != c.splice {
			t.Errorf("%s: spliced %v, want %v", c.name, spliced, c.splice)
		}
		r.m.Drop(&r.down)
		r.nothingLent()
	}
}

func TestBulkIsSpliced(t *testing.T) {
	for _, pipes := range []int{8, 0} {
		for i, p := range []pair{unixPair, tcpPair} {
			r := newRig(t, p, p)
			r.m.Pipes = pool.NewPipes(pipes)
			bulk(r, 8<<20)
			if r.down.NoSpliceForTest() {
				t.Errorf("pair %d: a socket that can be spliced counts as one that can't", i)
			}
		}
	}
}

// TestFullReadsEndWithAShortOne: after a burst a blind half copies again.
func TestFullReadsEndWithAShortOne(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	r.turn(0)
	r.down.FullReadsForTest(2)
	r.send(r.client, []byte("spliced, then the socket is empty"))
	r.receive(r.server, 33)
	r.fill(&r.up)
	r.send(r.client, []byte("copied"))
	r.until("it waits", r.down.Holding)
	if r.m.Pipes.Lent() != 0 {
		t.Fatal("spliced again without two full reads")
	}
}

// TestFullReadsInARow: a short one between them begins the count anew.
func TestFullReadsInARow(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	unix.SetsockoptInt(int(r.client), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	unix.SetsockoptInt(int(r.up.FD), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	for _, c := range []struct {
		size int
		want uint8
	}{{scratchSize, 1}, {100, 0}, {scratchSize, 1}, {scratchSize, 2}} {
		if n, _ := sys.Write(r.client, pattern(c.size)); n != c.size {
			t.Skip("the kernel allows no large socket buffer here")
		}
		r.down.Bits |= relay.CanRead
		r.m.Pump(&r.down, &r.up, scratchSize) // one read
		if got := r.down.FullReads(); got != c.want {
			t.Fatalf("after a read of %d: %d full reads in a row, want %d", c.size, got, c.want)
		}
		r.receive(r.server, c.size)
		r.down.FullReadsForTest(c.want) // receive has the end of the burst read
	}
}

// TestSpliceStopsAtTheFrame: what is spliced is payload of one frame, however much there
// is behind it, and a message that ends in a pipe counts.
func TestSpliceStopsAtTheFrame(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	unix.SetsockoptInt(int(r.client), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	var stream []byte
	for range 6 {
		stream = frame(frame(stream, 0x82, true, 0, 140_000), 0x81, false, 0, 9)
	}
	r.down.FollowFrames()
	if n, _ := sys.Write(r.client, stream); n != len(stream) {
		t.Skip("the kernel allows no large socket buffer here")
	}
	if got := r.receive(r.server, len(stream)); !bytes.Equal(got, stream) {
		t.Fatal("the bytes that arrived are not those sent")
	}
	if got, want := of(&r.down), naive(stream); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	// A message whose last bytes are spliced.
	r.down.FollowFrames()
	r.down.FollowForTest([]byte{0x82, 127, 0, 0, 0, 0, 0, 2, 0, 0})
	before := r.down.Messages
	if n, _ := sys.Write(r.client, pattern(2<<16)); n != 2<<16 {
		t.Fatal(n)
	}
	r.receive(r.server, 2<<16)
	if r.down.Messages != before+1 || r.down.MidFrame() {
		t.Fatalf("%d messages, mid frame %v", r.down.Messages-before, r.down.MidFrame())
	}
}

// TestTheFirstErrorStays: a write that fails, then a read that fails otherwise.
func TestTheFirstErrorStays(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	if n, e := sys.Write(r.up.FD, []byte("never read")); e != 0 {
		t.Fatal(n, e)
	}
	sys.Close(r.server) // with bytes unread: a write finds EPIPE, a read ECONNRESET
	r.server = -1
	r.send(r.client, []byte("too late"))
	r.down.Bits |= relay.CanRead
	r.m.Pump(&r.down, &r.up, r.budget)
	r.m.Pump(&r.up, &r.down, r.budget)
	if r.up.Bits&relay.WriteDead == 0 || !r.up.Dead() || sys.Errno(r.up.Err) != sys.EPIPE {
		t.Fatalf("%+v", r.up)
	}
	if v := relay.Outcome(&r.down, &r.up); v != relay.EndLinger {
		t.Fatalf("outcome %d", v)
	}
}

// TestSourceThatCannotBeSpliced gives the half an inotify descriptor: the kernel has no
// splice for it and says EINVAL. The half then tries to copy, which can't work here, since
// it is no socket.
func TestSourceThatCannotBeSpliced(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	in, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Skip(err)
	}
	path := t.TempDir() + "/watched"
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(in, path, unix.IN_MODIFY); err != nil {
		t.Skip(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	sys.Close(r.down.FD)
	r.down.Open(int32(in))
	r.down.Bits |= relay.CanRead
	r.down.FullReadsForTest(2)
	r.m.Pump(&r.down, &r.up, r.budget)
	if !r.down.NoSpliceForTest() || r.m.Pipes.Lent() != 0 || r.down.Err != uint8(unix.ENOTSOCK) {
		t.Fatalf("%+v, %d pipes lent", r.down, r.m.Pipes.Lent())
	}
}

// TestBudgetBoundsASplice: with endless bytes on hand and a destination that takes all, a
// call still comes to its end.
func TestBudgetBoundsASplice(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	for _, fd := range []int32{r.client, r.up.FD} {
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	}
	sent := 0
	for b := pattern(64 << 10); sent < 1<<20; {
		n, e := sys.Write(r.client, b)
		if e != 0 {
			t.Skip("the kernel allows no large socket buffer here")
		}
		sent += n
	}
	r.down.FullReadsForTest(2)
	r.down.Bits |= relay.CanRead
	if p := r.pump(&r.down, &r.up); p != relay.More && p != relay.Stuck {
		t.Fatalf("progress %d after %d of %d bytes", p, r.down.Bytes, sent)
	}
	if r.down.Bytes >= uint64(sent) {
		t.Fatalf("%d bytes in one go with a budget of %d", r.down.Bytes, r.budget)
	}
}

func TestSplicedBytesAreLostWithTheirDestination(t *testing.T) {
	r := newRig(t, unixPair, tiny(unixPair))
	r.fill(&r.up)
	r.down.FullReadsForTest(2)
	r.send(r.client, []byte("into the pipe"))
	r.until("the pipe holds", func() bool { return r.m.Pipes.Lent() == 1 })
	if r.m.Held(&r.down) != 13 {
		t.Fatalf("held %d", r.m.Held(&r.down))
	}
	sys.Close(r.server)
	r.server = -1
	r.until("the half ends", func() bool { return r.down.State == relay.Shut })
	r.nothingLent()
	if r.up.Bits&relay.WriteDead == 0 {
		t.Fatalf("%+v", r.up)
	}
}

func TestHalfStateNames(t *testing.T) {
	for s, want := range map[relay.HalfState]string{
		relay.Flow: "flow", relay.Blocked: "blocked", relay.Eof: "eof", relay.Shut: "shut",
	} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s.String())
		}
	}
}

// echo passes one message each way through a tunnel, as two wakes of a shard do.
func (r *rig) echo(msg, buf []byte) {
	for _, way := range [...]struct {
		from, to int32
		h, other *relay.Half
	}{{r.client, r.server, &r.down, &r.up}, {r.server, r.client, &r.up, &r.down}} {
		sys.Write(way.from, msg)
		way.h.Bits |= relay.CanRead
		if p := r.m.Pump(way.h, way.other, 256<<10); p != relay.Drained {
			r.t.Fatalf("progress %d", p)
		}
		if n, _ := sys.Read(way.to, buf); n != len(msg) {
			r.t.Fatalf("%d bytes came through", n)
		}
	}
}

func TestAMessageIsNotAllocatedFor(t *testing.T) {
	r := newRig(t, unixPair, unixPair)
	r.down.FollowFrames()
	r.up.FollowFrames()
	msg, buf := frame(nil, 0x82, true, 0, 64), make([]byte, 4096)
	if n := testing.AllocsPerRun(500, func() { r.echo(msg, buf) }); n != 0 {
		t.Fatalf("%v allocations for a message each way", n)
	}
	if r.down.Messages != r.up.Messages || r.down.Messages < 500 {
		t.Fatalf("%d and %d messages", r.down.Messages, r.up.Messages)
	}
}

// TestABlockedHalfIsNotAllocatedFor once the pools are warm: held in a buffer, spliced,
// and left unread.
func TestABlockedHalfIsNotAllocatedFor(t *testing.T) {
	buf := make([]byte, 1<<20)
	for _, c := range []struct {
		name    string
		full    uint8
		buffers int
	}{{"held", 0, 1 << 30}, {"spliced", 2, 1 << 30}, {"left unread", 0, 0}} {
		r := newRig(t, unixPair, tiny(unixPair))
		r.m.Bufs = pool.NewBufs(c.buffers)
		msg := pattern(8000)
		round := func() {
			filled := r.fill(&r.up)
			r.down.FullReadsForTest(c.full)
			sys.Write(r.client, msg)
			for got := 0; got < filled+len(msg); {
				r.down.Bits |= relay.CanRead
				r.up.Bits |= relay.CanWrite
				r.m.Pump(&r.down, &r.up, r.budget)
				n, e := sys.Read(r.server, buf)
				if e != 0 {
					t.Fatal(e)
				}
				got += n
			}
		}
		round()
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkPump64B(b *testing.B) {
	for _, k := range []struct {
		name string
		pair pair
	}{{"unix", unixPair}, {"tcp", tcpPair}} {
		b.Run(k.name, func(b *testing.B) {
			r := newRig(b, k.pair, k.pair)
			r.down.FollowFrames()
			r.up.FollowFrames()
			msg, buf := frame(nil, 0x82, true, 0, 58), make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				r.echo(msg, buf)
			}
		})
	}
}
