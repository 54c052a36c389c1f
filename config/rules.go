package config

import (
	"slices"
	"strings"
)

// ruleDirectives are the rows about which requests are let in, and about variables that sort
// clients.
func ruleDirectives() []Directive {
	return slices.Concat(accessDirectives(), geoDirectives(), splitDirectives(), refererDirectives(),
		secureLinkDirectives(), authRequestDirectives(), mirrorDirectives())
}

// defines enters the variable that a map, geo or split_clients defines. As in nginx, the last of
// several counts.
func (l *level) defines(n *node, m *Map, variable string) bool {
	if !variableName.MatchString(variable) {
		l.add(Error, n.Position, "write: "+n.name+" SOURCE $NAME { ... }", "invalid variable name %q", variable)
		return false
	}
	m.Name = variable[1:]
	if slices.ContainsFunc(l.maps, func(other *Map) bool { return strings.EqualFold(other.Name, m.Name) }) {
		l.add(Warning, n.Position, "choose another name", "this %s replaces an earlier one of %q", n.name, variable)
		l.scope.maps = slices.DeleteFunc(l.maps, func(other *Map) bool { return strings.EqualFold(other.Name, m.Name) })
	}
	l.scope.maps = append(l.scope.maps, m)
	return true
}
