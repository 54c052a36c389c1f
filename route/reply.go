package route

import (
	"strconv"

	"holdfast/httpparse"
)

// ReplyForm is what the caller has decided about an answer of our own.
type ReplyForm struct {
	// Status takes the place of the answer's own, unless it is 0 (error_page): of a file,
	// and of a return with a text. Errors and redirects keep theirs, as in nginx.
	Status int
	// Keepalive says that the client's connection stays open afterwards.
	Keepalive bool
	// RetryAfterSec is the delay in seconds that a 503 or 429 asks the client for; 0
	// means one second for a 503 and no such field for a 429 (RFC 9110 section 10.2.3).
	RetryAfterSec int
	// Note is a line of a page of ours below its title; empty for none.
	Note string
}

// Return is a compiled return directive. It is immutable.
type Return struct {
	// Code is the status. 444 means: close the connection without an answer.
	Code int

	text        Template // body, or the URL of a redirect
	contentType string
}

// CodeNoAnswer is the status of a return that closes the connection without an
// answer, nginx's own code.
const CodeNoAnswer = 444

// NewReturn compiles a return directive: a status from 200 to 999 with the text of the
// body or, for 301, 302, 303, 307 and 308, the URL to redirect to; either may be
// empty. contentType is the type of the body (default_type). The error is a
// *CompileError.
func (c *Compiler) NewReturn(code int, text, contentType string) (*Return, error) {
	if code < 200 || code > 999 {
		return nil, &CompileError{
			Text: "invalid status " + strconv.Itoa(code) + " in return",
			Hint: "a final answer has a status from 200 to 999",
		}
	}
	t, err := c.Compile(text)
	if err != nil {
		return nil, err
	}
	return &Return{Code: code, text: t, contentType: contentType}, nil
}

// Append appends the whole answer, head and body, to dst. It must not be called for
// CodeNoAnswer. e needs what the text's variables need, and NowNs.
func (r *Return) Append(dst []byte, e *Env, form ReplyForm) []byte {
	constant, isConst := r.text.Const()
	empty := isConst && constant == ""
	switch {
	case isRedirect(r.Code):
		buf := r.text.Append(e.borrow(), e)
		dst = appendRedirect(dst, e, r.Code, buf, form)
		e.giveBack(buf)
		return dst
	case r.Code >= 400 && empty:
		return AppendError(dst, e, r.Code, form)
	}
	body := r.text.Append(e.borrow(), e)
	dst = r.appendText(dst, e, body, form)
	e.giveBack(body)
	return dst
}

// HoldLocation is Env.HoldLocation with the URL of a redirect; false if it is none.
func (r *Return) HoldLocation(e *Env) bool {
	if !isRedirect(r.Code) {
		return false
	}
	url := r.text.Append(e.borrow(), e)
	e.HoldLocation(url)
	e.giveBack(url)
	return true
}

func (r *Return) appendText(dst []byte, e *Env, body []byte, form ReplyForm) []byte {
	start := len(dst)
	status := r.Code
	if form.Status != 0 {
		status = form.Status
	}
	dst = appendReplyHead(dst, e, status)
	if !bodyless(status) {
		dst = appendContentType(dst, e.contentType(r.contentType))
		dst = appendLength(dst, int64(len(body)))
	}
	dst = appendReplyEnd(dst, start, e, status, form)
	e.keepSent(dst[start:])
	if bodyless(status) || toHead(e) {
		return dst
	}
	return append(dst, body...)
}

// AppendError appends the whole answer for an error, head and a small page, to dst. e
// needs NowNs; whatever else it has is used. It serves every status.
func AppendError(dst []byte, e *Env, status int, form ReplyForm) []byte {
	return appendPage(dst, e, status, nil, form)
}

// AppendSlashRedirect appends the redirect to the name of a location that Locate
// found with redirect (location). args, if any, are kept.
func AppendSlashRedirect(dst []byte, e *Env, location *Location, form ReplyForm) []byte {
	url := httpparse.AppendEscapedPath(e.borrow(), []byte(location.pattern))
	if len(e.Args) > 0 {
		url = append(url, '?')
		url = append(url, e.Args...)
	}
	dst = appendRedirect(dst, e, 301, url, form)
	e.giveBack(url)
	return dst
}

// appendRedirect answers with a Location, which is made absolute if it begins with
// "/" (absolute_redirect).
func appendRedirect(dst []byte, e *Env, status int, url []byte, form ReplyForm) []byte {
	e.heldLocation = nil
	location := appendLocation(e.borrow(), e, url)
	dst = appendPage(dst, e, status, location, form)
	e.giveBack(location)
	return dst
}

// appendLocation appends the field of a redirect to url, unless that is empty.
func appendLocation(dst []byte, e *Env, url []byte) []byte {
	if len(url) == 0 {
		return dst
	}
	dst = append(dst, "Location: "...)
	if url[0] == '/' && e.absoluteRedirect() {
		dst = appendOrigin(dst, e)
	}
	return append(appendCleanURI(dst, url), "\r\n"...)
}

