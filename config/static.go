package config

import "slices"

// staticUse is a directive about serving files, and the block it is in. It is
// harmless where no request could have got a file.
type staticUse struct {
	node     *node
	server   *Server   // nil in http
	location *Location // nil in http and server
}

func readStatic(l *level, n *node) {
	l.static = append(l.static, staticUse{n, l.server, l.location})
}

// checkStatic judges the directives about files once all locations are known.
func (l *loader) checkStatic() {
	for _, use := range l.static {
		what, at := l.servesFiles(use)
		if what == "" {
			l.warnNoEffect(use.node, "every request is proxied or answered by return")
			continue
		}
		l.add(Error, use.node.Position, "write proxy_pass or return for them; location / { return 404; } catches the rest",
			"%q is not supported: files would answer requests of the %s at %s", use.node.name, what, at)
	}
}

// servesFiles names the first block in the reach of use whose requests nginx would
// answer with files; what is "" if there is none.
func (l *loader) servesFiles(use staticUse) (what string, at Position) {
	if use.location != nil {
		if !l.answers(use.location) {
			return "location", use.location.Position
		}
		return "", Position{}
	}
	servers := l.cfg.HTTP.Servers
	if use.server != nil {
		servers = []*Server{use.server}
	}
	for _, s := range servers {
		if s.Return != nil || l.refusedIn[s] {
			continue
		}
		i := slices.IndexFunc(s.Locations, func(loc *Location) bool { return !l.answers(loc) })
		if i >= 0 {
			return "location", s.Locations[i].Position
		}
		if !slices.ContainsFunc(s.Locations, takesAll) {
			return "server", s.Position
		}
	}
	return "", Position{}
}

// answers says whether every request of a location is proxied or answered by
// return. Of a location with refused statements nothing is said.
func (l *loader) answers(loc *Location) bool {
	if l.refusedIn[loc] {
		return true
	}
	return (loc.ProxyPass != nil || loc.Return != nil) &&
		!slices.ContainsFunc(loc.Nested, func(inner *Location) bool { return !l.answers(inner) })
}

// takesAll says whether a location matches every path.
func takesAll(loc *Location) bool {
	return (loc.Modifier == Prefix || loc.Modifier == PrefixNoRegex) && loc.Pattern == "/"
}
