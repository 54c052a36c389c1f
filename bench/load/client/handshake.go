package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/bench/load/poll"
	"holdfast/bench/load/secure"
	"holdfast/test/wire"
)

// HandshakeOptions describe a load of TLS handshakes.
type HandshakeOptions struct {
	Target
	secure.Options
	Handshakes int  // in all
	AtOnce     int  // connections under way at any time
	Resume     bool // a session, instead of full handshakes
}

// Handshakes connects, shakes hands, sends one GET that asks for the connection's end,
// reads until it comes, and closes. The answer must be a 204. A latency counts from the
// connect to the end of the handshake. Unlike the other loads it runs on goroutines:
// what crypto/tls needs for a handshake is far more than they cost.
func Handshakes(o HandshakeOptions) (Result, error) {
	r := Result{Scenario: "handshake"}
	to, err := o.resolve("")
	if err == nil && (to.dialer == nil || o.AtOnce < 1 || o.Handshakes < 1) {
		err = errors.New("handshake: want https://, a handshake and one at once")
	}
	if err != nil {
		return r, err
	}
	h := handshakes{o: o, to: to, dialer: secure.NewDialer(o.Options), latency: newHistogram()}
	h.request = []byte(wire.Lines("GET "+to.path+" HTTP/1.1", "Host: localhost", "Connection: close"))
	if o.Resume {
		if h.dialer, err = h.dialer.Resuming(to.address.String(), h.request); err != nil {
			r.Errors = 1
			return r, err
		}
	}
	watch := start()
	err = h.run()
	r.Count = h.latency.TotalCount()
	watch.finish(&r, []*hdrhistogram.Histogram{h.latency}, err)
	return r, err
}

type handshakes struct {
	o       HandshakeOptions
	to      *destination
	dialer  *secure.Dialer
	request []byte
	next    atomic.Int64
	mu      sync.Mutex
	latency *hdrhistogram.Histogram // guarded by mu
	err     error                   // guarded by mu, the first
}

func (h *handshakes) run() error {
	var all sync.WaitGroup
	for range h.o.AtOnce {
		all.Go(func() {
			for h.one() {
			}
		})
	}
	all.Wait()
	return h.err
}

// one makes a handshake; false when there are no more, or one has failed.
func (h *handshakes) one() bool {
	i := int(h.next.Add(1)) - 1
	if i >= h.o.Handshakes {
		return false
	}
	took, err := h.connection(i)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		err = h.latency.RecordValue(int64(took))
	}
	if err != nil && h.err == nil {
		h.err = fmt.Errorf("handshake %d: %w", i, err)
	}
	return h.err == nil
}

func (h *handshakes) connection(i int) (took time.Duration, err error) {
	began := poll.Now()
	c, err := h.dialer.Dial(context.Background(), h.to.tcpSource(i), h.to.address.String())
	if err != nil {
		return 0, err
	}
	defer c.NetConn().Close() // the other side has said its end
	took = poll.Now() - began
	_ = c.SetDeadline(time.Now().Add(Patience))
	if _, err := c.Write(h.request); err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(c)
	if err == nil && !bytes.HasPrefix(answer, []byte("HTTP/1.1 204 ")) {
		err = fmt.Errorf("the answer is %.60q", answer)
	}
	return took, err
}

// tcpSource is source for package net.
func (d *destination) tcpSource(i int) *net.TCPAddr {
	if a := d.source(i); a != nil {
		return &net.TCPAddr{IP: a.IP()}
	}
	return nil
}
