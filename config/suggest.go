package config

import (
	"maps"
	"slices"
	"strings"
)

// suggest is the hint for a word that is none of known: the one that was probably meant, or
// else otherwise.
func suggest(word string, known []string, otherwise string) string {
	slips := max(1, len(word)/3)
	best, bestCost := "", slips+1
	for _, candidate := range known {
		cost := editDistance(strings.ToLower(word), strings.ToLower(candidate))
		if cost < bestCost || cost == bestCost && best != "" && candidate < best {
			best, bestCost = candidate, cost
		}
	}
	if best == "" {
		return otherwise
	}
	return "did you mean " + best + "?"
}

// suggestKey is suggest for the keys of a map.
func suggestKey[V any](word string, known map[string]V, otherwise string) string {
	return suggest(word, slices.Collect(maps.Keys(known)), otherwise)
}

// suggestUpstream is the hint for a host that is neither an address nor the name of an upstream.
func (l *loader) suggestUpstream(host, otherwise string) string {
	var names []string
	for _, u := range l.blocks {
		names = append(names, u.Name)
	}
	return suggest(host, names, otherwise)
}

// wordMax is how much of a word from a file is repeated when something is wrong with it.
const wordMax = 128

// short cuts the words of a message that are too long to be read.
func short(args []any) []any {
	for i, arg := range args {
		if s, ok := arg.(string); ok && len(s) > wordMax {
			args[i] = strings.ToValidUTF8(s[:wordMax], "") + "..."
		}
	}
	return args
}

// missingEnd amends what was said about a statement since there were before problems: where one of
// its words stands first in a line and is a directive, a ";" was probably forgotten.
func (l *level) missingEnd(n *node, before int) {
	if n.suspect == "" {
		return
	}
	for i := range l.problems[before:] {
		if p := &l.problems[before+i]; p.Severity == Error && p.File == n.File && p.Line == n.Line {
			p.Hint = `a ";" may be missing before "` + n.suspect + `"`
			return
		}
	}
}
