package assert_test

import (
	"testing"

	"holdfast/internal/assert"
)

func TestThatFollowsTheBuildTag(t *testing.T) {
	panicked := func(cond bool) (message any) {
		defer func() { message = recover() }()
		assert.That(cond, "one is two")
		return nil
	}
	if got := panicked(true); got != nil {
		t.Errorf("a true condition panicked: %v", got)
	}
	var want any
	if assert.On {
		want = "assertion failed: one is two"
	}
	if got := panicked(false); got != want {
		t.Errorf("a false condition: got panic %v, want %v (assertions on: %v)", got, want, assert.On)
	}
}

func TestThatDoesNotAllocate(t *testing.T) {
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		n++
		assert.That(n > 0, "n counts up")
	})
	if allocs != 0 {
		t.Errorf("allocations per assertion: %v, want 0", allocs)
	}
}
