package route

import "holdfast/httpparse"

// Except is a compiled limit_except. It is immutable.
type Except struct {
	known    uint32   // bits of the httpparse.MethodID for which it does not hold
	others   []string // their names, where they have no such number
	location *Location
}

// NewExcept returns a limit_except that does not hold for methods, in capital letters. location
// answers the requests for which it holds.
func NewExcept(methods []string, location *Location) *Except {
	x := &Except{location: location}
	for _, method := range methods {
		if id := httpparse.MethodIDOf([]byte(method)); id != httpparse.MethodOther {
			x.known |= 1 << id
			continue
		}
		x.others = append(x.others, method)
	}
	return x
}

// ForMethod is what answers a request in l by its method, which asGet says to be GET: l, or what its
// limit_except says. l may be nil.
func (l *Location) ForMethod(e *Env, asGet bool) *Location {
	if l == nil || l.Except == nil || e.Req == nil {
		return l
	}
	id := e.Req.MethodID
	if asGet && id != httpparse.MethodHead {
		id = httpparse.MethodGet
	}
	if id != httpparse.MethodOther && l.Except.known&(1<<id) != 0 {
		return l
	}
	if id == httpparse.MethodOther {
		method := e.Req.Method.Of(e.Head)
		for _, name := range l.Except.others {
			if string(method) == name {
				return l
			}
		}
	}
	return l.Except.location
}
