package shard

import (
	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/route"
)

// answerKind is an answer of our own.
type answerKind uint8

const (
	answerError  answerKind = iota // a page for a status
	answerReturn                   // the return directive
	answerSlash                    // the redirect to a location's name
)

// refuse answers a request with an error page of ours. Whatever connection to an
// upstream there is ends.
func (sh *Shard) refuse(s *Session, status int) {
	sh.reply(s, answerError, status)
}

// replyWith answers with what the configuration says.
func (sh *Shard) replyWith(s *Session, kind answerKind) {
	sh.reply(s, kind, 0)
}

func (sh *Shard) reply(s *Session, kind answerKind, status int) {
	r := sh.cold(s)
	sh.dropUpstream(s)
	if r.up.out != 0 {
		sh.bufs.Put(r.up.out)
		r.up.out = 0
	}
	sh.countOutcome(r, observe.OutcomeRejected)
	ret := r.server.Return
	if r.location != nil && r.location.Return != nil && ret == nil {
		ret = r.location.Return
	}
	if kind == answerReturn && ret.Code == route.CodeNoAnswer {
		r.env.Status = ret.Code
		sh.close(s, observe.ReasonRefused, observe.SideProxy)
		return
	}
	e := &r.env
	e.NowNs = sh.wallNs()
	r.keepDown = r.keepDown && !r.cut && !sh.quitting && sh.discardGlued(r) && keepsAfter(r, status)
	form := route.ReplyForm{Keepalive: r.keepDown}
	var out []byte
	switch kind {
	case answerReturn:
		status = ret.Code
		out = ret.Append(sh.out[:0], e, form)
	case answerSlash:
		status = 301
		out = route.AppendSlashRedirect(sh.out[:0], e, r.location, form)
	default:
		out = route.AppendError(sh.out[:0], e, status, form)
	}
	sh.setState(s, Reply)
	sh.begun(r, status)
	r.down.framing = httpparse.Framing{}
	r.down.ended = true
	r.headSent += int64(headLen(out))
	r.wait = waitNone
	sh.await(s, r, waitClientWrite)
	ok := sh.send(&s.Down, &r.down, out)
	sh.out = out[:0]
	if !ok {
		sh.clientWriteFailed(s)
	}
}

// keepsAfter reports whether another request may follow an answer of ours: not after
// one that leaves in doubt where the next begins, or whether there are to be requests.
func keepsAfter(r *Request, status int) bool {
	return status != 400 && status != 413 && r.req.MethodID != httpparse.MethodConnect
}

// headLen is the length of the head of an answer of ours.
func headLen(answer []byte) int {
	for i := 3; i < len(answer); i++ {
		if answer[i] == '\n' && answer[i-2] == '\n' {
			return i + 1
		}
	}
	return len(answer)
}

// onReply waits until the answer is written.
func (sh *Shard) onReply(s *Session) (again bool) {
	r := sh.cold(s)
	done, ok := sh.flush(&s.Down, &r.down)
	switch {
	case !ok:
		sh.clientWriteFailed(s)
		return false
	case !done:
		sh.await(s, r, waitClientWrite)
		return false
	}
	r.env.Completed = true
	if r.keepDown && !sh.quitting {
		return sh.enterIdle(s, r)
	}
	s.cause(observe.ReasonRefused, observe.SideProxy)
	return sh.endConnection(s, r, r.up.ended && !r.cut)
}
