package secure_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/bench/load/secure"
)

// echoServer echoes over TLS and returns its address. It gives tickets to those who take them.
func echoServer(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 50_000)
				for {
					n, err := c.Read(b)
					if err != nil || string(b[:n]) == "end" {
						return
					}
					_, _ = c.Write(b[:n])
				}
			}()
		}
	}()
	return l.Addr().String()
}

// exchange sends plain on a connection and reads as much back.
func exchange(t *testing.T, c *secure.Connection, plain []byte) []byte {
	t.Helper()
	if err := unix.SetNonblock(int(c.FD), false); err != nil {
		t.Fatal(err)
	}
	_ = unix.SetsockoptTimeval(int(c.FD), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30})
	var p secure.Pump
	sealed := p.Seal(nil, &c.Write, plain)
	go func() {
		for len(sealed) > 0 {
			n, err := unix.Write(int(c.FD), sealed)
			if err != nil {
				return
			}
			sealed = sealed[n:]
		}
	}()
	var got []byte
	buf := make([]byte, 64<<10)
	in := c.Rest
	for len(got) < len(plain) {
		data, n, err := p.Open(&c.Read, in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, data...)
		in = in[n:]
		if n == 0 {
			m, err := unix.Read(int(c.FD), buf)
			if err != nil || m == 0 {
				t.Fatal(m, err)
			}
			in = append(in, buf[:m]...)
		}
	}
	c.Rest = in
	return got
}

func TestRecordsOfAConnection(t *testing.T) {
	c, err := secure.NewDialer(secure.Options{}).Open(context.Background(), nil, echoServer(t))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(int(c.FD))
	for _, size := range []int{1, 100, secure.PlainBytesMax, secure.PlainBytesMax + 1, 200_000} {
		plain := make([]byte, size)
		_, _ = rand.Read(plain)
		if got := exchange(t, &c, plain); !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back differently", size)
		}
		c.Read.Forget()
		c.Write.Forget()
	}
}

func TestSpoiledRecordsAreErrors(t *testing.T) {
	address := echoServer(t)
	var p secure.Pump
	for _, record := range [][]byte{
		append([]byte{23, 3, 3, 0, 20}, make([]byte, 20)...),
		{23, 3, 3, 0xff, 0xff},
	} {
		c, err := secure.NewDialer(secure.Options{}).Open(context.Background(), nil, address)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(int(c.FD))
		if _, n, err := p.Open(&c.Read, record); err == nil {
			t.Errorf("%x was taken for a record of %d bytes", record[:5], n)
		}
	}
}

func TestHandshakesOfAllKinds(t *testing.T) {
	address := echoServer(t)
	for _, o := range []secure.Options{{}, {Version: tls.VersionTLS12}, {Hybrid: true}} {
		full := secure.NewDialer(o)
		resuming, err := full.Resuming(address, []byte("end"))
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		for want, d := range map[bool]*secure.Dialer{false: full, true: resuming} {
			for range 3 {
				c, err := d.Dial(context.Background(), &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}, address)
				if err != nil {
					t.Fatalf("%+v: %v", o, err)
				}
				state := c.ConnectionState()
				if state.DidResume != want || o.Version != 0 && state.Version != o.Version {
					t.Errorf("%+v: %+v", o, state)
				}
				_, _ = c.Write([]byte("end"))
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Errorf("%+v: %v", o, err)
				}
				c.Close()
			}
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if c, err := secure.NewDialer(secure.Options{}).Open(context.Background(), nil, l.Addr().String()); err == nil {
		t.Error(c)
	}
}
