package engine

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/observe"
	"holdfast/shard"
	"holdfast/upstream"
)

const (
	// lookAgainMin and lookAgainMax bound the time between two questions about a server's name,
	// but for a longer life of an answer.
	lookAgainMin = 100 * time.Millisecond
	lookAgainMax = 30 * time.Second
	// firstLook is how long the start waits for the addresses of servers.
	firstLook = time.Second
)

// namedGroup is an upstream block some of whose servers are resolved while running (resolve).
type namedGroup struct {
	name     string
	group    *upstream.Group
	resolver *upstream.Resolver
	servers  []config.UpstreamServer
	removal  shard.Removal // what becomes of the tunnels to peers that leave

	mu    sync.Mutex
	found [][]upstream.ServerSpec // by server: its addresses, in order
	list  []upstream.ServerSpec   // as last set
	left  map[*upstream.Peer]bool // peers that have left and not come back

	answers []*upstream.Answer // by server: the last one, nil before
}

// named notes a group some of whose servers have names that are resolved while running.
func (b *builder) named(u *config.Upstream, g *upstream.Group) {
	if !slices.ContainsFunc(u.Servers, func(s config.UpstreamServer) bool { return s.Resolve }) {
		return
	}
	index := b.resolver(&u.Resolver)
	if index == 0 {
		return // without name servers it is an error of the configuration
	}
	n := &namedGroup{
		name: u.Name, group: g, resolver: b.sn.Resolvers[index-1], servers: u.Servers,
		removal: b.removals[g.Name],
		found:   make([][]upstream.ServerSpec, len(u.Servers)), left: map[*upstream.Peer]bool{},
		answers: make([]*upstream.Answer, len(u.Servers)),
	}
	for i := range u.Servers {
		s := &u.Servers[i]
		for _, a := range s.Addrs {
			n.found[i] = append(n.found[i], serverSpec(s, a))
		}
	}
	b.names = append(b.names, n)
	n.goOn(b.life.names)
}

