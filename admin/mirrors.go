package admin

// MirrorInfo is what became of the copies that mirror has sent.
type MirrorInfo struct {
	// Answered got the head of an answer, Failed none. Dropped are those that were too many to
	// be on their way, and Skipped those of requests that could not be copied.
	Answered, Failed, Dropped, Skipped uint64
}

// results are the counts by the name of their result.
func (m *MirrorInfo) results() map[string]uint64 {
	return map[string]uint64{
		"answered": m.Answered, "failed": m.Failed, "dropped": m.Dropped, "skipped": m.Skipped,
	}
}

var metricMirrors = counter("mirrors_total", "Copies of requests (mirror) by what became of them.", "result")

func (e emitter) mirrors(m *MirrorInfo) {
	for result, n := range m.results() {
		e.send(metricMirrors, float64(n), result)
	}
}
