package shard

import (
	"holdfast/internal/assert"
	"holdfast/pool"
	"holdfast/relay"
)

// checkInvariants panics if the shard's books do not agree. It looks at every session,
// so it runs after each turn in binaries built with the tag "verify" only.
func (sh *Shard) checkInvariants() {
	a := audit{sh: sh}
	sh.sessions.Each(func(_ pool.Handle, s *Session) { a.session(s) })
	a.gauges()
	a.queue()
	a.loans()
}

// audit adds up what the sessions own.
type audit struct {
	sh       *Shard
	states   [stateCount]uint64
	queued   int
	requests int
	bufs     int // of requests
	held     int // buffers of tunnels, and pipes
	files    int
	timers   int
	secured  int // sockets of theirs that carry TLS
	reusable int // connections to upstreams that are in use and may serve others later
}

func (a *audit) session(s *Session) {
	a.states[s.state]++
	if s.has(flagQueued) {
		a.queued++
	}
	if s.timer.Armed() {
		a.timers++
	}
	for _, h := range [...]*relay.Half{&s.Down, &s.Up} {
		if a.sh.mover.Held(h) > 0 {
			a.held++
		}
		if h.TLS() != 0 {
			a.secured++
		}
	}
	assert.That(s.state != Free, "a live slot is not in state Free")
	assert.That(s.peer == 0 == (s.Up.FD < 0), "an upstream's socket has a peer, and no socket has none")
	assert.That(!s.state.tunnelled() || s.has(flagTunnelled), "a tunnel has its flag")
	switch s.state {
	case Tunnel, HalfClosed:
		a.tunnel(s)
	case Closing:
		assert.That(s.request == 0 && s.timer.Armed(), "a tunnel that is being ended has a timer and no request")
	case Idle, Linger, Closed:
		assert.That(s.request == 0, "no request between two requests or after the last")
		assert.That(s.Up.FD < 0, "no upstream between two requests or after the last")
		assert.That(s.timer.Armed() == (s.state != Closed), "a timer while something is waited for")
	case ProxyHeader, Handshake:
		assert.That(s.request == 0 && s.Up.FD < 0, "nothing of a request before the client is greeted")
		assert.That(s.timer.Armed() != (a.sh.handshakes[s.slot] != nil), "a timer, or the pool, keeps the time of greeting")
	case Access:
		assert.That(s.Up.FD < 0 && a.sh.cold(s).order != 0, "no upstream before a verdict that was ordered")
		assert.That(s.timer.Armed(), "a verdict has a timer")
	case ReadHead:
		assert.That(s.Up.FD < 0, "no upstream before a request")
		assert.That(s.timer.Armed(), "a head has a timer")
	default:
		assert.That(s.request != 0, "a request in progress has its record")
		assert.That(s.timer.Armed(), "a request in progress has a timer")
	}
	if s.request != 0 {
		r := a.sh.cold(s)
		a.request(r)
		if r.upConn != 0 {
			a.reusable++
			c := a.sh.pooled.slab.At(r.upConn - 1)
			assert.That(c.user == s.slot+1 && c.fd == s.Up.FD && c.peer == s.peer, "a reusable connection knows its session")
		}
	}
}

func (a *audit) tunnel(s *Session) {
	assert.That(s.request == 0, "a tunnel has no request")
	p := a.sh.opt.Policies.At(s.policy)
	if p.TunnelReadMs == 0 && s.sinceTick == 0 && !s.has(flagYoung) && a.sh.timers.Len() > 0 {
		// A timer set while it was blocked may still run; it is not set again.
		limited := p.TunnelBlockedMs > 0 || p.LifetimeMs > 0
		assert.That(!s.timer.Armed() || limited, "an idle tunnel without limits has no timer")
	}
	idle := s.Down.State == relay.Flow && s.Up.State == relay.Flow &&
		(s.Down.Bits|s.Up.Bits)&relay.CanRead == 0 && s.sinceTick == 0
	if idle && !s.has(flagQueued) {
		assert.That(a.sh.mover.Held(&s.Down)+a.sh.mover.Held(&s.Up) == 0, "an idle tunnel has no buffer and no pipe")
	}
}

func (a *audit) request(r *Request) {
	a.requests++
	for _, id := range [...]uint32{
		r.head, r.body, r.ahead, r.respHead, r.up.out, r.up.trailers, r.down.out, r.down.trailers,
		r.outer.up.out, r.outer.up.trailers,
	} {
		if id != 0 {
			a.bufs++
			assert.That(a.sh.bufs.At(id) != nil, "a request's buffer is lent")
		}
	}
	for _, id := range [...]uint32{r.up.pipe, r.down.pipe} {
		if id != 0 {
			a.held++
			assert.That(a.sh.pipes.At(id).Held > 0, "a request's pipe holds something")
		}
	}
	if r.file.open {
		a.files++
	}
	assert.That(r.head != 0, "a request has a buffer for its head")
	assert.That(r.env.RespHead == nil || r.respHead != 0, "a response head does not stay in the shared buffer")
}

func (a *audit) gauges() {
	c := &a.sh.counters
	for state, n := range a.states {
		assert.That(c.Sessions[state] == n, "the gauge of each state counts its sessions")
	}
	assert.That(c.Tunnels == a.states[Tunnel]+a.states[HalfClosed]+a.states[Closing], "the gauge of tunnels counts them")
	assert.That(a.sh.timers.Len() == a.timers, "the wheel holds the timers of the sessions")
}

func (a *audit) queue() {
	sh := a.sh
	length, last := 0, uint32(0)
	for at := sh.queueHead; at != 0 && length <= a.queued; length++ {
		s := sh.sessions.At(at - 1)
		assert.That(s.has(flagQueued), "what is queued has its flag")
		at, last = s.queueNext, at
	}
	assert.That(length == a.queued, "the run queue holds each flagged session once")
	assert.That(length == 0 || last == sh.queueTail, "the run queue ends at its tail")
}

func (a *audit) loans() {
	sh := a.sh
	bufs, _ := sh.bufs.Lent()
	held, _ := sh.mover.Bufs.Lent()
	assert.That(sh.requests.lent() == a.requests, "each request lent has one session")
	assert.That(bufs == a.bufs, "each buffer lent has one request")
	assert.That(held+sh.pipes.Lent() == a.held, "each buffer of a tunnel has one half, each pipe one half or body")
	secured, _ := sh.sealed.Lent()
	assert.That(sh.mover.TLS.Len() > 0 || secured == 0, "without TLS connections they have no buffers")
	idle := 0
	sh.pooled.slab.Each(func(_ pool.Handle, c *pooledConn) {
		if c.user == 0 && c.tls != 0 {
			idle++
		}
	})
	assert.That(sh.mover.TLS.Len() == a.secured+idle, "each TLS connection has one socket")
	assert.That(sh.files == a.files, "each open file has one request")
	assert.That(sh.pooled.slab.Len() == sh.pooled.Len()+a.reusable, "a reusable connection idles or has one request")
}
