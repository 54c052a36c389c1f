package engine

import (
	"errors"
	"slices"
	"time"

	"holdfast/access"
	"holdfast/certs"
	"holdfast/config"
	"holdfast/health"
	"holdfast/limit"
	"holdfast/route"
	"holdfast/shard"
	"holdfast/upstream"
)

// builder translates a validated Config into what the shards run on.
type builder struct {
	cfg      *config.Config
	compiler *route.Compiler
	registry *upstream.Registry
	policies *shard.Policies
	// stream compiles the texts of the stream context, compiler those of http.
	stream     *route.Compiler
	streamLogs map[*config.LogFormat]*route.StreamLog
	life       *life
	logTargets map[int]*logTarget // by number
	formats    map[*config.LogFormat]*route.LogFormat
	shared     compiled
	version    string // for server_tokens
	groups     map[*config.Upstream]int
	listens    map[*config.Listener]int
	sn         *shard.Snapshot
	problems   []config.Problem
	tls        tlsBuilder
	users      *access.Store
	stickies   *upstream.StickyStore
	resolvers  map[string]int // by settings; see resolver
	// keptResolvers are those of resolvers, which are the next life.resolvers.
	keptResolvers map[string]*upstream.Resolver
	names         []*namedGroup
	tunnelCounts  tunnelCounts
	removals      map[string]shard.Removal // by group
	checks        []*health.Check
}

// Shared is what outlives a configuration: what it numbers and counts goes on under the
// next one.
type Shared struct {
	Registry *upstream.Registry
	Policies *shard.Policies
	// TunnelCounts are those of tunnels_max.
	TunnelCounts *shard.TunnelCounts
	Zones        *limit.Zones
	Certs        *certs.Store
	Users        *access.Store
	life         *life
	Stickies     *upstream.StickyStore
}

// NewShared returns a Shared in which nothing is counted yet.
func NewShared() Shared {
	return Shared{Registry: upstream.NewRegistry(), Policies: &shard.Policies{},
		TunnelCounts: &shard.TunnelCounts{}, Zones: &limit.Zones{},
		Certs: certs.NewStore(certs.Options{}), Users: access.NewStore(), life: &life{}, Stickies: &upstream.StickyStore{}}
}

// Built is a compiled configuration.
type Built struct {
	Snapshot *shard.Snapshot
	// LogFiles are the paths that the numbers of logs stand for, in this snapshot and earlier ones.
	LogFiles []string
	targets  map[int]*logTarget
	// Certs has the certificates that the snapshot uses, and keeps them up to date.
	Certs *certs.Store
	// Users has the files of users, and keeps them up to date.
	Users *access.Store
	// names are the groups whose servers are resolved while running.
	names []*namedGroup
	// removals say by group what becomes of the tunnels to peers that leave.
	removals map[string]shard.Removal
	// resolvers, servers and clients are what the snapshot uses of what is kept for the next one.
	resolvers map[string]*upstream.Resolver
	servers   []*certs.Server
	clients   []*certs.Client
	// tunnelCounts are the numbers of the counts of tunnels_max in use.
	tunnelCounts []uint32
	// Checks ask servers how they are, for health.Set.Update.
	Checks []*health.Check
}

// Build compiles cfg. The problems are what only compiling shows; with an error among
// them the result is nil.
func Build(cfg *config.Config, p route.Process, shared Shared) (*Built, []config.Problem) {
	b := newBuilder(cfg, p, shared)
	b.maps(b.compiler, cfg.HTTP.Maps)
	b.maps(b.stream, cfg.Stream.Maps)
	b.zones(shared.Zones)
	b.upstreams()
	b.streamUpstreams()
	b.listeners()
	b.servers()
	b.sn.StubStatus = b.sn.StubStatus || b.compiler.UsesConnections()
	b.listenersTLS()
	if config.HasErrors(b.problems) {
		return nil, b.problems
	}
	b.healthChecks()
	return &Built{
		Snapshot: b.sn, LogFiles: slices.Clone(b.life.logs.list), targets: b.logTargets,
		Certs: shared.Certs, Users: shared.Users,
		names: b.names, removals: b.removals, resolvers: b.keptResolvers, servers: b.tls.servers, clients: b.tls.clients,
		tunnelCounts: b.tunnelCounts.order, Checks: b.checks,
	}, b.problems
}

