package shard

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/route"
)

// Once a shard has seen a kind of session, the next one of that kind allocates nothing, from
// accept to close. The test turns the loop itself and plays client and upstream with raw
// system calls, so that every allocation counted is the shard's.

// cyclesAtOnce is how many cycles a measurement adds up: what is allocated once in so many
// cycles still shows.
const cyclesAtOnce = 64

// handTurned is a world whose loop the test turns.
type handTurned struct {
	*world
	backFD int32
	front  netip.AddrPort
	buf    []byte
	idle   []int32 // upstream's ends of connections that wait for the next request
	until  time.Time
	turns  int
}

// fixedSink takes log lines and keeps none of them.
type fixedSink struct{ lines int }

func (k *fixedSink) Swap(full []byte) []byte {
	k.lines += bytes.Count(full, []byte{'\n'})
	return full[:0]
}

func newHandTurned(t *testing.T, st site) (*handTurned, *fixedSink) {
	t.Helper()
	st.paused = true
	d := &handTurned{world: newWorld(t, st), buf: make([]byte, 1<<17)}
	d.front = netip.MustParseAddrPort(d.world.front)
	raw, err := d.back.SyscallConn()
	d.check(err)
	d.check(raw.Control(func(fd uintptr) { d.backFD = int32(fd) }))
	lines := &fixedSink{}
	for i := range d.sh.opt.Logs {
		d.sh.opt.Logs[i] = lines
		d.sh.logs[i].sink = lines
	}
	d.sh.houseAtMs = 1 << 60 // tidying gives memory back; what comes next would ask for it again
	t.Cleanup(func() {
		d.sh.houseAtMs = 0
		for _, fd := range d.idle {
			sys.Close(fd)
		}
	})
	return d, lines
}

// turn is one turn that does not wait for events.
func (d *handTurned) turn() {
	if d.turns++; d.turns&1023 == 0 && time.Now().After(d.until) {
		d.t.Fatalf("it does not get on; sessions by state: %v", d.sh.counters.Sessions)
	}
	d.sh.acceptMore = true // something to do, as far as the loop knows
	d.sh.turn()
}

func (d *handTurned) dial() int32 {
	fd, errno := sys.Dial(d.front)
	if errno != 0 {
		d.t.Fatal(errno)
	}
	return fd
}

// accept takes the next connection the shard makes.
func (d *handTurned) accept() int32 {
	for {
		fd, _, errno := sys.Accept(d.backFD)
		if errno == 0 {
			return fd
		}
		if errno != sys.EAGAIN {
			d.t.Fatal(errno)
		}
		d.turn()
	}
}

// write writes all of b; the shard turns while it has to wait.
func (d *handTurned) write(fd int32, b []byte) {
	for len(b) > 0 {
		n, errno := sys.Write(fd, b)
		if errno != 0 && errno != sys.EAGAIN {
			d.t.Fatal(errno)
		}
		b = b[n:]
		if len(b) > 0 {
			d.turn()
		}
	}
}

// read turns the shard until something arrived; n is 0 at the end of the stream.
func (d *handTurned) read(fd int32) (n int) {
	for {
		n, errno := sys.Read(fd, d.buf)
		if errno == 0 {
			return n
		}
		if errno != sys.EAGAIN {
			d.t.Fatal(errno)
		}
		d.turn()
	}
}

// head reads until an empty line ends what came.
func (d *handTurned) head(fd int32, want string) {
	n := d.read(fd)
	if got := d.buf[:n]; !bytes.HasPrefix(got, []byte(want)) || !bytes.HasSuffix(got, []byte("\r\n\r\n")) {
		d.t.Fatalf("head %q, want one that begins with %q", got, want)
	}
}

// pass moves n bytes from one socket to the other through the shard.
func (d *handTurned) pass(from, to int32, b []byte, times int) {
	left, off := times*len(b), 0
	for sent := 0; left > 0; {
		if sent < times {
			n, errno := sys.Write(from, b[off:])
			if errno != 0 && errno != sys.EAGAIN {
				d.t.Fatal(errno)
			}
			if off += n; off == len(b) {
				off, sent = 0, sent+1
			}
		}
		n, errno := sys.Read(to, d.buf)
		if errno != 0 && errno != sys.EAGAIN || errno == 0 && n == 0 {
			d.t.Fatalf("%d bytes do not arrive: %v", left, errno)
		}
		left -= n
		d.turn()
	}
	if left < 0 {
		d.t.Fatalf("%d bytes too many", -left)
	}
}

func (d *handTurned) sessions() int { return d.sh.sessions.Len() }

// closeBoth ends a session by FIN and sees it gone.
func (d *handTurned) closeBoth(down, up int32) {
	sys.Close(down)
	if up >= 0 {
		if n := d.read(up); n != 0 {
			d.t.Fatalf("%q instead of the end", d.buf[:n])
		}
		sys.Close(up)
	}
	for d.sessions() > 0 {
		d.turn()
	}
}

// request sends a request and answers it, on a pooled connection where there is one.
func (d *handTurned) request(down int32, ask, answer []byte, bodyTimes int, body []byte) {
	d.write(down, ask)
	var up int32
	if n := len(d.idle); n > 0 {
		up = d.idle[n-1]
		d.idle = d.idle[:n-1]
	} else {
		up = d.accept()
	}
	d.head(up, "GET /x HTTP/1.1\r\n")
	d.write(up, answer)
	if n := d.read(down); !bytes.HasPrefix(d.buf[:n], []byte("HTTP/1.1 200 OK\r\n")) {
		d.t.Fatalf("answer %q", d.buf[:n])
	}
	if bodyTimes > 0 {
		d.pass(up, down, body, bodyTimes)
	}
	if bytes.Contains(answer, []byte("close")) {
		sys.Close(up)
	} else {
		d.idle = append(d.idle, up)
	}
}

