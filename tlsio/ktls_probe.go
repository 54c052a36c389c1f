package tlsio

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"holdfast/internal/sys"
)

// probeWait is how long ProbeKernel waits for a connection to this machine.
const probeWait = 2 * time.Second

// ProbeKernel finds out, with a connection to itself, what the kernel can do. It must be
// called with the rights to load the kernel's module (CAP_NET_ADMIN), which is then there
// for all. The error says why Use is false: it is ENOENT where the kernel has no TLS.
func ProbeKernel() (k Kernel, err error) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err != nil {
			continue
		}
		k, err = probeAt(listener.Addr().String())
		if err = errors.Join(err, listener.Close()); err == nil {
			return k, nil
		}
	}
	return Kernel{}, err
}

// probeAt needs a listener, which need not accept.
func probeAt(address string) (k Kernel, err error) {
	c, err := net.DialTimeout("tcp", address, probeWait)
	if err != nil {
		return Kernel{}, err
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return Kernel{}, err
	}
	var errno sys.Errno
	if err = raw.Control(func(fd uintptr) { k, errno = probe(int32(fd)) }); err == nil && errno != 0 {
		err = errno
	}
	return k, err
}

func probe(fd int32) (Kernel, sys.Errno) {
	if errno := sys.AttachTLS(fd); errno != 0 {
		return Kernel{}, errno
	}
	l, c := &Layer{}, &Conn{suite: tls.TLS_AES_128_GCM_SHA256}
	key := l.kernelKey(c, &c.out)
	if errno := sys.SetReceiveKey(fd, key); errno != 0 {
		return Kernel{}, errno
	}
	if errno := sys.SetSendKey(fd, key); errno != 0 {
		return Kernel{}, errno
	}
	return Kernel{Use: true, Rekey: sys.SetSendKey(fd, key) == 0}, 0
}
