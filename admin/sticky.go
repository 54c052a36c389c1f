package admin

// StickyInfo is one upstream with sticky.
type StickyInfo struct {
	Upstream string `json:"upstream"`
	// Zone has the sessions of sticky learn; empty for its other forms.
	Zone     string `json:"zone,omitempty"`
	Sessions int    `json:"sessions,omitempty"`
	// Hits are the requests that went to the server that they were bound to, Misses those that
	// brought something and went to another one, New those that brought nothing.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	New    uint64 `json:"new"`
}

var (
	metricSticky = counter("sticky_total",
		"Requests by what became of their wish for a server (sticky): hit, miss, or new without one.", "upstream", "result")
	metricStickySessions = gauge("sticky_sessions", "Sessions in the zone of a sticky learn.", "upstream", "zone")
)

func init() { labelled = append(labelled, metricSticky, metricStickySessions) }

func (e emitter) sticky(list []StickyInfo) {
	for i := range list {
		s := &list[i]
		e.send(metricSticky, float64(s.Hits), s.Upstream, "hit")
		e.send(metricSticky, float64(s.Misses), s.Upstream, "miss")
		e.send(metricSticky, float64(s.New), s.Upstream, "new")
		if s.Zone != "" {
			e.send(metricStickySessions, float64(s.Sessions), s.Upstream, s.Zone)
		}
	}
}
