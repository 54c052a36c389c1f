package sys

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// ListenOptions are the socket options of a listening socket; accepted sockets
// inherit all but the backlog.
type ListenOptions struct {
	ReusePort bool
	Backlog   int // 0: the system's limit (somaxconn)
	RcvBuf    int // bytes, 0: the system's
	SndBuf    int
	V6Only    bool
	Defer     bool // TCP_DEFER_ACCEPT: accept only once data has come
	FastOpen  int  // TCP_FASTOPEN queue, 0: off
	NoDelay   bool
	Keepalive Keepalive
	Blocking  bool // for a listener that a goroutine accepts from
}

// ListenTCP binds and listens on addr.
func ListenTCP(addr netip.AddrPort, o ListenOptions) (int32, Errno) {
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, e := stream(family)
	if e != 0 {
		return -1, e
	}
	if e := listenTCP(fd, addr, family, o); e != 0 {
		Close(fd)
		return -1, e
	}
	return fd, 0
}

func listenTCP(fd int32, addr netip.AddrPort, family int, o ListenOptions) Errno {
	for _, s := range [...]struct {
		level, opt, value int
		want              bool
	}{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, true},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, o.ReusePort},
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, boolInt(o.V6Only), family == unix.AF_INET6},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, o.RcvBuf, o.RcvBuf > 0},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SndBuf, o.SndBuf > 0},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, o.NoDelay},
		{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1, o.Defer},
		{unix.IPPROTO_TCP, unix.TCP_FASTOPEN, o.FastOpen, o.FastOpen > 0},
	} {
		if s.want {
			if e := setInt(fd, s.level, s.opt, s.value); e != 0 {
				return e
			}
		}
	}
	if e := SetKeepalive(fd, o.Keepalive); e != 0 {
		return e
	}
	var a unix.Sockaddr = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if family == unix.AF_INET {
		a = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	return bindListen(fd, a, o)
}

// ListenUnix binds and listens on a unix stream socket; the path must be free.
func ListenUnix(path string, o ListenOptions) (int32, Errno) {
	fd, e := stream(unix.AF_UNIX)
	if e != 0 {
		return -1, e
	}
	if e := bindListen(fd, &unix.SockaddrUnix{Name: path}, o); e != 0 {
		Close(fd)
		return -1, e
	}
	return fd, 0
}

func bindListen(fd int32, a unix.Sockaddr, o ListenOptions) Errno {
	if err := unix.Bind(int(fd), a); err != nil {
		return asErrno(err)
	}
	if err := unix.Listen(int(fd), backlogOf(o)); err != nil {
		return asErrno(err)
	}
	if o.Blocking {
		if err := unix.SetNonblock(int(fd), false); err != nil {
			return asErrno(err)
		}
	}
	return 0
}

// ShutdownListener makes a blocked AcceptBlocking on fd return an error.
func ShutdownListener(fd int32) {
	unix.Shutdown(int(fd), unix.SHUT_RDWR)
}
