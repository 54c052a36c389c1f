package route

import (
	"strings"

	"holdfast/httpparse"
)

// fieldSet is a set of field names: well-known ones by their number, others by name.
type fieldSet struct {
	known [httpparse.FieldCount]bool
	other []string // in lower case
}

// newFieldSet returns the set of ids.
func newFieldSet(ids ...httpparse.FieldID) fieldSet {
	var s fieldSet
	for _, id := range ids {
		s.known[id] = true
	}
	return s
}

// add enters name, in any case.
func (s *fieldSet) add(name string) {
	if id := httpparse.FieldIDOf([]byte(name)); id != httpparse.FieldOther {
		s.known[id] = true
		return
	}
	s.other = append(s.other, strings.ToLower(name))
}

// remove takes name out again.
func (s *fieldSet) remove(name string) {
	if id := httpparse.FieldIDOf([]byte(name)); id != httpparse.FieldOther {
		s.known[id] = false
		return
	}
	kept := s.other[:0]
	for _, other := range s.other {
		if other != strings.ToLower(name) {
			kept = append(kept, other)
		}
	}
	s.other = kept
}

// has reports whether the field f of buf is in the set.
func (s *fieldSet) has(buf []byte, f *httpparse.Field) bool {
	if f.ID != httpparse.FieldOther {
		return s.known[f.ID]
	}
	for _, name := range s.other {
		if httpparse.EqualFold(f.Name.Of(buf), name) {
			return true
		}
	}
	return false
}

// listsFields reports whether Connection lists anything but its usual options: only
// then must each field be looked up in it.
func listsFields(buf []byte, fields []httpparse.Field) bool {
	options := httpparse.ListTokens(buf, fields, httpparse.FieldConnection)
	for {
		option, ok := options.Next()
		if !ok {
			return false
		}
		if !httpparse.EqualFold(option, "keep-alive") && !httpparse.EqualFold(option, "close") &&
			!httpparse.EqualFold(option, "upgrade") {
			return true
		}
	}
}

// endToEnd reports whether a field goes on to the other side although Connection may
// list it: a sender must not list what a message cannot do without (RFC 9110 section
// 7.6.1), and obeying would let it take the handshake apart.
func endToEnd(id httpparse.FieldID) bool {
	switch id {
	case httpparse.FieldContentType,
		httpparse.FieldSecWebSocketKey, httpparse.FieldSecWebSocketVersion, httpparse.FieldSecWebSocketAccept,
		httpparse.FieldSecWebSocketProtocol, httpparse.FieldSecWebSocketExtensions:
		return true
	}
	return false
}

// appendField appends a field line as it was received.
func appendField(dst, buf []byte, f *httpparse.Field) []byte {
	dst = append(dst, f.Name.Of(buf)...)
	dst = append(dst, ": "...)
	dst = append(dst, f.Value.Of(buf)...)
	return append(dst, "\r\n"...)
}

// underscores reports whether field names may have a "_", which nginx takes for an invalid
// character as any other (underscores_in_headers, ignore_invalid_headers).
func (s *Settings) underscores() bool { return s.UnderscoresInHeaders || !s.IgnoreInvalidHeaders }

// passableName reports whether a request field may go on by its name. As nginx by
// default, names with other characters than letters, digits and "-" are left out: an
// application that turns "-" into "_" could not tell X_Real_IP from X-Real-IP.
func (s *Settings) passableName(name []byte) bool {
	if s == nil {
		return true
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-':
		case c == '_':
			if !s.underscores() {
				return false
			}
		case s.IgnoreInvalidHeaders:
			return false
		}
	}
	return true
}
