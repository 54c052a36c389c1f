package relay_test

import (
	"testing"

	"holdfast/relay"
)

// TestOutcomeTable goes through all states of both halves and all bits that matter, and
// asks the table of the documentation row by row.
func TestOutcomeTable(t *testing.T) {
	states := []relay.HalfState{relay.Flow, relay.Blocked, relay.Eof, relay.Shut}
	for bits := range 1 << 12 {
		for _, ds := range states {
			for _, us := range states {
				down := relay.Half{State: ds, Bits: relay.Bits(bits & 63)}
				up := relay.Half{State: us, Bits: relay.Bits(bits >> 6)}
				want := relay.StayOpen
				rows := []struct {
					holds bool
					then  relay.Verdict
				}{
					{down.Dead(), relay.EndClose},
					{ds == relay.Shut && us == relay.Shut && down.Bits&relay.AtEOF != 0, relay.EndClose},
					{ds == relay.Shut && us == relay.Shut, relay.EndLinger},
					{us == relay.Shut && up.Dead() && down.Bits&relay.AtEOF != 0, relay.EndClose},
					{us == relay.Shut && up.Dead(), relay.EndLinger},
					{us != relay.Shut && up.Dead(), relay.HalfOpen},
					{ds == relay.Shut, relay.HalfOpen},
					{us == relay.Shut, relay.HalfOpen},
				}
				for _, row := range rows {
					if row.holds {
						want = row.then
						break
					}
				}
				if got := relay.Outcome(&down, &up); got != want {
					t.Fatalf("down %v %06b, up %v %06b: verdict %d, want %d", ds, down.Bits, us, up.Bits, got, want)
				}
			}
		}
	}
}
