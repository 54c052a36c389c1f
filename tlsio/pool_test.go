package tlsio_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/sys"
	"holdfast/tlsio"
)

func class(t testing.TB, res *tlsio.Result) tlsio.FailureClass {
	t.Helper()
	var f *tlsio.Failure
	if !errors.As(res.Err, &f) {
		t.Fatalf("%v is no Failure", res.Err)
	}
	return f.Class
}

// until waits for something that comes by itself.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// firstFlight makes a client's hello.
func firstFlight(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() { _ = tls.Client(near, c).Handshake() }()
	b := make([]byte, 8<<10)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestCancelAtEveryPhase(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	hello := firstFlight(t, certs.clientConfig())
	for _, sent := range []int{0, 3, 5, 100, len(hello)} {
		fd, conn := pair(t)
		if _, err := conn.Write(hello[:sent]); err != nil {
			t.Fatal(err)
		}
		h, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
		if sent == len(hello) {
			if _, err := io.ReadFull(conn, make([]byte, 500)); err != nil { // our flight
				t.Fatal(err)
			}
		} else {
			until(t, "it does not start", func() bool { a, _, _ := r.pool.Stats(); return a == 1 })
		}
		h.Cancel()
		if res := await(t, c); class(t, res) != tlsio.FailCancelled || res.Tickets != nil {
			t.Errorf("%d bytes: %v", sent, res.Err)
		}
		h.Cancel() // too late, does nothing
		h.Wake()
	}
	active, queued, refused := r.pool.Stats()
	if active != 0 || queued != 0 || refused != 0 {
		t.Errorf("left: %d %d %d", active, queued, refused)
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{ActiveMax: 1, Computing: 1})
	var wait []chan *tlsio.Result
	for range 3 { // the first is under way, the others wait in the queue
		fd, _ := pair(t)
		_, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server()), Deadline: time.Now().Add(50 * time.Millisecond)})
		wait = append(wait, c)
	}
	for i, c := range wait {
		if res := await(t, c); class(t, res) != tlsio.FailTimeout {
			t.Errorf("%d: %v", i, res.Err)
		}
	}
}

func TestQueueOverflow(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{ActiveMax: 2, QueueMax: 3, Computing: 1, Stall: time.Hour})
	var jobs []*tlsio.Handshake
	var wait []chan *tlsio.Result
	for i := range 7 {
		fd, _ := pair(t)
		h, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
		if (h == nil) != (i >= 5) {
			t.Fatalf("order %d: %v", i, h)
		}
		if h != nil {
			jobs, wait = append(jobs, h), append(wait, c)
		}
	}
	until(t, "not two under way", func() bool { a, q, n := r.pool.Stats(); return a == 2 && q == 3 && n == 2 })
	for i := len(jobs) - 1; i >= 0; i-- { // those that wait end without ever starting
		jobs[i].Cancel()
		if res := await(t, wait[i]); class(t, res) != tlsio.FailCancelled {
			t.Errorf("%v", res.Err)
		}
	}
}

// Silent clients give way to those that wait.
func TestStall(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{ActiveMax: 2, Computing: 1, Stall: time.Millisecond})
	var silent []chan *tlsio.Result
	for range 4 {
		fd, _ := pair(t)
		_, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
		silent = append(silent, c)
	}
	s, peer, _ := r.serve(t, certs.server(), certs.clientConfig())
	exchange(t, s, peer)
	for _, c := range silent[:3] {
		if res := await(t, c); class(t, res) != tlsio.FailTimeout {
			t.Errorf("%v", res.Err)
		}
	}
}

// dribble writes one byte at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestDribble(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := certs.clientConfig()
		client.MaxVersion = version
		fd, conn := pair(t)
		_, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
		peer := tls.Client(dribble{conn}, client)
		if err := peer.Handshake(); err != nil {
			t.Fatal(err)
		}
		res := await(t, c)
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		exchange(t, openSide(t, fd, res), peer)
	}
}

// What a client sends right behind its handshake stays in the kernel for the record layer.
func TestDataBehindHandshake(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	fd, conn := pair(t)
	together := &gather{Conn: conn}
	peer := tls.Client(together, certs.clientConfig())
	hello := make(chan error, 1)
	go func() { hello <- peer.Handshake() }() // its Finished is held back
	_, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
	if err := <-hello; err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write([]byte("early bird")); err != nil {
		t.Fatal(err)
	}
	together.flush(t)
	res := await(t, c)
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	if got := openSide(t, fd, res).read(10); string(got) != "early bird" {
		t.Errorf("%q", got)
	}
}

