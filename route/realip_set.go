package route

import (
	"net/netip"
	"slices"
)

// AddrSet is a set of addresses, made of networks. It is immutable; the zero value is
// empty.
type AddrSet struct{ ranges []addrRange }

// addrRange is all addresses of one family from low to high.
type addrRange struct{ low, high netip.Addr }

// NewAddrSet returns the union of networks. Those of IPv4-mapped IPv6 addresses are the
// IPv4 networks that they stand for.
func NewAddrSet(networks []netip.Prefix) AddrSet {
	all := make([]addrRange, 0, len(networks))
	for _, p := range networks {
		const mappedBits = 96
		if p.Addr().Is4In6() && p.Bits() >= mappedBits {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
		}
		p = p.Masked()
		all = append(all, addrRange{low: p.Addr(), high: lastOf(p)})
	}
	slices.SortFunc(all, func(a, b addrRange) int { return a.low.Compare(b.low) })
	merged := all[:0]
	for _, r := range all {
		if n := len(merged); n > 0 && r.low.BitLen() == merged[n-1].low.BitLen() && !merged[n-1].high.Less(r.low) {
			if merged[n-1].high.Less(r.high) {
				merged[n-1].high = r.high
			}
			continue
		}
		merged = append(merged, r)
	}
	return AddrSet{ranges: merged}
}

// lastOf is the highest address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// Has reports whether a is in the set, an IPv4-mapped IPv6 address as the IPv4 one. It
// allocates nothing.
func (s *AddrSet) Has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	low, high := 0, len(s.ranges)
	for low < high { // the first range that ends at a or behind it
		middle := int(uint(low+high) >> 1)
		if s.ranges[middle].high.Less(a) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low < len(s.ranges) && !a.Less(s.ranges[low].low)
}
