package client

import (
	"context"
	"sync"

	"holdfast/bench/load/poll"
	"holdfast/bench/load/secure"
)

// security is what a loop needs for wss: goroutines shake hands and deliver connections,
// the loop seals and opens their records.
type security struct {
	dialer   *secure.Dialer
	pump     secure.Pump
	out      []byte // sealed bytes on their way to the socket
	mu       sync.Mutex
	arrived  []arrival // guarded by mu
	taken    []arrival // the memory of arrived's other half
	underWay sync.WaitGroup
}

// arrival is the end of a handshake, good or bad.
type arrival struct {
	connection        secure.Connection
	err               error
	index, generation uint32
}

// shakeSecurely starts a connection with TLS; admit gets the result.
func (l *loop) shakeSecurely(c *conn) {
	l.renew(c, -1)
	source := l.to.tcpSource(l.dialed)
	l.dialed++
	s, a := l.secure, arrival{index: c.index, generation: c.generation}
	target := l.to.address.String()
	s.underWay.Go(func() {
		a.connection, a.err = s.dialer.Open(context.Background(), source, target)
		s.mu.Lock()
		s.arrived = append(s.arrived, a)
		s.mu.Unlock()
		l.poller.Wake()
	})
}

// admit takes the connections whose handshakes have ended into the loop.
func (l *loop) admit() {
	s := l.secure
	s.mu.Lock()
	s.arrived, s.taken = s.taken[:0], s.arrived
	s.mu.Unlock()
	for i := range s.taken {
		a := &s.taken[i]
		c := &l.conns[a.index]
		if a.err != nil {
			l.fail("connection %d: %w", c.index, a.err)
			continue
		}
		if c.generation != a.generation || c.phase != connecting || l.err != nil {
			poll.Close(a.connection.FD)
			continue
		}
		l.progress = poll.Now()
		c.fd, c.read, c.write = a.connection.FD, a.connection.Read, a.connection.Write
		if e := l.poller.Add(c.fd, uint64(c.index)|uint64(c.generation)<<32); e != 0 {
			l.fail("epoll: %w", e)
			return
		}
		c.phase = shaking
		l.send(c, l.to.request)
		c.sealed = append(c.sealed[:0], a.connection.Rest...)
		l.unseal(c, c.sealed)
	}
}

// unseal hands on what the whole records of b hold and keeps the rest, of which b may be
// the memory. b starts with what was kept before.
func (l *loop) unseal(c *conn, b []byte) {
	for l.err == nil && c.phase >= shaking {
		plain, n, err := l.secure.pump.Open(&c.read, b)
		if err != nil {
			l.fail("connection %d: %w", c.index, err)
			return
		}
		if n == 0 {
			break
		}
		b = b[n:]
		if len(plain) > 0 {
			l.deliver(c, plain)
		}
	}
	c.sealed = append(c.sealed[:0], b...)
}

// endHandshakes waits for the handshakes under way and closes what they bring.
func (l *loop) endHandshakes() {
	l.secure.underWay.Wait()
	for _, a := range l.secure.arrived {
		if a.err == nil {
			poll.Close(a.connection.FD)
		}
	}
}
