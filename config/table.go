package config

import (
	"cmp"
	"slices"
	"strings"
)

// Context is a set of places where a directive may be written.
type Context uint16

// The contexts. CtxIf is an if block in a location, CtxServerIf one in a server. Limit_except
// and mail exist in nginx only: blocks of these names are refused, and the directives in them
// with it.
const (
	CtxMain Context = 1 << iota
	CtxEvents
	CtxHTTP
	CtxServer
	CtxLocation
	CtxUpstream
	CtxIf
	CtxLimitExcept
	CtxStream
	CtxMail
	CtxStreamServer
	CtxStreamUpstream
	CtxServerIf

	// ctxAll is where most settings go.
	ctxAll = CtxHTTP | CtxServer | CtxLocation
	// ctxNginx is any place in nginx; for words that are refused everywhere.
	ctxNginx = CtxServerIf<<1 - 1
)

var contextNames = []string{
	"main", "events", "http", "server", "location", "upstream", "if in location", "limit_except", "stream", "mail",
	"stream server", "stream upstream", "if in server",
}

// String lists the contexts, separated by ", ".
func (c Context) String() string {
	var names []string
	for i, name := range contextNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Support says what holdfast does with a directive.
type Support uint8

// The kinds of support.
const (
	Supported Support = iota
	NoEffect          // accepted with a warning: it cannot change what a request does here
	Refused           // an error: it would change what a request does
)

// String is "supported", "no effect" or "refused".
func (s Support) String() string {
	return [...]string{"supported", "no effect", "refused"}[s]
}

// Directive is one row of the directive table. A name has one row per meaning:
// "server" of http and "server" of upstream are two.
type Directive struct {
	Name     string
	Contexts Context
	// Args is the syntax of the arguments, with "..." for repetition; a block ends
	// in "{ ... }".
	Args string
	// Default is the value without the directive; empty if there is none.
	Default string
	// Doc is one line: what it does; for NoEffect, why it has none; for Refused,
	// what to do instead.
	Doc string
	// Deviation says what differs from nginx; empty if nothing does.
	Deviation string
	Support   Support

	// min and max bound the number of arguments; max -1 means any number.
	min, max int
	form     form
	// repeat allows the directive more than once in a block.
	repeat bool
	phase  phase
	read   func(l *level, n *node)
}

// form is how a statement ends and what its argument may be.
type form uint8

const (
	simple    form = iota // ends with ";"
	onOffOnly             // simple with the one argument on or off
	block                 // ends with "{ ... }"
	anyShape              // not looked at
)

// phase orders the statements of a block, so that inheritance and names do not
// depend on the order in the file.
type phase int8

const (
	phaseDefine  phase = iota - 1 // names that values of this level use
	phaseSet                      // values of this level
	phaseDescend                  // blocks that inherit from this level
)

//go:generate go test -run TestReferenceIsCurrent -count=1 . -args -update

// Directives returns the directive table, sorted by name, then context. The slice
// is the caller's.
func Directives() []Directive {
	all := slices.Concat(
		mainDirectives(), httpDirectives(), fileDirectives(), answerDirectives(), clientDirectives(),
		requestDirectives(), proxyDirectives(), bufferDirectives(), proxyFailureDirectives(),
		proxyHeadDirectives(), answerFormDirectives(),
		upstreamDirectives(), resolverDirectives(), removalDirectives(), healthDirectives(), balanceDirectives(),
		stickyDirectives(), noEffectDirectives(), refusedDirectives(),
		streamDirectives(), limitDirectives(), tunnelDirectives(), tunnelPolicyDirectives(), realIPDirectives(),
		authDirectives(), sslDirectives(), proxySSLDirectives(), rewriteDirectives(), ruleDirectives(),
	)
	widenToStream(all)
	widenToExcept(all)
	widenToIf(all)
	slices.SortStableFunc(all, func(a, b Directive) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Contexts, b.Contexts))
	})
	return all
}

// directiveIndex finds rows by name.
type directiveIndex map[string][]*Directive

func newDirectiveIndex() directiveIndex {
	rows := Directives()
	index := make(directiveIndex, len(rows))
	for i := range rows {
		index[rows[i].Name] = append(index[rows[i].Name], &rows[i])
	}
	return index
}

// find returns the row of name for ctx; if there is none, any row of name, with
// allowed false; or nil for an unknown word.
func (x directiveIndex) find(name string, ctx Context) (d *Directive, allowed bool) {
	rows := x[name]
	for _, d := range rows {
		if d.Contexts&ctx != 0 {
			return d, true
		}
	}
	if len(rows) == 0 {
		return nil, false
	}
	return rows[0], false
}

// nearest returns the known name closest to an unknown one, or "" if none is close
// enough to be a slip. Among equals, one that is allowed in ctx goes first.
func (x directiveIndex) nearest(name string, ctx Context) string {
	slips := max(1, len(name)/3)
	best, bestCost := "", 2*slips+2
	for known, rows := range x {
		if len(known) > len(name)+slips || len(known) < len(name)-slips {
			continue
		}
		cost := 2 * editDistance(name, known)
		if !slices.ContainsFunc(rows, func(d *Directive) bool { return d.Contexts&ctx != 0 }) {
			cost++
		}
		if cost < bestCost || cost == bestCost && known < best {
			best, bestCost = known, cost
		}
	}
	return best
}
