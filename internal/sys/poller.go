package sys

import (
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Interest and event bits of epoll(7).
const (
	EventRead   = unix.EPOLLIN
	EventWrite  = unix.EPOLLOUT
	EventRdHup  = unix.EPOLLRDHUP
	EventErr    = unix.EPOLLERR
	EventHup    = unix.EPOLLHUP
	interestAll = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
)

// Event is one epoll event: the bits and the 64-bit value its descriptor was
// registered with. EventRdHup means that a short read may not have emptied the
// socket: the end of the stream may be next, or bytes behind TCP's urgent mark,
// where a read stops although more has arrived.
type Event struct {
	Bits uint32
	Data uint64
}

// Poller is an epoll instance with an eventfd that interrupts its wait. Only its
// owner calls Add, Modify, Delete and Wait; Wake may be called by anyone.
type Poller struct {
	epfd   int32
	busy   bool // the last wait had events
	events []unix.EpollEvent
	mu     sync.Mutex // between Wake and Close
	wakefd int32      // -1: closed
}

// WakeData is the event data of the poller's own eventfd.
const WakeData = ^uint64(0)

// NewPoller makes a poller that takes at most batch events from one wait.
func NewPoller(batch int) (*Poller, Errno) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, asErrno(err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epfd)
		return nil, asErrno(err)
	}
	p := &Poller{epfd: int32(epfd), wakefd: int32(wakefd), events: make([]unix.EpollEvent, batch)}
	if e := p.ctl(unix.EPOLL_CTL_ADD, p.wakefd, unix.EPOLLIN, WakeData); e != 0 {
		p.Close()
		return nil, e
	}
	return p, 0
}

// Close closes the epoll instance and its eventfd. A Wake that comes later does
// nothing: the descriptor's number may be someone else's by then.
func (p *Poller) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakefd < 0 {
		return
	}
	Close(p.epfd)
	Close(p.wakefd)
	p.epfd, p.wakefd = -1, -1
}

func (p *Poller) ctl(op int, fd int32, bits uint32, data uint64) Errno {
	ev := unix.EpollEvent{Events: bits, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))}
	_, _, e := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epfd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(&ev)), 0, 0)
	return e
}

// Add registers fd edge-triggered for reading, writing and the peer's half-close.
// The kernel reports what is ready already with the next Wait.
func (p *Poller) Add(fd int32, data uint64) Errno {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, interestAll, data)
}

// AddListener registers a listening socket, edge-triggered, for reading only.
func (p *Poller) AddListener(fd int32, data uint64) Errno {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET, data)
}

// Delete takes fd out of the poller. Closing a descriptor does the same unless
// another process holds a copy of it.
func (p *Poller) Delete(fd int32) Errno {
	return p.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

// farMs is how far a timeout lies that a raw wait need not look at, in milliseconds: the
// runtime's signal comes before.
const farMs = 100

// rawWaits says whether a wait may be raw: the runtime must be able to interrupt it.
var rawWaits = !strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1")

// Wait waits up to timeoutMs milliseconds (-1: forever, 0: not at all) and returns the
// number of events, to be read with Event; 0 if a signal came first.
//
// A wait that may be long tells the scheduler so, which costs about as much as the system
// call. While there is traffic the next event is near, so after a wait that had events the
// next one is raw. The thread keeps its processor then; GOMAXPROCS leaves the others
// theirs. It returns 0 early, after 10 to 20 ms, if nothing comes: the runtime's monitor
// sends a signal to who has run for that long, and so it does, again and again, when the
// world must stop. Without a timeout the kernel has no timer to set and to take back for
// each message.
func (p *Poller) Wait(timeoutMs int) (int, Errno) {
	var n uintptr
	var e Errno
	if timeoutMs == 0 || p.busy && rawWaits {
		if timeoutMs > farMs {
			timeoutMs = -1
		}
		n, _, e = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])),
			uintptr(len(p.events)), uintptr(timeoutMs), 0, 0)
	} else {
		timeoutMs = min(timeoutMs, math.MaxInt32) // the kernel takes 32 bits
		n, _, e = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])),
			uintptr(len(p.events)), uintptr(timeoutMs), 0, 0)
	}
	p.busy = e == 0 && n > 0
	switch e {
	case 0:
		return int(n), 0
	case EINTR:
		return 0, 0
	}
	return 0, e
}

// Event is event number i of the last Wait.
func (p *Poller) Event(i int) Event {
	ev := &p.events[i]
	bits := ev.Events
	if bits&unix.EPOLLPRI != 0 {
		bits |= EventRdHup
	}
	return Event{Bits: bits, Data: uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32}
}

// Wake makes a Wait in progress, or the next one, return. It may be called from
// any thread, also after Close.
func (p *Poller) Wake() {
	one := uint64(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakefd >= 0 {
		unix.RawSyscall(unix.SYS_WRITE, uintptr(p.wakefd), uintptr(unsafe.Pointer(&one)), 8)
	}
}

// Woken resets the eventfd after an event with WakeData.
func (p *Poller) Woken() {
	var count [8]byte
	Read(p.wakefd, count[:])
}

func asErrno(err error) Errno {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return unix.EIO
}
