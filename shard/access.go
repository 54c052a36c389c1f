package shard

import (
	"time"

	"holdfast/access"
	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/route"
)

// authorized says whether the request may go on, as far as auth_basic is concerned. false means
// that it was refused, or that it waits in Access for a verdict that is made elsewhere.
func (sh *Shard) authorized(s *Session, r *Request) bool {
	auth := r.settings().Auth
	if auth == nil || auth.Off(&r.env) {
		return true
	}
	if r.env.CredentialsField() > 1 {
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent its credentials twice", nil)
		sh.refuse(s, 400)
		return false
	}
	credentials, ok := route.AppendCredentials(sh.out[:0], &r.env)
	sh.out = credentials[:0]
	if !ok || len(credentials) > access.CredentialsMax {
		sh.logError(s, observe.LevelInfo, "no user/password was provided for basic authentication", nil)
		sh.unauthorized(s, r)
		return false
	}
	users := r.snapshot.Users[auth.Users]
	if sh.verified.Known(users, credentials) {
		return true
	}
	sh.verify(s, r, users, credentials)
	return false
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
		sh.Post(func(sh *Shard) { sh.verdict(h, order, v) })
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

// verdict goes on with a request whose credentials were judged, if the session still waits
// for that.
func (sh *Shard) verdict(h pool.Handle, order uint64, v access.Verdict) {
	s := sh.sessions.Get(h)
	if s == nil || s.state != Access || sh.cold(s).order != order {
		return
	}
	r := sh.cold(s)
	r.order = 0
	switch v {
	case access.Granted:
		sh.admitted(s, r)
	case access.NoSuchUser:
		sh.logUser(s, r, "a user was not found in the file of users:")
		sh.unauthorized(s, r)
	case access.WrongPassword:
		sh.logUser(s, r, "password mismatch of the user:")
		sh.unauthorized(s, r)
	case access.NoFile:
		sh.logUsers(s, r, "no such file of users:")
		sh.refuse(s, 403)
	default:
		sh.logUsers(s, r, "a file of users can't be read:")
		sh.refuse(s, 500)
	}
	sh.advance(s)
}

func (sh *Shard) logUser(s *Session, r *Request, text string) {
	user := route.AppendUser(sh.out[:0], &r.env)
	sh.logError(s, observe.LevelError, text, user)
	sh.out = user[:0]
}

func (sh *Shard) logUsers(s *Session, r *Request, text string) {
	sh.logError(s, observe.LevelError, text, []byte(r.snapshot.Users[r.settings().Auth.Users].Path()))
}

// unauthorized asks the client for a name and a password: with a 401, or for a CONNECT with
// a 407 (RFC 9110 sections 15.5.2 and 15.5.8).
func (sh *Shard) unauthorized(s *Session, r *Request) {
	r.settings().Auth.Challenge(&r.env)
	status := 401
	if r.req.MethodID == httpparse.MethodConnect {
		status = 407
	}
	sh.refuse(s, status)
}

// admitted lets the request's location answer who may ask it.
func (sh *Shard) admitted(s *Session, r *Request) {
	if r.location.TryElse != nil && r.req.MethodID != httpparse.MethodConnect {
		sh.tryFiles(s, r)
		return
	}
	sh.answerFrom(s, r)
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
