package route

import "holdfast/httpparse"

// SetHost fills in Host from e.Head and e.Req, whose target t was parsed from: what
// the request names, be it in an absolute-form target or in Host (RFC 9112 section
// 3.2.2), in lower case and without port. The error says why it is refused. Host
// lives until Reset.
func (e *Env) SetHost(t httpparse.Target) httpparse.Error {
	e.Host, e.authority = nil, nil
	authority := e.Req.Authority(e.Head, t)
	if len(authority) == 0 {
		return httpparse.OK
	}
	host, _, err := httpparse.ParseHost(authority)
	if err != httpparse.OK {
		return err
	}
	if t.Form == httpparse.TargetAbsolute {
		e.authority = authority
	}
	e.Host = lower(e.keep(host))
	return httpparse.OK
}

var asterisk = []byte("*")

// SetTarget fills in RawTarget, URI and Args from e.Head and e.Req, whose target t was
// parsed from. RawTarget is in origin-form, or "*". mergeSlashes is the
// server's setting (merge_slashes). The error says why the path is refused. URI lives
// until Reset.
func (e *Env) SetTarget(t httpparse.Target, mergeSlashes bool) httpparse.Error {
	target := e.Req.Target.Of(e.Head)
	e.RawTarget, e.URI = target, target
	e.Args = nil
	if t.HasQuery {
		e.Args = t.Query.Of(target)
	}
	switch t.Form {
	case httpparse.TargetAsterisk:
		return httpparse.OK
	case httpparse.TargetAuthority: // a CONNECT, for which location / stands (tunnel_pass)
		e.URI = slash
		return httpparse.OK
	}
	if t.Form == httpparse.TargetAbsolute {
		e.RawTarget = target[t.Path.Start:]
		switch {
		case len(e.RawTarget) > 0:
		case e.Req.MethodID == httpparse.MethodOptions:
			e.RawTarget = asterisk // about the server as a whole (RFC 9112 section 3.2.4)
		default:
			e.RawTarget = slash
		}
	}
	at := len(e.arena)
	arena, err := httpparse.NormalizePath(e.arena, t.Path.Of(target), mergeSlashes)
	e.arena = arena
	e.URI = arena[at:len(arena):len(arena)]
	return err
}
