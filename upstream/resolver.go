package upstream

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookupsMax bounds the names of one Resolver that are being looked up.
	lookupsMax = 256
	// waitersMax bounds those who wait for one name.
	waitersMax = 1 << 16
	// answersMax bounds the answers that a Resolver remembers.
	answersMax = 4096
	// ttlMin is the least that an answer is used: name servers may say 0.
	ttlMin = time.Second
	// ttlMax is the most, so that a wrong answer does not stay for ever (RFC 8767 section 4
	// suggests a limit in days).
	ttlMax = 24 * time.Hour
	// negativeMax bounds how long it is remembered that there is no such name.
	negativeMax = 5 * time.Second
	// failureAge is how long a failure is remembered. Where the last good answer is used
	// instead, name servers are left alone for longer (RFC 8767 section 5).
	failureAge = time.Second
	staleRetry = 30 * time.Second
	// staleMax is how long a good answer is kept after its time for when name servers fail.
	staleMax = 24 * time.Hour
	// patience is how long those wait who could have the last good answer (the client response
	// timer of RFC 8767 section 5).
	patience = 1800 * time.Millisecond
)

// ResolverOptions say whom a Resolver asks, and how long.
type ResolverOptions struct {
	// Servers are the name servers, asked in turn.
	Servers []netip.AddrPort
	// Timeout bounds one question, all its tries together.
	Timeout time.Duration
	// Valid is how long an answer is used; 0 for as long as its records say.
	Valid time.Duration
	// NoIPv4 and NoIPv6 leave out the addresses of a family.
	NoIPv4, NoIPv6 bool
}

// Answer is what a name stands for.
type Answer struct {
	Status ResolveStatus
	// Addrs are the addresses of a name that Resolve was asked about, Services what
	// ResolveService found. Several callers share them: they are not to be changed.
	Addrs    []netip.Addr
	Services []Service
	// Valid is how long the answer may be used without asking again.
	Valid time.Duration
	// Stale says that asking failed, as Failure says, and that this is the last good answer.
	Stale   bool
	Failure ResolveStatus
}

// Service is one address that a service is offered at (RFC 2782).
type Service struct {
	Addr             netip.AddrPort
	Priority, Weight uint16
}

// ResolverStats are the counts of a Resolver since it was made.
type ResolverStats struct {
	Questions uint64 // sent to name servers, tries included
	Answers   uint64 // replies that fit a question
	Failures  uint64 // of these, those that could not say; and servers where nobody listens
	Timeouts  uint64 // questions that a server did not answer in time
	Stale     uint64 // names for which the last good answer was taken instead
}

type resolverStats struct{ questions, answers, failures, timeouts, stale atomic.Uint64 }

// Resolver turns names into addresses, each on a goroutine of its own for as long as that
// takes; for one name there is one at a time. It is safe for every shard at once.
type Resolver struct {
	options ResolverOptions
	waiters atomic.Int32
	turn    atomic.Uint32
	stats   resolverStats

	mu      sync.Mutex // never held while a name server is asked
	answers map[lookup]remembered
	flights map[lookup]*flight // what is being looked up
}

// flight is a lookup under way.
type flight struct {
	waiting []func(Answer)
	late    bool // the last good answer is given to who asks now
}

// lookup is what is looked up: a name in lower case, and whether it is one of a service.
type lookup struct {
	name    string
	service bool
}

type remembered struct {
	answer Answer
	until  time.Time // when to ask again
	good   time.Time // when the good answer's own time was over; zero if there is none
}

// usable reports whether the answer may be used after its time, while name servers fail.
func (m *remembered) usable(now time.Time) bool {
	return m.answer.Status == Resolved && now.Sub(m.good) < staleMax
}

// stale is the answer for who can't have another one.
func (m *remembered) stale(failure ResolveStatus, valid time.Duration) Answer {
	a := m.answer
	a.Stale, a.Failure, a.Valid = true, failure, valid
	return a
}

// NewResolver returns a Resolver that asks the servers of o, of which there must be one.
func NewResolver(o ResolverOptions) *Resolver {
	return &Resolver{options: o, answers: map[lookup]remembered{}, flights: map[lookup]*flight{}}
}

// Timeout is how long after Resolve its answer comes at the latest.
func (r *Resolver) Timeout() time.Duration { return r.options.Timeout }

// Stats are the counts so far.
func (r *Resolver) Stats() ResolverStats {
	s := &r.stats
	return ResolverStats{
		Questions: s.questions.Load(), Answers: s.answers.Load(), Failures: s.failures.Load(),
		Timeouts: s.timeouts.Load(), Stale: s.stale.Load(),
	}
}

