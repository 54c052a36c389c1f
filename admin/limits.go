package admin

// LimitInfo is one zone of limit_req or limit_conn.
type LimitInfo struct {
	// Directive is the directive whose zone it is: limit_req or limit_conn.
	Directive string
	Zone      string
	// Keys is how many keys the table holds.
	Keys int
	// What became of requests and connections there; limit_conn delays none.
	Passed, Delayed, Rejected, DelayedDryRun, RejectedDryRun uint64
}

// results are the counts by the name of their result.
func (l *LimitInfo) results() map[string]uint64 {
	all := map[string]uint64{
		"passed": l.Passed, "rejected": l.Rejected, "rejected_dry_run": l.RejectedDryRun,
	}
	if l.Directive == "limit_req" {
		all["delayed"], all["delayed_dry_run"] = l.Delayed, l.DelayedDryRun
	}
	return all
}

// limitStatus is one zone in the answer of /status.
type limitStatus struct {
	Directive string            `json:"directive"`
	Zone      string            `json:"zone"`
	Keys      int               `json:"keys"`
	Results   map[string]uint64 `json:"results"`
}

func limitsOf(list []LimitInfo) []limitStatus {
	result := make([]limitStatus, len(list))
	for i := range list {
		l := &list[i]
		result[i] = limitStatus{Directive: l.Directive, Zone: l.Zone, Keys: l.Keys, Results: l.results()}
	}
	return result
}

var (
	metricLimits = counter("limits_total",
		"Requests and connections by what limit_req and limit_conn said about them.", "directive", "zone", "result")
	metricLimitKeys = gauge("limit_keys", "Keys in the table of a zone.", "directive", "zone")
)

func (e emitter) limits(list []LimitInfo) {
	for i := range list {
		l := &list[i]
		e.send(metricLimitKeys, float64(l.Keys), l.Directive, l.Zone)
		for result, n := range l.results() {
			e.send(metricLimits, float64(n), l.Directive, l.Zone, result)
		}
	}
}
