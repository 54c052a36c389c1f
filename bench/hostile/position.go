package main

import (
	"fmt"
	"strings"

	"holdfast/test/hostile"
)

// Where holdfast stands in a case.
const (
	stricter = "stricter"
	laxer    = "laxer"
	even     = "as strict"
)

// danger orders results: what lets more through is larger.
func danger(r *hostile.Result) int {
	switch r.Flaw {
	case hostile.FlawPoisoned, hostile.FlawCrash:
		return 1000
	case hostile.FlawAmbiguous:
		return 900
	case hostile.FlawReused:
		return 800
	case hostile.FlawLeak:
		return 700
	}
	n := 2 * r.Outcome.Forwarded
	if r.Case.Scripted() {
		n = 2 // what counts is whether the answer went on
		if r.Outcome.End == hostile.EndRefused || r.Outcome.End == hostile.EndCut || r.Outcome.End == hostile.EndClosed {
			n = 0
		}
	}
	if r.Outcome.End == hostile.EndSwitched {
		n++
	}
	return n
}

// position compares holdfast with the others in one case and says why where it is laxer.
func (r *report) position(i int) (place, why string) {
	ours := danger(&r.proxies[0].results[i])
	below, above := false, false
	for _, p := range r.proxies[1:] {
		theirs := danger(&p.results[i])
		below = below || ours < theirs
		above = above || ours > theirs
	}
	c := &r.cases[i]
	switch {
	case above && c.Note != "":
		return laxer, ": " + c.Note
	case above && strings.HasPrefix(c.About, "Control"):
		return laxer, ": it is right to let this through"
	case above && r.proxies[0].results[i].OK():
		return laxer, ": what goes on is clean"
	case above:
		return laxer, ""
	case below:
		return stricter, ""
	}
	return even, ""
}

// verdict is an error if holdfast did what no proxy must do, or what a case forbids.
func (r *report) verdict() error {
	bad := 0
	for i := range r.cases {
		if res := &r.proxies[0].results[i]; !res.OK() {
			bad++
			fmt.Printf("%s/%s: %s: %s\n", res.Case.Group, res.Case.Name, res.Verdict(), res.Why)
		}
	}
	if bad > 0 {
		return fmt.Errorf("holdfast fails %d cases", bad)
	}
	return nil
}
