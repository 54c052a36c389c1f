package sys

import "golang.org/x/sys/unix"

// spliceFlags: never block on the pipe or the sockets, move pages where possible.
const spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK

// Splice moves up to n bytes between a pipe and a socket, in either direction,
// without copying them to user space (raw; splice(2)). Moved 0 with errno 0 is
// the end of the stream. EAGAIN means: the source has nothing, or the
// destination has no room; the caller knows which of the two is a pipe with
// bytes or room left.
func Splice(from, to int32, n int) (moved int, errno Errno) {
	for {
		r, _, e := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), spliceFlags)
		if e == 0 {
			return int(r), 0
		}
		if e != EINTR {
			return 0, e
		}
	}
}

// Pipe makes a non-blocking pipe and asks for room for size bytes. It returns the
// room it really got: past a per-user quota an unprivileged process gets small
// pipes (pipe(7)).
func Pipe(size int) (r, w int32, room int, errno Errno) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return -1, -1, 0, asErrno(err)
	}
	// A refusal leaves the default size, which is read back below.
	_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, size)
	room, err := unix.FcntlInt(uintptr(p[1]), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		Close(int32(p[0]))
		Close(int32(p[1]))
		return -1, -1, 0, asErrno(err)
	}
	return int32(p[0]), int32(p[1]), room, 0
}
