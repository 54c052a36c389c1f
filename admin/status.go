package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"holdfast/observe"
)

// status is the answer of /status.
type status struct {
	Version     string  `json:"version"`
	Pid         int     `json:"pid"`
	Uptime      float64 `json:"uptime_seconds"`
	Fds         int     `json:"fds"`
	FdsMax      int     `json:"fds_max"`
	SessionsMax int     `json:"sessions_max"`
	Config      string  `json:"config"`
	State       string  `json:"state"` // running or draining
	LogDropped  uint64  `json:"log_lines_dropped"`
	// Logs is the number of lost lines by log.
	Logs      map[string]uint64 `json:"logs"`
	Totals    numbers           `json:"totals"`
	Shards    []numbers         `json:"shards"`
	Upstreams []upstreamStatus  `json:"upstreams"`
	Limits    []limitStatus     `json:"limits"`
	Sticky    []StickyInfo      `json:"sticky"`
	Mirrors   map[string]uint64 `json:"mirrors"`
	Memory    memory            `json:"memory"`
	Resolver  ResolverInfo      `json:"resolver"`
	Reload    ReloadInfo        `json:"configuration"`
}

// numbers are one shard's counters, or the sum of all.
type numbers struct {
	Sessions     map[string]uint64 `json:"sessions"`
	Tunnels      uint64            `json:"tunnels"`
	Accepted     uint64            `json:"accepted"`
	AcceptErrors uint64            `json:"accept_errors"`
	Requests     uint64            `json:"requests"`
	Responses    map[string]uint64 `json:"responses"`
	Upgrades     map[string]uint64 `json:"upgrades"`
	// Handshakes are those of TLS, by the other side and by outcome.
	Handshakes           map[string]map[string]uint64 `json:"tls_handshakes"`
	Secured              uint64                       `json:"tls_connections"`
	SessionCloses        []closes                     `json:"session_closes"`
	TunnelCloses         []closes                     `json:"tunnel_closes"`
	TunnelBytesUp        uint64                       `json:"tunnel_bytes_up"`
	TunnelBytesDown      uint64                       `json:"tunnel_bytes_down"`
	HTTPBytesUp          uint64                       `json:"http_bytes_up"`
	HTTPBytesDown        uint64                       `json:"http_bytes_down"`
	UpstreamConnects     uint64                       `json:"upstream_connects"`
	UpstreamConnectFails uint64                       `json:"upstream_connect_fails"`
	UpstreamReuses       uint64                       `json:"upstream_reuses"`
	UpstreamIdle         uint64                       `json:"upstream_idle"`
	StaleEvents          uint64                       `json:"stale_events"`
	LoopTurns            uint64                       `json:"loop_turns"`
	LoopWakes            uint64                       `json:"loop_wakes"`
	BufsOut              uint64                       `json:"bufs_out"`
	BufBytes             uint64                       `json:"buf_bytes"`
	PipesOut             uint64                       `json:"pipes_out"`
	RequestsOut          uint64                       `json:"requests_out"`
}

// closes is how many ended for one reason and side.
type closes struct {
	Reason string `json:"reason"`
	Side   string `json:"side"`
	Count  uint64 `json:"count"`
}

// upstreamStatus is one peer.
type upstreamStatus struct {
	Group       string `json:"group"`
	Name        string `json:"name"`
	Tunnels     int64  `json:"tunnels"`
	Connections int64  `json:"connections"`
	Requests    uint64 `json:"requests"`
	Fails       uint64 `json:"fails"`
	Available   bool   `json:"available"`
	// Health is absent where no health check looks at the peer.
	Health *HealthInfo `json:"health,omitempty"`
}

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	body, err := json.MarshalIndent(s.status(), "", "  ")
	if err != nil {
		answer(w, http.StatusInternalServerError, fmt.Sprintf("status: %v\n", err))
		return
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(append(body, '\n'))
}

