package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/proc"
)

// tunnelsOf is how many tunnels each shard has.
func tunnelsOf(t *testing.T, p *proc.Proxy) (counts []int) {
	t.Helper()
	for _, raw := range p.Status(t).Shards {
		var shard struct{ Tunnels int }
		if err := json.Unmarshal(raw, &shard); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, shard.Tunnels)
	}
	return counts
}

// With listen_steering least the shards get the same number of tunnels, and what some lose
// comes back to them. Without privileges a warning stands in the log, and all is as ever.
func TestSteeringToTheLeast(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	spec := to(b)
	spec.Workers, spec.Events = 4, "listen_steering least;"
	p := holdfast(t, spec)
	steered := !strings.Contains(p.ErrorLog(), "listen_steering least can't be had")
	var tunnels []*proc.Raw
	open := func(count int) {
		for range count {
			c := proc.Dial(t, p.Front())
			c.Handshake("x", "/")
			tunnels = append(tunnels, c)
		}
	}
	even := func(when string) {
		t.Helper()
		counts := tunnelsOf(t, p)
		if steered && slices.Max(counts)-slices.Min(counts) > 4 {
			t.Errorf("%s the shards have %v tunnels", when, counts)
		}
	}
	open(64)
	even("at first")
	for _, c := range tunnels[:40] {
		c.Close()
	}
	tunnels = tunnels[40:]
	proc.Until(t, "24 tunnels", func() error {
		if n := p.Status(t).Totals.Tunnels; n != 24 {
			return fmt.Errorf("%d tunnels", n)
		}
		return nil
	})
	open(40)
	even("after some were replaced")
	for _, c := range tunnels {
		c.EchoText("alive")
		c.Close()
	}
	p.Stop(t, syscall.SIGQUIT)
}
