package shard

import (
	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/route"
)

// beginReply readies the session for an answer of our own with this status. Whatever
// connection to an upstream there is ends.
func (sh *Shard) beginReply(s *Session, r *Request, status int) route.ReplyForm {
	sh.dropUpstream(s)
	sh.drop(&r.up)
	if r.upFailed {
		sh.countOutcome(r, observe.OutcomeFailed)
	}
	sh.countOutcome(r, observe.OutcomeRejected)
	r.env.NowNs = sh.wallNs()
	r.env.Status = r.answerStatus(status) // for texts with $status
	r.keepDown = r.keepDown && !r.cut && !sh.ends(s) && sh.discardGlued(r) && keepsAfter(r, status)
	return route.ReplyForm{Keepalive: r.keepDown, Status: r.status, RetryAfterSec: r.retrySec}
}

// finishReply sends the answer, or the part of it before a file, and enters Reply.
func (sh *Shard) finishReply(s *Session, r *Request, status int, out []byte) {
	sh.setState(s, Reply)
	sh.begun(r, r.answerStatus(status))
	r.down.framing = httpparse.Framing{}
	r.down.ended = true
	r.headSent += int64(headLen(out))
	r.wait = waitNone
	sh.paceAnswer(r)
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
	return status != 400 && status != 413 && !r.broken && r.req.MethodID != httpparse.MethodConnect
}

// discardGlued passes over a request body that came with its head and reports whether
// that was all of it: then the connection can go on.
func (sh *Shard) discardGlued(r *Request) bool {
	if r.up.ended {
		return true
	}
	buf := sh.headBuf(r)
	_, _, used, perr := r.up.decode(buf.Bytes())
	buf.R += used
	return perr == httpparse.OK && r.up.ended
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
	if ok && done && r.file.open {
		done, ok = sh.pumpFile(s, r)
		if s.state == Closed {
			return false
		}
	}
	switch {
	case !ok:
		sh.clientWriteFailed(s)
		return false
	case !done:
		sh.awaitClient(s, r)
		return false
	}
	r.env.Completed = true
	if r.keepDown && !sh.ends(s) {
		return sh.enterIdle(s, r)
	}
	s.cause(observe.ReasonRefused, observe.SideProxy)
	return sh.endConnection(s, r, r.up.ended && !r.cut)
}
