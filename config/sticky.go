package config

import (
	"slices"
	"strings"
	"time"
)

// StickyMethod is how sticky knows which server a request belongs to.
type StickyMethod uint8

// The methods.
const (
	StickyByCookie StickyMethod = iota // by a cookie of ours
	StickyByRoute                      // by what variables yield, compared with route= of servers
	StickyByLearn                      // by sessions that the servers make
)

// Sticky is a sticky directive.
type Sticky struct {
	Position
	Method StickyMethod
	Cookie StickyCookie
	// Lookup are the variables, with "$", whose first value that is not empty says where a
	// request belongs; Create those that name a new session of StickyByLearn.
	Lookup, Create []string
	// Zone has the sessions, in Size bytes, until nobody has used them for Timeout.
	Zone    string
	Size    int64
	Timeout time.Duration
	// Header notes a session's use when a response's head has come, and not at its end again.
	Header bool
}

// StickyCookie is the cookie of StickyByCookie.
type StickyCookie struct {
	Name string
	// Expires is how long the cookie is kept; negative: as long as the browser's session.
	// ExpiresMax keeps it until 2037.
	Expires    time.Duration
	ExpiresMax bool
	// Domain and SameSite may have variables; with Path they are empty if not written.
	Domain, SameSite, Path string
	HTTPOnly, Secure       bool
}

// defaultStickyTimeout is nginx's.
const defaultStickyTimeout = 10 * time.Minute

// stickyDirectives are the rows about requests that stay with a server.
func stickyDirectives() []Directive {
	return []Directive{{
		Name: "sticky", Contexts: CtxUpstream,
		Args: "cookie name [expires=time | max] [domain=domain] [httponly] [samesite=strict | lax | none | $variable] " +
			"[secure] [path=path] | route $variable ... | learn create=$variable ... lookup=$variable ... zone=name:size " +
			"[timeout=time] [header] [sync]",
		Doc: "Passes the requests of a client to the same server: by a cookie that names the server, by variables that are " +
			"compared with route= of the servers, or by sessions that the servers make.",
		Deviation: "In nginx since 1.29.6, before in the commercial one only. The cookie comes with answers of the " +
			"upstream, a 101 among them, and not with error pages of our own. Sessions outlive a change of the " +
			"configuration, and no restart. A session is there as soon as the head of a response is; without header its " +
			"time begins anew at the response's end. Names of sessions are up to 4 KiB long, routes up to 32 bytes. sync " +
			"has no effect.",
		min: 2, max: -1, read: readSticky,
	}}
}

func readSticky(l *level, n *node) {
	s := &Sticky{Position: n.Position, Cookie: StickyCookie{Expires: -1}}
	ok := false
	switch n.args[0] {
	case "cookie":
		ok = l.stickyCookie(s, n)
	case "route":
		s.Method = StickyByRoute
		for _, arg := range n.args[1:] {
			if ok = l.stickyVariable(&s.Lookup, n, arg, "write: sticky route $NAME ...;"); !ok {
				break
			}
		}
	case "learn":
		s.Method, s.Timeout = StickyByLearn, defaultStickyTimeout
		ok = l.stickyLearn(s, n)
	default:
		l.invalidParameter(n, n.args[0], "write cookie, route or learn")
	}
	if !ok {
		l.refused = true
		return
	}
	l.upstream.Sticky = s
}

// stickyCookie reads the cookie's name and its attributes.
func (l *level) stickyCookie(s *Sticky, n *node) (ok bool) {
	c := &s.Cookie
	if c.Name = n.args[1]; c.Name == "" || strings.ContainsFunc(c.Name, notInCookieName) {
		l.invalidParameter(n, c.Name, "write the name of a cookie, of letters, digits, \"-\" and \"_\"")
		return false
	}
	var seen []string
	for _, arg := range n.args[2:] {
		name, value, hasValue := strings.Cut(arg, "=")
		if slices.Contains(seen, name) {
			l.add(Error, n.Position, "remove one", "parameter %q of %q is duplicate", name, n.name)
			return false
		}
		seen = append(seen, name)
		if hint := c.parameter(name, value, hasValue); hint != "" {
			l.invalidParameter(n, arg, hint)
			return false
		}
	}
	l.text(n.Position, n.name, c.Domain)
	l.text(n.Position, n.name, c.SameSite)
	return true
}

