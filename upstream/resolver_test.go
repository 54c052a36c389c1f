package upstream_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"holdfast/upstream"
)

const resolveWait = 30 * time.Second

const (
	typeA    = dnsmessage.TypeA
	typeAAAA = dnsmessage.TypeAAAA
	typeSRV  = dnsmessage.TypeSRV
)

func resolver(servers ...*nameServer) *upstream.Resolver {
	return resolverWith(upstream.ResolverOptions{NoIPv6: true}, servers...)
}

func resolverWith(o upstream.ResolverOptions, servers ...*nameServer) *upstream.Resolver {
	for _, s := range servers {
		o.Servers = append(o.Servers, s.addr)
	}
	if o.Timeout == 0 {
		o.Timeout = resolveWait
	}
	return upstream.NewResolver(o)
}

func resolve(t *testing.T, r *upstream.Resolver, name string) upstream.Answer {
	t.Helper()
	return answerOf(t, func(done func(upstream.Answer)) bool { return r.Resolve(name, done) })
}

func resolveService(t *testing.T, r *upstream.Resolver, name string) upstream.Answer {
	t.Helper()
	return answerOf(t, func(done func(upstream.Answer)) bool { return r.ResolveService(name, done) })
}

func answerOf(t *testing.T, begin func(done func(upstream.Answer)) bool) upstream.Answer {
	t.Helper()
	result := make(chan upstream.Answer, 1)
	if !begin(func(a upstream.Answer) { result <- a }) {
		t.Fatal("refused")
	}
	select {
	case got := <-result:
		return got
	case <-time.After(2 * resolveWait):
		t.Fatal("no answer")
		return upstream.Answer{}
	}
}

func wantAddrs(t *testing.T, got upstream.Answer, want ...string) {
	t.Helper()
	var texts []string
	for _, a := range got.Addrs {
		texts = append(texts, a.String())
	}
	slices.Sort(texts)
	if got.Status != upstream.Resolved || !slices.Equal(texts, want) {
		t.Errorf("got %v %v, want %v", got.Status, texts, want)
	}
}

func wantStatus(t *testing.T, got upstream.Answer, want upstream.ResolveStatus) {
	t.Helper()
	if got.Status != want || len(got.Addrs)+len(got.Services) > 0 {
		t.Errorf("got %v %v %v, want %v", got.Status, got.Addrs, got.Services, want)
	}
}

func TestResolverBothFamilies(t *testing.T) {
	s := startNameServer(t, func(q asked) said {
		switch {
		case q.name != "good.test":
			return said{code: dnsmessage.RCodeNameError}
		case q.kind == typeA:
			return said{records: address(q.name, 300, "192.0.2.1", "192.0.2.2", "192.0.2.1")}
		}
		return said{records: address(q.name, 200, "2001:db8::1")}
	})
	r := resolverWith(upstream.ResolverOptions{}, s)
	got := resolve(t, r, "GOOD.test.")
	wantAddrs(t, got, "192.0.2.1", "192.0.2.2", "2001:db8::1")
	if got.Valid != 200*time.Second {
		t.Errorf("valid for %v", got.Valid)
	}
	wantAddrs(t, resolve(t, r, "good.test"), "192.0.2.1", "192.0.2.2", "2001:db8::1")
	if n := s.count("good.test"); n != 2 {
		t.Errorf("%d questions, want 2", n)
	}
	if got := r.Stats(); got.Questions != 2 || got.Answers != 2 || got.Failures+got.Timeouts+got.Stale != 0 {
		t.Errorf("stats %+v", got)
	}
	wantAddrs(t, resolve(t, resolverWith(upstream.ResolverOptions{NoIPv6: true}, s), "good.test"), "192.0.2.1", "192.0.2.2")
	wantAddrs(t, resolve(t, resolverWith(upstream.ResolverOptions{NoIPv4: true}, s), "good.test"), "2001:db8::1")
	wantStatus(t, resolve(t, r, "bad.test"), upstream.ResolveNoName)
	for _, name := range []string{"", "a b", "a\x00b", "..", "[::1", "a..b", ".a", "127.1", "1",
		"2130706433", strings.Repeat("a", 64), strings.Repeat("a.", 130)} {
		wantStatus(t, resolve(t, r, name), upstream.ResolveNoName)
	}
}

