package route

import (
	"bytes"
	"net/netip"
	"strings"

	"holdfast/httpparse"
	"holdfast/proxyproto"
)

// RealIP is a compiled set_real_ip_from with what belongs to it. It is immutable.
type RealIP struct {
	from      AddrSet
	unixFrom  bool
	header    string            // in lower case; empty: that of the PROXY protocol
	id        httpparse.FieldID // of header, if it is a known one
	recursive bool
}

// RealIPSpec is what NewRealIP compiles.
type RealIPSpec struct {
	// From are the networks of set_real_ip_from, UnixFrom its unix:.
	From     []netip.Prefix
	UnixFrom bool
	// Header is the field of real_ip_header; empty means the PROXY protocol's header.
	Header string
	// Recursive is real_ip_recursive.
	Recursive bool
}

// NewRealIP compiles spec; nil if nobody is to be believed.
func NewRealIP(spec *RealIPSpec) *RealIP {
	if len(spec.From) == 0 && !spec.UnixFrom {
		return nil
	}
	p := &RealIP{
		from: NewAddrSet(spec.From), unixFrom: spec.UnixFrom, header: strings.ToLower(spec.Header), recursive: spec.Recursive,
	}
	p.id = httpparse.FieldIDOf([]byte(p.header))
	return p
}

// realAddr is what became of the client's address.
type realAddr struct {
	peer netip.AddrPort // the connection's, once Remote is another
	set  bool           // Remote is what a believed peer said
}

// UseRealIP puts the address that a believed peer tells in the place of e.Remote, once for
// a request: what was found on the server's level holds in all its locations, as in nginx
// (ngx_http_realip_module). p may be nil. It allocates nothing.
func (e *Env) UseRealIP(p *RealIP) {
	if p == nil || e.real.set || !p.believes(e.Remote.Addr()) {
		return
	}
	told, ok := p.told(e)
	if !ok {
		return
	}
	e.real = realAddr{peer: e.Remote, set: true}
	e.Remote = told
}

// believes reports whether what a peer says about its client is taken for true. The
// peers of unix-domain sockets have no valid address.
func (p *RealIP) believes(a netip.Addr) bool {
	if !a.IsValid() {
		return p.unixFrom
	}
	return p.from.Has(a)
}

// told is the address that the connection's peer tells.
func (p *RealIP) told(e *Env) (netip.AddrPort, bool) {
	if p.header == "" {
		h := e.ProxyProtocol
		if h == nil || !h.Source.IsValid() {
			return netip.AddrPort{}, false
		}
		return netip.AddrPortFrom(h.Source.Addr().Unmap(), h.Source.Port()), true
	}
	if e.Req == nil {
		return netip.AddrPort{}, false
	}
	if p.id == httpparse.FieldXForwardedFor {
		return p.fromLines(e)
	}
	value, found := p.find(e)
	if !found {
		return netip.AddrPort{}, false
	}
	last, _, ok := p.fromList(value, netip.AddrPort{})
	return last, ok
}

// find is the first field that real_ip_header names.
func (p *RealIP) find(e *Env) ([]byte, bool) {
	if p.id != httpparse.FieldOther {
		return e.Req.Find(e.Head, p.id)
	}
	for i := range e.Req.Fields {
		f := &e.Req.Fields[i]
		if f.ID == httpparse.FieldOther && httpparse.EqualFold(f.Name.Of(e.Head), p.header) {
			return f.Value.Of(e.Head), true
		}
	}
	return nil, false
}

// fromLines reads several lines of X-Forwarded-For as one list, from its end.
func (p *RealIP) fromLines(e *Env) (found netip.AddrPort, ok bool) {
	for i := len(e.Req.Fields) - 1; i >= 0; i-- {
		f := &e.Req.Fields[i]
		if f.ID != p.id {
			continue
		}
		var more, any bool
		if found, more, any = p.fromList(f.Value.Of(e.Head), found); any {
			ok = true
		}
		if !more || !any {
			break
		}
	}
	return found, ok
}

// fromList reads addresses from the end of a list: the last one, or, if p is recursive, the
// last one that is not believed, else the first. Whatever is no address ends the list. more
// says that all of them were believed, so that what stands before the list counts. Without
// any address in it found is before, and any is false.
func (p *RealIP) fromList(list []byte, before netip.AddrPort) (found netip.AddrPort, more, any bool) {
	found = before
	for {
		end := len(list)
		for end > 0 && (list[end-1] == ' ' || list[end-1] == ',' || list[end-1] == '\t') {
			end--
		}
		start := end
		for start > 0 && list[start-1] != ' ' && list[start-1] != ',' && list[start-1] != '\t' {
			start--
		}
		if start == end {
			return found, any && p.recursive, any
		}
		a, ok := parseRealAddr(list[start:end])
		if !ok {
			return found, false, any
		}
		found, any = a, true
		if !p.recursive || !p.from.Has(a.Addr()) {
			return found, false, true
		}
		list = list[:start]
	}
}

// parseRealAddr reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1
// or [2001:db8::1]:80. Without one the port is 0. What nginx does not take is refused here,
// too: brackets without a port, and port 0.
func parseRealAddr(b []byte) (netip.AddrPort, bool) {
	if a, ok := proxyproto.ParseAddr(b); ok {
		return netip.AddrPortFrom(a.Unmap(), 0), true
	}
	colon := bytes.LastIndexByte(b, ':')
	if colon <= 0 {
		return netip.AddrPort{}, false
	}
	port, ok := proxyproto.ParsePort(b[colon+1:])
	if !ok || port == 0 {
		return netip.AddrPort{}, false
	}
	host, want4 := b[:colon], true
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host, want4 = host[1:len(host)-1], false
	}
	a, ok := proxyproto.ParseAddr(host)
	return netip.AddrPortFrom(a.Unmap(), port), ok && a.Is4() == want4
}
