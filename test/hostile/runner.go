package hostile

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/test/proc"
)

// probeTarget is the path of the well-behaved requests between the cases.
const probeTarget = "/probe-"

// Lane is one listener of the proxy with a backend of its own, so that all the backend
// sees belongs to one case.
type Lane struct {
	Front   string // address of the proxy's listener
	Backend *Recorder
}

// Options say how to run a corpus.
type Options struct {
	Lanes []Lane
	// Patience bounds the wait for an answer that is due.
	Patience time.Duration
	// Quiet is how long nothing must come before nothing more is expected.
	Quiet time.Duration
	// Stray is how long to wait for more when an answer is here that is not allowed; zero
	// is as long as Patience.
	Stray time.Duration
	// Bytewise sends everything in segments of one byte, but for what is very long.
	Bytewise bool
}

// Result is what a proxy made of one case.
type Result struct {
	Case    *Case
	Outcome Outcome
	Flaw    Flaw
	// Why explains the flaw, or the outcome where it is not allowed.
	Why string
	// Allowed tells whether the outcome is one of the case's.
	Allowed bool
	// Changes says what the proxy made of the request it forwarded.
	Changes string
}

// OK tells whether nothing is wrong.
func (r *Result) OK() bool { return r.Flaw == FlawNone && r.Allowed }

// Verdict names the result in a word or two.
func (r *Result) Verdict() string {
	if r.Flaw != FlawNone {
		return string(r.Flaw)
	}
	return r.Outcome.String()
}

// Run plays the cases, as many at a time as there are lanes; the results are in the
// order of the cases.
func Run(cases []Case, o Options) []Result {
	results := make([]Result, len(cases))
	var next atomic.Int64
	var all sync.WaitGroup
	for _, lane := range o.Lanes {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(cases) {
					return
				}
				results[i] = runCase(&cases[i], lane, o)
			}
		})
	}
	all.Wait()
	return results
}

func runCase(c *Case, lane Lane, o Options) Result {
	r := Result{Case: c}
	lane.Backend.begin(c.Response, o.Bytewise)
	defer func() {
		if lane.Backend.end(c.Reuse) {
			_ = probe(lane.Front) // meets the ended connections in place of the next case
		}
	}()
	peer, err := startClient(lane.Front, c.Request, o.Bytewise)
	if err != nil {
		r.Flaw, r.Why = FlawCrash, err.Error()
		return r
	}
	pending := watch(peer, c, o)
	r.Outcome, _ = peer.outcome()
	data, fin, _ := peer.seen()
	peer.close()
	settle(lane.Backend, o)
	r.judge(peer, lane.Backend, data, fin)
	r.allow(pending)
	if err := probe(lane.Front); err != nil && r.Flaw == FlawNone {
		r.Flaw, r.Why = FlawPoisoned, err.Error()
	}
	if lane.Backend.reused() && !c.Reuse && r.Flaw == FlawNone {
		r.Flaw, r.Why = FlawReused, "the connection of the hostile answer was used again"
	}
	return r
}

// watch waits until the client has what it is due, and a quiet moment longer. pending
// means that an answer was on its way when the patience ended.
func watch(peer *client, c *Case, o Options) (pending bool) {
	deadline := time.NewTimer(o.Patience)
	defer deadline.Stop()
	for {
		seen, pending := peer.outcome()
		_, _, ended := peer.seen()
		if ended {
			return false
		}
		var quiet <-chan time.Time
		switch {
		case pending:
		case clientAllows(c, seen) && len(seen.Statuses) < most(c):
			// A request that comes after the case would be taken for one of the next.
			quiet = time.After(10 * o.Quiet)
		case clientAllows(c, seen):
			quiet = time.After(o.Quiet)
		case len(seen.Statuses) > 0 && o.Stray > 0:
			quiet = time.After(o.Stray)
		}
		select {
		case <-peer.news:
		case <-quiet:
			return false
		case <-deadline.C:
			return pending
		}
	}
}

