package shard

import (
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
)

// enterLinger begins a lingering close: FIN goes out now, and what the client still
// sends is read and dropped until its FIN, so that no RST overtakes the last bytes
// we sent (RFC 9112 section 9.6).
func (sh *Shard) enterLinger(s *Session) {
	if s.state.tunnelled() {
		sh.endTunnel(s)
	}
	sh.setState(s, Linger)
	sh.dropUpstream(s)
	sh.releaseRequest(s)
	sh.forgetTunnel(s)
	sh.mover.Drop(&s.Down)
	sh.mover.Drop(&s.Up)
	sh.sendFin(s)
	s.sinceTick = sh.tick
	sh.armLinger(s)
}

func (sh *Shard) sendFin(s *Session) {
	if !s.has(flagFinSent) {
		s.flags |= flagFinSent
		if sh.mover.Shutdown(&s.Down) != 0 {
			sys.ShutdownWrite(s.Down.FD) // its close_notify has no room
		}
	}
}

func (sh *Shard) armLinger(s *Session) {
	p := sh.opt.Policies.At(s.policy)
	end := sh.tickMs(s.sinceTick) + p.LingerMs
	sh.timers.Set(s.slot, min(end, sh.nowMs+p.LingerReadMs))
}

// lingerReads bounds the discarding of one turn.
const lingerReads = 4

func (sh *Shard) onLinger(s *Session) (again bool) {
	if s.Down.Bits&relay.CanRead == 0 {
		return false
	}
	for range lingerReads {
		n, errno := sys.Recv(s.Down.FD, sh.mover.Scratch)
		switch {
		case errno == sys.EAGAIN:
			s.Down.Bits &^= relay.CanRead
			sh.armLinger(s)
			return false
		case errno != 0 || n == 0:
			sh.close(s, observe.ReasonDone, observe.SideClient)
			return false
		}
	}
	sh.enqueue(s)
	return false
}
