package sys

import (
	"bytes"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TCPInfo is a part of what the kernel knows of a TCP socket (tcp(7), TCP_INFO): times in
// microseconds, the congestion window in segments, the receive space in bytes.
type TCPInfo struct{ RTT, RTTVar, SndCwnd, RcvSpace uint32 }

// GetTCPInfo asks for it.
func GetTCPInfo(fd int32) (info TCPInfo, errno Errno) {
	var all unix.TCPInfo
	size := uint32(unsafe.Sizeof(all))
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return TCPInfo{}, e
	}
	return TCPInfo{RTT: all.Rtt, RTTVar: all.Rttvar, SndCwnd: all.Snd_cwnd, RcvSpace: all.Rcv_space}, 0
}

// RealPath appends the path of what path, which ends with a NUL, leads to, all symbolic links
// followed. A disk may make it wait.
func RealPath(dst, path []byte) (out []byte, errno Errno) {
	at := unix.AT_FDCWD
	fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&path[0])),
		unix.O_PATH|unix.O_CLOEXEC, 0, 0, 0)
	if e != 0 {
		return dst, e
	}
	defer Close(int32(fd))
	var text [40]byte
	link := append(strconv.AppendInt(append(text[:0], "/proc/self/fd/"...), int64(fd), 10), 0)
	var target [unix.PathMax]byte
	n, _, e := unix.Syscall6(unix.SYS_READLINKAT, uintptr(at), uintptr(unsafe.Pointer(&link[0])),
		uintptr(unsafe.Pointer(&target[0])), uintptr(len(target)), 0, 0)
	if e != 0 {
		return dst, e
	}
	return append(dst, bytes.TrimRight(target[:n], "\x00")...), 0
}
