package e2e_test

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"holdfast/test/proc"
)

// stream is a reproducible sequence of bytes that does not repeat, so that a lost, a
// doubled or a swapped block changes its hash.
type stream struct {
	source *rand.ChaCha8
	left   int64
	sum    hash.Hash
}

func newStream(seed byte, size int64) *stream {
	return &stream{source: rand.NewChaCha8([32]byte{seed}), left: size, sum: xxhash.New()}
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	n, err := s.source.Read(p)
	s.left -= int64(n)
	s.sum.Write(p[:n])
	return n, err
}

// hashOf is what the whole stream hashes to.
func hashOf(seed byte, size int64) string {
	s := newStream(seed, size)
	_, _ = io.Copy(io.Discard, s)
	return fmt.Sprintf("%x", s.sum.Sum(nil))
}

// sendStream writes a whole stream to w.
func sendStream(w io.Writer, seed byte, size int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, newStream(seed, size), make([]byte, 256<<10))
	return err
}

// checkStream reads a whole stream from r and compares its hash.
func checkStream(r io.Reader, seed byte, size int64) error {
	sum := xxhash.New()
	n, err := io.CopyN(sum, r, size)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", n, size, err)
	}
	if got := fmt.Sprintf("%x", sum.Sum(nil)); got != hashOf(seed, size) {
		return errors.New("the bytes are not those that were sent")
	}
	return nil
}

// bulkBytes is how much the bulk tests move each way.
func bulkBytes() int64 {
	if testing.Short() {
		return 8 << 20
	}
	return 64 << 20
}

// relayBothWays moves size bytes each way at once through a tunnel of p and checks them.
func relayBothWays(t *testing.T, p *proc.Proxy, target string, size int64) {
	t.Helper()
	c := proc.Dial(t, p.Front())
	c.Handshake("x", target)
	_ = c.Conn().SetDeadline(time.Now().Add(2 * proc.Patience))
	sent := make(chan error, 1)
	go func() { sent <- sendStream(c.Conn(), 'u', size) }()
	if err := checkStream(c.Reader(), 'd', size); err != nil {
		t.Error("down: ", err)
	}
	if err := <-sent; err != nil {
		t.Error("up: ", err)
	}
	c.Expect("received")
}

// bulkBackend is the other end of relayBothWays.
func bulkBackend(t *testing.T, size int64) proc.Behaviour {
	return func(x *proc.Exchange) {
		x.Switch()
		_ = x.Conn().SetDeadline(time.Now().Add(2 * proc.Patience))
		sent := make(chan error, 1)
		go func() { sent <- sendStream(x.Conn(), 'd', size) }()
		if err := checkStream(x.Reader(), 'u', size); err != nil {
			t.Error("backend, up: ", err)
		}
		if err := <-sent; err != nil {
			t.Error("backend, down: ", err)
		}
		x.Send("received")
		x.WaitEnd()
	}
}

func TestTunnelMovesBulkBothWays(t *testing.T) {
	size := bulkBytes()
	b := proc.NewBackend(t, bulkBackend(t, size))
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		relayBothWays(t, p, "/", size)
		if p.Kind == proc.Holdfast {
			proc.Until(t, "the tunnel's byte counters", func() error {
				sum := p.Status(t).Totals
				if sum.TunnelBytesUp != size || sum.TunnelBytesDown != size+int64(len("received")) {
					return fmt.Errorf("up %d, down %d, moved %d", sum.TunnelBytesUp, sum.TunnelBytesDown, size)
				}
				return nil
			})
		}
	})
}

// A client that does not read stops the backend: what is in flight is bounded by the
// kernel's socket buffers and holdfast's own limits, and nothing is lost in the end.
func TestTunnelBackpressure(t *testing.T) {
	size := 2 * bulkBytes()
	written := &counter{}
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		_ = x.Conn().SetDeadline(time.Now().Add(3 * proc.Patience))
		if err := sendStream(io.MultiWriter(x.Conn(), written), 'd', size); err != nil {
			t.Error("backend: ", err)
		}
		x.CloseWrite()
		x.WaitEnd()
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		written.reset()
		c := proc.Dial(t, p.Front())
		c.Handshake("x", "/")
		stalled(t, written)
		if n := written.value(); n >= size && !testing.Short() {
			t.Errorf("the backend could write all %d bytes though nobody read", n)
		}
		_ = c.Conn().SetDeadline(time.Now().Add(3 * proc.Patience))
		if err := checkStream(c.Reader(), 'd', size); err != nil {
			t.Error(err)
		}
		c.ExpectEOF()
	})
}