func newBuilder(cfg *config.Config, p route.Process, shared Shared) *builder {
	return &builder{
		cfg: cfg, tunnelCounts: newTunnelCounts(shared.TunnelCounts),
		registry: shared.Registry, policies: shared.Policies, life: shared.life, logTargets: map[int]*logTarget{},
		stream: newStreamCompiler(cfg, p), streamLogs: map[*config.LogFormat]*route.StreamLog{},
		compiler: newHTTPCompiler(cfg, p),
		tls:      newTLSBuilder(shared.Certs), users: shared.Users, stickies: shared.Stickies,
		resolvers: map[string]int{}, keptResolvers: map[string]*upstream.Resolver{},
		removals: map[string]shard.Removal{},
		formats:  map[*config.LogFormat]*route.LogFormat{},
		shared:   newCompiled(),
		version:  p.Version,
		groups:   map[*config.Upstream]int{},
		listens:  map[*config.Listener]int{},
		sn: &shard.Snapshot{
			GroupByName: map[string]*upstream.Group{}, StreamGroupByName: map[string]*upstream.Group{},
		},
	}
}

// Check reports what only compiling cfg shows, and keeps nothing.
func Check(cfg *config.Config) []config.Problem {
	shared := NewShared()
	_, problems := Build(cfg, route.Process{}, shared)
	return append(problems, expiring(shared.Certs)...)
}

// CheckText returns a function that says what is wrong with a text with variables, for
// config.Options.CheckText: names are the variables that the configuration adds.
func CheckText(names []string) func(text string) error {
	c := route.NewCompiler(route.Process{}, names)
	return func(text string) error {
		_, err := c.Compile(text)
		return err
	}
}

func (b *builder) fail(at config.Position, err error) {
	p := config.Problem{File: at.File, Line: at.Line, Severity: config.Error, Text: err.Error()}
	var ce *route.CompileError
	if errors.As(err, &ce) {
		p.Text, p.Hint = ce.Text, ce.Hint
	}
	// What several levels inherit is wrong once.
	if !slices.Contains(b.problems, p) {
		b.problems = append(b.problems, p)
	}
}

func (b *builder) maps(c *route.Compiler, maps []*config.Map) {
	var specs []route.MapSpec
	for _, m := range maps {
		spec := route.MapSpec{
			Source: m.Source, Name: m.Name, Default: m.Default, Hostnames: m.Hostnames, Volatile: m.Volatile,
			Geo: geoSpec(m.Geo), Split: splitShares(m.Split),
		}
		for _, e := range m.Entries {
			spec.Entries = append(spec.Entries, route.MapEntry{Pattern: e.Pattern, Regexp: e.Regexp, Value: e.Value})
		}
		specs = append(specs, spec)
	}
	for _, err := range c.DefineMaps(specs) {
		at := maps[err.Map].Position
		if err.Entry >= 0 {
			at = maps[err.Map].Entries[err.Entry].Position
		}
		b.fail(at, err)
	}
}

func (b *builder) listeners() {
	for _, l := range b.cfg.HTTP.Listeners {
		if b.listens[l] = b.life.number(l); b.listens[l] >= numbersMax {
			b.fail(l.Position, errors.New("more than 65,535 different listeners have been in use since the start"))
		}
	}
	b.sn.Listeners = make([]shard.ListenerInfo, len(b.life.spread))
	for i := range b.sn.Listeners {
		b.sn.Listeners[i] = shard.ListenerInfo{Gone: true, SpreadKeepalive: b.life.spread[i]}
	}
	for _, l := range b.cfg.HTTP.Listeners {
		info := &b.sn.Listeners[b.listens[l]]
		*info = shard.ListenerInfo{
			Addr: l.Addr.IP, Unix: l.Addr.Unix, Wildcard: l.Addr.Unix == "" && l.Addr.IP.Addr().IsUnspecified(),
			SpreadKeepalive: spreadsKeepalive(l),
		}
		proxyHeader(info, l)
	}
}

