package route

// Rewrite are the compiled set, if, rewrite, return and break of one level. It is immutable.
type Rewrite struct{ ops []func(e *Env, files FileTests) (Rewritten, bool) }

// RewriteEnd is how the run of a Rewrite ended.
type RewriteEnd uint8

// The ends.
const (
	RewriteNext      RewriteEnd = iota // the request goes on
	RewriteMoved                       // with another URI, for which the location is to be found
	RewriteReturns                     // Return answers
	RewriteRedirects                   // a redirect with Status to URL answers
)

// Rewritten is what the run of a Rewrite came to.
type Rewritten struct {
	End    RewriteEnd
	Return *Return
	// Location is the location of the last if block that held; nil for none.
	Location *Location
	Status   int
	URL      []byte
}

// FileTest is what an if asks about a file.
type FileTest uint8

// The tests: -e, -f, -d, -x.
const (
	FileExists FileTest = iota
	FileIsRegular
	FileIsFolder
	FileIsExecutable
)

// FileTests asks the file system.
type FileTests interface {
	Test(kind FileTest, path []byte) bool
}

// Run runs the directives for the request of e.
func (w *Rewrite) Run(e *Env, files FileTests) Rewritten { return Rewritten{} }
