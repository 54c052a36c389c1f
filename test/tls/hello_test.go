package tls_test

import (
	"crypto/tls"
	"net"
	"os"
	"testing"
	"time"

	"holdfast/test/proc"
)

// errTimeout is what a read or write past its deadline returns.
var errTimeout = os.ErrDeadlineExceeded

// clientHello is the first flight of a Go client with a configuration, one record.
func clientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _ = tls.Client(near, config).Handshake() }()
	_ = far.SetReadDeadline(time.Now().Add(proc.Patience))
	record, err := readRecord(far)
	if err != nil {
		t.Fatal(err)
	}
	return record
}
