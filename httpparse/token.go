package httpparse

// What a byte may be part of.
const (
	classToken  = 1 << iota // tchar, RFC 9110 section 5.6.2
	classValue              // field value: HTAB, SP, VCHAR, obs-text, RFC 9110 section 5.5
	classTarget             // request target: what ParseTarget accepts
	classHost               // registered name without percent-encoding, RFC 3986 section 3.2.2
	classScheme             // URI scheme, RFC 3986 section 3.1
	classEscape             // escaped in a path sent upstream: nginx's NGX_ESCAPE_URI
)

var classes = classTable()

func classTable() (table [256]uint8) {
	mark := func(class uint8, bytes string) {
		for i := range len(bytes) {
			table[bytes[i]] |= class
		}
	}
	const (
		digits  = "0123456789"
		letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	)
	mark(classToken, digits+letters+"!#$%&'*+-.^_`|~")
	mark(classHost, digits+letters+"-._~"+"!$&'()*+,;=")
	mark(classScheme, digits+letters+"+-.")
	mark(classEscape, " \"#%<>?\\^`{|}\x7f")
	table['\t'] |= classValue
	for c := range table {
		if c < 0x20 || c > 0x7f {
			table[c] |= classEscape
		}
		if c < 0x20 || c == 0x7f {
			continue
		}
		table[c] |= classValue
		if c != ' ' && c != '#' {
			table[c] |= classTarget
		}
	}
	return table
}

// isToken reports whether b is a token: one or more tchar (RFC 9110 section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if classes[c]&classToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

// lowerByte is c in lower case if it is an ASCII letter.
func lowerByte(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// EqualFold reports whether a equals lower when the ASCII letters of a are taken in
// lower case. lower must be in lower case already.
func EqualFold(a []byte, lower string) bool {
	if len(a) != len(lower) {
		return false
	}
	for len(a) >= 8 && len(lower) >= 8 {
		if toLower8(load8(a)) != load8String(lower) {
			return false
		}
		a, lower = a[8:], lower[8:]
	}
	for i := range a {
		if lowerByte(a[i]) != lower[i] {
			return false
		}
	}
	return true
}

// equalFoldBytes reports whether a equals b, the ASCII case aside.
func equalFoldBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

// trimSpace is b without the SP and HTAB around it (OWS, RFC 9110 section 5.6.3).
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// NextToken takes the first element off a comma-separated list (RFC 9110 section
// 5.6.1). Empty elements are passed over; token is nil when there is none left. The
// element is not checked to be a token, and a comma within quotes ends one too: of the
// lists that are walked so, only Sec-WebSocket-Extensions knows quotes, and no comma in
// them (RFC 6455 section 9.1). Both results alias list.
func NextToken(list []byte) (token, rest []byte) {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		token = trimSpace(list[:end])
		list = list[min(end+1, len(list)):]
		if len(token) > 0 {
			return token, list
		}
	}
	return nil, nil
}

// HasToken reports whether the comma-separated list value has the element
// lowerToken, in any case. lowerToken must be in lower case.
func HasToken(value []byte, lowerToken string) bool {
	for {
		var token []byte
		token, value = NextToken(value)
		if token == nil {
			return false
		}
		if EqualFold(token, lowerToken) {
			return true
		}
	}
}

// Tokens walks the list elements of every field line with one FieldID, in the order
// received: several lines of a list field mean one list (RFC 9110 section 5.3).
type Tokens struct {
	buf    []byte
	fields []Field
	rest   []byte
	id     FieldID
}

// ListTokens starts a walk over the elements of the fields with that id. Neither the
// walk nor its elements, which alias buf, are copied to the heap.
func ListTokens(buf []byte, fields []Field, id FieldID) Tokens {
	return Tokens{buf: buf, fields: fields, id: id}
}

// Next is the next element, or ok false at the end.
func (t *Tokens) Next() (token []byte, ok bool) {
	for {
		if token, t.rest = NextToken(t.rest); token != nil {
			return token, true
		}
		for len(t.fields) > 0 && t.fields[0].ID != t.id {
			t.fields = t.fields[1:]
		}
		if len(t.fields) == 0 {
			return nil, false
		}
		t.rest = t.fields[0].Value.Of(t.buf)
		t.fields = t.fields[1:]
	}
}

// ListHas reports whether the fields with that id list lowerToken, in any case.
func ListHas(buf []byte, fields []Field, id FieldID, lowerToken string) bool {
	for i := range fields {
		if fields[i].ID == id && HasToken(fields[i].Value.Of(buf), lowerToken) {
			return true
		}
	}
	return false
}

// ConnectionLists reports whether Connection lists name, in any case: such a field is
// meant for this hop only and is not forwarded (RFC 9110 section 7.6.1).
func ConnectionLists(buf []byte, fields []Field, name []byte) bool {
	for i := range fields {
		if fields[i].ID != FieldConnection {
			continue
		}
		token, rest := NextToken(fields[i].Value.Of(buf))
		for token != nil {
			if equalFoldBytes(token, name) {
				return true
			}
			token, rest = NextToken(rest)
		}
	}
	return false
}
