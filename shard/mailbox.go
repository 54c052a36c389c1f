package shard

import (
	"net/netip"
	"sync"

	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/pool"
)

// mailbox is the only way into a shard from another thread: functions that the
// shard runs between two events. It is locked, and touched only when used.
type mailbox struct {
	mu      sync.Mutex
	letters []func(*Shard)
	shut    bool // the shard has ended: nobody reads any more
}

// Post has the shard run f on its own thread, soon. It never blocks on the shard. ok is
// false, and f dropped, if the shard has ended.
func (sh *Shard) Post(f func(*Shard)) (ok bool) {
	sh.mail.mu.Lock()
	defer sh.mail.mu.Unlock()
	if sh.mail.shut {
		return false
	}
	sh.mail.letters = append(sh.mail.letters, f)
	// Inside the lock: once the shard has ended, its eventfd's number is someone else's.
	sh.poller.Wake()
	return true
}

func (sh *Shard) readMailbox() {
	sh.mail.mu.Lock()
	letters := sh.mail.letters
	sh.mail.letters = nil
	sh.mail.mu.Unlock()
	for _, f := range letters {
		f(sh)
	}
}

// shutMailbox takes no more letters and reads the last ones.
func (sh *Shard) shutMailbox() {
	sh.mail.mu.Lock()
	sh.mail.shut = true
	sh.mail.mu.Unlock()
	sh.readMailbox()
}

// Counters asks the shard for a copy of its counters; ok is false if it has ended.
// It may be called from any thread but the shard's own.
func (sh *Shard) Counters() (c observe.Counters, ok bool) {
	reply := make(chan observe.Counters, 1)
	if !sh.Post(func(sh *Shard) { reply <- sh.snapshotCounters() }) {
		return c, false
	}
	select {
	case c = <-reply:
		return c, true
	case <-sh.done:
		return c, false
	}
}

func (sh *Shard) snapshotCounters() observe.Counters {
	c := sh.counters
	for _, bufs := range [...]*pool.Bufs{sh.bufs, sh.mover.Bufs, sh.sealed} {
		n, bytes := bufs.Lent()
		c.BufsOut += uint64(n)
		c.BufBytes += uint64(bytes)
	}
	c.PipesOut = uint64(sh.pipes.Lent())
	c.UpstreamIdle = uint64(sh.pooled.Len())
	c.Requested = uint64(sh.requests.lent())
	c.Secured = uint64(sh.mover.TLS.Len())
	return c
}

// Use makes sn the configuration of requests that begin from now on.
func (sh *Shard) Use(sn *Snapshot) {
	sh.Post(func(sh *Shard) {
		sh.use(sn)
		sh.walkFormer(0)
	})
}

// Adopt hands a connected, non-blocking client socket to the shard, which owns it
// from here on.
func (sh *Shard) Adopt(fd int32, listener int) {
	if !sh.Post(func(sh *Shard) { sh.admit(fd, listener, netip.AddrPort{}) }) {
		sys.Close(fd)
	}
}

// Quit stops accepting, closes connections that wait for a request, and lets requests
// and tunnels in progress come to their end; then the shard ends.
func (sh *Shard) Quit() { sh.Post((*Shard).beginQuit) }

// Stop closes everything; then the shard ends.
func (sh *Shard) Stop() { sh.Post((*Shard).beginStop) }

// Done is closed when the shard has ended.
func (sh *Shard) Done() <-chan struct{} { return sh.done }

// Overloaded logs that a unix socket's connections can't be accepted for want of
// descriptors or memory.
func (sh *Shard) Overloaded(errno sys.Errno) {
	sh.Post(func(sh *Shard) {
		sh.counters.AcceptErrors++
		sh.logErrno("accept4() failed", errno)
	})
}

// NowMs is the clock of upstream.Group's nowMs, in milliseconds.
func NowMs() int64 { return sys.NowMs() }
