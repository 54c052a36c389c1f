package route

// rewrite runs a rewrite directive.
func (r *rewriting) rewrite(op *rewriteOp, at int) (next int) {
	e := r.e
	if !r.match(op, e.URI) {
		return at + 1
	}
	r.quote, r.moved, r.out.Internal = op.status != 0, true, true
	if op.status != 0 {
		r.redirect(op)
		return rewriteDone
	}
	path := e.borrow()
	path = r.render(path, op.text, false)
	var args []byte
	if op.hasArgs {
		args = r.render(e.borrow(), op.args, true)
	}
	ok := r.moveTo(op, path, args)
	e.giveBack(path)
	if op.hasArgs {
		e.giveBack(args)
	}
	switch {
	case !ok:
		r.out.End, r.out.Return = RewriteReturns, failedRewrite
		return rewriteDone
	case op.stays:
		r.stay()
		return rewriteDone
	case op.last:
		return rewriteDone
	}
	return at + 1
}

// failedRewrite answers where a rewrite makes a URI that can't be used.
var failedRewrite = &Return{Code: 500}

// moveTo sets the URI and its arguments. false means that they can't be used.
func (r *rewriting) moveTo(op *rewriteOp, path, args []byte) bool {
	e := r.e
	switch {
	case len(path) == 0:
		r.out.Failure = "the rewritten URI has a zero length"
		return false
	case len(path)+len(args)+len(e.Args) > rewrittenMax:
		r.out.Failure = "the rewritten URI is too long"
		return false
	}
	start := len(e.arena)
	if path[0] != '/' {
		e.arena = append(e.arena, '/') // so that it can't go around the locations, or be no path upstream
	}
	e.arena = append(e.arena, path...)
	middle := len(e.arena)
	e.arena = append(e.arena, args...)
	switch {
	case !op.addArgs:
	case op.hasArgs && len(e.Args) > 0:
		e.arena = append(append(e.arena, '&'), e.Args...)
	case !op.hasArgs:
		e.arena = append(e.arena, e.Args...)
	}
	e.URI = e.arena[start:middle:middle]
	e.Args = e.arena[middle:len(e.arena):len(e.arena)]
	e.moved, e.internal = true, true
	if r.log {
		r.noteRewritten()
	}
	return true
}

// redirect makes the URL of a redirect.
func (r *rewriting) redirect(op *rewriteOp) {
	e := r.e
	url := unescapeRedirect(r.render(e.borrow(), op.text, true))
	if op.addArgs && len(e.Args) > 0 {
		joint := byte('?')
		if op.question {
			joint = '&'
		}
		url = append(append(url, joint), e.Args...)
	}
	r.out.End, r.out.Status, r.out.URL = RewriteRedirects, op.status, e.keep(url)
	e.giveBack(url)
	if r.log {
		r.note("rewritten redirect: \"", r.out.URL, "\"")
	}
}
