package shard

import (
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/preread"
	"holdfast/relay"
	"holdfast/route"
)

// enterPreread begins a stream's session behind what its listener has it begin with. The
// first event of its socket goes on with it.
func (sh *Shard) enterPreread(s *Session) {
	sh.setState(s, Preread)
	r := sh.lendRequest(s)
	sh.useStream(s, r, r.server)
	sh.realIP(r, &r.server.Settings)
	wait := int64(decideMs)
	if r.stream.Preread {
		wait = r.stream.PrereadTimeout
	}
	sh.timers.Set(s.slot, sh.nowMs+wait)
}

// decideMs is how long a session that is not looked at may take to be decided upon.
const decideMs = 10_000

// useStream lets a server say what holds for the session.
func (sh *Shard) useStream(s *Session, r *Request, server *route.Server) {
	r.server, r.stream, r.env.Server = server, server.Stream, server
	s.policy = server.Settings.Policy
	sh.setNagle(s, !r.stream.TCPNodelay)
}

// onPreread decides about the session: who may come in, how many, and where to.
func (sh *Shard) onPreread(s *Session) (again bool) {
	r := sh.cold(s)
	if !sh.admits(s, r) {
		return false
	}
	var name []byte
	switch {
	case r.env.TLS != nil:
		name = []byte(r.env.TLS.ServerName)
	case r.stream.Preread:
		var done bool
		if name, done = sh.readHello(s, r); !done {
			return false
		}
	}
	if len(name) > 0 {
		sh.useStream(s, r, r.snapshot.Table.FindServer(int(s.listener), name, &r.env))
		if !sh.admits(s, r) {
			return false
		}
	}
	if s.has(flagRefused) {
		s.cause(observe.ReasonOverload, observe.SideProxy)
		sh.endStream(s, r, streamLimited)
		return false
	}
	r.stream.ApplySets(&r.env)
	if !sh.takeLimits(s, r, &r.stream.Limits) {
		sh.endStream(s, r, streamLimited)
		return false
	}
	if r.stream.Return != nil {
		sh.returnStream(s, r)
	} else {
		sh.passStream(s, r)
	}
	return s.state != Closed
}

// admits reports whether the rules of access let the client in; else the session has ended.
func (sh *Shard) admits(s *Session, r *Request) bool {
	if r.stream.Access.Allows(r.env.Remote.Addr()) {
		return true
	}
	s.cause(observe.ReasonRefused, observe.SideProxy)
	sh.logRefusal(s, observe.LevelError, "access forbidden by rule", nil)
	sh.endStream(s, r, streamForbidden)
	return false
}

// onPrereadTimer goes on without what the client did not send (preread_timeout).
func (sh *Shard) onPrereadTimer(s *Session) {
	sh.logError(s, observe.LevelInfo, "client timed out while its first bytes were awaited", nil)
	s.cause(observe.ReasonHandshakeTimeout, observe.SideClient)
	sh.endStream(s, sh.cold(s), streamOK)
}

// readHello looks for a TLS hello in the client's first bytes and returns the name it asks
// for. They stay where they are: the upstream gets them. done is false while more has to
// come, and if the session has ended.
func (sh *Shard) readHello(s *Session, r *Request) (name []byte, done bool) {
	if s.Down.Bits&relay.CanRead == 0 {
		return nil, false
	}
	b := sh.mover.Scratch[:min(r.stream.PrereadBufferSize, len(sh.mover.Scratch))]
	n, errno := sys.Peek(s.Down.FD, b)
	switch {
	case errno == sys.EAGAIN:
		s.Down.Bits &^= relay.CanRead
		return nil, false
	case errno != 0 || n == 0:
		s.trail = s.trail.Note(observe.SideClient, observe.EventFin)
		sh.close(s, observe.ReasonAborted, observe.SideClient)
		return nil, false
	}
	e := &r.env.Stream
	status := preread.Parse(b[:n], &sh.hello)
	sh.noteHello(e, status)
	switch {
	case status == preread.More && n == len(b):
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelError, "preread buffer full while prereading client data", nil)
		sh.endStream(s, r, streamBad)
		return nil, false
	case status == preread.More && s.Down.Bits&relay.RdHup != 0:
		s.trail = s.trail.Note(observe.SideClient, observe.EventFin)
		s.cause(observe.ReasonAborted, observe.SideClient)
		sh.endStream(s, r, streamOK)
		return nil, false
	case status == preread.More:
		s.Down.Bits &^= relay.CanRead // only more of it is worth another look
		return nil, false
	}
	return e.PrereadServerName, true
}

// noteHello keeps what the hello says for the variables. As in nginx they are empty while it
// has not come whole, and absent if it turns out to be none.
func (sh *Shard) noteHello(e *route.StreamEnv, status preread.Status) {
	switch status {
	case preread.More:
		e.PrereadServerName, e.PrereadALPN, e.PrereadProtocol = []byte{}, []byte{}, []byte{}
	case preread.Done:
		e.PrereadServerName = append([]byte{}, sh.hello.ServerName...)
		e.PrereadALPN = sh.hello.AppendALPN([]byte{})
		e.PrereadProtocol = []byte(sh.hello.Protocol())
	default:
		e.PrereadServerName, e.PrereadALPN, e.PrereadProtocol = nil, nil, nil
	}
}
