package upstream

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// While too many names are looked up, one that has stood for something still does.
func TestResolverBusyKeepsTheLastAnswer(t *testing.T) {
	r := NewResolver(ResolverOptions{Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, Timeout: time.Second})
	for i := range lookupsMax {
		r.flights[lookup{name: fmt.Sprintf("x%d.test.", i)}] = &flight{}
	}
	addr := netip.MustParseAddr("192.0.2.1")
	past := time.Now().Add(-time.Minute)
	r.answers[lookup{name: "known.test."}] = remembered{answer: Answer{Status: Resolved, Addrs: []netip.Addr{addr}}, until: past, good: past}
	for name, want := range map[string]ResolveStatus{"known.test": Resolved, "other.test": ResolveBusy} {
		answers := make(chan Answer, 1)
		if !r.Resolve(name, func(a Answer) { answers <- a }) {
			t.Fatal("nobody may wait")
		}
		select {
		case a := <-answers:
			if a.Status != want || a.Stale != (want == Resolved) || a.Stale && a.Failure != ResolveBusy {
				t.Errorf("%s: %+v", name, a)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("no answer")
		}
	}
}
