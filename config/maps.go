package config

import (
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^\$[A-Za-z0-9_]+$`)

func readMap(l *level, n *node) {
	m := &Map{Position: n.Position, Source: n.args[0]}
	if !l.defines(n, m, n.args[1]) {
		return
	}
	l.text(m.Position, n.name, m.Source)
	seen := map[string]Position{}
	for _, line := range n.block {
		l.mapLine(m, line, seen)
	}
	l.checkMasks(m)
}

// mapLine reads one line: a parameter of the map, or a pattern and its value.
func (l *level) mapLine(m *Map, line *node, seen map[string]Position) {
	switch {
	case line.isBlock:
		l.add(Error, line.Position, "write: PATTERN VALUE;", `unexpected "{"`)
		return
	case len(line.args) == 0 && line.name == "hostnames":
		m.Hostnames = true
		return
	case len(line.args) == 0 && line.name == "volatile":
		m.Volatile = true
		return
	case len(line.args) != 1:
		l.add(Error, line.Position, "write: PATTERN VALUE;", "invalid number of the map parameters")
		return
	}
	e := MapEntry{Position: line.Position, Pattern: line.name, Value: line.args[0]}
	l.text(line.Position, "map", e.Value)
	switch {
	case line.name == "default":
		if first, again := seen["default"]; again {
			l.add(Error, line.Position, "remove one; the first is at "+first.String(), "duplicate default map parameter")
		}
		seen["default"] = line.Position
		m.Default = e.Value
		return
	case strings.HasPrefix(e.Pattern, "~"):
		pattern, caseless := strings.CutPrefix(e.Pattern[1:], "*")
		var ok bool
		if e.Regexp, ok = l.regex(line.Position, pattern, caseless); !ok {
			return
		}
		if e.Regexp == "" {
			// An empty regex matches everything; its Regexp must not look absent.
			e.Regexp = "(?:)"
		}
	default:
		e.Pattern = strings.TrimPrefix(e.Pattern, `\`)
		key := "=" + strings.ToLower(e.Pattern)
		if first, again := seen[key]; again {
			l.add(Error, line.Position, "remove one; the first is at "+first.String(), "conflicting parameter %q", e.Pattern)
			return
		}
		seen[key] = line.Position
	}
	m.Entries = append(m.Entries, e)
}

// checkMasks checks the entries of a map with hostnames, which may be written
// behind them.
func (l *level) checkMasks(m *Map) {
	if !m.Hostnames {
		return
	}
	for _, e := range m.Entries {
		if e.Regexp != "" {
			continue
		}
		if _, ok := maskKind(e.Pattern); !ok {
			l.add(Error, e.Position, "a * may only be the whole first or the whole last label",
				"invalid hostname or wildcard %q", e.Pattern)
		}
	}
}
