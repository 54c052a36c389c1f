package shard

import (
	"math/bits"

	"holdfast/observe"
	"holdfast/upstream"
)

const (
	// removalSlots is how many records of sessions one turn looks at.
	removalSlots = 8192
	// removalCloses is how many tunnels one turn ends.
	removalCloses = 256
)

// RemovalPolicy says what becomes of the tunnels to a peer that its group has no longer
// (tunnels).
type RemovalPolicy uint8

// The policies.
const (
	KeepTunnels  RemovalPolicy = iota // they live on
	DrainTunnels                      // they end, spread over a time
	CloseTunnels                      // they end at once
)

// Removal is a change of the peers of a group.
type Removal struct {
	// Gone have left the group, Back are those that did and are in it again.
	Gone, Back []*upstream.Peer
	Policy     RemovalPolicy
	// SpreadMs is how long DrainTunnels takes, in milliseconds.
	SpreadMs int64
}

// leaving is a peer that has left its group while the shard may have connections to it.
type leaving struct {
	peer     *upstream.Peer
	policy   RemovalPolicy
	sinceMs  int64
	spreadMs int64
}

// leavers are the peers that are leaving, by ID.
type leavers map[uint32]leaving

// Remove closes the idle connections to peers that are gone, and ends tunnels to them as the
// policy says. Requests in progress come to their end.
func (sh *Shard) Remove(r Removal) { sh.Post(func(sh *Shard) { sh.remove(&r) }) }

func (sh *Shard) remove(r *Removal) {
	if sh.leaving == nil {
		sh.leaving = leavers{}
	}
	for _, p := range r.Back {
		delete(sh.leaving, p.ID)
	}
	for _, p := range r.Gone {
		sh.leaving[p.ID] = leaving{peer: p, policy: r.Policy, sinceMs: sh.nowMs, spreadMs: r.SpreadMs}
		sh.pooled.discardPeer(sh, p.ID)
	}
	sh.houseSoon()
	if len(r.Gone) > 0 && r.Policy != KeepTunnels {
		sh.walkLeaving(0)
	}
}

// walkLeaving looks through the sessions from a slot on for tunnels to peers that are leaving,
// a part in each turn: it ends them, or arms the timers that will.
func (sh *Shard) walkLeaving(from uint32) {
	closed := 0
	end := min(from+removalSlots, uint32(sh.sessions.Slots()))
	at := from
	for ; at < end && closed < removalCloses; at++ {
		if sh.sessions.Gen(at) == 0 {
			continue
		}
		s := sh.sessions.At(at)
		if !s.state.tunnelled() {
			continue
		}
		leavesMs := sh.leavesAt(s)
		switch {
		case leavesMs == 0:
		case leavesMs <= sh.nowMs:
			closed++
			sh.endRemoved(s)
		default:
			sh.armTunnel(s)
		}
	}
	if at < uint32(sh.sessions.Slots()) {
		sh.Post(func(sh *Shard) { sh.walkLeaving(at) })
	}
}

// isLeaving reports whether the peer with this ID has left its group.
func (sh *Shard) isLeaving(id uint32) bool {
	l, ok := sh.leaving[id]
	return ok && sh.opt.Peers.ByID(id) == l.peer
}

// leavesAt is when a tunnel has to end because its peer is gone, on the clock of nowMs; 0:
// never. The moments of a drain are spread by the connections' numbers.
func (sh *Shard) leavesAt(s *Session) (atMs int64) {
	if len(sh.leaving) == 0 || !sh.isLeaving(s.peer) {
		return 0
	}
	l := sh.leaving[s.peer]
	if l.policy == KeepTunnels {
		return 0
	}
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	share, _ := bits.Mul64(s.id*golden, uint64(l.spreadMs))
	return max(l.sinceMs+int64(share), 1)
}

// hasLeft reports whether a tunnel is to end now because its peer is gone.
func (sh *Shard) hasLeft(s *Session) bool {
	atMs := sh.leavesAt(s)
	return atMs > 0 && atMs <= sh.nowMs
}

// endRemoved ends a tunnel whose peer is gone.
func (sh *Shard) endRemoved(s *Session) {
	sh.closeTunnel(s, codeGoingAway, observe.ReasonPeerRemoved)
}

// forgetLeft forgets peers that are not known any more.
func (sh *Shard) forgetLeft() {
	for id := range sh.leaving {
		if !sh.isLeaving(id) {
			delete(sh.leaving, id)
		}
	}
}

// discardPeer closes the idle connections to one peer.
func (l *pooledList) discardPeer(sh *Shard, id uint32) {
	for int(id) < len(l.top) && l.top[id] != 0 {
		l.discard(sh, l.top[id]-1)
	}
}
