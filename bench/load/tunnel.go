// Package load makes the loads of the benches: it opens WebSockets through a proxy,
// holds them, echoes on them, churns them, and measures from the client's side. It
// speaks to sockets only and knows no proxy.
package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/test/wire"
)

// Patience bounds every single step of a load; a step that takes longer has failed.
const Patience = 30 * time.Second

// sourceCount is how many loopback addresses the connections come from: one address has
// too few ports for many tunnels or many connections a second.
const sourceCount = 16

// Target is where a load goes.
type Target struct {
	Address string // host:port
	Path    string
	Secure  bool // wss
}

// ParseTarget reads a ws://, wss://, http:// or https:// URL.
func ParseTarget(text string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Target{}, err
	}
	secure := u.Scheme == "wss" || u.Scheme == "https"
	if (u.Scheme != "ws" && u.Scheme != "http" && !secure) || u.Port() == "" {
		return Target{}, fmt.Errorf("%q: want ws://HOST:PORT/PATH or wss://", text)
	}
	return Target{Address: u.Host, Path: u.RequestURI(), Secure: secure}, nil
}

// source is the source address for the i-th connection to a loopback target; others get
// the kernel's choice.
func (t Target) source(i int) net.Addr {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host).To4(); ip == nil || !ip.IsLoopback() {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%sourceCount))}
}

// secureConfig is that of all tunnels over TLS. Everybody agrees on X25519.
var secureConfig = &tls.Config{
	InsecureSkipVerify: true, //nolint:gosec // the peers' certificates are made for the run
	MinVersion:         tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
}

// Tunnel is one open WebSocket.
type Tunnel struct {
	conn net.Conn
	tcp  net.Conn // conn, or what is below its TLS
	br   *bufio.Reader
}

// Dial opens the i-th WebSocket to a target; i picks its source address.
func Dial(ctx context.Context, target Target, i int) (*Tunnel, error) {
	d := net.Dialer{LocalAddr: target.source(i), Timeout: Patience}
	conn, err := d.DialContext(ctx, "tcp", target.Address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(Patience))
	t := &Tunnel{conn: conn, tcp: conn}
	if target.Secure {
		t.conn = tls.Client(conn, secureConfig)
	}
	t.br = bufio.NewReaderSize(t.conn, 1024)
	if err := t.handshake(target); err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return t, nil
}

func (t *Tunnel) handshake(target Target) error {
	if _, err := io.WriteString(t.conn, wire.UpgradeRequest(target.Address, target.Path)); err != nil {
		return err
	}
	h, err := wire.ReadHead(t.br)
	if err != nil {
		return err
	}
	if h.Status() != 101 || h.Get("Sec-WebSocket-Accept") != wire.AcceptKey(wire.SampleKey) {
		return fmt.Errorf("upgrade answered %q", h.Start)
	}
	return nil
}

// Echo sends one message and reads it back, byte by byte the same. The message is sent
// and read at once, so that it may be larger than all buffers on its way.
func (t *Tunnel) Echo(payload []byte) error {
	_ = t.conn.SetDeadline(time.Now().Add(Patience))
	frame := wire.ClientFrame(wire.OpBinary, payload)
	sent := make(chan error, 1)
	if len(frame) <= 16<<10 {
		_, err := t.conn.Write(frame)
		sent <- err
	} else {
		go func() { _, err := t.conn.Write(frame); sent <- err }()
	}
	_, got, err := wire.ReadFrame(t.br, uint64(len(payload)))
	if err != nil {
		t.conn.Close()
		<-sent
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	if !bytes.Equal(got, payload) {
		return errors.New("the echo differs from what was sent")
	}
	_ = t.conn.SetDeadline(time.Time{})
	return nil
}

// Alive reports an error if the other side has ended the connection, or has sent
// something nobody asked for. It does not wait.
func (t *Tunnel) Alive() error {
	if n := t.br.Buffered(); n > 0 {
		return fmt.Errorf("%d bytes nobody asked for", n)
	}
	raw, err := t.tcp.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EAGAIN:
		case err != nil:
			result = err
		case n == 0:
			result = io.EOF
		default:
			result = errors.New("a byte nobody asked for")
		}
	})
	return errors.Join(err, result)
}

// Close closes the connection by FIN, over TLS behind the alert that announces it.
func (t *Tunnel) Close() { t.conn.Close() }

// Reset closes the connection by RST.
func (t *Tunnel) Reset() {
	if tcp, ok := t.tcp.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	t.tcp.Close()
}

// OpenMany opens n tunnels, atOnce at a time. It returns those it could open; an error is
// the first that occurred. first numbers the first tunnel, for the source addresses.
func OpenMany(ctx context.Context, target Target, first, n, atOnce int) ([]*Tunnel, error) {
	tunnels := make([]*Tunnel, n)
	err := each(n, atOnce, func(i int) (err error) {
		tunnels[i], err = Dial(ctx, target, first+i)
		return err
	})
	open := tunnels[:0]
	for _, t := range tunnels {
		if t != nil {
			open = append(open, t)
		}
	}
	return open, err
}

// EchoOn echoes a message of size bytes on every step-th tunnel; it returns how many.
func EchoOn(tunnels []*Tunnel, step, size int) (int, error) {
	n := (len(tunnels) + step - 1) / step
	payload := bytes.Repeat([]byte{'e'}, size)
	return n, each(n, 32, func(i int) error { return tunnels[i*step].Echo(payload) })
}

// CloseAll closes tunnels by FIN.
func CloseAll(tunnels []*Tunnel) {
	for _, t := range tunnels {
		t.Close()
	}
}

// CountDead is how many tunnels are no longer alive, and why the first of them is not.
func CountDead(tunnels []*Tunnel) (int, error) {
	dead := 0
	var first error
	for _, t := range tunnels {
		if err := t.Alive(); err != nil {
			if dead++; first == nil {
				first = err
			}
		}
	}
	return dead, first
}

// each calls do(0) to do(n-1), atOnce of them at a time; it returns the first error.
func each(n, atOnce int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for range min(atOnce, n) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		}()
	}
	wg.Wait()
	return first
}
