package upstream

import "net/netip"

// The numbers of nginx's ip_hash: h = (h · 113 + octet) mod 6271, beginning with 89.
const (
	addressSeed   = 89
	addressFactor = 113
	addressPrime  = 6271
)

// AddressKey is what ip_hash chooses by: the first three octets of an IPv4 address, or the
// whole IPv6 address; three zeros for a client without an address.
//
// One round of the hash over all octets is h · factor + sum; the key holds both numbers.
func AddressKey(a netip.Addr) uint64 {
	var octets [16]byte
	n := 3
	switch a = a.Unmap(); {
	case a.Is4():
		v4 := a.As4()
		copy(octets[:], v4[:n])
	case a.IsValid():
		octets = a.As16()
		n = len(octets)
	}
	factor, sum := uint64(1), uint64(0)
	for _, octet := range octets[:n] {
		factor = factor * addressFactor % addressPrime
		sum = (sum*addressFactor + uint64(octet)) % addressPrime
	}
	return factor<<32 | sum
}

// ipHash is ip_hash.
type ipHash struct {
	*roundRobin
	ranges
}

// next hashes once more for each member that can't take the request; after 20 of these round
// robin goes on.
func (h *ipHash) next(s *set, c *Choice, nowMs int64) int {
	total := h.total()
	if s.single || total == 0 || c.draws > drawsMax {
		return h.roundRobin.next(s, c, nowMs)
	}
	hash := uint64(c.hash)
	if hash == 0 && c.draws == 0 {
		hash = addressSeed
	}
	for {
		hash = (hash*(c.Key>>32) + c.Key&0xffffffff) % addressPrime
		if i := h.at(hash % total); s.take(i, c, nowMs) {
			c.hash = uint32(hash)
			return i
		}
		if c.draws++; c.draws > drawsMax {
			return h.roundRobin.next(s, c, nowMs)
		}
	}
}
