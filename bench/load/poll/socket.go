package poll

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Address is an IPv4 address with a port, in the kernel's form.
type Address struct{ raw unix.RawSockaddrInet4 }

// Resolve reads HOST:PORT; a name is looked up.
func Resolve(text string) (Address, error) {
	tcp, err := net.ResolveTCPAddr("tcp4", text)
	if err != nil {
		return Address{}, err
	}
	return IPv4([4]byte(tcp.IP.To4()), tcp.Port), nil
}

// IPv4 is an address by its parts.
func IPv4(ip [4]byte, port int) Address {
	var a Address
	a.raw.Family = unix.AF_INET
	a.raw.Addr = ip
	*(*[2]byte)(unsafe.Pointer(&a.raw.Port)) = [2]byte{byte(port >> 8), byte(port)}
	return a
}

// Loopback tells whether it is an address of this machine's loopback.
func (a *Address) Loopback() bool { return a.raw.Addr[0] == 127 }

// IP is the address without its port.
func (a *Address) IP() net.IP { return net.IP(a.raw.Addr[:]) }

// String is HOST:PORT.
func (a *Address) String() string {
	port := *(*[2]byte)(unsafe.Pointer(&a.raw.Port))
	return net.JoinHostPort(a.IP().String(), strconv.Itoa(int(port[0])<<8|int(port[1])))
}

const addressSize = unix.SizeofSockaddrInet4

// Listen opens a listening socket whose connections have TCP_NODELAY, and returns it
// with its address. Several may share a port if shared is set.
func Listen(a Address, shared bool) (fd int32, at Address, err error) {
	fd, e := socket()
	if e != 0 {
		return -1, at, e
	}
	options := [][2]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.IPPROTO_TCP, unix.TCP_NODELAY}}
	if shared {
		options = append(options, [2]int{unix.SOL_SOCKET, unix.SO_REUSEPORT})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(int(fd), o[0], o[1], 1); err != nil {
			Close(fd)
			return -1, at, err
		}
	}
	if e := bind(fd, &a); e != 0 {
		Close(fd)
		return -1, at, fmt.Errorf("bind %v: %w", &a, e)
	}
	if err := unix.Listen(int(fd), 4096); err != nil {
		Close(fd)
		return -1, at, err
	}
	name, err := unix.Getsockname(int(fd))
	if err != nil {
		Close(fd)
		return -1, at, err
	}
	v4, ok := name.(*unix.SockaddrInet4)
	if !ok {
		Close(fd)
		return -1, at, errors.New("no IPv4 address")
	}
	return fd, IPv4(v4.Addr, v4.Port), nil
}

// Dial starts a connection with TCP_NODELAY from source (which may be nil) to target. A
// result of EINPROGRESS comes with a socket and is no failure; on loopback the very next
// Send may find it connected.
func Dial(source, target *Address) (int32, unix.Errno) {
	fd, e := socket()
	if e != 0 {
		return -1, e
	}
	setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if source != nil {
		// The port is chosen at the connect, when the target is known: then only the
		// pair of both has to be free.
		setInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if e := bind(fd, source); e != 0 {
			Close(fd)
			return -1, e
		}
	}
	_, _, e = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&target.raw)), addressSize)
	if e != 0 && e != unix.EINPROGRESS {
		Close(fd)
		return -1, e
	}
	return fd, e
}

// Accept takes a connection from a listening socket, non-blocking.
func Accept(fd int32) (int32, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int32(n), e
}

// Recv reads into b, which must not be empty. Zero bytes without an error are the end of
// the stream.
func Recv(fd int32, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// Send writes b, which must not be empty, and returns how much the kernel took.
func Send(fd int32, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// CloseWrite sends FIN.
func CloseWrite(fd int32) {
	_, _, _ = unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// Close closes a descriptor.
func Close(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

func socket() (int32, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return int32(n), e
}

func bind(fd int32, a *Address) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), addressSize)
	return e
}

func setInt(fd int32, level, option uintptr, value int32) {
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), level, option, uintptr(unsafe.Pointer(&value)), 4, 0)
}
