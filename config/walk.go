package config

import (
	"cmp"
	"slices"
	"strings"
)

// level is one block being read: its context, its settings (a copy of the outer
// level's), and what it builds.
type level struct {
	*loader
	ctx Context
	set *Settings
	// seen holds where each directive of this block was first written.
	seen map[string]Position
	// listens are the listen directives of a server block.
	listens []*listen
	// Each of these is nil outside its own kind of block.
	server   *Server
	location *Location
	// place has the modifiers and patterns of the locations around, the outermost first.
	place    string
	upstream *Upstream
	// steps are the directives of the rewrite module.
	steps []RewriteStep
	// skippedQUIC says that a listen directive was left out.
	skippedQUIC bool
	// refused says that a statement of this block was, so that nothing should be said
	// about what seems to be missing in it.
	refused bool
}

// inner is the level of a block inside this one.
func (l *level) inner(ctx Context) *level {
	set := *l.set
	return &level{loader: l.loader, ctx: ctx, set: &set, server: l.server, place: l.place}
}

// walk reads the statements of a block: first all of them are judged, in file
// order, then the good ones are read, phase by phase.
func (l *level) walk(nodes []*node) {
	type job struct {
		d *Directive
		n *node
	}
	l.seen = map[string]Position{}
	var jobs []job
	for _, n := range nodes {
		if d := l.judge(n); d != nil {
			n.order = len(jobs)
			jobs = append(jobs, job{d, n})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(a.d.phase, b.d.phase) })
	clear(l.seen)
	for _, j := range jobs {
		before := len(l.problems)
		j.d.read(l, j.n)
		l.missingEnd(j.n, before)
		if _, again := l.seen[j.n.name]; !again {
			l.seen[j.n.name] = j.n.Position
		}
	}
}

// first says whether n is the first of its name in this block to be read: lists
// that nginx inherits only into levels without any of their own start afresh then.
func (l *level) first(n *node) bool {
	_, again := l.seen[n.name]
	return !again
}

// judge finds the row for a statement and checks all that the row can say. It
// returns nil if there is nothing to read, having reported why.
func (l *level) judge(n *node) *Directive {
	d, allowed := l.index.find(n.name, l.ctx)
	before := len(l.problems)
	if !l.fits(d, allowed, n) {
		l.missingEnd(n, before)
		l.refused = true
		return nil
	}
	if _, again := l.seen[n.name]; !again {
		l.seen[n.name] = n.Position
	}
	if d.read == nil {
		l.warnNoEffect(n, d.Doc)
		return nil
	}
	return d
}

// fits checks a statement against its row, and reports the first thing wrong.
func (l *level) fits(d *Directive, allowed bool, n *node) bool {
	switch {
	case d == nil:
		l.unknown(n)
	case d.Support == Refused:
		l.add(Error, n.Position, d.Doc, "%q is not supported", n.name)
	case !allowed:
		l.add(Error, n.Position, "its place is: "+l.placesOf(n.name), "%q directive is not allowed here", n.name)
	case d.form != anyShape && n.isBlock != (d.form == block):
		l.wrongShape(d, n)
	case len(n.args) < d.min || d.max >= 0 && len(n.args) > d.max:
		l.add(Error, n.Position, "write: "+d.syntax(), "invalid number of arguments in %q directive", n.name)
	case d.form == onOffOnly && !isFlag(n.args[0]):
		l.add(Error, n.Position, `write "on" or "off"`, "invalid value %q in %q directive", n.args[0], n.name)
	default:
		first, again := l.seen[n.name]
		if again && !d.repeat {
			l.add(Error, n.Position, "remove one; the first is at "+first.String(), "%q directive is duplicate", n.name)
			return false
		}
		return true
	}
	return false
}

func (l *level) unknown(n *node) {
	if knownElsewhere(n.name) {
		l.add(Error, n.Position, hintLater, "%q is not supported", n.name)
		return
	}
	hint := "holdfast directives lists them all"
	if near := l.index.nearest(n.name, l.ctx); near != "" {
		hint = "did you mean " + near + "?"
	}
	l.add(Error, n.Position, hint, "unknown directive %q", n.name)
}

func (l *level) wrongShape(d *Directive, n *node) {
	if d.form == block {
		l.add(Error, n.Position, "write: "+d.syntax(), "directive %q has no opening \"{\"", n.name)
		return
	}
	l.add(Error, n.Position, "write: "+d.syntax(), "directive %q is not terminated by \";\"", n.name)
}

// warnNoEffect says once per directive that it does nothing, and why.
func (l *loader) warnNoEffect(n *node, why string) {
	if !l.warned[n.name] {
		l.warned[n.name] = true
		l.add(Warning, n.Position, "", "%q has no effect: %s", n.name, why)
	}
}

// placesOf lists the contexts of all rows of a name.
func (l *level) placesOf(name string) string {
	var all Context
	for _, d := range l.index[name] {
		all |= d.Contexts
	}
	return all.String()
}

// syntax is the directive as one writes it.
func (d *Directive) syntax() string {
	if d.form == block {
		return strings.TrimSpace(d.Name + " " + d.Args)
	}
	return strings.TrimSpace(d.Name+" "+d.Args) + ";"
}

// invalid reports a bad argument, with what to write instead.
func (l *level) invalid(n *node, arg, hint string) {
	l.add(Error, n.Position, hint, "invalid value %q in %q directive", arg, n.name)
}

// text notes a text with variables for checking once all names are known.
func (l *level) text(at Position, directive, text string) {
	if strings.Contains(text, "$") {
		l.texts = append(l.texts, textUse{at, directive, text})
	}
}