// TTLs are respected within bounds, valid= takes their place, and what is not there is
// remembered for as long as the zone says, but not for long.
func TestResolverValid(t *testing.T) {
	s := startNameServer(t, func(q asked) said {
		var ttl uint32
		if _, err := fmt.Sscanf(q.name, "ttl%d.test", &ttl); err == nil {
			return said{records: address(q.name, ttl, "192.0.2.1")}
		}
		if _, err := fmt.Sscanf(q.name, "none%d.test", &ttl); err == nil {
			return said{code: dnsmessage.RCodeNameError, records: []dnsmessage.Resource{authority(ttl)}}
		}
		return said{}
	})
	r := resolver(s)
	for name, want := range map[string]time.Duration{
		"ttl60.test": time.Minute, "ttl0.test": time.Second, "ttl4294967295.test": time.Second,
		"ttl2000000.test": 24 * time.Hour, "none2.test": 2 * time.Second, "none9999.test": 5 * time.Second, "empty.test": 5 * time.Second,
	} {
		if got := resolve(t, r, name); got.Valid != want {
			t.Errorf("%s is valid for %v, want %v", name, got.Valid, want)
		}
	}
	overridden := resolverWith(upstream.ResolverOptions{Valid: 7 * time.Second, NoIPv6: true}, s)
	for _, name := range []string{"ttl60.test", "ttl0.test"} {
		if got := resolve(t, overridden, name); got.Valid != 7*time.Second {
			t.Errorf("%s is valid for %v, want 7s", name, got.Valid)
		}
	}
}

func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(resolveWait); !reached(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not reached", what)
		}
	}
}

// A name that appears later is found, and one that moves is followed.
func TestResolverAsksAgain(t *testing.T) {
	s := startNameServer(t, func(q asked) said {
		switch q.nth {
		case 0:
			return said{code: dnsmessage.RCodeNameError, records: []dnsmessage.Resource{authority(1)}}
		case 1:
			return said{records: address(q.name, 3600, "192.0.2.1")}
		}
		return said{records: address(q.name, 3600, "192.0.2.2")}
	})
	r := resolverWith(upstream.ResolverOptions{NoIPv6: true, Valid: time.Millisecond}, s)
	wantStatus(t, resolve(t, r, "late.test"), upstream.ResolveNoName)
	seen := ""
	until(t, "the second address", func() bool {
		got := resolve(t, r, "late.test")
		if len(got.Addrs) > 0 {
			seen = got.Addrs[0].String()
		}
		return seen == "192.0.2.2"
	})
}

func TestResolverTruncated(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String()
	}
	s := startNameServer(t, func(q asked) said {
		switch {
		case q.name == "endless.test":
			return said{truncated: true}
		case q.tcp:
			return said{records: address(q.name, 60, many...)}
		}
		return said{truncated: true, records: address(q.name, 60, "192.0.2.200")}
	})
	slices.Sort(many)
	r := resolver(s)
	wantAddrs(t, resolve(t, r, "many.test"), many...)
	if n := s.count("many.test", true); n != 1 {
		t.Errorf("%d questions over TCP", n)
	}
	wantStatus(t, resolve(t, r, "endless.test"), upstream.ResolveFormat)
}

