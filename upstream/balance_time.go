package upstream

import "sync/atomic"

// timing is how long a peer's answers take, for least_time.
type timing struct {
	head, last atomic.Int64 // averages in microseconds; 0 while nothing was measured
	// waitingMs is when the peer was first asked for something since it, or a request of
	// it, last came to an end; 0 when nothing is outstanding since then.
	waitingMs atomic.Int64
	askedMs   atomic.Int64 // the last pick
}

// forgetMs is after how many milliseconds without a request a peer's averages count half, and
// again: else one that was slow once would never be asked again.
const forgetMs = 10_000

// averageShift makes a new time an eighth of the average: an exponentially weighted moving
// average.
const averageShift = 3

// Took tells how long an answer of p took from the start of the try: to its head, and to its
// last byte, in milliseconds; -1 for what is not known. For a connection of stream headMs is
// the time to connect. Only groups with least_time keep it.
func (g *Group) Took(p *Peer, headMs, lastMs int64) {
	if !g.timed {
		return
	}
	p.answered()
	average(&p.head, headMs)
	average(&p.last, lastMs)
}

// average adds a time. Of two shards that do so at once, one may be forgotten.
func average(of *atomic.Int64, ms int64) {
	if ms < 0 {
		return
	}
	us := max(ms*1000, 1)
	if old := of.Load(); old != 0 {
		us = max(old+(us-old)>>averageShift, 1)
	}
	of.Store(us)
}

// asked notes that the peer owes an answer.
func (p *Peer) asked(nowMs int64) {
	if p.askedMs.Load() != nowMs {
		p.askedMs.Store(nowMs)
	}
	if p.waitingMs.Load() == 0 {
		p.waitingMs.CompareAndSwap(0, nowMs)
	}
}

func (p *Peer) answered() {
	if p.waitingMs.Load() != 0 {
		p.waitingMs.Store(0)
	}
}

// time is the average that counts for a group, in microseconds, 0 while there is none. With
// inflight an answer that is outstanding for longer counts with that.
func (p *Peer) time(b Balance, nowMs int64) float64 {
	var us int64
	switch b.By {
	case ByHeader:
		us = p.head.Load()
	case ByLastByte:
		us = p.last.Load()
	}
	if us != 0 {
		us = max(us>>min(max(nowMs-p.askedMs.Load(), 0)/forgetMs, 60), 1)
	}
	if b.Inflight {
		if since := p.waitingMs.Load(); since != 0 {
			us = max(us, (nowMs-since)*1000)
		}
	}
	return float64(us)
}
