package route

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
