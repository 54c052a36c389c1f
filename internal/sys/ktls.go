package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kernel TLS (linux/tls.h, Documentation/networking/tls.rst).
const (
	tlsTX            = 1 // option of SOL_TLS: keys for sending
	tlsRX            = 2 // option of SOL_TLS: keys for receiving
	tlsSetRecordType = 1 // control message of sendmsg(2)
	tlsGetRecordType = 2 // control message of recvmsg(2)
)

// Error numbers of a socket with TLS.
const (
	EBUSY       = unix.EBUSY
	EMSGSIZE    = unix.EMSGSIZE
	EKEYEXPIRED = unix.EKEYEXPIRED
)

// AttachTLS makes a connected TCP socket one that TLS keys can be given to (raw; tcp(7),
// TCP_ULP). Until then, and for a direction without a key, it works as before. ENOENT: the
// kernel has no TLS.
func AttachTLS(fd int32) Errno {
	name := [...]byte{'t', 'l', 's', 0}
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_ULP,
		uintptr(unsafe.Pointer(&name)), uintptr(len(name)), 0)
	return e
}

// SetSendKey has the kernel seal what is sent (raw). key is one of the structures
// tls12_crypto_info_* of linux/tls.h, which serve TLS 1.3 too. EBUSY: there is a key, and
// the kernel can't replace it.
func SetSendKey(fd int32, key []byte) Errno { return setTLSKey(fd, tlsTX, key) }

// SetReceiveKey has the kernel open what is received (raw), as SetSendKey does for the
// other direction. The next byte to be received must be a record's first.
func SetReceiveKey(fd int32, key []byte) Errno { return setTLSKey(fd, tlsRX, key) }

func setTLSKey(fd int32, option uintptr, key []byte) Errno {
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_TLS, option,
		uintptr(unsafe.Pointer(&key[0])), uintptr(len(key)), 0)
	return e
}

// typeMessage is a control message with a record's type in it, of the size that
// recvmsg(2) and sendmsg(2) ask for.
type typeMessage struct {
	unix.Cmsghdr
	typ byte
	_   [7]byte
}

// RecvRecord reads from a socket whose received records the kernel opens (raw). It
// returns data of any number of records, or what one other record holds; typ tells which,
// by the content types of RFC 8446 section 5.1. n is 0 with typ 0 at the end of the
// connection. len(buf) must not be 0, and 2^14 to have any record whole.
func RecvRecord(fd int32, buf []byte) (n int, typ byte, errno Errno) {
	var control typeMessage
	vector := unix.Iovec{Base: &buf[0]}
	vector.SetLen(len(buf))
	message := unix.Msghdr{Iov: &vector, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&control))}
	for {
		message.SetControllen(int(unsafe.Sizeof(control)))
		r, _, e := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), unix.MSG_DONTWAIT)
		if e == EINTR {
			continue
		}
		if e != 0 {
			return 0, 0, e
		}
		if message.Controllen > 0 && control.Level == unix.SOL_TLS && control.Type == tlsGetRecordType {
			typ = control.typ
		}
		return int(r), typ, 0
	}
}

// SendRecord sends a record of another type than data on a socket whose records the kernel
// seals (raw), behind all that was written before: whole, or not at all.
func SendRecord(fd int32, typ byte, b []byte) Errno {
	control := typeMessage{Cmsghdr: unix.Cmsghdr{Level: unix.SOL_TLS, Type: tlsSetRecordType}, typ: typ}
	control.SetLen(int(unsafe.Sizeof(unix.Cmsghdr{})) + 1)
	vector := unix.Iovec{Base: &b[0]}
	vector.SetLen(len(b))
	message := unix.Msghdr{Iov: &vector, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&control))}
	message.SetControllen(int(unsafe.Sizeof(control)))
	for {
		_, _, e := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)),
			unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if e != EINTR {
			return e
		}
	}
}

// Writable reports whether a socket has room for much (raw; poll(2)): a third of its
// buffer. Where it has not, an edge-triggered event comes once it has.
func Writable(fd int32) bool {
	p := unix.PollFd{Fd: fd, Events: unix.POLLOUT}
	var now unix.Timespec
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if e != EINTR {
			return n > 0
		}
	}
}
