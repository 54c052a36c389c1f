package route

import (
	"slices"
	"strings"
)

// RewriteBuilder compiles the directives of the rewrite module in one server or location. The
// errors of its methods are *CompileErrors; a directive with one is left out.
type RewriteBuilder struct {
	compiler *Compiler
	ops      []rewriteOp
}

// NewRewrite begins a Rewrite. All variables of set directives must be known (DefineSets).
func (c *Compiler) NewRewrite() *RewriteBuilder { return &RewriteBuilder{compiler: c} }

// Rewrite is what was added so far; nil for nothing.
func (b *RewriteBuilder) Rewrite() *Rewrite {
	if len(b.ops) == 0 {
		return nil
	}
	return &Rewrite{ops: slices.Clone(b.ops)}
}

// Break adds break.
func (b *RewriteBuilder) Break() { b.ops = append(b.ops, rewriteOp{kind: opBreak}) }

// Return adds return.
func (b *RewriteBuilder) Return(ret *Return) {
	b.ops = append(b.ops, rewriteOp{kind: opReturn, ret: ret})
}

// Set adds set: name is without "$", value may have variables.
func (b *RewriteBuilder) Set(name, value string) error {
	a, err := b.compiler.NewAssignment(SetSpec{Name: name, Value: value})
	if err == nil {
		b.ops = append(b.ops, a.op)
	}
	return err
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

// RuleSpec is a rewrite directive.
type RuleSpec struct {
	// Pattern is the regex as written, Regexp the same in the syntax of package regexp.
	Pattern, Regexp string
	// Replacement is the second argument.
	Replacement string
	Flag        RewriteFlag
}

// Rule adds rewrite.
func (b *RewriteBuilder) Rule(spec RuleSpec) error {
	op := rewriteOp{kind: opRewrite, pattern: spec.Pattern, last: spec.Flag != RewriteOn}
	text, drops := strings.CutSuffix(spec.Replacement, "?")
	op.addArgs = !drops
	for _, prefix := range []string{"http://", "https://", "$scheme"} {
		if strings.HasPrefix(text, prefix) {
			op.status = 302
		}
	}
	switch spec.Flag {
	case RewriteRedirect:
		op.status = 302
	case RewritePermanent:
		op.status = 301
	case RewriteBreak:
		op.stays = true
	}
	var err error
	if op.regex, err = b.compiler.regex(spec.Regexp); err != nil {
		return err
	}
	args := ""
	if op.status != 0 {
		op.question = strings.Contains(text, "?")
	} else {
		text, args, op.hasArgs = strings.Cut(text, "?")
	}
	if op.text, err = b.compiler.Compile(text); err != nil {
		return err
	}
	if op.args, err = b.compiler.Compile(args); err != nil {
		return err
	}
	b.ops = append(b.ops, op)
	return nil
}

// ConditionKind says what a condition asks.
type ConditionKind uint8

// The kinds of conditions. Those about files are in the order of FileTest.
const (
	ConditionTrue       ConditionKind = iota // ($variable)
	ConditionEquals                          // ($variable = value)
	ConditionMatches                         // ($variable ~ regex)
	ConditionFile                            // (-f path)
	ConditionFolder                          // (-d path)
	ConditionExists                          // (-e path)
	ConditionExecutable                      // (-x path)
)

// ConditionSpec is the condition of an if.
type ConditionSpec struct {
	Kind ConditionKind
	// Not negates it.
	Not bool
	// Variable is the variable's name without "$"; empty for files.
	Variable string
	// Value is what it is compared with, the path of a file, or the regex as written.
	Value string
	// Regexp is Value in the syntax of package regexp, for ConditionMatches.
	Regexp string
}

// If adds an if, whose block inner adds. location is what holds once its condition was true;
// nil in a server.
func (b *RewriteBuilder) If(spec ConditionSpec, location *Location, inner func()) error {
	op := rewriteOp{kind: opIf, not: spec.Not, location: location, test: opTest(spec.Kind)}
	text, err := "${"+spec.Variable+"}", error(nil)
	switch spec.Kind {
	case ConditionTrue:
	case ConditionEquals:
		op.value, err = b.compiler.Compile(spec.Value)
	case ConditionMatches:
		op.pattern = spec.Value
		op.regex, err = b.compiler.regex(spec.Regexp)
	default:
		text = spec.Value
	}
	if err != nil {
		return err
	}
	if op.text, err = b.compiler.Compile(text); err != nil {
		return err
	}
	at := len(b.ops)
	b.ops = append(b.ops, op)
	inner()
	b.ops[at].end = len(b.ops)
	return nil
}

// place tells the locations of if blocks what they are part of.
func (rw *Rewrite) place(outer *Location) {
	if rw == nil {
		return
	}
	for i := range rw.ops {
		if l := rw.ops[i].location; l != nil {
			l.Name, l.pattern, l.modifier, l.noRegex = outer.Name, outer.pattern, outer.modifier, outer.noRegex
		}
	}
}
