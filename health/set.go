package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"holdfast/observe"
	"holdfast/upstream"
)

const (
	// activeMax is how many checks are made at a time; others wait for their turn.
	activeMax = 256
	// firstMax bounds the delay of a server's first check, which spreads those of many servers.
	firstMax = time.Second
)

// ActiveMax is how many checks are made at a time at most: each has a descriptor open.
const ActiveMax = activeMax

// Options are what a Set is made of.
type Options struct {
	// Log writes a line into the error log.
	Log func(level observe.Level, format string, args ...any)
	// NowMs is the clock of the groups.
	NowMs func() int64
	dial  dialer
}

// Set makes the checks of a configuration. Its methods may be called from any goroutine.
type Set struct {
	opt Options

	mu      sync.Mutex
	runners map[string]*runner
	healthy map[*upstream.Peer]bool // before the update under way
	active  int
	waiting []*target // in the order they came
	closed  bool
	running sync.WaitGroup
}

// runner makes one check. Its fields belong to the Set's lock.
type runner struct {
	check   *Check
	targets map[*upstream.Peer]*target
}

// target is one server that is checked. Its fields belong to the Set's lock; kept is its
// check's while one is under way.
type target struct {
	set    *Set
	runner *runner
	peer   *upstream.Peer
	state  state
	timer  *time.Timer
	cancel context.CancelFunc // of the check under way; nil for none
	kept   *line
	gone   bool
}

// NewSet makes a Set without checks.
func NewSet(opt Options) *Set {
	if opt.dial == nil {
		opt.dial = dial
	}
	return &Set{opt: opt, runners: map[string]*runner{}}
}

// Update goes on with the checks of a configuration. What is known about servers that are still
// checked in the same way holds on, but for those that must pass anew (mandatory); checks that
// are gone have no more say.
func (s *Set) Update(checks []*Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.update(checks)
}

func (s *Set) update(checks []*Check) {
	if s.closed {
		return
	}
	before := s.runners
	s.runners = make(map[string]*runner, len(checks))
	s.healthy = healthyOf(before)
	for _, r := range before {
		r.check.Group.Watch(nil)
	}
	for _, c := range checks {
		switch r := before[c.Key]; {
		case s.runners[c.Key] != nil: // two locations with the same
			continue
		case r == nil:
			s.runners[c.Key] = &runner{check: c, targets: map[*upstream.Peer]*target{}}
		default:
			r.renew(c)
			s.runners[c.Key] = r
		}
		c.Group.Watch(func() { go s.follow(c.Group) })
	}
	for _, r := range s.runners {
		s.sync(r)
	}
	for key, r := range before {
		if s.runners[key] == nil {
			for _, t := range r.targets {
				t.end()
			}
		}
	}
	s.healthy = nil
	s.see()
}

// healthyOf tells which servers are healthy by all checks.
func healthyOf(runners map[string]*runner) map[*upstream.Peer]bool {
	healthy := map[*upstream.Peer]bool{}
	for _, r := range runners {
		for p, t := range r.targets {
			was, known := healthy[p]
			healthy[p] = t.state.status == up && (was || !known)
		}
	}
	return healthy
}

// renew takes the check of the next configuration.
func (r *runner) renew(c *Check) {
	r.check = c
	for _, t := range r.targets {
		if after := t.state.renewed(c); after != t.state {
			t.become(after)
			t.timer.Reset(0)
		}
	}
}

// Close ends all checks and waits for those under way.
func (s *Set) Close() {
	s.mu.Lock()
	s.update(nil)
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
}

// follow looks anew at which servers a group has.
func (s *Set) follow(g *upstream.Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runners {
		if r.check.Group == g {
			s.sync(r)
		}
	}
	s.see()
}

// sync begins to check servers that are new in the group of r, and forgets those that have left.
func (s *Set) sync(r *runner) {
	left := make(map[*upstream.Peer]bool, len(r.targets))
	for p := range r.targets {
		left[p] = true
	}
	for _, p := range r.check.Group.AppendChecked(nil) {
		if delete(left, p); r.targets[p] == nil {
			r.targets[p] = s.begin(r, p)
		}
	}
	for p := range left {
		r.targets[p].end()
		delete(r.targets, p)
	}
}

// begin makes a target. One that is mandatory is checked at once.
func (s *Set) begin(r *runner, p *upstream.Peer) *target {
	t := &target{set: s, runner: r, peer: p}
	p.Health.Checkers.Add(1)
	wait := rand.N(min(r.check.Interval, firstMax) + 1)
	if r.check.Mandatory && (!r.check.Persistent || !s.healthy[p]) {
		t.become(state{status: checking})
		wait = 0
	}
	t.timer = time.AfterFunc(wait, t.fire)
	return t
}

