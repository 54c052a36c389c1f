package config

import (
	"slices"
	"strings"
)

// Except is a limit_except block.
type Except struct {
	// Methods are those for which the block does not hold, in capital letters.
	Methods []string
	// Location answers requests with any other method: it has the place, the settings and
	// the upstream of the location around it, and neither its Return nor its TryFiles.
	Location *Location
}

// exceptMethods are the methods that limit_except may name.
var exceptMethods = strings.Fields(`GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK
	PATCH CONNECT`)

// inLimitExcept are the directives that may stand in limit_except, beside those whose rows say so.
const inLimitExcept = " access_log auth_basic auth_basic_user_file proxy_pass "

// widenToExcept adds limit_except to the contexts of the rows that may stand there.
func widenToExcept(all []Directive) {
	for i := range all {
		if all[i].Contexts&CtxLocation != 0 && strings.Contains(inLimitExcept, " "+all[i].Name+" ") {
			all[i].Contexts |= CtxLimitExcept
		}
	}
}

func readLimitExcept(l *level, n *node) {
	outer := l.location
	except := &Except{Location: &Location{
		Position: n.Position, Modifier: outer.Modifier, Pattern: outer.Pattern, Regexp: outer.Regexp,
		Internal: outer.Internal,
	}}
	for _, arg := range n.args {
		method := strings.ToUpper(arg)
		if !slices.Contains(exceptMethods, method) {
			l.invalid(n, arg, "write methods such as GET and POST")
			return
		}
		except.Methods = append(except.Methods, method)
	}
	if slices.Contains(except.Methods, "GET") && !slices.Contains(except.Methods, "HEAD") {
		except.Methods = append(except.Methods, "HEAD")
	}
	inner := l.inner(CtxLimitExcept)
	inner.location = except.Location
	inner.walk(n.block)
	inner.exceptUpstream(outer)
	except.Location.Settings = inner.settled()
	outer.Except = except
}

// exceptUpstream has a limit_except without a proxy_pass of its own use the one around it.
func (l *level) exceptUpstream(outer *Location) {
	own := l.location
	switch {
	case own.ProxyPass == nil:
		own.ProxyPass, own.TunnelPass = outer.ProxyPass, outer.TunnelPass
	case own.ProxyPass.HasURI:
		l.add(Error, own.ProxyPass.Position, "write it without "+own.ProxyPass.URI,
			`"proxy_pass" cannot have URI part inside "limit_except" block`)
	}
}
