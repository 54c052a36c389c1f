package route

import (
	"strconv"
	"strings"
	"time"

	"holdfast/httpparse"
)

// StickySpec describes a sticky directive: Cookie for its cookie, else Lookup for its route or
// learn.
type StickySpec struct {
	Cookie *StickyCookie
	// Lookup and Create are texts, the first value of which that is not empty counts.
	Lookup, Create []string
}

// StickyCookie is the cookie that names a client's server.
type StickyCookie struct {
	Name string
	// ExpiresSec is how long the cookie is kept, in seconds; StickySession for as long as the
	// browser runs, StickyMax for until 2037.
	ExpiresSec int64
	// Domain and SameSite may have variables; with Path they are empty where the cookie has no
	// such attribute.
	Domain, SameSite, Path string
	HTTPOnly, Secure       bool
}

// Values of StickyCookie.ExpiresSec beside times.
const (
	StickySession = -1
	StickyMax     = -2
)

// Sticky is a compiled StickySpec. It is immutable.
type Sticky struct {
	cookie         *stickyCookie
	lookup, create []Template
}

// stickyCookie is a compiled StickyCookie. Before and behind what has to be rendered there is
// text.
type stickyCookie struct {
	name         varArg
	start        string // "Set-Cookie: name="
	expiresSec   int64
	domain, site Template
	flags, path  string
}

// NewSticky compiles a sticky. The error is a *CompileError.
func (c *Compiler) NewSticky(spec *StickySpec) (*Sticky, error) {
	s := &Sticky{}
	var err error
	if s.lookup, err = c.compileAll(spec.Lookup); err != nil {
		return nil, err
	}
	if s.create, err = c.compileAll(spec.Create); err != nil || spec.Cookie == nil {
		return s, err
	}
	cookie := spec.Cookie
	s.cookie = &stickyCookie{
		name: varArg{name: strings.ToLower(cookie.Name)}, start: "Set-Cookie: " + cookie.Name + "=",
		expiresSec: cookie.ExpiresSec,
	}
	if cookie.HTTPOnly {
		s.cookie.flags += "; httponly"
	}
	if cookie.Secure {
		s.cookie.flags += "; secure"
	}
	if cookie.Path != "" {
		s.cookie.path = "; path=" + cookie.Path
	}
	if s.cookie.domain, err = c.Compile(cookie.Domain); err != nil {
		return nil, err
	}
	s.cookie.site, err = c.Compile(cookie.SameSite)
	return s, err
}

func (c *Compiler) compileAll(texts []string) (list []Template, err error) {
	for _, text := range texts {
		t, err := c.Compile(text)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// AppendBound appends what the request says about where it belongs: what sticky calls a server,
// or with learn the name of a session; nothing if it says nothing. It is the client's text. dst
// may grow; the result aliases it.
func (s *Sticky) AppendBound(dst []byte, e *Env) []byte {
	if s.cookie != nil {
		dst, _ = varCookie(dst, e, &s.cookie.name)
		return dst
	}
	return appendFirstOf(dst, e, s.lookup)
}

// AppendCreated appends the name of the session that the upstream's response has begun (learn);
// nothing if it has not. dst may grow; the result aliases it.
func (s *Sticky) AppendCreated(dst []byte, e *Env) []byte { return appendFirstOf(dst, e, s.create) }

// appendFirstOf appends the first of the texts that does not render as nothing.
func appendFirstOf(dst []byte, e *Env, texts []Template) []byte {
	at := len(dst)
	for i := range texts {
		if dst = texts[i].Append(dst, e); len(dst) > at {
			break
		}
	}
	return dst
}

// stuck is what the cookie of an answer says.
type stuck struct {
	to  *Sticky
	sid string
}

// StickTo has the upstream's response come with the cookie of s, that names a server sid, until
// the next call. A nil s, one without a cookie, and an empty sid stand for none.
func (e *Env) StickTo(s *Sticky, sid string) { e.stuck = stuck{s, sid} }

// appendSticky appends the cookie of StickTo, in nginx's order and words.
func (e *Env) appendSticky(dst []byte) []byte {
	if e.stuck.to == nil || e.stuck.to.cookie == nil || e.stuck.sid == "" {
		return dst
	}
	c := e.stuck.to.cookie
	dst = append(append(dst, c.start...), e.stuck.sid...)
	switch {
	case c.expiresSec == StickyMax:
		dst = append(dst, "; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"...)
	case c.expiresSec >= 0:
		dst = appendCookieTime(append(dst, "; expires="...), e.nowSec()+c.expiresSec)
		dst = strconv.AppendInt(append(dst, "; max-age="...), c.expiresSec, 10)
	}
	dst = c.appendDomain(dst, e)
	dst = append(dst, c.flags...)
	dst = c.appendSite(dst, e)
	dst = append(dst, c.path...)
	return append(dst, "\r\n"...)
}

// appendCookieTime appends a time, in seconds since 1970, as nginx writes it in cookies: with a
// year of two digits, unless some browsers would take that for one of the past century.
func appendCookieTime(dst []byte, second int64) []byte {
	t := time.Unix(second, 0).UTC()
	if t.Year() > 2037 {
		return t.AppendFormat(dst, "Mon, 02-Jan-2006 15:04:05 GMT")
	}
	return t.AppendFormat(dst, "Mon, 02-Jan-06 15:04:05 GMT")
}

// appendDomain leaves the attribute out where a variable has yielded what can't be a domain.
func (c *stickyCookie) appendDomain(dst []byte, e *Env) []byte {
	start := len(dst)
	dst = append(dst, "; domain="...)
	at := len(dst)
	dst = c.domain.Append(dst, e)
	for _, b := range dst[at:] {
		if b <= ' ' || b >= 0x7f || b == ';' || b == ',' {
			return dst[:start]
		}
	}
	if len(dst) == at {
		return dst[:start]
	}
	return dst
}

// appendSite makes what a variable has yielded and is no value of SameSite strict, as nginx does.
func (c *stickyCookie) appendSite(dst []byte, e *Env) []byte {
	start := len(dst)
	dst = append(dst, "; samesite="...)
	at := len(dst)
	dst = c.site.Append(dst, e)
	switch value := dst[at:]; {
	case len(value) == 0:
		return dst[:start]
	case httpparse.EqualFold(value, siteStrict.lower), httpparse.EqualFold(value, siteLax.lower),
		httpparse.EqualFold(value, siteNone.lower):
		return dst
	}
	return append(dst[:at], siteStrict.lower...)
}