// gather passes the first Write on and holds back the others.
type gather struct {
	net.Conn
	begun bool
	held  []byte
}

func (g *gather) Write(b []byte) (int, error) {
	if !g.begun {
		g.begun = true
		return g.Conn.Write(b)
	}
	g.held = append(g.held, b...)
	return len(b), nil
}

func (g *gather) flush(t testing.TB) {
	t.Helper()
	if _, err := g.Conn.Write(g.held); err != nil {
		t.Fatal(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	const many = 2000
	certs := makeCertificates(t)
	server := &tls.Config{Certificates: []tls.Certificate{certs.ecdsa}}
	before := runtime.NumGoroutine()
	for _, o := range []tlsio.PoolOptions{{Computing: 1}, {Computing: 3, ActiveMax: 100}} {
		r := newHandshaker(t, o)
		var wg sync.WaitGroup
		gate := make(chan struct{}, 200) // clients at the same time; the sockets wait in the queue
		var wait []chan *tlsio.Result
		var orders []tlsio.Order
		var conns []net.Conn
		for range many / 2 {
			fd, conn := pair(t)
			conns = append(conns, conn)
			orders = append(orders, tlsio.Order{FD: fd, Choose: only(server), Deadline: time.Now().Add(4 * patience)})
		}
		for i, o := range orders {
			_, c := r.start(o)
			wait = append(wait, c)
			wg.Add(1)
			gate <- struct{}{}
			go func() {
				defer func() { <-gate; wg.Done() }()
				_ = conns[i].SetDeadline(time.Now().Add(4 * patience))
				peer := tls.Client(conns[i], &tls.Config{InsecureSkipVerify: true})
				if err := peer.Handshake(); err != nil {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		for _, c := range wait {
			if res := await(t, c); res.Err != nil {
				t.Fatal(res.Err)
			}
		}
		// What is left is the loop of this test and one goroutine a worker.
		until(t, "goroutines are left over", func() bool { return runtime.NumGoroutine() <= before+1+o.Computing })
		r.pool.Close()
		until(t, "workers do not end", func() bool { return runtime.NumGoroutine() <= before+1 })
		before++ // the loop ends with the test
		if _, ok := r.pool.Start(orders[0]); ok {
			t.Error("a closed pool takes orders")
		}
	}
}

// closing ends a connection in the middle of a handshake.
func TestPeerCloses(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	hello := firstFlight(t, certs.clientConfig())
	for _, sent := range []int{0, 3, 5, 100, len(hello)} {
		for _, reset := range []bool{false, true} {
			fd, conn := pair(t)
			_, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
			if _, err := conn.Write(hello[:sent]); err != nil {
				t.Fatal(err)
			}
			if reset {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			conn.Close()
			if res := await(t, c); class(t, res) != tlsio.FailClosed {
				t.Errorf("%d bytes: %v", sent, res.Err)
			}
		}
	}
}

// The socket takes nothing: the handshake waits for it as for bytes.
func TestBlockedWrite(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	fd, conn := pair(t)
	stuffed := 0
	for b := make([]byte, 64<<10); ; {
		n, errno := sys.Write(fd, b)
		if errno == sys.EAGAIN {
			break
		}
		stuffed += n
	}
	_, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
	hello := firstFlight(t, certs.clientConfig())
	if _, err := conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	until(t, "it does not start", func() bool { a, _, _ := r.pool.Stats(); return a == 1 })
	if _, err := io.CopyN(io.Discard, conn, int64(stuffed)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(conn, b); err != nil || b[0] != 22 {
		t.Errorf("%x %v", b, err)
	}
	conn.Close()
	if res := await(t, c); class(t, res) != tlsio.FailClosed {
		t.Error(res.Err)
	}
}

func TestWorkersOutliveNothing(t *testing.T) {
	t.Parallel()
	p := tlsio.NewPool(tlsio.PoolOptions{})
	p.Close() // before its workers ever started
	if _, ok := p.Start(tlsio.Order{}); ok {
		t.Error("a closed pool takes orders")
	}
	if _, _, refused := p.Stats(); refused != 1 {
		t.Error("not counted")
	}
	for c := range tlsio.FailureClasses {
		if name := tlsio.FailureClass(c).String(); name == "" || strings.Contains(name, " ") {
			t.Error(fmt.Sprint(c))
		}
	}
}
