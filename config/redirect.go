package config

import "strings"

// Replacement is one proxy_redirect, proxy_cookie_domain or proxy_cookie_path.
type Replacement struct {
	Position
	// Default stands for the URL of proxy_pass and the location's prefix (proxy_redirect default).
	Default bool
	// From is the text to be replaced, which may have variables; Regexp is set instead for
	// a regular expression, in the syntax of package regexp.
	From, Regexp string
	// To takes its place; it may have variables.
	To string
}

// Replacements are the directives of one kind at a level; a level that has any inherits
// none.
type Replacements struct {
	// Off turns them off; then List is empty.
	Off  bool
	List []Replacement
}

// CookieFlags is one proxy_cookie_flags.
type CookieFlags struct {
	Position
	// Name is the cookie's name, which may have variables; Regexp is set instead for a
	// regular expression, in the syntax of package regexp.
	Name, Regexp string
	// Flags are the flags as written; they may have variables.
	Flags []string
}

// CookieFlagsList is the proxy_cookie_flags of a level; a level that has any inherits none.
type CookieFlagsList struct {
	Off  bool
	List []CookieFlags
}

// RedirectSettings say how a redirect of our own is made absolute.
type RedirectSettings struct {
	Absolute   bool // absolute_redirect
	Port       bool // port_in_redirect
	ServerName bool // server_name_in_redirect
}

// isOff reads a lone "off", which must be the only directive of its kind at the level.
func (l *level) isOff(n *node) (off, ok bool) {
	first, again := l.seen[n.name+" off"]
	if off = len(n.args) == 1 && n.args[0] == "off"; off && !l.first(n) {
		first, again = l.seen[n.name], true
	}
	if again {
		l.add(Error, n.Position, "remove one; the first is at "+first.String(), "%q directive is duplicate", n.name)
		return off, false
	}
	if off {
		l.seen[n.name+" off"] = n.Position
	}
	return off, true
}

func readRedirect(l *level, n *node) {
	set := &l.set.Proxy.Heads.Redirects
	off, ok := l.isOff(n)
	switch {
	case !ok:
	case off:
		*set = Replacements{Off: true}
	case len(n.args) == 2:
		l.replacement(n, set, replacementRules{})
	case n.args[0] != "default":
		l.invalid(n, n.args[0], "write off, default, or what to replace and by what")
	case l.defaultRedirect(n):
		if l.first(n) {
			*set = Replacements{}
		}
		set.List = append(set.List, Replacement{Position: n.Position, Default: true})
	}
}

// defaultRedirect judges proxy_redirect default.
func (l *level) defaultRedirect(n *node) bool {
	switch {
	case l.location == nil || l.location.ProxyPass == nil:
		l.add(Error, n.Position, "write it behind proxy_pass, or leave it out",
			`"proxy_redirect default" should be placed after the "proxy_pass" directive`)
	case l.location.ProxyPass.Variables:
		l.add(Error, n.Position, "write: proxy_redirect off;",
			`"proxy_redirect default" cannot be used with "proxy_pass" directive with variables`)
	default:
		return true
	}
	return false
}

func readCookieDomain(l *level, n *node) {
	l.cookieReplacement(n, &l.set.Proxy.Heads.CookieDomains, replacementRules{dot: true, caseless: true})
}

func readCookiePath(l *level, n *node) {
	l.cookieReplacement(n, &l.set.Proxy.Heads.CookiePaths, replacementRules{})
}

func (l *level) cookieReplacement(n *node, set *Replacements, rules replacementRules) {
	off, ok := l.isOff(n)
	switch {
	case !ok:
	case off:
		*set = Replacements{Off: true}
	case len(n.args) == 1:
		l.invalid(n, n.args[0], "write off, or what to replace and by what")
	default:
		l.replacement(n, set, rules)
	}
}

// replacementRules say what differs between the directives that replace a text.
type replacementRules struct {
	dot      bool // a "." before either text is dropped (proxy_cookie_domain)
	caseless bool // regular expressions ignore case without "~*"
}

// replacement reads what to replace and by what.
func (l *level) replacement(n *node, set *Replacements, rules replacementRules) {
	if l.first(n) {
		*set = Replacements{}
	}
	r := Replacement{Position: n.Position, From: n.args[0], To: n.args[1]}
	switch pattern, isRegex := strings.CutPrefix(r.From, "~"); {
	case isRegex:
		pattern, caseless := strings.CutPrefix(pattern, "*")
		var ok bool
		if r.Regexp, ok = l.regex(n.Position, pattern, caseless || rules.caseless); !ok {
			return
		}
		r.From = ""
	case rules.dot:
		r.From = strings.TrimPrefix(r.From, ".")
	}
	if rules.dot && r.Regexp == "" {
		r.To = strings.TrimPrefix(r.To, ".")
	}
	for _, text := range []string{r.From, r.To} {
		if !isFieldValue(text) {
			l.invalid(n, text, "write it without line ends")
			return
		}
		l.text(n.Position, n.name, text)
	}
	set.List = append(set.List, r)
}

// cookieFlagWords are the flags of proxy_cookie_flags.
var cookieFlagWords = map[string]bool{
	"secure": true, "nosecure": true, "httponly": true, "nohttponly": true, "nosamesite": true,
	"samesite=strict": true, "samesite=lax": true, "samesite=none": true,
}

func readCookieFlags(l *level, n *node) {
	set := &l.set.Proxy.Heads.CookieFlags
	const hint = "write secure, httponly, samesite=strict, samesite=lax, samesite=none, nosecure, nohttponly or nosamesite"
	off, ok := l.isOff(n)
	switch {
	case !ok:
		return
	case off:
		*set = CookieFlagsList{Off: true}
		return
	case len(n.args) == 1:
		l.invalid(n, n.args[0], "write off, or the name of a cookie and its flags")
		return
	}
	if l.first(n) {
		*set = CookieFlagsList{}
	}
	flags := CookieFlags{Position: n.Position, Name: n.args[0], Flags: n.args[1:]}
	if pattern, isRegex := strings.CutPrefix(flags.Name, "~"); isRegex {
		if flags.Regexp, ok = l.regex(n.Position, pattern, true); !ok {
			return
		}
		flags.Name = ""
	}
	l.text(n.Position, n.name, flags.Name)
	for _, flag := range flags.Flags {
		if !strings.Contains(flag, "$") && !cookieFlagWords[strings.ToLower(flag)] {
			l.invalid(n, flag, hint)
			return
		}
		l.text(n.Position, n.name, flag)
	}
	set.List = append(set.List, flags)
}
