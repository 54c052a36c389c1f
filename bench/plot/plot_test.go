package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// wellFormed fails if text is no XML; it returns how often each element occurs.
func wellFormed(t *testing.T, text string) map[string]int {
	t.Helper()
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
}

func TestBars(t *testing.T) {
	text := Bars("a < b & c", []Key{{"nginx", 0}, {"haproxy", 1}}, []Group{
		{"cost", []float64{1.25, math.NaN()}}, {"memory", []float64{83, .5}}, {"nothing", []float64{math.NaN(), math.NaN()}},
	}, 3)
	count := wellFormed(t, text)
	if count["rect"] != 1+2+3 { // the ground, the legend, three values
		t.Errorf("%v in\n%s", count, text)
	}
	for _, want := range []string{">1.25<", ">→ 83<", ">0.50<", ">memory<", "a &lt; b &amp; c"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, ">nothing<") || strings.Contains(text, "NaN") {
		t.Errorf("a row without values was drawn:\n%s", text)
	}
}

func TestQuantiles(t *testing.T) {
	text := Quantiles("latency", "µs", []Curve{
		{Key{"nginx", 9}, [][2]float64{{0, 80}, {.5, 120}, {.99, 900}, {1, 5000}}}, {Key{"nobody", 1}, nil},
	})
	if count := wellFormed(t, text); count["polyline"] != 2 {
		t.Errorf("%v in\n%s", count, text)
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("no number:\n%s", text)
	}
	wellFormed(t, Quantiles("empty", "µs", nil))
}
