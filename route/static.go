package route

// Static says where the files of a location are (root, alias, index, try_files). It
// is immutable.
type Static struct {
	root     Template
	isAlias  bool
	index    []Template
	tryFiles []Template
}

// StaticSpec is what belongs to files in one location, for Compiler.NewStatic.
type StaticSpec struct {
	// Root is the folder (root), already absolute unless it has variables; with Alias
	// it stands in the place of what the location matched (alias), or in a location
	// with a regular expression for the whole path.
	Root  string
	Alias bool
	// Prefix is what a relative root that variables yield is joined to.
	Prefix string
	// Modifier and Pattern are those of the location; zero at the server level.
	Modifier Modifier
	Pattern  string
	// Index are the names of index.
	Index []string
	// TryFiles are the arguments of try_files without the last; none without try_files.
	TryFiles []string
}

// NewStatic compiles spec. The error is a *CompileError.
func (c *Compiler) NewStatic(spec *StaticSpec) (*Static, error) { return &Static{}, nil }

// AppendPath appends the name of the file that e.URI stands for, without a NUL.
func (s *Static) AppendPath(dst []byte, e *Env) []byte { return dst }

// Index is the number of names of index; AppendIndex appends the i-th, rendered: a name
// to put behind e.URI or, if it begins with "/", a path of its own to go to.
func (s *Static) Index() int { return len(s.index) }

// AppendIndex appends the i-th name of index.
func (s *Static) AppendIndex(dst []byte, e *Env, i int) []byte { return dst }

// Tries is the number of files of try_files.
func (s *Static) Tries() int { return len(s.tryFiles) }

// AppendTry appends the i-th file of try_files: uri rendered is what becomes of e.URI
// if it is there, path the file's name. folder says that it is looked for as a folder:
// it was written with a "/" at its end, which path does not have.
func (s *Static) AppendTry(uri, path []byte, e *Env, i int) (uriOut, pathOut []byte, folder bool) {
	return uri, path, false
}

// TryElse is the last argument of try_files: what happens if no file is there. It is
// immutable.
type TryElse struct {
	Code   int    // a status (=404), or 0
	Named  string // a location's name with its "@", or empty
	target Template
}

// NewTryElse compiles the last argument of try_files.
func (c *Compiler) NewTryElse(text string) (*TryElse, error) { return &TryElse{}, nil }

// Target renders a path to go to, for Env.SetInternal, if there is neither Code nor Named.
// It lives until the Env's Reset.
func (t *TryElse) Target(e *Env) []byte { return nil }
