package admin

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"holdfast/observe"
)

func newProcessCollector() prometheus.Collector {
	return collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
}

func newGoCollector() prometheus.Collector { return collectors.NewGoCollector() }

// metric is one family: its description and the kind of its values.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("holdfast_"+name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("holdfast_"+name, help, labels, nil), prometheus.GaugeValue}
}

// Families with labels. Directions are those of the bytes: up is from a client to an
// upstream, down is the other way.
var (
	metricBuild = gauge("build_info", "Always 1; the version is in the label.", "version")

	metricSessions = gauge("sessions", "Client connections by the state they are in.", "state")
	metricUpgrades = counter("upgrades_total", "Upgrade requests by how they ended.", "outcome")

	metricHandshakes = counter("tls_handshakes_total", "TLS handshakes by the other side and by how they ended.",
		"side", "outcome")

	metricHandshakesActive = gauge("tls_handshakes_active", "TLS handshakes under way.")
	metricHandshakesQueued = gauge("tls_handshakes_queued", "TLS handshakes that wait for their turn (ssl_handshakes).")

	metricResponses = counter("responses_total", "Responses begun towards clients, by status class.", "class")

	metricSessionCloses = counter("session_closes_total",
		"Ended client connections that were no tunnel, by reason and the side that caused it.", "reason", "side")
	metricTunnelCloses = counter("tunnel_closes_total",
		"Ended tunnels, by reason and the side that caused it.", "reason", "side")

	metricTunnelBytes = counter("tunnel_bytes_total", "Bytes delivered in tunnels.", "direction")
	metricHTTPBytes   = counter("http_bytes_total", "Bytes written outside tunnels.", "direction")

	metricShardTunnels  = gauge("shard_tunnels", "Tunnels of each shard.", "shard")
	metricShardAccepted = counter("shard_accepted_connections_total", "Connections each shard accepted.", "shard")
	metricLoopTurns     = counter("loop_turns_total", "Turns of each shard's event loop.", "shard")
	metricLoopWakes     = counter("loop_wakes_total", "Turns that found at least one event.", "shard")

	metricLogDropped = counter("log_file_lines_dropped_total", "Log lines lost, by the log they were for.", "log")

	metricPeerTunnels     = gauge("peer_tunnels", "Tunnels towards a peer.", "upstream", "peer")
	metricPeerConnections = gauge("peer_connections", "Connections to a peer, idle ones too.", "upstream", "peer")
	metricPeerRequests    = counter("peer_requests_total", "Requests sent to a peer.", "upstream", "peer")
	metricPeerFails       = counter("peer_fails_total", "Failed attempts at a peer.", "upstream", "peer")
	metricPeerAvailable   = gauge("peer_available", "1 if the peer may be picked now, else 0.", "upstream", "peer")
)

// plain is a family of one value that is read from the totals over shards.
type plain struct {
	metric
	value func(*observe.Counters) uint64
}

var plainCounters = []plain{
	{gauge("tunnels", "Upgraded connections that are relayed now."),
		func(c *observe.Counters) uint64 { return c.Tunnels }},
	{gauge("tls_connections", "Connections of either side that carry TLS, past their handshake."),
		func(c *observe.Counters) uint64 { return c.Secured }},
	{counter("accepted_connections_total", "Client connections accepted."),
		func(c *observe.Counters) uint64 { return c.Accepted }},
	{counter("limited_total", "Requests and connections refused by limit_req and limit_conn."),
		func(c *observe.Counters) uint64 { return c.Limited }},
	{counter("accept_errors_total", "Failed accepts."),
		func(c *observe.Counters) uint64 { return c.AcceptErrors }},
	{counter("requests_total", "Request heads received completely."),
		func(c *observe.Counters) uint64 { return c.Requests }},
	{counter("upstream_connects_total", "Connections begun towards upstreams."),
		func(c *observe.Counters) uint64 { return c.UpstreamConnects }},
	{counter("upstream_connect_fails_total", "Connections to upstreams that failed."),
		func(c *observe.Counters) uint64 { return c.UpstreamConnectFails }},
	{counter("upstream_reuses_total", "Requests sent on an idle connection to an upstream."),
		func(c *observe.Counters) uint64 { return c.UpstreamReuses }},
	{gauge("upstream_idle_connections", "Idle connections to upstreams, kept for reuse."),
		func(c *observe.Counters) uint64 { return c.UpstreamIdle }},
	{counter("stale_events_total", "Kernel events for a connection that had ended."),
		func(c *observe.Counters) uint64 { return c.StaleEvents }},
	{gauge("buffers", "Buffers in use."),
		func(c *observe.Counters) uint64 { return c.BufsOut }},
	{gauge("buffer_bytes", "Size of the buffers in use."),
		func(c *observe.Counters) uint64 { return c.BufBytes }},
	{gauge("pipes", "Splice pipes in use."),
		func(c *observe.Counters) uint64 { return c.PipesOut }},
	{gauge("request_records", "Request records in use."),
		func(c *observe.Counters) uint64 { return c.Requested }},
}

// process is a family of one value that is read from the server.
type process struct {
	metric
	value func(*Server, *Info) float64
}

