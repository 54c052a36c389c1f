// Package holder holds very many idle WebSockets from one thread: an idle one costs its
// process a file descriptor and four bytes. The client opens them, sends a message on
// any of them and sees which have ended; the backend answers and echoes. Neither has a
// goroutine, a buffer or a timer per connection.
package holder

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/bench/load/secure"
	"holdfast/test/wire"
)

// Patience bounds one step of a connection; one that takes longer has failed.
const Patience = 30 * time.Second

const (
	// batch is how many connections are under way at a time.
	batch = 64
	// perSource is how many tunnels share a source address. A source has about 28,000
	// ports towards one address, and looking for a free one takes longer the fewer there are.
	perSource = 4000
	// firstSource is the lowest source address, 127.1.0.0, as a number.
	firstSource = 127<<24 | 1<<16
)

// Options say what a client does. First is the number of its first tunnel among those of
// all clients: it chooses source addresses and messages.
type Options struct {
	Targets      []netip.AddrPort // the tunnels go to them in turn
	Path         string
	First        int
	Secure       bool // over TLS
	MessageBytes int  // payload of a message; zero: MessageBytesMin
}

// Client holds tunnels. It is no use to several goroutines at a time.
type Client struct {
	o       Options
	fds     []int32 // of the tunnels; -1 for one that was found dead
	secure  *security
	buf     []byte
	out     []byte
	request []byte
}

// Tally counts what Open did.
type Tally struct {
	Opened  int
	Retries int            // connections that failed and were tried again
	Reasons map[string]int // why they failed
}

// NewClient makes a client without tunnels.
func NewClient(o Options) *Client {
	o.MessageBytes = max(o.MessageBytes, MessageBytesMin)
	c := &Client{o: o, buf: make([]byte, 64<<10), request: []byte(wire.UpgradeRequest("hold.test", o.Path))}
	if o.Secure {
		c.secure = &security{dialer: secure.NewDialer(secure.Options{})}
	}
	return c
}

