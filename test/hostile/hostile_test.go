package hostile_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/test/hostile"
	"holdfast/test/proc"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m)) }

// lanes is how many cases run at a time.
const lanes = 16

// The whole corpus against holdfast, with bodies held and with bodies streamed, in as few
// segments as there can be and in as many.
func TestCorpus(t *testing.T) {
	const streamed = "proxy_request_buffering off; proxy_buffering off;"
	for _, way := range []struct {
		name, extra string
		bytewise    bool
	}{
		{"held", "", false}, {"streamed", streamed, false}, {"held_bytewise", "", true}, {"streamed_bytewise", streamed, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			cases := read(t)
			results := hostile.Run(cases, hostile.Options{
				Lanes: start(t, proc.Holdfast, way.extra), Patience: proc.Patience, Quiet: 40 * time.Millisecond,
				Bytewise: way.bytewise,
			})
			for i := range results {
				report(t, &results[i])
			}
		})
	}
}

func read(t *testing.T) []hostile.Case {
	t.Helper()
	all, err := hostile.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	only := os.Getenv("HOLDFAST_HOSTILE_ONLY")
	var cases []hostile.Case
	for _, c := range all {
		if strings.Contains(c.Group+"/"+c.Name, only) {
			cases = append(cases, c)
		}
	}
	return cases
}

// start starts a proxy of one worker, so that every client meets the upstream
// connections that the one before it left.
func start(t *testing.T, kind proc.Kind, extra string) []hostile.Lane {
	t.Helper()
	all := make([]hostile.Lane, lanes)
	vars := map[string]string{}
	for i := range all {
		b, err := hostile.NewRecorder()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		all[i].Backend = b
		vars[fmt.Sprintf("backend%d", i)] = b.Addr
	}
	p := proc.Start(t, kind, proc.Spec{
		HTTP: hostile.HTTP(lanes, extra, func(lane int) (listen, backend string) {
			return fmt.Sprintf("127.0.0.1:{{port:front%d}}", lane), fmt.Sprintf("{{backend%d}}", lane)
		}),
		Vars: vars, Workers: 1,
	})
	for i := range all {
		all[i].Front = p.Addr(fmt.Sprintf("front%d", i))
	}
	return all
}

func report(t *testing.T, r *hostile.Result) {
	t.Helper()
	if r.OK() {
		return
	}
	allowed := make([]string, len(r.Case.Allowed))
	for i, o := range r.Case.Allowed {
		allowed[i] = o.String()
	}
	t.Errorf("%s/%s: %s (%s: %s), want %s", r.Case.Group, r.Case.Name, r.Verdict(), r.Outcome, r.Why, strings.Join(allowed, " | "))
}

// A proxy with known weaknesses must be found out: else nothing here means anything.
func TestCorpusFindsFlaws(t *testing.T) {
	known := map[string]hostile.Flaw{
		"cl-bare-lf-behind":   hostile.FlawLenient,
		"size-lf":             hostile.FlawLenient,
		"hop-extension":       hostile.FlawLeak,
		"head-escape":         hostile.FlawAmbiguous,
		"status-cr":           hostile.FlawPoisoned,
		"answer-trailer-lf":   hostile.FlawReused,
		"status-2000":         hostile.FlawAmbiguous,
		"answer-204-length":   hostile.FlawAmbiguous,
		"hop-upgrade-unnamed": hostile.FlawLeak,
	}
	var cases []hostile.Case
	for _, c := range read(t) {
		if _, chosen := known[c.Name]; chosen {
			cases = append(cases, c)
		}
	}
	results := hostile.Run(cases, hostile.Options{
		Lanes: start(t, proc.Nginx, ""), Patience: proc.Patience, Quiet: 40 * time.Millisecond, Stray: time.Second,
	})
	for i := range results {
		if r := &results[i]; r.Flaw != known[r.Case.Name] {
			t.Errorf("%s: %s (%s), want %s", r.Case.Name, r.Verdict(), r.Why, known[r.Case.Name])
		}
	}
}
