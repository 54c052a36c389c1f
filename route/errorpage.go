package route

// ErrorPage is what one error_page says about a status. It is immutable.
type ErrorPage struct {
	// Named is the name of a location, with its "@"; empty for the others.
	Named string
	// Overwrite replaces the status of the answer: KeepStatus leaves the one the error
	// had, OwnStatus takes that of whatever answers ("="), else it is the status.
	Overwrite int

	target Template
	url    bool // neither a path nor a name: the answer is a redirect to it
}

// The values of ErrorPage.Overwrite that are no status.
const (
	KeepStatus = -1
	OwnStatus  = 0
)

// ErrorPageSpec is one error_page for Compiler.NewErrorPages.
type ErrorPageSpec struct {
	Statuses  []int
	Overwrite int // as in ErrorPage
	// Target is a path with or without arguments, a name with its "@", or a URL. All
	// but a name may have variables.
	Target string
}

// ErrorPages are the error_page directives in force at one level. The zero value has
// none.
type ErrorPages struct {
	byStatus map[int]*ErrorPage
}

// NewErrorPages compiles specs; of two for the same status the first is used, as in
// nginx. The error is a *CompileError.
func (c *Compiler) NewErrorPages(specs []ErrorPageSpec) (ErrorPages, error) {
	return ErrorPages{}, nil
}

// For is what error_page says about status; nil for nothing.
func (p *ErrorPages) For(status int) *ErrorPage { return p.byStatus[status] }

// Redirects reports whether the answer is a redirect of the client, for
// AppendErrorRedirect.
func (p *ErrorPage) Redirects() bool { return p.url }

// Target renders where to go inside: a path, perhaps with "?" and arguments, for
// Env.SetInternal. The result lives until the Env's Reset. Not for a Named page, nor
// one that Redirects.
func (p *ErrorPage) Target(e *Env) []byte { return nil }

// AppendErrorRedirect appends the redirect that p is, whole: 302, unless Overwrite is
// 301, 302, 303, 307 or 308.
func AppendErrorRedirect(dst []byte, e *Env, p *ErrorPage, form ReplyForm) []byte { return dst }

// SetInternal sends the request elsewhere inside (error_page, try_files, index): it
// sets URI and Args from target, a path with or without "?" and arguments, which is
// copied and not decoded. The client's RawTarget stays. Call FindServer's Locate next.
func (e *Env) SetInternal(target []byte) {}
