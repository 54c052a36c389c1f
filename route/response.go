package route

import (
	"strconv"

	"holdfast/httpparse"
)

// responseRecipe is how a response head for the client differs from the upstream's.
type responseRecipe struct {
	hide      fieldSet
	redirects []replacement // proxy_redirect
	cookies   *cookieRecipe // proxy_cookie_domain, _path and _flags; nil for none
}

// ResponseForm is what the caller has decided about a response to the client.
type ResponseForm struct {
	// Status takes the place of the upstream's, unless it is 0 (error_page).
	Status int
	// Trailers says that trailers follow the body, whose Trailer field may pass.
	Trailers bool
	// Framing delimits the body on the client's connection. With BodyNone and a HEAD
	// request or status 304, the upstream's Content-Length is passed on.
	Framing httpparse.Framing
	// Keepalive says that the client's connection stays open afterwards. A 101 has
	// no say in it.
	Keepalive bool
}

// newResponseRecipe compiles what becomes of the upstream's fields. Those that do not go on
// are nginx's own list and proxy_hide_header, without proxy_pass_header, and those of the
// upstream's hop (RFC 9110 section 7.6.1), which nothing can let pass.
func (c *Compiler) newResponseRecipe(spec *ProxySpec) (responseRecipe, error) {
	r := responseRecipe{hide: newFieldSet(
		httpparse.FieldDate, httpparse.FieldServer, httpparse.FieldXPad, httpparse.FieldXAccelExpires,
		httpparse.FieldXAccelRedirect, httpparse.FieldXAccelLimitRate, httpparse.FieldXAccelBuffering,
		httpparse.FieldXAccelCharset,
	)}
	for _, name := range spec.HideHeaders {
		r.hide.add(name)
	}
	for _, name := range spec.PassHeaders {
		r.hide.remove(name)
	}
	for _, id := range []httpparse.FieldID{
		httpparse.FieldConnection, httpparse.FieldKeepAlive, httpparse.FieldProxyConnection, httpparse.FieldTE,
		httpparse.FieldTrailer, httpparse.FieldTransferEncoding, httpparse.FieldContentLength, httpparse.FieldUpgrade,
	} {
		r.hide.known[id] = true
	}
	var err error
	if r.redirects, err = c.newReplacements(spec.Redirects); err != nil {
		return r, err
	}
	r.cookies, err = c.newCookieRecipe(spec)
	return r, err
}

// AppendInterim appends the head of an interim response (1xx) as the client gets it:
// status and reason of the upstream, and its fields without hidden ones and those of
// its hop. e needs RespHead and Resp.
func (p *Proxy) AppendInterim(dst []byte, e *Env) []byte {
	dst = appendUpstreamStatusLine(dst, e)
	dst = p.appendUpstreamFields(dst, e, 0, false)
	return append(dst, "\r\n"...)
}

// AppendResponse appends the head of the upstream's response as the client gets it to
// dst: HTTP/1.1, with Server and Date of our own unless proxy_pass_header lets those
// of the upstream pass, without hidden fields and those of the upstream's hop, with
// the framing of form and, except for a 101, the Connection of form. Location, Refresh and
// Set-Cookie are rewritten as configured.
//
// e needs Head, Req, RespHead, Resp, Server, Location and NowNs. dst may grow; the
// result aliases it.
func (p *Proxy) AppendResponse(dst []byte, e *Env, form ResponseForm) []byte {
	start := len(dst)
	s := e.settings()
	if s == nil || s.Headers == nil {
		dst = p.appendResponse(dst, e, &form, nil, 0)
	} else {
		status := e.Resp.Status
		if form.Status != 0 {
			status = form.Status
		}
		if e.keepsSent() {
			draft := p.appendResponse(e.borrow(), e, &form, nil, 0)
			e.keepSent(draft)
			e.giveBack(draft)
		}
		added, gone := s.Headers.append(e.borrow(), e, status, e.upstreamModified(s.Headers))
		dst = p.appendResponse(dst, e, &form, added, gone)
		e.giveBack(added)
	}
	e.keepSent(dst[start:])
	return dst
}

// appendResponse appends the head with what add_header and expires have added, and without the
// fields that are gone for them.
func (p *Proxy) appendResponse(dst []byte, e *Env, form *ResponseForm, added []byte, gone givenWay) []byte {
	resp := e.Resp
	status := resp.Status
	if form.Status == 0 || form.Status == status {
		dst = appendUpstreamStatusLine(dst, e)
	} else {
		status = form.Status
		dst = appendStatusLine(dst, status)
	}
	dst = p.appendOwnFields(dst, e)
	chunked := form.Framing.Kind == httpparse.BodyChunked
	dst = p.appendUpstreamFields(dst, e, gone, form.Trailers && chunked)
	dst = e.appendSticky(append(dst, added...))
	if status == 101 {
		dst = appendUpgradeOf(dst, e.RespHead, resp)
		dst = append(dst, "Connection: upgrade\r\n"...)
	} else {
		if dst = append(dst, e.challenge...); resp.Count(httpparse.FieldLocation) == 0 {
			dst = append(dst, e.heldLocation...)
		}
		dst = e.appendCarriedType(e.appendCarried(dst, true))
		dst = appendBodyFields(dst, e, status, form.Framing)
		// A 426 says which protocol it wants (RFC 9110 section 15.5.22).
		if status == 426 && resp.Status == 426 && resp.Count(httpparse.FieldUpgrade) > 0 {
			dst = appendUpgradeOf(dst, e.RespHead, resp)
			dst = append(dst, "Connection: upgrade\r\n"...)
		}
		dst = appendConnectionField(dst, e, form.Keepalive)
	}
	return append(dst, "\r\n"...)
}

