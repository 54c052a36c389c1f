package route

// Trailers are the fields that a level adds behind the bodies of responses (add_trailer). They
// are immutable; nil adds none.
type Trailers struct {
	list []addedField
}

// NewTrailers compiles the add_trailer of a level; nil if there are none. The error is a
// *CompileError.
func (c *Compiler) NewTrailers(list []AddHeader) (*Trailers, error) {
	if len(list) == 0 {
		return nil, nil
	}
	t := &Trailers{}
	for i := range list {
		if err := checkFieldName("add_trailer", list[i].Name); err != nil {
			return nil, err
		}
		value, err := c.Compile(list[i].Value)
		if err != nil {
			return nil, err
		}
		t.list = append(t.list, addedField{name: list[i].Name, value: value, always: list[i].Always})
	}
	return t, nil
}

// Any reports whether something may follow the body of a response with this status, which
// needs the chunked coding then.
func (t *Trailers) Any(status int) bool {
	if t == nil {
		return false
	}
	for i := range t.list {
		if t.list[i].always || takesHeaders(status) {
			return true
		}
	}
	return false
}

// Append appends the fields for a response with this status, without those whose value
// renders empty.
func (t *Trailers) Append(dst []byte, e *Env, status int) []byte {
	if t == nil {
		return dst
	}
	for i := range t.list {
		if f := &t.list[i]; f.always || takesHeaders(status) {
			dst = appendRendered(dst, e, f.name, f.value)
		}
	}
	return dst
}
