package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"holdfast/test/wire"
)

// patience is how long an end waits without any progress.
const patience = 30 * time.Second

// transfer is what happens on each connection: both ends send the same number of bytes at
// once, and each hashes what it sends and what it gets.
type transfer struct {
	mode    string
	bytes   int64 // each way
	counted bool  // nobody half-closes: each end stops when all has come
	client  end
	origin  end
}

// end says how one end of a connection ends. The one that is first half-closes when it
// has sent all; the other keeps the last part of its bytes until it has seen that.
type end struct{ first bool }

// account is what one end has sent and got.
type account struct {
	sent, got         int64
	sentHash, gotHash uint64
	err               error
}

// keptBack is what an end sends only after the other's half-close: one part in so many.
const keptBack = 10

// stream is a connection that can be closed in one direction.
type stream interface {
	net.Conn
	CloseWrite() error
}

// listen opens the origin's socket.
func (t *transfer) listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// run opens connections one beside the other and compares the accounts of their ends. It
// returns the bytes that came, the fewer of both ways.
func (t *transfer) run(proxy string, origin net.Listener, connections int) (int64, error) {
	type pair struct{ client, origin account }
	pairs := make(chan pair, connections)
	// Connections are opened one after the other: the next to arrive belongs to the last.
	for i := range connections {
		accepted := make(chan stream, 1)
		go func() { accepted <- t.accept(origin) }()
		c, in, err := t.dial(proxy, origin.Addr().String())
		if err != nil {
			origin.Close()
			return 0, fmt.Errorf("connection %d: %w", i, err)
		}
		s := <-accepted
		if s == nil {
			return 0, fmt.Errorf("connection %d did not come to the origin", i)
		}
		go func() {
			var p pair
			var both sync.WaitGroup
			both.Go(func() { p.client = t.play(c, in, t.origin) })
			both.Go(func() { p.origin = t.play(s, s, t.client) })
			both.Wait()
			c.Close()
			s.Close()
			pairs <- p
		}()
	}
	var down, up int64
	var failed error
	for range connections {
		p := <-pairs
		up += p.origin.got
		down += p.client.got
		failed = errors.Join(failed, p.client.compare("to the origin", p.origin), p.origin.compare("to the client", p.client))
	}
	return min(up, down), failed
}

// compare judges the way from one end to the other.
func (from account) compare(way string, to account) error {
	switch {
	case from.err != nil:
		return fmt.Errorf("%s: %w after %d bytes sent and %d got", way, from.err, from.sent, from.got)
	case from.sent != to.got:
		return fmt.Errorf("%s: %d bytes sent, %d came", way, from.sent, to.got)
	case from.sentHash != to.gotHash:
		return fmt.Errorf("%s: the hashes of %d bytes differ", way, from.sent)
	}
	return nil
}

// play sends and receives at once.
func (t *transfer) play(c stream, in io.Reader, other end) account {
	var a account
	var received sync.WaitGroup
	var receiveErr error
	ended := make(chan struct{}) // the other has half-closed
	received.Go(func() {
		a.got, a.gotHash, receiveErr = t.receive(c, in)
		close(ended)
	})
	a.sent, a.sentHash, a.err = t.send(c, other.first, ended)
	if a.err == nil && !t.counted {
		a.err = c.CloseWrite()
	}
	received.Wait()
	if a.err == nil {
		a.err = receiveErr
	}
	return a
}

// send sends the bytes, the last part of them after ended if keep is set.
func (t *transfer) send(c stream, keep bool, ended <-chan struct{}) (sent int64, hash uint64, err error) {
	digest := xxhash.New()
	source := newSource(t.mode == "ws" || t.mode == "wss")
	for sent < t.bytes {
		if keep && sent > t.bytes-t.bytes/keptBack {
			<-ended
			keep = false
		}
		b := source.next(t.bytes - sent)
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		n, err := c.Write(b)
		_, _ = digest.Write(b[:n])
		sent += int64(n)
		if err != nil {
			return sent, digest.Sum64(), err
		}
	}
	return sent, digest.Sum64(), nil
}

