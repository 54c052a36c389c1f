package shard

import (
	"slices"

	"holdfast/access"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/tlsio"
)

// formerSlots is how many records of sessions one turn looks at for those of listeners that
// are gone.
const formerSlots = 8192

// drainMax bounds the connections that are taken from the queue of a listener before it is
// closed.
const drainMax = 1 << 16

// Change is what a new configuration changes for a shard.
type Change struct {
	Snapshot *Snapshot
	// Listeners are the listening sockets by number. Those that the shard has already go on, under
	// another number if need be; new ones are the shard's from now on; those that are missing it
	// closes, after what waits in their queues was accepted.
	Listeners []Socket
	// Tune, if set, is called with every socket that goes on, for changed socket options.
	Tune func(number int, fd int32)
	// Logs are all logs by number: those that the shard has, and new ones behind them.
	Logs []LogSink
	// Errors is where lines go that no error_log of a level takes, from ErrorLevel on.
	Errors     LogSink
	ErrorLevel observe.Level
	// Handshakes and Access replace nil pools.
	Handshakes *tlsio.Pool
	Access     *access.Pool
}

// Socket is a listening socket of a Change; FD is -1 where a number has none.
type Socket struct {
	FD  int32
	New bool // opened for this change
}

// formerListeners are the configurations of listeners that are gone, by number, while there are
// sessions of theirs that are no tunnels.
type formerListeners struct {
	of      map[uint16]*Snapshot
	seen    map[uint16]bool // by those that the walk under way judges
	walking bool
}

// Apply makes c the configuration of requests that begin from now on. Requests in flight keep
// theirs, tunnels have none. It calls done when that holds; it returns false, and keeps nothing
// of c, if the shard has ended. It is for any thread.
func (sh *Shard) Apply(c *Change, done func()) (ok bool) {
	return sh.Post(func(sh *Shard) {
		sh.apply(c)
		done()
	})
}

func (sh *Shard) apply(c *Change) {
	for i := len(sh.logs); i < len(c.Logs); i++ {
		sh.logs = append(sh.logs, logBuffer{sink: c.Logs[i]})
	}
	if c.Errors != nil {
		sh.errors.lines.flush()
		sh.errors.lines.sink, sh.opt.ErrorLevel = c.Errors, c.ErrorLevel
	}
	if sh.opt.Handshakes == nil {
		sh.opt.Handshakes = c.Handshakes
	}
	if sh.opt.Access == nil {
		sh.opt.Access = c.Access
	}
	sh.use(c.Snapshot)
	sh.changeListeners(c)
	sh.walkFormer(0)
}

// use makes sn the current configuration. Listeners that it does not have keep the one before
// for their sessions.
func (sh *Shard) use(sn *Snapshot) {
	before := sh.snapshot
	sh.snapshot, sh.adHoc = sn, adHocGroups{}
	for i := range before.Listeners {
		if before.hasListener(uint16(i)) && !sn.hasListener(uint16(i)) {
			if sh.former.of == nil {
				sh.former.of = map[uint16]*Snapshot{}
			}
			sh.former.of[uint16(i)] = before
			delete(sh.former.seen, uint16(i))
		}
	}
	for i := range sh.former.of {
		if sn.hasListener(i) {
			delete(sh.former.of, i)
		}
	}
	sh.forgetIdentities(sn)
}

func (sn *Snapshot) hasListener(i uint16) bool {
	return int(i) < len(sn.Listeners) && !sn.Listeners[i].Gone
}

// snapshotOf is the configuration for what a session does next, which is no tunnel: the current
// one, or the last that had its listener.
func (sh *Shard) snapshotOf(s *Session) *Snapshot {
	if former := sh.former.of[s.listener]; former != nil {
		return former
	}
	return sh.snapshot
}

// ends reports whether a session is to end after its request: the shard does, or its listener
// is gone.
func (sh *Shard) ends(s *Session) bool {
	return sh.quitting || sh.former.of[s.listener] != nil
}

// changeListeners opens, renumbers and closes listening sockets.
func (sh *Shard) changeListeners(c *Change) {
	if sh.quitting || sh.stopping {
		CloseNew(c.Listeners)
		return
	}
	sh.drainGone(c.Listeners)
	before := sh.listeners
	sh.listeners = make([]listener, len(c.Listeners))
	for i, socket := range c.Listeners {
		l := &sh.listeners[i]
		l.fd = -1
		at := slices.IndexFunc(before, func(l listener) bool { return l.fd >= 0 && l.fd == socket.FD })
		switch {
		case at >= 0:
			*l = before[at]
			if at != i {
				sh.poller.Delete(l.fd)
				sh.registerListener(i)
			}
			if c.Tune != nil {
				c.Tune(i, socket.FD)
			}
		case socket.New:
			l.fd = socket.FD
			sh.registerListener(i)
		}
	}
}

