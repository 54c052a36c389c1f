package limit

import "math"

// RateKeyMax is the longest key of a RateZone in bytes.
const RateKeyMax = math.MaxUint16

const (
	// rateOverhead is what nginx takes for a key beside its bytes.
	rateOverhead = 80
	// request is what one request puts into a bucket: all amounts are in thousandths.
	request = 1000
	// restMs is how long a key must have been silent to be given up for another.
	restMs = 60_000
	// never is a time before all others.
	never = math.MinInt64 / 4
)

// RateZone is a table of leaky buckets by key (limit_req_zone). It belongs to the Zones that
// opened it and is safe for every shard at once. Where it is full the keys that were silent
// for the longest time are forgotten.
type RateZone struct {
	Stats Stats

	identity
	parts parts
}

// Len is the number of keys in the table. It takes every lock in turn: not for a shard's
// thread.
func (z *RateZone) Len() int { return z.parts.used() }

// RateLimit is what requests have to keep to in one zone (limit_req).
type RateLimit struct {
	Zone *RateZone
	// Rate is in thousandths of a request a second, above 0.
	Rate int64
	// Burst and Delay are in thousandths of a request: what is above Burst is refused, what is
	// above Delay has to wait.
	Burst, Delay int64
}

// Verdict is what a zone says about a request.
type Verdict uint8

// The values of Verdict.
const (
	Within  Verdict = iota // the request keeps to the limit, perhaps if it waits
	Exceeds                // it does not
	NoRoom                 // its key is new, and there is no room for it
)

// Trial judges one request by several limits, as nginx does: all of them are asked before any
// is charged. It belongs to one goroutine, which uses it again and again. Times are in
// milliseconds of one clock for all.
type Trial struct {
	held []hold
	// DelayMs is how long the request has to wait, after Charge.
	DelayMs int64
	// Excess is how far above the rate the request is, in thousandths, by the limit that Zone
	// is of: the one that refused, or the one that makes it wait the longest.
	Excess int64
	Zone   *RateZone
}

// hold is a limit whose verdict was Within. at is its key's entry, which stays in the table
// meanwhile, or none if the bucket has been charged.
type hold struct {
	limit RateLimit
	part  uint32
	at    uint32
}

// Begin forgets the request before.
func (t *Trial) Begin() { *t = Trial{held: t.held[:0]} }

// Judge asks one limit. last says that no other follows: then the bucket is charged at once,
// so that between shards at least the last limit is exact. After a verdict that is not Within
// call Abandon, else in the end Charge. A key must have 1 to RateKeyMax bytes, which are
// copied; others are Within everything.
func (t *Trial) Judge(l RateLimit, key []byte, nowMs int64, last bool) Verdict {
	if len(key) == 0 || len(key) > RateKeyMax {
		return Within
	}
	hash := hashOf(key)
	number := l.Zone.parts.of(hash)
	p := &l.Zone.parts[number]
	p.mu.Lock()
	at, excess, v := p.judge(&l, key, hash, nowMs, last)
	p.mu.Unlock()
	if v != Within {
		t.Excess, t.Zone = excess, l.Zone
		return v
	}
	t.held = append(t.held, hold{l, number, at})
	if last {
		t.weigh(&l, excess)
	}
	return Within
}

// weigh takes note of a limit that makes the request wait longer than those before.
func (t *Trial) weigh(l *RateLimit, excess int64) {
	if excess <= l.Delay {
		return
	}
	if ms := millis(excess-l.Delay, l.Rate); ms > t.DelayMs {
		t.DelayMs, t.Excess, t.Zone = ms, excess, l.Zone
	}
}

// millis is how long a rate takes for an amount.
func millis(amount, rate int64) int64 {
	if amount > math.MaxInt64/1000 {
		return math.MaxInt64 / 1000
	}
	return amount * 1000 / rate
}

