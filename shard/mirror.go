package shard

import (
	"time"

	"holdfast/httpparse"
	"holdfast/mirror"
	"holdfast/observe"
	"holdfast/route"
	"holdfast/upstream"
)

// mirrorPhase sends copies of the request to other locations, too (mirror). As in nginx it
// comes behind try_files: a request that goes elsewhere is copied there.
func (sh *Shard) mirrorPhase(s *Session, r *Request) bool {
	m := r.settings().Mirror
	if m == nil || r.sub != nil || r.broken || sh.opt.Mirrors == nil {
		return true
	}
	if id := r.req.MethodID; id == httpparse.MethodConnect || id == httpparse.MethodTrace {
		return true
	}
	if m.Body && !r.asGet && !r.up.ended {
		return sh.holdForMirror(s, r)
	}
	sh.mirror(s, r, m)
	return true
}

// holdForMirror waits in ReadBody for the request's body, where that may be held.
func (sh *Shard) holdForMirror(s *Session, r *Request) (goOn bool) {
	set := r.settings()
	if r.sentHead || s.state != ReadHead && s.state != ReadBody && !s.state.deciding() {
		sh.skipMirror(s, set.Mirror) // an error page: an upstream has been asked, and may have some of the body
		return true
	}
	r.proxy = r.location.Proxy
	if set.PassTrailers {
		r.up.keepTrailers()
	}
	r.mirrors = true
	if !sh.takeGlued(s, r) {
		return false
	}
	if r.up.ended || r.up.left+r.up.read > set.ClientBodyBufferSize || sh.memoryShort() {
		sh.mirrorHeld(s, r)
		return true
	}
	if s.state != ReadBody {
		sh.setState(s, ReadBody)
	}
	sh.sendContinue(s, r)
	r.wait = waitNone
	sh.await(s, r, waitClientBody)
	return false
}

// mirrorHeld sends the copies once the body has come, or is known to be too large.
func (sh *Shard) mirrorHeld(s *Session, r *Request) {
	r.mirrors = false
	m := r.settings().Mirror
	if r.up.ended {
		sh.mirror(s, r, m)
		return
	}
	sh.skipMirror(s, m)
}

// skipMirror counts and logs that there is no copy, because the body was not held.
func (sh *Shard) skipMirror(s *Session, m *route.Mirror) {
	sh.opt.Mirrors.Stats.Skipped.Add(uint64(len(m.URIs)))
	sh.logError(s, observe.LevelWarn, "a request is not mirrored: client_body_buffer_size has no room for its body", nil)
}

// mirror sends a copy to each location. Nothing of that shows in the request.
func (sh *Shard) mirror(s *Session, r *Request, m *route.Mirror) {
	withBody := m.Body && !r.asGet && r.up.framing.Kind != httpparse.BodyNone
	if withBody && (!r.whole || r.discarded) {
		sh.skipMirror(s, m)
		return
	}
	mark := r.env.Mark()
	kept := target{r.location, r.proxy, r.group, r.peer, r.choice, r.tls, r.tlsName, r.identity}
	for _, uri := range m.URIs {
		variables := r.env.KeepVariables()
		r.env.SetMirrored(uri)
		if r.location = sh.mirrorLocation(s, r); r.location != nil && r.location.Proxy != nil {
			sh.mirrorTo(s, r, withBody)
		}
		r.env.Return(&mark)
		r.env.ReturnVariables(&variables)
		r.location, r.proxy, r.group, r.peer = kept.location, kept.proxy, kept.group, kept.peer
		r.choice, r.tls, r.tlsName, r.identity = kept.choice, kept.tls, kept.tlsName, kept.identity
	}
	sh.unstick(r)
}

// target is where a request goes.
type target struct {
	location *route.Location
	proxy    *route.Proxy
	group    *upstream.Group
	peer     *upstream.Peer
	choice   upstream.Choice
	tls      *UpstreamTLS
	tlsName  string
	identity uint32
}

// mirrorLocation is the location of a copy; nil where none, or a rewrite directive, answers it.
func (sh *Shard) mirrorLocation(s *Session, r *Request) *route.Location {
	e := &r.env
	if w := r.server.Rewrite; w != nil {
		done := w.Run(e, (*fileTests)(sh))
		if sh.logRewrite(s, &done); done.End == route.RewriteReturns || done.End == route.RewriteRedirects {
			return nil
		}
	}
	for range hopsMax {
		l, redirect := r.server.Locate(e)
		if l == nil || redirect {
			return nil
		}
		l = l.ForMethod(e, r.asGet)
		if e.Location = l; l.Rewrite == nil {
			return l
		}
		done := l.Rewrite.Run(e, (*fileTests)(sh))
		sh.logRewrite(s, &done)
		if done.Location != nil {
			l, e.Location = done.Location, done.Location
		}
		switch done.End {
		case route.RewriteNext:
			return l
		case route.RewriteMoved:
		default:
			return nil
		}
	}
	sh.logError(s, observe.LevelError, "internal redirection cycle", e.URI)
	return nil
}

