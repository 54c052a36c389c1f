package shard

import (
	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/route"
)

// hopsMax bounds the internal redirects of one request, as in nginx.
const hopsMax = 10

// locate finds the location of a request from a client, refuses what that does not
// allow, and lets it answer.
func (sh *Shard) locate(s *Session, r *Request) {
	redirect := sh.findLocation(r)
	sh.settle(s, r)
	set := r.settings()
	switch {
	case s.has(flagRefused):
		r.keepDown = false
		s.cause(observe.ReasonOverload, observe.SideProxy)
		sh.refuse(s, 503)
	case r.up.framing.Kind == httpparse.BodyLength && set.ClientMaxBodySize > 0 &&
		r.up.framing.Length > set.ClientMaxBodySize:
		r.cut = true
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.logError(s, observe.LevelError, "client intended to send too large body", nil)
		sh.refuse(s, 413)
	case r.upgrade != httpparse.UpgradeNone && !r.up.ended:
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent an upgrade request with a body", nil)
		sh.refuse(s, 400)
	case !sh.withinLimits(s, r):
	case redirect:
		sh.replySlash(s, r)
	default:
		sh.content(s, r)
	}
}

// withinLimits counts the request where limit_conn says so; false means that it was refused.
func (sh *Shard) withinLimits(s *Session, r *Request) bool {
	limits := &r.settings().Limits
	if len(limits.Conns) == 0 || sh.takeLimits(s, r, limits) {
		return true
	}
	sh.refuse(s, limits.ConnStatus)
	return false
}

// settle lets the location that the request has come to say what holds for the
// connection.
func (sh *Shard) settle(s *Session, r *Request) {
	set := r.settings()
	s.policy = set.Policy
	r.keepDown = r.keepDown && set.KeepaliveTimeout > 0 && int64(s.requests) < set.KeepaliveRequests &&
		sh.nowMs-sh.tickMs(s.openedTick) <= set.KeepaliveTime && !sh.quitting
	sh.setNagle(s, !set.TCPNodelay)
}

// findLocation finds the location for the path of the request. redirect says that the
// answer is a redirect to its name.
func (sh *Shard) findLocation(r *Request) (redirect bool) {
	e := &r.env
	r.location = nil
	if r.server.Return == nil {
		if r.location, redirect = r.server.Locate(e); r.location == nil {
			r.location = r.server.Content
		}
	}
	e.Location = r.location
	return redirect
}

// content lets the request's location answer: return first, then try_files, then the
// upstream or a file.
func (sh *Shard) content(s *Session, r *Request) {
	l := r.location
	switch {
	case r.req.MethodID == httpparse.MethodConnect && !r.internal && (l == nil || l.TunnelPass == nil):
		// A 2xx would make the client take what follows for its tunnel (RFC 9110 section 9.3.6).
		sh.logError(s, observe.LevelInfo, "client sent CONNECT method", nil)
		sh.refuse(s, 405)
	case l == nil && r.server.Return != nil, l != nil && l.Return != nil && (r.internal || !l.Internal):
		sh.replyReturn(s, r)
	case r.req.MethodID == httpparse.MethodConnect && l != nil && l.TunnelPass != nil && !r.internal:
		if sh.authorized(s, r) {
			sh.startTunnelPass(s, r)
		}
	case r.req.MethodID == httpparse.MethodConnect, r.req.MethodID == httpparse.MethodTrace:
		// TRACE would show the upstream's view of the request, with what was added to it.
		sh.logError(s, observe.LevelInfo, "client sent CONNECT or TRACE method", nil)
		sh.refuse(s, 405)
	case l == nil, l.Internal && !r.internal:
		sh.refuse(s, 404)
	default:
		sh.realIP(r, &l.Settings)
		if sh.authorized(s, r) {
			sh.admitted(s, r)
		}
	}
}

// answerFrom answers with what the location's upstream says, or with a file.
func (sh *Shard) answerFrom(s *Session, r *Request) {
	switch l := r.location; {
	case l.TunnelPass != nil:
		sh.startTunnelPass(s, r)
	case l.Proxy != nil:
		sh.startProxy(s, r)
	case l.Static != nil:
		sh.serveFile(s, r)
	default:
		sh.refuse(s, 404)
	}
}

