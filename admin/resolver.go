package admin

// ResolverInfo counts what all resolvers did since the configuration was read.
type ResolverInfo struct {
	// Questions were sent to name servers, tries included; Answers fit one of them.
	Questions uint64 `json:"questions"`
	Answers   uint64 `json:"answers"`
	// Failures are answers that were no help, and servers that nobody listens at.
	Failures uint64 `json:"failures"`
	// Timeouts are questions that a server did not answer in time.
	Timeouts uint64 `json:"timeouts"`
	// Stale are the names whose last good answer was used because asking failed.
	Stale uint64 `json:"stale"`
}

func init() {
	add := func(name, help string, value func(r *ResolverInfo) uint64) {
		processMetrics = append(processMetrics, process{
			counter(name, help), func(_ *Server, i *Info) float64 { return float64(value(&i.Resolver)) },
		})
	}
	add("resolver_questions_total", "Questions sent to name servers, tries included.",
		func(r *ResolverInfo) uint64 { return r.Questions })
	add("resolver_answers_total", "Answers of name servers.", func(r *ResolverInfo) uint64 { return r.Answers })
	add("resolver_failures_total", "Answers of name servers that were no help, and servers that nobody listens at.",
		func(r *ResolverInfo) uint64 { return r.Failures })
	add("resolver_timeouts_total", "Questions that a name server did not answer in time.",
		func(r *ResolverInfo) uint64 { return r.Timeouts })
	add("resolver_stale_total", "Names whose last good answer was used because asking failed.",
		func(r *ResolverInfo) uint64 { return r.Stale })
}
