package main

import (
	"math"
	"slices"
)

// Spread is a median with the smallest and the largest value, over the rounds.
type Spread struct {
	Median, Min, Max float64
}

// spread summarises values; ok is false if there are none.
func spread(values []float64) (s Spread, ok bool) {
	n := len(values)
	if n == 0 {
		return Spread{}, false
	}
	sorted := slices.Sorted(slices.Values(values))
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}, true
}

// has tells a measured value from one that is missing.
func has(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// noValue stands for what could not be measured.
var noValue = math.NaN()
