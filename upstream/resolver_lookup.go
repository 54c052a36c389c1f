package upstream

import (
	"math"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// servicesMax bounds the servers of one service that are used.
const servicesMax = 256

func inquiryFor(name dnsmessage.Name, kind dnsmessage.Type) *inquiry {
	return &inquiry{question: question{name: name, kind: kind}, ttl: math.MaxInt32}
}

// lookName asks for the addresses of a name, those of both families at once.
func (r *Resolver) lookName(text string, deadline time.Time) Answer {
	name, _ := dnsName(text)
	var list []*inquiry
	if !r.options.NoIPv4 {
		list = append(list, inquiryFor(name, dnsmessage.TypeA))
	}
	if !r.options.NoIPv6 {
		list = append(list, inquiryFor(name, dnsmessage.TypeAAAA))
	}
	r.inquire(list, deadline)
	a, ttl := r.judge(list)
	if a.Status == Resolved {
		for _, q := range list {
			a.Addrs = append(a.Addrs, q.reply.addrs...)
		}
		a.Valid = r.valid(ttl)
	}
	return a
}

// judge says what the replies to the questions about one name come to. Where there is
// something to use, it does not matter that another question was not answered; ttl is the
// least of the answers then.
func (r *Resolver) judge(list []*inquiry) (a Answer, ttl uint32) {
	ttl = math.MaxInt32
	none := uint32(math.MaxInt32)
	failed := false
	for _, q := range list {
		switch {
		case !q.done:
			if !failed {
				a.Status = statusOf(q.code)
			}
			failed = true
		case len(q.reply.addrs)+len(q.reply.services) > 0:
			ttl = min(ttl, q.reply.ttl)
		default:
			none = min(none, q.reply.ttl)
		}
	}
	switch {
	case answered(list):
		return Answer{Status: Resolved}, ttl
	case failed:
		a.Valid = failureAge
		return a, 0
	}
	remember := negativeMax
	if none > 0 {
		remember = min(remember, max(time.Duration(none)*time.Second, ttlMin))
	}
	return Answer{Status: ResolveNoName, Valid: remember}, 0
}

// lookService asks for the servers of a service and then for their addresses, all at once.
func (r *Resolver) lookService(text string, deadline time.Time) Answer {
	name, _ := dnsName(text)
	list := []*inquiry{inquiryFor(name, dnsmessage.TypeSRV)}
	r.inquire(list, deadline)
	a, ttl := r.judge(list)
	if a.Status != Resolved {
		return a
	}
	found := list[0].reply.services
	found = found[:min(len(found), servicesMax)]
	hosts := make([]chan Answer, len(found))
	for i, s := range found {
		hosts[i] = make(chan Answer, 1)
		if s.target == "." || !r.Resolve(s.target, func(a Answer) { hosts[i] <- a }) {
			hosts[i] <- Answer{Status: ResolveNoName, Valid: failureAge} // "." says: not offered
		}
	}
	valid := r.valid(ttl)
	failure := ResolveNoName
	for i, s := range found {
		host := <-hosts[i]
		valid = min(valid, max(host.Valid, ttlMin))
		if host.Status != Resolved {
			if host.Status != ResolveNoName {
				failure = host.Status
			}
			continue
		}
		for _, addr := range host.Addrs {
			a.Services = append(a.Services, Service{
				Addr: netip.AddrPortFrom(addr, s.port), Priority: s.priority, Weight: s.weight,
			})
		}
	}
	if len(a.Services) == 0 {
		return Answer{Status: failure, Valid: failureAge}
	}
	a.Valid = valid
	return a
}
