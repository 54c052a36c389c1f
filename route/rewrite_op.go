package route

import "math"

// opKind is what one operation does.
type opKind uint8

const (
	opBreak opKind = iota
	opReturn
	opSet
	opSetNamed // the variable of a named capture
	opSetArgs
	opSetRate
	opRewrite
	opIf
)

// rewriteOp is one operation. An opIf is followed by those of its block.
type rewriteOp struct {
	kind opKind
	slot int      // of opSet and opSetNamed
	text Template // the value of a set; the replacement of a rewrite up to its "?"

	ret *Return

	regex    *regex
	pattern  string   // the regex as written
	args     Template // behind the "?"
	hasArgs  bool
	addArgs  bool
	question bool // a redirect's URL has a "?" already
	last     bool // nothing runs behind it
	stays    bool // the location stays (break)
	status   int  // of a redirect; 0 for none

	test     opTest
	not      bool
	value    Template // what text is compared with
	end      int      // where the block ends
	location *Location
}

// opTest is what an opIf asks.
type opTest uint8

const (
	testTrue opTest = iota
	testEquals
	testMatches
	testOfFile // and FileTest behind it
)

// rewriteDone is behind every list of operations.
const rewriteDone = math.MaxInt

// rewrittenMax bounds the path and the arguments that a rewrite makes, in bytes: several in
// a row may double them.
const rewrittenMax = 64 << 10
