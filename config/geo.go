package config

import (
	"net/netip"
	"strings"
)

// Geo is what a geo block says about addresses, ready to be searched: spans that follow each
// other without a gap, each from its first address to the one before the next span's.
type Geo struct {
	// Starts4 are the first addresses of the spans of IPv4, ascending; the first is 0. Index4
	// has the index in Values for each.
	Starts4 []uint32
	Index4  []uint32
	// Starts6 and Index6 are the same for IPv6; empty in the mode of ranges.
	Starts6 [][16]byte
	Index6  []uint32
	// Values are the different values, without variables.
	Values []string
	// Proxies are believed about their clients' addresses, in X-Forwarded-For (proxy).
	Proxies []netip.Prefix
	// Recursive skips the believed ones among several addresses (proxy_recursive).
	Recursive bool
}

func geoDirectives() []Directive {
	return []Directive{{
		Name: "geo", Contexts: CtxHTTP | CtxStream, Args: "[$address] $variable { ... }",
		Doc: "Defines a variable whose value depends on the client's address, or on another one: that of the " +
			"smallest network that has it, or with ranges that of the range. Parameters are default, ranges, delete, " +
			"include, and in http proxy and proxy_recursive.",
		Deviation: "Files of ranges are not kept in a binary form.",
		min:       1, max: 2, form: block, repeat: true, phase: phaseDefine, read: readGeo,
	}}
}

// geoReader reads one geo block.
type geoReader struct {
	*level
	geo    *Geo
	values map[string]uint32
	lines  []*node

	byRange bool
	begun   bool // a network, range or default was read
	list    geoNetworks
	ranges  geoRanges
}

func readGeo(l *level, n *node) {
	m := &Map{Position: n.Position, Geo: &Geo{}}
	if len(n.args) == 2 {
		m.Source = n.args[0]
		if !variableName.MatchString(m.Source) {
			l.add(Error, n.Position, "write: geo [$ADDRESS] $NAME { ... }", "invalid variable name %q", m.Source)
			return
		}
		l.text(m.Position, n.name, m.Source)
	}
	if !l.defines(n, m, n.args[len(n.args)-1]) {
		return
	}
	r := &geoReader{level: l, geo: m.Geo, values: map[string]uint32{}, lines: n.block}
	r.index("")
	r.list.v4 = make([]geoNetwork, 0, len(n.block))
	for i, line := range n.block {
		r.line(i, line)
	}
	if r.byRange {
		r.ranges.spans(r.geo)
		return
	}
	r.list.spans(r)
}

// index is where the value stands in Values; equal ones are kept once.
func (r *geoReader) index(value string) uint32 {
	i, known := r.values[value]
	if !known {
		i = uint32(len(r.geo.Values))
		r.values[value] = i
		r.geo.Values = append(r.geo.Values, value)
	}
	return i
}

// line reads line i of the block.
func (r *geoReader) line(i int, line *node) {
	switch {
	case line.isBlock:
		r.add(Error, line.Position, "write: NETWORK VALUE;", `unexpected "{"`)
	case len(line.args) == 0 && line.name == "ranges":
		if r.begun {
			r.add(Error, line.Position, "write it first",
				`the "ranges" directive must be the first directive inside "geo" block`)
		}
		r.byRange = true
	case len(line.args) == 0 && line.name == "proxy_recursive" && !r.inStream():
		r.geo.Recursive = true
	case len(line.args) != 1:
		r.add(Error, line.Position, "write: NETWORK VALUE;", "invalid number of the geo parameters")
	case line.name == "proxy" && !r.inStream():
		if prefix, ok := r.network(line, line.args[0]); ok {
			r.geo.Proxies = append(r.geo.Proxies, prefix)
		}
	case r.byRange:
		r.begun = true
		r.rangeLine(line)
	default:
		r.begun = true
		r.networkLine(i, line)
	}
}

func (r *geoReader) inStream() bool { return r.scope == &r.stream }

// network reads an address or a network.
func (r *geoReader) network(line *node, text string) (netip.Prefix, bool) {
	addr, bits := text, -1
	if slash := strings.IndexByte(text, '/'); slash >= 0 {
		var ok bool
		if bits, ok = parseInt(text[slash+1:], 0); !ok {
			return r.badNetwork(line, text)
		}
		addr = text[:slash]
	}
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || bits > a.BitLen() {
		return r.badNetwork(line, text)
	}
	if bits < 0 {
		bits = a.BitLen()
	}
	prefix := netip.PrefixFrom(a, bits)
	if masked := prefix.Masked(); masked != prefix {
		r.add(Warning, line.Position, "", "low address bits of %s are meaningless", text)
		prefix = masked
	}
	return prefix, true
}

func (r *geoReader) badNetwork(line *node, text string) (netip.Prefix, bool) {
	r.add(Error, line.Position, "write an address or a network such as 10.0.0.0/8", "invalid network %q", text)
	return netip.Prefix{}, false
}

// networkLine reads one network and its value, or delete and a network.
func (r *geoReader) networkLine(i int, line *node) {
	text, deletes := line.name, line.name == "delete"
	if deletes {
		text = line.args[0]
	}
	e := geoNetwork{line: int32(i), deletes: deletes}
	if !deletes {
		e.value = r.index(line.args[0])
	}
	if text == "default" {
		r.list.v4 = append(r.list.v4, e)
		r.list.v6 = append(r.list.v6, e)
		return
	}
	prefix, ok := r.network(line, text)
	if !ok {
		return
	}
	e.bits = uint8(prefix.Bits())
	if prefix.Addr().Is4() {
		e.setAddr4(prefix.Addr().As4())
		r.list.v4 = append(r.list.v4, e)
		return
	}
	e.setAddr6(prefix.Addr().As16())
	r.list.v6 = append(r.list.v6, e)
}

// rangeLine reads one range and its value, or delete and a range.
func (r *geoReader) rangeLine(line *node) {
	text, deletes := line.name, line.name == "delete"
	if deletes {
		text = line.args[0]
	}
	if text == "default" && !deletes {
		if r.ranges.hasDefault {
			r.add(Warning, line.Position, "remove one", "duplicate default geo range value: %q, old value: %q",
				line.args[0], r.geo.Values[r.ranges.fallback])
		}
		r.ranges.hasDefault, r.ranges.fallback = true, r.index(line.args[0])
		return
	}
	first, last, _ := strings.Cut(text, "-")
	low, ok := parseIPv4(first)
	high, ok2 := parseIPv4(last)
	if !ok || !ok2 || low > high {
		r.add(Error, line.Position, "write: FIRST-LAST VALUE;, with two IPv4 addresses", "invalid range %q", text)
		return
	}
	if deletes {
		if !r.ranges.remove(low, high) {
			r.add(Warning, line.Position, "write the range as it was written above", "no address range %q to delete", text)
		}
		return
	}
	old, duplicate, fits := r.ranges.put(low, high, r.index(line.args[0]))
	switch {
	case !fits:
		r.add(Error, line.Position, "a range may be inside one above, but not go beyond it",
			"range %q overlaps one above", text)
	case duplicate:
		r.add(Warning, line.Position, "remove one", "duplicate range %q, value: %q, old value: %q",
			text, line.args[0], r.geo.Values[old])
	}
}

func parseIPv4(s string) (uint32, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), true
}