// goOn begins with what the group of that name knows in the present configuration, if there is
// one: a server that has addresses keeps them until the new answer.
func (n *namedGroup) goOn(present []*namedGroup) {
	i := slices.IndexFunc(present, func(p *namedGroup) bool { return p.group.Name == n.group.Name })
	if i < 0 {
		return
	}
	known := false
	p := present[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n.servers {
		for j := range p.servers {
			if p.answers[j] != nil && sameName(&n.servers[i], &p.servers[j]) {
				known = true
				n.answers[i], n.found[i] = p.answers[j], specsOf(&n.servers[i], p.answers[j])
			}
		}
	}
	if !known {
		return
	}
	list := slices.Concat(n.found...)
	if _, err := n.group.SetServers(list); err == nil {
		n.list = list
	}
}

// sameName tells whether two servers are resolved in the same way.
func sameName(a, b *config.UpstreamServer) bool {
	return a.Resolve && b.Resolve && a.Host == b.Host && a.Port == b.Port && a.Service == b.Service
}

var removalPolicies = map[config.TunnelPolicy]shard.RemovalPolicy{
	config.KeepTunnels: shard.KeepTunnels, config.DrainTunnels: shard.DrainTunnels,
	config.CloseTunnels: shard.CloseTunnels,
}

// watchNames resolves the servers of groups until ctx ends, each again when its answer is too
// old. It returns when all were asked about once, or after a second.
func (e *engine) watchNames(ctx context.Context, groups []*namedGroup) {
	first := make(chan struct{})
	var asking sync.WaitGroup
	for _, n := range groups {
		for i := range n.servers {
			if n.servers[i].Resolve {
				asking.Add(1)
				go e.watchName(ctx, n, i, sync.OnceFunc(asking.Done))
			}
		}
	}
	go func() {
		asking.Wait()
		close(first)
	}()
	select {
	case <-first:
	case <-time.After(firstLook):
	case <-ctx.Done():
	}
}

// watchName keeps the addresses of one server up to date. asked is called after each answer.
func (e *engine) watchName(ctx context.Context, n *namedGroup, server int, asked func()) {
	last, pause := upstream.Resolved, time.Second
	for {
		a := n.ask(server)
		if ctx.Err() != nil {
			asked()
			return
		}
		e.noteName(n, server, &a, last)
		last = a.Failure
		if !a.Stale {
			last = a.Status
		}
		e.found(n, server, &a)
		asked()
		wait := max(a.Valid, lookAgainMin)
		if a.Status == upstream.Resolved || a.Status == upstream.ResolveNoName {
			pause = time.Second
		} else {
			wait, pause = max(wait, pause), min(2*pause, lookAgainMax)
		}
		// Not all names in the same moment, and not before the answer's time is over.
		wait += time.Duration(rand.Int64N(int64(wait)/10 + 1))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// ask resolves the name of one server.
func (n *namedGroup) ask(server int) upstream.Answer {
	reply := make(chan upstream.Answer, 1)
	var begun bool
	if s := &n.servers[server]; s.Service != "" {
		begun = n.resolver.ResolveService(serviceName(s), func(a upstream.Answer) { reply <- a })
	} else {
		begun = n.resolver.Resolve(s.Host, func(a upstream.Answer) { reply <- a })
	}
	if !begun {
		return upstream.Answer{Status: upstream.ResolveBusy}
	}
	return <-reply
}

// serviceName is what SRV records are asked for: _service._tcp.host, or, where the service has
// a dot, service.host, as in nginx.
func serviceName(s *config.UpstreamServer) string {
	if strings.Contains(s.Service, ".") {
		return s.Service + "." + s.Host
	}
	return "_" + strings.TrimPrefix(s.Service, "_") + "._tcp." + s.Host
}

// noteName logs what could not be resolved, once for each way it fails.
func (e *engine) noteName(n *namedGroup, server int, a *upstream.Answer, last upstream.ResolveStatus) {
	status, more := a.Status, ""
	if a.Stale {
		status, more = a.Failure, "; its last answer is used"
	}
	if status == last || status == upstream.Resolved {
		return
	}
	s := &n.servers[server]
	name := s.Host
	if s.Service != "" {
		name = serviceName(s)
	}
	e.logger.Log(observe.LevelError, "%s could not be resolved (%d: %s)%s, upstream: %q in %s",
		name, status.Number(), status, more, n.name, s.Position)
}

// found gives the group the addresses of one server, and has the shards deal with the peers
// that are gone. A failure changes nothing, as in nginx; that there is no such name does.
func (e *engine) found(n *namedGroup, server int, a *upstream.Answer) {
	if a.Status != upstream.Resolved && a.Status != upstream.ResolveNoName {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[server], n.found[server] = a, specsOf(&n.servers[server], a)
	list := slices.Concat(n.found...)
	if slices.Equal(list, n.list) {
		return
	}
	gone, err := n.group.SetServers(list)
	if err != nil {
		e.logger.Log(observe.LevelError, "the servers of upstream %q are left as they are: %v", n.name, err)
		return
	}
	n.list = list
	removal := n.removal
	removal.Gone = gone
	for _, p := range gone {
		n.left[p] = true
	}
	for _, p := range n.group.AppendPeers(nil) {
		if n.left[p] {
			delete(n.left, p)
			removal.Back = append(removal.Back, p)
		}
	}
	e.logger.Log(observe.LevelNotice, "upstream %q has %d servers now, %d have left", n.name, len(list), len(gone))
	for p := range n.left {
		if e.shared.Registry.ByID(p.ID) != p { // should it come back, it will be another one
			delete(n.left, p)
		}
	}
	if len(removal.Gone)+len(removal.Back) == 0 {
		return
	}
	for _, sh := range e.shards {
		sh.Remove(removal)
	}
}

// specsOf are the servers that an answer stands for, in order.
func specsOf(s *config.UpstreamServer, a *upstream.Answer) (list []upstream.ServerSpec) {
	if s.Service == "" {
		for _, addr := range a.Addrs {
			list = append(list, serverSpec(s, config.Addr{IP: netip.AddrPortFrom(addr, s.Port)}))
		}
	} else {
		list = servicesOf(s, a.Services)
	}
	slices.SortFunc(list, func(a, b upstream.ServerSpec) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// servicesOf makes servers of SRV records. Those of the best priority are primary servers and
// the others backups; where the server is itself a backup, the others are left out.
func servicesOf(s *config.UpstreamServer, services []upstream.Service) (list []upstream.ServerSpec) {
	best := uint16(0xffff)
	for _, service := range services {
		best = min(best, service.Priority)
	}
	for _, service := range services {
		if service.Addr.Port() == 0 || s.Backup && service.Priority != best {
			continue
		}
		spec := serverSpec(s, config.Addr{IP: service.Addr})
		spec.Backup = s.Backup || service.Priority != best
		if service.Weight > 0 {
			spec.Weight = int(service.Weight)
		}
		list = append(list, spec)
	}
	return list
}

// resolverStats adds up the counts of the snapshot's resolvers.
func resolverStats(sn *shard.Snapshot) (sum admin.ResolverInfo) {
	for _, r := range sn.Resolvers {
		s := r.Stats()
		sum.Questions += s.Questions
		sum.Answers += s.Answers
		sum.Failures += s.Failures
		sum.Timeouts += s.Timeouts
		sum.Stale += s.Stale
	}
	return sum
}
