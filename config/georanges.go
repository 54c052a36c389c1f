package config

import (
	"maps"
	"slices"
)

// geoRanges are the ranges of a geo block, cut at the borders of blocks of 65,536 addresses.
// What may overlap is what nginx lets: a range inside another one that was written before.
type geoRanges struct {
	blocks     map[uint16][]geoPiece // sorted, without overlaps
	fallback   uint32                // index of the default in Values
	hasDefault bool
}

// geoPiece is a part of a range: addresses of one block, from first to last.
type geoPiece struct {
	first, last uint16
	value       uint32
}

// eachBlock calls visit with the part of a range in each block that it touches, until that
// returns false.
func eachBlock(low, high uint32, visit func(block, first, last uint16) bool) {
	for block := low >> 16; block <= high>>16; block++ {
		first, last := uint16(0), uint16(0xffff)
		if block == low>>16 {
			first = uint16(low)
		}
		if block == high>>16 {
			last = uint16(high)
		}
		if !visit(uint16(block), first, last) {
			return
		}
	}
}

// put enters a range. duplicate says that it was there, with the value old; fits is false where it
// overlaps another range without being inside it.
func (g *geoRanges) put(low, high, value uint32) (old uint32, duplicate, fits bool) {
	if g.blocks == nil {
		g.blocks = map[uint16][]geoPiece{}
	}
	fits = true
	eachBlock(low, high, func(block, first, last uint16) bool {
		pieces := g.blocks[block]
		at := firstEndingFrom(pieces, first)
		if at == len(pieces) || pieces[at].first > last {
			g.blocks[block] = slices.Insert(pieces, at, geoPiece{first, last, value})
			return true
		}
		p := pieces[at]
		if p.first > first || p.last < last {
			fits = false
			return false
		}
		if p.first == first && p.last == last {
			old, duplicate = p.value, true
		}
		var parts []geoPiece
		if p.first < first {
			parts = append(parts, geoPiece{p.first, first - 1, p.value})
		}
		parts = append(parts, geoPiece{first, last, value})
		if p.last > last {
			parts = append(parts, geoPiece{last + 1, p.last, p.value})
		}
		g.blocks[block] = slices.Replace(pieces, at, at+1, parts...)
		return true
	})
	return old, duplicate, fits
}

// remove takes a range out; false where it was not there as a whole.
func (g *geoRanges) remove(low, high uint32) (found bool) {
	found = true
	eachBlock(low, high, func(block, first, last uint16) bool {
		pieces := g.blocks[block]
		at := firstEndingFrom(pieces, first)
		if at == len(pieces) || pieces[at].first != first || pieces[at].last != last {
			found = false
			return false
		}
		g.blocks[block] = slices.Delete(pieces, at, at+1)
		return true
	})
	return found
}

// firstEndingFrom is the first piece that does not end before the address.
func firstEndingFrom(pieces []geoPiece, first uint16) int {
	if n := len(pieces); n == 0 || pieces[n-1].last < first {
		return n // as in a file in ascending order
	}
	at, _ := slices.BinarySearchFunc(pieces, first, func(p geoPiece, first uint16) int { return int(p.last) - int(first) })
	return at
}

// spans enters the ranges into geo.
func (g *geoRanges) spans(geo *Geo) {
	put := func(start, value uint32) {
		geo.Starts4, geo.Index4 = addSpan(geo.Starts4, geo.Index4, start, value)
	}
	put(0, g.fallback)
	for _, block := range slices.Sorted(maps.Keys(g.blocks)) {
		start := uint32(block) << 16
		for _, p := range g.blocks[block] {
			put(start|uint32(p.first), p.value)
			if after := start + uint32(p.last) + 1; after != 0 {
				put(after, g.fallback)
			}
		}
	}
}
