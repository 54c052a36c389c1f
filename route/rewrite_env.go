package route

import (
	"slices"
	"strings"
)

// rewriteEnv is what rewrite directives have done to a request.
type rewriteEnv struct {
	assigned [][]byte // values of set directives by slot; nil while not set
	// whole says that a rewrite with break has changed the URI: all of it takes the place of
	// the one in proxy_pass.
	whole bool
}

// reset keeps the memory that assigned has grown.
func (r *rewriteEnv) reset() rewriteEnv {
	clear(r.assigned)
	return rewriteEnv{assigned: r.assigned[:0]}
}

// assign gives the variable in a slot a value, which must live until Reset.
func (e *Env) assign(slot int, value []byte) {
	r := &e.rewritten
	for len(r.assigned) <= slot {
		r.assigned = append(r.assigned, nil)
	}
	r.assigned[slot] = notNil(value)
}

// setNamed gives a named capture a value, which must live as long as the others.
func (c *captures) setNamed(slot int, value []byte) {
	for len(c.named) <= slot {
		c.named = append(c.named, namedCapture{})
	}
	c.named[slot] = namedCapture{value: value, set: true}
}

// varAssigned renders the variable of a set directive. Where none was reached it is what else
// has its name, or empty.
func varAssigned(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	assigned := e.rewritten.assigned
	switch {
	case a.index < len(assigned) && assigned[a.index] != nil:
		return append(dst, assigned[a.index]...), true
	case a.under != nil:
		return a.under.render(dst, e, &a.under.arg)
	}
	return dst, true
}

// DefineSets makes the variables known that set directives give a value; names are without
// "$" and without those of nginx's own. Call it before the first text is compiled.
func (c *Compiler) DefineSets(names []string) {
	c.assigned = map[string]int{}
	for _, name := range names {
		name = strings.ToLower(name)
		if _, known := c.assigned[name]; !known {
			c.assigned[name] = len(c.assigned)
		}
	}
}

// variable is the part that renders $name; name is in lower case.
func (c *Compiler) variable(name string) (part, error) {
	slot, assigned := c.assigned[name]
	if _, captured := c.captures[name]; !assigned || captured && c.maps[name] == nil {
		return c.defined(name)
	}
	own := part{render: varAssigned, arg: varArg{index: slot}}
	family := func(p prefixVariable) bool { return strings.HasPrefix(name, p.prefix) }
	if slices.ContainsFunc(prefixVariables[:], family) {
		return own, nil
	}
	if under, err := c.defined(name); err == nil && under.render != nil {
		own.arg.under, own.arg.table = &under, under.arg.table
	}
	return own, nil
}

// Assignment gives a variable a value outside the rewrite directives (auth_request_set). It is
// immutable.
type Assignment struct{ op rewriteOp }

// NewAssignment compiles spec, whose variable must be among those of DefineSets or one of
// nginx's that may be set. The error is a *CompileError.
func (c *Compiler) NewAssignment(spec SetSpec) (Assignment, error) {
	op, err := c.setTarget(spec.Name)
	if err == nil {
		op.text, err = c.Compile(spec.Value)
	}
	return Assignment{op}, err
}

// Apply renders the value and gives it to the variable.
func (a *Assignment) Apply(e *Env) {
	buf := a.op.text.Append(e.borrow(), e)
	a.op.assign(e, buf)
	e.giveBack(buf)
}

// setTarget is the operation that gives the variable called name its value. The error is a
// *CompileError.
func (c *Compiler) setTarget(name string) (rewriteOp, error) {
	name = strings.ToLower(name)
	switch name {
	case "args":
		return rewriteOp{kind: opSetArgs}, nil
	case "limit_rate":
		return rewriteOp{kind: opSetRate}, nil
	}
	err := c.checkNewName(name)
	if _, found, _ := vectorVariable(name); found && err == nil {
		err = builtIn(name)
	}
	if err != nil {
		return rewriteOp{}, err
	}
	if slot, captured := c.captures[name]; captured && c.maps[name] == nil {
		return rewriteOp{kind: opSetNamed, slot: slot}, nil
	}
	slot, known := c.assigned[name]
	if !known {
		return rewriteOp{}, c.unknownVariable(name)
	}
	return rewriteOp{kind: opSet, slot: slot}, nil
}
