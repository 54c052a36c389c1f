package sys

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// BindControl prepares sockets of the standard library's dialer that have a local address
// (net.Dialer.Control): the port is chosen with the connection, so that as many connections as
// there are servers may share one, and with transparent the address need not be this machine's.
func BindControl(transparent bool) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		var e Errno
		err := c.Control(func(fd uintptr) {
			setInt(int32(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			if transparent {
				family := unix.AF_INET
				if strings.HasSuffix(network, "6") {
					family = unix.AF_INET6
				}
				e = setTransparent(int32(fd), family)
			}
		})
		if err == nil && e != 0 {
			err = e
		}
		return err
	}
}
