package shard

import (
	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/route"
)

// startSwitch relays a valid 101. What came behind it, and behind the request, are the
// first bytes of the tunnel: they are held by its halves and go before anything read
// later.
func (sh *Shard) startSwitch(s *Session, r *Request, rest []byte) {
	sh.learn(r)
	out := r.proxy.AppendResponse(sh.out[:0], &r.env, route.ResponseForm{})
	sh.setState(s, Switch)
	r.group.OK(r.peer)
	r.group.Took(r.peer, r.env.UpstreamHeaderMs, -1)
	sh.begun(r, 101)
	sh.countOutcome(r, observe.OutcomeSwitched)
	if r.upgrade == httpparse.UpgradeWebSocket && r.settings().TunnelFrames {
		s.Down.FollowFrames()
		s.Up.FollowFrames()
	}
	sh.mover.Hold(&s.Up, rest)
	r.counted += int64(len(rest)) // they count with the tunnel's
	sh.finishSwitch(s, r, out)
}

// finishSwitch sends the head that the tunnel begins behind. What came behind the client's
// goes to the upstream first.
func (sh *Shard) finishSwitch(s *Session, r *Request, out []byte) {
	glued := sh.headBuf(r)
	sh.mover.Hold(&s.Down, glued.Bytes())
	glued.R = glued.W
	r.down.framing = httpparse.Framing{}
	r.headSent += int64(len(out))
	ok := sh.send(&s.Down, &r.down, out)
	sh.out = out[:0]
	if !ok {
		sh.clientWriteFailed(s)
		return
	}
	if !r.down.pending() {
		sh.openTunnel(s)
		return
	}
	sh.keepRespHead(r)
	sh.await(s, r, waitClientWrite)
}

// onSwitch waits until the client has taken the 101; then the tunnel is open.
func (sh *Shard) onSwitch(s *Session) (again bool) {
	r := sh.cold(s)
	done, ok := sh.flush(&s.Down, &r.down)
	if !ok {
		sh.clientWriteFailed(s)
		return false
	}
	if !done {
		sh.await(s, r, waitClientWrite)
		return false
	}
	sh.openTunnel(s)
	return true
}

func (sh *Shard) openTunnel(s *Session) {
	if r := sh.cold(s); r.stream == nil {
		sh.logTunnelOpen(s, r)
	}
	sh.keepCount(s, sh.cold(s))
	sh.releaseRequest(s)
	if id := s.Down.TLS(); id != 0 {
		sh.mover.TLS.Forget(id)
	}
	sh.forgetProxied(s)
	sh.enterTunnel(s)
}
