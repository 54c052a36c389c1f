package route

import (
	"math"
	"strconv"

	"holdfast/httpparse"
)

// HeadersSpec is add_header and expires at one level, for Compiler.NewHeaders.
type HeadersSpec struct {
	Add []AddHeader
	// Expires is the arguments of expires as written, without "modified"; empty or
	// "off" for none.
	Expires string
	// Modified says that expires counts from Last-Modified.
	Modified bool
}

// AddHeader is one add_header.
type AddHeader struct {
	Name   string
	Value  string // may have variables; nothing is added where it renders empty
	Always bool   // whatever the status
}

// Headers are the fields that a level adds to its answers. It is immutable; nil adds
// nothing.
type Headers struct {
	add     []addedField
	expires expires
}

// addedField is one add_header. Last-Modified and ETag take the place of the answer's
// own, even if nothing is rendered; replaces is that field.
type addedField struct {
	name     string
	value    Template
	replaces givenWay
	always   bool
}

// givenWay is a set of fields that an answer has by itself and that Headers take the
// place of.
type givenWay uint8

const (
	goneExpires      givenWay = 1 << iota // with Cache-Control
	goneLastModified                      // by add_header Last-Modified
	goneETag                              // by add_header ETag
)

// noTime is the modification time of what has none.
const noTime = math.MinInt64

// NewHeaders compiles spec; nil if it says nothing. The error is a *CompileError.
func (c *Compiler) NewHeaders(spec *HeadersSpec) (*Headers, error) {
	h := &Headers{}
	var err error
	if h.expires, err = c.newExpires(spec.Expires, spec.Modified); err != nil {
		return nil, err
	}
	for i := range spec.Add {
		add := &spec.Add[i]
		if err := checkFieldName("add_header", add.Name); err != nil {
			return nil, err
		}
		value, err := c.Compile(add.Value)
		if err != nil {
			return nil, err
		}
		field := addedField{name: add.Name, value: value, always: add.Always}
		switch httpparse.FieldIDOf([]byte(add.Name)) {
		case httpparse.FieldLastModified:
			field.replaces = goneLastModified
		case httpparse.FieldETag:
			field.replaces = goneETag
		}
		h.add = append(h.add, field)
	}
	if len(h.add) == 0 && h.expires.kind == expiresOff {
		return nil, nil
	}
	return h, nil
}

// append appends the fields for an answer of this status, and says which of the
// answer's own they replace. modifiedSec is its Last-Modified, or noTime. The fields' own texts
// see in $sent_http_ the draft of a head that keepSent was given, and the fields before them.
func (h *Headers) append(dst []byte, e *Env, status int, modifiedSec int64) (out []byte, gone givenWay) {
	usual := takesHeaders(status)
	if usual && h.expires.kind != expiresOff {
		var set bool
		at := len(dst)
		if dst, set = h.expires.append(dst, e, modifiedSec); set {
			gone = goneExpires
		}
		e.addSent(dst[at:])
	}
	last := [...]int{-1, -1}
	for i := range h.add {
		f := &h.add[i]
		if !usual && !f.always {
			continue
		}
		gone |= f.replaces
		switch f.replaces {
		case goneLastModified:
			last[0] = i
		case goneETag:
			last[1] = i
		default:
			at := len(dst)
			dst = appendRendered(dst, e, f.name, f.value)
			e.addSent(dst[at:])
		}
	}
	for _, i := range last {
		if i >= 0 {
			dst = appendRendered(dst, e, h.add[i].name, h.add[i].value)
		}
	}
	return dst, gone
}

// has reports whether the field f of buf is one of those that give way.
func (g givenWay) has(buf []byte, f *httpparse.Field) bool {
	switch f.ID {
	case httpparse.FieldCacheControl:
		return g&goneExpires != 0
	case httpparse.FieldLastModified:
		return g&goneLastModified != 0
	case httpparse.FieldETag:
		return g&goneETag != 0
	case httpparse.FieldOther:
		return g&goneExpires != 0 && httpparse.EqualFold(f.Name.Of(buf), "expires")
	}
	return false
}

// takesHeaders reports whether fields are added to answers of this status without
// "always" (add_header).
func takesHeaders(status int) bool {
	switch status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return false
}

// upstreamModified is the upstream's Last-Modified, if expires counts from it.
func (e *Env) upstreamModified(h *Headers) int64 {
	if !h.expires.modified {
		return noTime
	}
	value, found := e.Resp.Find(e.RespHead, httpparse.FieldLastModified)
	if !found {
		return noTime
	}
	second, ok := parseDate(value, e.nowSec())
	if !ok {
		return noTime
	}
	return second
}

// checkFieldName refuses names that no directive may give to a field.
func checkFieldName(directive, name string) error {
	switch httpparse.FieldIDOf([]byte(name)) {
	case httpparse.FieldContentLength, httpparse.FieldTransferEncoding:
		return &CompileError{
			Text: directive + " cannot set " + name + ": it must say how the body is really sent",
			Hint: "remove the line",
		}
	}
	valid := name != ""
	for i := range len(name) {
		valid = valid && isTokenByte(name[i])
	}
	if !valid {
		return &CompileError{Text: "invalid header field name " + strconv.Quote(name)}
	}
	return nil
}