var processMetrics = []process{
	{gauge("shards", "Event loops."), func(_ *Server, i *Info) float64 { return float64(i.Shards) }},
	{gauge("sessions_max", "Most client connections held at once."),
		func(_ *Server, i *Info) float64 { return float64(i.SessionsMax) }},
	{gauge("open_fds", "Open file descriptors."), func(*Server, *Info) float64 { return float64(openFds()) }},
	{gauge("fds_max", "Limit of open file descriptors."),
		func(_ *Server, i *Info) float64 { return float64(i.FdsMax) }},
	{gauge("draining", "1 if no new connections are accepted any more, else 0."),
		func(_ *Server, i *Info) float64 { return oneIf(i.Draining) }},
	{counter("log_lines_dropped_total", "Log lines lost: the log could not be written fast enough, or at all."),
		func(s *Server, _ *Info) float64 { return float64(s.logDropped()) }},
}

var labelled = []metric{
	metricLimits, metricLimitKeys, metricMirrors,
	metricBuild, metricSessions, metricUpgrades, metricHandshakes,
	metricHandshakesActive, metricHandshakesQueued, metricResponses, metricSessionCloses, metricTunnelCloses,
	metricTunnelBytes, metricHTTPBytes, metricShardTunnels, metricShardAccepted, metricLoopTurns, metricLoopWakes,
	metricLogDropped, metricPeerTunnels, metricPeerConnections, metricPeerRequests, metricPeerFails, metricPeerAvailable,
}

// collector makes the metrics at each scrape from one set of copied counters.
type collector struct{ server *Server }

func newCollector(s *Server) *collector { return &collector{s} }

// Describe lists every family (prometheus.Collector).
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range labelled {
		out <- m.desc
	}
	for i := range plainCounters {
		out <- plainCounters[i].desc
	}
	for i := range processMetrics {
		out <- processMetrics[i].desc
	}
}

// Collect sends the present values (prometheus.Collector).
func (c *collector) Collect(out chan<- prometheus.Metric) {
	info, shards := c.server.source.Info(), c.server.source.Counters()
	e := emitter{out}
	var total observe.Counters
	for i := range shards {
		total.Add(&shards[i])
		e.shard(strconv.Itoa(i), &shards[i])
	}
	e.send(metricBuild, 1, info.Version)
	e.send(metricHandshakesActive, float64(info.HandshakesActive))
	e.send(metricHandshakesQueued, float64(info.HandshakesQueued))
	e.totals(&total, info.StateNames)
	e.peers(info.Peers)
	for name, n := range c.server.logDroppedBy() {
		e.send(metricLogDropped, float64(n), name)
	}
	e.limits(info.Limits)
	e.sticky(info.Sticky)
	e.mirrors(&info.Mirrors)
	for i := range processMetrics {
		e.send(processMetrics[i].metric, processMetrics[i].value(c.server, &info))
	}
}

// emitter sends values of families.
type emitter struct{ out chan<- prometheus.Metric }

func (e emitter) send(m metric, value float64, labels ...string) {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "?")
	}
	e.out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

func (e emitter) totals(c *observe.Counters, stateNames []string) {
	for i := range plainCounters {
		e.send(plainCounters[i].metric, float64(plainCounters[i].value(c)))
	}
	for state, n := range sessionsByState(c, stateNames) {
		e.send(metricSessions, float64(n), state)
	}
	for outcome, n := range upgradesByOutcome(c) {
		e.send(metricUpgrades, float64(n), outcome)
	}
	for side, byOutcome := range handshakes(c) {
		for outcome, n := range byOutcome {
			e.send(metricHandshakes, float64(n), side, outcome)
		}
	}
	for class, n := range responsesByClass(c) {
		e.send(metricResponses, float64(n), class)
	}
	for _, n := range closesOf(&c.SessionCloses) {
		e.send(metricSessionCloses, float64(n.Count), n.Reason, n.Side)
	}
	for _, n := range closesOf(&c.TunnelCloses) {
		e.send(metricTunnelCloses, float64(n.Count), n.Reason, n.Side)
	}
	e.send(metricTunnelBytes, float64(c.TunnelBytesUp), "up")
	e.send(metricTunnelBytes, float64(c.TunnelBytesDown), "down")
	e.send(metricHTTPBytes, float64(c.HTTPBytesUp), "up")
	e.send(metricHTTPBytes, float64(c.HTTPBytesDown), "down")
}

func (e emitter) shard(name string, c *observe.Counters) {
	e.send(metricShardTunnels, float64(c.Tunnels), name)
	e.send(metricShardAccepted, float64(c.Accepted), name)
	e.send(metricLoopTurns, float64(c.LoopTurns), name)
	e.send(metricLoopWakes, float64(c.LoopWakes), name)
}

// peers skips a peer whose labels were sent already: two series with the same labels
// would make the whole scrape fail.
func (e emitter) peers(peers []PeerInfo) {
	seen := make(map[[2]string]bool, len(peers))
	for _, p := range peers {
		key := [2]string{p.Group, p.Name}
		if seen[key] {
			continue
		}
		seen[key] = true
		e.send(metricPeerTunnels, float64(p.Tunnels), p.Group, p.Name)
		e.send(metricPeerConnections, float64(p.Connections), p.Group, p.Name)
		e.send(metricPeerRequests, float64(p.Requests), p.Group, p.Name)
		e.send(metricPeerFails, float64(p.Fails), p.Group, p.Name)
		e.send(metricPeerAvailable, oneIf(p.Available), p.Group, p.Name)
		e.health(&p)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
