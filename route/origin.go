package route

import (
	"bytes"
	"strings"

	"holdfast/httpparse"
)

// Origins are the Origin fields that WebSocket handshakes may have (websocket_origin). It is
// immutable.
type Origins struct {
	none, same, null bool
	exact            map[string]struct{} // as normalOrigin writes them
	masks            []originMask
	regexes          []*regex
}

// originMask is a value with a "*." before its host.
type originMask struct {
	scheme string // empty for any
	host   string // begins with "."
	port   string // with its colon; empty for the default of the scheme
}

// OriginsSpec is what NewOrigins compiles.
type OriginsSpec struct {
	// None lets handshakes without an Origin pass, Same those whose Origin is the host that
	// they ask for, Null those of documents that have no origin.
	None, Same, Null bool
	// Values are origins, or masks such as https://*.example.com and *.example.com.
	Values []string
	// Regexps are patterns in the syntax of package regexp, for the Origin as it was sent.
	Regexps []string
}

// NewOrigins compiles a websocket_origin. The error is a *CompileError.
func (c *Compiler) NewOrigins(spec *OriginsSpec) (*Origins, error) {
	o := &Origins{none: spec.None, same: spec.Same, null: spec.Null, exact: map[string]struct{}{}}
	for _, value := range spec.Values {
		if !o.add(value) {
			return nil, &CompileError{
				Text: `invalid value "` + value + `" in "websocket_origin" directive`,
				Hint: "write an origin such as https://example.com or http://localhost:3000, https://*.example.com, " +
					"*.example.com, ~REGEX, same, none, null or off",
			}
		}
	}
	for _, pattern := range spec.Regexps {
		re, err := c.regex(pattern)
		if err != nil {
			return nil, err
		}
		o.regexes = append(o.regexes, re)
	}
	return o, nil
}

// add takes one value: an origin or a mask.
func (o *Origins) add(value string) (ok bool) {
	scheme, rest, hasScheme := strings.Cut(value, "://")
	if !hasScheme {
		scheme, rest = "any", value
	}
	host, isMask := strings.CutPrefix(rest, "*.")
	whole, after, ok := normalOrigin(nil, []byte(scheme+"://"+host))
	switch {
	case !ok || !hasScheme && !isMask:
		return false
	case !isMask:
		o.exact[string(whole)] = struct{}{}
		return true
	}
	name, port := string(whole[after:]), ""
	if name[0] == '[' {
		return false
	}
	if colon := strings.IndexByte(name, ':'); colon >= 0 {
		name, port = name[:colon], name[colon:]
	}
	mask := originMask{host: "." + name, port: port}
	if hasScheme {
		mask.scheme = string(whole[:after])
	}
	o.masks = append(o.masks, mask)
	return true
}

// normalOrigin appends the normal form of an origin: in lower case, without the port that its
// scheme has by default (RFC 6454 section 6.2). after is the length of its scheme with "://".
// ok is false if value is no origin, and for "null".
func normalOrigin(dst, value []byte) (origin []byte, after int, ok bool) {
	colon := bytes.Index(value, schemeEnd)
	if colon <= 0 || !isScheme(value[:colon]) {
		return dst, 0, false
	}
	after = colon + len(schemeEnd)
	host, port, err := httpparse.ParseHost(value[after:])
	if err != httpparse.OK || !isOriginHost(host) || value[len(value)-1] == ':' {
		return dst, 0, false
	}
	start := len(dst)
	dst = append(append(dst, value[:after]...), host...)
	lower(dst[start:])
	if len(port) > 0 && !isDefaultPort(dst[start:start+colon], port) {
		dst = append(append(dst, ':'), port...)
	}
	return dst, after, true
}

var schemeEnd = []byte("://")

// isScheme is the scheme of RFC 3986 section 3.1.
func isScheme(text []byte) bool {
	for i, c := range text {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return len(text) > 0
}

// isOriginHost reports whether a host is a name as DNS has them, or an address in brackets.
func isOriginHost(host []byte) bool {
	if host[0] == '[' {
		return true
	}
	for _, c := range host {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// isDefaultPort reports whether a scheme in lower case has the port by default.
func isDefaultPort(scheme, port []byte) bool {
	switch string(scheme) {
	case "http", "ws":
		return string(port) == "80"
	case "https", "wss":
		return string(port) == "443"
	}
	return false
}

// Allow judges the Origin of a handshake (RFC 6455 section 10.2). e needs Head, Req and Host.
// Several Origin fields, and one that is no origin, are not allowed. origin is the field's
// value, nil without one, of several the first.
func (o *Origins) Allow(e *Env) (origin []byte, ok bool) {
	origin, found := e.Req.Find(e.Head, httpparse.FieldOrigin)
	switch {
	case !found:
		return nil, o.none
	case e.Req.Count(httpparse.FieldOrigin) > 1:
		return origin, false
	case string(origin) == "null":
		return origin, o.null || matchesAny(o.regexes, origin)
	}
	whole, after, ok := normalOrigin(e.borrow(), origin)
	if ok {
		_, ok = o.exact[string(whole)]
		ok = ok || o.masked(whole, after) || o.same && sameHost(e, whole, after) || matchesAny(o.regexes, origin)
	}
	e.giveBack(whole)
	return origin, ok
}

// masked reports whether a mask fits an origin in its normal form.
func (o *Origins) masked(whole []byte, after int) bool {
	for i := range o.masks {
		m := &o.masks[i]
		if m.scheme != "" && m.scheme != string(whole[:after]) {
			continue
		}
		host, port := cutPort(whole[after:])
		if len(host) > len(m.host) && string(host[len(host)-len(m.host):]) == m.host && string(port) == m.port {
			return true
		}
	}
	return false
}

// cutPort takes the port, with its colon, off a host.
func cutPort(text []byte) (host, port []byte) {
	if colon := bytes.LastIndexByte(text, ':'); colon > bytes.LastIndexByte(text, ']') {
		return text[:colon], text[colon:]
	}
	return text, nil
}

// sameHost reports whether an origin in its normal form is the host and port that the request
// asks for. A port that the request does not name is the default of the origin's scheme: what
// scheme the client sees is not known behind another proxy.
func sameHost(e *Env, whole []byte, after int) bool {
	authority := e.authority
	if len(authority) == 0 {
		authority, _ = e.Req.Find(e.Head, httpparse.FieldHost)
	}
	_, asked, err := httpparse.ParseHost(authority)
	if err != httpparse.OK {
		return false
	}
	if isDefaultPort(whole[:after-len(schemeEnd)], asked) {
		asked = nil
	}
	host, port := cutPort(whole[after:])
	if len(port) > 0 {
		port = port[1:]
	}
	return bytes.Equal(host, e.Host) && bytes.Equal(port, asked)
}
