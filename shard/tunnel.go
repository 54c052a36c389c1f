package shard

import (
	"holdfast/internal/sys"
	"holdfast/internal/wheel"
	"holdfast/observe"
	"holdfast/relay"
)

// enterTunnel begins life as a tunnel. From here on the session owns its record
// and its two sockets; the request is gone.
func (sh *Shard) enterTunnel(s *Session) {
	sh.setState(s, Tunnel)
	s.flags |= flagTunnelled
	s.openedTick, s.activeTick, s.sinceTick = sh.tick, sh.tick, 0
	sh.timers.Cancel(s.slot)
	if sh.isYoung(s) {
		s.flags |= flagYoung
	}
	sh.armTunnel(s)
}

// onTunnel moves bytes both ways and decides what the tunnel has come to.
func (sh *Shard) onTunnel(s *Session) (again bool) {
	s.activeTick = sh.tick
	up, down := s.Down.Bytes, s.Up.Bytes
	budgetDown, budgetUp := sh.budgets(s)
	owedUp, owedDown := sh.unsent(&s.Up), sh.unsent(&s.Down)
	pd := sh.mover.Pump(&s.Down, &s.Up, budgetDown)
	pu := sh.mover.Pump(&s.Up, &s.Down, budgetUp)
	movedUp, movedDown := s.Down.Bytes-up, s.Up.Bytes-down
	sh.counters.TunnelBytesUp += movedUp
	sh.counters.TunnelBytesDown += movedDown
	if movedUp+movedDown >= scratchSize || secured(&s.Down, &s.Up) {
		sh.houseSoon() // a pipe may have come back, or ciphers were expanded: not to be kept for ever
	}
	if pd == relay.Drained && pu == relay.Drained {
		s.sinceTick = 0
		return false
	}
	sh.houseSoon() // so may a buffer
	stuck := s.Down.Holding() && movedUp == 0 && sh.unsent(&s.Up) >= owedUp ||
		s.Up.Holding() && movedDown == 0 && sh.unsent(&s.Down) >= owedDown
	return sh.settleTunnel(s, pd, pu, stuck)
}

// settleTunnel deals with everything but the plain case: ends, blocked halves,
// budgets used up.
func (sh *Shard) settleTunnel(s *Session, pd, pu relay.Progress, stuck bool) (again bool) {
	sh.noteEnds(s)
	switch relay.Outcome(&s.Down, &s.Up) {
	case relay.EndClose:
		sh.close(s, observe.ReasonDone, observe.SideProxy)
		return false
	case relay.EndLinger:
		sh.enterLinger(s)
		return true
	case relay.HalfOpen:
		if s.state == Tunnel {
			sh.setState(s, HalfClosed)
		}
		if sh.endsAtFin(s) {
			return false
		}
	}
	if sh.paceMs(s) > 0 {
		sh.armTunnel(s)
	}
	if sh.goesOn(s, &s.Down, pd) || sh.goesOn(s, &s.Up, pu) {
		sh.enqueue(s)
	}
	sh.noteBlocked(s, stuck)
	return false
}

// readable reports whether a half could read at once: a socket that turned out
// dead while its own half had already had its turn.
func readable(h *relay.Half) bool {
	return h.State == relay.Flow && h.Bits&relay.CanRead != 0 && !h.Holding()
}

// noteEnds records what ended the tunnel, first cause first: a failed socket, else
// the first FIN. A FIN inside a WebSocket frame is an abort.
func (sh *Shard) noteEnds(s *Session) {
	for _, leg := range [...]struct {
		half *relay.Half
		side observe.Side
	}{{&s.Down, observe.SideClient}, {&s.Up, observe.SideUpstream}} {
		h := leg.half
		if h.Bits&relay.AtEOF != 0 {
			s.trail = s.trail.Note(leg.side, sh.endEvent(h))
			if h.MidFrame() {
				s.cause(observe.ReasonAborted, leg.side)
			} else {
				s.cause(observe.ReasonDone, leg.side)
			}
		}
		if h.Bits&relay.ReadDead != 0 {
			s.trail = s.trail.Note(leg.side, observe.EventReadFailed)
		}
		if h.Bits&relay.WriteDead != 0 {
			s.trail = s.trail.Note(leg.side, observe.EventWriteFailed)
		}
		if h.Bits&(relay.ReadDead|relay.WriteDead) != 0 {
			if s.reason == observe.ReasonNone {
				sh.logTLS(s, sys.Errno(h.Err), leg.side)
			}
			s.cause(errnoReason(sys.Errno(h.Err)), leg.side)
		}
	}
}

