package route

// HeadersSpec is add_header and expires at one level, for Compiler.NewHeaders.
type HeadersSpec struct {
	Add []AddHeader
	// Expires is the arguments of expires as written, without "modified"; empty or
	// "off" for none.
	Expires string
	// Modified says that expires counts from Last-Modified.
	Modified bool
}

// AddHeader is one add_header.
type AddHeader struct {
	Name   string
	Value  string // may have variables; nothing is added where it renders empty
	Always bool   // whatever the status
}

// Headers are the fields that a level adds to its answers. It is immutable; nil adds
// nothing.
type Headers struct{}

// NewHeaders compiles spec; nil if it says nothing. The error is a *CompileError.
func (c *Compiler) NewHeaders(spec *HeadersSpec) (*Headers, error) { return nil, nil }

// Types are the media types by the ending of a file's name (types). It is immutable.
type Types struct{}

// NewTypes makes Types from endings without "." and in any case.
func NewTypes(byEnding map[string]string) *Types { return &Types{} }
