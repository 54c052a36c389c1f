package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"holdfast/test/proc"
)

const (
	sigTERM = syscall.SIGTERM
	sigQUIT = syscall.SIGQUIT
)

// counter counts the bytes written to it.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }
func (c *counter) value() int64                { return c.n.Load() }
func (c *counter) reset()                      { c.n.Store(0) }

// stalled waits until a counter has moved and then stayed where it was for some looks.
func stalled(t *testing.T, c *counter) {
	t.Helper()
	last, same := int64(0), 0
	proc.Until(t, "the writer to stall", func() error {
		if n := c.value(); n == 0 || n != last {
			last, same = n, 0
			return errors.New("still moving")
		}
		if same++; same < 40 {
			return errors.New("not settled yet")
		}
		return nil
	})
}

// closedOnce waits until exactly one tunnel has ended, for this reason and on this side,
// in /status, in /metrics and in the log.
func closedOnce(t *testing.T, p *proc.Proxy, reason, side string) {
	t.Helper()
	want := []proc.CloseCount{{Reason: reason, Side: side, Count: 1}}
	proc.Until(t, "the tunnel's end", func() error {
		sum := p.Status(t).Totals
		if len(sum.TunnelCloses) != 1 || sum.TunnelCloses[0] != want[0] || sum.Tunnels != 0 {
			return fmt.Errorf("tunnels %d, closes %v, want %v", sum.Tunnels, sum.TunnelCloses, want)
		}
		return nil
	})
	samples := p.Metrics(t)
	var total float64
	for name, value := range samples {
		if strings.HasPrefix(name, "holdfast_tunnel_closes_total{") {
			total += value
		}
	}
	name := fmt.Sprintf("holdfast_tunnel_closes_total{reason=%q,side=%q}", reason, side)
	if samples[name] != 1 || total != 1 {
		t.Errorf("%s is %v, all closes together %v", name, samples[name], total)
	}
	logged := fmt.Sprintf(" reason=%s side=%s ", reason, side)
	proc.Until(t, "the log line of the tunnel's end", func() error {
		log := p.AccessLog()
		if strings.Count(log, "tunnel_close ") != 1 || !strings.Contains(log, logged) {
			return fmt.Errorf("want one tunnel_close with%sin %q", logged, log)
		}
		return nil
	})
}
