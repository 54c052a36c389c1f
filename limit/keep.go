package limit

import "slices"

// Keep forgets the zones of rates but these, with what they remember. Zones of connections are
// kept for the life of the process: what they count may live as long.
func (zs *Zones) Keep(rates []*RateZone) {
	zs.mu.Lock()
	defer zs.mu.Unlock()
	zs.rates = slices.DeleteFunc(zs.rates, func(z *RateZone) bool { return !slices.Contains(rates, z) })
}
