package shard

import (
	"sync/atomic"

	"holdfast/httpparse"
	"holdfast/route"
)

// Totals are the numbers of stub_status that the shards of a process publish for each other.
type Totals struct {
	shards []published
}

// published is what one shard has published: only it writes there. The padding keeps shards
// out of each other's cache lines.
type published struct {
	active, accepted, requests, reading, waiting atomic.Uint64
	_                                            [24]byte
}

// NewTotals makes room for that many shards.
func NewTotals(shards int) *Totals { return &Totals{shards: make([]published, shards)} }

// publishTotals tells the other shards this one's numbers, where stub_status is configured.
func (sh *Shard) publishTotals() {
	if sh.opt.Totals == nil || !sh.snapshot.StubStatus {
		return
	}
	c, p := &sh.counters, &sh.opt.Totals.shards[sh.opt.Index]
	p.active.Store(uint64(sh.sessions.Len()) - c.Sessions[Closed])
	p.accepted.Store(c.Accepted)
	p.requests.Store(c.Requests)
	p.reading.Store(c.Sessions[ReadHead] + c.Sessions[Handshake] + c.Sessions[ProxyHeader])
	p.waiting.Store(c.Sessions[Idle])
}

// sum adds up what the shards have published.
func (t *Totals) sum() (n route.StubNumbers) {
	for i := range t.shards {
		p := &t.shards[i]
		n.Active += p.active.Load()
		n.Accepted += p.accepted.Load()
		n.Requests += p.requests.Load()
		n.Reading += p.reading.Load()
		n.Waiting += p.waiting.Load()
	}
	n.Handled = n.Accepted
	n.Writing = n.Active - min(n.Active, n.Reading+n.Waiting)
	return n
}

// answerSmall answers by the location's handler (stub_status, empty_gif).
func (sh *Shard) answerSmall(s *Session, r *Request) {
	id := r.req.MethodID
	if id != httpparse.MethodGet && id != httpparse.MethodHead && !r.asGet {
		sh.refuse(s, 405)
		return
	}
	status := 200
	if r.location.Handler == route.HandlerGIF {
		status = route.GIFStatus(&r.env)
	}
	if r.sub != nil {
		sh.subAnswered(s, r, status)
		return
	}
	if r.location.Handler == route.HandlerGIF {
		form := sh.beginReply(s, r, status)
		sh.finishReply(s, r, status, route.AppendEmptyGIF(sh.out[:0], &r.env, status, form))
		return
	}
	var n route.StubNumbers
	if sh.opt.Totals != nil {
		reading := s.state == ReadHead
		sh.publishTotals()
		if n = sh.opt.Totals.sum(); reading && n.Reading > 0 {
			n.Reading, n.Writing = n.Reading-1, n.Writing+1 // this one's head has been read
		}
	}
	form := sh.beginReply(s, r, status)
	sh.finishReply(s, r, status, route.AppendStubStatus(sh.out[:0], &r.env, &n, form))
}