func TestResolverNextServer(t *testing.T) {
	good := func(q asked) said { return said{records: address(q.name, 60, "192.0.2.1")} }
	fails := func(code dnsmessage.RCode) func(asked) said { return func(asked) said { return said{code: code} } }
	for name, bad := range map[string]func(asked) said{
		"SERVFAIL": fails(dnsmessage.RCodeServerFailure), "REFUSED": fails(dnsmessage.RCodeRefused),
		"NOTIMP": fails(dnsmessage.RCodeNotImplemented), "silence": func(asked) said { return said{silent: true} },
		"nonsense": func(q asked) said { return said{records: []dnsmessage.Resource{broken(q.name)}} },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := startNameServer(t, bad), startNameServer(t, good)
			// In turn: of two names one comes to each server first.
			r := resolverWith(upstream.ResolverOptions{NoIPv6: true, Timeout: 3 * time.Second}, first, second)
			wantAddrs(t, resolve(t, r, "a.test"), "192.0.2.1")
			wantAddrs(t, resolve(t, r, "b.test"), "192.0.2.1")
			if first.count("a.test")+first.count("b.test") == 0 {
				t.Error("the first server was not asked")
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		r := resolverWith(upstream.ResolverOptions{NoIPv6: true, Servers: []netip.AddrPort{deadPort(t)}}, startNameServer(t, good))
		wantAddrs(t, resolve(t, r, "a.test"), "192.0.2.1")
		wantAddrs(t, resolve(t, r, "b.test"), "192.0.2.1")
	})
}

// broken is an address record of three bytes.
func broken(name string) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header(name, typeA, 1), Body: &dnsmessage.UnknownResource{Type: typeA, Data: []byte{1, 2, 3}}}
}

