package route

import (
	"bytes"
	"strconv"
	"strings"
)

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
	pages := ErrorPages{}
	for i := range specs {
		page, err := c.newErrorPage(&specs[i])
		if err != nil {
			return ErrorPages{}, err
		}
		for _, status := range specs[i].Statuses {
			if pages.byStatus == nil {
				pages.byStatus = map[int]*ErrorPage{}
			}
			if pages.byStatus[status] == nil {
				pages.byStatus[status] = page
			}
		}
	}
	return pages, nil
}

func (c *Compiler) newErrorPage(spec *ErrorPageSpec) (*ErrorPage, error) {
	page := &ErrorPage{Overwrite: spec.Overwrite}
	if strings.HasPrefix(spec.Target, "@") {
		page.Named = spec.Target
		return page, checkNamed(spec.Target, "error_page")
	}
	t, err := c.Compile(spec.Target)
	if err != nil {
		return nil, err
	}
	page.target = t
	page.url = !strings.HasPrefix(spec.Target, "/")
	// nginx waits for the variable's value to know what it names; here it is known
	// before, so that a client's bytes never decide it.
	if len(t.parts) == 0 || t.parts[0].render != nil && !strings.Contains(spec.Target, "://") {
		return nil, &CompileError{
			Text: "error_page cannot tell what kind of target " + strconv.Quote(spec.Target) + " is",
			Hint: `begin with "/", with the name of a location, or write a URL with its "://"`,
		}
	}
	return page, nil
}

// checkNamed refuses variables in the name of a location.
func checkNamed(name, directive string) error {
	if !strings.Contains(name, "$") {
		return nil
	}
	return &CompileError{
		Text: "a variable in the name of the location " + strconv.Quote(name) + " in " + directive,
		Hint: "write the name out",
	}
}

// For is what error_page says about status; nil for nothing.
func (p *ErrorPages) For(status int) *ErrorPage { return p.byStatus[status] }

// Redirects reports whether the answer is a redirect of the client, for
// AppendErrorRedirect.
func (p *ErrorPage) Redirects() bool { return p.url }

// Target renders where to go inside: a path, perhaps with "?" and arguments, for
// Env.SetInternal. The result lives until the Env's Reset. Not for a Named page, nor
// one that Redirects.
func (p *ErrorPage) Target(e *Env) []byte { return e.render(p.target) }

// AppendErrorRedirect appends the redirect that p is, whole: 302, unless Overwrite is
// 301, 302, 303, 307 or 308.
func AppendErrorRedirect(dst []byte, e *Env, p *ErrorPage, form ReplyForm) []byte {
	status := 302
	if isRedirect(p.Overwrite) {
		status = p.Overwrite
	}
	url := p.target.Append(e.borrow(), e)
	dst = appendRedirect(dst, e, status, url, form)
	e.giveBack(url)
	return dst
}

// SetInternal sends the request elsewhere inside (error_page, try_files, index): it
// sets URI and Args from target, a path with or without "?" and arguments, which is
// copied and not decoded. A path without "/" before it gets one, so that it can't go
// around the locations. The client's RawTarget stays, but no longer goes upstream. Call
// Server.Locate next.
func (e *Env) SetInternal(target []byte) {
	path, args, _ := bytes.Cut(target, questionMark)
	at := len(e.arena)
	if len(path) == 0 || path[0] != '/' {
		e.arena = append(e.arena, '/')
	}
	e.arena = append(e.arena, path...)
	middle := len(e.arena)
	e.arena = append(e.arena, args...)
	e.URI = e.arena[at:middle:middle]
	e.Args = e.arena[middle:len(e.arena):len(e.arena)]
	e.moved, e.internal, e.rewritten.whole = true, true, false
}
