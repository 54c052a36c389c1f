package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"holdfast/test/wire"
)

// ChurnOptions describe a churn: sessions that come, talk, fall silent and go.
type ChurnOptions struct {
	Target   Target
	Rate     float64 // sessions opened a second
	Duration time.Duration
	Seed     uint64        // the same seed gives the same sessions
	IdleMax  time.Duration // the longest silence of a session
	SizeMax  int           // the largest message, bytes
}

// ChurnResult counts how the sessions of a churn ended.
type ChurnResult struct {
	Sessions   int64
	Messages   int64
	Bytes      int64            // payload echoed
	Ends       map[string]int64 // sessions by the way they meant to end, and did
	Unexpected map[string]int64 // sessions that ended otherwise, by what happened
	OpenPeak   int64
}

// Failed is the number of sessions that did not go as planned.
func (r ChurnResult) Failed() int64 {
	var n int64
	for _, count := range r.Unexpected {
		n += count
	}
	return n
}

// churn is a running churn.
type churn struct {
	o    ChurnOptions
	mu   sync.Mutex
	open int64
	r    ChurnResult
}

// Churn runs sessions at a rate for a duration, lets the last ones end, and counts. A
// session that cannot start or breaks is counted in Unexpected; it is no error.
func Churn(ctx context.Context, o ChurnOptions) ChurnResult {
	c := &churn{o: o, r: ChurnResult{Ends: map[string]int64{}, Unexpected: map[string]int64{}}}
	var wg sync.WaitGroup
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := start.Add(time.Duration(float64(i) / o.Rate * float64(time.Second)))
		if due.Sub(start) >= o.Duration {
			break
		}
		time.Sleep(time.Until(due))
		wg.Add(1)
		go func() { defer wg.Done(); c.session(ctx, i) }()
	}
	wg.Wait()
	return c.r
}

// session is one session: its whole course follows from the seed and its number.
func (c *churn) session(ctx context.Context, i int) {
	dice := rand.New(rand.NewPCG(c.o.Seed, uint64(i)))
	c.count(1)
	defer c.count(-1)
	t, err := Dial(ctx, c.o.Target, i)
	if err != nil {
		c.unexpected("open", err)
		return
	}
	defer t.Close()
	for range 1 + dice.IntN(4) {
		payload := c.payload(dice)
		if err := t.Echo(payload); err != nil {
			c.unexpected("echo", err)
			return
		}
		c.mu.Lock()
		c.r.Messages++
		c.r.Bytes += int64(len(payload))
		c.mu.Unlock()
		select {
		case <-time.After(time.Duration(dice.Int64N(int64(c.o.IdleMax) + 1))):
		case <-ctx.Done():
		}
		if err := t.Alive(); err != nil {
			c.unexpected("idle", err)
			return
		}
	}
	name, err := c.end(t, dice)
	if err != nil {
		c.unexpected(name, err)
		return
	}
	c.mu.Lock()
	c.r.Ends[name]++
	c.mu.Unlock()
}

// payload is mostly small, one time in ten up to SizeMax with all magnitudes alike.
func (c *churn) payload(dice *rand.Rand) []byte {
	size := dice.IntN(min(2048, c.o.SizeMax) + 1)
	if dice.IntN(10) == 0 {
		size = c.o.SizeMax >> dice.IntN(10)
		size -= dice.IntN(size/2 + 1)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i*7) ^ byte(size)
	}
	return b
}

// end ends a session in one of four ways and checks that the other side follows.
func (c *churn) end(t *Tunnel, dice *rand.Rand) (string, error) {
	_ = t.conn.SetDeadline(time.Now().Add(Patience))
	switch dice.IntN(4) {
	case 0:
		return "reset", reset(t)
	case 1:
		return "close", expectEOF(t)
	case 2:
		return "close frame", closeFrame(t)
	default:
		return "half-close", halfClose(t, c.payload(dice))
	}
}

func reset(t *Tunnel) error { t.Reset(); return nil }

func expectEOF(t *Tunnel) error {
	if err := t.conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	return atEOF(t)
}

func closeFrame(t *Tunnel) error {
	if _, err := t.conn.Write(wire.ClientFrame(wire.OpClose, []byte{0x03, 0xe8})); err != nil {
		return err
	}
	h, _, err := wire.ReadFrame(t.br, 125)
	if err != nil {
		return err
	}
	if h.Op != wire.OpClose {
		return fmt.Errorf("opcode %d instead of Close", h.Op)
	}
	return atEOF(t)
}

// halfClose sends a message and FIN behind it: the echo must still come whole.
func halfClose(t *Tunnel, payload []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := t.conn.Write(wire.ClientFrame(wire.OpBinary, payload))
		sent <- errors.Join(err, t.conn.(*net.TCPConn).CloseWrite())
	}()
	_, got, err := wire.ReadFrame(t.br, uint64(len(payload)))
	if err != nil {
		t.conn.Close()
		<-sent
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	if string(got) != string(payload) {
		return errors.New("the echo behind the half-close differs")
	}
	return atEOF(t)
}

func atEOF(t *Tunnel) error {
	if _, err := t.br.ReadByte(); err != io.EOF {
		return fmt.Errorf("instead of EOF: %v", err)
	}
	return nil
}

func (c *churn) count(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open += n; n > 0 {
		c.r.Sessions++
	}
	c.r.OpenPeak = max(c.r.OpenPeak, c.open)
}

func (c *churn) unexpected(when string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // without the addresses, which are different each time
	}
	c.r.Unexpected[when+": "+err.Error()]++
}
