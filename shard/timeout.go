package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/route"
)

// wait is what the timer of a request bounds: the time between two successive
// operations on one connection, as with nginx.
type wait uint8

const (
	waitNone          wait = iota // a limit of the state as a whole
	waitClientBody                // client_body_timeout
	waitClientWrite               // send_timeout
	waitUpstreamRead              // proxy_read_timeout
	waitUpstreamWrite             // proxy_send_timeout
	waitContinue                  // continueWaitMs
	waitPace                      // limit_rate, proxy_limit_rate
)

// continueWaitMs is how long an upstream has for its word on a body that the client
// holds back. After that the client is told to send it: an upstream need not know the
// expectation (RFC 9110 section 10.1.1).
const continueWaitMs = 1000

// await sets the timer for what the session waits for now. If it waited for the same
// before and nothing of it has moved, the timer stays: neither side can put off the
// limit of the other, nor its own by doing something else.
func (sh *Shard) await(s *Session, r *Request, what wait) {
	set := r.settings()
	var mark, limitMs int64
	switch what {
	case waitClientBody:
		mark, limitMs = r.env.RequestLength, set.ClientBodyTimeout
	case waitClientWrite:
		mark, limitMs = r.down.sent-sh.unsent(&s.Down), set.ClientSendTimeout
	case waitUpstreamRead:
		mark, limitMs = r.env.UpstreamBytesReceived, set.ReadTimeout
	case waitUpstreamWrite:
		mark, limitMs = r.up.sent-sh.unsent(&s.Up), set.SendTimeout
	case waitContinue:
		limitMs = continueWaitMs
	}
	if r.wait == what && r.waitMark == mark && s.timer.Armed() {
		return
	}
	r.wait, r.waitMark = what, mark
	sh.timers.Set(s.slot, sh.nowMs+limitMs)
}

// onTimer is called when a session's timer runs out. What that means depends on the
// state alone.
func (sh *Shard) onTimer(s *Session) {
	switch s.state {
	case Tunnel, HalfClosed:
		sh.onTunnelTimer(s)
	case Closing:
		sh.endClosing(s)
	case ReadHead:
		sh.onHeadTimer(s)
	case Idle:
		sh.close(s, observe.ReasonIdleTimeout, observe.SideClient)
	case Linger:
		sh.close(s, observe.ReasonLingerTimeout, observe.SideClient)
	case Connect:
		if sh.cold(s).resolving {
			sh.onNameTimer(s)
			return
		}
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventTimeout)
		sh.failTry(s, failConnectTimeout, 0)
		sh.advance(s)
	case SendHead, ReadResp:
		sh.onExchangeTimer(s)
	case Delay:
		sh.onDelayTimer(s)
	case Access:
		sh.onAccessTimer(s)
	case ReadBody:
		sh.onBodyTimer(s)
	case ProxyHeader, Handshake, Preread:
		sh.onGreetTimer(s)
	case UpHandshake:
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventTimeout)
		sh.failTry(s, failHandshakeTimeout, 0)
		sh.advance(s)
	case Body, Switch, Reply:
		sh.onAnswerTimer(s)
	}
}

// onHeadTimer ends a head that took too long. Who has sent nothing gets no answer.
func (sh *Shard) onHeadTimer(s *Session) {
	s.trail = s.trail.Note(observe.SideClient, observe.EventTimeout)
	if s.request == 0 {
		sh.close(s, observe.ReasonHeadTimeout, observe.SideClient)
		return
	}
	sh.cold(s).broken = true
	sh.describePartial(s, sh.cold(s), httpparse.OK)
	s.cause(observe.ReasonHeadTimeout, observe.SideClient)
	sh.logError(s, observe.LevelInfo,
		clientTimedOut+" while reading client request headers", nil)
	sh.refuse(s, 408)
	sh.advance(s)
}

// onGreetTimer ends a connection whose client is too slow with what comes before the first
// request.
func (sh *Shard) onGreetTimer(s *Session) {
	s.trail = s.trail.Note(observe.SideClient, observe.EventTimeout)
	if s.state == Preread {
		sh.onPrereadTimer(s)
		return
	}
	sh.logError(s, observe.LevelInfo, "client timed out", nil)
	sh.close(s, observe.ReasonHandshakeTimeout, observe.SideClient)
}

// onExchangeTimer ends a wait for one of three: the upstream takes no more of the
// request, the client sends no more of its body, the response head doesn't come.
func (sh *Shard) onExchangeTimer(s *Session) {
	r := sh.cold(s)
	switch {
	case s.state == SendHead || r.up.pending():
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventTimeout)
		sh.failTry(s, failSendTimeout, 0)
	case r.wait == waitContinue:
		r.asked100 = false
		sh.sendContinue(s, r)
		sh.armExchange(s, r)
		return
	case !r.up.ended:
		sh.onBodyTimer(s)
		return
	default:
		s.trail = s.trail.Note(observe.SideUpstream, observe.EventTimeout)
		sh.failTry(s, failReadTimeout, 0)
	}
	sh.advance(s)
}

// onBodyTimer ends a request whose body does not come.
func (sh *Shard) onBodyTimer(s *Session) {
	s.trail = s.trail.Note(observe.SideClient, observe.EventTimeout)
	s.cause(observe.ReasonBodyTimeout, observe.SideClient)
	sh.logError(s, observe.LevelInfo, clientTimedOut+" while reading its body", nil)
	sh.cold(s).cut = true
	sh.refuse(s, 408)
	sh.advance(s)
}

// onAnswerTimer ends an answer that has begun: the client does not read, or the
// upstream stopped in the middle. All that is left is to cut the connection.
func (sh *Shard) onAnswerTimer(s *Session) {
	r := sh.cold(s)
	if r.wait == waitPace {
		sh.advance(s)
		return
	}
	side, reason := observe.SideUpstream, observe.ReasonReadTimeout
	if s.state != Body || r.down.pending() {
		side, reason = observe.SideClient, observe.ReasonSendTimeout
	}
	s.trail = s.trail.Note(side, observe.EventTimeout)
	sh.logError(s, observe.LevelInfo, timeoutText(side), nil)
	if side == observe.SideClient {
		if r.settings().ResetTimedout {
			sys.ResetOnClose(s.Down.FD) // the kernel shall not go on holding what it won't read
		}
	}
	sh.abort(s, reason, side)
}

func timeoutText(side observe.Side) string {
	if side == observe.SideClient {
		return clientTimedOut + " while sending to client"
	}
	return timedOut + readingBody
}

// abort closes a session in the middle of an answer. Where only the end of the
// connection ends the answer it is reset, and with TLS there is no close_notify, so that
// the client can't take what it got for the whole.
func (sh *Shard) abort(s *Session, reason observe.CloseReason, side observe.Side) {
	if r := sh.cold(s); r.down.framing.Kind != httpparse.BodyLength && !r.down.rechunk {
		sys.ResetOnClose(s.Down.FD)
	}
	if id := s.Down.TLS(); id != 0 {
		sh.mover.TLS.Close(id)
		s.Down.Unsecure()
	}
	sh.close(s, reason, side)
}

// settings are those of the request's location, or of its server.
func (r *Request) settings() *route.Settings {
	if r.location != nil {
		return &r.location.Settings
	}
	return &r.server.Settings
}