// errnoReason names a socket error as a close reason.
func errnoReason(e sys.Errno) observe.CloseReason {
	switch e {
	case sys.ECONNRESET, sys.EPIPE:
		return observe.ReasonReset
	case sys.EBADMSG, sys.EPROTO:
		return observe.ReasonTLS
	case sys.ETIMEDOUT, sys.EHOSTUNREACH, sys.ENETUNREACH:
		return observe.ReasonUnreachable
	}
	return observe.ReasonIOError
}

// noteBlocked keeps the time since when a destination has taken nothing of what is
// held for it. The timer is set when that begins; it finds later changes by itself.
func (sh *Shard) noteBlocked(s *Session, stuck bool) {
	first := s.sinceTick == 0
	switch {
	case !s.Down.Holding() && !s.Up.Holding():
		s.sinceTick = 0
	case first:
		s.sinceTick = sh.tick
		sh.armTunnel(s)
	case !stuck:
		s.sinceTick = sh.tick
	}
}

// armTunnel sets the timer to the earliest limit that applies; most tunnels have
// none. A limit on silence is not moved with every message: its timer looks at the
// last activity when it fires.
func (sh *Shard) armTunnel(s *Session) {
	if at := sh.tunnelDeadline(s); at > 0 && s.state != Closing {
		sh.timers.Set(s.slot, at)
	}
}

func (sh *Shard) tunnelDeadline(s *Session) (atMs int64) {
	p := sh.opt.Policies.At(s.policy)
	if s.has(flagYoung) {
		atMs = sh.tickMs(s.openedTick) + youthMs
	}
	if p.TunnelReadMs > 0 {
		atMs = earlier(atMs, sh.tickMs(s.activeTick)+p.TunnelReadMs)
	}
	if wait := sh.paceMs(s); wait > 0 {
		atMs = earlier(atMs, sh.nowMs+wait)
	}
	if leavesMs := sh.leavesAt(s); leavesMs > 0 {
		atMs = earlier(atMs, leavesMs)
	}
	if p.LifetimeMs > 0 {
		atMs = earlier(atMs, sh.expiresAt(s, p))
	}
	if s.sinceTick != 0 && p.TunnelBlockedMs > 0 {
		atMs = earlier(atMs, sh.tickMs(s.sinceTick)+p.TunnelBlockedMs)
	}
	return atMs
}

// earlier is the earlier of two moments, of which the first may be 0: none.
func earlier(a, b int64) int64 {
	if a == 0 || b < a {
		return b
	}
	return a
}

// tickMs is the moment a tick began, on the clock of nowMs.
func (sh *Shard) tickMs(tick uint32) int64 {
	return sh.startMs + int64(tick-1)*wheel.TickMs
}

// onTunnelTimer ends a tunnel whose limit has really passed.
func (sh *Shard) onTunnelTimer(s *Session) {
	sh.endYouth(s)
	p := sh.opt.Policies.At(s.policy)
	blockedMs := sh.nowMs - sh.tickMs(s.sinceTick)
	silentMs := sh.nowMs - sh.tickMs(s.activeTick)
	switch {
	case s.sinceTick != 0 && p.TunnelBlockedMs > 0 && blockedMs >= p.TunnelBlockedMs:
		side, fd := observe.SideClient, s.Down.FD
		if s.Down.Holding() {
			side, fd = observe.SideUpstream, s.Up.FD
		}
		sys.ResetOnClose(fd) // the kernel shall not go on holding what it won't read
		s.trail = s.trail.Note(side, observe.EventTimeout)
		sh.close(s, observe.ReasonSendTimeout, side)
	case sh.hasLeft(s):
		sh.endRemoved(s)
	case p.LifetimeMs > 0 && sh.nowMs >= sh.expiresAt(s, p):
		sh.closeTunnel(s, codeGoingAway, observe.ReasonLifetime)
	case s.has(flagPaced) && (readable(&s.Down) || readable(&s.Up)): // what has come waits for its pace
		sh.armTunnel(s)
		sh.advance(s)
	case p.TunnelReadMs > 0 && silentMs >= p.TunnelReadMs:
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventTimeout)
		sh.close(s, observe.ReasonReadTimeout, observe.SideUpstream)
	default:
		sh.armTunnel(s)
	}
}

// countTunnel keeps the gauges of live tunnels, the shard's and the peer's.
func (sh *Shard) countTunnel(s *Session, opened bool) {
	peer := sh.opt.Peers.ByID(s.peer)
	if opened {
		sh.counters.Tunnels++
		if peer != nil {
			peer.Tunnels.Add(1)
		}
		return
	}
	sh.counters.Tunnels--
	sh.uncount(sh.opt.Policies.At(s.policy).TunnelCount)
	if peer != nil {
		peer.Tunnels.Add(-1)
	}
}
