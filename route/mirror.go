package route

import "slices"

// Mirror has copies of requests sent to other locations too (mirror). It is immutable.
type Mirror struct {
	// URIs are the paths that the copies get.
	URIs []string
	// Body copies the request's body with it (mirror_request_body).
	Body bool
}

// SetMirrored gives the request, which Mark has noted, the path of a copy. As in nginx that is
// taken literally, and the arguments stay the request's.
func (e *Env) SetMirrored(uri string) {
	at := len(e.arena)
	e.arena = append(e.arena, uri...)
	e.URI = e.arena[at:len(e.arena):len(e.arena)]
	e.Location = nil
	e.moved, e.internal, e.rewritten.whole = true, true, false
}

// Variables is what the variables of a request are, beside what Mark notes: what directives have
// made them, and what was worked out once and is kept.
type Variables struct {
	assigned [][]byte
	named    []namedCapture
	maps     []mapResult
	link     linkState
	rate     RateSetting
}

// KeepVariables notes what the variables are before a copy of the request goes its own way: in
// nginx that comes after the request itself, which sees nothing of it. It allocates where there
// are any.
func (e *Env) KeepVariables() Variables {
	v := Variables{e.rewritten.assigned, e.captures.named, e.maps, e.link, e.LimitRate}
	e.rewritten.assigned, e.captures.named = slices.Clone(v.assigned), slices.Clone(v.named)
	e.maps = slices.Clone(v.maps)
	return v
}

// ReturnVariables makes the variables what they were when v was taken.
func (e *Env) ReturnVariables(v *Variables) {
	e.rewritten.assigned, e.captures.named, e.maps = v.assigned, v.named, v.maps
	e.link, e.LimitRate = v.link, v.rate
}
