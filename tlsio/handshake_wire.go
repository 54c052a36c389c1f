package tlsio

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"holdfast/internal/sys"
	"holdfast/tlsio/info"
)

// finishedMax is more than the length of a record of TLS 1.2 with a Finished message.
const finishedMax = 64

// recordHeader is the length of a record's header (RFC 8446 section 5.1), in bytes.
const recordHeader = 5

// The content types of records that matter here (RFC 8446 section 5.1).
const (
	kindChangeCipherSpec = 20
	kindHandshake        = 22
	kindApplicationData  = 23
)

// wire is the net.Conn of a handshake. A Read returns at most the rest of one record's
// header or of its payload, so that what follows the handshake stays in the kernel. It
// notes what the record layer has to know and crypto/tls doesn't tell.
type wire struct {
	h       *Handshake // nil: the handshake is over, see feed
	fd      int32
	client  bool
	in, out flow
	secrets secrets
	// sealed counts the records sent with the application's keys of TLS 1.3: a server's
	// tickets. Nothing says so but that they open with them.
	sealed   uint64
	finished []byte // of TLS 1.2: our first sealed record
	refused  bool
	server   *ServerConfig // what Choose gave
	info     *info.TLS     // what the hello told
	session  *tls.ClientSessionState
	feed     []byte // after the handshake: all that Read has
}

// flow follows the records of one direction.
type flow struct {
	header  [recordHeader]byte
	have    int // of the header
	left    int // of the payload
	records int // begun
	hello   hello
	changed bool   // its sender said ChangeCipherSpec
	behind  uint64 // records begun behind that one: in TLS 1.2 they are sealed
}

// hello is the beginning of a ClientHello or a ServerHello, up to its session's id and
// two bytes more: both begin alike (RFC 5246 section 7.4.1), and a server's suite is next.
type hello struct {
	b   [4 + 2 + 32 + 1 + 32 + 2]byte
	len int
}

func (h *hello) add(b []byte) { h.len += copy(h.b[h.len:], b) }

func (h *hello) random() []byte { return h.b[6:38] }

// sessionID and suite are for hellos that crypto/tls has accepted.
func (h *hello) sessionID() []byte { return h.b[39 : 39+min(h.b[38], 32)] }
func (h *hello) suite() uint16 {
	at := 39 + int(min(h.b[38], 32))
	return uint16(h.b[at])<<8 | uint16(h.b[at+1])
}

// want is how many bytes of the record under way, header or payload, are missing.
func (f *flow) want() int {
	if f.have < recordHeader {
		return recordHeader - f.have
	}
	return f.left
}

// follow takes notice of at most want bytes.
func (f *flow) follow(b []byte) {
	if f.have < recordHeader {
		f.have += copy(f.header[f.have:], b)
		if f.have < recordHeader {
			return
		}
		f.left = int(f.header[3])<<8 | int(f.header[4])
		f.records++
		if f.changed {
			f.behind++
		}
		if f.header[0] == kindChangeCipherSpec {
			f.changed = true
		}
	} else {
		if f.header[0] == kindHandshake && !f.changed {
			f.hello.add(b)
		}
		f.left -= len(b)
	}
	if f.left == 0 {
		f.have = 0
	}
}

// wouldBlock is what Read says when it has no more to give for now. crypto/tls goes on
// after errors that are temporary.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no more records" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	if w.h == nil {
		n := copy(b, w.feed)
		w.feed = w.feed[n:]
		if n == 0 {
			return 0, wouldBlock{}
		}
		return n, nil
	}
	for len(b) > 0 {
		n, errno := sys.Recv(w.fd, b[:min(len(b), w.in.want())])
		switch {
		case errno == sys.EAGAIN:
			if err := w.h.pause(); err != nil {
				return 0, err
			}
		case errno != 0:
			return 0, fmt.Errorf("recv() failed: %w", errno)
		case n == 0:
			return 0, io.EOF
		default:
			w.in.follow(b[:n])
			return n, nil
		}
	}
	return 0, nil
}

// Write implements net.Conn. crypto/tls writes whole records.
func (w *wire) Write(b []byte) (int, error) {
	if w.h == nil {
		return len(b), nil // the record layer answers for itself
	}
	if err := w.note(b); err != nil {
		return 0, err
	}
	for done := 0; done < len(b); {
		n, errno := sys.Write(w.fd, b[done:])
		switch errno {
		case 0:
			done += n
		case sys.EAGAIN:
			if err := w.h.pause(); err != nil {
				return done, err
			}
		default:
			return done, fmt.Errorf("send() failed: %w", errno)
		}
	}
	return len(b), nil
}

// note looks at outgoing records: it counts those sealed with the application's keys.
func (w *wire) note(b []byte) error {
	for len(b) > 0 {
		if len(b) < recordHeader || len(b) < recordHeader+int(b[3])<<8+int(b[4]) {
			return errors.New("internal error: half a record written")
		}
		record := b[:recordHeader+int(b[3])<<8+int(b[4])]
		b = b[len(record):]
		w.out.follow(record[:recordHeader])
		if len(record) > recordHeader {
			w.out.follow(record[recordHeader:])
		}
		if record[0] == kindApplicationData && !w.client && w.secrets.tls13 &&
			w.secrets.opens(w.out.hello.suite(), record, w.sealed) {
			w.sealed++
		}
		if w.out.behind == 1 && w.finished == nil && len(record) <= finishedMax {
			w.finished = bytes.Clone(record)
		}
	}
	return nil
}

// Close implements net.Conn. The socket is its owner's to close.
func (w *wire) Close() error { return nil }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(sys.LocalAddr(w.fd)) }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(sys.RemoteAddr(w.fd)) }

// SetDeadline implements net.Conn. The order has the deadline.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
