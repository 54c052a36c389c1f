package config

import (
	"slices"
	"strings"
)

// If is an if block.
type If struct {
	Condition Condition
	// Steps are the directives of the rewrite module in the block, in file order.
	Steps []RewriteStep
	// Location is what holds for a request once the condition was true: the settings of
	// the location outside with what the block changes. nil in a server.
	Location *Location
}

// Condition is the condition of an if. As in nginx, a text is true unless it is empty or "0".
type Condition struct {
	Kind ConditionKind
	// Not negates all kinds but ConditionTrue.
	Not bool
	// Variable is the name that the condition begins with, without "$"; empty for files.
	Variable string
	// Value is what the variable is compared with, or the path of a file; it may contain
	// variables. For ConditionMatches it is the regex as written.
	Value string
	// Regexp is Value for package regexp, for ConditionMatches.
	Regexp string
}

// ConditionKind says what a condition asks.
type ConditionKind uint8

// The kinds of conditions.
const (
	ConditionTrue       ConditionKind = iota // ($variable)
	ConditionEquals                          // ($variable = value), !=
	ConditionMatches                         // ($variable ~ regex), ~*, !~, !~*
	ConditionFile                            // (-f path), !-f: a regular file
	ConditionDirectory                       // (-d path), !-d
	ConditionExists                          // (-e path), !-e: a file or directory
	ConditionExecutable                      // (-x path), !-x: a file that its owner may execute
)

const hintCondition = "write ($variable), ($variable = value), ($variable ~ regex) or (-f path)"

func readIf(l *level, n *node) {
	condition, ok := l.condition(n)
	ctx := CtxServerIf
	if l.location != nil {
		ctx = CtxIf
	}
	inner := l.inner(ctx)
	block := &If{Condition: condition}
	if outer := l.location; outer != nil {
		block.Location = &Location{
			Position: n.Position, Modifier: outer.Modifier, Pattern: outer.Pattern, TunnelPass: outer.TunnelPass,
			Internal: outer.Internal,
		}
		inner.location = block.Location
	}
	inner.walk(n.block)
	l.refused = l.refused || inner.refused
	if loc := block.Location; loc != nil {
		l.inheritPass(loc)
		loc.Settings = inner.settled()
	}
	block.Steps = inner.rewrites()
	if ok {
		l.step(n, RewriteStep{If: block})
	}
}

// inheritPass gives the location of an if the proxy_pass of the one outside, unless it has
// its own.
func (l *level) inheritPass(loc *Location) {
	switch outer := l.location; {
	case loc.ProxyPass == nil:
		loc.ProxyPass = outer.ProxyPass
	case loc.ProxyPass.HasURI && (outer.Modifier == Prefix || outer.Modifier == PrefixNoRegex || outer.Modifier == Exact):
		l.add(Error, loc.ProxyPass.Position, "write it without "+loc.ProxyPass.URI,
			`"proxy_pass" cannot have URI part inside "if" statement`)
	}
}

// Inner are the locations inside this one: Nested and those of its if blocks.
func (loc *Location) Inner() []*Location {
	inner := slices.Clone(loc.Nested)
	for i := range loc.Rewrite {
		if block := loc.Rewrite[i].If; block != nil {
			inner = append(inner, block.Location)
		}
	}
	return inner
}

// condition reads the arguments of an if, whose parentheses may stand alone.
func (l *level) condition(n *node) (c Condition, ok bool) {
	args := slices.Clone(n.args)
	if args[0] == "" || args[0][0] != '(' {
		l.badCondition(n, args[0])
		return c, false
	}
	if args[0] = args[0][1:]; args[0] == "" {
		args = args[1:]
	}
	last := len(args) - 1
	if last < 0 || !strings.HasSuffix(args[last], ")") {
		l.badCondition(n, n.args[len(n.args)-1])
		return c, false
	}
	if args[last] = args[last][:len(args[last])-1]; args[last] == "" && last > 0 {
		args = args[:last]
	}
	first := args[0]
	switch {
	case len(first) > 1 && first[0] == '$':
		return l.variableCondition(n, args)
	case len(args) == 2:
		test, not := strings.CutPrefix(first, "!")
		kinds := map[string]ConditionKind{
			"-f": ConditionFile, "-d": ConditionDirectory, "-e": ConditionExists, "-x": ConditionExecutable,
		}
		if kind, known := kinds[test]; known {
			l.text(n.Position, n.name, args[1])
			return Condition{Kind: kind, Not: not, Value: args[1]}, true
		}
	}
	l.badCondition(n, first)
	return c, false
}

// variableCondition reads what begins with a variable.
func (l *level) variableCondition(n *node, args []string) (c Condition, ok bool) {
	if !variableName.MatchString(args[0]) {
		l.badCondition(n, args[0])
		return c, false
	}
	if c.Variable = args[0][1:]; len(c.Variable) == 1 && c.Variable[0] >= '0' && c.Variable[0] <= '9' {
		l.add(Error, n.Position, "name the group in the regex: (?<name>...), or copy it with set",
			"unknown %q variable in condition", c.Variable)
		return c, false
	}
	l.text(n.Position, n.name, args[0])
	switch len(args) {
	case 1:
		return c, true
	case 3:
	default:
		l.badCondition(n, args[0])
		return c, false
	}
	c.Value = args[2]
	op, not := strings.CutPrefix(args[1], "!")
	c.Not = not
	switch op {
	case "=":
		c.Kind = ConditionEquals
		l.text(n.Position, n.name, c.Value)
		return c, true
	case "~", "~*":
		c.Kind = ConditionMatches
		c.Regexp, ok = l.regex(n.Position, c.Value, op == "~*")
		return c, ok
	}
	l.add(Error, n.Position, "write =, !=, ~, ~*, !~ or !~*", "unexpected %q in condition", args[1])
	return c, false
}

func (l *level) badCondition(n *node, what string) {
	for _, arg := range n.args {
		if arg == "&&" || arg == "||" || arg == "and" || arg == "or" {
			l.add(Error, n.Position, "write one condition; a map or set can join several", "%q in condition", arg)
			return
		}
	}
	if last := n.args[len(n.args)-1]; !strings.HasSuffix(last, ")") && strings.HasPrefix(n.args[0], "(") {
		l.add(Error, n.Position, `write ")" behind it`, "condition without an end: %q", last)
		return
	}
	l.add(Error, n.Position, hintCondition, "invalid condition %q", what)
}
