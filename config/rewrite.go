package config

import (
	"cmp"
	"slices"
	"strings"
)

// RewriteStep is one directive of nginx's rewrite module. One of the pointers is set; none
// means break.
type RewriteStep struct {
	Position
	Rewrite *RewriteRule
	Set     *SetVariable
	Return  *Return
	If      *If

	order int // in the file, among the statements of its block
}

// RewriteRule is a rewrite directive.
type RewriteRule struct {
	// Pattern is the regex as written, Regexp the same for package regexp.
	Pattern, Regexp string
	// Replacement may contain variables and captures. A "?" at its end drops the arguments
	// of the request. It redirects if it begins with http://, https:// or $scheme.
	Replacement string
	Flag        RewriteFlag
}

// RewriteFlag says what follows a rewrite that matched.
type RewriteFlag uint8

// The flags of rewrite.
const (
	RewriteOn        RewriteFlag = iota // the next directive
	RewriteLast                         // another location is looked for
	RewriteBreak                        // the request stays in its location
	RewriteRedirect                     // a redirect with 302
	RewritePermanent                    // a redirect with 301
)

var rewriteFlags = []string{"", "last", "break", "redirect", "permanent"}

// step notes a directive of the rewrite module, whose order in the file counts.
func (l *level) step(n *node, s RewriteStep) {
	s.Position, s.order = n.Position, n.order
	l.steps = append(l.steps, s)
}

// rewrites are the steps of the block, in file order.
func (l *level) rewrites() []RewriteStep {
	slices.SortStableFunc(l.steps, func(a, b RewriteStep) int { return cmp.Compare(a.order, b.order) })
	return l.steps
}

func readRewrite(l *level, n *node) {
	rule := &RewriteRule{Pattern: n.args[0], Replacement: n.args[1]}
	if rule.Replacement == "" {
		l.add(Error, n.Position, "write: rewrite REGEX REPLACEMENT;", `empty replacement in "rewrite"`)
		return
	}
	if len(n.args) == 3 {
		flag := slices.Index(rewriteFlags, n.args[2])
		if flag <= 0 {
			l.add(Error, n.Position, "write last, break, redirect or permanent", `invalid parameter %q in "rewrite"`, n.args[2])
			return
		}
		rule.Flag = RewriteFlag(flag)
	}
	var ok bool
	if rule.Regexp, ok = l.regex(n.Position, rule.Pattern, false); !ok {
		return
	}
	l.text(n.Position, n.name, rule.Replacement)
	l.step(n, RewriteStep{Rewrite: rule})
}

func readBreak(l *level, n *node) { l.step(n, RewriteStep{}) }

// settable are the variables of nginx that set may change.
var settable = []string{"args", "limit_rate"}

func readSetVariable(l *level, n *node) {
	name, found := strings.CutPrefix(n.args[0], "$")
	if !found || !variableName.MatchString(n.args[0]) || len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
		l.add(Error, n.Position, "write: set $NAME VALUE;", "invalid variable name %q", n.args[0])
		return
	}
	v := &SetVariable{Position: n.Position, Name: name, Value: n.args[1]}
	l.text(n.Position, n.name, v.Value)
	if !slices.Contains(settable, strings.ToLower(name)) {
		l.sets[v.Name] = true
	}
	l.step(n, RewriteStep{Set: v})
}
