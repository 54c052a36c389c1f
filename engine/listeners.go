package engine

import (
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"holdfast/config"
	"holdfast/internal/sys"
	"holdfast/shard"
)

// sockets are the listening sockets of one configuration.
type sockets struct {
	// tcp has, for each shard, one socket per listener; -1 where that is a unix socket.
	tcp [][]int32
	// unix has the unix sockets, one for all shards.
	unix []*unixSocket
}

type unixSocket struct {
	fd   int32
	path string
	// dealing is held while a connection is handed to a shard, and while the listener's number
	// changes.
	dealing  sync.Mutex
	listener int
}

// openSockets binds everything. Each address is first bound alone and without
// SO_REUSEPORT: a forgotten process on the same port would otherwise silently take its
// share of the connections.
//
// Where the process listens already (reload), an address may be in the way of its own old one,
// which will be closed: that is none of a forgotten process.
func openSockets(listeners []*config.Listener, shards int, listensAlready bool) (*sockets, error) {
	for _, l := range listeners {
		if l.Addr.Unix != "" || l.Options.Shared {
			continue
		}
		errno := probe(l)
		if errno == sys.EADDRINUSE && listensAlready {
			if _, own := socketOwner(l.Addr); own {
				continue
			}
		}
		if errno != 0 {
			return nil, listenError(l, errno)
		}
	}
	s := &sockets{tcp: make([][]int32, shards)}
	for i, l := range listeners {
		if err := s.open(i, l); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func probe(l *config.Listener) sys.Errno {
	o := listenOptions(l)
	o.ReusePort = false
	fd, errno := sys.ListenTCP(l.Addr.IP, o)
	if errno == 0 {
		sys.Close(fd)
	}
	return errno
}

func (s *sockets) open(i int, l *config.Listener) error {
	o := listenOptions(l)
	if l.Addr.Unix != "" {
		return s.openUnix(i, l, o)
	}
	for shard := range s.tcp {
		fd, errno := sys.ListenTCP(l.Addr.IP, o)
		if errno != 0 {
			return listenError(l, errno)
		}
		s.tcp[shard] = append(s.tcp[shard], fd)
	}
	return nil
}

// openUnix binds a unix socket.
func (s *sockets) openUnix(i int, l *config.Listener, o sys.ListenOptions) error {
	for shard := range s.tcp {
		s.tcp[shard] = append(s.tcp[shard], -1)
	}
	path := l.Addr.Unix
	removeStale(path)
	o.Blocking = true
	fd, errno := sys.ListenUnix(path, o)
	if errno != 0 {
		return listenError(l, errno)
	}
	if !isAbstract(path) {
		_ = os.Chmod(path, 0o666) // as nginx: who may reach the folder may connect
	}
	s.unix = append(s.unix, &unixSocket{fd: fd, listener: i, path: path})
	return nil
}

// isAbstract tells whether a unix address has no file: "@name" is in Linux's abstract
// namespace.
func isAbstract(path string) bool { return path[0] == '@' }

// removeStale removes a socket file that nobody listens on: it is left from a process
// that was killed.
func removeStale(path string) {
	if isAbstract(path) {
		return
	}
	fd, errno := sys.DialUnix(path)
	if errno == 0 {
		sys.Close(fd)
	}
	if errno != sys.ECONNREFUSED {
		return
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path)
	}
}

// close closes the sockets that no shard owns yet, and removes socket files.
func (s *sockets) close() {
	for _, fds := range s.tcp {
		for _, fd := range fds {
			if fd >= 0 {
				sys.Close(fd)
			}
		}
	}
	for _, u := range s.unix {
		u.close()
		sys.Close(u.fd)
	}
	s.unix = nil
}

// closeUnix ends the acceptors, which close their sockets, and removes socket files.
func (s *sockets) closeUnix() {
	for _, u := range s.unix {
		u.close()
	}
	s.unix = nil
}

// close ends the acceptor, which closes the socket, and removes the socket's file.
func (u *unixSocket) close() {
	sys.ShutdownListener(u.fd)
	if !isAbstract(u.path) {
		_ = os.Remove(u.path)
	}
}

// acceptPause is how long a unix socket is left alone after an accept that failed for
// want of descriptors or memory, as in nginx.
const acceptPause = 500 * time.Millisecond

// acceptUnix deals the connections of a unix socket to the shards in turn. It ends when
// closeUnix shuts the socket down.
func acceptUnix(u *unixSocket, shards []*shard.Shard) {
	for next := 0; ; next++ {
		fd, errno := sys.AcceptBlocking(u.fd)
		switch errno {
		case 0:
			u.dealing.Lock()
			shards[next%len(shards)].Adopt(fd, u.listener)
			u.dealing.Unlock()
		case sys.EINVAL: // shut down
			sys.Close(u.fd)
			return
		case sys.EMFILE, sys.ENFILE, sys.ENOBUFS, sys.ENOMEM:
			shards[next%len(shards)].Overloaded(errno)
			time.Sleep(acceptPause)
		}
	}
}

// spreadsKeepalive reports whether the times of keepalive probes are ours to choose.
func spreadsKeepalive(l *config.Listener) bool {
	return l.Addr.Unix == "" && l.Options.Keepalive == config.Keepalive{}
}

func listenOptions(l *config.Listener) sys.ListenOptions {
	o := &l.Options
	k := sys.DefaultKeepalive
	k.On = !o.Keepalive.Off
	if o.Keepalive.Idle > 0 {
		k.Idle = int(o.Keepalive.Idle.Seconds())
	}
	if o.Keepalive.Interval > 0 {
		k.Interval = int(o.Keepalive.Interval.Seconds())
	}
	if o.Keepalive.Count > 0 {
		k.Count = o.Keepalive.Count
	}
	k.UserTimeoutMs = min((k.Idle+k.Interval*k.Count)*1000, math.MaxInt32)
	return sys.ListenOptions{
		ReusePort: true, Backlog: o.Backlog, RcvBuf: int(o.Rcvbuf), SndBuf: int(o.Sndbuf), V6Only: o.IPv6Only,
		Defer: o.Deferred, FastOpen: o.FastOpen, NoDelay: true, Keepalive: k,
	}
}

func listenError(l *config.Listener, errno sys.Errno) error {
	return bindError(fmt.Sprintf("%s: listen %s", l.Position, l.Addr), l.Addr, errno, errno)
}

// bindError says why an address could not be listened on, and what to do about it.
func bindError(what string, addr config.Addr, errno sys.Errno, err error) error {
	var hint string
	switch errno {
	case sys.EADDRINUSE:
		hint = inUse(addr)
	case syscall.EACCES:
		hint = "start as root, allow the process CAP_NET_BIND_SERVICE, or take a port above 1023"
		if addr.Unix != "" {
			hint = "the folder must be writable for the user that starts holdfast"
		}
	case syscall.EADDRNOTAVAIL:
		hint = "no interface of this machine has the address"
	case sys.ENOENT:
		hint = "make the folder first"
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w; %s", what, err, hint)
}

// inUse says who has an address.
func inUse(addr config.Addr) string {
	if addr.Unix != "" && !isAbstract(addr.Unix) {
		if info, err := os.Lstat(addr.Unix); err == nil && info.Mode()&os.ModeSocket == 0 {
			return "a file that is no socket has this name; remove it, or choose another"
		}
	}
	owner, own := socketOwner(addr)
	switch {
	case own:
		return "another line of this configuration listens there"
	case owner == "":
		owner = "a process that only root may see"
	}
	if addr.Unix != "" {
		return owner + " listens there; stop it first"
	}
	return owner + ` listens there; stop it, or write "shared" behind the address in both if both are meant to`
}