func (b *builder) servers() {
	table := route.NewBuilder(b.compiler, max(len(b.sn.Listeners), len(b.cfg.HTTP.Listeners)))
	for _, s := range b.cfg.HTTP.Servers {
		spec := route.ServerSpec{Settings: b.settings(&s.Settings, s.Position), Rewrite: b.rewrite(s.Rewrite, &s.Settings)}
		spec.Content = &route.Location{
			Settings: spec.Settings, Static: b.static(&s.Settings, route.Prefix, "", s.TryFiles), TryElse: b.tryElse(s.TryFiles),
			Handler: b.handler(s.Handler),
		}
		if s.TunnelPass != nil {
			spec.Content.Settings = b.settings(tunnelSettings(&s.Settings), s.Position)
			spec.Content.TunnelPass = b.tunnelPass(s.TunnelPass, &s.Settings)
		}
		for _, n := range s.Names {
			spec.Names = append(spec.Names, route.ServerName{Text: n.Text, Regexp: n.Regexp})
		}
		for _, l := range s.Listeners {
			spec.Listens = append(spec.Listens, route.ListenUse{Listen: b.listens[l], Default: l.Default == s})
		}
		spec.Locations = b.locations(append(slices.Clone(s.Locations), s.Named...))
		if _, err := table.AddServer(&spec); b.groupNames(s) && err != nil {
			b.fail(s.Position, err)
		}
	}
	b.streamServers(table)
	b.sn.Table = table.Table()
}

func (b *builder) locations(list []*config.Location) (specs []route.LocationSpec) {
	for _, l := range list {
		location := &route.Location{
			Settings: b.settings(&l.Settings, l.Position), Rewrite: b.rewrite(l.Rewrite, &l.Settings),
			Static:  b.static(&l.Settings, modifiers[l.Modifier], l.Pattern, l.TryFiles),
			TryElse: b.tryElse(l.TryFiles), Internal: l.Internal, Except: b.except(l.Except),
			Handler: b.handler(l.Handler),
		}
		if l.TunnelPass != nil {
			location.Settings = b.settings(tunnelSettings(&l.Settings), l.Position)
			location.TunnelPass = b.tunnelPass(l.TunnelPass, &l.Settings)
		}
		if l.ProxyPass != nil {
			location.Proxy = b.proxy(l)
		}
		specs = append(specs, route.LocationSpec{
			Modifier: modifiers[l.Modifier], Pattern: l.Pattern, Regexp: l.Regexp,
			Location: location, Nested: b.locations(l.Nested),
		})
	}
	return specs
}

var modifiers = map[config.Modifier]route.Modifier{
	config.Prefix: route.Prefix, config.PrefixNoRegex: route.PrefixNoRegex, config.Exact: route.Exact,
	config.Regex: route.Regex, config.RegexCaseless: route.RegexCaseless, config.NamedLocation: route.NamedLocation,
}

func (b *builder) proxy(l *config.Location) *route.Proxy {
	set := &l.Settings.Proxy
	spec := route.ProxySpec{
		URL: l.ProxyPass.Text, Modifier: modifiers[l.Modifier], Pattern: l.Pattern, Minor: set.HTTPMinor,
		HideHeaders: set.HideHeaders, PassHeaders: set.PassHeaders,
		ProxyProtocol: set.ProxyProtocol,
	}
	proxyHeads(&spec, &set.Heads)
	if u := l.ProxyPass.Upstream; u != nil {
		spec.Group = b.groups[u]
	}
	for _, h := range set.SetHeaders {
		spec.SetHeaders = append(spec.SetHeaders, route.SetHeader{Name: h.Name, Value: h.Value})
	}
	p, err := b.compiler.NewProxy(&spec)
	if err != nil {
		at := l.ProxyPass.Position
		var he *route.SetHeaderError
		if errors.As(err, &he) {
			at = set.SetHeaders[he.Index].Position
		}
		b.fail(at, err)
		return nil
	}
	p.TLS = b.proxyTLS(l)
	return p
}

func (b *builder) ret(r *config.Return, set *config.Settings) *route.Return {
	if r == nil {
		return nil
	}
	text := r.Text
	if r.URL != "" {
		text = r.URL
	}
	compiled, err := b.compiler.NewReturn(r.Code, text, set.DefaultType)
	if err != nil {
		b.fail(r.Position, err)
	}
	return compiled
}

func ms(d time.Duration) int64 { return d.Milliseconds() }
