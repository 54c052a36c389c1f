package upstream

// contendedMax is how often a pick looks anew because another shard took the same member.
const contendedMax = 8

// least is least_conn and least_time: the member with the lowest cost for its weight. Among
// equals it is the round robin's turn, as in nginx.
type least struct {
	*roundRobin
	Balance
}

// next compares what every member has and takes the best one only if it still has just that:
// so shards that choose at once stay even.
func (l *least) next(s *set, c *Choice, nowMs int64) int {
	for range contendedMax {
		best := l.best(s, c, nowMs)
		if best.at < 0 {
			return -1
		}
		if best.ties {
			best = l.turn(s, c, nowMs, best)
		}
		if s.claimAt(best.at, nowMs, best.active) {
			return best.at
		}
	}
	return l.roundRobin.next(s, c, nowMs)
}

// candidate is a member with what it was judged by.
type candidate struct {
	at     int
	active int64
	cost   float64
	weight float64
	ties   bool // another one is as good
}

// best is the first of the best members, or at -1 if none is free.
func (l *least) best(s *set, c *Choice, nowMs int64) candidate {
	best := candidate{at: -1}
	unmeasured := l.unmeasured(s, nowMs)
	for i := range s.members {
		if !s.free(i, c, nowMs) {
			continue
		}
		m := s.judge(i, l.Balance, unmeasured, nowMs)
		switch a, b := m.cost*best.weight, best.cost*m.weight; {
		case best.at < 0 || a < b:
			best = m
		case a == b:
			best.ties = true
		}
	}
	return best
}

// turn is the one of the members as good as best whose turn it is.
func (l *least) turn(s *set, c *Choice, nowMs int64, best candidate) candidate {
	unmeasured := l.unmeasured(s, nowMs)
	i, looked := l.richest(s, c, nowMs, func(i int) bool {
		m := s.judge(i, l.Balance, unmeasured, nowMs)
		return m.cost*best.weight == best.cost*m.weight
	})
	switch {
	case i >= 0:
		return s.judge(i, l.Balance, unmeasured, nowMs)
	case looked:
		return best
	}
	for range min(len(l.cycle), probesMax) {
		i := l.step()
		if !s.free(i, c, nowMs) {
			continue
		}
		if m := s.judge(i, l.Balance, unmeasured, nowMs); m.cost*best.weight <= best.cost*m.weight {
			return m
		}
	}
	return best
}

// unmeasured is the time that stands for that of a member without any: the best there is. So
// it is tried, and yet gets no more than its share until it has answered.
func (l *least) unmeasured(s *set, nowMs int64) float64 {
	if l.By == ByConns {
		return 0
	}
	fastest := 0.0
	for i := range s.members {
		if t := s.members[i].peer.time(l.Balance, nowMs); t > 0 && (fastest == 0 || t < fastest) {
			fastest = t
		}
	}
	return fastest
}

// judge weighs a member. A member that is recovering has a part of its weight (slow_start).
func (s *set) judge(i int, b Balance, unmeasured float64, nowMs int64) candidate {
	m := &s.members[i]
	j := candidate{at: i, active: m.peer.Active.Load(), weight: float64(m.weight)}
	j.cost = float64(j.active)
	if s.slow {
		j.weight *= float64(max(m.ramp(nowMs), 1))
	}
	if b.By == ByConns {
		return j
	}
	t := m.peer.time(b, nowMs)
	if t == 0 {
		t = max(unmeasured, 1)
	}
	j.cost = t * (j.cost + 1)
	return j
}

// claimAt is claim for a member that must still have as many active requests as it was judged
// by.
func (s *set) claimAt(i int, nowMs, active int64) bool {
	m := &s.members[i]
	switch {
	case m.maxConns > 0 && active >= m.maxConns, !m.peer.Active.CompareAndSwap(active, active+1):
		return false
	case !s.single && !m.claim(nowMs):
		m.peer.Active.Add(-1)
		return false
	}
	if s.timed {
		m.peer.asked(nowMs)
	}
	return true
}
