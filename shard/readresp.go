package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/relay"
	"holdfast/route"
)

// respHeadMax bounds an upstream's response head, in bytes.
const respHeadMax = 64 << 10

// onReadResp sends the rest of the request body up while it waits for the response
// head.
func (sh *Shard) onReadResp(s *Session) (again bool) {
	r := sh.cold(s)
	if !sh.pumpUp(s, r) {
		return s.state != Closed
	}
	if _, ok := sh.flush(&s.Down, &r.down); !ok {
		sh.clientWriteFailed(s)
		return false
	}
	for s.Up.Bits&relay.CanRead != 0 {
		data, ok := sh.readRespBytes(s, r)
		if s.state != ReadResp || ok && sh.parseResp(s, r, data) {
			return true
		}
	}
	if sh.clientGone(s, r) {
		return false
	}
	sh.armExchange(s, r)
	return false
}

// armExchange sets the timer for whoever is waited for now.
func (sh *Shard) armExchange(s *Session, r *Request) {
	switch {
	case r.up.pending():
		sh.await(s, r, waitUpstreamWrite)
	case !r.up.ended && r.expects:
		sh.await(s, r, waitContinue)
	case !r.up.ended:
		sh.await(s, r, waitClientBody)
	default:
		sh.await(s, r, waitUpstreamRead)
	}
}

// pumpRounds bounds the reads of one body in one go.
const pumpRounds = 4

// pumpUp moves the request body from the client to the upstream. false means that the
// session has left its state.
func (sh *Shard) pumpUp(s *Session, r *Request) bool {
	for range pumpRounds {
		done, ok := sh.flush(&s.Up, &r.up)
		if !ok {
			sh.cutBody(s, r)
			return true
		}
		if !done || r.up.ended || s.Down.Bits&relay.CanRead == 0 {
			return true
		}
		if r.up.splices(&s.Down, &s.Up) {
			n, ok := sh.spliceBody(&s.Down, &s.Up, &r.up)
			r.env.RequestLength += int64(n)
			if !ok {
				sh.cutBody(s, r)
				return true
			}
			if n > 0 {
				r.expects = false
				continue
			}
		}
		raw := sh.mover.Scratch[:sh.readMax()]
		if r.up.framing.Kind == httpparse.BodyLength && r.up.left < int64(len(raw)) {
			raw = raw[:r.up.left]
		}
		n, errno := sh.mover.Recv(&s.Down, raw)
		if errno == sys.EAGAIN {
			s.Down.Bits &^= relay.CanRead
			return true
		}
		if errno != 0 || n == 0 {
			sh.clientAborted(s, r, errno)
			return false
		}
		if !sh.sendBody(s, r, raw[:n]) {
			return false
		}
	}
	if !r.up.ended {
		sh.enqueue(s)
	}
	return true
}

// sendBody passes body bytes on. false means that the session has left its state.
func (sh *Shard) sendBody(s *Session, r *Request, raw []byte) bool {
	r.expects = false // it does not wait any more
	out, used, perr := sh.encode(r, &r.up, sh.out[:0], raw)
	sh.out = out[:0]
	r.env.RequestLength += int64(used)
	if !sh.bodyFits(s, r, perr) {
		return false
	}
	if used < len(raw) {
		sh.store(&r.ahead, raw[used:])
	}
	if !sh.send(&s.Up, &r.up, out) {
		sh.cutBody(s, r)
	}
	return true
}

// bodyFits judges what was read of a request body. false means that it was refused.
func (sh *Shard) bodyFits(s *Session, r *Request, perr httpparse.Error) bool {
	switch {
	case perr != httpparse.OK && r.answered:
		sh.abort(s, observe.ReasonBadRequest, observe.SideClient)
	case perr != httpparse.OK:
		sh.refuseBody(s, perr)
	case r.bodyTooLarge() && r.answered:
		sh.abort(s, observe.ReasonRefused, observe.SideProxy)
	case r.bodyTooLarge():
		sh.refuseLargeBody(s)
	default:
		return true
	}
	return false
}

// cutBody gives up sending the request body: the upstream takes no more of it. It may
// have answered before, so it is read on; the client's connection ends with the answer.
func (sh *Shard) cutBody(s *Session, r *Request) {
	s.trail = s.trail.Note(observe.SideUpstream, observe.EventWriteFailed)
	sh.dropOut(&r.up)
	r.cut = r.cut || !r.up.ended
	r.up.ended = true
	r.keepUp, r.keepDown = false, r.keepDown && !r.cut
	s.Up.Bits |= relay.CanRead
}

// clientAborted ends a session whose client went away inside its request body.
func (sh *Shard) clientAborted(s *Session, r *Request, errno sys.Errno) {
	reason := observe.ReasonAborted
	s.trail = s.trail.Note(observe.SideClient, observe.EventFin)
	if errno != 0 {
		reason = errnoReason(errno)
		sh.logTLS(s, errno, observe.SideClient)
	}
	sh.countOutcome(r, observe.OutcomeGone)
	sh.logError(s, observe.LevelInfo, "client prematurely closed connection while sending its body", nil)
	sh.close(s, reason, observe.SideClient)
}

func (sh *Shard) clientWriteFailed(s *Session) {
	s.trail = s.trail.Note(observe.SideClient, observe.EventWriteFailed)
	if s.request != 0 {
		sh.countOutcome(sh.cold(s), observe.OutcomeGone)
	}
	sh.close(s, errnoReason(sys.Errno(s.Down.Err)), observe.SideClient)
}