// parameter reads an attribute of the cookie. hint says what to write instead of a wrong one.
func (c *StickyCookie) parameter(name, value string, hasValue bool) (hint string) {
	ok := !hasValue
	hint = "write expires=, domain=, path=, samesite=, httponly or secure"
	switch name {
	case "httponly":
		c.HTTPOnly = true
	case "secure":
		c.Secure = true
	case "expires":
		hint = "write a time in seconds such as 1h, or max"
		if c.ExpiresMax = value == "max"; !c.ExpiresMax {
			c.Expires, ok = parseSeconds(value)
		} else {
			ok = true
		}
	case "domain":
		hint = "write a domain such as .example.com"
		c.Domain, ok = value, value != "" && (strings.Contains(value, "$") || !strings.ContainsFunc(value, notInAttribute))
	case "path":
		hint = "write a path such as /"
		c.Path, ok = value, value != "" && !strings.ContainsFunc(value, notInAttribute)
	case "samesite":
		hint = "write strict, lax, none or a variable"
		c.SameSite = value
		ok = slices.Contains([]string{"strict", "lax", "none"}, strings.ToLower(value)) || strings.Contains(value, "$")
	default:
		ok = false
	}
	if ok {
		return ""
	}
	return hint
}

// notInCookieName tells what may not be in a cookie's name, a token (RFC 6265 section 4.1.1).
func notInCookieName(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}$`, r)
}

// notInAttribute tells what may not be in the value of a cookie's attribute (RFC 6265 section
// 4.1.1).
func notInAttribute(r rune) bool { return r < ' ' || r >= 0x7f || r == ';' }

// notInRoute tells what may not be in a cookie's value (RFC 6265 section 4.1.1), which route= of
// a server becomes.
func notInRoute(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`",;\`, r) }

// routeMax is the longest route= of a server, in bytes, as in nginx.
const routeMax = 32

func validRoute(route string) bool {
	return route != "" && len(route) <= routeMax && !strings.ContainsFunc(route, notInRoute)
}

// stickyVariable appends a variable to list.
func (l *level) stickyVariable(list *[]string, n *node, text, hint string) (ok bool) {
	if !variableName.MatchString(text) {
		l.add(Error, n.Position, hint, "invalid variable name %q", text)
		return false
	}
	l.text(n.Position, n.name, text)
	*list = append(*list, text)
	return true
}

const hintLearn = "write: sticky learn create=$upstream_cookie_NAME lookup=$cookie_NAME zone=NAME:1m;"

// stickyLearn reads the parameters of learn.
func (l *level) stickyLearn(s *Sticky, n *node) (ok bool) {
	var seen []string
	for _, arg := range n.args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		if slices.Contains(seen, name) && name != "create" && name != "lookup" {
			l.add(Error, n.Position, "remove one", "parameter %q of %q is duplicate", name, n.name)
			return false
		}
		seen = append(seen, name)
		if !l.learnParameter(s, n, arg, value) {
			return false
		}
	}
	for _, name := range []string{"create", "lookup", "zone"} {
		if !slices.Contains(seen, name) {
			l.add(Error, n.Position, hintLearn, "%q parameter of %q is not specified", name, n.name)
			return false
		}
	}
	return l.newZone(n, s.Zone)
}

func (l *level) learnParameter(s *Sticky, n *node, arg, value string) (ok bool) {
	switch {
	case arg == "header":
		s.Header = true
	case arg == "sync":
		l.add(Warning, n.Position, "", "parameter %q of %q has no effect: other instances do not learn of sessions",
			arg, n.name)
	case strings.HasPrefix(arg, "create="):
		return l.stickyVariable(&s.Create, n, value, hintLearn)
	case strings.HasPrefix(arg, "lookup="):
		return l.stickyVariable(&s.Lookup, n, value, hintLearn)
	case strings.HasPrefix(arg, "zone="):
		s.Zone, s.Size, ok = l.zone(n, arg, hintLearn)
		return ok
	case strings.HasPrefix(arg, "timeout="):
		if s.Timeout, ok = parseTime(value); !ok || s.Timeout == 0 {
			l.invalidParameter(n, arg, hintTime)
			return false
		}
	default:
		l.invalidParameter(n, arg, hintLearn)
		return false
	}
	return true
}

// checkSticky warns of what nginx would not do with a block that has sticky.
func (l *level) checkSticky(u *Upstream) {
	s, b := u.Sticky, &u.Balance
	if s != nil && b.Method != RoundRobin && b.File == s.File && b.Line > s.Line {
		l.add(Warning, s.Position, "nginx would not be sticky: write it below the method at "+b.Position.String(),
			"\"sticky\" above the load balancing method")
	}
	if s == nil || s.Method != StickyByRoute {
		return
	}
	if !slices.ContainsFunc(u.Servers, func(s UpstreamServer) bool { return s.Route != "" }) {
		l.add(Warning, s.Position, "write route=NAME behind the addresses of servers", "\"sticky route\" without any route")
	}
}