// mirrorTo sends a copy to the upstream of the location that the request stands in.
func (sh *Shard) mirrorTo(s *Session, r *Request, withBody bool) {
	pool := sh.opt.Mirrors
	r.proxy = r.location.Proxy
	group, secure := sh.mirrorGroup(s, r)
	if group == nil {
		pool.Stats.Skipped.Add(1)
		return
	}
	sh.identify(r, r.upstreamTLS(secure))
	r.group, r.choice = group, upstream.Choice{}
	peer := sh.choose(r)
	if peer == nil {
		pool.Stats.Failed.Add(1)
		sh.logError(s, observe.LevelError, "no live upstreams while mirroring a request to upstream", []byte(group.Name))
		return
	}
	c := pool.Lend()
	c.Group, c.Choice, c.Peer = group, r.choice, peer
	sh.fillMirror(r, c)
	sh.renderMirror(r, c, withBody)
	c.Log = func(peer string, err error) {
		sh.Post(func(sh *Shard) {
			sh.logError(nil, observe.LevelError, "mirroring a request failed:", []byte(peer+": "+err.Error()))
		})
	}
	if !pool.Send(c) {
		sh.logError(s, observe.LevelWarn, "a request is not mirrored: too many are on their way", nil)
	}
}

// mirrorGroup is the group that a copy goes to, nil for none. secure says whether the scheme of
// a proxy_pass with variables came out as https.
func (sh *Shard) mirrorGroup(s *Session, r *Request) (g *upstream.Group, secure bool) {
	if !r.proxy.Dynamic() {
		return r.snapshot.Groups[r.proxy.Group], true
	}
	to, ok := r.proxy.Resolve(&r.env)
	if !ok {
		sh.logError(s, observe.LevelError, "proxy_pass with variables gives no valid URL", nil)
		return nil, false
	}
	if g = r.snapshot.findGroup(&to); g == nil {
		g = sh.adHocGroup(&to)
	}
	if g == nil {
		sh.logError(s, observe.LevelError, "a request is not mirrored to a name that must be resolved:", to.Name)
	}
	return g, to.TLS
}

// fillMirror says how a copy is sent.
func (sh *Shard) fillMirror(r *Request, c *mirror.Copy) {
	set := &r.location.Settings
	c.Connect, c.Write = milliseconds(set.ConnectTimeout), milliseconds(set.SendTimeout)
	c.Read = milliseconds(set.ReadTimeout)
	c.Tries = 1
	if set.NextUpstream&(route.NextOnError|route.NextOnTimeout) != 0 {
		if c.Tries = c.Group.Len(); set.NextUpstreamTries > 0 {
			c.Tries = min(c.Tries, int(set.NextUpstreamTries))
		}
	}
	if r.tls != nil {
		c.TLS = r.tls.Config(r.tlsName)
	}
	if version := r.proxyProtocol(); version != 0 {
		c.Preface = appendProxyHeader(nil, version, &r.env)
	}
	bind := r.proxy.Bind()
	if c.Bound = bind.Len() > 0; !c.Bound {
		return
	}
	c.Transparent = bind.Transparent
	for i, v6 := range [...]bool{false, true} {
		c.Local[i], c.Fits[i] = bind.Pick(&r.env, sh.bindTurn, v6)
	}
	sh.bindTurn++
}

// renderMirror writes a copy's head and body.
func (sh *Shard) renderMirror(r *Request, c *mirror.Copy, withBody bool) {
	var body []byte
	form := route.RequestForm{Get: r.asGet}
	switch {
	case r.proxy.ReplacesBody():
		body = r.proxy.Body(&r.env)
		if r.proxy.HasOwnBody() {
			form.Framing = httpparse.Framing{Kind: httpparse.BodyLength, Length: int64(len(body))}
		}
	case withBody:
		body = sh.heldBody(r)
		form.Framing = httpparse.Framing{Kind: httpparse.BodyLength, Length: int64(len(body))}
	}
	c.Request, _ = r.proxy.AppendRequest(c.Request[:0], &r.env, form)
	c.Request = append(c.Request, body...)
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
