package route

import (
	"bytes"

	"holdfast/httpparse"
)

// IgnoredFields is the set of fields of a response that are not obeyed (proxy_ignore_headers).
type IgnoredFields uint8

// The members of IgnoredFields.
const (
	IgnoreAccelRedirect IgnoredFields = 1 << iota
	IgnoreAccelLimitRate
	IgnoreAccelBuffering
)

// AccelRedirect is where the upstream's response sends the request inside: a path, or the
// name of a location with its "@" (X-Accel-Redirect). found is false if it does not.
func (p *Proxy) AccelRedirect(e *Env) (target []byte, found bool) {
	if p.form.ignored&IgnoreAccelRedirect != 0 {
		return nil, false
	}
	return e.Resp.Find(e.RespHead, httpparse.FieldXAccelRedirect)
}

// Unbuffered reports whether the upstream wants its response passed on as it comes
// (X-Accel-Buffering: no). usual is what holds if it does not say.
func (p *Proxy) Unbuffered(e *Env, usual bool) bool {
	if p.form.ignored&IgnoreAccelBuffering != 0 {
		return usual
	}
	switch value, _ := e.Resp.Find(e.RespHead, httpparse.FieldXAccelBuffering); {
	case httpparse.EqualFold(value, "no"):
		return true
	case httpparse.EqualFold(value, "yes"):
		return false
	}
	return usual
}

// TakeLimitRate obeys X-Accel-Limit-Rate: a number of bytes a second, 0 for no limit.
func (p *Proxy) TakeLimitRate(e *Env) {
	if p.form.ignored&IgnoreAccelLimitRate != 0 || e.Resp.Count(httpparse.FieldXAccelLimitRate) == 0 {
		return
	}
	value, _ := e.Resp.Find(e.RespHead, httpparse.FieldXAccelLimitRate)
	for _, c := range value {
		if c < '0' || c > '9' {
			return
		}
	}
	e.LimitRate.Assign(value)
}

// carriedFields are the fields of a response with X-Accel-Redirect that the answer gets.
type carriedFields struct {
	lines       []byte // whole lines
	rangeLine   []byte // that of Accept-Ranges
	contentType string
}

// CarryFields keeps what nginx keeps of a response with X-Accel-Redirect: Content-Type,
// Content-Disposition, Accept-Ranges, Set-Cookie, Cache-Control and Expires. It lives until
// Reset.
func (p *Proxy) CarryFields(e *Env) {
	buf := append(e.borrow(), e.carried.lines...)
	for i := range e.Resp.Fields {
		f := &e.Resp.Fields[i]
		switch {
		case f.ID == httpparse.FieldContentType:
			e.carried.contentType = string(f.Value.Of(e.RespHead))
		case f.ID == httpparse.FieldSetCookie, f.ID == httpparse.FieldCacheControl:
			if !p.response.hide.known[f.ID] {
				buf = p.appendResponseField(buf, e, f)
			}
		case f.ID != httpparse.FieldOther:
		case isName(e, f, "accept-ranges"):
			line := appendField(e.borrow(), e.RespHead, f)
			e.carried.rangeLine = e.keep(line)
			e.giveBack(line)
		case isName(e, f, "expires"), isName(e, f, "content-disposition"):
			if !p.response.hide.has(e.RespHead, f) {
				buf = appendField(buf, e.RespHead, f)
			}
		}
	}
	e.carried.lines = e.keep(e.appendSticky(buf))
	e.giveBack(buf)
}

func isName(e *Env, f *httpparse.Field, name string) bool {
	return httpparse.EqualFold(f.Name.Of(e.RespHead), name)
}

// appendCarriedType appends the Content-Type of CarryFields to a response of an upstream that
// has none.
func (e *Env) appendCarriedType(dst []byte) []byte {
	if e.carried.contentType == "" || e.Resp.Count(httpparse.FieldContentType) > 0 {
		return dst
	}
	return appendContentType(dst, e.carried.contentType)
}

// appendCarried appends the fields of CarryFields that are no part of a head yet; whole says
// that the answer is no page of ours about a status.
func (e *Env) appendCarried(dst []byte, whole bool) []byte {
	dst = append(dst, e.carried.lines...)
	if whole {
		dst = append(dst, e.carried.rangeLine...)
	}
	return dst
}

// SetUnsafe is SetInternal for a target that an upstream has named: its path is decoded. It
// returns false for one that nginx calls unsafe, which has no path, a NUL, or a segment "..",
// and for one without "/" before it, which no location matches.
func (e *Env) SetUnsafe(target []byte) bool {
	path, args, _ := bytes.Cut(target, questionMark)
	if len(path) == 0 || path[0] != '/' || unsafePath(path) {
		return false
	}
	buf := appendUnescaped(e.borrow(), path)
	safe := !unsafePath(buf)
	if safe {
		e.URI, e.Args = e.keep(buf), e.keep(args)
		e.moved, e.internal, e.rewritten.whole = true, true, false
	}
	e.giveBack(buf)
	return safe
}

// unsafePath reports whether path has a NUL or a segment "..".
func unsafePath(path []byte) bool {
	for i, c := range path {
		if c == 0 {
			return true
		}
		if after, climbs := bytes.CutPrefix(path[i:], climbing); climbs && (len(after) == 0 || after[0] == '/') {
			return true
		}
	}
	return false
}

var climbing = []byte("/..")

// appendUnescaped appends path with its percent-encoded bytes decoded. As in nginx a "%" before
// no hexadecimal digit is dropped, and so is one with a single digit and what follows that.
func appendUnescaped(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			dst = append(dst, path[i])
			continue
		}
		if i+1 == len(path) || hexValue(path[i+1]) > 15 {
			continue
		}
		if i+2 < len(path) && hexValue(path[i+2]) < 16 {
			dst = append(dst, hexValue(path[i+1])<<4|hexValue(path[i+2]))
		}
		i += 2
	}
	return dst
}

// hexValue is the value of a hexadecimal digit, 255 for another byte.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
