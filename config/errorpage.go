package config

import "strings"

// ErrorPage is one error_page directive.
type ErrorPage struct {
	Position
	// Statuses are from 300 to 599.
	Statuses []int
	// Overwrite takes the place of the answer's status: KeepStatus leaves it, OwnStatus
	// takes that of whatever answers ("="), else it is the status.
	Overwrite int
	// Target is a path, @name, or a URL to redirect to. All but a name may have
	// variables.
	Target string
}

// The values of ErrorPage.Overwrite that are no status.
const (
	KeepStatus = -1
	OwnStatus  = 0
)

const (
	hintNamed     = "write @ and the name of a location, without variables"
	hintErrorPage = "write: error_page CODE ... [=[CODE]] PAGE;"
)

// readErrorPage reads "error_page 404 500 =200 /page".
func readErrorPage(l *level, n *node) {
	if l.first(n) {
		l.set.ErrorPages = nil
	}
	last := len(n.args) - 1
	page := ErrorPage{Position: n.Position, Overwrite: KeepStatus, Target: n.args[last]}
	codes := n.args[:last]
	if overwrite, ok := strings.CutPrefix(codes[last-1], "="); ok {
		codes = codes[:last-1]
		page.Overwrite = OwnStatus
		if overwrite != "" {
			if page.Overwrite, ok = parseInt(overwrite, 200); !ok || page.Overwrite > 599 {
				l.invalid(n, "="+overwrite, "write = and a status from 200 to 599, or = alone")
				return
			}
		}
	}
	if len(codes) == 0 {
		l.invalid(n, n.args[0], hintErrorPage)
		return
	}
	for _, arg := range codes {
		code, ok := parseInt(arg, 0)
		switch {
		case !ok, code == 499:
			l.invalid(n, arg, "write a status from 300 to 599, but not 499: that client is gone")
			return
		case code < 300 || code > 599:
			l.add(Error, n.Position, "", "the status %q of \"error_page\" must be between 300 and 599", arg)
			return
		}
		page.Statuses = append(page.Statuses, code)
	}
	if l.errorPageTarget(n, page.Target) {
		l.set.ErrorPages = append(l.set.ErrorPages, page.split()...)
	}
}

// split takes apart what nginx answers with 400 in the place of its own codes
// (494 to 497) from the other statuses of a page that keeps them.
func (p ErrorPage) split() []ErrorPage {
	if p.Overwrite != KeepStatus {
		return []ErrorPage{p}
	}
	kept, bad := p, p
	kept.Statuses, bad.Statuses, bad.Overwrite = nil, nil, 400
	for _, code := range p.Statuses {
		if code >= 494 && code <= 497 {
			bad.Statuses = append(bad.Statuses, code)
			continue
		}
		kept.Statuses = append(kept.Statuses, code)
	}
	var pages []ErrorPage
	for _, page := range []ErrorPage{kept, bad} {
		if page.Statuses != nil {
			pages = append(pages, page)
		}
	}
	return pages
}

func (l *level) errorPageTarget(n *node, target string) bool {
	switch {
	case target == "" || target[0] == '=' || strings.ContainsAny(target, "\r\n\x00"):
		l.invalid(n, target, hintErrorPage)
		return false
	case target[0] == '@':
		if strings.Contains(target, "$") {
			l.invalid(n, target, hintNamed)
			return false
		}
		return true
	case target[0] == '$' && !strings.Contains(target, "://"):
		// nginx looks at the value of each request to know what it names.
		l.invalid(n, target, `begin it with "/", @ or a URL's scheme: a variable's value must not decide what it is`)
		return false
	case target[0] != '/' && !strings.Contains(target, "://"):
		l.add(Warning, n.Position, "begin it with /", "error_page: the client is redirected to %q as it stands", target)
	}
	l.text(n.Position, n.name, target)
	return true
}

// checkNamed reports each @name that no location of its server has. nginx finds out
// with the first request.
func (l *loader) checkNamed() {
	for _, s := range l.cfg.HTTP.Servers {
		if l.refusedIn[s] {
			continue
		}
		c := namedCheck{l, s}
		c.level(&s.Settings, s.TryFiles)
		c.locations(s.Locations)
		c.locations(s.Named)
	}
}

// namedCheck looks for the @names of one server.
type namedCheck struct {
	*loader
	server *Server
}

func (c namedCheck) locations(list []*Location) {
	for _, loc := range list {
		c.level(&loc.Settings, loc.TryFiles)
		c.locations(loc.Inner())
	}
}

func (c namedCheck) level(set *Settings, try *TryFiles) {
	for i := range set.ErrorPages {
		c.find(set.ErrorPages[i].Position, "error_page", set.ErrorPages[i].Target)
	}
	if try != nil {
		c.find(try.Position, "try_files", try.Last)
	}
}

func (c namedCheck) find(at Position, directive, target string) {
	if !strings.HasPrefix(target, "@") {
		return
	}
	near, nearest := "", max(1, len(target)/3)+1
	for _, loc := range c.server.Named {
		if loc.Pattern == target {
			return
		}
		if d := editDistance(target, loc.Pattern); d < nearest {
			near, nearest = loc.Pattern, d
		}
	}
	hint := "add: location " + target + " { ... }"
	if near != "" {
		hint = "did you mean " + near + "?"
	}
	c.add(Error, at, hint, "%s: there is no location %q in the server at %s", directive, target, c.server.Position)
}
