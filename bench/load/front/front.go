// Package front terminates TLS before an origin, for the tests of the load tools: what a
// proxy does, with nothing of one.
package front

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"holdfast/test/pki"
)

// Before listens with a certificate for localhost, passes what comes on to an origin and
// back, and returns its address. It ends with the test.
func Before(t testing.TB, origin string, config *tls.Config) string {
	t.Helper()
	pair := pki.NewAuthority(t, "bench").Issue(t, pki.Request{Hosts: []string{"localhost"}})
	config.Certificates = []tls.Certificate{pair.TLS()}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			go pass(down, origin)
		}
	}()
	return l.Addr().String()
}

func pass(down net.Conn, origin string) {
	defer down.Close()
	up, err := net.Dial("tcp", origin)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(up, down)
		up.Close()
	}()
	_, _ = io.Copy(down, up)
}
