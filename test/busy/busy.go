// Package busy keeps a proxy busy from one thread: it is the backend and all the clients,
// with raw system calls and one epoll instance, so that the proxy gets as much of the
// machine as possible. It speaks HTTP and WebSocket as far as that needs and checks that
// every answer has the right length; what a proxy does to bytes is for other tests.
package busy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/test/wire"
)

// Mode is what a client does over and over.
type Mode string

// The modes.
const (
	Messages Mode = "messages" // echo messages through tunnels that stay open
	Sessions Mode = "sessions" // connect, upgrade, echo one message, close
	Requests Mode = "requests" // plain requests on connections that stay open
)

// Options describe a load.
type Options struct {
	Mode        Mode
	Connections int
	Size        int // bytes of a message's payload, at most 125
	Rate        int // messages a second in all; 0: the next when the last is back
	BodySize    int // bytes of a response's body
	Count       int // ends a Run after so many rounds, sessions after as many; 0: the caller ends it
}

// Result is what a load has done.
type Result struct {
	Rounds  int // messages, sessions or requests that came back
	Seconds float64
}

// Load is a backend and its clients. It belongs to one goroutine.
type Load struct {
	opt      Options
	epfd     int
	listenFD int
	address  netip.AddrPort
	front    netip.AddrPort
	ends     []*end // by descriptor
	ready    []*end // open tunnels that may send, while there is a rate
	events   []unix.EpollEvent
	buf      []byte
	request  []byte
	frame    []byte
	answer   []byte // to a plain request
	switched []byte // to an upgrade
	rounds   int
	dialed   int
	// dialsLeft is how many clients may still connect in this Run.
	dialsLeft int
	open      int // connections of clients that were begun
}

// end is one connection's end on our side.
type end struct {
	fd     int
	client bool
	open   bool   // a tunnel
	got    int    // bytes of the message that is coming
	head   []byte // what has come of a head
}

// dialsAtOnce is how many clients connect between two looks at what came.
const dialsAtOnce = 32

// roundMax bounds how long one round may take before the load counts as stuck.
const roundMax = 30 * time.Second

// New opens the backend's port and nothing else.
func New(o Options) (*Load, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &Load{opt: o, epfd: epfd, listenFD: -1, buf: make([]byte, 64<<10), events: make([]unix.EpollEvent, 256)}
	l.frame = wire.ClientFrame(wire.OpBinary, bytes.Repeat([]byte{'m'}, min(o.Size, 125)))
	l.answer = append([]byte("HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(o.BodySize)+"\r\n\r\n"),
		make([]byte, o.BodySize)...)
	l.switched = []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: " + wire.AcceptKey(wire.SampleKey) + "\r\n\r\n")
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.Close()
		return nil, err
	}
	l.listenFD = fd
	err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 4096), l.watch(fd))
	if err == nil {
		var name unix.Sockaddr
		if name, err = unix.Getsockname(fd); err == nil {
			in := name.(*unix.SockaddrInet4)
			l.address = netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Address is the backend's.
func (l *Load) Address() netip.AddrPort { return l.address }

// Close closes everything.
func (l *Load) Close() {
	for _, e := range l.ends {
		if e != nil {
			unix.Close(e.fd)
		}
	}
	if l.listenFD >= 0 {
		unix.Close(l.listenFD)
	}
	unix.Close(l.epfd)
}

func (l *Load) watch(fd int) error {
	return unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// Run loads the proxy at front until more says no, which it is asked between two rounds of
// events. The connections stay open for the next Run. While the load runs, its goroutine
// keeps its thread.
func (l *Load) Run(front netip.AddrPort, more func() bool) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.front = front
	l.request = []byte(wire.UpgradeRequest("a", "/"))
	if l.opt.Mode == Requests {
		l.request = []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	first, goal := l.rounds, l.rounds+l.opt.Count
	l.dialsLeft = 1 << 62
	if l.opt.Mode == Sessions && l.opt.Count > 0 {
		l.open, l.dialsLeft = 0, l.opt.Count
	}
	for i := l.open; i < l.opt.Connections; i++ {
		if err := l.dial(); err != nil {
			return Result{}, err
		}
		if i%dialsAtOnce == 0 {
			if err := l.turn(0); err != nil {
				return Result{}, err
			}
		}
	}
	l.open = l.opt.Connections
	wait := 1000
	if l.opt.Rate > 0 {
		wait = 1
	}
	began, last := time.Now(), time.Now()
	for before := l.rounds; more() && (l.opt.Count == 0 || l.rounds < goal); {
		if err := l.turn(wait); err != nil {
			return Result{}, err
		}
		if l.opt.Rate > 0 {
			if err := l.pace(time.Since(began), first); err != nil {
				return Result{}, err
			}
		}
		if l.rounds != before {
			before, last = l.rounds, time.Now()
		} else if l.opt.Connections > 0 && time.Since(last) > roundMax {
			return Result{}, fmt.Errorf("nothing came back for %v after %d rounds", roundMax, l.rounds-first)
		}
	}
	return Result{Rounds: l.rounds - first, Seconds: time.Since(began).Seconds()}, nil
}

// turn waits up to waitMs for events and deals with them.
func (l *Load) turn(waitMs int) error {
	n, err := unix.EpollWait(l.epfd, l.events, waitMs)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range n {
		fd := int(l.events[i].Fd)
		switch {
		case fd == l.listenFD:
			err = l.accept()
		case l.ends[fd] == nil: // closed in this turn
		default:
			err = l.read(l.ends[fd])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pace sends what is due, as far as there are tunnels that wait for nothing.
func (l *Load) pace(since time.Duration, first int) error {
	due := int(float64(l.opt.Rate)*since.Seconds()) - (l.rounds - first)
	due -= l.opt.Connections - len(l.ready) // on their way
	for ; due > 0 && len(l.ready) > 0; due-- {
		e := l.ready[len(l.ready)-1]
		l.ready = l.ready[:len(l.ready)-1]
		if err := write(e.fd, l.frame); err != nil {
			return err
		}
	}
	return nil
}
