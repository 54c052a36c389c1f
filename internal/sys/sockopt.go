package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func setInt(fd int32, level, opt, value int) Errno {
	v := int32(value)
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt),
		uintptr(unsafe.Pointer(&v)), 4, 0)
	return e
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SetNoDelay switches Nagle's algorithm off (true) or on (tcp(7), TCP_NODELAY).
func SetNoDelay(fd int32, on bool) Errno {
	return setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, boolInt(on))
}

// Keepalive is how the kernel finds a dead peer: probes after Idle seconds of
// silence, each Interval seconds, Count of them; unacknowledged data is given up
// after UserTimeoutMs (tcp(7)). A zero field leaves the system's value.
type Keepalive struct {
	On            bool
	Idle          int // seconds, TCP_KEEPIDLE
	Interval      int // seconds, TCP_KEEPINTVL
	Count         int // TCP_KEEPCNT
	UserTimeoutMs int // TCP_USER_TIMEOUT
}

// DefaultKeepalive finds a dead peer within 240 seconds.
var DefaultKeepalive = Keepalive{On: true, Idle: 120, Interval: 30, Count: 4, UserTimeoutMs: 240_000}

// Times of SpreadKeepalive, in seconds. A timer of the kernel is the coarser the farther it
// lies: those of 16 to 131 s run out together every 2 s, later ones every 16 s, nearer ones
// every quarter of a second (HZ=250).
const (
	spreadIdle     = 64 // and up to spreadIdleSpan-1 more
	spreadIdleSpan = 64
	spreadInterval = 10 // and up to spreadSpan-1 more
	spreadSpan     = 6
	// SpreadIdleMean is the mean silence before a probe of SpreadKeepalive.
	SpreadIdleMean = spreadIdle + spreadIdleSpan/2
)

// SpreadKeepalive finds a dead peer as DefaultKeepalive does, with times that depend on
// seed. Connections made together are then probed apart; a probe that gets lost is
// repeated about ten times before the connection is given up.
func SpreadKeepalive(seed uint64) Keepalive {
	mixed := seed * 0x9E3779B97F4A7C15 >> 32 // Fibonacci hashing: neighbours come far apart
	return Keepalive{
		On:       true,
		Idle:     spreadIdle + int(mixed%spreadIdleSpan),
		Interval: spreadInterval + int(mixed/spreadIdleSpan%spreadSpan),
		Count:    24, UserTimeoutMs: DefaultKeepalive.UserTimeoutMs,
	}
}

// RetimeKeepalive applies the times of k to a TCP socket whose keepalive is on.
func RetimeKeepalive(fd int32, k Keepalive) Errno {
	if e := setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, k.Interval); e != 0 {
		return e
	}
	return setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, k.Idle)
}

// SetKeepalive applies k to a TCP socket or listener.
func SetKeepalive(fd int32, k Keepalive) Errno {
	if e := setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, boolInt(k.On)); e != 0 || !k.On {
		return e
	}
	for _, o := range [...]struct{ opt, value int }{
		{unix.TCP_KEEPIDLE, k.Idle},
		{unix.TCP_KEEPINTVL, k.Interval},
		{unix.TCP_KEEPCNT, k.Count},
		{unix.TCP_USER_TIMEOUT, k.UserTimeoutMs},
	} {
		if o.value > 0 {
			if e := setInt(fd, unix.IPPROTO_TCP, o.opt, o.value); e != 0 {
				return e
			}
		}
	}
	return 0
}

// ResetOnClose makes the coming close send RST and drop what is unsent.
func ResetOnClose(fd int32) {
	l := unix.Linger{Onoff: 1}
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
}
