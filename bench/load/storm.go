package load

import (
	"context"
	"time"
)

// StormResult is what a connect storm took.
type StormResult struct {
	Connections int
	Seconds     float64
	PerSecond   float64
}

// Storm opens n WebSockets as fast as it can, atOnce at a time, passes one message
// through each and closes it.
func Storm(ctx context.Context, target Target, n, atOnce int) (StormResult, error) {
	payload := make([]byte, 64)
	start := time.Now()
	err := each(n, atOnce, func(i int) error {
		t, err := Dial(ctx, target, i)
		if err != nil {
			return err
		}
		defer t.Close()
		return t.Echo(payload)
	})
	seconds := time.Since(start).Seconds()
	return StormResult{Connections: n, Seconds: seconds, PerSecond: float64(n) / seconds}, err
}
