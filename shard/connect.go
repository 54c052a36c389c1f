package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
	"holdfast/upstream"
)

// pass begins to pass the request to an upstream. A name that proxy_pass rendered from
// variables and that no upstream has is resolved first.
func (sh *Shard) pass(s *Session, r *Request) {
	target := route.Endpoint{TLS: true}
	switch {
	case !r.proxy.Dynamic():
		r.group = r.snapshot.Groups[r.proxy.Group]
	default:
		var ok bool
		if target, ok = r.proxy.Resolve(&r.env); !ok {
			sh.logError(s, observe.LevelError, "proxy_pass with variables gives no valid URL", nil)
			s.cause(observe.ReasonRefused, observe.SideProxy)
			sh.refuse(s, 500)
			return
		}
		if r.group = r.snapshot.findGroup(&target); r.group == nil {
			r.group = sh.renderedGroup(s, r, &target, int(r.settings().Resolver))
		}
		if r.group == nil { // it waits for the name's addresses, or was refused
			return
		}
	}
	sh.passOn(s, r, target.TLS)
}

// passOn goes on once the request's group is known. secure says whether the scheme of a
// proxy_pass with variables came out as https.
func (sh *Shard) passOn(s *Session, r *Request, secure bool) {
	sh.identify(r, r.upstreamTLS(secure))
	sh.identifyBind(r)
	// An error page: what an upstream before this one has sent is over.
	sh.rewind(r)
	sh.forgetResponse(&r.env)
	r.env.LeaveUpstream()
	r.passedMs = sh.nowMs
	sh.nextTry(s, r, nil)
}

// nextTry picks a peer and begins a connection to it. A first try takes an idle one
// where there is one; upgrades never do, and another try doesn't rely on luck. When
// no peer is left the client gets the status that the last failure calls for.
func (sh *Shard) nextTry(s *Session, r *Request, last *failure) {
	for {
		peer := sh.choose(r)
		if peer == nil {
			sh.noPeer(s, r, last)
			return
		}
		r.peer = peer
		r.env.BeginTry(peer.Name, r.up.sent)
		r.tryMs = sh.nowMs
		r.tries++
		r.sentHead, r.gotBytes, r.interims = false, false, 0
		first := s.state == ReadHead || s.state == ReadBody || s.state.deciding() || r.named
		r.named = false
		if first && r.reusable() && sh.takePooled(s, r, peer) {
			r.env.UpstreamConnectMs = 0
			sh.startSend(s, r)
			return
		}
		if sh.dial(s, r, peer) {
			return
		}
		f := failConnect
		sh.endTry(r, f)
		last = &f
		if !sh.mayTryNext(r, failConnect) {
			sh.giveUp(s, failConnect)
			return
		}
	}
}

// noPeer answers when every peer was tried or is unavailable. As in nginx the status is that of
// the last failure only if every peer was tried, else 502, and the lists of tries name the group.
func (sh *Shard) noPeer(s *Session, r *Request, last *failure) {
	if last != nil && r.tries >= r.group.Len() {
		sh.giveUp(s, *last)
		return
	}
	r.env.BeginTry(r.group.Name, r.up.sent)
	r.env.FailTry(502, 0)
	sh.logError(s, observe.LevelError, "no live upstreams while connecting to upstream", nil)
	reason := observe.ReasonConnectFailed
	if last != nil {
		reason = failures[*last].reason
	}
	s.cause(reason, observe.SideUpstream)
	r.upFailed = true
	sh.refuse(s, 502)
}

// dial begins a connection to a peer that is lent. false means that it failed at once, was logged,
// and that the peer was given back.
func (sh *Shard) dial(s *Session, r *Request, peer *upstream.Peer) bool {
	fd, errno := sh.beginConnect(r, peer)
	sh.counters.UpstreamConnects++
	peer.Connects.Add(1)
	if errno == 0 {
		if errno = sh.registerUpstream(s, r, fd, peer); errno != 0 {
			sys.Close(fd)
		}
	}
	if errno != 0 {
		peer.Release()
		sh.connectFailed(s, r, errno)
		return false
	}
	peer.Connections.Add(1)
	s.Up.Open(fd)
	s.Up.Bits = 0 // not connected yet: an event will tell
	s.peer = peer.ID
	sh.setState(s, Connect)
	r.wait = waitNone
	sh.timers.Set(s.slot, sh.nowMs+r.settings().ConnectTimeout)
	return true
}