// receive reads to the end of the stream, or until all bytes have come where nobody
// half-closes.
func (t *transfer) receive(c stream, in io.Reader) (got int64, hash uint64, err error) {
	digest := xxhash.New()
	b := make([]byte, 256<<10)
	for !t.counted || got < t.bytes {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		n, err := in.Read(b)
		_, _ = digest.Write(b[:n])
		got += int64(n)
		if err == io.EOF && !t.counted {
			break
		}
		if err != nil {
			return got, digest.Sum64(), err
		}
	}
	return got, digest.Sum64(), nil
}

// source makes bytes that don't repeat, in binary frames of many sizes where they must
// be frames. The masking key is zero, so that a frame's payload is as it is.
type source struct {
	dice   *rand.Rand
	noise  []byte
	out    []byte
	frames bool
	number uint64
}

const (
	noiseBytes = 1 << 20
	pieceMax   = 300 << 10
)

func newSource(frames bool) *source {
	s := &source{dice: rand.New(rand.NewPCG(rand.Uint64(), 1)), frames: frames, noise: make([]byte, noiseBytes+pieceMax)}
	for i := 0; i+8 <= len(s.noise); i += 8 {
		binary.LittleEndian.PutUint64(s.noise[i:], s.dice.Uint64())
	}
	return s
}

// next is at most most bytes; it is valid until the next call. A frame may be cut at the
// very end.
func (s *source) next(most int64) []byte {
	size := 1 + s.dice.IntN(pieceMax)
	if s.dice.IntN(4) == 0 {
		size = 1 + s.dice.IntN(200)
	}
	s.out = s.out[:0]
	if s.frames {
		s.out = wire.AppendHeader(s.out, wire.FrameHeader{Op: wire.OpBinary, Fin: true, Masked: true, Length: uint64(size)})
	}
	head := len(s.out)
	at := s.dice.IntN(noiseBytes)
	s.out = append(s.out, s.noise[at:at+size]...)
	if size >= 8 {
		s.number++
		binary.LittleEndian.PutUint64(s.out[head:], s.number)
	}
	return s.out[:min(int64(len(s.out)), most)]
}

// dial opens a connection through the proxy, up to where the bytes begin.
func (t *transfer) dial(proxy, origin string) (stream, io.Reader, error) {
	tcp, err := net.DialTimeout("tcp", proxy, patience)
	if err != nil {
		return nil, nil, err
	}
	c := tcp.(stream)
	if t.mode == "wss" || t.mode == "stream-tls" {
		c = tls.Client(tcp, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // made for the run
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReaderSize(c, 256<<10)
	var request string
	status := 101
	switch t.mode {
	case "ws", "wss":
		request = wire.UpgradeRequest("localhost", "/")
	case "connect":
		request, status = wire.Lines("CONNECT "+origin+" HTTP/1.1", "Host: "+origin), 200
	default:
		request = greeting // else a proxy may wait for bytes before it connects
	}
	if _, err := io.WriteString(c, request); err != nil {
		return nil, nil, err
	}
	if request == greeting {
		return c, in, nil
	}
	h, err := wire.ReadHead(in)
	if err == nil && h.Status() != status {
		err = fmt.Errorf("%q", h.Start)
	}
	if err == nil && t.mode == "connect" {
		_, err = io.WriteString(c, greeting)
	}
	return c, in, err
}

// greeting are the first bytes towards an origin that sees no HTTP.
const greeting = "holdfast"

// accept takes a connection at the origin, up to where the bytes begin; nil on failure.
func (t *transfer) accept(l net.Listener) stream {
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		if t.mode != "ws" && t.mode != "wss" {
			b := make([]byte, len(greeting))
			if _, err := io.ReadFull(c, b); err == nil && string(b) == greeting {
				return c.(stream)
			}
			c.Close() // a look whether anybody is there
			continue
		}
		h, err := wire.ReadHead(bufio.NewReaderSize(oneByOne{c}, 16))
		if err != nil {
			c.Close()
			continue
		}
		if _, err := io.WriteString(c, wire.SwitchResponse(h.Get("Sec-WebSocket-Key"))); err != nil {
			return nil
		}
		return c.(stream)
	}
}

// oneByOne reads single bytes, so that a reader before it takes no more than it needs.
type oneByOne struct{ io.Reader }

// Read implements io.Reader.
func (r oneByOne) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), 1)]) }
