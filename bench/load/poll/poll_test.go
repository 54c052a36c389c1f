package poll_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/bench/load/poll"
)

func TestWaitEndsByTimeByWakeAndByEvent(t *testing.T) {
	defer poll.Lock()()
	p, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, d := range []time.Duration{0, time.Microsecond, 2 * time.Millisecond} {
		if n := p.Wait(d); n != 0 {
			t.Fatalf("%d events out of nothing", n)
		}
	}
	go p.Wake()
	expect(t, p, poll.WakeData, poll.In)

	any4 := poll.IPv4([4]byte{127, 0, 0, 1}, 0)
	listener, address, err := poll.Listen(any4, false)
	if err != nil {
		t.Fatal(err)
	}
	defer poll.Close(listener)
	if e := p.AddListener(listener, 1); e != 0 {
		t.Fatal(e)
	}
	source := poll.IPv4([4]byte{127, 0, 1, 7}, 0)
	fd, e := poll.Dial(&source, &address)
	if e != 0 && e != unix.EINPROGRESS {
		t.Fatal(e)
	}
	defer poll.Close(fd)
	expect(t, p, 1, poll.In)
	peer, e := poll.Accept(listener)
	if e != 0 {
		t.Fatal(e)
	}
	if _, e := poll.Accept(listener); e != unix.EAGAIN {
		t.Errorf("a second connection: %v", e)
	}
	if e := p.Add(fd, 1<<63|2); e != 0 { // all bits of the data come back
		t.Fatal(e)
	}
	expect(t, p, 1<<63|2, poll.Out)
	if n, e := poll.Send(peer, []byte("abc")); n != 3 || e != 0 {
		t.Fatal(n, e)
	}
	poll.Close(peer)
	expect(t, p, 1<<63|2, poll.In)
	b := make([]byte, 8)
	if n, e := poll.Recv(fd, b); string(b[:n]) != "abc" || e != 0 {
		t.Errorf("%q, %v", b[:n], e)
	}
}

// expect waits for an event with that data and one of the bits.
func expect(t *testing.T, p *poll.Poller, data uint64, bits uint32) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		for i := range p.Wait(time.Second) {
			if b, d := p.Event(i); d == data && b&bits != 0 {
				return
			}
		}
	}
	t.Fatalf("no event of %x", data)
}

func TestAddresses(t *testing.T) {
	a, err := poll.Resolve("127.1.2.3:65280")
	if err != nil || a.String() != "127.1.2.3:65280" || !a.Loopback() {
		t.Errorf("%v, %v", &a, err)
	}
	b := poll.IPv4([4]byte{192, 0, 2, 1}, 255)
	if b.String() != "192.0.2.1:255" || b.Loopback() {
		t.Error(&b)
	}
	if _, err := poll.Resolve("[::1]:80"); err == nil {
		t.Error("an IPv6 address was taken")
	}
}

func TestTheClocksGoOn(t *testing.T) {
	now, cpu := poll.Now(), poll.CPU()
	for poll.CPU() == cpu {
	}
	if poll.Now() <= now || poll.CPU() <= cpu {
		t.Error("a clock stands still")
	}
}