// readRespBytes reads more of the response head and returns all of it so far. false
// means that nothing came.
func (sh *Shard) readRespBytes(s *Session, r *Request) (data []byte, ok bool) {
	into := sh.mover.Scratch
	held := 0
	if r.respHead != 0 {
		buf := sh.bufs.At(r.respHead)
		if buf.W == len(buf.B) {
			buf = sh.growRespHead(r)
		}
		into, held = buf.B, buf.W
	}
	n, errno := sh.mover.Recv(&s.Up, into[held:])
	switch {
	case errno == sys.EAGAIN:
		s.Up.Bits &^= relay.CanRead
		return nil, false
	case errno != 0:
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventReadFailed)
		sh.logTLS(s, errno, observe.SideUpstream)
		sh.failTry(s, failClosed, errno)
		return nil, false
	case n == 0:
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventFin)
		sh.failTry(s, failClosed, 0)
		return nil, false
	}
	if n < len(into)-held {
		sh.mover.ShortRead(&s.Up)
	}
	r.gotBytes = true
	r.env.UpstreamBytesReceived += int64(n)
	if r.respHead != 0 {
		sh.bufs.At(r.respHead).W += n
	}
	return into[:held+n], true
}

func (sh *Shard) growRespHead(r *Request) *pool.Buf {
	old := sh.bufs.At(r.respHead)
	id, buf := sh.bufs.Get(2 * len(old.B))
	buf.W = copy(buf.B, old.Bytes())
	sh.bufs.Put(r.respHead)
	r.respHead = id
	return buf
}

// parseResp looks whether data has a whole response head, passing over interim ones.
// It returns true when the session has left ReadResp.
func (sh *Shard) parseResp(s *Session, r *Request, data []byte) bool {
	for {
		whole, perr := r.resp.Parse(data)
		switch {
		case perr != httpparse.OK:
			sh.refuseResponse(s, r, data, perr)
			return true
		case !whole && len(data) >= respHeadMax:
			sh.refuseResponse(s, r, data, httpparse.ErrHeadTooLarge)
			return true
		case !whole:
			sh.keepPartial(r, data)
			return false
		}
		if r.resp.Status >= 200 || r.resp.Status == 101 {
			sh.answer(s, r, data)
			return true
		}
		if r.interims++; r.interims > interimsMax {
			sh.badResponse(s, "too many interim responses")
			return true
		}
		if !sh.passInterim(s, r, data) {
			return true
		}
		n := copy(data, data[r.resp.HeadLen:])
		data = data[:n]
		r.resp.Reset()
		if r.respHead != 0 {
			sh.bufs.At(r.respHead).W = n
		}
		if n == 0 {
			return false
		}
	}
}

// keepPartial keeps the beginning of a head until more comes.
func (sh *Shard) keepPartial(r *Request, data []byte) {
	if r.respHead != 0 || len(data) == 0 {
		return
	}
	id, buf := sh.bufs.Get(2 * len(data))
	buf.W = copy(buf.B, data)
	r.respHead = id
}

// refuseResponse answers for an upstream whose response head in data could not be read.
func (sh *Shard) refuseResponse(s *Session, r *Request, data []byte, perr httpparse.Error) {
	sh.logBadResponse(s, r, data, perr)
	sh.blame(s, r, failInvalid)
	sh.retryOrGiveUp(s, r, failInvalid)
}

// badResponse answers for an upstream that breaks HTTP.
func (sh *Shard) badResponse(s *Session, why string) {
	sh.logInvalid(s, why)
	r := sh.cold(s)
	sh.blame(s, r, failInvalid)
	sh.retryOrGiveUp(s, r, failInvalid)
}

// answer begins to relay a final response, or switches protocols.
func (sh *Shard) answer(s *Session, r *Request, data []byte) {
	head, rest := data[:r.resp.HeadLen], data[r.resp.HeadLen:]
	e := &r.env
	e.RespHead, e.Resp = head, &r.resp
	e.UpstreamStatus = r.resp.Status
	e.UpstreamHeaderMs = sh.nowMs - r.tryMs
	e.NowNs = sh.wallNs()
	if r.resp.Status == 101 {
		if !r.askedUp || !sh.switchFits(r, head) {
			sh.forgetResponse(e)
			sh.badResponse(s, "a 101 that does not fit the request")
			return
		}
		sh.startSwitch(s, r, rest)
		return
	}
	framing, perr := r.resp.Framing(head, r.methodUp)
	if perr != httpparse.OK {
		sh.forgetResponse(e)
		sh.badResponse(s, perr.String())
		return
	}
	if sh.triesOther(s, r) {
		return
	}
	sh.learn(r)
	if r.sub != nil {
		sh.endSubrequest(s, r, framing, rest)
		return
	}
	if r.intercepts() {
		sh.intercept(s, r)
		return
	}
	if sh.accelerated(s, r, framing, rest) {
		return
	}
	sh.startBody(s, r, framing, rest)
}

// switchFits reports whether a 101 is an answer to what the upstream was asked. A
// WebSocket is asked for in the client's words; of other protocols only some may have
// gone on, so the request is written once more and read as the upstream read it.
func (sh *Shard) switchFits(r *Request, head []byte) bool {
	e := &r.env
	if r.upgrade == httpparse.UpgradeWebSocket {
		return r.resp.SwitchOK(head, &r.req, e.Head, r.settings().WebsocketStrict)
	}
	out, _ := r.proxy.AppendRequest(sh.out[:0], e, route.RequestForm{Framing: r.up.framing, Upgrade: r.upgrade})
	sh.out = out[:0]
	sh.asked.Reset()
	whole, perr := sh.asked.Parse(out)
	return whole && perr == httpparse.OK && r.resp.SwitchOK(head, &sh.asked, out, r.settings().WebsocketStrict)
}

// forgetResponse takes back what a refused response left in the variables.
func (sh *Shard) forgetResponse(e *route.Env) {
	e.RespHead, e.Resp = nil, nil
}
