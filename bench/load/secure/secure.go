// Package secure makes TLS connections for the load tools. crypto/tls shakes hands; then
// the keys are taken from the connection, and an event loop seals and opens its records
// itself, so that an open connection has no goroutine, no tls.Conn and no buffer. The
// client's part of TLS costs the machine as much as the proxy's does: it has to be small.
//
// Only what the loads need is there: TLS 1.3 with AES-128-GCM for connections that an
// event loop takes over. Certificates are not judged.
package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Patience bounds a handshake, the connect included.
const Patience = 30 * time.Second

// Options say how to shake hands.
type Options struct {
	// Version is the only version that is offered; zero is TLS 1.3.
	Version uint16
	// Hybrid offers the post-quantum hybrid X25519MLKEM768 beside X25519. Without it
	// everybody agrees on the same, also those who know no hybrid.
	Hybrid bool
}

// Dialer shakes hands with one server. It may be used by many goroutines.
type Dialer struct {
	config *tls.Config
	ticket *ticket // nil: every handshake is a full one
}

// NewDialer makes a dialer whose handshakes are full ones.
func NewDialer(o Options) *Dialer {
	if o.Version == 0 {
		o.Version = tls.VersionTLS13
	}
	d := &Dialer{config: &tls.Config{
		MinVersion: o.Version, MaxVersion: o.Version,
		InsecureSkipVerify: true,        //nolint:gosec // the peers' certificates are made for the run
		ServerName:         "localhost", // sessions are resumed by name
		NextProtos:         []string{"http/1.1"},
		// P-256 is for the certificates: TLS 1.2 lists the curves of both in one place.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		},
		SessionTicketsDisabled: true,
	}}
	if o.Hybrid {
		d.config.CurvePreferences = append(d.config.CurvePreferences, tls.X25519MLKEM768)
	}
	return d
}

// Resuming is a dialer that resumes a session: it makes one connection to the target and
// keeps its ticket, which all later handshakes use. request is an HTTP request that asks
// for the connection's end; the ticket comes before the answer.
func (d *Dialer) Resuming(target string, request []byte) (*Dialer, error) {
	r := &Dialer{config: d.config.Clone(), ticket: &ticket{}}
	r.config.SessionTicketsDisabled = false
	r.config.ClientSessionCache = r.ticket
	c, err := r.Dial(context.Background(), nil, target)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(Patience))
	if _, err = c.Write(request); err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for a ticket: %w", err)
	}
	if !r.ticket.freeze() {
		return nil, errors.New("the server gave no session ticket")
	}
	return r, nil
}

// ticket is a session cache of one session, which never leaves.
type ticket struct {
	mu     sync.Mutex
	state  *tls.ClientSessionState
	frozen bool
}

// Get implements tls.ClientSessionCache.
func (t *ticket) Get(string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.frozen
}

// Put implements tls.ClientSessionCache.
func (t *ticket) Put(_ string, state *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.frozen && state != nil {
		t.state = state
	}
}

func (t *ticket) freeze() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozen = t.state != nil
	return t.frozen
}

// Dial connects and shakes hands; source may be nil. The caller owns what it returns.
func (d *Dialer) Dial(ctx context.Context, source *net.TCPAddr, target string) (*tls.Conn, error) {
	tcp, err := connect(ctx, source, target)
	if err != nil {
		return nil, err
	}
	return d.shake(ctx, tcp, tcp, d.config)
}

// Connection is a TLS 1.3 connection behind its handshake, ready for an event loop.
type Connection struct {
	// FD is its socket, non-blocking, which the caller must close.
	FD int32
	// Read and Write are the two directions.
	Read, Write Direction
	// Rest is what came behind the handshake, as it came.
	Rest []byte
}

// Open connects, shakes hands and takes the connection out of crypto/tls.
func (d *Dialer) Open(ctx context.Context, source *net.TCPAddr, target string) (Connection, error) {
	var n Connection
	config := d.config.Clone()
	var keys keyLog
	config.KeyLogWriter = &keys
	tcp, err := connect(ctx, source, target)
	if err != nil {
		return n, err
	}
	defer tcp.Close() // not tls.Conn's, which would send an alert
	records := newByRecord(tcp)
	c, err := d.shake(ctx, tcp, records, config)
	if err != nil {
		return n, err
	}
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		return n, fmt.Errorf("the server chose %s; want TLS_AES_128_GCM_SHA256", tls.CipherSuiteName(suite))
	}
	if n.Read, err = newDirection(keys.server); err == nil {
		n.Write, err = newDirection(keys.client)
	}
	if err != nil {
		return n, err
	}
	n.Rest = records.rest()
	n.FD, err = duplicate(tcp)
	return n, err
}

func connect(ctx context.Context, source *net.TCPAddr, target string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: Patience, KeepAlive: -1}
	if source != nil {
		dialer.LocalAddr, dialer.Control = source, latePort
	}
	return dialer.DialContext(ctx, "tcp4", target)
}

// shake makes the handshake on stream, which is tcp or stands before it.
func (d *Dialer) shake(ctx context.Context, tcp, stream net.Conn, config *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	c := tls.Client(stream, config)
	err := c.HandshakeContext(ctx)
	if err == nil && d.ticket != nil && d.ticket.frozen && !c.ConnectionState().DidResume {
		err = errors.New("the server did not resume the session")
	}
	if err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return c, nil
}

// latePort has the port chosen at the connect, when the target is known: then only the
// pair of both has to be free.
func latePort(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}

// duplicate is a descriptor of a connection's socket.
func duplicate(c net.Conn) (int32, error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return int32(fd), errors.Join(err, failed)
}
