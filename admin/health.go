package admin

// HealthInfo is what active health checks say about a peer.
type HealthInfo struct {
	// State is up, checking or unhealthy.
	State string `json:"state"`
	// Checks were made, Fails of them failed; Unhealthy is how often the peer became unhealthy.
	Checks    uint64 `json:"checks"`
	Fails     uint64 `json:"fails"`
	Unhealthy uint64 `json:"unhealthy"`
	// LastPassed tells whether the last check passed.
	LastPassed bool `json:"last_passed"`
}

// Families of peers that health checks look at.
var (
	metricHealthy = gauge("peer_healthy",
		"1 if health checks let requests to a peer, 0 if it is unhealthy or still to pass.", "upstream", "peer")
	metricChecks     = counter("peer_health_checks_total", "Health checks of a peer.", "upstream", "peer")
	metricCheckFails = counter("peer_health_check_fails_total",
		"Health checks of a peer that failed.", "upstream", "peer")
	metricUnhealthies = counter("peer_unhealthy_total", "How often a peer became unhealthy.", "upstream", "peer")
	metricLastPassed  = gauge("peer_health_last_passed",
		"1 if the last health check of a peer passed, else 0.", "upstream", "peer")
)

func init() {
	labelled = append(labelled, metricHealthy, metricChecks, metricCheckFails, metricUnhealthies, metricLastPassed)
}

func (e emitter) health(p *PeerInfo) {
	h := p.Health
	if h == nil {
		return
	}
	e.send(metricHealthy, oneIf(h.State == "up"), p.Group, p.Name)
	e.send(metricChecks, float64(h.Checks), p.Group, p.Name)
	e.send(metricCheckFails, float64(h.Fails), p.Group, p.Name)
	e.send(metricUnhealthies, float64(h.Unhealthy), p.Group, p.Name)
	e.send(metricLastPassed, oneIf(h.LastPassed), p.Group, p.Name)
}