// Charge puts the request into the bucket of each limit that was asked.
func (t *Trial) Charge(nowMs int64) {
	for i := len(t.held) - 1; i >= 0; i-- {
		h := &t.held[i]
		if h.at == none {
			continue
		}
		p := &h.limit.Zone.parts[h.part]
		p.mu.Lock()
		e := &p.entries[h.at]
		excess := e.charge(h.limit.Rate, nowMs)
		e.count--
		p.mu.Unlock()
		h.at = none
		t.weigh(&h.limit, excess)
	}
}

// Abandon lets go of the limits that were asked, and charges nothing more.
func (t *Trial) Abandon() {
	for i := range t.held {
		h := &t.held[i]
		if h.at == none {
			continue
		}
		p := &h.limit.Zone.parts[h.part]
		p.mu.Lock()
		p.entries[h.at].count--
		p.mu.Unlock()
		h.at = none
	}
}

// Asked is how many limits were asked and did not refuse.
func (t *Trial) Asked() int { return len(t.held) }

// Each calls f for the zone of every limit that was asked and did not refuse.
func (t *Trial) Each(f func(z *RateZone)) {
	for i := range t.held {
		f(t.held[i].limit.Zone)
	}
}

// judge is Judge for the part of the key. at is none if nothing is held.
func (t *table) judge(l *RateLimit, key []byte, hash uint64, nowMs int64, last bool) (
	at uint32, excess int64, v Verdict,
) {
	if at = t.find(key, hash); at == none {
		if !t.makeRoom(key, l.Rate, nowMs) {
			return none, 0, NoRoom
		}
		at = t.add(key, hash)
		t.entries[at].lastMs = never
	} else {
		t.touch(at)
	}
	e := &t.entries[at]
	if excess, _ = e.level(l.Rate, nowMs); excess > l.Burst {
		return none, excess, Exceeds
	}
	if last {
		e.charge(l.Rate, nowMs)
		return none, excess, Within
	}
	e.count++
	return at, excess, Within
}

// level is what the bucket would hold with one request more, and how long ago it was charged.
// Shards read their clocks at different moments, so that may be less than 0.
func (e *entry) level(rate, nowMs int64) (excess, passedMs int64) {
	passedMs = nowMs - e.lastMs
	switch {
	case passedMs < -restMs:
		passedMs = 1
	case passedMs < 0:
		passedMs = 0
	}
	if passedMs/1000 > (e.excess+request)/rate {
		return 0, passedMs // also, nothing overflows
	}
	return max(e.excess-leaked(rate, passedMs)+request, 0), passedMs
}

// leaked is what leaves a bucket in that time.
func leaked(rate, ms int64) int64 { return ms/1000*rate + ms%1000*rate/1000 }

// charge puts one request into the bucket and returns what it holds then.
func (e *entry) charge(rate, nowMs int64) (excess int64) {
	excess, passedMs := e.level(rate, nowMs)
	if passedMs != 0 {
		e.lastMs = nowMs
	}
	e.excess = excess
	return excess
}

// makeRoom sees to it that there is room for the key: two keys may go that have been silent,
// and where that is not enough the oldest one whatever it did, and again two silent ones.
func (t *table) makeRoom(key []byte, rate, nowMs int64) bool {
	t.expire(2, rate, nowMs)
	if t.fits(key) {
		return true
	}
	if at := t.oldest; at == none || t.entries[at].count > 0 {
		return false
	}
	t.remove(t.oldest)
	t.expire(2, rate, nowMs)
	return t.fits(key)
}

// expire removes up to n of the oldest keys if their buckets are empty and they have been
// silent for a minute.
func (t *table) expire(n int, rate, nowMs int64) {
	for range n {
		at := t.oldest
		if at == none {
			return
		}
		e := &t.entries[at]
		ms := max(nowMs-e.lastMs, e.lastMs-nowMs)
		if e.count > 0 || ms < restMs || ms/1000 <= e.excess/rate && e.excess > leaked(rate, ms) {
			return
		}
		t.remove(at)
	}
}
