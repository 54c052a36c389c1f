// Package port gives out TCP ports for servers that open them later, in tests and
// benches. Asking the kernel for a free port, closing it and using its number is a
// race: the next one who asks may get the same number, and so may any outgoing
// connection. A port from here is given to nobody else who asks here, in this process
// or in another one, until this process ends.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// The ports given out lie above those that services like, and below those that Linux
// uses for outgoing connections (ip_local_port_range, from 32768 on by default); fewest
// of them must be left there.
const (
	lowest  = 15_000
	highest = 31_999
	fewest  = 2_000
)

// Free returns a TCP port that is free on every address of this machine. The claim to
// it is one file descriptor that stays open: who counts descriptors asks for ports
// first. Nobody connects from such a port by accident, and it is never returned twice.
func Free() (int, error) {
	low, high := bounds(os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"))
	count := high - low + 1
	first := rand.IntN(count)
	for i := range count {
		n := low + (first+i)%count
		claim, err := reserve(n)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // somebody else's
		}
		if err != nil {
			return 0, fmt.Errorf("claim to port %d: %w", n, err)
		}
		l, err := net.Listen("tcp", ":"+strconv.Itoa(n))
		if err == nil {
			return n, l.Close()
		}
		_ = syscall.Close(claim)
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free", low, high)
}

// Take is Free for a test, which it ends on failure.
func Take(t testing.TB) int {
	t.Helper()
	n, err := Free()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Address is Take as an address of the loopback interface, "127.0.0.1:N".
func Address(t testing.TB) string {
	t.Helper()
	return "127.0.0.1:" + strconv.Itoa(Take(t))
}

// bounds is the first and the last port to give out, by the text of
// ip_local_port_range, which may be missing. Where hardly any port is left below the
// ephemeral range, only other users of this package are kept away.
func bounds(text []byte, err error) (low, high int) {
	var first, last int
	if err == nil {
		_, err = fmt.Sscan(string(text), &first, &last)
	}
	if err != nil || first < lowest+fewest {
		return lowest, highest
	}
	return lowest, min(first-1, highest)
}

// reserve binds the abstract unix address that stands for a port. Like TCP ports these
// addresses belong to a network namespace, and the kernel takes them back when the
// process ends, however it ends.
func reserve(n int) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: "@holdfast-test-port-" + strconv.Itoa(n)})
	if err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}
