package admin

import "time"

// ReloadInfo says which configuration is in use, and what has come of reading it again.
type ReloadInfo struct {
	// Generation of the configuration, from 1 on.
	Generation uint64 `json:"generation"`
	// Last is the end of the last reload, or the start; OK, whether it put a configuration to use.
	Last time.Time `json:"last_reload"`
	OK   bool      `json:"last_reload_ok"`
	// Succeeded and Failed count reloads.
	Succeeded uint64 `json:"reloads"`
	Failed    uint64 `json:"failed_reloads"`
}

func init() {
	add := func(m metric, value func(r *ReloadInfo) float64) {
		processMetrics = append(processMetrics, process{m, func(_ *Server, i *Info) float64 { return value(&i.Reload) }})
	}
	add(gauge("config_generation", "Which configuration is in use: 1 since the start, one more with each reload."),
		func(r *ReloadInfo) float64 { return float64(r.Generation) })
	add(counter("config_reloads_total", "Reloads that put a configuration to use."),
		func(r *ReloadInfo) float64 { return float64(r.Succeeded) })
	add(counter("config_failed_reloads_total", "Reloads that changed nothing."),
		func(r *ReloadInfo) float64 { return float64(r.Failed) })
	add(gauge("config_last_reload_successful", "1 if the last reload put a configuration to use."),
		func(r *ReloadInfo) float64 {
			if r.OK {
				return 1
			}
			return 0
		})
	add(gauge("config_last_reload_timestamp_seconds", "When the last reload ended, or the process started."),
		func(r *ReloadInfo) float64 { return float64(r.Last.UnixMilli()) / 1000 })
}
