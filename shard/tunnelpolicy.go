package shard

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"holdfast/httpparse"
	"holdfast/observe"
)

// TunnelCounts are the counts of tunnels that tunnels_max limits, for the life of the
// process: a tunnel keeps a number, and what has the same name in two configurations shares
// a count.
type TunnelCounts struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*TunnelCount]
}

// TunnelCount is one of them: tunnels, and requests that may become some.
type TunnelCount struct {
	name    string
	live    atomic.Int64
	passed  atomic.Uint64
	refused atomic.Uint64
	_       [24]byte // counts of others stay out of its cache line
}

// Name is what Open was told.
func (c *TunnelCount) Name() string { return c.name }

// Live is how many there are now.
func (c *TunnelCount) Live() int64 { return c.live.Load() }

// Passed is how many requests have been counted.
func (c *TunnelCount) Passed() uint64 { return c.passed.Load() }

// Refused is how many requests found the limit reached.
func (c *TunnelCount) Refused() uint64 { return c.refused.Load() }

// take counts one more unless there are most already.
func (c *TunnelCount) take(most int64) bool {
	for {
		n := c.live.Load()
		if n >= most {
			return false
		}
		if c.live.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Open returns the number, from 1 on, of the count with that name. Not for a shard's thread.
func (t *TunnelCounts) Open(name string) (number uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*TunnelCount
	if l := t.list.Load(); l != nil {
		list = *l
	}
	for i := range list {
		if list[i].name == name {
			return uint32(i + 1)
		}
	}
	grown := append(list[:len(list):len(list)], &TunnelCount{name: name})
	t.list.Store(&grown)
	return uint32(len(grown))
}

// At is the count with that number.
func (t *TunnelCounts) At(number uint32) *TunnelCount { return (*t.list.Load())[number-1] }

// uncount gives back what is counted under a number; 0 for nothing.
func (sh *Shard) uncount(number uint32) {
	if number != 0 {
		sh.opt.TunnelCounts.At(number).live.Add(-1)
	}
}

// forgetCount gives back what the request counts as a tunnel to be.
func (sh *Shard) forgetCount(r *Request) {
	sh.uncount(r.tunnelCount)
	r.tunnelCount = 0
}

// keepCount leaves the request's count to the tunnel that it becomes, which knows it by its
// policy.
func (sh *Shard) keepCount(s *Session, r *Request) {
	if number := sh.opt.Policies.At(s.policy).TunnelCount; number != r.tunnelCount {
		sh.forgetCount(r)
		if number != 0 {
			sh.opt.TunnelCounts.At(number).live.Add(1)
		}
	}
	r.tunnelCount = 0
}

// mayTunnel judges a request that may become a tunnel before an upstream is asked: its
// Origin (websocket_origin) and how many there are (tunnels_max). false means that it was
// refused.
func (sh *Shard) mayTunnel(s *Session, r *Request) bool {
	if !r.connect {
		if r.paged && r.asGet && !sh.pageMayTunnel(r) {
			sh.countOutcome(r, observe.OutcomeRejected)
			r.upgrade = httpparse.UpgradeNone
		}
		if r.upgrade == httpparse.UpgradeNone || r.proxy.NeverUpgrades() {
			sh.forgetCount(r)
			return true
		}
		if !sh.originFits(s, r) {
			return false
		}
	}
	return sh.countFits(s, r)
}

// pageMayTunnel reports whether a handshake that an error page answers may still become a
// tunnel there. Where it may not the page comes like any other.
func (sh *Shard) pageMayTunnel(r *Request) bool {
	set, head := r.settings(), r.env.Head[:r.req.HeadLen]
	if r.upgrade == httpparse.UpgradeNone {
		return true
	}
	if r.req.AsksWebSocket(head) {
		if set.WebsocketStrict && r.req.CheckWebSocket(head) != httpparse.OK {
			return false
		}
		if set.Origins != nil {
			if _, ok := set.Origins.Allow(&r.env); !ok {
				return false
			}
		}
	}
	return set.TunnelCount == 0 || r.tunnelCount == set.TunnelCount ||
		sh.opt.TunnelCounts.At(set.TunnelCount).Live() < set.TunnelsMax
}

// originFits judges the Origin of a WebSocket handshake (websocket_origin).
func (sh *Shard) originFits(s *Session, r *Request) bool {
	origins := r.settings().Origins
	if origins == nil || !r.req.AsksWebSocket(r.env.Head) {
		return true
	}
	origin, ok := origins.Allow(&r.env)
	if ok {
		return true
	}
	s.cause(observe.ReasonRefused, observe.SideProxy)
	shown := append(sh.out[:0], '"')
	for _, c := range origin[:min(len(origin), keyShown)] {
		if c == '"' || c == '\\' { // the log escapes the rest
			shown = append(shown, '\\', 'x', '0'+c>>4, "0123456789ABCDEF"[c&15])
		} else {
			shown = append(shown, c)
		}
	}
	shown = append(shown, '"')
	sh.out = shown[:0]
	sh.logError(s, observe.LevelInfo, "client's Origin is not allowed by websocket_origin:", shown)
	sh.refuse(s, 403)
	return false
}

// countFits counts the request as a tunnel to be (tunnels_max).
func (sh *Shard) countFits(s *Session, r *Request) bool {
	set := r.settings()
	if r.tunnelCount != set.TunnelCount {
		sh.forgetCount(r)
	}
	if set.TunnelCount == 0 || r.tunnelCount != 0 {
		return true
	}
	count := sh.opt.TunnelCounts.At(set.TunnelCount)
	if count.take(set.TunnelsMax) {
		count.passed.Add(1)
		r.tunnelCount = set.TunnelCount
		return true
	}
	count.refused.Add(1)
	sh.counters.Limited++
	s.cause(observe.ReasonRefused, observe.SideProxy)
	sh.logError(s, observe.LevelError, "limiting tunnels by tunnels_max of", sh.quoted(count.name))
	r.retrySec = int(set.TunnelsRetry + share(s.id, set.TunnelsRetry/2+1))
	sh.refuse(s, 503)
	return false
}

// share is a number from 0 to n-1, evenly spread over connections.
func share(connection uint64, n int64) int64 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	part, _ := bits.Mul64(connection*golden, uint64(n))
	return int64(part)
}

// expiresAt is when a tunnel has come to its age (tunnel_max_lifetime), on the clock of
// nowMs. The jitter is its own and stays the same.
func (sh *Shard) expiresAt(s *Session, p *Policy) (atMs int64) {
	jitterMs := p.LifetimeMs / 100 * int64(p.LifetimeJitter)
	return sh.tickMs(s.openedTick) + p.LifetimeMs - jitterMs + share(s.id, 2*jitterMs+1)
}
