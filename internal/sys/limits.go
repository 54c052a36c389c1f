package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// FileLimit is the soft RLIMIT_NOFILE; 0 if it can't be read.
func FileLimit() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	return r.Cur
}

// RaiseFileLimit sets the soft RLIMIT_NOFILE to want, or to the hard limit where
// that is lower (a privileged process raises the hard limit too). A want below the
// soft limit lowers it, as nginx does. It returns the soft limit now in force. want 0
// asks for the hard limit.
func RaiseFileLimit(want uint64) (uint64, Errno) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, asErrno(err)
	}
	if want == 0 {
		want = r.Max
	}
	if want > r.Max {
		raised := unix.Rlimit{Cur: want, Max: want}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			return want, 0
		}
		want = r.Max
	}
	r.Cur = want
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, asErrno(err)
	}
	return want, 0
}

// GrowFileTable makes the kernel allocate the process's descriptor table for n
// descriptors at once: growing it while threads share it stalls whoever opens a
// socket at that moment.
func GrowFileTable(n int) Errno {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC) // any descriptor will do
	if err != nil {
		return asErrno(err)
	}
	defer unix.Close(fd)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, n-1)
	if err != nil {
		return asErrno(err)
	}
	return Close(int32(high))
}

// NowMs is the monotonic clock in milliseconds (CLOCK_MONOTONIC).
func NowMs() int64 { return time.Since(epoch).Milliseconds() + epochMs }

var (
	epoch   = time.Now()
	epochMs = monotonicMs()
)

func monotonicMs() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 1
	}
	return ts.Nano() / 1e6
}
