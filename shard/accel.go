package shard

import (
	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/relay"
)

// accelerated obeys the fields of a response that steer nginx: X-Accel-Limit-Rate, and
// X-Accel-Redirect, which sends the request inside to where the upstream says. It reports
// whether it did; the response is over then, and rest is what has come of its body.
func (sh *Shard) accelerated(s *Session, r *Request, framing httpparse.Framing, rest []byte) bool {
	e := &r.env
	r.proxy.TakeLimitRate(e)
	if _, found := r.proxy.AccelRedirect(e); !found {
		return false
	}
	r.group.OK(r.peer)
	sh.countOutcome(r, observe.OutcomeRefused)
	whole := r.cameWhole(framing, rest)
	sh.keepRespHead(r)
	target, _ := r.proxy.AccelRedirect(e) // where the head is now
	e.UpstreamResponseMs = sh.nowMs - r.tryMs
	r.proxy.CarryFields(e)
	if r.failed == 0 {
		r.failed = 502 // for a body that can't be shown to another upstream
	}
	if whole && s.Up.Bits&relay.RdHup == 0 {
		sh.poolUpstream(s, r)
	}
	sh.leaveExchange(s, r)
	if len(target) > 0 && target[0] == '@' {
		sh.goNamed(s, r, string(target))
		return true
	}
	if !sh.hop(s, r) {
		return true
	}
	if !e.SetUnsafe(target) {
		sh.logError(s, observe.LevelError, "upstream sent an unsafe X-Accel-Redirect:", target)
		sh.refuse(s, 404)
		return true
	}
	sh.dropBody(r)
	sh.startPhases(s, r, phaseServerRewrite)
	return true
}

// cameWhole reports whether rest, which it overwrites, is all of a response's body, and the
// request went out whole, so that the connection can serve others.
func (r *Request) cameWhole(framing httpparse.Framing, rest []byte) bool {
	body := flow{}
	body.begin(framing, false)
	_, _, used, perr := body.decode(rest)
	sent := r.up.ended && !r.cut && !r.up.pending()
	return sent && perr == httpparse.OK && body.ended && used == len(rest) && r.keepUp && r.resp.KeepAlive(r.env.RespHead)
}
