package shard

import (
	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/route"
)

// hopsMax bounds the internal redirects of one request, as in nginx.
const hopsMax = 10

// settle lets the location that the request has come to say what holds for the
// connection.
func (sh *Shard) settle(s *Session, r *Request) {
	set := r.settings()
	s.policy = set.Policy
	r.keepDown = r.keepDown && set.KeepaliveTimeout > 0 && int64(s.requests) < set.KeepaliveRequests &&
		sh.nowMs-sh.tickMs(s.openedTick) <= set.KeepaliveTime && !sh.ends(s)
	sh.setNagle(s, !set.TCPNodelay)
}

// content lets the request's location answer: with what its upstream says, or with a file.
func (sh *Shard) content(s *Session, r *Request) (goOn bool) {
	l := r.location
	switch id := r.req.MethodID; {
	case r.sub == nil && (id == httpparse.MethodTrace && !r.asGet ||
		id == httpparse.MethodConnect && (l.TunnelPass == nil || r.internal)):
		// TRACE would show the upstream's view of the request, with what was added to it.
		sh.logError(s, observe.LevelInfo, "client sent CONNECT or TRACE method", nil)
		sh.refuse(s, 405)
	case l.TunnelPass != nil && r.sub == nil:
		sh.startTunnelPass(s, r)
	case l.Handler != route.HandlerNone:
		sh.answerSmall(s, r)
	case l.Proxy != nil:
		sh.startProxy(s, r)
	case r.sub != nil:
		sh.subAnswered(s, r, sh.subFile(r))
	case l.Static != nil:
		sh.serveFile(s, r)
	default:
		sh.refuse(s, 404)
	}
	return false
}

// goInside sends the request to another path (error_page, try_files, index).
func (sh *Shard) goInside(s *Session, r *Request, target []byte) {
	if !sh.hop(s, r) {
		return
	}
	r.env.SetInternal(target)
	sh.startPhases(s, r, phaseServerRewrite)
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
	l = l.ForMethod(&r.env, r.asGet)
	r.location, r.env.Location = l, l
	sh.settle(s, r)
	sh.startPhases(s, r, phaseRewrite)
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
	case r.broken || (r.cut || r.discarded && !r.proxy.ReplacesBody()) && !r.asGet || r.sentHead && !r.replayable():
		// An error page at an upstream, for a request that can't be shown to it.
		sh.replyError(s, r, r.failed)
	case handshake != httpparse.OK:
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent an invalid WebSocket handshake:", []byte(handshake.String()))
		sh.refuse(s, handshake.Status())
	case !sh.mayTunnel(s, r):
		return
	case (s.state == ReadHead || s.state.deciding()) && !r.up.ended && !r.asGet && sh.holdsBody(s, r):
		return
	case r.framingUp().Kind == httpparse.BodyChunked && r.proxy.Minor == 0:
		// HTTP/1.0 has no chunked coding (RFC 9112 section 6.1), and the length is not known.
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.logError(s, observe.LevelError,
			"client sent a large chunked body for an upstream with proxy_http_version 1.0", nil)
		sh.refuse(s, 411)
	default:
		sh.replaceBody(r)
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
	if r.sub != nil {
		sh.subAnswered(s, r, 301)
		return
	}
	r.status = 0
	form := sh.beginReply(s, r, 301)
	sh.finishReply(s, r, 301, route.AppendSlashRedirect(sh.out[:0], &r.env, r.location, form))
}

func (sh *Shard) replyReturn(s *Session, r *Request, ret *route.Return) {
	if r.sub != nil {
		sh.subAnswered(s, r, ret.Code)
		return
	}
	if ret.Code == route.CodeNoAnswer {
		sh.closeUnanswered(s, r)
		return
	}
	if ret.Empty() || r.pageFor(ret.Code) != nil && ret.HoldLocation(&r.env) {
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
	if r.sub != nil {
		sh.subAnswered(s, r, route.CodeNoAnswer)
		return
	}
	r.env.Status = route.CodeNoAnswer
	sh.countOutcome(r, observe.OutcomeRejected)
	sh.close(s, observe.ReasonRefused, observe.SideProxy)
}