// registerListener registers the socket of a listener with the poller.
func (sh *Shard) registerListener(i int) {
	l := &sh.listeners[i]
	if errno := sh.poller.AddListener(l.fd, kindBit|uint64(i)<<32); errno != 0 {
		sh.logErrno("epoll_ctl() failed for a listener, which is closed", errno)
		sys.Close(l.fd)
		l.fd = -1
	}
}

// drainGone closes the listeners that are not among those to be, after it has accepted those
// whose connections are made: they would be reset.
func (sh *Shard) drainGone(next []Socket) {
	for i := range sh.listeners {
		l := &sh.listeners[i]
		if l.fd < 0 || slices.ContainsFunc(next, func(s Socket) bool { return s.FD == l.fd }) {
			continue
		}
		for left := drainMax; left > 0; left -= acceptBatch {
			l.more = false
			if sh.accept(i); !l.more {
				break
			}
		}
		sys.Close(l.fd)
		*l = listener{fd: -1}
	}
}

// walkFormer looks through the sessions from a slot on for those of listeners that are gone, a
// part in each turn. Those that wait for a request end; when there are none left but tunnels,
// the listener's configuration is forgotten.
func (sh *Shard) walkFormer(from uint32) {
	f := &sh.former
	if from == 0 {
		if f.walking || len(f.of) == 0 {
			return
		}
		f.walking, f.seen = true, map[uint16]bool{}
		for i := range f.of {
			f.seen[i] = false
		}
	}
	end := min(from+formerSlots, uint32(sh.sessions.Slots()))
	for at := from; at < end; at++ {
		if sh.sessions.Gen(at) == 0 {
			continue
		}
		s := sh.sessions.At(at)
		if f.of[s.listener] == nil || s.state.tunnelled() || s.state == Closed || s.state == Free {
			continue
		}
		if s.state == Idle {
			sh.endWaiting(s)
		}
		if _, judged := f.seen[s.listener]; judged && s.state != Closed {
			f.seen[s.listener] = true
		}
	}
	if end < uint32(sh.sessions.Slots()) {
		sh.Post(func(sh *Shard) { sh.walkFormer(end) })
		return
	}
	f.walking = false
	for i, seen := range f.seen {
		if !seen {
			delete(f.of, i)
		}
	}
	if f.seen = nil; len(f.of) > 0 {
		sh.houseSoon()
	}
}

// endWaiting closes a connection that waits for a request, unless one has come already, or it
// may stay for a while (keepalive_min_timeout).
func (sh *Shard) endWaiting(s *Session) {
	s.Down.Bits |= relay.CanRead
	sh.advance(s)
	if left := sh.mustStayMs(s); left > 0 {
		sh.timers.Set(s.slot, sh.nowMs+left)
	} else if s.waitsForRequest() {
		sh.close(s, observe.ReasonShutdown, observe.SideProxy)
	}
}

// forgetIdentities closes the idle connections to upstreams that were made with settings of TLS
// which sn does not have.
func (sh *Shard) forgetIdentities(sn *Snapshot) {
	l := &sh.identities
	used := map[uint32]bool{}
	for _, t := range sn.UpstreamTLS {
		used[t.ID] = true
	}
	dead := map[uint32]bool{}
	for key, id := range l.byKey {
		if key.settings&boundIdentity == 0 && !used[key.settings] {
			dead[id.number] = true
		}
	}
	for key, id := range l.byKey {
		if key.settings&boundIdentity != 0 && dead[key.settings&^boundIdentity] {
			dead[id.number] = true
		}
		if dead[id.number] {
			l.bytes -= len(id.name)
			delete(l.byKey, key)
		}
	}
	if len(dead) > 0 {
		sh.pooled.discardIdentities(sh, dead)
	}
}

// discardIdentities closes the idle connections of these identities.
func (l *pooledList) discardIdentities(sh *Shard, dead map[uint32]bool) {
	for at := l.oldest; at != 0; {
		c := l.slab.At(at - 1)
		newer := c.newer
		if dead[c.identity] {
			l.discard(sh, at-1)
		}
		at = newer
	}
}

// formerRemain looks again for sessions of listeners that are gone; more says that there may
// be some.
func (sh *Shard) formerRemain() (more bool) {
	sh.walkFormer(0)
	return len(sh.former.of) > 0
}

// CloseNew closes the sockets that were opened for a change that no shard takes.
func CloseNew(sockets []Socket) {
	for _, s := range sockets {
		if s.New {
			sys.Close(s.FD)
		}
	}
}
