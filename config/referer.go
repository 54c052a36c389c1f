package config

import "strings"

// Referers is what the Referer of a request may be (valid_referers).
type Referers struct {
	Position
	// None lets requests without a Referer pass, Blocked those whose Referer has no http:// or https://.
	None, Blocked bool
	// Server is whose names are valid referers (server_names); nil for nobody's.
	Server *Server
	Names  []RefererName
	// Regexps are patterns for package regexp; what follows the scheme has to match one.
	Regexps []Text
}

// RefererName is a valid referer.
type RefererName struct {
	Position
	// Host is a name or a mask in lower case, as in server_name.
	Host string
	// URI is what the path begins with; empty for any.
	URI string
}

func refererDirectives() []Directive {
	ignored := rows(NoEffect, []group{
		{CtxServer | CtxLocation, "tables size themselves", `referer_hash_bucket_size referer_hash_max_size`},
	})
	return append(ignored, Directive{
		Name: "valid_referers", Contexts: CtxServer | CtxLocation, Args: "none | blocked | server_names | string ...",
		Doc: "The Referer fields for which $invalid_referer is empty: none at all, one without a scheme, names and masks " +
			"of hosts with or without the beginning of a path, ~regex. A level with any inherits none from outside.",
		Deviation: "Regular expressions are those of RE2: no lookaround, no backreferences.",
		min:       1, max: -1, repeat: true, read: readReferers,
	})
}

func readReferers(l *level, n *node) {
	if l.first(n) {
		l.set.Referers = &Referers{Position: n.Position}
		l.referers = append(l.referers, l.set.Referers)
	}
	r := l.set.Referers
	for _, arg := range n.args {
		switch {
		case arg == "none":
			r.None = true
		case arg == "blocked":
			r.Blocked = true
		case arg == "server_names":
			r.Server = l.server
		case strings.HasPrefix(arg, "~"):
			if arg == "~" {
				l.invalid(n, arg, "write ~ and a regex")
				continue
			}
			pattern, _ := l.regex(n.Position, arg[1:], true)
			r.Regexps = append(r.Regexps, Text{Position: n.Position, Text: pattern})
		default:
			l.refererName(n, r, arg)
		}
	}
}

func (l *level) refererName(n *node, r *Referers, arg string) {
	if arg == "" {
		l.add(Error, n.Position, "write none, blocked, server_names, a name or ~REGEX", "invalid referer %q", arg)
		r.Names = append(r.Names, RefererName{Position: n.Position}) // it was meant to be one
		return
	}
	name := RefererName{Position: n.Position, Host: strings.ToLower(arg)}
	if slash := strings.IndexByte(arg, '/'); slash >= 0 {
		name.Host, name.URI = name.Host[:slash], arg[slash:]
	}
	if strings.HasPrefix(name.URI, "//") {
		l.add(Warning, n.Position, "write it without "+arg[:len(name.Host)]+"//", "%q matches no referer", arg)
	}
	if _, ok := maskKind(name.Host); !ok {
		l.add(Error, n.Position, "write a name or a mask; a * may only be the whole first or the whole last label",
			"invalid hostname or wildcard %q", arg)
		return
	}
	for _, other := range r.Names {
		if other.Host == name.Host {
			l.add(Error, n.Position, "remove one", "conflicting parameter %q", arg)
			return
		}
	}
	r.Names = append(r.Names, name)
}

// checkReferers reports levels where no referer at all is valid, as nginx does.
func (l *loader) checkReferers() {
	for _, r := range l.referers {
		if (r.None || r.Blocked) && r.Server == nil && len(r.Names) == 0 && len(r.Regexps) == 0 {
			l.add(Error, r.Position, "write a name, too", `the "none" or "blocked" referers are specified `+
				`in the "valid_referers" directive without any valid referer`)
		}
	}
}
