package shard

import (
	"holdfast/internal/sys"
)

// youthMs is the age at which a tunnel gets keepalive options of its own, in milliseconds.
// Nothing is lost by the delay, since the kernel counts silence from the last segment; but
// the many tunnels of a storm that last for seconds save the system calls.
const youthMs = 30_000

// isYoung reports whether the tunnel has keepalive options to come.
func (sh *Shard) isYoung(s *Session) bool {
	return sh.opt.Policies.At(s.policy).DeadPeers || sh.spreadsDown(s)
}

// spreadsDown reports whether the listener leaves the client's keepalive to us.
func (sh *Shard) spreadsDown(s *Session) bool {
	i := int(s.listener)
	return i < len(sh.snapshot.Listeners) && sh.snapshot.Listeners[i].SpreadKeepalive
}

// endYouth sets the keepalive options of both legs, each leg of each tunnel other ones
// (sys.SpreadKeepalive). What was accepted in one storm would else be probed at one
// moment, every time, by more segments than a queue takes, and those that are lost again
// and again would end healthy tunnels. A client's connection has inherited the rest of
// its options from the listener.
func (sh *Shard) endYouth(s *Session) {
	if !s.has(flagYoung) || sh.nowMs-sh.tickMs(s.openedTick) < youthMs {
		return
	}
	s.flags &^= flagYoung
	if sh.opt.Policies.At(s.policy).DeadPeers {
		sys.SetKeepalive(s.Up.FD, sys.SpreadKeepalive(2*s.id))
	}
	if sh.spreadsDown(s) {
		sys.RetimeKeepalive(s.Down.FD, sys.SpreadKeepalive(2*s.id+1))
	}
}