// goInside sends the request to another path (error_page, try_files, index).
func (sh *Shard) goInside(s *Session, r *Request, target []byte) {
	if !sh.hop(s, r) {
		return
	}
	r.env.SetInternal(target)
	redirect := sh.findLocation(r)
	sh.settle(s, r)
	if redirect {
		sh.replySlash(s, r)
		return
	}
	sh.content(s, r)
}

// goNamed sends the request to a named location, which keeps its path.
func (sh *Shard) goNamed(s *Session, r *Request, name string) {
	if !sh.hop(s, r) {
		return
	}
	l := r.server.Named(name)
	if l == nil {
		sh.logError(s, observe.LevelError, "could not find named location", []byte(name))
		sh.replyError(s, r, 500)
		return
	}
	r.location, r.env.Location = l, l
	sh.settle(s, r)
	sh.content(s, r)
}

// hop counts an internal redirect. false means that there were too many, and that the
// request was answered.
func (sh *Shard) hop(s *Session, r *Request) bool {
	r.internal = true
	if r.hops++; r.hops <= hopsMax {
		return true
	}
	sh.logError(s, observe.LevelError, "internal redirection cycle", r.env.URI)
	sh.replyError(s, r, 500)
	return false
}

// startProxy readies the request body and passes the request to the upstream.
func (sh *Shard) startProxy(s *Session, r *Request) {
	r.proxy = r.location.Proxy
	s.reason, s.side = observe.ReasonNone, observe.SideNone // an error page may have had one
	if r.whole {
		sh.bodyHeld(r) // for this upstream, after an error page
	}
	handshake := r.judgeHandshake(sh.headBuf(r).B[:r.req.HeadLen])
	switch {
	case r.broken || r.cut && !r.asGet || r.sentHead && !r.replayable():
		// An error page at an upstream, for a request that can't be shown to it.
		sh.replyError(s, r, r.failed)
	case handshake != httpparse.OK:
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent an invalid WebSocket handshake:", []byte(handshake.String()))
		sh.refuse(s, handshake.Status())
	case (s.state == ReadHead || s.state == Access && !r.paged) && !r.up.ended && !r.asGet && sh.holdsBody(s, r):
		return
	case r.framingUp().Kind == httpparse.BodyChunked && r.proxy.Minor == 0:
		// HTTP/1.0 has no chunked coding (RFC 9112 section 6.1), and the length is not known.
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.logError(s, observe.LevelError,
			"client sent a large chunked body for an upstream with proxy_http_version 1.0", nil)
		sh.refuse(s, 411)
	default:
		sh.pass(s, r)
	}
}

// judgeHandshake judges a WebSocket handshake that the upstream would see (websocket_strict),
// in a head that is whole.
func (r *Request) judgeHandshake(head []byte) httpparse.Error {
	if r.broken || !r.settings().WebsocketStrict || r.asGet || r.proxy.NeverUpgrades() || !r.req.AsksWebSocket(head) {
		return httpparse.OK
	}
	return r.req.CheckWebSocket(head)
}

func (sh *Shard) replySlash(s *Session, r *Request) {
	r.status = 0
	form := sh.beginReply(s, r, 301)
	sh.finishReply(s, r, 301, route.AppendSlashRedirect(sh.out[:0], &r.env, r.location, form))
}

func (sh *Shard) replyReturn(s *Session, r *Request) {
	ret := r.server.Return
	if r.location != nil {
		ret = r.location.Return
	}
	if ret.Code == route.CodeNoAnswer {
		sh.closeUnanswered(s, r)
		return
	}
	if ret.Empty() {
		sh.refuse(s, ret.Code)
		return
	}
	switch ret.Code {
	case 301, 302, 303, 307, 308:
		r.status = 0 // a redirect keeps its own
	}
	form := sh.beginReply(s, r, ret.Code)
	sh.finishReply(s, r, ret.Code, ret.Append(sh.out[:0], &r.env, form))
}

// closeUnanswered closes the connection without an answer (444).
func (sh *Shard) closeUnanswered(s *Session, r *Request) {
	r.env.Status = route.CodeNoAnswer
	sh.countOutcome(r, observe.OutcomeRejected)
	sh.close(s, observe.ReasonRefused, observe.SideProxy)
}
