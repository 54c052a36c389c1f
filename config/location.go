package config

import "strings"

func readLocation(l *level, n *node) {
	loc := &Location{Position: n.Position}
	if !l.locationPattern(loc, n) || !l.nestedWell(loc) || l.duplicateLocation(loc) {
		return
	}
	inner := l.inner(CtxLocation)
	inner.location = loc
	inner.place = strings.TrimSpace(l.place + " location " + strings.Join(n.args, " "))
	inner.walk(n.block)
	l.checkContent(loc)
	loc.Settings, loc.Rewrite = inner.settled(), inner.rewrites()
	switch {
	case l.location != nil:
		l.location.Nested = append(l.location.Nested, loc)
	case loc.Modifier == NamedLocation:
		l.server.Named = append(l.server.Named, loc)
	default:
		l.server.Locations = append(l.server.Locations, loc)
	}
}

// locationPattern reads the arguments: a modifier and a pattern, which may be
// written together as one word.
func (l *level) locationPattern(loc *Location, n *node) bool {
	modifier, pattern := "", n.args[0]
	if len(n.args) == 2 {
		modifier, pattern = n.args[0], n.args[1]
		if !strings.Contains("|=|^~|~|~*|", "|"+modifier+"|") || modifier == "" {
			l.add(Error, n.Position, "write =, ^~, ~ or ~* before the pattern", "invalid location modifier %q", modifier)
			return false
		}
	} else {
		for _, m := range []string{"=", "^~", "~*", "~"} {
			if rest, ok := strings.CutPrefix(pattern, m); ok {
				modifier, pattern = m, rest
				break
			}
		}
	}
	loc.Pattern = pattern
	switch modifier {
	case "=":
		loc.Modifier = Exact
	case "^~":
		loc.Modifier = PrefixNoRegex
	case "~", "~*":
		loc.Modifier = Regex
		if modifier == "~*" {
			loc.Modifier = RegexCaseless
		}
		var ok bool
		loc.Regexp, ok = l.regex(n.Position, pattern, modifier == "~*")
		return ok
	default:
		if strings.HasPrefix(pattern, "@") {
			loc.Modifier = NamedLocation
			return true
		}
	}
	if !strings.HasPrefix(pattern, "/") {
		l.add(Warning, n.Position, "begin it with /", "location %q matches no request: a path begins with /", pattern)
	}
	return true
}

// nestedWell checks nginx's rules for a location inside another.
func (l *level) nestedWell(loc *Location) bool {
	outer := l.location
	if outer == nil {
		return true
	}
	hint := "move it to the server level"
	isRegex := loc.Modifier == Regex || loc.Modifier == RegexCaseless
	switch {
	case outer.Modifier == Exact:
		l.add(Error, loc.Position, hint, "location %q cannot be inside the exact location %q", loc.Pattern, outer.Pattern)
	case outer.Modifier == NamedLocation:
		l.add(Error, loc.Position, hint, "location %q cannot be inside the named location %q", loc.Pattern, outer.Pattern)
	case loc.Modifier == NamedLocation:
		l.add(Error, loc.Position, hint, "named location %q can be on the server level only", loc.Pattern)
	case !isRegex && !strings.HasPrefix(loc.Pattern, outer.Pattern):
		l.add(Error, loc.Position, hint, "location %q is outside location %q", loc.Pattern, outer.Pattern)
	default:
		return true
	}
	return false
}

// duplicateLocation reports a second location of the same kind and pattern in one
// block. Prefixes with and without ^~ are the same kind; regexes never clash.
func (l *level) duplicateLocation(loc *Location) bool {
	kind := loc.Modifier
	switch kind {
	case Regex, RegexCaseless:
		return false
	case PrefixNoRegex:
		kind = Prefix
	}
	key := "location " + kind.String() + " " + loc.Pattern
	if first, again := l.seen[key]; again {
		l.add(Error, loc.Position, "remove one; the first is at "+first.String(), "duplicate location %q", loc.Pattern)
		return true
	}
	l.seen[key] = loc.Position
	return false
}

// readReturn reads "return code", "return code text", "return code URL" and
// "return URL".
func readReturn(l *level, n *node) {
	r := &Return{Position: n.Position}
	code, isCode := parseInt(n.args[0], 0)
	switch {
	case isCode && code <= 999:
		r.Code = code
	case len(n.args) == 1 && isRedirectTarget(n.args[0]):
		r.Code, r.URL = 302, n.args[0]
	default:
		l.refused = true
		hint := "write: return CODE;, return CODE TEXT; or return URL;"
		if strings.HasPrefix(n.args[0], "/") {
			hint = "write: return 302 " + n.args[0] + ";"
		}
		l.add(Error, n.Position, hint,
			"invalid return code %q", n.args[0])
		return
	}
	if len(n.args) == 2 {
		switch r.Code {
		case 301, 302, 303, 307, 308:
			r.URL = n.args[1]
		default:
			r.Text, r.HasText = n.args[1], true
		}
	}
	l.text(n.Position, n.name, n.args[len(n.args)-1])
	l.step(n, RewriteStep{Return: r})
	if l.ctx == CtxIf || l.ctx == CtxServerIf {
		return
	}
	target := &l.server.Return
	if l.location != nil {
		target = &l.location.Return
	}
	if *target != nil {
		l.add(Warning, n.Position, "remove it", "\"return\" is never reached: the one at %s answers", (*target).Position)
		return
	}
	*target = r
}

// isRedirectTarget says whether a lone argument of return is a URL.
func isRedirectTarget(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "$scheme")
}