// appendPage appends a head with fields, which are whole lines, and a page that says
// what the status means.
func appendPage(dst []byte, e *Env, status int, fields []byte, form ReplyForm) []byte {
	start := len(dst)
	name := e.serverName()
	dst = appendReplyHead(dst, e, status)
	if !bodyless(status) {
		dst = append(dst, "Content-Type: text/html\r\n"...)
		dst = appendLength(dst, int64(pageLength(status, name, form.Note)))
	}
	dst = append(dst, fields...)
	dst = appendRetryAfter(dst, status, form.RetryAfterSec)
	dst = appendReplyEnd(dst, start, e, status, form)
	e.keepSent(dst[start:])
	if bodyless(status) || toHead(e) {
		return dst
	}
	return appendPageBody(dst, status, name, form.Note)
}

// appendReplyEnd appends what the heads of all answers of our own end with, to one that begins at
// start.
func appendReplyEnd(dst []byte, start int, e *Env, status int, form ReplyForm) []byte {
	if dst = e.appendHeld(dst); status == 401 {
		dst = appendChallenge(dst, e)
	}
	dst = e.appendCarried(dst, status < 300)
	if status == 426 {
		dst = append(dst, webSocketWanted...)
	}
	if s := e.settings(); s != nil && s.Headers != nil {
		if e.keepsSent() {
			e.keepSent(dst[start:])
			e.sent = appendConnectionField(e.sent, e, form.Keepalive)
		}
		dst, _ = s.Headers.append(dst, e, status, noTime)
	}
	dst = appendConnectionField(dst, e, form.Keepalive)
	return append(dst, "\r\n"...)
}

// webSocketWanted is what a 426 must say: the protocol and, for a WebSocket, its version
// (RFC 9110 section 15.5.22, RFC 6455 section 4.2.2).
const webSocketWanted = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: upgrade\r\n"

// appendChallenge appends the upstream's WWW-Authenticate to the 401 that stands for its
// own (proxy_intercept_errors): a 401 must have one (RFC 9110 section 15.5.2).
func appendChallenge(dst []byte, e *Env) []byte {
	if e.Resp == nil || e.Resp.Status != 401 {
		return dst
	}
	for i := range e.Resp.Fields {
		if f := &e.Resp.Fields[i]; httpparse.EqualFold(f.Name.Of(e.RespHead), "www-authenticate") {
			dst = appendField(dst, e.RespHead, f)
		}
	}
	return dst
}

// The page around its title, which it shows twice.
const (
	pageStart  = "<!DOCTYPE html>\n<html>\n<head><title>"
	pageMiddle = "</title></head>\n<body>\n<h1>"
	pageTitled = "</h1>\n"
	noteStart  = "<p>"
	noteEnd    = "</p>\n"
	pageFooter = "<hr>"
	pageEnd    = "\n</body>\n</html>\n"
)

func appendPageBody(dst []byte, status int, name, note string) []byte {
	dst = append(dst, pageStart...)
	dst = appendTitle(dst, status)
	dst = append(dst, pageMiddle...)
	dst = appendTitle(dst, status)
	dst = append(dst, pageTitled...)
	if note != "" {
		dst = append(append(append(dst, noteStart...), note...), noteEnd...)
	}
	dst = append(dst, pageFooter...)
	dst = append(dst, name...)
	return append(dst, pageEnd...)
}

func pageLength(status int, name, note string) int {
	title := len("000")
	if text := statusTexts[status]; text != "" {
		title += 1 + len(text)
	}
	n := len(pageStart) + len(pageMiddle) + len(pageTitled) + len(pageFooter) + len(name) + len(pageEnd) + 2*title
	if note != "" {
		n += len(noteStart) + len(note) + len(noteEnd)
	}
	return n
}

func appendTitle(dst []byte, status int) []byte {
	dst = appendStatus(dst, status)
	if text := statusTexts[status]; text != "" {
		dst = append(dst, ' ')
		dst = append(dst, text...)
	}
	return dst
}

func appendReplyHead(dst []byte, e *Env, status int) []byte {
	dst = appendStatusLine(dst, status)
	dst = appendServerField(dst, e)
	return appendDateField(dst, e)
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

func appendRetryAfter(dst []byte, status, seconds int) []byte {
	if status == 503 && seconds <= 0 {
		seconds = 1
	}
	if status != 503 && status != 429 || seconds <= 0 {
		return dst
	}
	dst = append(dst, "Retry-After: "...)
	dst = strconv.AppendInt(dst, int64(seconds), 10)
	return append(dst, "\r\n"...)
}

func toHead(e *Env) bool { return e.Req != nil && e.Req.MethodID == httpparse.MethodHead }
