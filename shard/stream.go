package shard

import (
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
)

// Statuses of a stream's session, as nginx logs them.
const (
	streamOK        = 200
	streamBad       = 400
	streamForbidden = 403
	streamFailed    = 500
	streamGone      = 502
	streamLimited   = 503
)

// passStream connects a stream's session to its upstream.
func (sh *Shard) passStream(s *Session, r *Request) {
	p := r.stream.Proxy
	if !p.Dynamic() {
		r.group = r.snapshot.Groups[p.Group]
	} else {
		target, ok := p.Resolve(&r.env)
		if !ok {
			sh.nameRefused(s, r, "proxy_pass with variables gives no address to connect to:", target.Name)
			return
		}
		if r.group = r.snapshot.StreamGroupByName[string(target.Name)]; r.group == nil {
			r.group = sh.renderedGroup(s, r, &target, p.Resolver)
		}
		if r.group == nil { // it waits for the name's addresses, or was refused
			return
		}
	}
	sh.passStreamOn(s, r)
}

// passStreamOn goes on once the session's group is known.
func (sh *Shard) passStreamOn(s *Session, r *Request) {
	p := r.stream.Proxy
	if p.TLS != 0 {
		sh.identify(r, r.snapshot.UpstreamTLS[p.TLS-1])
	}
	r.env.UpstreamConnectMs = -1
	r.passedMs = sh.nowMs
	sh.nextTry(s, r, nil)
}

// returnStream sends the text of return.
func (sh *Shard) returnStream(s *Session, r *Request) {
	r.env.Status = streamOK
	r.answered = true
	out := r.stream.Return.Append(sh.out[:0], &r.env)
	sh.out = out[:0]
	sh.setState(s, Reply)
	r.down.ended, r.up.ended = true, true
	r.wait = waitNone
	sh.await(s, r, waitClientWrite)
	if !sh.send(&s.Down, &r.down, out) {
		sh.clientWriteFailed(s)
	}
}

// endStream ends a session that came to nothing. Why is logged, and is the session's cause.
func (sh *Shard) endStream(s *Session, r *Request, status int) {
	r.env.Status = status
	sh.close(s, observe.ReasonDone, observe.SideProxy)
}

// openStream begins the tunnel of a stream's session whose upstream is connected.
func (sh *Shard) openStream(s *Session, r *Request) {
	r.group.OK(r.peer)
	r.group.Took(r.peer, r.env.UpstreamConnectMs, -1)
	r.env.Status = streamOK
	download, upload := r.stream.Proxy.Rates(&r.env)
	for i := range r.stream.Logs {
		if l := &r.stream.Logs[i]; l.Wanted(&r.env) {
			sh.holdLine(s, r, l.File, l.Log)
		}
	}
	sh.openTunnel(s)
	sh.pace(s, download, upload)
}

// logStream writes the lines of a stream's session that became no tunnel.
func (sh *Shard) logStream(r *Request) {
	e := &r.env
	if e.Status == 0 {
		e.Status = streamOK
	}
	e.NowNs = sh.wallNs()
	end := route.StreamEnd{
		NowNs: e.NowNs, StartNs: e.ConnectionStartNs, Status: e.Status, BytesSent: r.down.sent,
		Upstream: r.peer != nil, UpstreamFirstByteMs: -1, UpstreamSessionTimeMs: sh.nowMs - r.tryMs,
	}
	for i := range r.stream.Logs {
		l := &r.stream.Logs[i]
		if !l.Wanted(e) {
			continue
		}
		line := l.Log.AppendOpen(sh.errors.scratch[:0], e)
		sh.errors.scratch = line
		sh.logs[l.File].buf = route.AppendStreamClose(sh.logs[l.File].buf, line, &end)
	}
}

// endsAtFin ends a tunnel both of whose directions end with one (proxy_half_close off), as
// soon as what came before that end is delivered. It reports whether it did.
func (sh *Shard) endsAtFin(s *Session) bool {
	if !sh.opt.Policies.At(s.policy).EndsAtFin {
		return false
	}
	switch {
	case s.Down.State == relay.Shut:
		sh.close(s, observe.ReasonDone, observe.SideClient)
	case s.Up.State == relay.Shut && !s.Up.Holding():
		s.cause(observe.ReasonDone, observe.SideUpstream)
		sh.enterLinger(s)
	default:
		return false
	}
	return true
}
