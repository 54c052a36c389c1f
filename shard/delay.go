package shard

// delay has the request wait before it goes on (limit_req).
func (sh *Shard) delay(s *Session, r *Request, delayMs int64) {
	if s.state != Delay {
		sh.setState(s, Delay)
	}
	r.wait = waitNone
	r.phase = phaseLimits // which goes on behind limit_req
	sh.timers.Set(s.slot, sh.nowMs+delayMs)
}

// onDelay waits until the request may go on. Nothing is read meanwhile.
func (sh *Shard) onDelay(s *Session) (again bool) {
	sh.clientGone(s, sh.cold(s))
	return false
}

// onDelayTimer goes on with the request.
func (sh *Shard) onDelayTimer(s *Session) {
	sh.runPhases(s, sh.cold(s))
	sh.advance(s)
}
