package route

import "holdfast/httpparse"

// EarlyHints are the conditions of early_hints. It is immutable.
type EarlyHints struct {
	conditions []Template
}

// NewEarlyHints compiles the arguments of early_hints. The error is a *CompileError.
func (c *Compiler) NewEarlyHints(conditions []string) (*EarlyHints, error) {
	h := &EarlyHints{}
	for _, text := range conditions {
		t, err := c.Compile(text)
		if err != nil {
			return nil, err
		}
		h.conditions = append(h.conditions, t)
	}
	return h, nil
}

// Pass reports whether one of the conditions is neither empty nor "0". It may be called
// on nil, which passes nothing.
func (h *EarlyHints) Pass(e *Env) bool {
	if h == nil {
		return false
	}
	for i := range h.conditions {
		buf := h.conditions[i].Append(e.borrow(), e)
		holds := len(buf) > 0 && string(buf) != "0"
		e.giveBack(buf)
		if holds {
			return true
		}
	}
	return false
}

// AppendRequestTrailers appends those of a request's trailer fields in buf that may be
// merged into, or follow, any message: no framing, routing, authentication, caching or
// content fields (RFC 9110 section 6.5.1), nor any that proxy_set_header sets, since a
// backend may take a trailer for a header field.
func (p *Proxy) AppendRequestTrailers(dst, buf []byte, fields []httpparse.Field) []byte {
	return appendTrailers(dst, buf, fields, &p.request.drop)
}

// AppendResponseTrailers is AppendRequestTrailers for a response's, without hidden fields.
func (p *Proxy) AppendResponseTrailers(dst, buf []byte, fields []httpparse.Field) []byte {
	return appendTrailers(dst, buf, fields, &p.response.hide)
}

func appendTrailers(dst, buf []byte, fields []httpparse.Field, without *fieldSet) []byte {
	for i := range fields {
		f := &fields[i]
		if trails(buf, f) && !without.has(buf, f) {
			dst = appendField(dst, buf, f)
		}
	}
	return dst
}

// trails reports whether f may be a trailer field.
func trails(buf []byte, f *httpparse.Field) bool {
	switch f.ID {
	case httpparse.FieldOther:
	case httpparse.FieldETag:
		return true
	default:
		return false
	}
	name := f.Name.Of(buf)
	for _, prefix := range neverTrailerPrefixes {
		if len(name) >= len(prefix) && variableNames(name[:len(prefix)], prefix, true) {
			return false
		}
	}
	for _, never := range neverTrailers {
		if variableNames(name, never, true) {
			return false
		}
	}
	return passableTrailer(name)
}

// passableTrailer refuses names that a backend could take for others.
func passableTrailer(name []byte) bool {
	for _, c := range name {
		if !isNameByte(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// neverTrailers are fields that control how a message is read, routed, cached or
// trusted. A "_" stands for "-" too, since many applications can't tell the two apart:
// so some that have a FieldID are here again. neverTrailerPrefixes are whole families.
var (
	neverTrailers = [...]string{
		"accept_ranges", "age", "alt_svc", "authorization", "cache_control", "clear_site_data", "cookie", "digest",
		"expires", "forwarded", "http2_settings", "keep_alive", "last_modified", "max_forwards", "pragma", "range",
		"repr_digest", "retry_after", "set_cookie", "set_cookie2", "strict_transport_security", "transfer_encoding",
		"user_agent", "via", "warning", "www_authenticate", "x_http_method_override", "x_original_url", "x_real_ip",
		"x_rewrite_url",
	}
	neverTrailerPrefixes = [...]string{
		"access_control_", "content_", "if_", "proxy_", "sec_", "x_accel_", "x_forwarded_",
	}
)
