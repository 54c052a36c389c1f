package client

import "time"

// Impatient is the target for a test that waits for the end of the patience.
func Impatient(t Target, really bool) Target {
	if really {
		t.patience = 300 * time.Millisecond
	}
	return t
}
