package shard

// houseEveryMs is the time between two rounds of tidying.
const houseEveryMs = 1000

// house tidies once a second while there is something to tidy: idle upstream
// connections past their time, memory kept for reuse, listeners that pause, counts of
// suppressed log lines. It comes to an end: an idle shard sleeps for ever.
func (sh *Shard) house() {
	if sh.houseAtMs == 0 || sh.nowMs < sh.houseAtMs {
		return
	}
	sh.houseAtMs = 0
	more := sh.pooled.expire(sh)
	sh.forgetLeft()
	more = sh.retryAccept() || more
	more = sh.formerRemain() || more
	more = sh.logSuppressed() || more
	more = sh.trim() || more
	if more {
		sh.houseSoon()
	} else if sh.opt.Quiet != nil {
		sh.opt.Quiet()
	}
}

// trim gives back memory that is kept for reuse, a half at a time, and reports whether
// any is left.
func (sh *Shard) trim() (more bool) {
	more = sh.bufs.Trim()
	more = sh.mover.Bufs.Trim() || more
	more = sh.sealed.Trim() || more
	more = sh.requests.trim() || more
	more = sh.proxied.trim() || more
	more = sh.mover.TLS.Trim() || more
	if sh.pipes.Lent() == 0 {
		sh.pipes.Trim()
	} else {
		more = true
	}
	return more
}

func (sh *Shard) houseSoon() {
	if sh.houseAtMs == 0 {
		sh.houseAtMs = sh.nowMs + houseEveryMs
	}
}
