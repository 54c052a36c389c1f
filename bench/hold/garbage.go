package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// garbage is what the Go runtimes of a holdfast's processes tell about their collector
// and their goroutines, by its /metrics.
type garbage struct {
	Cycles     float64 // so far, of all processes
	PauseSum   float64 // seconds of all pauses so far, of all processes
	PauseWorst float64 // seconds; of the latest 256 cycles of each process
	HeapInUse  float64 // bytes, of all processes
	Goroutines float64 // of all processes
}

// scraper leaves no connection behind, which would count as a descriptor of the proxy.
var scraper = http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// readGarbage asks every process. Without any (another proxy) it is all zero.
func readGarbage(admins []string) (garbage, error) {
	var g garbage
	for _, admin := range admins {
		resp, err := scraper.Get("http://" + admin + "/metrics")
		if err != nil {
			return g, err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return g, fmt.Errorf("%s/metrics: %s, %w", admin, resp.Status, err)
		}
		g.add(string(text))
	}
	return g, nil
}

// add adds what one process tells.
func (g *garbage) add(text string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		v, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			continue
		}
		switch f[0] {
		case "go_gc_duration_seconds_count":
			g.Cycles += v
		case "go_gc_duration_seconds_sum":
			g.PauseSum += v
		case `go_gc_duration_seconds{quantile="1"}`:
			g.PauseWorst = max(g.PauseWorst, v)
		case "go_memstats_heap_inuse_bytes":
			g.HeapInUse += v
		case "go_goroutines":
			g.Goroutines += v
		}
	}
}
