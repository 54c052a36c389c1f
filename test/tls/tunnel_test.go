package tls_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// tunnelFront passes upgrades to a scripted backend.
const tunnelFront = modern + `
server {
	listen 127.0.0.1:{{port:front}} ssl;
	server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	location / {
		proxy_pass http://{{backend}};
		proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection upgrade;
	}
}`

// dialTLS is a scripted peer over TLS; its CloseWrite is a close_notify without a FIN.
func dialTLS(t *testing.T, address, version string) *proc.Raw {
	t.Helper()
	tcp := proc.Dial(t, address)
	conn := tls.Client(tcp.Conn(), goConfig(t, visit{version: version}))
	_ = tcp.Conn().SetDeadline(time.Now().Add(proc.Patience))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return proc.NewRaw(conn)
}

// A client that ends its direction by close_notify gets what the backend still sends, and
// a close_notify at the end; the backend sees a FIN.
func TestTunnelHalfCloseByClient(t *testing.T) {
	t.Parallel()
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		x.Expect("question").ExpectEOF()
		x.SendBytes(bytes.Repeat([]byte("answer! "), 1<<15)).CloseWrite()
	})
	p := holdfast(t, proc.Spec{HTTP: tunnelFront, Vars: map[string]string{"backend": b.Addr}})
	for _, version := range []string{"1.2", "1.3"} {
		c := dialTLS(t, p.Front(), version)
		c.Handshake(host, "/")
		c.Send("question").CloseWrite()
		c.ExpectBytes(bytes.Repeat([]byte("answer! "), 1<<15)).ExpectEOF()
		if c.Err() != nil {
			t.Errorf("TLS %s: %v", version, c.Err())
		}
		c.Close()
	}
}

// A backend that ends its direction is told by close_notify, and the client may go on.
func TestTunnelHalfCloseByBackend(t *testing.T) {
	t.Parallel()
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		x.Send("last words").CloseWrite()
		x.ExpectBytes(bytes.Repeat([]byte("question "), 1<<15)).ExpectEOF()
		if x.Err() != nil {
			t.Error(x.Err())
		}
	})
	p := holdfast(t, proc.Spec{HTTP: tunnelFront, Vars: map[string]string{"backend": b.Addr}})
	for _, version := range []string{"1.2", "1.3"} {
		c := dialTLS(t, p.Front(), version)
		c.Handshake(host, "/")
		c.Expect("last words").ExpectEOF()
		c.SendBytes(bytes.Repeat([]byte("question "), 1<<15)).CloseWrite()
		if c.Err() != nil {
			t.Errorf("TLS %s: %v", version, c.Err())
		}
		proc.Until(t, "the tunnel's end", p.AtBaseline)
		c.Close()
	}
}

// A FIN without close_notify ends a tunnel for good: what is not authentic is no half-close.
func TestTunnelCut(t *testing.T) {
	t.Parallel()
	over := make(chan struct{}, 1)
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		x.WaitEnd()
		over <- struct{}{}
	})
	p := holdfast(t, proc.Spec{HTTP: tunnelFront, Vars: map[string]string{"backend": b.Addr}})
	c := dialTLS(t, p.Front(), "1.3")
	c.Handshake(host, "/")
	c.Conn().(*tls.Conn).NetConn().(interface{ CloseWrite() error }).CloseWrite()
	select {
	case <-over:
	case <-time.After(proc.Patience):
		t.Error("the backend's connection lives on")
	}
	proc.Until(t, "the tunnel's end", p.AtBaseline)
	c.Close()
}

