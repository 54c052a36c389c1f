package engine

import (
	"holdfast/config"
	"holdfast/route"
)

// newHTTPCompiler knows the variables of the http context.
func newHTTPCompiler(cfg *config.Config, p route.Process) *route.Compiler {
	c := route.NewCompiler(p, cfg.HTTP.CaptureNames)
	c.DefineSets(cfg.HTTP.SetNames)
	return c
}

// rewrite compiles the rewrite directives of a server or location with these settings; nil if
// it has none.
func (b *builder) rewrite(steps []config.RewriteStep, set *config.Settings) *route.Rewrite {
	r := b.compiler.NewRewrite()
	b.rewriteSteps(r, steps, set)
	return r.Rewrite()
}

func (b *builder) rewriteSteps(r *route.RewriteBuilder, steps []config.RewriteStep, set *config.Settings) {
	for i := range steps {
		var err error
		switch s := &steps[i]; {
		case s.Rewrite != nil:
			err = r.Rule(route.RuleSpec{
				Pattern: s.Rewrite.Pattern, Regexp: s.Rewrite.Regexp, Replacement: s.Rewrite.Replacement,
				Flag: route.RewriteFlag(s.Rewrite.Flag),
			})
		case s.Set != nil:
			err = r.Set(s.Set.Name, s.Set.Value)
		case s.Return != nil:
			r.Return(b.ret(s.Return, set))
		case s.If != nil:
			err = b.ifBlock(r, s.If, set)
		default:
			r.Break()
		}
		if err != nil {
			b.fail(steps[i].Position, err)
		}
	}
}

// ifBlock compiles an if, with the location that its block makes in another one.
func (b *builder) ifBlock(r *route.RewriteBuilder, block *config.If, set *config.Settings) error {
	var location *route.Location
	if block.Location != nil {
		location = b.locations([]*config.Location{block.Location})[0].Location
		set = &block.Location.Settings
	}
	c := &block.Condition
	return r.If(route.ConditionSpec{
		Kind: route.ConditionKind(c.Kind), Not: c.Not, Variable: c.Variable, Value: c.Value, Regexp: c.Regexp,
	}, location, func() { b.rewriteSteps(r, block.Steps, set) })
}
