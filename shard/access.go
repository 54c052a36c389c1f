package shard

import (
	"time"

	"holdfast/access"
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/route"
)

// verdict is what a check of the access phase says about a request.
type verdict uint8

const (
	noOpinion verdict = iota
	admits
	denies  // with the status in the check's hands; the request has no answer yet
	waits   // what ends the wait calls accessChecked
	answers // the request was answered
)

// accessChecks are asked in this order, as in nginx.
var accessChecks [3]func(sh *Shard, s *Session, r *Request) (v verdict, status int)

func init() {
	accessChecks = [...]func(*Shard, *Session, *Request) (verdict, int){
		(*Shard).checkAddress, (*Shard).checkPassword, (*Shard).checkSubrequest,
	}
}

// accessPhase asks whether the request may come in (allow, deny, auth_basic, auth_request): all
// have to admit it, or any one of them (satisfy).
func (sh *Shard) accessPhase(s *Session, r *Request) (goOn bool) {
	if r.sub != nil {
		return true
	}
	for int(r.check) < len(accessChecks) {
		check := accessChecks[r.check]
		r.check++
		v, status := check(sh, s, r)
		if done, goOn := sh.judged(s, r, v, status); done {
			return goOn
		}
	}
	if r.denied != 0 {
		sh.logForbidden(s, r.denied)
		sh.deny(s, r.denied)
		return false
	}
	return true
}

// judged books what a check has said. done says that no other need be asked.
func (sh *Shard) judged(s *Session, r *Request, v verdict, status int) (done, goOn bool) {
	switch v { // a request that was answered may be gone
	case admits:
		if r.settings().SatisfyAny {
			r.denied = 0
			r.env.DropChallenge()
			return true, true
		}
	case denies:
		if !r.settings().SatisfyAny {
			sh.deny(s, status)
			return true, false
		}
		if r.denied != 401 && r.denied != 407 {
			r.denied = status
		}
	case waits, answers:
		return true, false
	}
	return false, true
}

// accessChecked goes on behind a check that the request has waited for in Access.
func (sh *Shard) accessChecked(s *Session, r *Request, v verdict, status int) {
	if done, goOn := sh.judged(s, r, v, status); !done {
		r.phase = phaseAccess
	} else if !goOn {
		return
	}
	sh.runPhases(s, r)
}

// deny answers a request that may not come in.
func (sh *Shard) deny(s *Session, status int) {
	s.cause(observe.ReasonRefused, observe.SideProxy)
	sh.refuse(s, status)
}

// checkAddress judges the client's address (allow, deny).
func (sh *Shard) checkAddress(s *Session, r *Request) (verdict, int) {
	rules := r.settings().Access
	allowed, decided := rules.Judge(r.env.Remote.Addr())
	switch {
	case !decided:
		return noOpinion, 0
	case allowed:
		return admits, 0
	}
	if !r.settings().SatisfyAny {
		sh.logForbidden(s, 403)
	}
	return denies, 403
}

// logForbidden logs a 403 that a rule of the configuration makes.
func (sh *Shard) logForbidden(s *Session, status int) {
	if status == 403 {
		sh.logRefusal(s, observe.LevelError, "access forbidden by rule", nil)
	}
}

// checkPassword judges the client's name and password (auth_basic).
func (sh *Shard) checkPassword(s *Session, r *Request) (verdict, int) {
	auth := r.settings().Auth
	if auth == nil || auth.Off(&r.env) {
		return noOpinion, 0
	}
	if r.env.CredentialsField() > 1 {
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent its credentials twice", nil)
		sh.refuse(s, 400)
		return answers, 0
	}
	credentials, ok := route.AppendCredentials(sh.out[:0], &r.env)
	sh.out = credentials[:0]
	if !ok || len(credentials) > access.CredentialsMax {
		sh.logRefusal(s, observe.LevelInfo, "no user/password was provided for basic authentication", nil)
		return denies, unauthorized(r)
	}
	users := r.snapshot.Users[auth.Users]
	if sh.verified.Known(users, credentials) {
		return admits, 0
	}
	sh.verify(s, r, users, credentials)
	return waits, 0
}