// deadPort is a port that nobody listens at.
func deadPort(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestResolverFailures(t *testing.T) {
	codes := map[string]dnsmessage.RCode{"format": dnsmessage.RCodeFormatError, "server": dnsmessage.RCodeServerFailure,
		"unknown": dnsmessage.RCodeNotImplemented, "refused": dnsmessage.RCodeRefused, "none": dnsmessage.RCodeNameError}
	s := startNameServer(t, func(q asked) said { return said{code: codes[q.name], silent: q.name == "silent"} })
	r := resolverWith(upstream.ResolverOptions{NoIPv6: true, Timeout: 500 * time.Millisecond}, s)
	for name, want := range map[string]string{
		"format": "1: Format error", "server": "2: Server failure", "none": "3: Host not found",
		"unknown": "4: Unimplemented", "refused": "5: Operation refused", "silent": "110: Operation timed out",
		"empty": "3: Host not found",
	} {
		got := resolve(t, r, name)
		if text := fmt.Sprintf("%d: %s", got.Status.Number(), got.Status); text != want {
			t.Errorf("%s: %s, want %s", name, text, want)
		}
	}
	dead := resolverWith(upstream.ResolverOptions{NoIPv6: true, Servers: []netip.AddrPort{deadPort(t)}})
	wantStatus(t, resolve(t, dead, "a.test"), upstream.ResolveFailed)
}

// Replies with another id, another question, from another place, and questions are not taken
// for replies (RFC 5452 section 9).
func TestResolverForgeries(t *testing.T) {
	const bad = "198.51.100.66"
	s := startNameServer(t, func(q asked) said {
		return said{records: address(q.name, 60, "192.0.2.1"), forged: []forgery{
			{id: 1, addr: bad}, {name: "other.test", addr: bad}, {elsewhere: true, addr: bad},
			{question: true, addr: bad}, {kind: typeAAAA, addr: bad}, {class: dnsmessage.ClassCHAOS, addr: bad},
		}}
	})
	r := resolverWith(upstream.ResolverOptions{NoIPv6: true}, s)
	for i := range 40 {
		wantAddrs(t, resolve(t, r, fmt.Sprintf("name%d.test", i)), "192.0.2.1")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ids) < 30 || len(s.from) < 20 {
		t.Errorf("%d ids and %d ports for 40 questions", len(s.ids), len(s.from))
	}
}

func TestResolverAliases(t *testing.T) {
	s := startNameServer(t, func(q asked) said {
		switch q.name {
		case "chain.test":
			return only(typeA, q, slices.Concat(address("c.test", 100, "192.0.2.3"), []dnsmessage.Resource{
				aliasOf("b.test", "C.test", 20), aliasOf("chain.test", "b.test", 50)},
				address("stranger.test", 5, "198.51.100.66"))...)
		case "far.test":
			return said{records: []dnsmessage.Resource{aliasOf(q.name, "target.test", 30)}}
		case "target.test":
			return only(typeA, q, address(q.name, 60, "192.0.2.4")...)
		case "nowhere.test":
			return said{code: dnsmessage.RCodeNameError, records: []dnsmessage.Resource{aliasOf(q.name, "gone.test", 30)}}
		case "ring.test", "gnir.test":
			return said{records: []dnsmessage.Resource{aliasOf("ring.test", "gnir.test", 30), aliasOf("gnir.test", "ring.test", 30)}}
		case "self.test":
			return said{records: []dnsmessage.Resource{aliasOf(q.name, q.name, 30)}}
		}
		var n int
		_, _ = fmt.Sscanf(q.name, "run%d.test", &n)
		return said{records: []dnsmessage.Resource{aliasOf(q.name, fmt.Sprintf("run%d.test", n+1), 30)}}
	})
	r := resolverWith(upstream.ResolverOptions{}, s)
	got := resolve(t, r, "chain.test")
	wantAddrs(t, got, "192.0.2.3")
	if got.Valid != 20*time.Second {
		t.Errorf("valid for %v, want the least of the chain", got.Valid)
	}
	got = resolve(t, r, "far.test")
	wantAddrs(t, got, "192.0.2.4")
	if got.Valid != 30*time.Second {
		t.Errorf("valid for %v, want the alias's", got.Valid)
	}
	for _, name := range []string{"nowhere.test", "ring.test", "self.test", "run0.test"} {
		wantStatus(t, resolve(t, r, name), upstream.ResolveNoName)
	}
}

// The last good answer is used while name servers fail, and given up once they say that there
// is no such name.
func TestResolverStale(t *testing.T) {
	s := startNameServer(t, func(q asked) said {
		switch {
		case q.nth == 0:
			return said{records: address(q.name, 60, "192.0.2.1")}
		case q.name == "gone.test":
			return said{code: dnsmessage.RCodeNameError}
		case q.nth == 1:
			return said{code: dnsmessage.RCodeServerFailure}
		}
		return said{records: address(q.name, 60, "192.0.2.2")}
	})
	r := resolverWith(upstream.ResolverOptions{NoIPv6: true, Valid: time.Millisecond}, s)
	wantAddrs(t, resolve(t, r, "kept.test"), "192.0.2.1")
	var got upstream.Answer
	until(t, "a stale answer", func() bool { got = resolve(t, r, "kept.test"); return got.Stale })
	wantAddrs(t, got, "192.0.2.1")
	if got.Failure != upstream.ResolveFailed || got.Valid <= 0 || r.Stats().Stale != 1 {
		t.Errorf("%+v, stats %+v", got, r.Stats())
	}
	until(t, "a good answer", func() bool { got = resolve(t, r, "kept.test"); return !got.Stale })
	wantAddrs(t, got, "192.0.2.2")

	// Nobody waits for a name server that may never answer.
	mute := startNameServer(t, func(q asked) said { return said{silent: q.nth > 0, records: address(q.name, 60, "192.0.2.1")} })
	waits := resolverWith(upstream.ResolverOptions{NoIPv6: true, Valid: time.Millisecond, Timeout: time.Hour}, mute)
	wantAddrs(t, resolve(t, waits, "kept.test"), "192.0.2.1")
	until(t, "a stale answer", func() bool { got = resolve(t, waits, "kept.test"); return got.Stale })
	wantAddrs(t, got, "192.0.2.1")
	wantAddrs(t, resolve(t, waits, "kept.test"), "192.0.2.1")

	wantAddrs(t, resolve(t, r, "gone.test"), "192.0.2.1")
	until(t, "the name is gone", func() bool { return resolve(t, r, "gone.test").Status == upstream.ResolveNoName })
}

func TestResolverServices(t *testing.T) {
	const name = "_http._tcp.shop.test"
	s := startNameServer(t, func(q asked) said {
		switch q.name {
		case name:
			return only(typeSRV, q, service(name, 90, 1, 5, 8001, "a.test"), service(name, 90, 1, 0, 8002, "b.test"),
				service(name, 90, 2, 7, 8003, "c.test"), service(name, 90, 1, 1, 8004, "missing.test"))
		case "a.test":
			return only(typeA, q, address(q.name, 40, "192.0.2.1", "192.0.2.11")...)
		case "b.test":
			return only(typeAAAA, q, address(q.name, 60, "2001:db8::2")...)
		case "c.test":
			return only(typeA, q, aliasOf("c.test", "d.test", 60), address("d.test", 60, "192.0.2.3")[0])
		case "_none._tcp.shop.test":
			return only(typeSRV, q, service(q.name, 60, 0, 0, 0, ""))
		}
		return said{code: dnsmessage.RCodeNameError, records: []dnsmessage.Resource{authority(70)}}
	})
	r := resolverWith(upstream.ResolverOptions{}, s)
	got := resolveService(t, r, name)
	var texts []string
	for _, s := range got.Services {
		texts = append(texts, fmt.Sprint(s.Addr, " ", s.Priority, " ", s.Weight))
	}
	slices.Sort(texts)
	want := []string{"192.0.2.11:8001 1 5", "192.0.2.1:8001 1 5", "192.0.2.3:8003 2 7", "[2001:db8::2]:8002 1 0"}
	if got.Status != upstream.Resolved || !slices.Equal(texts, want) {
		t.Errorf("got %v %q", got.Status, texts)
	}
	wantStatus(t, resolveService(t, r, "_none._tcp.shop.test"), upstream.ResolveNoName)
	wantStatus(t, resolveService(t, r, "_no._tcp.shop.test"), upstream.ResolveNoName)
	wantStatus(t, resolve(t, r, name), upstream.ResolveNoName) // it has no address
}

// One question is under way for a name, however many wait for it; of names there is a bound.
func TestResolverOneQuestion(t *testing.T) {
	release := make(chan struct{})
	s := startNameServer(t, func(q asked) said {
		if q.name == "slow.test" {
			<-release
		}
		return said{records: address(q.name, 60, "192.0.2.1")}
	})
	r := resolver(s)
	const many = 500
	done := make(chan upstream.Answer, many)
	for range many {
		if !r.Resolve("slow.test", func(a upstream.Answer) { done <- a }) {
			t.Fatal("refused")
		}
	}
	until(t, "a question", func() bool { return s.count("slow.test") > 0 })
	close(release)
	for range many {
		select {
		case a := <-done:
			wantAddrs(t, a, "192.0.2.1")
		case <-time.After(resolveWait):
			t.Fatal("one waits for ever")
		}
	}
	if n := s.count("slow.test"); n != 1 {
		t.Errorf("%d questions", n)
	}
}

func TestResolverIsBounded(t *testing.T) {
	s := startNameServer(t, func(asked) said { return said{silent: true} })
	r := resolverWith(upstream.ResolverOptions{NoIPv6: true, Timeout: 2 * time.Second}, s)
	const many = 1000
	done := make(chan upstream.Answer, many)
	for i := range many {
		if !r.Resolve(fmt.Sprintf("name%d.test", i), func(a upstream.Answer) { done <- a }) {
			t.Fatal("refused")
		}
	}
	count := map[upstream.ResolveStatus]int{}
	for range many {
		select {
		case a := <-done:
			count[a.Status]++
		case <-time.After(resolveWait):
			t.Fatal("lookups hang")
		}
	}
	if count[upstream.ResolveBusy] == 0 || count[upstream.ResolveTimeout] == 0 ||
		count[upstream.ResolveBusy]+count[upstream.ResolveTimeout] != many {
		t.Errorf("statuses %v", count)
	}
}
