package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/route"
)

// phase is how far a request has come on its way through what the configuration says about
// it, in the order of nginx.
type phase uint8

const (
	phaseServerRewrite phase = iota // set, if, rewrite and return of the server
	phaseLocate                     // the location, and what it does not allow
	phaseRewrite                    // set, if, rewrite and return of the location
	phaseLimits                     // limit_req, limit_conn
	phaseAccess                     // allow, deny, auth_basic, auth_request
	phaseTry                        // try_files
	phaseMirror                     // mirror
	phaseContent                    // the upstream or a file
)

// phases are the functions of the phases. One that returns false has answered, or has the
// request wait for something: what ends the wait calls runPhases.
var phases [phaseContent + 1]func(sh *Shard, s *Session, r *Request) (goOn bool)

func init() {
	phases = [...]func(*Shard, *Session, *Request) bool{
		phaseServerRewrite: (*Shard).rewriteServer,
		phaseLocate:        (*Shard).locate,
		phaseRewrite:       (*Shard).rewriteLocation,
		phaseLimits:        (*Shard).limitPhase,
		phaseAccess:        (*Shard).accessPhase,
		phaseTry:           (*Shard).tryPhase,
		phaseMirror:        (*Shard).mirrorPhase,
		phaseContent:       (*Shard).content,
	}
}

// startPhases takes the request through the phases from this one on.
func (sh *Shard) startPhases(s *Session, r *Request, from phase) {
	r.phase = from
	r.check, r.denied, r.mirrors = 0, 0, false
	sh.runPhases(s, r)
}

// runPhases goes on with the phase that the request has come to.
func (sh *Shard) runPhases(s *Session, r *Request) {
	for {
		now := r.phase
		r.phase++
		if !phases[now](sh, s, r) {
			return
		}
	}
}

// rewriteServer runs what the server says before a location is looked for.
func (sh *Shard) rewriteServer(s *Session, r *Request) bool {
	r.location, r.env.Location = nil, nil
	if s.has(flagRefused) {
		r.keepDown = false
		s.cause(observe.ReasonOverload, observe.SideProxy)
		sh.refuse(s, 503)
		return false
	}
	if r.server.Rewrite == nil {
		return true
	}
	sh.settle(s, r)
	done := r.server.Rewrite.Run(&r.env, (*fileTests)(sh))
	return sh.rewritten(s, r, &done)
}

// locate finds the request's location and refuses what that does not allow.
func (sh *Shard) locate(s *Session, r *Request) bool {
	e := &r.env
	var redirect bool
	if r.location, redirect = r.server.Locate(e); r.location == nil {
		r.location = r.server.Content
	}
	r.location = r.location.ForMethod(e, r.asGet)
	e.Location = r.location
	sh.settle(s, r)
	set := r.settings()
	switch {
	case r.location != nil && r.location.Internal && !r.internal:
		sh.refuse(s, 404)
	case !r.paged && r.up.framing.Kind == httpparse.BodyLength && set.ClientMaxBodySize > 0 &&
		r.up.framing.Length > set.ClientMaxBodySize:
		r.cut = true
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.logError(s, observe.LevelError, "client intended to send too large body", nil)
		sh.refuse(s, 413)
	case r.upgrade != httpparse.UpgradeNone && !r.up.ended && !r.asGet:
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent an upgrade request with a body", nil)
		sh.refuse(s, 400)
	case redirect:
		sh.replySlash(s, r)
	default:
		return true
	}
	return false
}

// rewriteLocation runs what the location says, which may lead to another one.
func (sh *Shard) rewriteLocation(s *Session, r *Request) bool {
	if r.req.MethodID == httpparse.MethodConnect && !r.internal && (r.location == nil || r.location.TunnelPass == nil) {
		// A 2xx would make the client take what follows for its tunnel (RFC 9110 section 9.3.6).
		sh.logError(s, observe.LevelInfo, "client sent CONNECT method", nil)
		sh.refuse(s, 405)
		return false
	}
	if r.location == nil {
		sh.refuse(s, 404)
		return false
	}
	if r.location.Rewrite == nil {
		return true
	}
	done := r.location.Rewrite.Run(&r.env, (*fileTests)(sh))
	if done.Location != nil {
		r.location, r.env.Location = done.Location, done.Location
		sh.settle(s, r)
	}
	if done.End == route.RewriteMoved {
		sh.logRewrite(s, &done)
		if !sh.hop(s, r) {
			return false
		}
		r.phase = phaseLocate
		return true
	}
	return sh.rewritten(s, r, &done)
}

// rewritten answers as a rewrite, return or if has said; true where none has.
func (sh *Shard) rewritten(s *Session, r *Request, done *route.Rewritten) (goOn bool) {
	r.internal = r.internal || done.Internal
	sh.logRewrite(s, done)
	switch done.End {
	case route.RewriteReturns:
		sh.replyReturn(s, r, done.Return)
	case route.RewriteRedirects:
		if r.sub != nil {
			sh.subAnswered(s, r, done.Status)
			return false
		}
		if r.pageFor(done.Status) != nil { // as in nginx, with the Location of the redirect
			r.env.HoldLocation(done.URL)
			sh.refuse(s, done.Status)
			return false
		}
		r.status = 0
		form := sh.beginReply(s, r, done.Status)
		sh.finishReply(s, r, done.Status, route.AppendRedirect(sh.out[:0], &r.env, done.Status, done.URL, form))
	default:
		return true
	}
	return false
}

// logRewrite writes what rewrite directives have to say to the error log.
func (sh *Shard) logRewrite(s *Session, done *route.Rewritten) {
	for _, line := range done.Notices {
		sh.logError(s, observe.LevelNotice, "", line)
	}
	if done.Failure != "" {
		sh.logError(s, observe.LevelError, done.Failure, nil)
	}
}

// limitPhase lets the limits of the location judge the request, once.
func (sh *Shard) limitPhase(s *Session, r *Request) bool {
	sh.realIP(r, r.settings())
	if r.sub != nil {
		return true
	}
	return sh.withinLimits(s, r)
}

// tryPhase looks for the files of try_files.
func (sh *Shard) tryPhase(s *Session, r *Request) bool {
	if r.location.TryElse == nil || r.req.MethodID == httpparse.MethodConnect {
		return true
	}
	return sh.tryFiles(s, r)
}

// fileTests answers the questions of if about files.
type fileTests Shard

// Test reports whether the file at path is what kind asks for; it follows symbolic links.
func (ft *fileTests) Test(kind route.FileTest, path []byte) bool {
	info, errno := (*Shard)(ft).stat(append(ft.path[:0], path...)) // stat keeps what it is given
	if errno != 0 {
		return false
	}
	switch kind {
	case route.FileIsRegular:
		return info.Kind == sys.FileRegular
	case route.FileIsFolder:
		return info.Kind == sys.FileFolder
	case route.FileIsExecutable:
		return info.Executable
	}
	return true
}
