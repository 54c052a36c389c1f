package shard

import "holdfast/relay"

const (
	// rateMax is the largest rate that is one, in bytes a second: with more there is no limit.
	rateMax = 1 << 32
	// paceParts is how many times a second an answer goes on that is paced.
	paceParts = 4
	// agesMs is a time after which no more is allowed than then, so that nothing overflows.
	agesMs = 1 << 30
)

// pacing is how fast a body may move, in bytes a second; 0 for no limit.
type pacing struct {
	rate    int64 // towards the destination (limit_rate)
	free    int64 // bytes before that (limit_rate_after)
	source  int64 // from the source (proxy_limit_rate)
	sinceMs int64 // from when on rate counts, as sh.nowMs
	beganMs int64 // from when on source counts
}

// paceAnswer says how fast the answer that begins goes to the client. As in nginx the time
// counts from the beginning of the request.
func (sh *Shard) paceAnswer(r *Request) {
	e, limits := &r.env, &r.settings().Limits
	if !limits.Paces(e) {
		return
	}
	p := &r.down.pacing
	p.rate, p.free = limits.Rate(e)
	if p.rate >= rateMax {
		p.rate = 0
	}
	const perMs = 1_000_000
	p.sinceMs = sh.nowMs - max((sh.wallNs()-e.StartNs)/perMs, 0)
}

// paceSource says how fast the response that begins is read from the upstream.
func (sh *Shard) paceSource(r *Request) {
	if !r.buffers {
		return // as in nginx, whose buffers do it
	}
	p := &r.down.pacing
	if p.source = r.settings().Limits.UpstreamRate(&r.env); p.source >= rateMax {
		p.source = 0
	}
	p.beganMs = sh.nowMs
}

// paced is what a rate makes of the time since it counts, and of a second more, as in nginx.
func paced(rate, forMs int64) int64 { return rate * (min(max(forMs, 0), agesMs) + 1000) / 1000 }

// room is how many of n bytes the destination of f may get now.
func (sh *Shard) room(f *flow, n int) int {
	if f.pacing.rate == 0 {
		return n
	}
	p := &f.pacing
	return int(min(max(paced(p.rate, sh.nowMs-p.sinceMs)+p.free-f.sent, 0), int64(n)))
}

// readRoom is how many of n bytes may be read for f now.
func (sh *Shard) readRoom(f *flow, n int) int {
	if f.pacing.source == 0 {
		return n
	}
	p := &f.pacing
	return int(min(max(paced(p.source, sh.nowMs-p.beganMs)-f.read, 0), int64(n)))
}

// unpaced reports whether nothing limits how fast the body of f moves.
func (f *flow) unpaced() bool { return f.pacing.rate == 0 && f.pacing.source == 0 }

// awaitClient sets the timer where the client has yet to get something: it takes no more, or
// it may not get more yet.
func (sh *Shard) awaitClient(s *Session, r *Request) {
	p := &r.down.pacing
	if p.rate == 0 || s.Down.Bits&relay.CanWrite == 0 || r.down.sealed {
		sh.await(s, r, waitClientWrite)
		return
	}
	left := sh.heldBy(&r.down)
	if r.file.open {
		left += int(min(r.file.end-r.file.at, rateMax))
	}
	sh.pause(s, r, pauseMs(p.rate, r.down.sent-p.free, int64(left), sh.nowMs-p.sinceMs))
}

// pauseSource has the session wait where no more may be read from the upstream yet.
func (sh *Shard) pauseSource(s *Session, r *Request) (waits bool) {
	if sh.readRoom(&r.down, 1) > 0 {
		return false
	}
	p := &r.down.pacing
	if !sh.clientGone(s, r) {
		sh.pause(s, r, pauseMs(p.source, r.down.read, p.source, sh.nowMs-p.beganMs))
	}
	return true
}

// pauseMs is how long a body has to wait that has moved so many bytes in forMs, until it may
// move what is left or, if that is more, the share of a part of a second.
func pauseMs(rate, moved, left, forMs int64) int64 {
	want := max(min(left, rate/paceParts), 1)
	return ((moved+want)*1000+rate-1)/rate - 1000 - forMs
}

// pause goes on with the session after that time.
func (sh *Shard) pause(s *Session, r *Request, waitMs int64) {
	r.wait = waitPace
	sh.timers.Set(s.slot, sh.nowMs+max(waitMs, 1))
}
