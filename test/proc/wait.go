package proc

import (
	"os"
	"testing"
	"time"
)

// noDeadline takes a connection's deadline away.
var noDeadline time.Time

// pollEvery is the pause between two looks at a condition.
const pollEvery = 5 * time.Millisecond

// Until polls until done returns nil, and ends the test with its last error when
// Patience runs out.
func Until(t testing.TB, what string, done func() error) {
	t.Helper()
	if err := Poll(Patience, done); err != nil {
		t.Fatalf("waited for %s: %v", what, err)
	}
}

// Poll calls done until it returns nil or the time is over; it returns the last error.
func Poll(within time.Duration, done func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := done()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollEvery)
	}
}

// Skip skips the test for want of a foreign program, and says which. When
// HOLDFAST_REQUIRE_PEERS is 1, as in CI, that is a failure instead.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s (HOLDFAST_REQUIRE_PEERS=1 forbids to skip)", reason)
	}
	t.Skip(reason)
}
