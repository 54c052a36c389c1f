package upstream

import (
	"hash/crc32"
	"strconv"
)

// HashKey is what the hash methods choose by: the length of the rendered key, and its CRC-32.
// From these the CRC-32 of the key with anything before it follows.
func HashKey(key []byte) uint64 { return uint64(len(key))<<32 | uint64(crc32.ChecksumIEEE(key)) }

// keyHash is hash without consistent, compatible with nginx (and Cache::Memcached): the sum of
// the upper halves of CRC-32s, of the key first, then of the key with a number before it.
type keyHash struct {
	*roundRobin
	ranges
}

// next hashes once more for each member that can't take the request; after 20 of these, and
// for an empty key, it is the turn of round robin.
func (h *keyHash) next(s *set, c *Choice, nowMs int64) int {
	total := h.total()
	if s.single || total == 0 || c.Key>>32 == 0 {
		return h.roundRobin.next(s, c, nowMs)
	}
	for c.draws <= drawsMax {
		c.hash += c.rehash() >> 16 & 0x7fff
		c.rehashes++
		if i := h.at(uint64(c.hash) % total); s.take(i, c, nowMs) {
			return i
		}
		c.draws++
	}
	return h.roundRobin.next(s, c, nowMs)
}

// rehash is the CRC-32 of the key behind the number of rehashes so far, if there were any.
func (c *Choice) rehash() uint32 {
	if c.rehashes == 0 {
		return uint32(c.Key)
	}
	var digits [3]byte
	before := ^uint32(0)
	for _, digit := range strconv.AppendUint(digits[:0], uint64(c.rehashes), 10) {
		before = crc32.IEEETable[byte(before)^digit] ^ before>>8
	}
	return crcJoin(^before, uint32(c.Key), c.Key>>32)
}

// crcJoin is the CRC-32 of two texts one behind the other, from that of each and the length of
// the second. A CRC is the remainder of a polynomial over GF(2): length octets more multiply
// that of the first by x^(8·length).
func crcJoin(first, second uint32, length uint64) uint32 {
	power := uint32(1 << 31 >> 8) // x^8, the lowest coefficient in the highest bit
	for ; length > 0; length >>= 1 {
		if length&1 != 0 {
			first = crcMultiply(first, power)
		}
		power = crcMultiply(power, power)
	}
	return first ^ second
}

// crcMultiply is the product of two polynomials modulo that of CRC-32.
func crcMultiply(a, b uint32) uint32 {
	var product uint32
	for bit := uint32(1 << 31); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
	return product
}