// appendUpstreamStatusLine appends the upstream's status line as HTTP/1.1.
func appendUpstreamStatusLine(dst []byte, e *Env) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = appendStatus(dst, e.Resp.Status)
	dst = append(dst, ' ')
	dst = append(dst, e.Resp.Reason.Of(e.RespHead)...)
	return append(dst, "\r\n"...)
}

// appendUpstreamFields appends the upstream's fields that go on: not the hidden ones,
// those of its hop, nor those that are gone; Trailer only if trailers follow.
func (p *Proxy) appendUpstreamFields(dst []byte, e *Env, gone givenWay, trailers bool) []byte {
	buf, fields := e.RespHead, e.Resp.Fields
	listed := listsFields(buf, fields)
	for i := range fields {
		f := &fields[i]
		if p.response.hide.has(buf, f) && !(trailers && f.ID == httpparse.FieldTrailer) {
			continue
		}
		if listed && !endToEnd(f.ID) && httpparse.ConnectionLists(buf, fields, f.Name.Of(buf)) {
			continue
		}
		if gone != 0 && gone.has(buf, f) {
			continue
		}
		dst = p.appendResponseField(dst, e, f)
	}
	return dst
}

// appendOwnFields appends Server and Date, where the upstream's do not pass.
func (p *Proxy) appendOwnFields(dst []byte, e *Env) []byte {
	if p.response.hide.known[httpparse.FieldServer] || e.Resp.Count(httpparse.FieldServer) == 0 {
		dst = appendServerField(dst, e)
	}
	if p.response.hide.known[httpparse.FieldDate] || e.Resp.Count(httpparse.FieldDate) == 0 {
		dst = appendDateField(dst, e)
	}
	return dst
}

// defaultServerName is the value of Server where the settings have none.
const defaultServerName = "holdfast"

// serverName is what Server and the pages call this server (server_tokens).
func (e *Env) serverName() string {
	if s := e.settings(); s != nil && s.ServerName != "" {
		return s.ServerName
	}
	return defaultServerName
}

func appendServerField(dst []byte, e *Env) []byte {
	dst = append(dst, "Server: "...)
	dst = append(dst, e.serverName()...)
	return append(dst, "\r\n"...)
}

func appendDateField(dst []byte, e *Env) []byte {
	dst = append(dst, "Date: "...)
	dst = e.appendHTTPDate(dst)
	return append(dst, "\r\n"...)
}

func appendUpgradeOf(dst, buf []byte, resp *httpparse.Response) []byte {
	for i := range resp.Fields {
		if resp.Fields[i].ID == httpparse.FieldUpgrade {
			dst = appendField(dst, buf, &resp.Fields[i])
		}
	}
	return dst
}

// appendBodyFields appends what delimits the body or, where there is none, what the
// upstream says about the one there would have been. status is the answer's.
func appendBodyFields(dst []byte, e *Env, status int, framing httpparse.Framing) []byte {
	switch {
	case status < 200 || status == 204:
		return dst // RFC 9110 section 8.6: no length here
	case framing.Kind != httpparse.BodyNone:
		if status == 304 {
			return dst
		}
		return appendFraming(dst, framing)
	case bodyless(e.Resp.Status) && !bodyless(status):
		// Only the status was put in another's place: the client must not wait for a body.
		return appendLength(dst, 0)
	case status != 304 && !toHead(e):
		// Only the upstream was asked without a body (proxy_method HEAD).
		return appendLength(dst, 0)
	}
	length, found := e.Resp.Find(e.RespHead, httpparse.FieldContentLength)
	if !found {
		return dst
	}
	dst = append(dst, "Content-Length: "...)
	dst = append(dst, length...)
	return append(dst, "\r\n"...)
}

// appendConnectionField appends Connection and, where keepalive_timeout asks for it,
// Keep-Alive.
func appendConnectionField(dst []byte, e *Env, keepalive bool) []byte {
	if !keepalive {
		return append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, "Connection: keep-alive\r\n"...)
	if s := e.settings(); s != nil && s.KeepaliveHeaderSec > 0 {
		dst = append(dst, "Keep-Alive: timeout="...)
		dst = strconv.AppendInt(dst, s.KeepaliveHeaderSec, 10)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendResponseField appends a field of the upstream, rewritten if it redirects or sets a
// cookie.
func (p *Proxy) appendResponseField(dst []byte, e *Env, f *httpparse.Field) []byte {
	switch {
	case (f.ID == httpparse.FieldLocation || f.ID == httpparse.FieldRefresh) && len(p.response.redirects) > 0:
		return p.appendRedirecting(dst, e, f)
	case f.ID == httpparse.FieldSetCookie && p.response.cookies != nil:
		return p.response.cookies.append(dst, e, f)
	}
	return appendField(dst, e.RespHead, f)
}

// keepSent remembers a head for the $sent_http_ variables, if there are any.
func (e *Env) keepSent(head []byte) {
	if e.keepsSent() {
		e.sent = append(e.sent[:0], head...)
	}
}

// addSent adds lines to the draft of a head that keepSent remembers.
func (e *Env) addSent(lines []byte) {
	if e.keepsSent() {
		e.sent = append(e.sent, lines...)
	}
}

func (e *Env) keepsSent() bool { return e.Server != nil && e.Server.keeps.sent }
