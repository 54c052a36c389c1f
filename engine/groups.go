package engine

import (
	"strings"

	"holdfast/config"
)

// groupNames reports the regular expressions of a server with a group named like a variable
// that is built in, each at its own line, and says whether there was none.
func (b *builder) groupNames(s *config.Server) bool {
	before := len(b.problems)
	for _, n := range s.Names {
		b.groupName(n.Position, n.Regexp)
	}
	b.groupNamesOf(s.Locations)
	return len(b.problems) == before
}

func (b *builder) groupNamesOf(list []*config.Location) {
	for _, l := range list {
		b.groupName(l.Position, l.Regexp)
		b.groupNamesOf(l.Nested)
	}
}

func (b *builder) groupName(at config.Position, pattern string) {
	if !strings.Contains(pattern, "(?P<") && !strings.Contains(pattern, "(?<") {
		return
	}
	if err := b.compiler.CheckGroups(pattern); err != nil {
		b.fail(at, err)
	}
}
