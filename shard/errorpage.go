package shard

import (
	"holdfast/observe"
	"holdfast/route"
	"holdfast/upstream"
)

// refuse answers a request with an error: by what error_page says, or with a page of
// ours. Whatever connection to an upstream there is ends.
func (sh *Shard) refuse(s *Session, status int) {
	r := sh.cold(s)
	if r.stream != nil {
		sh.endStream(s, r, streamGone)
		return
	}
	if r.sub != nil {
		sh.subAnswered(s, r, status)
		return
	}
	if !sh.errorPage(s, r, status) {
		sh.replyError(s, r, status)
	}
}

// replyError answers with a page of ours.
func (sh *Shard) replyError(s *Session, r *Request, status int) {
	if r.sub != nil {
		sh.subAnswered(s, r, status)
		return
	}
	note := noteOf(status)
	status = onWire(status)
	r.status = 0
	form := sh.beginReply(s, r, status)
	form.Note = note
	sh.finishReply(s, r, status, route.AppendError(sh.out[:0], &r.env, status, form))
}

// errorPage lets error_page answer, if it has something for status.
func (sh *Shard) errorPage(s *Session, r *Request, status int) bool {
	p := r.pageFor(status)
	if p == nil || s.has(flagRefused) {
		return false
	}
	r.paged, r.failed = true, status
	// Where the first error was decides, not where its page is (recursive_error_pages).
	r.lastPage = !r.settings().RecursiveErrorPages
	sh.leaveExchange(s, r)
	if r.status = p.Overwrite; p.Overwrite == route.KeepStatus {
		r.status = onWire(status)
	}
	r.env.ErrorStatus = r.status
	switch {
	case p.Redirects():
		r.status = 0
		form := sh.beginReply(s, r, onWire(status))
		out := route.AppendErrorRedirect(sh.out[:0], &r.env, p, form)
		sh.finishReply(s, r, p.RedirectStatus(), out)
	case p.Named != "":
		sh.goNamed(s, r, p.Named)
	default:
		sh.dropBody(r)
		sh.goInside(s, r, p.Target(&r.env))
	}
	return true
}

// pageFor is what error_page says about status; nil where it has no say.
func (r *Request) pageFor(status int) *route.ErrorPage {
	if r.lastPage {
		return nil
	}
	return r.settings().ErrorPages.For(status)
}

// intercepts reports whether error_page answers instead of the upstream
// (proxy_intercept_errors).
func (r *Request) intercepts() bool {
	return r.resp.Status >= 300 && r.settings().InterceptErrors && r.pageFor(r.resp.Status) != nil
}

// intercept answers with an error page in the place of the upstream's response.
func (sh *Shard) intercept(s *Session, r *Request) {
	r.group.OK(r.peer)
	sh.countOutcome(r, observe.OutcomeRefused)
	sh.keepRespHead(r)
	r.env.UpstreamResponseMs = sh.nowMs - r.tryMs
	sh.refuse(s, r.resp.Status)
}

// leaveExchange ends what there was with an upstream, so that another may be asked.
func (sh *Shard) leaveExchange(s *Session, r *Request) {
	sh.countPeerBytes(r)
	sh.dropUpstream(s)
	sh.dropOut(&r.up)
	r.choice = upstream.Choice{}
	r.tries = 0
}

// dropBody makes the request a GET without a body: that of an error page. What has not
// been read of the body never will be: behind a GET it would be the next request.
func (sh *Shard) dropBody(r *Request) {
	r.asGet = true
	r.env.SetGet()
	if !sh.discardGlued(r) {
		r.cut, r.keepDown, r.up.ended = true, false, true
	}
	r.expects = false
	sh.drop(&r.up)
	sh.putBuf(&r.body)
}