// see says of all servers that they are known: every check that holds one has done so.
func (s *Set) see() {
	for _, r := range s.runners {
		for p := range r.targets {
			p.See()
		}
	}
}

// end takes back what the check says about the server.
func (t *target) end() {
	t.gone = true
	t.timer.Stop()
	t.become(state{})
	if t.peer.Health.Checkers.Add(-1) == 0 {
		t.peer.Unsee()
	}
	if t.cancel != nil {
		t.cancel()
	} else if t.kept != nil {
		_ = t.kept.Close()
	}
}

// become changes the state, and with it whether the peer gets requests.
func (t *target) become(after state) {
	before := t.state.status
	t.state = after
	h := &t.peer.Health
	for _, change := range [...]struct {
		status status
		by     int32
	}{{after.status, 1}, {before, -1}} {
		switch change.status {
		case checking:
			h.Checking.Add(change.by)
		case unhealthy:
			h.Failing.Add(change.by)
		}
	}
	switch {
	case before == up && after.status != up:
		t.peer.Hold()
	case before != up && after.status == up:
		if before == unhealthy && !t.gone {
			t.peer.Rise(t.set.opt.NowMs())
		}
		t.peer.Unhold()
	}
}

// fire makes the check, or has it wait for its turn.
func (t *target) fire() {
	s := t.set
	s.mu.Lock()
	if t.gone || t.cancel != nil {
		s.mu.Unlock()
		return
	}
	if s.active >= activeMax {
		s.waiting = append(s.waiting, t)
		s.mu.Unlock()
		return
	}
	s.active++
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	for ; t != nil; t = s.nextWaiting() {
		t.work()
	}
}

// nextWaiting is the target whose turn has come, or nil; then one check less is active.
func (s *Set) nextWaiting() *target {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) > 0 {
		t := s.waiting[0]
		s.waiting = s.waiting[1:]
		if !t.gone {
			return t
		}
	}
	s.active--
	return nil
}

// work makes one check and says when the next one is.
func (t *target) work() {
	s := t.set
	s.mu.Lock()
	if t.gone || t.cancel != nil {
		s.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t.cancel = cancel
	check, kept := t.runner.check, t.kept
	s.mu.Unlock()

	kept, f := check.run(ctx, s.opt.dial, t.peer, kept)

	s.mu.Lock()
	defer s.mu.Unlock()
	t.cancel, t.kept = nil, kept
	if t.gone {
		if kept != nil {
			_ = kept.Close()
		}
		return
	}
	t.note(f)
	c := t.runner.check
	t.timer.Reset(c.Interval + rand.N(c.Jitter+1))
}

// note takes a result.
func (t *target) note(f fault) {
	c, h := t.runner.check, &t.peer.Health
	passed := f == fault{}
	h.Checks.Add(1)
	h.LastPassed.Store(passed)
	if !passed {
		h.Fails.Add(1)
	}
	switch {
	case f.text != "":
		t.log(observe.LevelError, "%s while %s, "+where, f.text, f.while)
	case f.found != "":
		t.log(observe.LevelInfo, "%s while %s, "+where, f.found, f.while)
	}
	after := t.state
	changed := after.note(passed, c)
	before := t.state.status
	t.become(after)
	switch {
	case !changed:
	case !passed:
		h.Unhealthy.Add(1)
		t.log(observe.LevelWarn, "peer is unhealthy while %s, "+where, f.while)
	case before == unhealthy:
		t.log(observe.LevelNotice, "peer is healthy while %s, "+where, c.last())
	}
}

// where is the end of every line: which check of which server, in nginx's words.
const where = "health check %q of peer %s in upstream %q%s"

// log writes a line whose format ends with where.
func (t *target) log(level observe.Level, format string, args ...any) {
	c, port := t.runner.check, ""
	if c.Port != 0 {
		port = fmt.Sprintf(", port %d", c.Port)
	}
	t.set.opt.Log(level, format, append(args, c.Match, t.peer.Name, c.Upstream, port)...)
}

// last is the last step of a check that passes.
func (c *Check) last() string {
	switch {
	case c.HTTP == nil && c.Stream.Expect == nil && c.Stream.Pattern == nil:
		return whileConnecting
	case c.HTTP == nil:
		return whileData
	case len(c.HTTP.Bodies) > 0:
		return whileBody
	case len(c.HTTP.Headers) > 0:
		return whileHeader
	}
	return whileStatus
}