// open opens a tunnel.
func (d *handTurned) open(ask, answer []byte) (down, up int32) {
	down = d.dial()
	d.write(down, ask)
	up = d.accept()
	d.head(up, "GET /ws HTTP/1.1\r\n")
	d.write(up, answer)
	d.head(down, "HTTP/1.1 101 ")
	return down, up
}

// none checks that cycle, once warm, allocates nothing.
func (d *handTurned) none(what string, cycle func()) {
	d.t.Helper()
	d.until = time.Now().Add(deadline)
	for range 8 {
		cycle()
	}
	d.until = time.Now().Add(4 * deadline)
	n := testing.AllocsPerRun(4, func() {
		for range cyclesAtOnce {
			cycle()
		}
	})
	if n != 0 {
		d.t.Errorf("%s: %v allocations in %d cycles", what, n, cyclesAtOnce)
	}
}

// silent turns access logs off.
func silent(s *route.Settings) { s.AccessLogs = nil }

func TestNoAllocationFromAcceptToClose(t *testing.T) {
	ask, answer, closing := []byte(get("/x")), []byte(okAnswer), []byte(strings.Replace(okAnswer, "X: mark", "Connection: close", 1))
	wsAsk, wsAnswer := []byte(wsAsk), []byte(wsAnswer)
	small, back := []byte("\x82\x84abcd1234"), []byte("\x82\x041234")
	for _, logs := range []bool{true, false} {
		name, st := "with an access log", site{}
		if !logs {
			name, st = "without an access log", site{set: silent, policy: Policy{TunnelBlockedMs: 240_000, DeadPeers: true}}
		}
		t.Run(name, func(t *testing.T) {
			d, lines := newHandTurned(t, st)
			down := d.dial()
			d.none("a request on kept connections", func() { d.request(down, ask, answer, 0, nil) })
			d.closeBoth(down, -1)
			d.none("a connection with one request", func() {
				down := d.dial()
				d.request(down, ask, answer, 0, nil)
				d.closeBoth(down, -1)
			})
			for _, fd := range d.idle {
				sys.Close(fd)
			}
			d.idle = d.idle[:0]
			for d.sh.pooled.Len() > 0 {
				d.turn()
			}
			d.none("a connection with one request and an upstream of its own", func() {
				down := d.dial()
				d.request(down, ask, closing, 0, nil)
				d.closeBoth(down, -1)
			})
			d.none("a session from accept to close", func() {
				down, up := d.open(wsAsk, wsAnswer)
				d.pass(down, up, small, 1)
				d.pass(up, down, back, 1)
				d.closeBoth(down, up)
			})
			down, up := d.open(wsAsk, wsAnswer)
			d.none("a message each way", func() {
				d.pass(down, up, small, 1)
				d.pass(up, down, back, 1)
			})
			d.closeBoth(down, up)
			if logs != (lines.lines > 0) {
				t.Errorf("%d log lines, logs: %v", lines.lines, logs)
			}
		})
	}
}

// Frames and bodies that are long enough go by splice.
func TestNoAllocationWithSplice(t *testing.T) {
	d, _ := newHandTurned(t, site{})
	const size = 1 << 20
	part := make([]byte, 64<<10)
	header := []byte("\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00")
	masked := []byte("\x82\xff\x00\x00\x00\x00\x00\x10\x00\x00mask")
	down, up := d.open([]byte(wsAsk), []byte(wsAnswer))
	spliced := func(what string, cycle func()) {
		d.none(what, cycle)
		before := openFDs(t)
		if d.sh.pipes.Trim(); openFDs(t) == before {
			t.Errorf("%s: nothing was spliced", what)
		}
	}
	spliced("a large message each way", func() {
		d.pass(down, up, masked, 1)
		d.pass(down, up, part, size/len(part))
		d.pass(up, down, header, 1)
		d.pass(up, down, part, size/len(part))
	})
	d.closeBoth(down, up)
	down = d.dial()
	ask, answer := []byte(get("/x")), []byte("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n")
	spliced("a response of 1 MiB", func() { d.request(down, ask, answer, size/len(part), part) })
	d.closeBoth(down, -1)
}

// What a destination does not take is held in a buffer on loan: blocking and going on
// allocates nothing either.
func TestNoAllocationWithBackpressure(t *testing.T) {
	d, _ := newHandTurned(t, site{})
	down, up := d.open([]byte(wsAsk), []byte(wsAnswer))
	if err := unix.SetsockoptInt(int(down), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
		t.Fatal(err)
	}
	frame := append([]byte("\x82\x7e\x40\x00"), make([]byte, 16<<10)...)
	held, off := false, 0
	d.none("a receiver that stops and goes on", func() {
		for { // until nobody takes any more
			n, errno := sys.Write(up, frame[off:])
			if errno == sys.EAGAIN {
				break
			}
			if errno != 0 {
				t.Fatal(errno)
			}
			off = (off + n) % len(frame)
			d.turn()
		}
		if lent, _ := d.sh.mover.Bufs.Lent(); lent > 0 {
			held = true
		}
		for empty := 0; empty < 3; d.turn() {
			if _, errno := sys.Read(down, d.buf); errno == sys.EAGAIN {
				empty++
			} else {
				empty = 0
			}
		}
	})
	if !held {
		t.Error("nothing was held")
	}
	d.closeBoth(down, up)
}
