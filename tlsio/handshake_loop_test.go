package tlsio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/test/pki"
	"holdfast/tlsio"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// handshaker is a pool with a loop that wakes its handshakes, as a shard does.
type handshaker struct {
	t      testing.TB
	pool   *tlsio.Pool
	poller *sys.Poller
	mu     sync.Mutex
	jobs   map[uint64]*tlsio.Handshake
	done   chan struct{}
}

func newHandshaker(t testing.TB, opt tlsio.PoolOptions) *handshaker {
	t.Helper()
	p, errno := sys.NewPoller(128)
	if errno != 0 {
		t.Fatal(errno)
	}
	r := &handshaker{t: t, pool: tlsio.NewPool(opt), poller: p, jobs: map[uint64]*tlsio.Handshake{}, done: make(chan struct{})}
	stop := make(chan struct{})
	go r.loop(stop)
	t.Cleanup(func() {
		r.pool.Close()
		close(stop)
		p.Wake()
		<-r.done
		p.Close()
	})
	return r
}

func (r *handshaker) loop(stop chan struct{}) {
	defer close(r.done)
	for {
		n, errno := r.poller.Wait(-1)
		if errno != 0 {
			r.t.Error(errno)
			return
		}
		for i := range n {
			ev := r.poller.Event(i)
			if ev.Data == sys.WakeData {
				r.poller.Woken()
				continue
			}
			r.mu.Lock()
			h := r.jobs[ev.Data]
			r.mu.Unlock()
			if h != nil {
				h.Wake()
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// start orders a handshake; its result comes through the channel.
func (r *handshaker) start(o tlsio.Order) (*tlsio.Handshake, chan *tlsio.Result) {
	c := make(chan *tlsio.Result, 1)
	o.Done = func(res *tlsio.Result) {
		r.mu.Lock()
		delete(r.jobs, uint64(o.FD))
		r.mu.Unlock()
		c <- res
	}
	if o.Deadline.IsZero() {
		o.Deadline = time.Now().Add(patience)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.pool.Start(o)
	if !ok {
		return nil, nil
	}
	r.jobs[uint64(o.FD)] = h
	if errno := r.poller.Add(o.FD, uint64(o.FD)); errno != 0 {
		panic(errno) // r.t may not be asked from inside a fuzz target
	}
	return h, c
}

func await(t testing.TB, c chan *tlsio.Result) *tlsio.Result {
	t.Helper()
	select {
	case res := <-c:
		return res
	case <-time.After(patience):
		buf := make([]byte, 1<<16)
		t.Fatalf("no result\n%s", buf[:runtime.Stack(buf, true)])
		return nil
	}
}

// pair is a connection: a descriptor for us, a net.Conn for the peer.
func pair(t testing.TB) (int32, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	fd, errno := sys.Dial(netip.MustParseAddrPort(ln.Addr().String()))
	if errno != 0 {
		t.Fatal(errno)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		sys.Close(fd)
	})
	return fd, conn
}

// side drives an established connection through a Layer.
type side struct {
	t      testing.TB
	fd     int32
	id     uint32
	layer  *tlsio.Layer
	poller *sys.Poller
}

func openSide(t testing.TB, fd int32, res *tlsio.Result) *side {
	t.Helper()
	p, errno := sys.NewPoller(8)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(p.Close)
	layer := tlsio.NewLayer(pool.NewBufs(64 << 20))
	id := layer.Open(&res.Established, res.Info)
	if res.Tickets != nil {
		layer.OnTickets(id, res.Tickets.Take)
	}
	p.Add(fd, 1)
	return &side{t: t, fd: fd, id: id, layer: layer, poller: p}
}

func (s *side) wait(until time.Time) {
	s.t.Helper()
	if time.Now().After(until) {
		s.t.Fatal("nothing comes")
	}
	s.poller.Wait(100)
}

func (s *side) read(n int) []byte {
	s.t.Helper()
	until := time.Now().Add(patience)
	var got []byte
	b := make([]byte, 64<<10)
	for len(got) < n {
		k, errno := s.layer.Recv(s.id, s.fd, b[:min(len(b), n-len(got))])
		switch {
		case errno == sys.EAGAIN:
			s.wait(until)
		case errno != 0 || k == 0:
			s.t.Fatalf("Recv after %d bytes: %d, %v, %s", len(got), k, errno, s.layer.Problem())
		}
		got = append(got, b[:k]...)
	}
	return got
}

func (s *side) write(b []byte) {
	s.t.Helper()
	until := time.Now().Add(patience)
	for len(b) > 0 || s.layer.Pending(s.id) {
		var n int
		errno := s.layer.Flush(s.id, s.fd)
		if errno == 0 && len(b) > 0 {
			n, errno = s.layer.Write(s.id, s.fd, b)
		}
		if errno == sys.EAGAIN {
			s.wait(until)
		} else if errno != 0 {
			s.t.Fatalf("Write: %v %s", errno, s.layer.Problem())
		}
		b = b[n:]
	}
}

// exchange has data go both ways between the layer and crypto/tls.
func exchange(t testing.TB, s *side, peer *tls.Conn) {
	t.Helper()
	there, back := bytes.Repeat([]byte("there and "), 9000), bytes.Repeat([]byte("back again"), 9000)
	errs := make(chan error, 1)
	go func() {
		got := make([]byte, len(there))
		_, err := io.ReadFull(peer, got)
		if err == nil && !bytes.Equal(got, there) {
			t.Error("the peer read something else")
		}
		if err == nil {
			_, err = peer.Write(back)
		}
		errs <- err
	}()
	s.write(there)
	if got := s.read(len(back)); !bytes.Equal(got, back) {
		t.Error("the layer read something else")
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
}

// certificates of one test process.
type certificates struct {
	ca         *pki.Authority
	ecdsa, rsa tls.Certificate
	client     pki.Pair
	stranger   *pki.Authority // nobody trusts it
	strange    tls.Certificate
}

func makeCertificates(t testing.TB) *certificates {
	t.Helper()
	ca := pki.NewAuthority(t, "tlsio")
	return &certificates{
		ca:     ca,
		ecdsa:  ca.Issue(t, pki.Request{Name: "localhost", Hosts: []string{"localhost"}}).TLS(),
		rsa:    ca.Issue(t, pki.Request{Name: "localhost", Hosts: []string{"localhost"}, RSA: true}).TLS(),
		client: ca.Issue(t, pki.Request{Name: "a client", Client: true}),
	}
}

func (c *certificates) server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.ecdsa, c.rsa}, NextProtos: []string{"http/1.1"}}
}

func (c *certificates) clientConfig() *tls.Config {
	return &tls.Config{RootCAs: c.ca.Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(1)}
}

// only chooses one configuration for everybody.
func only(c *tls.Config) func(*tls.ClientHelloInfo) *tlsio.ServerConfig {
	s := &tlsio.ServerConfig{Config: c, Index: 3}
	return func(*tls.ClientHelloInfo) *tlsio.ServerConfig { return s }
}

// serve makes a handshake as a server with a client of crypto/tls.
func (r *handshaker) serve(t testing.TB, server, client *tls.Config) (*side, *tls.Conn, *tlsio.Result) {
	t.Helper()
	fd, conn := pair(t)
	_, c := r.start(tlsio.Order{FD: fd, Choose: only(server)})
	peer := tls.Client(conn, client)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	peerErr := peer.HandshakeContext(ctx)
	res := await(t, c)
	if res.Err != nil || peerErr != nil {
		t.Fatalf("handshake: %v; the client: %v", res.Err, peerErr)
	}
	return openSide(t, fd, res), peer, res
}

// call makes a handshake as a client with a server of crypto/tls.
func (r *handshaker) call(t testing.TB, client, server *tls.Config) (*side, *tls.Conn, *tlsio.Result) {
	t.Helper()
	fd, conn := pair(t)
	_, c := r.start(tlsio.Order{FD: fd, Client: client})
	peer := tls.Server(conn, server)
	peerErr := peer.Handshake()
	res := await(t, c)
	if res.Err != nil || peerErr != nil {
		t.Fatalf("handshake: %v; the server: %v", res.Err, peerErr)
	}
	return openSide(t, fd, res), peer, res
}