// verify orders a verdict on credentials. The session waits for it in Access.
func (sh *Shard) verify(s *Session, r *Request, users *access.Users, credentials []byte) {
	sh.orders++
	h, order := sh.handle(s), sh.orders
	if s.state != Access {
		sh.setState(s, Access)
	}
	r.order, r.wait = order, waitNone
	limitMs := r.server.Settings.ClientHeaderTimeout
	sh.timers.Set(s.slot, sh.nowMs+limitMs)
	within := time.Duration(limitMs) * time.Millisecond
	if !sh.opt.Access.Verify(users, credentials, within, func(v access.Verdict) {
		sh.Post(func(sh *Shard) { sh.passwordJudged(h, order, v) })
	}) {
		sh.unverified(s, r, "too many passwords are being verified")
	}
}

// unverified answers where there will be no verdict.
func (sh *Shard) unverified(s *Session, r *Request, why string) {
	r.order = 0
	s.cause(observe.ReasonOverload, observe.SideProxy)
	sh.logError(s, observe.LevelError, why, nil)
	sh.refuse(s, 503)
}

// passwordJudged goes on with a request whose credentials were judged, if the session still
// waits for that.
func (sh *Shard) passwordJudged(h pool.Handle, order uint64, v access.Verdict) {
	s := sh.sessions.Get(h)
	if s == nil || s.state != Access || sh.cold(s).order != order {
		return
	}
	r := sh.cold(s)
	r.order = 0
	switch v {
	case access.Granted:
		sh.accessChecked(s, r, admits, 0)
	case access.NoSuchUser:
		sh.logUser(s, r, " was not found in ", r.usersPath())
		sh.accessChecked(s, r, denies, unauthorized(r))
	case access.WrongPassword:
		sh.logUser(s, r, ": password mismatch", "")
		sh.accessChecked(s, r, denies, unauthorized(r))
	case access.NoFile:
		sh.logOpen(s, observe.LevelError, []byte(r.usersPath()), sys.ENOENT)
		sh.accessChecked(s, r, denies, 403)
	default:
		sh.logError(s, observe.LevelCrit, "a file of users can't be read:", []byte(r.usersPath()))
		sh.refuse(s, 500)
	}
	sh.advance(s)
}

// logUser logs that a user is refused; path, if any, is quoted behind why.
func (sh *Shard) logUser(s *Session, r *Request, why, path string) {
	user := route.AppendUser(sh.out[:0], &r.env)
	text := append(observe.AppendQuoted(append(sh.words(), "user "...), user), why...)
	if path != "" {
		text = observe.AppendQuoted(text, path)
	}
	sh.out, sh.errors.words = user[:0], text
	sh.logEntry(s, observe.Entry{Level: observe.LevelError, Text: text, Always: true})
}

// usersPath is the file of users that holds for the request.
func (r *Request) usersPath() string { return r.snapshot.Users[r.settings().Auth.Users].Path() }

// unauthorized has the answer ask the client for a name and a password, and is its status: 401, for
// a CONNECT 407 (RFC 9110 sections 15.5.2 and 15.5.8).
func unauthorized(r *Request) (status int) {
	r.settings().Auth.Challenge(&r.env)
	if r.req.MethodID == httpparse.MethodConnect {
		return 407
	}
	return 401
}

// onAccess waits for a verdict. Nothing is read meanwhile.
func (sh *Shard) onAccess(s *Session) (again bool) {
	sh.clientGone(s, sh.cold(s))
	return false
}

// onAccessTimer answers where a verdict takes too long.
func (sh *Shard) onAccessTimer(s *Session) {
	sh.unverified(s, sh.cold(s), "a password was not verified in time")
	sh.advance(s)
}