// Requests in one flight, and a message glued behind an upgrade, in one record and in many.
func TestPipelining(t *testing.T) {
	t.Parallel()
	both(t, proc.Spec{HTTP: matrixFront}, func(t *testing.T, p *proc.Proxy) {
		for _, version := range []string{"1.2", "1.3"} {
			for _, size := range []int{1, 7, 1 << 20} {
				c := dialTLS(t, p.Addr("ecdsa"), version)
				ask := "GET /tls HTTP/1.1\r\nHost: test.example\r\n\r\n"
				post := "POST /up HTTP/1.1\r\nHost: test.example\r\nContent-Length: 5\r\n\r\nhello"
				sent := ask + post + ask + post + wire.UpgradeRequest(host, "/")
				c.SendEach([]byte(sent), size)
				for range 2 {
					if said := string(c.Body(c.Response(200))); !strings.HasPrefix(said, "TLSv"+version) {
						t.Errorf("TLS %s in pieces of %d: %q, %v", version, size, said, c.Err())
					}
					c.Body(c.Response(200))
				}
				c.Response(101)
				c.EchoText(strings.Repeat("long ", 10000)).EchoText("short")
				if c.Err() != nil {
					t.Errorf("TLS %s in pieces of %d: %v", version, size, c.Err())
				}
				c.Close()
			}
		}
	})
}

// Both directions of many tunnels at once, with messages of every size up to 1 MB.
func TestTunnelsFullDuplex(t *testing.T) {
	t.Parallel()
	both(t, proc.Spec{HTTP: matrixFront}, func(t *testing.T, p *proc.Proxy) {
		var all sync.WaitGroup
		for i := range 12 {
			version := []string{"1.2", "1.3"}[i%2]
			c := dialTLS(t, p.Addr("ecdsa"), version)
			c.Handshake(host, "/")
			all.Go(func() { duplex(t, c) })
		}
		all.Wait()
	})
}

// duplex writes messages without waiting for their echoes.
func duplex(t *testing.T, c *proc.Raw) {
	defer c.Close()
	sizes := []int{0, 64, 1000, 16383, 16384, 16385, 65536, 1 << 20}
	done := make(chan error, 1)
	_ = c.Conn().SetDeadline(time.Now().Add(proc.Patience))
	go func() {
		for _, size := range sizes {
			if _, err := c.Conn().Write(wire.ClientFrame(wire.OpBinary, message(size))); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for _, size := range sizes {
		got := make([]byte, len(wire.ServerFrame(wire.OpBinary, message(size))))
		if _, err := io.ReadFull(c.Reader(), got); err != nil {
			t.Errorf("%d bytes: %v", size, err)
			return
		}
		if !bytes.Equal(got, wire.ServerFrame(wire.OpBinary, message(size))) {
			t.Errorf("%d bytes came back changed", size)
			return
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The answer that ends a connection is followed by close_notify, so that nobody can cut it.
func TestCloseNotifyBehindAnswer(t *testing.T) {
	t.Parallel()
	both(t, proc.Spec{HTTP: matrixFront}, func(t *testing.T, p *proc.Proxy) {
		for _, version := range []string{"1.2", "1.3"} {
			tcp := proc.Dial(t, p.Addr("ecdsa"))
			var seen bytes.Buffer
			conn := tls.Client(teeConn{tcp.Conn(), &seen}, goConfig(t, visit{version: version}))
			_ = tcp.Conn().SetDeadline(time.Now().Add(proc.Patience))
			_, _ = io.WriteString(conn, closing("/tls"))
			if _, err := io.ReadAll(conn); err != nil {
				t.Error(err)
			}
			last := byte(0)
			for br := bufio.NewReader(&seen); ; {
				record, err := readRecord(br)
				if err != nil {
					break
				}
				last = record[0]
				if version == "1.3" && len(record) != 5+2+1+16 {
					last = 0
				}
			}
			if want := map[string]byte{"1.2": typeAlert, "1.3": typeApplication}[version]; last != want {
				t.Errorf("TLS %s: the last record has type %d and is no close_notify", version, last)
			}
		}
	})
}

// teeConn remembers what is read.
type teeConn struct {
	net.Conn
	seen *bytes.Buffer
}

// Read implements net.Conn.
func (c teeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.seen.Write(b[:n])
	return n, err
}