// most is how many requests may be forwarded at most.
func most(c *Case) int {
	n := 0
	for _, o := range c.Allowed {
		n = max(n, o.Forwarded)
	}
	return n
}

// clientAllows tells whether what the client has may be all.
func clientAllows(c *Case, seen Outcome) bool {
	for _, o := range c.Allowed {
		seen.Forwarded = o.Forwarded
		if o.matches(seen, c.Scripted()) {
			return true
		}
	}
	return false
}

// settle waits until the proxy has ended what it broke off.
func settle(b *Recorder, o Options) {
	deadline := time.Now().Add(o.Patience)
	for time.Now().Before(deadline) {
		busy := false
		for _, s := range b.streams() {
			busy = busy || s.busy
		}
		if !busy {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// judge looks at what went through, in both directions.
func (r *Result) judge(peer *client, b *Recorder, data []byte, fin bool) {
	var through []byte
	for _, s := range b.streams() {
		whole, flaw, why := judgeRequests(s.data)
		r.Outcome.Forwarded += whole
		if r.Flaw == FlawNone {
			r.Flaw, r.Why = flaw, why
		}
		if r.Changes == "" {
			r.Changes = changes(r.Case.sent(), s.data)
		}
		through = append(through, s.data...)
	}
	if r.Outcome.End != EndHeadless && r.Flaw == FlawNone {
		r.Flaw, r.Why = judgeResponses(data, peer.methods, fin)
	}
	if r.Case.Scripted() {
		through = data
	}
	if leak := leaks(r.Case, through); leak != "" && r.Flaw == FlawNone {
		r.Flaw, r.Why = FlawLeak, leak
	}
}

// leaks compares what was let through, if anything was, with the texts of the case.
func leaks(c *Case, through []byte) string {
	if len(through) == 0 {
		return ""
	}
	lower := strings.ToLower(string(through))
	for _, text := range c.Sees {
		if !strings.Contains(lower, strings.ToLower(text)) {
			return "lacks " + Escape([]byte(text), 40)
		}
	}
	for _, text := range c.Lacks {
		if strings.Contains(lower, strings.ToLower(text)) {
			return "has " + Escape([]byte(text), 40)
		}
	}
	return ""
}

// allow compares with what the case expects.
func (r *Result) allow(pending bool) {
	for _, o := range r.Case.Allowed {
		r.Allowed = r.Allowed || o.matches(r.Outcome, r.Case.Scripted())
	}
	answers := r.Outcome.Statuses
	switch {
	case r.Flaw != FlawNone:
	case !r.Allowed && (r.Outcome.End == EndWaits && !r.Case.cut() || pending && r.Outcome.End != EndHeadless):
		r.Flaw, r.Why = FlawHang, "no answer, or not all of it"
	case !r.Allowed && r.Outcome.End == EndRefused && !r.Case.Scripted() && oursIsError(answers[len(answers)-1]):
		r.Flaw, r.Why = FlawError, "status "+strconv.Itoa(answers[len(answers)-1])
	case !r.Allowed:
		r.Why = "not among the allowed outcomes"
	}
}

// oursIsError tells the statuses that speak of a failure behind the proxy from those that
// refuse a request (501, 505).
func oursIsError(status int) bool { return status >= 500 && status != 501 && status != 505 }

var probes atomic.Int64

// probe checks that a well-behaved client gets its own answer. It asks twice, on one
// connection, so that the second may meet what the case left behind, too.
func probe(front string) error {
	c := proc.Try(front)
	defer c.Close()
	for range 2 {
		target := probeTarget + strconv.FormatInt(probes.Add(1), 10)
		c.Send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		h := c.Head()
		body := string(c.Body(h))
		if c.Err() != nil {
			return fmt.Errorf("the next client: %w", c.Err())
		}
		if h.Status() != 200 || body != target {
			return fmt.Errorf("the next client asked for %s and got %q %q", target, h.Start, strings.TrimSpace(body))
		}
	}
	return nil
}
