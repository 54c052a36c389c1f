package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// failoverLoad asks at a rate over connections that stay open. One request in ten can't be
// repeated (POST).
type failoverLoad struct {
	front string
	turns chan struct{} // a turn for each request
	ended chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	done    int
	served  map[string]int // by backend
	retried int            // went to more than one backend
	failed  map[string]int // requests that can be repeated, by what happened
	lost    map[string]int // the others
	judged  int            // how many of lost were judged
}

func startFailoverLoad(t *testing.T, front string, scale failoverScale) *failoverLoad {
	l := &failoverLoad{
		front: front, turns: make(chan struct{}, scale.rate), ended: make(chan struct{}),
		served: map[string]int{}, failed: map[string]int{}, lost: map[string]int{},
	}
	for range scale.clients {
		l.wg.Go(l.client)
	}
	l.wg.Go(func() {
		defer close(l.turns)
		const steps = 50 // a second
		ticks := time.NewTicker(time.Second / steps)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
			case <-l.ended:
				return
			}
			for range scale.rate / steps {
				select {
				case l.turns <- struct{}{}:
				default: // the machine is too slow
				}
			}
		}
	})
	t.Cleanup(l.stop)
	return l
}

// stop ends the load; it may be called again.
func (l *failoverLoad) stop() {
	l.mu.Lock()
	select {
	case <-l.ended:
	default:
		close(l.ended)
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// client asks on one connection, and on a new one where that has ended.
func (l *failoverLoad) client() {
	var c *proc.Raw
	n := 0
	for range l.turns {
		if c == nil {
			c = proc.Try(l.front)
		}
		post := n%10 == 9
		n++
		if post {
			c.Send(wire.Lines("POST / HTTP/1.1", "Host: x", "Content-Length: 4") + "once")
		} else {
			c.Send(get("/"))
		}
		h := c.Head()
		c.Body(h)
		l.count(post, h, c.Err())
		if c.Err() != nil || strings.EqualFold(h.Get("Connection"), "close") {
			c.Close()
			c = nil
		}
	}
	if c != nil {
		c.Close()
	}
}

func (l *failoverLoad) count(post bool, h wire.Head, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	tries := h.Get("X-Up")
	if strings.Contains(tries, ",") {
		l.retried++
	}
	if err == nil && h.Status() == 200 {
		l.served[lastTry(tries)]++
		return
	}
	what := fmt.Sprint(h.Status(), " by ", tries)
	if err != nil {
		what = err.Error()
	}
	if post {
		l.lost[what]++
	} else {
		l.failed[what]++
	}
}

// await waits for n more answers and returns how many came meanwhile.
func (l *failoverLoad) await(t *testing.T, what string, n int) int {
	t.Helper()
	count := func() int { l.mu.Lock(); defer l.mu.Unlock(); return l.done }
	before := count()
	proc.Until(t, what, func() error {
		if done := count() - before; done < n {
			return fmt.Errorf("%d of %d: %s", done, n, l)
		}
		return nil
	})
	return count() - before
}

// servedBy is how many requests a backend has answered.
func (l *failoverLoad) servedBy(peer string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.served[peer]
}

// awaitPeer waits for an answer of a backend.
func (l *failoverLoad) awaitPeer(t *testing.T, peer string) {
	t.Helper()
	before := l.servedBy(peer)
	proc.Until(t, "answers of "+peer, func() error {
		if l.servedBy(peer) == before {
			return fmt.Errorf("none: %s", l)
		}
		return nil
	})
}

// expect reports requests that failed though they can be repeated, and more others than may be
// lost since the last look.
func (l *failoverLoad) expect(t *testing.T, most int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) > 0 {
		t.Errorf("requests failed: %v", l.failed)
	}
	lost := 0
	for _, n := range l.lost {
		lost += n
	}
	if lost-l.judged > most {
		t.Errorf("%d requests lost, at most %d may be: %v", lost-l.judged, most, l.lost)
	}
	l.judged = lost
}

// String tells what became of the requests.
func (l *failoverLoad) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var shares []string
	for _, peer := range slices.Sorted(maps.Keys(l.served)) {
		shares = append(shares, fmt.Sprint(l.served[peer]))
	}
	return fmt.Sprintf("%d requests, by backend %s, %d tried again, failed %v, lost %v",
		l.done, strings.Join(shares, " "), l.retried, l.failed, l.lost)
}
