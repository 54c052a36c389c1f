package shard

import (
	"holdfast/observe"
	"holdfast/relay"
)

// enterIdle ends a request and waits for the next. What the client sent ahead of its
// time is the beginning of that one.
func (sh *Shard) enterIdle(s *Session, r *Request) (again bool) {
	sh.setState(s, Idle)
	s.reason, s.side, s.trail = observe.ReasonNone, observe.SideNone, 0
	set := r.settings()
	keepaliveMs, headMs := set.KeepaliveTimeout, set.ClientHeaderTimeout
	sh.releaseLimits(s)
	ahead := sh.headBuf(r).Bytes()
	if r.ahead != 0 {
		ahead = sh.bufs.At(r.ahead).Bytes()
	}
	if len(ahead) == 0 {
		sh.releaseRequest(s)
		s.sinceTick = sh.tick
		sh.timers.Set(s.slot, sh.nowMs+keepaliveMs)
		return s.Down.Bits&relay.CanRead != 0
	}
	sh.endRequest(s, r)
	id, buf := sh.bufs.Get(max(len(ahead), int(r.server.Settings.ClientHeaderBufferSize)))
	buf.W = copy(buf.B, ahead)
	sh.dropBuffers(r)
	r.recycle()
	sh.startRequest(s, r)
	r.head = id
	r.env.Pipelined = true
	sh.setState(s, ReadHead)
	sh.timers.Set(s.slot, sh.nowMs+headMs)
	return true
}

// onIdle begins the next request with its first byte.
func (sh *Shard) onIdle(s *Session) (again bool) {
	if s.Down.Bits&relay.CanRead == 0 {
		return false
	}
	if sh.bufs.Full() {
		sh.starve(s)
		return false
	}
	r := sh.lendRequest(s)
	if !sh.readHeadBytes(s) {
		return false
	}
	sh.setState(s, ReadHead)
	sh.timers.Set(s.slot, sh.nowMs+r.server.Settings.ClientHeaderTimeout)
	return true
}

// mustStayMs is how long an idle connection must stay open yet whatever the proxy would
// rather do with it (keepalive_min_timeout).
func (sh *Shard) mustStayMs(s *Session) int64 {
	if s.state != Idle {
		return 0
	}
	return max(sh.opt.Policies.At(s.policy).KeepaliveMinMs-(sh.nowMs-sh.tickMs(s.sinceTick)), 0)
}
