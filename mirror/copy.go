package mirror

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/upstream"
)

// Copy is a request to send. Its memory is the pool's from Send on.
type Copy struct {
	// Request is the head and the body, as they go out.
	Request []byte
	// Preface goes first, in the clear: a header of the PROXY protocol. nil for none.
	Preface []byte

	// Group is where the request goes, Peer the one of it that Group.Pick chose by Choice; the
	// pool gives it back.
	Group  *upstream.Group
	Choice upstream.Choice
	Peer   *upstream.Peer
	// Tries is how many peers may be tried until one takes a connection.
	Tries int

	// TLS is nil for a server that is spoken to in the clear.
	TLS *tls.Config

	// Bound has connections come from Local, for IPv4 and IPv6 each; one that is not valid
	// means any address, where Fits says that there is one. Transparent allows addresses that
	// are not this machine's.
	Bound, Transparent bool
	Local              [2]netip.AddrPort
	Fits               [2]bool

	// Connect bounds a connection with its TLS handshake, Write each write, and Read the wait
	// for the head of the answer.
	Connect, Write, Read time.Duration

	// Log is told why a try failed, if it is set, on a goroutine of the pool.
	Log func(peer string, err error)

	size    int64
	beganMs int64
	next    *Copy
	answer  []byte
	parsed  httpparse.Response
}

const (
	// answerMax bounds the head of an answer, in bytes.
	answerMax = 64 << 10
	// interimsMax bounds the 1xx responses before a final one.
	interimsMax = 16
	// writeSize is how much is written at once, in bytes.
	writeSize = 64 << 10
)

var (
	errAddress = errors.New("proxy_bind has no address of this family")
	errAnswer  = errors.New("upstream sent an invalid response")
	errTooLong = errors.New("upstream sent too big header")
)

// send tries peers until one takes a connection, and says whether it answered.
func (c *Copy) send() (ok bool) {
	for try := 1; ; try++ {
		peer := c.Peer
		tryMs := sys.NowMs()
		peer.Connects.Add(1)
		peer.Connections.Add(1)
		conn, err := c.open()
		opened := err == nil
		if opened {
			err = c.exchange(conn)
			_ = conn.Close()
		}
		if ok = err == nil; ok {
			tookMs := sys.NowMs() - tryMs
			c.Group.Took(peer, tookMs, tookMs)
			c.Group.OK(peer)
		} else {
			c.failed(err)
		}
		peer.Connections.Add(-1)
		peer.Release()
		if opened || try >= c.Tries {
			return ok
		}
		if c.Peer = c.Group.Pick(&c.Choice, sys.NowMs()); c.Peer == nil {
			return false
		}
	}
}

// failed books a failure against the peer, unless it was our own want.
func (c *Copy) failed(err error) {
	own := []error{sys.EMFILE, sys.ENFILE, sys.ENOBUFS, sys.ENOMEM, sys.EADDRNOTAVAIL, errAddress}
	blame := true
	for _, want := range own {
		blame = blame && !errors.Is(err, want)
	}
	if blame {
		c.Group.Fail(c.Peer, sys.NowMs())
	}
	if c.Log != nil {
		c.Log(c.Peer.Name, err)
	}
}

// open connects to the peer.
func (c *Copy) open() (net.Conn, error) {
	until := time.Now().Add(c.Connect)
	conn, err := c.dial(until)
	if err != nil {
		return nil, fmt.Errorf("while connecting: %w", err)
	}
	_ = conn.SetDeadline(until)
	if len(c.Preface) > 0 {
		if _, err = conn.Write(c.Preface); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("while connecting: %w", err)
		}
	}
	if c.TLS == nil {
		return conn, nil
	}
	secured := tls.Client(conn, c.TLS)
	if err = secured.Handshake(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("while SSL handshaking: %w", err)
	}
	return secured, nil
}

func (c *Copy) dial(until time.Time) (net.Conn, error) {
	d := net.Dialer{Deadline: until, KeepAlive: -1}
	if c.Peer.Unix != "" {
		return d.Dial("unix", c.Peer.Unix)
	}
	to := c.Peer.Addr
	if c.Bound {
		family := 0
		if ip := to.Addr(); ip.Is6() && !ip.Is4In6() {
			family = 1
		}
		if !c.Fits[family] {
			return nil, errAddress
		}
		if local := c.Local[family]; local.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(local)
			d.Control = sys.BindControl(c.Transparent)
		}
	}
	return d.Dial("tcp", to.String())
}

// exchange sends the request and reads the head of its answer.
func (c *Copy) exchange(conn net.Conn) error {
	c.Peer.Requests.Add(1)
	for rest := c.Request; len(rest) > 0; {
		_ = conn.SetDeadline(time.Now().Add(c.Write))
		n, err := conn.Write(rest[:min(len(rest), writeSize)])
		c.Peer.Bytes.Add(uint64(n))
		if rest = rest[n:]; err != nil {
			return fmt.Errorf("while sending request: %w", err)
		}
	}
	_ = conn.SetDeadline(time.Now().Add(c.Read))
	if err := c.readHead(conn); err != nil {
		return fmt.Errorf("while reading response header: %w", err)
	}
	return nil
}

// readHead reads until a final response has its whole head.
func (c *Copy) readHead(conn net.Conn) error {
	if c.answer == nil {
		c.answer = make([]byte, 4<<10)
	}
	c.parsed.Reset()
	for have, interims := 0, 0; ; {
		whole, perr := c.parsed.Parse(c.answer[:have])
		switch {
		case perr != httpparse.OK, interims > interimsMax:
			return errAnswer
		case whole && c.parsed.Status >= 200:
			return nil
		case whole && c.parsed.Status == 101:
			return errAnswer // nobody has asked for it
		case whole:
			interims++
			have = copy(c.answer, c.answer[c.parsed.HeadLen:have])
			c.parsed.Reset()
			continue
		case have == answerMax:
			return errTooLong
		case have == len(c.answer):
			c.answer = append(c.answer, make([]byte, have)...)
		}
		n, err := conn.Read(c.answer[have:])
		have += n
		c.Peer.Bytes.Add(uint64(n))
		if n == 0 && err != nil {
			return err
		}
	}
}
