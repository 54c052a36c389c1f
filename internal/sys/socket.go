package sys

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept takes one connection from a non-blocking listener, with its peer's address,
// which is the zero value for unix sockets (raw). The new socket is non-blocking and closed
// on exec; what the listener had set it inherits.
func Accept(fd int32) (conn int32, peer netip.AddrPort, errno Errno) {
	for {
		var s sockaddr
		s.len = unix.SizeofSockaddrAny
		r, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)),
			uintptr(unsafe.Pointer(&s.len)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		if e == 0 {
			return int32(r), s.addrPort(), 0
		}
		if e != EINTR {
			return -1, peer, e
		}
	}
}

// AcceptBlocking accepts from a blocking listener, and tells the scheduler that it may wait.
func AcceptBlocking(fd int32) (conn int32, errno Errno) {
	r, _, e := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int32(r), e
}

// sockaddr is room for any address family used here, in the kernel's layout.
type sockaddr struct {
	raw unix.RawSockaddrAny
	len uint32
}

func (s *sockaddr) setIP(a netip.AddrPort) {
	port := a.Port()
	if ip := a.Addr(); ip.Is4() || ip.Is4In6() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		in.Family = unix.AF_INET
		putPort(&in.Port, port)
		in.Addr = ip.As4()
		s.len = unix.SizeofSockaddrInet4
		return
	}
	in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.raw))
	in.Family = unix.AF_INET6
	putPort(&in.Port, port)
	in.Addr = a.Addr().As16()
	s.len = unix.SizeofSockaddrInet6
}

func putPort(dst *uint16, port uint16) {
	b := (*[2]byte)(unsafe.Pointer(dst))
	b[0], b[1] = byte(port>>8), byte(port)
}

// setUnix writes a path; "@name" is Linux's abstract namespace. It reports
// whether the path fits (unix(7): 108 bytes).
func (s *sockaddr) setUnix(path string) bool {
	un := (*unix.RawSockaddrUnix)(unsafe.Pointer(&s.raw))
	if len(path) == 0 || len(path) >= len(un.Path) {
		return false
	}
	un.Family = unix.AF_UNIX
	for i := 0; i < len(path); i++ {
		un.Path[i] = int8(path[i])
	}
	un.Path[len(path)] = 0
	s.len = uint32(2 + len(path) + 1)
	if path[0] == '@' {
		un.Path[0] = 0
		s.len--
	}
	return true
}

// addrPort reads an IP address back; unix sockets give the zero value.
func (s *sockaddr) addrPort() netip.AddrPort {
	switch s.raw.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), getPort(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), getPort(&in.Port))
	}
	return netip.AddrPort{}
}

func getPort(p *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(p))
	return uint16(b[0])<<8 | uint16(b[1])
}

// RemoteAddr is the peer's address (getpeername, raw); zero for unix sockets.
func RemoteAddr(fd int32) netip.AddrPort { return name(fd, unix.SYS_GETPEERNAME) }

// LocalAddr is the socket's own address (getsockname, raw); zero for unix sockets.
func LocalAddr(fd int32) netip.AddrPort { return name(fd, unix.SYS_GETSOCKNAME) }

func name(fd int32, call uintptr) netip.AddrPort {
	var s sockaddr
	s.len = unix.SizeofSockaddrAny
	_, _, e := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.len)))
	if e != 0 {
		return netip.AddrPort{}
	}
	return s.addrPort()
}

func stream(family int) (int32, Errno) {
	r, _, e := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family),
		unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return int32(r), e
}

// Dial begins a non-blocking TCP connection (raw). EINPROGRESS comes back as 0:
// the socket's first write event, or an error event, tells the outcome.
func Dial(to netip.AddrPort) (int32, Errno) { return DialFrom(netip.AddrPort{}, to) }

// DialFrom is Dial from a local address, if it is valid. Port 0 is for any; it is chosen
// when the connection is made, so that one port can serve for many destinations
// (IP_BIND_ADDRESS_NO_PORT, ip(7)).
func DialFrom(local, to netip.AddrPort) (int32, Errno) { return dialFrom(local, to, false) }

// DialTransparent is DialFrom an address that need not be this machine's: replies must be
// routed here. It takes CAP_NET_RAW or CAP_NET_ADMIN (IP_TRANSPARENT, ip(7)).
func DialTransparent(local, to netip.AddrPort) (int32, Errno) { return dialFrom(local, to, true) }

func dialFrom(local, to netip.AddrPort, transparent bool) (int32, Errno) {
	family := unix.AF_INET6
	if to.Addr().Is4() || to.Addr().Is4In6() {
		family = unix.AF_INET
	}
	fd, e := stream(family)
	if e != 0 {
		return -1, e
	}
	var s sockaddr
	if transparent {
		if e = setTransparent(fd, family); e != 0 {
			Close(fd)
			return -1, e
		}
	}
	if local.IsValid() {
		s.setIP(local)
		setInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		_, _, e = unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
		if e != 0 {
			Close(fd)
			return -1, e
		}
		s = sockaddr{}
	}
	s.setIP(to)
	SetNoDelay(fd, true)
	return connect(fd, &s)
}

func setTransparent(fd int32, family int) Errno {
	if family == unix.AF_INET6 {
		return setInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
	}
	return setInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
}

// DialUnix is Dial for a unix stream socket. It connects at once or fails;
// EAGAIN means the listener's queue is full.
func DialUnix(path string) (int32, Errno) {
	fd, e := stream(unix.AF_UNIX)
	if e != 0 {
		return -1, e
	}
	var s sockaddr
	if !s.setUnix(path) {
		Close(fd)
		return -1, EINVAL
	}
	return connect(fd, &s)
}

func connect(fd int32, s *sockaddr) (int32, Errno) {
	_, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.len))
	if e != 0 && e != EINPROGRESS && e != EINTR {
		Close(fd)
		return -1, e
	}
	return fd, 0
}

// SocketError takes the pending error of a socket (SO_ERROR, raw).
func SocketError(fd int32) Errno {
	var v int32
	l := uint32(4)
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&l)), 0)
	if e != 0 {
		return e
	}
	return Errno(v)
}
