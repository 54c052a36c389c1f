package httpparse

import "bytes"

// TargetForm is the form of a request target (RFC 9112 section 3.2).
type TargetForm uint8

// The forms of a request target.
const (
	TargetOrigin    TargetForm = iota // /path?query
	TargetAbsolute                    // http://host/path?query
	TargetAuthority                   // host:port, CONNECT only
	TargetAsterisk                    // *, OPTIONS only
)

// Target is a request target taken apart. Its spans are into the target given to
// ParseTarget, not into the head.
type Target struct {
	Form      TargetForm
	Scheme    Span // TargetAbsolute only
	Authority Span // TargetAbsolute and TargetAuthority; valid for ParseHost
	// Path is as received; NormalizePath makes nginx's $uri of it. It is empty in
	// TargetAuthority and TargetAsterisk, and in an absolute form without a path,
	// which means "/".
	Path  Span
	Query Span // what follows the first "?", nginx's $args
	// HasQuery is true if there is a "?", even with nothing behind it.
	HasQuery bool
}

// ParseTarget takes apart a request target by its form and checks that the form fits
// the method. As nginx, it lets bytes above 0x7f and the ASCII punctuation that RFC
// 3986 wants encoded pass. It refuses control characters, spaces, fragments ("#"),
// userinfo, a malformed authority, and absolute forms with a scheme other than http,
// https, ws and wss. Percent-encoding is checked by NormalizePath.
func ParseTarget(target []byte, method MethodID) (Target, Error) {
	for _, c := range target {
		if classes[c]&classTarget == 0 {
			return Target{}, ErrTarget
		}
	}
	switch {
	case len(target) == 0:
		return Target{}, ErrTarget
	case method == MethodConnect:
		return authorityForm(target)
	case target[0] == '/':
		t := Target{Form: TargetOrigin}
		t.splitPath(target, 0)
		return t, OK
	case len(target) == 1 && target[0] == '*':
		if method != MethodOptions {
			return Target{}, ErrTargetMethod
		}
		return Target{Form: TargetAsterisk}, OK
	}
	return absoluteForm(target)
}

// authorityForm is host ":" port, the port required (RFC 9112 section 3.2.3).
func authorityForm(target []byte) (Target, Error) {
	_, port, err := ParseHost(target)
	if err != OK || len(port) == 0 {
		return Target{}, ErrTargetMethod
	}
	return Target{Form: TargetAuthority, Authority: Span{0, uint32(len(target))}}, OK
}

// absoluteForm is scheme "://" authority path-abempty [ "?" query ] (RFC 9112 section
// 3.2.2, RFC 9110 section 4.2).
func absoluteForm(target []byte) (Target, Error) {
	scheme := 0
	for scheme < len(target) && classes[target[scheme]]&classScheme != 0 {
		scheme++
	}
	if !knownScheme(target[:scheme]) || !bytes.HasPrefix(target[scheme:], []byte("://")) {
		return Target{}, ErrTarget
	}
	start := scheme + len("://")
	end := start
	for end < len(target) && target[end] != '/' && target[end] != '?' {
		end++
	}
	if _, _, err := ParseHost(target[start:end]); err != OK {
		return Target{}, err
	}
	t := Target{
		Form:      TargetAbsolute,
		Scheme:    Span{0, uint32(scheme)},
		Authority: Span{uint32(start), uint32(end)},
	}
	t.splitPath(target, end)
	return t, OK
}

func knownScheme(name []byte) bool {
	return EqualFold(name, "http") || EqualFold(name, "https") ||
		EqualFold(name, "ws") || EqualFold(name, "wss")
}

// splitPath sets path and query from the part of target that begins at start.
func (t *Target) splitPath(target []byte, start int) {
	t.Path = Span{uint32(start), uint32(len(target))}
	if q := bytes.IndexByte(target[start:], '?'); q >= 0 {
		mark := uint32(start + q)
		t.Path.End = mark
		t.Query = Span{mark + 1, uint32(len(target))}
		t.HasQuery = true
	}
}
