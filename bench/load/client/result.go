package client

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/bench/load/poll"
)

// Result is what a load did and saw. On failure it tells what went well until then.
type Result struct {
	Scenario string `json:"scenario"` // echo, storm, bulk, handshake, surge
	// Count is messages that came back (echo, surge), sessions (storm), connections
	// (bulk, handshake).
	Count     int64   `json:"count"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"` // of Count
	// Bytes is payload: of the messages that came back, or that a bulk load moved.
	Bytes       int64    `json:"bytes"`
	GBPerSecond float64  `json:"gb_per_second"` // 1 GB is 10^9 bytes
	Errors      int64    `json:"errors"`
	Latency     *Latency `json:"latency"` // nil for bulk
	// CPUSeconds is the exact processor time of this process meanwhile.
	CPUSeconds float64 `json:"cpu_seconds"`
	// Histogram is the latencies as points for a plot: the fraction of what was faster,
	// from 0 to 1, and microseconds.
	Histogram [][2]float64 `json:"histogram"`
	Surge     *Surge       `json:"surge,omitempty"` // of a surge only
}

// quantiles are those of latencies in nanoseconds.
func quantiles(h *hdrhistogram.Histogram) Latency {
	at := func(percent float64) float64 { return micro(h.ValueAtQuantile(percent)) }
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: micro(h.Max())}
}

// Latency are quantiles in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// newHistogram holds latencies in nanoseconds, with three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(10*time.Minute), 3)
}

// stopwatch measures a load from outside.
type stopwatch struct{ at, cpu time.Duration }

func start() stopwatch { return stopwatch{at: poll.Now(), cpu: poll.CPU()} }

// finish completes a result, of which Count and Bytes are known.
func (w stopwatch) finish(r *Result, latencies []*hdrhistogram.Histogram, err error) {
	r.CPUSeconds = (poll.CPU() - w.cpu).Seconds()
	r.Seconds = (poll.Now() - w.at).Seconds()
	r.PerSecond = float64(r.Count) / r.Seconds
	r.GBPerSecond = float64(r.Bytes) / r.Seconds / 1e9
	if err != nil {
		r.Errors = 1
	}
	r.Histogram = [][2]float64{}
	if len(latencies) == 0 {
		return
	}
	all := latencies[0]
	for _, h := range latencies[1:] {
		all.Merge(h)
	}
	at := func(percent float64) float64 { return micro(all.ValueAtQuantile(percent)) }
	latency := quantiles(all)
	r.Latency = &latency
	// Four points for each halving of what is left above, down to a single message.
	for left := 1.0; left*float64(all.TotalCount()) > 1; left /= math.Pow(2, 0.25) {
		r.Histogram = append(r.Histogram, [2]float64{1 - left, at(100 * (1 - left))})
	}
	r.Histogram = append(r.Histogram, [2]float64{1, r.Latency.Max})
}

// micro is nanoseconds as microseconds, with one decimal.
func micro(ns int64) float64 { return math.Round(float64(ns)/100) / 10 }
