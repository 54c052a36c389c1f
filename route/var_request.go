package route

import (
	"bytes"
	"strconv"

	"holdfast/httpparse"
)

func varArgs(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return append(dst, e.Args...), len(e.Args) > 0
}

func varIsArgs(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if len(e.Args) > 0 {
		dst = append(dst, '?')
	}
	return dst, true
}

func varURI(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return append(dst, e.URI...), e.URI != nil
}

func varRequestURI(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return append(dst, e.RawTarget...), e.RawTarget != nil
}

// varHost falls back to the server's first name, as nginx does.
func varHost(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if len(e.Host) > 0 {
		return append(dst, e.Host...), true
	}
	return varServerName(dst, e, a)
}

// requestLineMax bounds what a refused request's first line puts into $request.
const requestLineMax = 1024

// varRequest is the request line. Of a request that was refused before its line was
// understood, it is what there is of the line.
func varRequest(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.Req != nil && e.Req.Target.Len() > 0 {
		dst = append(dst, e.Head[e.Req.Method.Start:e.Req.Target.End]...)
		return varServerProtocol(append(dst, ' '), e, a)
	}
	line := e.Head
	if end := bytes.IndexAny(line, "\r\n"); end >= 0 {
		line = line[:end]
	}
	return append(dst, line[:min(len(line), requestLineMax)]...), len(line) > 0
}

func varRequestMethod(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.Req == nil || e.Req.Method.Len() == 0 {
		return dst, false
	}
	if e.asGet {
		return append(dst, "GET"...), true
	}
	return append(dst, e.Req.Method.Of(e.Head)...), true
}

func varServerProtocol(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.Req == nil {
		return dst, false
	}
	return append(dst, 'H', 'T', 'T', 'P', '/', '1', '.', '0'+e.Req.Minor), true
}

func varRequestLength(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return strconv.AppendInt(dst, e.RequestLength, 10), true
}

// varContentLength is, of a body that came in chunks, its length once it was read.
func varContentLength(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.chunkedRead {
		return strconv.AppendInt(dst, e.chunkedBytes, 10), true
	}
	return appendFirst(dst, e, httpparse.FieldContentLength)
}

// SetChunkedLength notes that all of a request body with the chunked coding was read, which had
// that many bytes.
func (e *Env) SetChunkedLength(n int64) { e.chunkedRead, e.chunkedBytes = true, n }

func varContentType(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendFirst(dst, e, httpparse.FieldContentType)
}

// appendFirst appends the first request field with that id.
func appendFirst(dst []byte, e *Env, id httpparse.FieldID) ([]byte, bool) {
	if e.Req == nil {
		return dst, false
	}
	value, found := e.Req.Find(e.Head, id)
	return append(dst, value...), found
}

// varRequestField is $http_name. $http_host is the authority of an absolute-form
// target, if there is one: the Host beside it must be ignored (RFC 9112 section 3.2.2).
func varRequestField(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.Req == nil {
		return dst, false
	}
	if a.id == httpparse.FieldHost && len(e.authority) > 0 {
		return append(dst, e.authority...), true
	}
	settings := e.settings()
	underscores := settings != nil && settings.underscores()
	return appendFields(dst, e.Head, e.Req.Fields, a, underscores)
}

// appendFields appends the values of all fields that a names, joined as one list, as
// nginx has done since 1.23.
func appendFields(dst, buf []byte, fields []httpparse.Field, a *varArg, underscores bool) ([]byte, bool) {
	separator := ", "
	if a.id == httpparse.FieldCookie {
		separator = "; "
	}
	found := false
	for i := range fields {
		f := &fields[i]
		if f.ID != a.id || f.ID == httpparse.FieldOther && !variableNames(f.Name.Of(buf), a.name, underscores) {
			continue
		}
		if found {
			dst = append(dst, separator...)
		}
		dst = append(dst, f.Value.Of(buf)...)
		found = true
	}
	return dst, found
}

// variableNames reports whether the variable's name means field: "_" stands for "-",
// and for itself only where underscores are allowed in field names.
func variableNames(field []byte, name string, underscores bool) bool {
	if len(field) != len(name) {
		return false
	}
	for i, c := range field {
		switch {
		case c == '-':
			c = '_'
		case c == '_' && !underscores:
			return false
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// varArgument is $arg_name: the raw value of the first argument called name, in any case.
func varArgument(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	for rest := e.Args; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, ampersand)
		if len(pair) > len(a.name) && pair[len(a.name)] == '=' && httpparse.EqualFold(pair[:len(a.name)], a.name) {
			return append(dst, pair[len(a.name)+1:]...), true
		}
	}
	return dst, false
}

var ampersand = []byte("&")

// varCookie is $cookie_name: the value of the first cookie called name, in any case.
func varCookie(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.Req == nil {
		return dst, false
	}
	for i := range e.Req.Fields {
		f := &e.Req.Fields[i]
		if f.ID != httpparse.FieldCookie {
			continue
		}
		for rest := f.Value.Of(e.Head); len(rest) > 0; {
			if value, found := cookieValue(rest, a.name); found {
				return append(dst, value...), true
			}
			next := bytes.IndexAny(rest, ";,")
			if next < 0 {
				break
			}
			rest = bytes.TrimLeft(rest[next+1:], " ")
		}
	}
	return dst, false
}

// cookieValue is the value of the cookie at the start of text, if it is called name.
func cookieValue(text []byte, name string) ([]byte, bool) {
	if len(text) < len(name) || !httpparse.EqualFold(text[:len(name)], name) {
		return nil, false
	}
	text = bytes.TrimLeft(text[len(name):], " ")
	if len(text) == 0 || text[0] != '=' {
		return nil, false
	}
	text = bytes.TrimLeft(text[1:], " ")
	if end := bytes.IndexByte(text, ';'); end >= 0 {
		text = text[:end]
	}
	return text, true
}

// varProxyAddXForwardedFor is the client's X-Forwarded-For with $remote_addr behind it.
func varProxyAddXForwardedFor(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.Req != nil {
		arg := varArg{id: httpparse.FieldXForwardedFor}
		at := len(dst)
		if dst, _ = appendFields(dst, e.Head, e.Req.Fields, &arg, false); len(dst) > at {
			dst = append(dst, ", "...)
		}
	}
	return varRemoteAddr(dst, e, a)
}
