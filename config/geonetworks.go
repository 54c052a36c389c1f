package config

import (
	"bytes"
	"cmp"
	"slices"
)

// geoNetwork is one line about a network of a geo block. Its size counts: there may be a
// million of them.
type geoNetwork struct {
	addr    [16]byte // of IPv4 the last four bytes
	value   uint32   // index in Values
	line    int32    // in the block
	bits    uint8
	deletes bool
}

func (e *geoNetwork) setAddr4(a [4]byte)  { copy(e.addr[12:], a[:]) }
func (e *geoNetwork) setAddr6(a [16]byte) { e.addr = a }

// geoNetworks are the lines about networks, of both families.
type geoNetworks struct{ v4, v6 []geoNetwork }

// spans enters the networks into the Geo of r: the smallest one that has an address counts.
func (g *geoNetworks) spans(r *geoReader) {
	eachSpan(r.settled4(), 32, func(from [16]byte, value uint32) {
		start := uint32(from[12])<<24 | uint32(from[13])<<16 | uint32(from[14])<<8 | uint32(from[15])
		r.geo.Starts4, r.geo.Index4 = addSpan(r.geo.Starts4, r.geo.Index4, start, value)
	})
	eachSpan(r.settled6(), 128, func(from [16]byte, value uint32) {
		r.geo.Starts6, r.geo.Index6 = addSpan(r.geo.Starts6, r.geo.Index6, from, value)
	})
}

func (r *geoReader) settled4() []geoNetwork { return r.settledNetworks(r.list.v4) }
func (r *geoReader) settled6() []geoNetwork { return r.settledNetworks(r.list.v6) }

// settledNetworks sorts the networks so that each comes before those inside it, and keeps of
// the lines about one network what the last has said.
func (r *geoReader) settledNetworks(list []geoNetwork) []geoNetwork {
	slices.SortFunc(list, func(a, b geoNetwork) int {
		return cmp.Or(bytes.Compare(a.addr[:], b.addr[:]), cmp.Compare(a.bits, b.bits), cmp.Compare(a.line, b.line))
	})
	kept := list[:0]
	for i := 0; i < len(list); {
		now, present := list[i], false
		for first := list[i]; i < len(list) && list[i].addr == first.addr && list[i].bits == first.bits; i++ {
			line := r.lines[list[i].line]
			switch {
			case list[i].deletes && !present:
				r.add(Warning, line.Position, "write the network as it was written above", "no network %q to delete", line.args[0])
			case !list[i].deletes && present:
				r.add(Warning, line.Position, "remove one", "duplicate network %q, value: %q, old value: %q",
					line.name, line.args[0], r.geo.Values[now.value])
			}
			now, present = list[i], !list[i].deletes
		}
		if present {
			kept = append(kept, now)
		}
	}
	return kept
}

// eachSpan walks the addresses from the lowest to the highest, and calls span where the smallest
// network changes. Outside of all networks the value is 0, the empty one.
func eachSpan(list []geoNetwork, width int, span func(from [16]byte, value uint32)) {
	span([16]byte{}, 0)
	var open []geoNetwork // each inside the one before
	closeUntil := func(e *geoNetwork) {
		for len(open) > 0 && (e == nil || !open[len(open)-1].has(e, width)) {
			after, more := open[len(open)-1].after(width)
			open = open[:len(open)-1]
			if !more {
				return // the last address; so it is of all that are open
			}
			outside := uint32(0)
			if len(open) > 0 {
				outside = open[len(open)-1].value
			}
			span(after, outside)
		}
	}
	for i := range list {
		closeUntil(&list[i])
		span(list[i].addr, list[i].value)
		open = append(open, list[i])
	}
	closeUntil(nil)
}

// has reports whether another network is inside this one. It begins at the same address or later.
func (e *geoNetwork) has(other *geoNetwork, width int) bool {
	if other.bits < e.bits {
		return false
	}
	at := 16 - width/8
	whole := int(e.bits) / 8
	if !bytes.Equal(e.addr[at:at+whole], other.addr[at:at+whole]) {
		return false
	}
	rest := e.bits % 8
	return rest == 0 || (e.addr[at+whole]^other.addr[at+whole])>>(8-rest) == 0
}

// after is the first address behind the network; ok is false if there is none.
func (e *geoNetwork) after(width int) (addr [16]byte, ok bool) {
	addr = e.addr
	if e.bits == 0 {
		return addr, false
	}
	first := 16 - width/8
	at := first + int(e.bits-1)/8
	step := byte(1) << (7 - (e.bits-1)%8)
	for ; at >= first; at-- {
		addr[at] += step
		if addr[at] >= step {
			return addr, true
		}
		step = 1
	}
	return addr, false
}

// addSpan adds a span. One that begins where the last one does takes its place, and one with the
// last one's value is part of it.
func addSpan[T comparable](starts []T, index []uint32, from T, value uint32) ([]T, []uint32) {
	if n := len(starts); n > 0 && starts[n-1] == from {
		starts, index = starts[:n-1], index[:n-1]
	}
	if n := len(index); n > 0 && index[n-1] == value {
		return starts, index
	}
	return append(starts, from), append(index, value)
}