// connectFailed books a refused connection.
func (sh *Shard) connectFailed(s *Session, r *Request, errno sys.Errno) {
	sh.counters.UpstreamConnectFails++
	s.trail = s.trail.Note(observe.SideUpstream, observe.EventRefused)
	sh.logFailure(s, failConnect, errno)
	switch errno {
	case sys.EMFILE, sys.ENFILE, sys.ENOBUFS, sys.ENOMEM, sys.EADDRNOTAVAIL: // our own want, not the peer's fault
	default:
		sh.blame(s, r, failConnect)
	}
}

// blame counts a failure against the peer (max_fails).
func (sh *Shard) blame(s *Session, r *Request, f failure) {
	if r.group.Fail(r.peer, sh.nowMs) {
		sh.logError(s, observe.LevelWarn, disabled[f], nil)
	}
}

// onConnect waits for the connection to stand.
func (sh *Shard) onConnect(s *Session) (again bool) {
	r := sh.cold(s)
	if sh.clientGone(s, r) {
		return false
	}
	if r.resolving || s.Up.Bits&(relay.CanWrite|relay.CanRead) == 0 {
		return false
	}
	if s.Up.Bits&relay.Alarm != 0 { // without it the kernel has no error to tell
		if errno := sys.SocketError(s.Up.FD); errno != 0 {
			sh.connectFailed(s, r, errno)
			sh.retryOrGiveUp(s, r, failConnect)
			return true
		}
	}
	if s.Up.Bits&relay.CanWrite == 0 {
		return false
	}
	sh.connected(s, r)
	return true
}

// connected goes on with a connection to an upstream that stands: with TLS first, where it
// has that.
func (sh *Shard) connected(s *Session, r *Request) {
	if version := r.proxyProtocol(); version != 0 {
		errno := sh.sendProxyHeader(s, r, version)
		if errno == sys.EAGAIN { // the event was one of the connection before: this one does not stand
			s.Up.Bits &^= relay.CanWrite
			return
		}
		if errno != 0 {
			sh.connectFailed(s, r, errno)
			sh.retryOrGiveUp(s, r, failConnect)
			return
		}
	}
	if r.tls != nil {
		sh.enterUpHandshake(s, r)
		return
	}
	sh.upstreamReady(s, r)
}

// upstreamTLS is how the request speaks TLS with its upstream, nil if it does not. secure
// says whether the scheme of a proxy_pass with variables came out as https.
func (r *Request) upstreamTLS(secure bool) *UpstreamTLS {
	if r.proxy.TLS == 0 || !secure {
		return nil
	}
	return r.snapshot.UpstreamTLS[r.proxy.TLS-1]
}

// clientGone closes the session if the client has left while nothing was sent to it
// yet. A client that has merely ended its sending direction counts as gone unless
// bytes of it are still to be read, as in nginx.
func (sh *Shard) clientGone(s *Session, r *Request) bool {
	if s.Down.Bits&relay.RdHup == 0 || !r.up.ended || r.settings().IgnoreClientAbort || !sh.atEnd(&s.Down) {
		return false
	}
	s.trail = s.trail.Note(observe.SideClient, observe.EventFin)
	sh.countOutcome(r, observe.OutcomeGone)
	sh.close(s, observe.ReasonAborted, observe.SideClient)
	return true
}

// countOutcome counts how an upgrade request ended, once.
func (sh *Shard) countOutcome(r *Request, o observe.Outcome) {
	if r.upgrade != httpparse.UpgradeNone && !r.outcome {
		r.outcome = true
		sh.counters.Upgrades[o]++
	}
}
