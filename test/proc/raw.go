package proc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/test/wire"
)

// Raw is a scripted TCP peer: it sends exactly the bytes it is told to and expects
// exactly the bytes it is told to expect. Its first failure ends the test, or, for a
// peer made by Try or NewRaw, is kept in Err and turns all later steps into nothing.
type Raw struct {
	conn net.Conn
	br   *bufio.Reader
	fail func(error)
	err  error
}

// Dial connects to address ("host:port" or "unix:/path"); a failure of this or any
// later step ends the test. The connection is closed with the test.
func Dial(t testing.TB, address string) *Raw {
	t.Helper()
	r := Try(address)
	if r.err != nil {
		t.Fatal(r.err)
	}
	r.fail = func(err error) { t.Helper(); t.Fatal(err) }
	t.Cleanup(r.Close)
	return r
}

// Try connects like Dial but keeps its first failure in Err; it is for goroutines,
// which must not end a test.
func Try(address string) *Raw { return TryFrom("", address) }

// TryFrom is Try from a given source IP address, "" for the kernel's choice.
func TryFrom(source, address string) *Raw {
	var d net.Dialer
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return &Raw{err: err}
	}
	return NewRaw(conn)
}

// NewRaw makes a peer of an open connection; failures are kept in Err.
func NewRaw(conn net.Conn) *Raw {
	return &Raw{conn: conn, br: bufio.NewReaderSize(conn, 32<<10)}
}

// Err is the first failure, nil so far.
func (r *Raw) Err() error { return r.err }

// Conn is the connection below. What was read from it may wait in Reader.
func (r *Raw) Conn() net.Conn { return r.conn }

// Reader is the buffered reading side, for steps Raw has no word for.
func (r *Raw) Reader() *bufio.Reader { return r.br }

// do runs one step under the deadline and records its failure.
func (r *Raw) do(what string, step func() error) {
	if r.err != nil {
		return
	}
	_ = r.conn.SetDeadline(time.Now().Add(Patience))
	if err := step(); err != nil {
		r.err = fmt.Errorf("%s: %w", what, err)
		if r.fail != nil {
			r.fail(r.err)
		}
	}
}

// Send writes s.
func (r *Raw) Send(s string) *Raw { return r.SendBytes([]byte(s)) }

// SendBytes writes b.
func (r *Raw) SendBytes(b []byte) *Raw {
	r.do("send", func() error {
		_, err := r.conn.Write(b)
		return err
	})
	return r
}

// SendEach writes b in pieces of n bytes, each in a segment of its own where the
// kernel lets it.
func (r *Raw) SendEach(b []byte, n int) *Raw {
	for len(b) > 0 {
		n = min(n, len(b))
		r.SendBytes(b[:n])
		b = b[n:]
	}
	return r
}

// Read reads exactly n bytes.
func (r *Raw) Read(n int) []byte {
	b := make([]byte, n)
	r.do(fmt.Sprintf("read %d bytes", n), func() error {
		got, err := io.ReadFull(r.br, b)
		if err != nil {
			return fmt.Errorf("after %q: %w", clip(b[:got]), err)
		}
		return nil
	})
	return b
}

// Expect reads as many bytes as s has and compares.
func (r *Raw) Expect(s string) *Raw { return r.ExpectBytes([]byte(s)) }

// ExpectBytes reads as many bytes as want has and compares.
func (r *Raw) ExpectBytes(want []byte) *Raw {
	got := r.Read(len(want))
	r.do("expect", func() error {
		if !bytes.Equal(got, want) {
			return fmt.Errorf("got %q, want %q", clip(got), clip(want))
		}
		return nil
	})
	return r
}

// Head reads one message head.
func (r *Raw) Head() wire.Head {
	var h wire.Head
	r.do("read a head", func() (err error) {
		h, err = wire.ReadHead(r.br)
		return err
	})
	return h
}

// Response reads a response head and compares its status.
func (r *Raw) Response(status int) wire.Head {
	h := r.Head()
	r.do("response", func() error {
		if h.Status() != status {
			return fmt.Errorf("got %q, want status %d", h.Start, status)
		}
		return nil
	})
	return h
}

// Body reads the body that h declares: by Content-Length, chunked, or up to the end of
// the connection when h declares nothing.
func (r *Raw) Body(h wire.Head) []byte {
	var b []byte
	r.do("read a body", func() (err error) {
		b, err = io.ReadAll(r.BodyReader(h))
		return err
	})
	return b
}

// BodyReader streams the body that h declares, without a deadline of its own.
func (r *Raw) BodyReader(h wire.Head) io.Reader { return wire.Body(r.br, h) }

// Handshake sends an upgrade request with the given extra header lines and expects
// the right 101 (RFC 6455 section 4.2.2).
func (r *Raw) Handshake(host, target string, fields ...string) wire.Head {
	r.Send(wire.UpgradeRequest(host, target, fields...))
	h := r.Response(101)
	r.do("handshake", func() error {
		if got, want := h.Get("Sec-WebSocket-Accept"), wire.AcceptKey(wire.SampleKey); got != want {
			return fmt.Errorf("Sec-WebSocket-Accept %q, want %q", got, want)
		}
		return nil
	})
	return h
}

// EchoText sends one text message and expects it back.
func (r *Raw) EchoText(text string) *Raw {
	r.SendBytes(wire.ClientFrame(wire.OpText, []byte(text)))
	return r.ExpectBytes(wire.ServerFrame(wire.OpText, []byte(text)))
}

// CloseWrite sends FIN; the other direction stays open.
func (r *Raw) CloseWrite() *Raw {
	r.do("send FIN", func() error {
		half, ok := r.conn.(interface{ CloseWrite() error })
		if !ok {
			return errors.New("connection has no half-close")
		}
		return half.CloseWrite()
	})
	return r
}

// Reset closes the connection by RST.
func (r *Raw) Reset() {
	if tcp, ok := r.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	r.Close()
}

// Close closes the connection; it may be called again.
func (r *Raw) Close() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
}

// ExpectEOF expects a FIN with no byte before it.
func (r *Raw) ExpectEOF() {
	r.do("expect EOF", func() error {
		b, err := r.br.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			rest, _ := r.br.Peek(r.br.Buffered())
			return fmt.Errorf("got %q", clip(append([]byte{b}, rest...)))
		}
		return err
	})
}

// ExpectEnd reads and drops what still comes and expects the connection to end, by
// FIN or by RST.
func (r *Raw) ExpectEnd() {
	r.do("expect the end", func() error {
		_, err := io.Copy(io.Discard, r.br)
		if errors.Is(err, syscall.ECONNRESET) {
			return nil
		}
		return err
	})
}

// ExpectSilence reports a failure if a byte or the end of the connection has arrived
// already. It cannot see what comes later.
func (r *Raw) ExpectSilence() *Raw {
	r.do("expect silence", func() error {
		if r.br.Buffered() > 0 {
			b, _ := r.br.Peek(r.br.Buffered())
			return fmt.Errorf("got %q", clip(b))
		}
		// A deadline in the past would keep the runtime from trying the read at all.
		_ = r.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		b, err := r.br.Peek(1)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return nil
		}
		return fmt.Errorf("got %q, %v", b, err)
	})
	return r
}

// clip shortens bytes for an error message.
func clip(b []byte) []byte {
	const most = 200
	if len(b) > most {
		return append(append([]byte{}, b[:most]...), "…"...)
	}
	return b
}
