package upstream

import "sync/atomic"

// Checked is what active health checks (health_check) have found out about a peer. A check
// that keeps requests from the peer, because it failed or has not passed yet, holds it.
// Requests and tunnels that the peer has are left alone.
type Checked struct {
	// Checks were made, Fails of them failed. Unhealthy is how often the peer became unhealthy.
	Checks, Fails, Unhealthy atomic.Uint64
	// LastPassed tells whether the last check passed.
	LastPassed atomic.Bool
	// Checkers are the checks that look at the peer, Checking those whose first result is still
	// to come and is waited for (mandatory), Failing those that consider it unhealthy.
	Checkers, Checking, Failing atomic.Int32
}

// seen is the bit of health.held that says that the checks know the peer; heldOnce is one check
// that holds it.
const (
	seen     = 1
	heldOnce = 2
)

// healthy tells whether no check keeps requests from the member. A peer that the checks have
// not seen yet gets none where they are mandatory.
func (m *member) healthy() bool {
	held := m.peer.held.Load()
	return held < heldOnce && (held == seen || !m.mandatory)
}

// Hold keeps requests from the peer until as many calls of Unhold. It is for health checks.
func (p *Peer) Hold() { p.held.Add(heldOnce) }

// Unhold takes a Hold back.
func (p *Peer) Unhold() { p.held.Add(-heldOnce) }

// See says that the checks of a mandatory group know the peer and Hold it if need be; without
// that it gets no requests. Unsee takes it back.
func (p *Peer) See() { p.held.Or(seen) }

// Unsee says that no check looks at the peer any more.
func (p *Peer) Unsee() { p.held.And(^seen) }

// Rise has a peer that was unhealthy come back at a small part of its weight, where its server
// has slow_start.
func (p *Peer) Rise(nowMs int64) { p.risesMs.Store(nowMs) }

// Healthy tells whether no check considers p unhealthy or waits for its first result.
func (g *Group) Healthy(p *Peer) bool {
	m := g.servers.Load().member(p)
	return m != nil && m.healthy()
}

// AppendChecked appends the peers that health checks look at to dst: all that are not marked
// down.
func (g *Group) AppendChecked(dst []*Peer) []*Peer {
	v := g.servers.Load()
	if v == nil {
		return dst
	}
	for _, s := range [...]*set{&v.primary, &v.backup} {
		for i := range s.members {
			if m := &s.members[i]; !m.down {
				dst = append(dst, m.peer)
			}
		}
	}
	return dst
}

// Watch has changed called after the servers of the group were replaced (SetServers), instead of
// what was given before. It may be called from several goroutines at once, with the group's lock:
// it must not call SetServers. nil: nobody is told.
func (g *Group) Watch(changed func()) {
	g.changing.Lock()
	defer g.changing.Unlock()
	g.watcher = changed
}
