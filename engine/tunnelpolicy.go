package engine

import (
	"fmt"
	"strings"
	"time"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
)

// tunnelCounts are the counts of tunnels_max that a configuration uses.
type tunnelCounts struct {
	open    *shard.TunnelCounts
	numbers map[*config.TunnelsMax]uint32
	names   map[string]int // how many have had the name before
	order   []uint32
}

func newTunnelCounts(open *shard.TunnelCounts) tunnelCounts {
	return tunnelCounts{open: open, numbers: map[*config.TunnelsMax]uint32{}, names: map[string]int{}}
}

// number is that of the count of a tunnels_max. It goes by where that stands, not by its
// line, so that a count goes on in the next configuration.
func (c *tunnelCounts) number(m *config.TunnelsMax) uint32 {
	if number := c.numbers[m]; number != 0 {
		return number
	}
	name := tunnelsMaxPlace(m)
	if c.names[name]++; c.names[name] > 1 {
		name = fmt.Sprintf("%s (%d)", name, c.names[name])
	}
	number := c.open.Open(name)
	c.numbers[m] = number
	c.order = append(c.order, number)
	return number
}

// tunnelsMaxPlace describes the level of a tunnels_max.
func tunnelsMaxPlace(m *config.TunnelsMax) string {
	if m.Server == nil {
		return "http"
	}
	words := []string{"server"}
	for _, name := range m.Server.Names {
		if name.Text != "" {
			words = append(words, name.Text)
		}
	}
	for _, l := range m.Server.Listeners {
		words = append(words, l.Addr.String())
	}
	if m.Location != "" {
		words = append(words, m.Location)
	}
	return strings.Join(words, " ")
}

// tunnelLimits translates which tunnels may begin.
func (b *builder) tunnelLimits(r *route.Settings, t *config.TunnelLimits) {
	r.Origins = b.origins(t.Origins)
	if t.Max != nil {
		r.TunnelCount = b.tunnelCounts.number(t.Max)
		r.TunnelsMax, r.TunnelsRetry = int64(t.Max.Number), int64(t.Max.RetryAfter/time.Second)
	}
}

// origins compiles a websocket_origin; nil for none.
func (b *builder) origins(o *config.Origins) *route.Origins {
	if o == nil {
		return nil
	}
	spec := route.OriginsSpec{None: o.None, Same: o.Same, Null: o.Null}
	for _, value := range o.Values {
		spec.Values = []string{value.Text}
		if _, err := b.compiler.NewOrigins(&spec); err != nil {
			b.fail(value.Position, err)
			return nil
		}
	}
	spec.Values = nil
	for _, value := range o.Values {
		spec.Values = append(spec.Values, value.Text)
	}
	for _, re := range o.Regexps {
		spec.Regexps = append(spec.Regexps, re.Text)
	}
	compiled, err := b.compiler.NewOrigins(&spec)
	if err != nil {
		b.fail(o.Position, err)
	}
	return compiled
}

// lifetime adds what a level says of the age of tunnels to its policy.
func lifetime(p *shard.Policy, t *config.TunnelLimits) {
	if t.Lifetime > 0 {
		p.LifetimeMs, p.LifetimeJitter = ms(t.Lifetime), uint8(t.Jitter)
	}
}

// tunnelInfos are the counts of the present configuration.
func (e *engine) tunnelInfos() (list []admin.LimitInfo) {
	for _, number := range e.built().tunnelCounts {
		count := e.shared.TunnelCounts.At(number)
		list = append(list, admin.LimitInfo{
			Directive: "tunnels_max", Zone: count.Name(), Keys: int(count.Live()),
			Passed: count.Passed(), Rejected: count.Refused(),
		})
	}
	return list
}
