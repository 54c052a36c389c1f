// Package poll is what the load tools' own event loops stand on: an edge-triggered epoll
// instance and the few calls on sockets that a loop makes, all of them without telling
// the Go scheduler. On a small machine the load, the backend and the proxy share the
// processors, and a heavy load hides the difference between two proxies.
//
// Everything here is IPv4 and TCP. A loop belongs to one goroutine that is locked to its
// thread; see Lock.
package poll

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The bits of an event, and what they mean to a loop that only believes errno: In and
// RdHup say that reading is worth a try, Out that writing is. Err and Hup come with both.
const (
	In    = unix.EPOLLIN | unix.EPOLLHUP | unix.EPOLLERR
	Out   = unix.EPOLLOUT | unix.EPOLLHUP | unix.EPOLLERR
	RdHup = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// WakeData is the event data of the poller's own eventfd.
const WakeData = ^uint64(0)

// batch is how many events one wait takes at most.
const batch = 256

// spin bounds the wait that the scheduler is not told of. Traffic comes within it; with
// no traffic the loop must not look busy, or the scheduler keeps poking its thread.
const spin = time.Millisecond

// Poller is an epoll instance. Only Wake may be called from another goroutine.
type Poller struct {
	epfd, wakefd int32
	events       [batch]unix.EpollEvent
}

// New makes a poller. Close it in the end.
func New() (*Poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epfd)
		return nil, err
	}
	p := &Poller{epfd: int32(epfd), wakefd: int32(wakefd)}
	if e := p.add(p.wakefd, unix.EPOLLIN|unix.EPOLLET, WakeData); e != 0 {
		p.Close()
		return nil, e
	}
	return p, nil
}

// Close closes the epoll instance. Nobody may call Wake any more.
func (p *Poller) Close() {
	Close(p.epfd)
	Close(p.wakefd)
}

// Lock ties the calling goroutine to its thread and makes the thread's timers exact:
// the kernel may otherwise wake it 50 µs late. The returned function undoes both.
func Lock() (unlock func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0: back to the default
		runtime.UnlockOSThread()
	}
}

func (p *Poller) add(fd int32, bits uint32, data uint64) unix.Errno {
	ev := unix.EpollEvent{Events: bits, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))}
	_, _, e := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epfd), unix.EPOLL_CTL_ADD, uintptr(fd),
		uintptr(unsafe.Pointer(&ev)), 0, 0)
	return e
}

// Add registers a connection once, edge-triggered, for reading, writing and the peer's
// half-close.
func (p *Poller) Add(fd int32, data uint64) unix.Errno {
	return p.add(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, data)
}

// AddListener registers a listening socket, edge-triggered.
func (p *Poller) AddListener(fd int32, data uint64) unix.Errno {
	return p.add(fd, unix.EPOLLIN|unix.EPOLLET, data)
}

// Wait waits at most d for events and returns their number, zero if none came. A
// negative d waits for ever.
func (p *Poller) Wait(d time.Duration) int {
	if d >= 0 && d <= spin {
		return p.raw(d)
	}
	if n := p.raw(spin); n > 0 {
		return n
	}
	var limit *unix.Timespec
	if d >= 0 {
		ts := unix.NsecToTimespec(int64(d - spin))
		limit = &ts
	}
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), batch,
		uintptr(unsafe.Pointer(limit)), 0, 0)
	if e != 0 {
		return 0 // a signal; anything else would be a bug here and shows as no progress
	}
	return int(n)
}

func (p *Poller) raw(d time.Duration) int {
	limit := unix.NsecToTimespec(int64(d))
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), batch,
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}

// Event is the i-th event of the last Wait: its bits, and the data of its registration.
func (p *Poller) Event(i int) (bits uint32, data uint64) {
	ev := &p.events[i]
	return ev.Events, uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
}

// Wake ends the current or the next Wait with an event of WakeData.
func (p *Poller) Wake() {
	one := [8]byte{1}
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(p.wakefd), uintptr(unsafe.Pointer(&one)), 8)
}

var epoch = time.Now()

// Now is the time on a monotonic clock that starts with the process.
func Now() time.Duration { return time.Since(epoch) }

// CPU is the exact processor time of the whole process so far, all its threads that
// have ended included.
func CPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
