package sys

import "golang.org/x/sys/unix"

// Relisten gives a socket that listens on TCP other options: those that the kernel lets change
// while it listens, which is all but ReusePort, V6Only and Blocking. A buffer size of 0 leaves
// the size as it is. Connections that were accepted before keep theirs.
func Relisten(fd int32, o ListenOptions) Errno {
	for _, s := range [...]struct {
		level, opt, value int
		want              bool
	}{
		{unix.SOL_SOCKET, unix.SO_RCVBUF, o.RcvBuf, o.RcvBuf > 0},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SndBuf, o.SndBuf > 0},
		{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, boolInt(o.Defer), true},
		{unix.IPPROTO_TCP, unix.TCP_FASTOPEN, o.FastOpen, true},
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
	return relisten(fd, o)
}

// RelistenUnix changes the backlog of a unix socket that listens.
func RelistenUnix(fd int32, o ListenOptions) Errno { return relisten(fd, o) }

// relisten changes the length of the accept queue: listen(2) may be called again.
func relisten(fd int32, o ListenOptions) Errno {
	if err := unix.Listen(int(fd), backlogOf(o)); err != nil {
		return asErrno(err)
	}
	return 0
}

// backlogOf is what listen(2) is called with.
func backlogOf(o ListenOptions) int {
	if o.Backlog <= 0 {
		return 65535 // the kernel lowers it to net.core.somaxconn
	}
	return o.Backlog
}
