package holder

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"holdfast/bench/load/secure"
)

// security is what a client needs for TLS: the keys of each tunnel, and nothing else that
// grows with them.
type security struct {
	dialer *secure.Dialer
	pump   secure.Pump
	keys   []keys // by tunnel
	out    []byte
	in     []byte
}

// keys are those of a tunnel. sealed is what came behind its handshake.
type keys struct {
	read, write secure.Direction
	sealed      []byte
}

// shakeAll connects and shakes hands at once, on a goroutine each.
func (c *Client) shakeAll(attempts []int32, first int, t *Tally) {
	connections := make([]secure.Connection, len(attempts))
	errs := make([]error, len(attempts))
	var all sync.WaitGroup
	for i := range attempts {
		from := source(c.o.First + first + i + t.Retries)
		all.Go(func() {
			target := c.target(first + i)
			var at *net.TCPAddr
			if target.Addr().IsLoopback() {
				at = &net.TCPAddr{IP: from[:]}
			}
			connections[i], errs[i] = c.secure.dialer.Open(context.Background(), at, target.String())
		})
	}
	all.Wait()
	s := c.secure
	for len(s.keys) < first+len(attempts) {
		s.keys = append(s.keys, keys{})
	}
	for i, n := range connections {
		s.keys[first+i] = keys{read: n.Read, write: n.Write, sealed: n.Rest}
		if attempts[i] = n.FD; errs[i] != nil {
			t.failed(errs[i])
			attempts[i] = -1
		}
	}
}

// keepKeys moves the keys of an attempt to those of its tunnel.
func (c *Client) keepKeys(attempt, tunnel int) {
	if c.secure != nil {
		c.secure.keys[tunnel] = c.secure.keys[attempt]
	}
}

func (c *Client) forgetAll() {
	if c.secure != nil {
		c.secure.keys = nil
	}
}

// send sends b, which is small, on the i-th tunnel.
func (c *Client) send(i int, fd int32, b []byte, deadline time.Time) error {
	if c.secure != nil && fd >= 0 {
		k := &c.secure.keys[i]
		c.secure.out = c.secure.pump.Seal(c.secure.out[:0], &k.write, b)
		k.write.Forget()
		b = c.secure.out
	}
	return send(fd, b, deadline)
}

// receive reads at least one byte of the i-th tunnel into b. Over TLS it reads whole
// records, all that have come, and they must fit.
func (c *Client) receive(i int, fd int32, b []byte, deadline time.Time) (int, error) {
	if c.secure == nil {
		return receive(fd, b, deadline)
	}
	s := c.secure
	k := &s.keys[i]
	defer k.read.Forget()
	s.in = append(s.in[:0], k.sealed...)
	k.sealed = nil
	for n := 0; ; {
		plain, size, err := s.pump.Open(&k.read, s.in)
		if err != nil {
			return n, err
		}
		if size > 0 {
			if copy(b[n:], plain) < len(plain) {
				return n, errors.New("bytes nobody asked for")
			}
			n += len(plain)
			s.in = s.in[size:]
			continue
		}
		if n > 0 && len(s.in) == 0 {
			return n, nil
		}
		var more [4096]byte
		got, err := receive(fd, more[:], deadline)
		if err != nil {
			return n, err
		}
		s.in = append(s.in, more[:got]...)
	}
}
