package observe

// StateCount is the number of session states a gauge array holds; shard/state.go
// checks at compile time that it has no more.
const StateCount = 21

// Outcome is how an upgrade request ended.
type Outcome uint8

// The outcomes of an upgrade request.
const (
	OutcomeSwitched Outcome = iota // 101 relayed, a tunnel began
	OutcomeRefused                 // the upstream answered another status
	OutcomeFailed                  // no answer of the upstream: 502, 504
	OutcomeRejected                // answered by us before any upstream: 400, 404, 426, 503, return
	OutcomeGone                    // the client left before an answer
	outcomeCount
)

// OutcomeCount is the number of outcomes, for arrays indexed by one.
const OutcomeCount = int(outcomeCount)

// String is the name used in metric labels.
func (o Outcome) String() string {
	switch o {
	case OutcomeSwitched:
		return "switched"
	case OutcomeRefused:
		return "refused"
	case OutcomeFailed:
		return "failed"
	case OutcomeRejected:
		return "rejected"
	case OutcomeGone:
		return "gone"
	}
	return "invalid"
}

// HandshakeOutcome is how a TLS handshake ended.
type HandshakeOutcome uint8

// The outcomes of a TLS handshake.
const (
	HandshakeFull    HandshakeOutcome = iota // a new session
	HandshakeResumed                         // a session resumed
	HandshakeFailed                          // the two sides did not come to terms, or one broke TLS
	HandshakeTimeout                         // ssl_handshake_timeout, proxy_connect_timeout
	HandshakeGone                            // the other side closed before its end
	HandshakeRefused                         // too many handshakes were waiting
	handshakeOutcomeCount
)

// HandshakeOutcomeCount is the number of handshake outcomes, for arrays indexed by one.
const HandshakeOutcomeCount = int(handshakeOutcomeCount)

// String is the name used in metric labels.
func (o HandshakeOutcome) String() string {
	names := [...]string{"full", "resumed", "failed", "timeout", "gone", "refused"}
	if int(o) < len(names) {
		return names[o]
	}
	return "invalid"
}

// Counters are one shard's numbers. The shard writes them without
// synchronisation; readers get a copy that the shard makes on request.
type Counters struct {
	Sessions [StateCount]uint64 // gauge: sessions by state
	Tunnels  uint64             // gauge: sessions in Tunnel, HalfClosed or Closing

	Accepted     uint64    // connections accepted
	AcceptErrors uint64    // accept4 failures other than EAGAIN
	Requests     uint64    // request heads parsed completely
	Responses    [6]uint64 // responses begun towards clients, by status class (index 1 to 5)

	Upgrades [OutcomeCount]uint64 // upgrade requests by outcome

	SessionCloses [ReasonCount][SideCount]uint64 // sessions that never became a tunnel
	TunnelCloses  [ReasonCount][SideCount]uint64 // tunnels

	TunnelBytesUp   uint64 // bytes delivered from clients to upstreams in tunnels
	TunnelBytesDown uint64 // bytes delivered from upstreams to clients in tunnels
	HTTPBytesUp     uint64 // bytes written to upstreams outside tunnels
	HTTPBytesDown   uint64 // bytes written to clients outside tunnels

	Limited uint64 // requests and connections refused by limit_req and limit_conn

	UpstreamConnects     uint64 // connections begun towards upstreams
	UpstreamConnectFails uint64
	UpstreamReuses       uint64 // requests sent on an idle keep-alive connection
	UpstreamIdle         uint64 // gauge: idle keep-alive connections to upstreams

	Handshakes [HandshakeOutcomeCount][2]uint64 // TLS handshakes ended, by outcome; with clients, with upstreams

	StaleEvents uint64 // epoll events whose slot had moved on
	LoopTurns   uint64
	LoopWakes   uint64 // turns that found at least one event

	BufsOut   uint64 // gauge: buffers lent
	BufBytes  uint64 // gauge: bytes of the lent buffers
	PipesOut  uint64 // gauge: pipes lent
	Requested uint64 // gauge: cold request records lent
	Secured   uint64 // gauge: TLS connections past their handshake
}

// Add adds o to c, field by field: the total over shards.
func (c *Counters) Add(o *Counters) {
	for i := range c.Sessions {
		c.Sessions[i] += o.Sessions[i]
	}
	for i := range c.Responses {
		c.Responses[i] += o.Responses[i]
	}
	for i := range c.Upgrades {
		c.Upgrades[i] += o.Upgrades[i]
	}
	for r := range c.SessionCloses {
		for s := range c.SessionCloses[r] {
			c.SessionCloses[r][s] += o.SessionCloses[r][s]
			c.TunnelCloses[r][s] += o.TunnelCloses[r][s]
		}
	}
	for i := range c.Handshakes {
		for side := range c.Handshakes[i] {
			c.Handshakes[i][side] += o.Handshakes[i][side]
		}
	}
	c.Limited += o.Limited
	c.Tunnels += o.Tunnels
	c.Accepted += o.Accepted
	c.AcceptErrors += o.AcceptErrors
	c.Requests += o.Requests
	c.TunnelBytesUp += o.TunnelBytesUp
	c.TunnelBytesDown += o.TunnelBytesDown
	c.HTTPBytesUp += o.HTTPBytesUp
	c.HTTPBytesDown += o.HTTPBytesDown
	c.UpstreamConnects += o.UpstreamConnects
	c.UpstreamConnectFails += o.UpstreamConnectFails
	c.UpstreamReuses += o.UpstreamReuses
	c.UpstreamIdle += o.UpstreamIdle
	c.StaleEvents += o.StaleEvents
	c.LoopTurns += o.LoopTurns
	c.LoopWakes += o.LoopWakes
	c.BufsOut += o.BufsOut
	c.BufBytes += o.BufBytes
	c.PipesOut += o.PipesOut
	c.Requested += o.Requested
	c.Secured += o.Secured
}
