// Package sys is the only package with raw system calls: epoll, sockets, pipes,
// splice. Every function returns an Errno, never an error value: zero means it
// worked. Functions marked raw do not tell the Go scheduler that they enter the
// kernel, so they must only be used on descriptors that cannot block.
package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errno is a kernel error number; 0 is success.
type Errno = unix.Errno

// The error numbers the data path tells apart.
const (
	EAGAIN        = unix.EAGAIN
	EINTR         = unix.EINTR
	EINPROGRESS   = unix.EINPROGRESS
	ECONNRESET    = unix.ECONNRESET
	ECONNREFUSED  = unix.ECONNREFUSED
	EPIPE         = unix.EPIPE
	ETIMEDOUT     = unix.ETIMEDOUT
	EHOSTUNREACH  = unix.EHOSTUNREACH
	ENETUNREACH   = unix.ENETUNREACH
	EMFILE        = unix.EMFILE
	ENFILE        = unix.ENFILE
	ENOBUFS       = unix.ENOBUFS
	EADDRNOTAVAIL = unix.EADDRNOTAVAIL
	ENOMEM        = unix.ENOMEM
	EINVAL        = unix.EINVAL
	ENOENT        = unix.ENOENT
	EEXIST        = unix.EEXIST
	EADDRINUSE    = unix.EADDRINUSE
	ECONNABORTED  = unix.ECONNABORTED
	EPROTO        = unix.EPROTO
	EBADMSG       = unix.EBADMSG
	ENOTCONN      = unix.ENOTCONN
	ENOSYS        = unix.ENOSYS
	EPERM         = unix.EPERM
)

// Read reads from a non-blocking descriptor that is no socket into buf (raw). n is 0 at
// the end of the stream. len(buf) must not be 0.
func Read(fd int32, buf []byte) (n int, errno Errno) {
	for {
		r, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if e == 0 {
			return int(r), 0
		}
		if e != EINTR {
			return 0, e
		}
	}
}

// Recv reads from a non-blocking socket into buf (raw). n is 0 at the end of the stream.
// len(buf) must not be 0. It passes by the file layer that read(2) goes through.
func Recv(fd int32, buf []byte) (n int, errno Errno) { return recv(fd, buf, unix.MSG_DONTWAIT) }

// Write writes buf to a non-blocking socket (raw), without SIGPIPE. It may write
// less than asked for. len(buf) must not be 0.
func Write(fd int32, buf []byte) (n int, errno Errno) {
	for {
		r, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])),
			uintptr(len(buf)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != EINTR {
			return 0, e
		}
	}
}

// Peek is Recv that leaves the bytes where they are (raw; recv(2), MSG_PEEK): the next
// Recv or Peek finds them again.
func Peek(fd int32, buf []byte) (n int, errno Errno) {
	return recv(fd, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
}

func recv(fd int32, buf []byte, flags uintptr) (n int, errno Errno) {
	for {
		r, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])),
			uintptr(len(buf)), flags, 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != EINTR {
			return 0, e
		}
	}
}

// PeekEOF tells whether the peer has ended its sending direction with nothing
// left to read (raw). It consumes nothing.
func PeekEOF(fd int32) bool {
	var b [1]byte
	n, e := Peek(fd, b[:])
	return n == 0 && e != EAGAIN
}

// ShutdownWrite sends FIN after everything written so far (raw).
func ShutdownWrite(fd int32) Errno {
	_, _, e := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return e
}

// Close closes fd (raw). Linux releases the descriptor whatever it returns.
func Close(fd int32) Errno {
	_, _, e := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return e
}
