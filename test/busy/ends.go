package busy

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// sources is how many loopback addresses clients come from, so that sessions that follow
// each other quickly do not run out of ports.
const sources = 16

// dial connects a client and sends its request, unless enough have. Connecting to a loopback address that
// listens does not wait for the listener's process.
func (l *Load) dial() error {
	if l.dialsLeft == 0 {
		return nil
	}
	l.dialsLeft--
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	l.dialed++
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + l.dialed%sources)}}
	err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.Bind(fd, from))
	for err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: l.front.Addr().As4(), Port: int(l.front.Port())})
		if err == unix.EINTR {
			err = nil
			continue
		}
		break
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = l.begin(&end{fd: fd, client: true})
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("client %d: %w", l.dialed, err)
	}
	return write(fd, l.request)
}

func (l *Load) begin(e *end) error {
	for len(l.ends) <= e.fd {
		l.ends = append(l.ends, nil)
	}
	if err := l.watch(e.fd); err != nil {
		return err
	}
	l.ends[e.fd] = e
	return nil
}

func (l *Load) drop(e *end) {
	l.ends[e.fd] = nil
	unix.Close(e.fd)
}

func (l *Load) accept() error {
	for {
		fd, _, err := unix.Accept4(l.listenFD, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			if err := l.begin(&end{fd: fd}); err != nil {
				return err
			}
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED:
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

func (l *Load) read(e *end) error {
	n, err := unix.Read(e.fd, l.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case !e.client && (err != nil || n == 0):
		l.drop(e)  // the proxy has ended it; that is its right
		return nil //nolint:nilerr // see above
	case err != nil:
		return fmt.Errorf("client: %w", err)
	case n == 0:
		return fmt.Errorf("client: %w", io.ErrUnexpectedEOF)
	case e.client:
		return l.clientRead(e, l.buf[:n])
	}
	return l.serverRead(e, l.buf[:n])
}

func (l *Load) serverRead(e *end, got []byte) error {
	if e.open {
		return write(e.fd, got)
	}
	e.head = append(e.head, got...)
	at := bytes.Index(e.head, []byte("\r\n\r\n"))
	if at < 0 {
		return nil
	}
	head, rest := e.head[:at], e.head[at+4:]
	e.head = e.head[:0]
	if !bytes.Contains(head, []byte("pgrade: websocket")) {
		return write(e.fd, l.answer)
	}
	e.open = true
	if err := write(e.fd, l.switched); err != nil || len(rest) == 0 {
		return err
	}
	return write(e.fd, rest)
}

func (l *Load) clientRead(e *end, got []byte) error {
	if e.open {
		return l.echoed(e, len(got))
	}
	e.head = append(e.head, got...)
	at := bytes.Index(e.head, []byte("\r\n\r\n"))
	if at < 0 {
		return nil
	}
	rest := len(e.head) - at - 4
	if l.opt.Mode == Requests {
		if !bytes.HasPrefix(e.head, []byte("HTTP/1.1 200 ")) || rest > l.opt.BodySize {
			return fmt.Errorf("answer %q", e.head)
		}
		if rest < l.opt.BodySize {
			return nil
		}
		l.rounds++
		e.head = e.head[:0]
		return write(e.fd, l.request)
	}
	if !bytes.HasPrefix(e.head, []byte("HTTP/1.1 101 ")) || rest > 0 {
		return fmt.Errorf("answer %q", e.head)
	}
	e.open, e.head = true, nil
	if l.opt.Rate > 0 {
		l.ready = append(l.ready, e)
		return nil
	}
	return write(e.fd, l.frame)
}

// echoed books n bytes of a message that comes back.
func (l *Load) echoed(e *end, n int) error {
	e.got += n
	if e.got < len(l.frame) {
		return nil
	}
	if e.got > len(l.frame) {
		return fmt.Errorf("%d bytes came back for %d", e.got, len(l.frame))
	}
	e.got = 0
	l.rounds++
	switch {
	case l.opt.Mode == Sessions:
		l.drop(e)
		return l.dial()
	case l.opt.Rate > 0:
		l.ready = append(l.ready, e)
		return nil
	}
	return write(e.fd, l.frame)
}

// write writes something small whole; a socket that does not take it is an error.
func write(fd int, b []byte) error {
	n, err := unix.SendmsgN(fd, b, nil, nil, unix.MSG_NOSIGNAL)
	if err == unix.EPIPE || err == unix.ECONNRESET {
		return nil // its end comes by read
	}
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}
