package shard

import (
	"holdfast/observe"
)

// close ends a session at once: first cause recorded, log lines written, loans
// returned, sockets closed. The slot is free for others when the turn ends.
func (sh *Shard) close(s *Session, r observe.CloseReason, side observe.Side) {
	s.cause(r, side)
	if s.state.tunnelled() {
		sh.endTunnel(s)
	} else if !s.has(flagTunnelled) {
		sh.counters.SessionCloses[s.reason][s.side]++
	}
	sh.setState(s, Closed)
	sh.timers.Cancel(s.slot)
	sh.mover.Drop(&s.Down)
	sh.mover.Drop(&s.Up)
	sh.dropUpstream(s)
	sh.releaseRequest(s)
	sh.forgetTunnel(s)
	if !sh.abandon(s, legDown) {
		sh.closeHalf(&s.Down)
	}
	sh.forgetProxied(s)
	sh.closed = append(sh.closed, s.slot)
}

// dropUpstream closes the upstream's socket, if there is one.
func (sh *Shard) dropUpstream(s *Session) {
	if s.Up.FD < 0 {
		return
	}
	if !sh.abandon(s, legUp) {
		sh.closeHalf(&s.Up)
	}
	if peer := sh.opt.Peers.ByID(s.peer); peer != nil {
		peer.Connections.Add(-1)
		peer.Release()
	}
	if s.request != 0 {
		if r := sh.cold(s); r.upConn != 0 {
			sh.pooled.slab.Free(r.upConn - 1)
			r.upConn = 0
		}
	}
	s.Up.FD = -1
	s.Up.Bits = 0
	s.peer = 0
	s.flags &^= flagReusedUp
}

// endTunnel counts and logs the end of a tunnel whose cause is known.
func (sh *Shard) endTunnel(s *Session) {
	s.cause(observe.ReasonDone, observe.SideProxy)
	if peer := sh.opt.Peers.ByID(s.peer); peer != nil {
		peer.Bytes.Add(s.Down.Bytes + s.Up.Bytes)
	}
	sh.counters.TunnelCloses[s.reason][s.side]++
	sh.logTunnelClose(s)
	sh.logHeldLines(s)
}

// forgetTunnel gives up what some sessions have beside their record.
func (sh *Shard) forgetTunnel(s *Session) {
	sh.releaseLimits(s)
	delete(sh.paces, s.slot)
	delete(sh.closings, s.slot)
}
