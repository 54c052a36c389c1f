// Package plot draws the charts of the benches as SVG: bars for ratios, curves for the
// quantiles of a latency. It needs no fonts of its own and no script, and is readable on
// a light and on a dark page.
package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Sizes in pixels.
const (
	width     = 860
	textSize  = 12
	rowHeight = 15 // of a bar with its gap
	margin    = 16
)

// colors are told apart also by those who don't see all of them (Okabe and Ito).
var colors = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999"}

// canvas collects the elements of a drawing.
type canvas struct {
	b      strings.Builder
	height float64
}

func (c *canvas) line(x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(&c.b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style)
}

func (c *canvas) rect(x, y, w, h float64, color string) {
	fmt.Fprintf(&c.b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, w, h, color)
}

// text writes at a baseline; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, text string) {
	fmt.Fprintf(&c.b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, html.EscapeString(text))
}

// finish wraps what was drawn.
func (c *canvas) finish(title string) string {
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" "+
		"font-family=\"sans-serif\" font-size=\"%d\">\n<title>%s</title>\n"+
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n<g fill=\"#222222\">\n%s</g>\n</svg>\n",
		width, c.height, width, c.height, textSize, html.EscapeString(title), c.b.String())
}

const (
	gridStyle = `stroke="#dddddd"`
	unitStyle = `stroke="#222222" stroke-dasharray="3 3"`
)

// Key is a name with the number of its color, the same in all charts of a report.
type Key struct {
	Name  string
	Color int
}

func (k Key) color() string { return colors[k.Color%len(colors)] }

// legend writes names with their colors in one line and returns the height it took.
func (c *canvas) legend(keys []Key, y float64) float64 {
	x := float64(margin)
	for _, key := range keys {
		c.rect(x, y, 10, 10, key.color())
		c.text(x+15, y+10, "start", key.Name)
		x += 15 + float64(len(key.Name))*textSize*.62 + 18
	}
	return 24
}

// Group is one row of a bar chart: a label and a value for each of the keys; NaN is
// left out.
type Group struct {
	Label  string
	Values []float64
}

// Bars draws groups of horizontal bars. Values beyond limit are cut there, and their
// number is written at the end. A dashed line stands at one.
func Bars(title string, keys []Key, groups []Group, limit float64) string {
	const left, right = 330., width - 70.
	c := &canvas{}
	c.text(margin, 22, "start", title)
	y := 34 + c.legend(keys, 34)
	top := y
	x := func(v float64) float64 { return left + min(v, limit)/limit*(right-left) }
	var bars canvas
	for _, g := range groups {
		shown := 0
		first := y
		for i, v := range g.Values {
			if math.IsNaN(v) {
				continue
			}
			bars.rect(left, y+2, max(x(v)-left, 1), rowHeight-4, keys[i].color())
			label := fmt.Sprintf("%.2f", v)
			if v > limit {
				label = fmt.Sprintf("→ %.3g", v)
			}
			bars.text(x(v)+5, y+rowHeight-3, "start", label)
			y += rowHeight
			shown++
		}
		if shown > 0 {
			bars.text(left-8, (first+y)/2+4, "end", g.Label)
			y += 8
		}
	}
	for v := .5; v <= limit; v += .5 {
		c.line(x(v), top-4, x(v), y, gridStyle)
		c.text(x(v), y+14, "middle", fmt.Sprintf("%g", v))
	}
	c.line(x(1), top-4, x(1), y, unitStyle)
	c.b.WriteString(bars.b.String())
	c.height = y + 26
	return c.finish(title)
}

// Curve is a latency distribution: quantiles (0 to 1) with their values, ascending.
type Curve struct {
	Key
	Points [][2]float64
}

// Quantiles draws latencies over quantiles, both logarithmic: the x axis is stretched
// towards 1, so that each further nine takes the same room.
func Quantiles(title, unit string, curves []Curve) string {
	const left, right, bottom = 70., width - 24., 400.
	c := &canvas{height: bottom + 44}
	c.text(margin, 22, "start", title)
	var keys []Key
	low, high := math.Inf(1), 0.
	for _, curve := range curves {
		keys = append(keys, curve.Key)
		for _, p := range curve.Points {
			if p[0] <= nineLast && p[1] > 0 {
				low, high = min(low, p[1]), max(high, p[1])
			}
		}
	}
	top := 44 + c.legend(keys, 34)
	if high == 0 {
		return c.finish(title)
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)+1e-9))
	x := func(q float64) float64 { return left + nines(q)/nines(nineLast)*(right-left) }
	y := func(v float64) float64 {
		return bottom - math.Log(max(v, low)/low)/math.Log(high/low)*(bottom-top)
	}
	for _, q := range []float64{0, .5, .9, .99, .999, nineLast} {
		c.line(x(q), top, x(q), bottom, gridStyle)
		c.text(x(q), bottom+16, "middle", fmt.Sprintf("%g %%", math.Round(q*1e6)/1e4))
	}
	for decade := low; decade <= high*1.0001; decade *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if v := decade * step; v <= high*1.0001 {
				c.line(left, y(v), right, y(v), gridStyle)
				c.text(left-6, y(v)+4, "end", fmt.Sprintf("%g", v))
			}
		}
	}
	c.text(left, bottom+34, "start", unit)
	for _, curve := range curves {
		c.curve(curve, x, y)
	}
	return c.finish(title)
}

func (c *canvas) curve(curve Curve, x, y func(float64) float64) {
	var points []string
	for _, p := range curve.Points {
		if p[0] <= nineLast && p[1] > 0 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(p[0]), y(p[1])))
		}
	}
	fmt.Fprintf(&c.b, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n",
		strings.Join(points, " "), curve.color())
}

// nineLast is the last quantile that is drawn.
const nineLast = .9999

// nines is how many nines a quantile has: 0.9 has one, 0.99 two.
func nines(q float64) float64 { return -math.Log10(1 - q) }
