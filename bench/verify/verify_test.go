package main

import (
	"io"
	"net"
	"strings"
	"testing"
)

// through passes bytes and half-closes on to an origin; spoil may change what it passes.
func through(t *testing.T, origin string, spoil func([]byte)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	pass := func(to, from *net.TCPConn, done chan<- struct{}) {
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			spoil(b[:n])
			_, _ = to.Write(b[:n])
			if err != nil {
				_ = to.CloseWrite()
				done <- struct{}{}
				return
			}
		}
	}
	go func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", origin)
			if err != nil {
				return
			}
			done := make(chan struct{}, 2)
			go pass(up.(*net.TCPConn), down.(*net.TCPConn), done)
			go pass(down.(*net.TCPConn), up.(*net.TCPConn), done)
			go func() { <-done; <-done; up.Close(); down.Close() }()
		}
	}()
	return l.Addr().String()
}

func verifyThrough(t *testing.T, tr transfer, spoil func([]byte)) (int64, error) {
	t.Helper()
	origin, err := tr.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	return tr.run(through(t, origin.Addr().String(), spoil), origin, 2)
}

func TestAllBytesAndBothOrders(t *testing.T) {
	for _, mode := range []string{"ws", "stream"} {
		for _, tr := range []transfer{{counted: true}, {client: end{first: true}}, {origin: end{first: true}}} {
			tr.mode, tr.bytes = mode, 5_000_000
			if n, err := verifyThrough(t, tr, func([]byte) {}); err != nil || n != 2*tr.bytes {
				t.Errorf("%+v: %d bytes, %v", tr, n, err)
			}
		}
	}
}

func TestASpoiledByteIsSeen(t *testing.T) {
	tr := transfer{mode: "stream", bytes: 1_000_000, counted: true}
	_, err := verifyThrough(t, tr, func(b []byte) {
		if len(b) > 20_000 {
			b[15_000] ^= 1
		}
	})
	if err == nil || !strings.Contains(err.Error(), "hashes") {
		t.Error(err)
	}
}

func TestSourceEndsWhereItShould(t *testing.T) {
	s := newSource(true)
	total := int64(1_000_000)
	for total > 0 {
		b := s.next(total)
		if len(b) == 0 || int64(len(b)) > total {
			t.Fatal(len(b), total)
		}
		total -= int64(len(b))
	}
	if _, err := (oneByOne{strings.NewReader("ab")}).Read(make([]byte, 2)); err != nil && err != io.EOF {
		t.Error(err)
	}
}
