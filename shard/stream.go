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
		if ok {
			if r.group = r.snapshot.StreamGroupByName[string(target.Name)]; r.group == nil {
				r.group = sh.adHocGroup(&target)
			}
		}
		if r.group == nil {
			sh.logError(s, observe.LevelError,
				"proxy_pass with variables gives neither an address nor an upstream of the configuration:", target.Name)
			s.cause(observe.ReasonRefused, observe.SideProxy)
			sh.endStream(s, r, streamFailed)
			return
		}
	}
	r.bind = p.Bind(&r.env)
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
	r.env.Status = streamOK
	download, upload := r.stream.Proxy.Rates(&r.env)
	end := &sh.streamEnds
	for _, l := range r.stream.Logs {
		end.add(s.slot, streamLine{
			file: l.File, line: l.Log.AppendOpen(nil, &r.env), tryMs: r.tryMs, startNs: r.env.ConnectionStartNs,
		})
	}
	sh.openTunnel(s)
	sh.pace(s, download, upload)
}

// streamLine is a line of an access log whose end will be known when the session ends.
type streamLine struct {
	line    []byte
	tryMs   int64 // when the upstream was asked
	startNs int64 // when the connection was accepted
	file    int
}

// streamEnds holds the lines that wait for the end of streams' sessions, by slot. A session
// without access_log has none.
type streamEnds map[uint32][]streamLine

func (l *streamEnds) add(slot uint32, line streamLine) {
	if *l == nil {
		*l = streamEnds{}
	}
	(*l)[slot] = append((*l)[slot], line)
}

// logStreamEnd writes the lines of a stream's session that was a tunnel.
func (sh *Shard) logStreamEnd(s *Session) {
	lines := sh.streamEnds[s.slot]
	if lines == nil {
		return
	}
	delete(sh.streamEnds, s.slot)
	now := sh.wallNs()
	end := route.StreamEnd{
		NowNs: now, Status: streamOK, Upstream: true, UpstreamFirstByteMs: -1,
		BytesSent: int64(s.Up.Bytes), BytesReceived: int64(s.Down.Bytes),
		UpstreamBytesSent: int64(s.Down.Bytes), UpstreamBytesReceived: int64(s.Up.Bytes),
	}
	for _, l := range lines {
		end.StartNs, end.UpstreamSessionTimeMs = l.startNs, sh.nowMs-l.tryMs
		sh.logs[l.file].buf = route.AppendStreamClose(sh.logs[l.file].buf, l.line, &end)
	}
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
	for _, l := range r.stream.Logs {
		line := l.Log.AppendOpen(nil, e)
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