// source is the source address of the i-th connection.
func source(i int) [4]byte {
	n := uint32(firstSource + i/perSource)
	return [4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// Open opens n more tunnels, a batch at a time. A connection that is refused, reset or
// answered otherwise is tried again from another port, which also leads to another
// process behind SO_REUSEPORT; when more fail than can be chance it is an error. progress
// is called now and then with the number of open tunnels.
func (c *Client) Open(n int, progress func(opened int)) (Tally, error) {
	t := Tally{Reasons: map[string]int{}}
	want := len(c.fds) + n
	fruitless := 0
	var fds [batch]int32
	for len(c.fds) < want {
		before := len(c.fds)
		attempts := fds[:min(batch, want-before)]
		c.connectAll(attempts, before, &t)
		deadline := time.Now().Add(Patience)
		for i, fd := range attempts {
			attempts[i] = t.keep(fd, c.send(before+i, fd, c.request, deadline))
		}
		for i, fd := range attempts {
			if attempts[i] = t.keep(fd, c.awaitSwitch(before+i, fd, deadline)); attempts[i] >= 0 {
				c.keepKeys(before+i, len(c.fds))
				c.fds = append(c.fds, fd)
			}
		}
		t.Opened += len(c.fds) - before
		progress(len(c.fds))
		if fruitless++; len(c.fds) > before {
			fruitless = 0
		} else {
			time.Sleep(50 * time.Millisecond) // the proxy is full or overloaded
		}
		if fruitless == 20 || t.Retries > 1000+n {
			return t, fmt.Errorf("%d of %d tunnels opened, %d failures: %v", len(c.fds), want, t.Retries, t.Reasons)
		}
	}
	return t, nil
}

// connectAll starts connections, the first of them that of the tunnel first.
func (c *Client) connectAll(attempts []int32, first int, t *Tally) {
	if c.secure != nil {
		c.shakeAll(attempts, first, t)
		return
	}
	for i := range attempts {
		attempts[i] = c.connect(first+i, t)
	}
}

// target is where the i-th tunnel goes.
func (c *Client) target(i int) netip.AddrPort { return c.o.Targets[(c.o.First+i)%len(c.o.Targets)] }

// keep notes a failure and closes the socket; it returns the socket, or -1 without one.
func (t *Tally) keep(fd int32, err error) int32 {
	if fd < 0 || err == nil {
		return fd
	}
	t.failed(err)
	_ = unix.Close(int(fd))
	return -1
}

func (t *Tally) failed(err error) {
	t.Retries++
	t.Reasons[err.Error()]++
}

// connect starts the connection of the i-th tunnel; -1 when it failed at once.
func (c *Client) connect(i int, t *Tally) int32 {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.failed(fmt.Errorf("socket: %w", err))
		return -1
	}
	target := c.target(i)
	if target.Addr().IsLoopback() {
		// The port is chosen by connect, so that it may serve several destinations.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: source(c.o.First + i + t.Retries)})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: target.Addr().As4(), Port: int(target.Port())})
	}
	if err != nil && err != unix.EINPROGRESS {
		return t.keep(int32(fd), fmt.Errorf("connect: %w", err))
	}
	return int32(fd)
}

// errLate is the failure of a step that took longer than it may.
var errLate = fmt.Errorf("nothing for %v", Patience)

// wait waits for an event of a descriptor until the deadline.
func wait(fd int32, events int16, deadline time.Time) error {
	p := [1]unix.PollFd{{Fd: fd, Events: events}}
	for {
		left := time.Until(deadline)
		if left < 0 {
			left = 0
		}
		n, err := unix.Poll(p[:], int(left.Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 1:
			return nil
		case left == 0:
			return errLate
		}
	}
}

// send sends b, which is small, on a connection that may still be connecting.
func send(fd int32, b []byte, deadline time.Time) error {
	for fd >= 0 && len(b) > 0 {
		n, err := unix.SendmsgN(int(fd), b, nil, nil, unix.MSG_NOSIGNAL)
		switch err {
		case nil:
			b = b[n:]
		case unix.EAGAIN, unix.ENOTCONN:
			if err := wait(fd, unix.POLLOUT, deadline); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		case unix.EINTR:
		default:
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// receive reads at least one byte into b.
func receive(fd int32, b []byte, deadline time.Time) (int, error) {
	for {
		n, err := unix.Read(int(fd), b)
		switch {
		case err == unix.EAGAIN:
			if err := wait(fd, unix.POLLIN, deadline); err != nil {
				return 0, fmt.Errorf("receive: %w", err)
			}
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("receive: %w", err)
		case n == 0:
			return 0, errors.New("receive: the connection ended")
		default:
			return n, nil
		}
	}
}

// awaitSwitch reads the answer to the handshake, which must be a 101 and nothing behind.
func (c *Client) awaitSwitch(i int, fd int32, deadline time.Time) error {
	for n := 0; fd >= 0; {
		got, err := c.receive(i, fd, c.buf[n:], deadline)
		if err != nil {
			return err
		}
		n += got
		if done, err := switched(c.buf[:n]); done || err != nil {
			return err
		}
		if n == len(c.buf) {
			return errors.New("a response head without end")
		}
	}
	return nil
}

// Echo sends a message on every tunnel that chosen picks, by its number, and reads it
// back. It returns how many came back; a tunnel whose message did not is closed and is
// one of the dead from then on. progress is called now and then with the number so far.
func (c *Client) Echo(chosen func(number int) bool, progress func(echoed int)) (echoed int, first error) {
	var at [batch]int
	n := 0
	flush := func() {
		done, err := c.echoBatch(at[:n])
		if echoed, n = echoed+done, 0; first == nil {
			first = err
		}
		progress(echoed)
	}
	for i, fd := range c.fds {
		if fd >= 0 && chosen(c.o.First+i) {
			at[n] = i
			if n++; n == batch {
				flush()
			}
		}
	}
	flush()
	return echoed, first
}

func (c *Client) echoBatch(at []int) (echoed int, first error) {
	deadline := time.Now().Add(Patience)
	for _, i := range at {
		c.out = appendMessage(c.out[:0], c.o.First+i, c.o.MessageBytes)
		if err := c.send(i, c.fds[i], c.out, deadline); err != nil {
			first = c.bury(i, err, first)
		}
	}
	for _, i := range at {
		if c.fds[i] < 0 {
			continue
		}
		if err := c.awaitEcho(i, deadline); err != nil {
			first = c.bury(i, err, first)
			continue
		}
		echoed++
	}
	return echoed, first
}

func (c *Client) awaitEcho(i int, deadline time.Time) error {
	c.out = appendEcho(c.out[:0], c.o.First+i, c.o.MessageBytes)
	got := c.buf[:len(c.out)]
	for n := 0; n < len(got); {
		m, err := c.receive(i, c.fds[i], got[n:], deadline)
		if err != nil {
			return err
		}
		n += m
	}
	if !bytes.Equal(got, c.out) {
		return errors.New("the echo differs from what was sent")
	}
	return nil
}

// bury closes a tunnel that failed. It returns the first failure.
func (c *Client) bury(i int, err, first error) error {
	_ = unix.Close(int(c.fds[i]))
	c.fds[i] = -1
	if first != nil {
		return first
	}
	return fmt.Errorf("tunnel %d: %w", c.o.First+i, err)
}

// Dead counts the tunnels that have ended or have received what nobody asked for, and
// says what is wrong with the first of them. It does not wait.
func (c *Client) Dead() (dead int, first error) {
	var b [1]byte
	for i, fd := range c.fds {
		if fd < 0 {
			dead++
			continue
		}
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			continue
		case err == nil && n == 0:
			err = errors.New("the connection ended")
		case err == nil:
			err = errors.New("a byte nobody asked for")
		}
		if dead++; first == nil {
			first = fmt.Errorf("tunnel %d: %w", c.o.First+i, err)
		}
	}
	return dead, first
}

// Close closes all tunnels by FIN and returns how many were open.
func (c *Client) Close() int {
	n := 0
	for _, fd := range c.fds {
		if fd >= 0 {
			_ = unix.Close(int(fd))
			n++
		}
	}
	c.fds = nil
	c.forgetAll()
	return n
}

// Sample picks one tunnel in step, at random but the same for the same seed.
func Sample(seed uint64, step int) func(number int) bool {
	return func(number int) bool { return rand.New(rand.NewPCG(seed, uint64(number))).IntN(step) == 0 }
}

// All picks every tunnel.
func All(int) bool { return true }
