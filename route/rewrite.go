package route

import "bytes"

// Rewrite is the directives of the rewrite module in one server or location, with the if
// blocks in it, compiled into one list. It is immutable. A nil one does nothing.
type Rewrite struct{ ops []rewriteOp }

// RewriteEnd says what follows a Rewrite.
type RewriteEnd uint8

// The ends of a Rewrite.
const (
	RewriteNext      RewriteEnd = iota // the request goes on where it is
	RewriteMoved                       // its URI has changed: find the location anew
	RewriteReturns                     // Return answers
	RewriteRedirects                   // Status and URL answer (AppendRedirect)
)

// Rewritten is what a Rewrite has done. Its slices live until the Env's Reset.
type Rewritten struct {
	End RewriteEnd
	// Return is set with RewriteReturns.
	Return *Return
	// Location, if not nil, is that of the last if block whose condition was true: it holds
	// from now on. Env.Location is already set to it.
	Location *Location
	// Status and URL are set with RewriteRedirects. URL may be a path.
	Status int
	URL    []byte
	// Internal says that a rewrite has matched: locations with internal are open to the
	// request from now on.
	Internal bool
	// Failure is a line for the error log, at level error; empty for none.
	Failure string
	// Notices are lines for the error log, at level notice (rewrite_log).
	Notices [][]byte
}

// FileTest is what an if asks about a file.
type FileTest uint8

// The tests of files.
const (
	FileIsRegular    FileTest = iota // a regular file (-f)
	FileIsFolder                     // a directory (-d)
	FileExists                       // anything (-e)
	FileIsExecutable                 // its owner may execute it (-x)
)

// FileTests asks the file system. path is valid during the call only, has no NUL, and may be
// empty or relative.
type FileTests interface {
	Test(kind FileTest, path []byte) bool
}

// rewriting is one run of a Rewrite.
type rewriting struct {
	e     *Env
	files FileTests
	out   Rewritten
	// quote escapes captures where the client's path had a percent-encoding, or a "+", as
	// nginx does in set until the first rewrite has matched.
	quote bool
	moved bool
	log   bool
}

// Run runs the directives in their order. e.Location must be the location they stand in, nil
// at the server level, where RewriteMoved and RewriteNext mean the same.
func (rw *Rewrite) Run(e *Env, files FileTests) Rewritten {
	if rw == nil {
		return Rewritten{}
	}
	r := rewriting{e: e, files: files, quote: true}
	if s := e.settings(); s != nil {
		r.log = s.RewriteLog
	}
	for at := 0; at < len(rw.ops); {
		at = r.step(&rw.ops[at], at)
	}
	if r.moved && r.out.End == RewriteNext {
		r.out.End = RewriteMoved
	}
	return r.out
}

// step runs the operation at index at and returns the index of the next one.
func (r *rewriting) step(op *rewriteOp, at int) (next int) {
	switch op.kind {
	case opBreak:
		r.stay()
		return rewriteDone
	case opReturn:
		r.out.End, r.out.Return = RewriteReturns, op.ret
		return rewriteDone
	case opRewrite:
		return r.rewrite(op, at)
	case opIf:
		return r.enter(op, at)
	}
	r.set(op)
	return at + 1
}

// stay keeps the request where it is, although its URI has changed.
func (r *rewriting) stay() {
	if r.moved {
		r.moved, r.e.rewritten.whole = false, true
	}
}

// set gives a variable its value.
func (r *rewriting) set(op *rewriteOp) {
	e := r.e
	buf := r.render(e.borrow(), op.text, r.quote)
	op.assign(e, buf)
	e.giveBack(buf)
}

// assign gives the variable of op a value, which is copied.
func (op *rewriteOp) assign(e *Env, buf []byte) {
	switch op.kind {
	case opSet:
		e.assign(op.slot, e.keep(buf))
	case opSetNamed:
		e.captures.setNamed(op.slot, e.keep(buf))
	case opSetArgs:
		// As in nginx, the client's own target no longer goes upstream.
		e.Args, e.internal = e.keep(buf), true
	case opSetRate:
		e.LimitRate.Assign(buf) // a text that is no size changes nothing, as in nginx
	}
}

// enter judges the condition of an if.
func (r *rewriting) enter(op *rewriteOp, at int) (next int) {
	if r.judge(op) == op.not {
		return op.end
	}
	if op.location != nil {
		r.out.Location, r.e.Location = op.location, op.location
		r.log = op.location.Settings.RewriteLog
	}
	return at + 1
}

func (r *rewriting) judge(op *rewriteOp) bool {
	e := r.e
	buf := r.render(e.borrow(), op.text, r.quote)
	var verdict bool
	switch op.test {
	case testTrue:
		verdict = len(buf) > 0 && string(buf) != "0"
	case testEquals:
		value := r.render(e.borrow(), op.value, r.quote)
		verdict = bytes.Equal(buf, value)
		e.giveBack(value)
	case testMatches:
		subject := buf
		if op.regex.re.NumSubexp() > 0 {
			subject = e.keep(buf) // the captures outlive this call
		}
		verdict = r.match(op, subject)
	default:
		verdict = bytes.IndexByte(buf, 0) < 0 && r.files.Test(FileTest(op.test-testOfFile), buf)
	}
	e.giveBack(buf)
	return verdict
}

// match looks for a regex, which if it is not found leaves no numbered captures, as in nginx.
func (r *rewriting) match(op *rewriteOp, subject []byte) bool {
	found := op.regex.match(r.e, subject)
	if !found {
		r.e.captures.count = 0
	}
	if r.log {
		r.noteMatch(op.pattern, subject, found)
	}
	return found
}

// render renders t, with numbered captures escaped if quote is set and the client's path
// asks for it.
func (r *rewriting) render(dst []byte, t Template, quote bool) []byte {
	quote = quote && r.e.quotedPath()
	for i := range t.parts {
		p := &t.parts[i]
		at := len(dst)
		switch {
		case p.render == nil:
			dst = append(dst, p.literal...)
		default:
			dst, _ = p.render(dst, r.e, &p.arg)
			if p.arg.group && quote {
				dst = escapeArgsFrom(dst, at, r.e)
			}
		}
	}
	return dst
}
