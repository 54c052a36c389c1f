package route

import "holdfast/httpparse"

// SetPath sends the request on to uri, which is copied and has no arguments (index);
// those of the request stay. As with SetInternal, RawTarget no longer goes upstream.
func (e *Env) SetPath(uri []byte) {
	e.SetTried(uri)
	e.internal, e.rewritten.whole = true, false
}

// SetTried makes uri, which is copied, the path of the request for its own location
// (try_files). As in nginx, a proxy_pass without a URI still sends RawTarget on.
func (e *Env) SetTried(uri []byte) {
	e.URI = e.keep(uri)
	e.moved = true
}

// AppendFolderRedirect appends the redirect to e.URI with a "/" behind it, for a folder
// that was asked for by its name alone.
func AppendFolderRedirect(dst []byte, e *Env, form ReplyForm) []byte {
	url := httpparse.AppendEscapedPath(e.borrow(), e.URI)
	url = append(url, '/')
	if len(e.Args) > 0 {
		url = append(url, '?')
		url = append(url, e.Args...)
	}
	dst = appendRedirect(dst, e, 301, url, form)
	e.giveBack(url)
	return dst
}

// NeverUpgrades reports whether the configuration keeps upgrades from the upstream:
// proxy_set_header Upgrade "".
func (p *Proxy) NeverUpgrades() bool {
	text, literal := p.request.upgrade.value.Const()
	return p.request.upgrade.written && literal && text == ""
}

// Empty reports whether r has a status and no text, so that error_page may answer.
func (r *Return) Empty() bool {
	text, literal := r.text.Const()
	return literal && text == "" && r.Code >= 400
}

// RedirectStatus is the status of a page that Redirects.
func (p *ErrorPage) RedirectStatus() int {
	if isRedirect(p.Overwrite) {
		return p.Overwrite
	}
	return 302
}

// AppendRedirect appends the redirect to url with a status that isRedirect knows (rewrite).
func AppendRedirect(dst []byte, e *Env, status int, url []byte, form ReplyForm) []byte {
	return appendRedirect(dst, e, status, url, form)
}

// SetGet makes $request_method GET, except for a HEAD: the request goes on to an error page, or to
// where X-Accel-Redirect points.
func (e *Env) SetGet() { e.asGet = !toHead(e) }

// HoldLocation keeps the Location of a redirect to url for an error page that answers in its place.
func (e *Env) HoldLocation(url []byte) {
	line := appendLocation(e.borrow(), e, url)
	e.heldLocation = e.keep(line)
	e.giveBack(line)
}

// appendHeld appends the lines that the answer has from before its location was found.
func (e *Env) appendHeld(dst []byte) []byte {
	return append(append(dst, e.challenge...), e.heldLocation...)
}

// DropChallenge takes back what Auth.Challenge has said.
func (e *Env) DropChallenge() { e.challenge = nil }
