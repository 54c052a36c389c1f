package shard

import (
	"bytes"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
)

const fieldHost = httpparse.FieldHost

// onReadHead reads and parses a request head. client_header_timeout runs from the
// accept, or from the first byte on a connection kept alive, and is never extended.
func (sh *Shard) onReadHead(s *Session) (again bool) {
	for {
		if s.request != 0 {
			if done, again := sh.parseHead(s); done {
				return again
			}
		}
		if s.Down.Bits&relay.CanRead == 0 {
			return false
		}
		if s.request == 0 {
			if sh.bufs.Full() {
				sh.starve(s) // client_header_timeout runs on
				return false
			}
			sh.lendRequest(s)
		}
		if !sh.readHeadBytes(s) {
			return false
		}
	}
}

// readHeadBytes reads more of the head; false means that there is nothing to parse.
func (sh *Shard) readHeadBytes(s *Session) bool {
	r := sh.cold(s)
	buf := sh.headBuf(r)
	n, errno := sh.mover.Recv(&s.Down, buf.B[buf.W:])
	switch {
	case errno == sys.EAGAIN:
		s.Down.Bits &^= relay.CanRead
		if buf.W == 0 {
			sh.releaseRequest(s)
		}
		return false
	case errno != 0:
		s.trail = s.trail.Note(observe.SideClient, observe.EventReadFailed)
		sh.logTLS(s, errno, observe.SideClient)
		sh.close(s, errnoReason(errno), observe.SideClient)
		return false
	case n == 0:
		s.trail = s.trail.Note(observe.SideClient, observe.EventFin)
		reason := observe.ReasonDone
		if buf.W > 0 {
			reason = observe.ReasonAborted
			sh.describePartial(s, r, httpparse.OK)
			r.env.Status = 400 // for the log; nobody is left to answer
			sh.logError(s, observe.LevelInfo, "client prematurely closed connection while reading client request", nil)
		}
		sh.close(s, reason, observe.SideClient)
		return false
	}
	if n < len(buf.B)-buf.W {
		sh.mover.ShortRead(&s.Down)
	}
	buf.W += n
	return true
}

// parseHead looks whether the head is whole. done means that the session has left
// ReadHead.
func (sh *Shard) parseHead(s *Session) (done, again bool) {
	r := sh.cold(s)
	buf := sh.headBuf(r)
	whole, perr := r.req.Parse(buf.B[:buf.W])
	switch {
	case perr != httpparse.OK:
		sh.refuseHead(s, perr)
		return true, true
	case !whole && buf.W == len(buf.B):
		if !sh.growHead(r) {
			sh.refuseLargeHead(s, r)
			return true, true
		}
		return false, false
	case !whole:
		return false, false
	}
	buf.R = r.req.HeadLen
	s.requests++
	sh.counters.Requests++
	sh.begin(s, r)
	return true, true
}

// growHead moves the head to a buffer twice as large; false at the limit.
func (sh *Shard) growHead(r *Request) bool {
	set := &r.server.Settings
	limit := max(int(set.ClientHeaderBufferSize), int(set.LargeHeaderBuffers.Size)*int(set.LargeHeaderBuffers.Count))
	old := sh.headBuf(r)
	if len(old.B) >= limit {
		return false
	}
	id, buf := sh.bufs.Get(min(2*len(old.B), limit))
	buf.W = copy(buf.B, old.B[:old.W])
	sh.bufs.Put(r.head)
	r.head = id
	return true
}

// refuseLargeHead answers a head past the limit: its request line if that has no end
// yet, else its fields.
func (sh *Shard) refuseLargeHead(s *Session, r *Request) {
	status := 431
	if r.req.Target.Len() == 0 {
		status = 414
	}
	r.broken = true
	sh.describePartial(s, r, httpparse.OK)
	s.cause(observe.ReasonBadRequest, observe.SideClient)
	sh.logError(s, observe.LevelInfo, "client sent a request head larger than large_client_header_buffers", nil)
	sh.refuse(s, status)
}

// refuseHead answers a head that breaks HTTP and closes.
func (sh *Shard) refuseHead(s *Session, perr httpparse.Error) {
	sh.cold(s).broken = true
	sh.describePartial(s, sh.cold(s), perr)
	s.cause(observe.ReasonBadRequest, observe.SideClient)
	sh.logError(s, observe.LevelInfo, "client sent an invalid request:", []byte(perr.String()))
	sh.refuse(s, perr.Status())
}

