package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookupsMax bounds the names of one Resolver that are being looked up.
	lookupsMax = 256
	// answersMax bounds the answers that a Resolver remembers.
	answersMax = 4096
	// answerAge is how long an answer is used without valid=: the system's resolver does not
	// tell how long it may be.
	answerAge = 10 * time.Second
)

// ResolverOptions say whom a Resolver asks, and how long.
type ResolverOptions struct {
	// Servers are the name servers, asked in turn.
	Servers []netip.AddrPort
	// Timeout bounds one question, all its tries together.
	Timeout time.Duration
	// Valid is how long an answer is used; 0 for ten seconds.
	Valid time.Duration
	// NoIPv4 and NoIPv6 leave out the addresses of a family.
	NoIPv4, NoIPv6 bool
}

// ResolveStatus is what a lookup came to.
type ResolveStatus uint8

// The statuses.
const (
	Resolved       ResolveStatus = iota
	ResolveNoName                // there is no such name, or it has no address
	ResolveTimeout               // nobody answered in time
	ResolveFailed                // the name servers could not say
)

// Resolver turns names into addresses, each on a goroutine of its own for as long as that
// takes. It is safe for every shard at once.
type Resolver struct {
	options ResolverOptions
	network string
	system  net.Resolver
	running atomic.Int32
	turn    atomic.Uint32

	mu      sync.Mutex
	answers map[string]answer
}

type answer struct {
	addrs []netip.Addr
	until time.Time
}

// NewResolver returns a Resolver that asks the servers of o, of which there must be one.
func NewResolver(o ResolverOptions) *Resolver {
	r := &Resolver{options: o, network: "ip", answers: map[string]answer{}}
	switch {
	case o.NoIPv6:
		r.network = "ip4"
	case o.NoIPv4:
		r.network = "ip6"
	}
	if r.options.Valid == 0 {
		r.options.Valid = answerAge
	}
	r.system = net.Resolver{PreferGo: true, Dial: r.dial}
	return r
}

// dial asks one of our servers whatever server the system names.
func (r *Resolver) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	servers := r.options.Servers
	server := servers[int(r.turn.Add(1))%len(servers)]
	var d net.Dialer
	return d.DialContext(ctx, network, server.String())
}

// Resolve looks a name up and calls done with its addresses, on another goroutine. false
// means that too many lookups are under way, and that done will not be called. It does not
// block.
func (r *Resolver) Resolve(name string, done func(addrs []netip.Addr, status ResolveStatus)) bool {
	if r.running.Add(1) > lookupsMax {
		r.running.Add(-1)
		return false
	}
	go func() {
		addrs, status := r.lookUp(name)
		r.running.Add(-1)
		done(addrs, status)
	}()
	return true
}

func (r *Resolver) lookUp(name string) ([]netip.Addr, ResolveStatus) {
	now := time.Now()
	r.mu.Lock()
	known, ok := r.answers[name]
	r.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.addrs, Resolved
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.options.Timeout)
	defer cancel()
	// The dot at the end keeps the system's search domains out.
	found, err := r.system.LookupNetIP(ctx, r.network, name+".")
	if err != nil {
		return nil, failed(err)
	}
	var addrs []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.IsValid() && a.Zone() == "" && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, ResolveNoName
	}
	r.remember(name, answer{addrs: addrs, until: now.Add(r.options.Valid)})
	return addrs, Resolved
}

func (r *Resolver) remember(name string, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) >= answersMax {
		clear(r.answers)
	}
	r.answers[name] = a
}

func failed(err error) ResolveStatus {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return ResolveNoName
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &dns) && dns.IsTimeout:
		return ResolveTimeout
	}
	return ResolveFailed
}
