package main

import (
	"os"
	"path/filepath"
	"slices"

	"holdfast/bench/plot"
)

// barsMax is where a bar is cut: beyond it, the number says enough.
const barsMax = 3

// writePlots puts NAME-ratios.svg, NAME-bulk.svg and NAME-latency.svg into a folder, as
// far as there is something to draw.
func (r *Report) writePlots(dir, name string) error {
	var errs []error
	put := func(suffix, text string) {
		if text != "" {
			errs = append(errs, os.WriteFile(filepath.Join(dir, name+"-"+suffix+".svg"), []byte(text), 0o644))
		}
	}
	put("ratios", r.bars("Costs and rates, as ratios to holdfast", func(c cell) bool { return c.scenario != "bulk" }))
	put("bulk", r.bars("Bulk data, as ratios to holdfast", func(c cell) bool { return c.scenario == "bulk" }))
	put("latency", r.curves())
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// key gives every peer the same color in all plots.
func key(name string) plot.Key { return plot.Key{Name: name, Color: slices.Index(everyone, name)} }

// bars draws the key rows of some cells: each peer's median divided by holdfast's.
func (r *Report) bars(title string, in func(cell) bool) string {
	var cells []cell
	for _, c := range r.cells {
		if in(c) {
			cells = append(cells, c)
		}
	}
	var keys []plot.Key
	for _, name := range r.columns(cells) {
		if name != holdfast {
			keys = append(keys, key(name))
		}
	}
	var groups []plot.Group
	for _, c := range cells {
		for _, row := range rowsOf(c) {
			if !row.key {
				continue
			}
			values := gather(row, r.Runs, r.Rounds)
			ours, ok := values.spread(holdfast)
			if !ok || ours.Median <= 0 {
				continue
			}
			g := plot.Group{Label: c.name + ": " + row.name}
			if row.higher {
				g.Label += " ↑"
			}
			for _, k := range keys {
				ratio := noValue
				if theirs, ok := values.spread(k.Name); ok {
					ratio = theirs.Median / ours.Median
				}
				g.Values = append(g.Values, ratio)
			}
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 || len(keys) == 0 {
		return ""
	}
	return plot.Bars(title+" (↑: more is better)", keys, groups, barsMax)
}

// curves draws the latencies at the fixed rate, for each peer those of the round whose
// p50 is the median.
func (r *Report) curves() string {
	var curves []plot.Curve
	for _, p := range r.Peers {
		var rounds []Measurement
		for _, m := range r.Runs {
			if m.Cell == "echo" && m.Peer == p.Name && m.Round < r.Rounds && len(m.Histogram) > 0 {
				rounds = append(rounds, m)
			}
		}
		if len(rounds) == 0 {
			continue
		}
		slices.SortFunc(rounds, func(a, b Measurement) int { return int(a.Latency.P50 - b.Latency.P50) })
		curves = append(curves, plot.Curve{Key: key(p.Name), Points: rounds[len(rounds)/2].Histogram})
	}
	if len(curves) == 0 {
		return ""
	}
	return plot.Quantiles("Latency of a 64 B echo at a fixed rate, from when it was due", "quantile; µs", curves)
}
