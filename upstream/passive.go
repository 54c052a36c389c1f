package upstream

import "sync/atomic"

// health is the passive failure state of a peer, as nginx keeps it (max_fails and
// fail_timeout of the server directive in an upstream block). A failure stamps both
// times; a pick after fail_timeout moves checkedMs alone; so a success with
// accessedMs before checkedMs is one that came after a quiet fail_timeout, and only
// such a success forgets the failures.
type health struct {
	failures   atomic.Int32
	accessedMs atomic.Int64 // time of the last failure
	checkedMs  atomic.Int64 // time of the last failure or of the last probe
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
	m := g.member(p)
	if m == nil || g.single {
		return false
	}
	failures := p.failures.Add(1)
	p.accessedMs.Store(nowMs)
	p.checkedMs.Store(nowMs)
	return m.maxFails > 0 && failures >= m.maxFails
}

// OK records a successful attempt at p: the head of a response arrived.
func (g *Group) OK(p *Peer) {
	if p.failures.Load() != 0 && p.accessedMs.Load() < p.checkedMs.Load() {
		p.failures.Store(0)
	}
}

// Available tells whether p would be picked now, for status pages: it is in the
// group, not marked down and not failed.
func (g *Group) Available(p *Peer, nowMs int64) bool {
	m := g.member(p)
	return m != nil && !m.down && (g.single || m.available(nowMs))
}