// describePartial tells the variables of a request that ends before it was routed what
// there is of its head.
func (sh *Shard) describePartial(s *Session, r *Request, perr httpparse.Error) {
	buf := sh.headBuf(r)
	e := &r.env
	e.Server = r.server
	if r.req.HeadLen == 0 {
		s.requests++
		e.RequestLength = int64(buf.W)
	}
	e.ConnectionRequests = s.requests
	e.Head = buf.B[:buf.W]
	lineOK := r.req.Target.Len() > 0 && perr != httpparse.ErrVersion && perr != httpparse.ErrVersionUnsupported
	if e.Req = &r.req; !lineOK {
		e.Req = nil
		e.Head = bytes.TrimLeft(e.Head, "\r\n")
	}
}

// begin routes a request whose head is whole.
func (sh *Shard) begin(s *Session, r *Request) {
	buf := sh.headBuf(r)
	head := buf.B[:r.req.HeadLen]
	e := &r.env
	e.Head, e.Req = buf.B[:buf.W], &r.req
	e.ConnectionRequests = s.requests
	e.RequestLength = int64(r.req.HeadLen)
	if perr := r.req.Check(head); perr != httpparse.OK {
		sh.refuseHead(s, perr)
		return
	}
	framing, perr := r.req.Framing(head)
	if perr != httpparse.OK {
		sh.refuseHead(s, perr)
		return
	}
	target, perr := httpparse.ParseTarget(r.req.Target.Of(head), r.req.MethodID)
	if perr == httpparse.OK {
		perr = e.SetHost(target)
	}
	if perr != httpparse.OK {
		sh.refuseHead(s, perr)
		return
	}
	r.server = r.snapshot.Table.FindServer(int(s.listener), e.Host, e)
	e.Server = r.server
	if perr = e.SetTarget(target, r.server.Settings.MergeSlashes); perr != httpparse.OK {
		sh.refuseHead(s, perr)
		return
	}
	if r.req.Target.Len() > int(r.server.Settings.LargeHeaderBuffers.Size) {
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent a request target larger than large_client_header_buffers", nil)
		sh.refuse(s, 414)
		return
	}
	if target.Form == httpparse.TargetAsterisk {
		e.URI = slash // OPTIONS * is about the server as a whole
	}
	sh.realIP(r, &r.server.Settings)
	r.up.begin(framing, framing.Kind == httpparse.BodyChunked)
	r.whole = r.up.ended
	if r.upgrade = r.req.Upgrade(head); r.upgrade == httpparse.UpgradeOther && !r.up.ended {
		r.upgrade = httpparse.UpgradeNone // it may be ignored, and is (RFC 9110 section 7.8)
	}
	r.expects = sh.expectsContinue(r)
	r.keepDown = r.req.KeepAlive(head)
	if r.plainOnTLS || e.TLS != nil && r.server.Settings.SSLVerifyClient != route.VerifyOff {
		if status := sh.judgeTLS(s, r); status != 0 {
			r.keepDown = false
			sh.refuse(s, status)
			return
		}
	}
	if r.req.MethodID == httpparse.MethodTrace {
		// An upstream's answer would show what was added to the request.
		sh.logError(s, observe.LevelInfo, "client sent TRACE method while reading client request headers", nil)
		sh.refuse(s, 405)
		return
	}
	sh.startPhases(s, r, phaseServerRewrite)
}

var slash = []byte("/")

// expectsContinue reports whether the client waits for a 100 before it sends its body
// (RFC 9110 section 10.1.1).
func (sh *Shard) expectsContinue(r *Request) bool {
	if r.up.ended || r.req.Minor == 0 || sh.headBuf(r).Len() > 0 {
		return false
	}
	v, ok := r.req.Find(r.env.Head, httpparse.FieldExpect)
	return ok && httpparse.EqualFold(v, "100-continue")
}

// setNagle switches Nagle's algorithm on the client's connection (tcp_nodelay). The
// location of the request decides, also for the tunnel that it may open; connections
// to an upstream never delay, because requests of many locations share them.
func (sh *Shard) setNagle(s *Session, on bool) {
	if on == s.has(flagNagle) {
		return
	}
	s.flags ^= flagNagle
	sys.SetNoDelay(s.Down.FD, !on)
}
