package upstream

import (
	"math/rand/v2"
	"sync/atomic"
)

// health is the passive failure state of a peer, as nginx keeps it (max_fails and
// fail_timeout of the server directive in an upstream block). A failure stamps both
// times; a pick after fail_timeout moves checkedMs alone; so a success with
// accessedMs before checkedMs is one that came after a quiet fail_timeout, and only
// such a success forgets the failures.
type health struct {
	failures   atomic.Int32
	held       atomic.Int32 // what active checks say: see healthy
	accessedMs atomic.Int64 // time of the last failure
	checkedMs  atomic.Int64 // time of the last failure or of the last probe
	risesMs    atomic.Int64 // since when the peer is back, for slow_start; 0: always; -1: since the next pick
}

// claim tells whether the member may take a request now. Of several callers that
// find a failed peer's fail_timeout over, one gets true: its request is the probe.
func (m *member) claim(nowMs int64) bool {
	h := &m.peer.health
	checked := h.checkedMs.Load()
	if nowMs-checked > m.failTimeoutMs && h.checkedMs.CompareAndSwap(checked, nowMs) {
		return true
	}
	return m.maxFails == 0 || h.failures.Load() < m.maxFails
}

// available is claim without taking the probe.
func (m *member) available(nowMs int64) bool {
	h := &m.peer.health
	return m.maxFails == 0 || h.failures.Load() < m.maxFails || nowMs-h.checkedMs.Load() > m.failTimeoutMs
}

// Fail records a failed attempt at p: a refused or timed out connection, or what
// else proxy_next_upstream counts. It returns true if the peer is unavailable for
// its fail_timeout now, for the log line. A peer that is the group's only one stays
// available, as in nginx.
func (g *Group) Fail(p *Peer, nowMs int64) bool {
	p.Fails.Add(1)
	v := g.servers.Load()
	s, at := v.find(p)
	if s == nil || v.single {
		return false
	}
	m := &s.members[at]
	s.policy.turns().lower(at, m)
	failures := p.failures.Add(1)
	p.accessedMs.Store(nowMs)
	p.checkedMs.Store(nowMs)
	return m.maxFails > 0 && failures >= m.maxFails
}

// OK records a successful attempt at p: the head of a response arrived. A peer that was
// unavailable is back then, at a small part of its weight if it has slow_start.
func (g *Group) OK(p *Peer) {
	failures, checkedMs := p.failures.Load(), p.checkedMs.Load()
	if failures == 0 || p.accessedMs.Load() >= checkedMs {
		return
	}
	v := g.servers.Load()
	if m := v.member(p); m != nil && m.slowMs > 0 && !v.single && m.maxFails > 0 && failures >= m.maxFails {
		p.risesMs.Store(checkedMs)
	}
	p.failures.Store(0)
}

// Available tells whether p would be picked now, for status pages: it is in the
// group, not marked down, and neither failed, unhealthy nor full.
func (g *Group) Available(p *Peer, nowMs int64) bool {
	v := g.servers.Load()
	m := v.member(p)
	return m != nil && !m.down && !m.full() && m.healthy() && (v.single || m.available(nowMs))
}

// rampFull is the whole weight, as ramp tells it.
const rampFull = 1 << 10

// ramp tells how much of its weight a member has: 0 to rampFull.
func (m *member) ramp(nowMs int64) int64 {
	since := m.peer.risesMs.Load()
	if m.slowMs == 0 || since == 0 {
		return rampFull
	}
	if since < 0 {
		m.peer.risesMs.CompareAndSwap(since, nowMs)
		return 0
	}
	passed := max(nowMs-since, 0)
	if passed >= m.slowMs {
		return rampFull
	}
	return passed * rampFull / m.slowMs
}

// rises tells whether member i accepts its turn: one that is back takes a growing part of its
// turns (slow_start), and leaves the others to those behind it.
func (s *set) rises(i int, nowMs int64) bool {
	if !s.slow {
		return true
	}
	part := s.members[i].ramp(nowMs)
	return part == rampFull || rand.Int64N(rampFull) < part
}
