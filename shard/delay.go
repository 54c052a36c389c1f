package shard

// deciding reports whether a request in this state waits until it may go on.
func (s State) deciding() bool { return s == Delay || s == Access }

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
