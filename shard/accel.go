package shard

import (
	"holdfast/observe"
)

// accelerated obeys the fields of a response that steer nginx: X-Accel-Limit-Rate, and
// X-Accel-Redirect, which sends the request inside to where the upstream says. It reports
// whether it did, and the response is over then.
func (sh *Shard) accelerated(s *Session, r *Request) bool {
	e := &r.env
	r.proxy.TakeLimitRate(e)
	if _, found := r.proxy.AccelRedirect(e); !found {
		return false
	}
	r.group.OK(r.peer)
	sh.countOutcome(r, observe.OutcomeRefused)
	sh.keepRespHead(r)
	target, _ := r.proxy.AccelRedirect(e) // where the head is now
	e.UpstreamResponseMs = sh.nowMs - r.tryMs
	r.proxy.CarryFields(e)
	if r.failed == 0 {
		r.failed = 502 // for a body that can't be shown to another upstream
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
