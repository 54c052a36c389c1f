package shard

import (
	"holdfast/httpparse"
)

// interimsMax bounds the 1xx responses before a final one.
const interimsMax = 16

// passInterim relays the interim response at the start of data where the client may
// have it (RFC 9110 section 15.2): a 100 if the client waits for one that the upstream
// was asked for, a 103 where early_hints says so, others always; nothing to HTTP/1.0,
// nor while the client has yet to take the one before. false means that the session
// has left its state.
func (sh *Shard) passInterim(s *Session, r *Request, data []byte) bool {
	e := &r.env
	passes := r.req.Minor == 1 && !r.down.pending() && r.sub == nil
	switch {
	case r.resp.Status == 100:
		passes = passes && r.expects && r.asked100
		r.expects = false
	case r.resp.Status == 103 && passes:
		e.RespHead, e.Resp = data[:r.resp.HeadLen], &r.resp
		passes = r.settings().EarlyHints.Pass(e)
	}
	if !passes {
		sh.forgetResponse(e)
		return true
	}
	if _, perr := r.resp.Framing(data[:r.resp.HeadLen], httpparse.MethodGet); perr != httpparse.OK {
		sh.forgetResponse(e)
		sh.badResponse(s, perr.String())
		return false
	}
	e.RespHead, e.Resp = data[:r.resp.HeadLen], &r.resp
	out := r.proxy.AppendInterim(sh.out[:0], e)
	sh.out = out[:0]
	sh.forgetResponse(e)
	r.headSent += int64(len(out))
	if !sh.send(&s.Down, &r.down, out) {
		sh.clientWriteFailed(s)
		return false
	}
	return true
}
