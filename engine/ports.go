package engine

import (
	"fmt"
	"maps"
	"slices"

	"holdfast/config"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/shard"
)

// listenPort is an address that the process listens on.
type listenPort struct {
	number  int         // of the listener that has it
	fds     []int32     // by shard, which own them; nil for a unix socket
	unix    *unixSocket // nil for TCP
	options config.ListenOptions
}

// ports are the addresses by their text.
type ports map[string]*listenPort

// newPorts are those of listeners whose sockets were opened, in the same order.
func newPorts(listeners []*config.Listener, s *sockets, number func(*config.Listener) int) ports {
	all := ports{}
	for i, l := range listeners {
		p := &listenPort{number: number(l), options: l.Options}
		if l.Addr.Unix == "" {
			for _, fds := range s.tcp {
				p.fds = append(p.fds, fds[i])
			}
		}
		for _, u := range s.unix {
			if l.Addr.Unix != "" && u.path == l.Addr.Unix {
				p.unix, u.listener = u, p.number
			}
		}
		all[l.Addr.String()] = p
	}
	return all
}

// portChange is what becomes of the ports by another configuration.
type portChange struct {
	next   ports
	opened *sockets           // new ones
	fresh  []*config.Listener // theirs
	gone   []*listenPort
	tuned  map[int]sys.ListenOptions // by listener: sockets that go on with other options
	// warnings say what can't be changed while a socket listens.
	warnings []string
}

// changePorts opens the sockets of listeners that are new. Nothing else has happened yet.
func (e *engine) changePorts(listeners []*config.Listener) (*portChange, error) {
	c := &portChange{next: ports{}, tuned: map[int]sys.ListenOptions{}}
	number := e.shared.life.number
	for _, l := range listeners {
		before := e.ports[l.Addr.String()]
		if before == nil {
			c.fresh = append(c.fresh, l)
			continue
		}
		now := &listenPort{number: number(l), fds: before.fds, unix: before.unix, options: l.Options}
		c.next[l.Addr.String()] = now
		if before.options == l.Options {
			continue
		}
		c.tuned[now.number] = listenOptions(l)
		if before.options.IPv6Only != l.Options.IPv6Only {
			c.warn(l, "ipv6only")
		}
		if before.options.Rcvbuf > 0 && l.Options.Rcvbuf == 0 || before.options.Sndbuf > 0 && l.Options.Sndbuf == 0 {
			c.warn(l, "that rcvbuf or sndbuf is left out")
		}
	}
	for addr, p := range e.ports {
		if c.next[addr] == nil {
			c.gone = append(c.gone, p)
		}
	}
	var err error
	if c.opened, err = openSockets(c.fresh, len(e.shards), true); err != nil {
		return nil, err
	}
	maps.Copy(c.next, newPorts(c.fresh, c.opened, number))
	return c, nil
}

func (c *portChange) warn(l *config.Listener, what string) {
	c.warnings = append(c.warnings,
		fmt.Sprintf("%s: listen %s: %s takes effect at the next start", l.Position, l.Addr, what))
}

// socketsOf are the sockets of one shard, by listener.
func (c *portChange) socketsOf(index, listeners int) []shard.Socket {
	list := make([]shard.Socket, listeners)
	for i := range list {
		list[i].FD = -1
	}
	isFresh := map[int]bool{}
	for _, l := range c.fresh {
		isFresh[c.next[l.Addr.String()].number] = true
	}
	for _, p := range c.next {
		if p.fds != nil {
			list[p.number] = shard.Socket{FD: p.fds[index], New: isFresh[p.number]}
		}
	}
	return list
}

// abandon closes what was opened.
func (c *portChange) abandon() { c.opened.close() }

// tune gives a socket that goes on its other options; on a shard's thread.
func (c *portChange) tune(number int, fd int32) {
	if o, changed := c.tuned[number]; changed {
		sys.Relisten(fd, o)
	}
}

// lockDealers has unix sockets deal no connection until unlock.
func (e *engine) lockDealers() (unlock func()) {
	list := slices.Clone(e.sockets.unix)
	for _, u := range list {
		u.dealing.Lock()
	}
	return func() {
		for _, u := range list {
			u.dealing.Unlock()
		}
	}
}

// renumberUnix tells unix sockets the numbers of their listeners; they deal nothing meanwhile.
func (c *portChange) renumberUnix() {
	for _, p := range c.next {
		if p.unix != nil {
			p.unix.listener = p.number
			if o, changed := c.tuned[p.number]; changed {
				sys.RelistenUnix(p.unix.fd, o)
			}
		}
	}
}

// usePorts makes the change the state of affairs, once the shards have it: new unix sockets
// begin to deal, those that are gone end.
func (e *engine) usePorts(c *portChange) {
	e.ports = c.next
	for _, p := range c.gone {
		if p.unix != nil {
			p.unix.close()
			e.sockets.unix = slices.DeleteFunc(e.sockets.unix, func(u *unixSocket) bool { return u == p.unix })
		}
	}
	for _, u := range c.opened.unix {
		e.sockets.unix = append(e.sockets.unix, u)
		e.dealers.Go(func() { acceptUnix(u, e.shards) })
	}
	for _, l := range c.fresh {
		if l.Addr.Unix == "" && !l.Options.Shared && e.steering != nil {
			if err := e.steering.Attach(c.next[l.Addr.String()].fds); err != nil {
				e.logger.Log(observe.LevelWarn, "%s: listen %s: listen_steering can't be had, the kernel's hash chooses "+
					"the shards: %v", l.Position, l.Addr, err)
			}
		}
	}
}
