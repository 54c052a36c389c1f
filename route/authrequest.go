package route

import "holdfast/httpparse"

// AuthRequest has another location say whether a request may come in (auth_request). It is
// immutable.
type AuthRequest struct {
	uri  Template
	sets []Assignment
}

// NewAuthRequest compiles an auth_request to uri, a path with variables, with its auth_request_set.
// bad is the index of the set that the error is about, else -1. The error is a *CompileError.
func (c *Compiler) NewAuthRequest(uri string, sets []SetSpec) (a *AuthRequest, bad int, err error) {
	a = &AuthRequest{}
	if a.uri, err = c.Compile(uri); err != nil {
		return nil, -1, err
	}
	for i, spec := range sets {
		set, err := c.NewAssignment(spec)
		if err != nil {
			return nil, i, err
		}
		a.sets = append(a.sets, set)
	}
	return a, -1, nil
}

// Target is the path of the subrequest, for Env.SetInternal. It lives until Reset.
func (a *AuthRequest) Target(e *Env) []byte { return e.render(a.uri) }

// Apply gives the variables of auth_request_set their values. Call it while the response to the
// subrequest is known.
func (a *AuthRequest) Apply(e *Env) {
	for i := range a.sets {
		a.sets[i].Apply(e)
	}
}

// EnvMark is what Env.Mark notes of a request.
type EnvMark struct {
	uri, args              []byte
	location               *Location
	moved, internal, whole bool
	target                 endpoint
	subject                []byte
	groups                 [groupsMax * 2]int32
	count                  int
}

// Mark notes where the request stands, before a subrequest goes elsewhere.
func (e *Env) Mark() EnvMark {
	return EnvMark{uri: e.URI, args: e.Args, location: e.Location, moved: e.moved, internal: e.internal,
		whole: e.rewritten.whole, target: e.target,
		subject: e.captures.subject, groups: e.captures.groups, count: e.captures.count}
}

// Return makes e again what it was when m was taken, but for variables: as in nginx those are
// the request's and the subrequest's, and of captures only the numbered ones are not.
func (e *Env) Return(m *EnvMark) {
	e.URI, e.Args, e.Location, e.moved, e.internal = m.uri, m.args, m.location, m.moved, m.internal
	e.rewritten.whole, e.target = m.whole, m.target
	e.captures.subject, e.captures.groups, e.captures.count = m.subject, m.groups, m.count
}

// ForgetUpstream takes back what an upstream has left in the variables.
func (e *Env) ForgetUpstream() {
	e.RespHead, e.Resp = nil, nil
	e.UpstreamAddr, e.UpstreamStatus = "", 0
	e.UpstreamConnectMs, e.UpstreamHeaderMs, e.UpstreamResponseMs = -1, -1, -1
	e.UpstreamBytesSent, e.UpstreamBytesReceived, e.UpstreamResponseLength = 0, 0, 0
	e.forgetTries()
}

// PassChallenge has the answer ask for what the upstream's 401 asks for, too: WWW-Authenticate.
func (e *Env) PassChallenge() {
	if e.Resp == nil {
		return
	}
	field := append(e.borrow(), e.challenge...)
	for i := range e.Resp.Fields {
		if f := &e.Resp.Fields[i]; httpparse.EqualFold(f.Name.Of(e.RespHead), "www-authenticate") {
			field = appendField(field, e.RespHead, f)
		}
	}
	e.challenge = e.keep(field)
	e.giveBack(field)
}
