package holder

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/test/wire"
)

// What a descriptor of the backend is.
const (
	unused byte = iota
	listening
	reading // a connection before its handshake
	tunnel
)

// Backend is a WebSocket echo server. Messages of up to 60 KiB in one frame come back.
type Backend struct {
	poller  int
	kinds   []byte           // by descriptor
	begun   map[int32][]byte // a head or a frame that has not come whole; few ever
	buf     []byte
	out     []byte
	accept  []byte // the 101 to the key that the client always sends
	open    atomic.Int64
	refused atomic.Int64 // connections that ended by an error of theirs
}

// Listen makes a backend that listens on a free port of each of addresses; it returns
// these. Serve it then.
func Listen(addresses []netip.Addr) (*Backend, []netip.AddrPort, error) {
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	b := &Backend{
		poller: poller, begun: map[int32][]byte{}, buf: make([]byte, 64<<10), out: make([]byte, 0, 64<<10),
		accept: []byte(wire.SwitchResponse(wire.SampleKey)),
	}
	var bound []netip.AddrPort
	for _, a := range addresses {
		at, err := b.listen(a)
		if err != nil {
			return nil, nil, fmt.Errorf("listen on %v: %w", a, err)
		}
		bound = append(bound, at)
	}
	return b, bound, nil
}

func (b *Backend) listen(a netip.Addr) (netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: a.As4()}); err != nil {
		return netip.AddrPort{}, err
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return netip.AddrPort{}, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(a, uint16(name.(*unix.SockaddrInet4).Port)), b.register(fd, listening)
}

func (b *Backend) register(fd int, kind byte) error {
	for fd >= len(b.kinds) {
		b.kinds = append(b.kinds, make([]byte, 4096)...)
	}
	b.kinds[fd] = kind
	return unix.EpollCtl(b.poller, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// Open is the number of open connections; any goroutine may ask.
func (b *Backend) Open() int { return int(b.open.Load()) }

// Refused is the number of connections that the backend ended because of an error.
func (b *Backend) Refused() int { return int(b.refused.Load()) }

// Serve answers for ever; it returns only when the poller fails.
func (b *Backend) Serve() error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(b.poller, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if b.kinds[e.Fd] == listening {
				b.acceptAll(int(e.Fd))
			} else if err := b.read(e.Fd); err != nil {
				b.close(e.Fd, err)
			}
		}
	}
}

// acceptAll takes what waits on a listener.
func (b *Backend) acceptAll(listener int) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			time.Sleep(100 * time.Millisecond) // else the listener would be reported for ever
			return
		default:
			return
		}
		if err := b.register(fd, reading); err != nil {
			_ = unix.Close(fd)
			b.refused.Add(1)
			return
		}
		b.open.Add(1)
	}
}

var errEnd = errors.New("the connection ended")

func (b *Backend) close(fd int32, err error) {
	b.kinds[fd] = unused
	delete(b.begun, fd)
	_ = unix.Close(int(fd))
	b.open.Add(-1)
	if err != errEnd {
		b.refused.Add(1)
	}
}

// read takes what a connection has and answers it.
func (b *Backend) read(fd int32) error {
	begun := b.begun[fd]
	n, err := unix.Read(int(fd), b.buf[copy(b.buf, begun):])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err == unix.ECONNRESET || err == nil && n == 0:
		return errEnd
	case err != nil:
		return err
	}
	b.out = b.out[:0]
	rest := b.buf[:len(begun)+n]
	if b.kinds[fd] == reading {
		if rest, err = b.handshake(fd, rest); err != nil {
			return err
		}
	}
	if b.kinds[fd] == tunnel {
		if rest, err = b.echo(rest); err != nil {
			return err
		}
	}
	if err := b.hold(fd, rest); err != nil {
		return err
	}
	// Who does not read small answers is in the way of all others for a while, then closed.
	return send(fd, b.out, time.Now().Add(Patience))
}

// hold keeps what is not whole until the rest has come.
func (b *Backend) hold(fd int32, rest []byte) error {
	switch {
	case len(rest) == len(b.buf):
		return errors.New("too long a head or frame")
	case len(rest) > 0:
		b.begun[fd] = bytes.Clone(rest)
	default:
		delete(b.begun, fd)
	}
	return nil
}

// handshake answers a whole request head and makes the connection a tunnel; it returns
// what is behind the head.
func (b *Backend) handshake(fd int32, in []byte) ([]byte, error) {
	end := bytes.Index(in, []byte("\r\n\r\n"))
	if end < 0 {
		return in, nil
	}
	switch key := field(in[:end], "sec-websocket-key"); string(key) {
	case "":
		return nil, errors.New("a request that is no handshake")
	case wire.SampleKey:
		b.out = append(b.out, b.accept...)
	default:
		b.out = append(b.out, wire.SwitchResponse(string(key))...)
	}
	b.kinds[fd] = tunnel
	return in[end+4:], nil
}

// echo answers whole frames and returns what is behind them.
func (b *Backend) echo(in []byte) ([]byte, error) {
	for len(in) > 0 {
		op, data, rest, ok, err := takeFrame(in)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		b.out = wire.AppendHeader(b.out, wire.FrameHeader{Op: op, Fin: true, Length: uint64(len(data))})
		b.out = append(b.out, data...)
		in = rest
	}
	return in, nil
}