func (s *Server) status() *status {
	info, shards := s.source.Info(), s.source.Counters()
	result := &status{
		Version: info.Version, Pid: info.Pid, Uptime: time.Since(info.StartTime).Seconds(),
		Fds: openFds(), FdsMax: info.FdsMax, SessionsMax: info.SessionsMax,
		Config: info.ConfigPath, State: "running", LogDropped: s.logDropped(), Logs: s.logDroppedBy(),
		Shards:    make([]numbers, len(shards)),
		Upstreams: make([]upstreamStatus, len(info.Peers)),
		Memory:    s.memory.read(),
		Resolver:  info.Resolver,
		Reload:    info.Reload,
		Limits:    limitsOf(info.Limits),
		Sticky:    append([]StickyInfo{}, info.Sticky...),
		Mirrors:   info.Mirrors.results(),
	}
	if info.Draining {
		result.State = "draining"
	}
	var total observe.Counters
	for i := range shards {
		result.Shards[i] = numbersOf(&shards[i], info.StateNames)
		total.Add(&shards[i])
	}
	result.Totals = numbersOf(&total, info.StateNames)
	for i, p := range info.Peers {
		result.Upstreams[i] = upstreamStatus(p)
	}
	return result
}

func (s *Server) logDropped() uint64 {
	if s.logs == nil {
		return 0
	}
	return s.logs.Dropped()
}

// logDroppedBy is the number of lost lines by log.
func (s *Server) logDroppedBy() map[string]uint64 {
	if s.logs == nil {
		return nil
	}
	return s.logs.DroppedBy()
}

func numbersOf(c *observe.Counters, stateNames []string) numbers {
	return numbers{
		Sessions: sessionsByState(c, stateNames), Tunnels: c.Tunnels,
		Accepted: c.Accepted, AcceptErrors: c.AcceptErrors,
		Requests: c.Requests, Responses: responsesByClass(c), Upgrades: upgradesByOutcome(c),
		Handshakes: handshakes(c), Secured: c.Secured,
		SessionCloses: closesOf(&c.SessionCloses), TunnelCloses: closesOf(&c.TunnelCloses),
		TunnelBytesUp: c.TunnelBytesUp, TunnelBytesDown: c.TunnelBytesDown,
		HTTPBytesUp: c.HTTPBytesUp, HTTPBytesDown: c.HTTPBytesDown,
		UpstreamConnects: c.UpstreamConnects, UpstreamConnectFails: c.UpstreamConnectFails,
		UpstreamReuses: c.UpstreamReuses, UpstreamIdle: c.UpstreamIdle,
		StaleEvents: c.StaleEvents, LoopTurns: c.LoopTurns, LoopWakes: c.LoopWakes,
		BufsOut: c.BufsOut, BufBytes: c.BufBytes, PipesOut: c.PipesOut, RequestsOut: c.Requested,
	}
}

// sessionsByState names every state that has a name, and any other that has sessions.
func sessionsByState(c *observe.Counters, names []string) map[string]uint64 {
	result := make(map[string]uint64, len(c.Sessions))
	for state, n := range c.Sessions {
		switch {
		case state < len(names) && names[state] != "":
			result[names[state]] += n
		case n != 0:
			result["state_"+strconv.Itoa(state)] += n
		}
	}
	return result
}

// responsesByClass leaves index 0 out: no status has that class.
func responsesByClass(c *observe.Counters) map[string]uint64 {
	result := make(map[string]uint64, len(c.Responses))
	for class, n := range c.Responses[1:] {
		result[strconv.Itoa(class+1)+"xx"] = n
	}
	return result
}

func upgradesByOutcome(c *observe.Counters) map[string]uint64 {
	result := make(map[string]uint64, len(c.Upgrades))
	for outcome, n := range c.Upgrades {
		result[observe.Outcome(outcome).String()] = n
	}
	return result
}

// handshakes are the TLS handshakes by the other side and by outcome.
func handshakes(c *observe.Counters) map[string]map[string]uint64 {
	result := map[string]map[string]uint64{"client": {}, "upstream": {}}
	for outcome := range c.Handshakes {
		name := observe.HandshakeOutcome(outcome).String()
		result["client"][name] = c.Handshakes[outcome][0]
		result["upstream"][name] = c.Handshakes[outcome][1]
	}
	return result
}

// closesOf lists what happened at all: most pairs of reason and side never do.
func closesOf(counts *[observe.ReasonCount][observe.SideCount]uint64) []closes {
	result := []closes{}
	for reason := range counts {
		for side, n := range counts[reason] {
			if n != 0 {
				result = append(result, closes{
					Reason: observe.CloseReason(reason).String(), Side: observe.Side(side).String(), Count: n,
				})
			}
		}
	}
	return result
}
