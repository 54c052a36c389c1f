package route

import (
	"bytes"
	"net/netip"
	"sort"

	"holdfast/proxyproto"
)

// GeoSpec is a geo block: spans of addresses that follow each other without a gap, each from its
// first address to the one before the next span's. The slices must not change any more.
type GeoSpec struct {
	// Starts4 are the first addresses of the spans of IPv4, ascending; the first is 0. Index4
	// has the index in Values for each. Starts6 and Index6 are the same for IPv6; without
	// spans its addresses count as 255.255.255.255.
	Starts4 []uint32
	Index4  []uint32
	Starts6 [][16]byte
	Index6  []uint32
	Values  []string
	// Proxies are believed about their clients' addresses, in X-Forwarded-For; Recursive skips
	// the believed ones among several addresses.
	Proxies   []netip.Prefix
	Recursive bool
}

// geo is a compiled geo block. A search takes about 20 steps for 300,000 networks.
type geo struct {
	spec    *GeoSpec
	values  []mapValue
	proxies *RealIP
	named   bool // the source has the address, not the connection
}

// noAddress is what clients of unix-domain sockets and texts that are no address count as, as in nginx.
const noAddress = 1<<32 - 1

func newGeo(spec *GeoSpec, named bool) *geo {
	g := &geo{spec: spec, named: named}
	for _, v := range spec.Values {
		g.values = append(g.values, mapValue{constant: []byte(v)})
	}
	g.proxies = NewRealIP(&RealIPSpec{From: spec.Proxies, Header: "X-Forwarded-For", Recursive: spec.Recursive})
	return g
}

// find is the value for the source, else for the client (ngx_http_geo_module).
func (g *geo) find(e *Env, source []byte) *mapValue {
	addr := e.Remote.Addr()
	if g.named {
		addr, _ = proxyproto.ParseAddr(source)
	}
	if g.proxies != nil && e.Req != nil && addr.IsValid() && g.proxies.believes(addr) {
		if told, ok := g.proxies.fromLines(e); ok {
			addr = told.Addr()
		}
	}
	return &g.values[g.index(addr.Unmap())]
}

// index is the index of the value for an address.
func (g *geo) index(addr netip.Addr) uint32 {
	s, address := g.spec, uint32(noAddress)
	switch {
	case addr.Is4():
		b := addr.As4()
		address = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	case addr.Is6() && len(s.Starts6) > 0:
		b := addr.As16()
		return s.Index6[sort.Search(len(s.Starts6), func(i int) bool { return bytes.Compare(s.Starts6[i][:], b[:]) > 0 })-1]
	}
	low, high := 0, len(s.Starts4) // the span is low, or one between low and high
	for high-low > 1 {
		middle := int(uint(low+high) >> 1)
		if s.Starts4[middle] <= address {
			low = middle
		} else {
			high = middle
		}
	}
	return s.Index4[low]
}
