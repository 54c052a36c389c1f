package route

// Template is a text with variables, compiled by a Compiler. The zero value renders
// as nothing. It is immutable and may be used by any number of goroutines.
type Template struct{ parts []part }

// part is literal text, or a variable if render is set.
type part struct {
	literal string
	render  varFunc
	arg     varArg
}

// Const returns the text and true if it has no variables.
func (t Template) Const() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].render == nil:
		return t.parts[0].literal, true
	}
	return "", false
}

// Append renders the text for e; absent variables render as nothing. dst may grow;
// the result aliases it.
func (t Template) Append(dst []byte, e *Env) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		if p.render == nil {
			dst = append(dst, p.literal...)
			continue
		}
		dst, _ = p.render(dst, e, &p.arg)
	}
	return dst
}

// AppendLog renders the text for a log line, as nginx's log_format does: the values
// of variables are escaped, and an absent variable is "-", or nothing unless esc is
// EscapeDefault. dst may grow; the result aliases it.
func (t Template) AppendLog(dst []byte, e *Env, esc Escape) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		if p.render == nil {
			dst = append(dst, p.literal...)
			continue
		}
		at := len(dst)
		var found bool
		dst, found = p.render(dst, e, &p.arg)
		switch {
		case found:
			dst = esc.escapeFrom(dst, at, e)
		case esc == EscapeDefault:
			dst = append(dst[:at], '-')
		default:
			dst = dst[:at]
		}
	}
	return dst
}

// appendFieldValue renders the text as the value of a header field.
func (t Template) appendFieldValue(dst []byte, e *Env) []byte {
	at := len(dst)
	return cleanFieldValue(t.Append(dst, e), at)
}

// varFunc appends a variable's value to dst; found is false where nginx says that the
// variable is not found, which is not the same as empty.
type varFunc func(dst []byte, e *Env, a *varArg) (out []byte, found bool)