// Resolve looks a name up and calls done with its addresses, on another goroutine. false
// means that too many wait already, and that done will not be called. It does not block.
func (r *Resolver) Resolve(name string, done func(Answer)) bool {
	return r.begin(lookup{name: name}, done)
}

// ResolveService is Resolve for the name of a service, such as _http._tcp.example.com: its SRV
// records and the addresses of the servers that they name.
func (r *Resolver) ResolveService(name string, done func(Answer)) bool {
	return r.begin(lookup{name: name, service: true}, done)
}

func (r *Resolver) begin(what lookup, done func(Answer)) bool {
	if r.waiters.Add(1) > waitersMax {
		r.waiters.Add(-1)
		return false
	}
	go r.serve(what, func(a Answer) {
		r.waiters.Add(-1)
		done(a)
	})
	return true
}

// serve answers from memory, joins a lookup under way, or makes one.
func (r *Resolver) serve(what lookup, done func(Answer)) {
	question, ok := dnsName(what.name)
	if !ok {
		done(Answer{Status: ResolveNoName, Valid: failureAge})
		return
	}
	what.name = question.String()
	now := time.Now()
	r.mu.Lock()
	known, remembered := r.answers[what]
	f, underWay := r.flights[what]
	usable := remembered && known.usable(now)
	var answer Answer
	switch {
	case remembered && now.Before(known.until):
		answer = known.answer
		answer.Valid = known.until.Sub(now)
	case underWay && f.late && usable:
		answer = known.stale(ResolveTimeout, failureAge)
	case underWay:
		f.waiting = append(f.waiting, done)
		r.mu.Unlock()
		return
	case len(r.flights) >= lookupsMax && usable:
		answer = known.stale(ResolveBusy, failureAge) // strangers' names must not cost this one its answer
	case len(r.flights) >= lookupsMax:
		answer = Answer{Status: ResolveBusy}
	default:
		r.flights[what] = &flight{waiting: []func(Answer){done}}
		r.mu.Unlock()
		if usable {
			defer time.AfterFunc(patience, func() { r.serveStale(what) }).Stop()
		}
		r.land(what, r.look(what, now.Add(r.options.Timeout)))
		return
	}
	r.mu.Unlock()
	done(answer)
}

// serveStale gives the last good answer to those who wait for a lookup that takes long.
func (r *Resolver) serveStale(what lookup) {
	r.mu.Lock()
	known, f := r.answers[what], r.flights[what]
	if f == nil || !known.usable(time.Now()) {
		r.mu.Unlock()
		return
	}
	waiting := f.waiting
	f.waiting, f.late = nil, true
	r.stats.stale.Add(1)
	r.mu.Unlock()
	for _, done := range waiting {
		done(known.stale(ResolveTimeout, failureAge))
	}
}

// look asks for what is not remembered.
func (r *Resolver) look(what lookup, deadline time.Time) Answer {
	if what.service {
		return r.lookService(what.name, deadline)
	}
	return r.lookName(what.name, deadline)
}

// land remembers an answer and hands it to all who wait for it. After a failure it is the
// last good answer, if there is one.
func (r *Resolver) land(what lookup, a Answer) {
	now := time.Now()
	r.mu.Lock()
	entry := remembered{answer: a, until: now.Add(a.Valid), good: now.Add(a.Valid)}
	last, known := r.answers[what]
	switch {
	case a.Status == Resolved:
	case known && a.Status != ResolveNoName && last.usable(now):
		retry := staleRetry
		if r.options.Valid > 0 {
			retry = min(retry, max(r.options.Valid, failureAge))
		}
		entry.answer, entry.good = last.stale(a.Status, retry), last.good
		entry.until = now.Add(retry)
		r.stats.stale.Add(1)
	default:
		entry.good = time.Time{}
	}
	r.makeRoom(now)
	r.answers[what] = entry
	waiting := r.flights[what].waiting
	delete(r.flights, what)
	r.mu.Unlock()
	a = entry.answer
	a.Valid = entry.until.Sub(now)
	for _, done := range waiting {
		done(a)
	}
}

// makeRoom forgets answers if there are too many: those that nobody would use again, and, so
// that it is not done for every name, some of the others.
func (r *Resolver) makeRoom(now time.Time) {
	if len(r.answers) < answersMax {
		return
	}
	for what, known := range r.answers {
		if now.After(known.until) && now.Sub(known.good) >= staleMax {
			delete(r.answers, what)
		}
	}
	for what := range r.answers {
		if len(r.answers) < answersMax-answersMax/16 {
			return
		}
		delete(r.answers, what)
	}
}

// valid is how long an answer is used whose records say ttl seconds.
func (r *Resolver) valid(ttl uint32) time.Duration {
	if r.options.Valid > 0 {
		return r.options.Valid
	}
	return min(max(time.Duration(ttl)*time.Second, ttlMin), ttlMax)
}
