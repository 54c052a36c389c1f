package route

import (
	"bytes"
	"strconv"
	"strings"
)

// Static says where the files of a location are (root, alias, index, try_files). It
// is immutable.
type Static struct {
	root     Template
	prefix   string // what a relative root is joined to
	replaced int    // bytes of URI that alias stands for
	isAlias  bool
	whole    bool // alias stands for all of URI
	index    []Template
	tryFiles []tryFile
}

// tryFile is one of the files of try_files.
type tryFile struct {
	name   Template
	folder bool // it ended in "/", which name has no more
	rooted bool // it has variables, so that it may begin with what alias stands for
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
	// Modifier and Pattern are those of the location that alias was written in; zero at
	// the server level.
	Modifier Modifier
	Pattern  string
	// Index are the names of index.
	Index []string
	// TryFiles are the arguments of try_files without the last; none without try_files.
	TryFiles []string
}

// NewStatic compiles spec. The error is a *CompileError.
func (c *Compiler) NewStatic(spec *StaticSpec) (*Static, error) {
	s := &Static{prefix: strings.TrimSuffix(spec.Prefix, "/"), isAlias: spec.Alias}
	root := spec.Root
	if spec.Alias {
		switch spec.Modifier {
		case Regex, RegexCaseless:
			s.whole = true
		case NamedLocation:
			return nil, &CompileError{
				Text: "alias cannot stand in the named location " + strconv.Quote(spec.Pattern),
				Hint: "use root",
			}
		default:
			s.replaced = len(spec.Pattern)
		}
	} else {
		root = strings.TrimSuffix(root, "/")
	}
	var err error
	if s.root, err = c.Compile(root); err != nil {
		return nil, err
	}
	for _, name := range spec.Index {
		t, err := c.Compile(name)
		if err != nil {
			return nil, err
		}
		s.index = append(s.index, t)
	}
	for _, name := range spec.TryFiles {
		text, folder := strings.CutSuffix(name, "/")
		t, err := c.Compile(text)
		if err != nil {
			return nil, err
		}
		_, constant := t.Const()
		s.tryFiles = append(s.tryFiles, tryFile{name: t, folder: folder, rooted: !constant})
	}
	return s, nil
}

// noFile takes the place of names with a NUL: it is not there, nor is anything that the
// caller puts behind it.
const noFile = "/dev/null/"

// AppendPath appends the name of the file that e.URI stands for. It has no NUL: a name
// with one, which only variables can bring, becomes one that is not there. Segments ".."
// that variables bring, and symbolic links, are the caller's affair.
func (s *Static) AppendPath(dst []byte, e *Env) []byte {
	at := len(dst)
	dst = s.appendRoot(dst, e)
	if !s.whole {
		dst = append(dst, e.URI[min(s.replaced, len(e.URI)):]...)
	}
	return withoutNUL(dst, at, noFile)
}

// appendRoot appends root or alias as it renders, made absolute.
func (s *Static) appendRoot(dst []byte, e *Env) []byte {
	if text, constant := s.root.Const(); constant {
		return append(dst, text...)
	}
	at := len(dst)
	if dst = s.root.Append(dst, e); len(dst) > at && dst[at] == '/' {
		return dst
	}
	relative := append(e.borrow(), dst[at:]...)
	dst = append(dst[:at], s.prefix...)
	if len(relative) > 0 {
		dst = append(dst, '/')
		dst = append(dst, relative...)
	}
	e.giveBack(relative)
	return dst
}

// withoutNUL is dst, with other behind at if there is a NUL.
func withoutNUL(dst []byte, at int, other string) []byte {
	if bytes.IndexByte(dst[at:], 0) >= 0 {
		return append(dst[:at], other...)
	}
	return dst
}

// Index is the number of names of index; AppendIndex appends the i-th, rendered: a name
// to put behind e.URI or, if it begins with "/", a path of its own to go to.
func (s *Static) Index() int { return len(s.index) }

// AppendIndex appends the i-th name of index; nothing if it has a NUL.
func (s *Static) AppendIndex(dst []byte, e *Env, i int) []byte {
	at := len(dst)
	return withoutNUL(s.index[i].Append(dst, e), at, "")
}

// Tries is the number of files of try_files.
func (s *Static) Tries() int { return len(s.tryFiles) }

// AppendTry appends the i-th file of try_files: uri rendered is what becomes of e.URI
// if it is there, path the file's name. folder says that it is looked for as a folder:
// it was written with a "/" at its end, which path does not have. As to a NUL, path is
// as in AppendPath.
func (s *Static) AppendTry(uri, path []byte, e *Env, i int) (uriOut, pathOut []byte, folder bool) {
	try := &s.tryFiles[i]
	name := try.name.Append(e.borrow(), e)
	rest := name
	replaced := min(s.replaced, len(e.URI))
	if try.rooted && replaced > 0 && bytes.HasPrefix(rest, e.URI[:replaced]) {
		rest = rest[replaced:]
	}
	at := len(path)
	path = s.appendRoot(path, e)
	path = withoutNUL(append(path, rest...), at, noFile)
	switch {
	case s.whole && try.folder:
		uri = append(uri, e.URI...)
	case s.isAlias && !s.whole:
		uri = append(uri, e.URI[:replaced]...)
		uri = append(uri, rest...)
	default:
		uri = append(uri, rest...)
	}
	e.giveBack(name)
	return uri, path, try.folder
}

// TryElse is the last argument of try_files: what happens if no file is there. It is
// immutable.
type TryElse struct {
	Code   int    // a status (=404), or 0
	Named  string // a location's name with its "@", or empty
	target Template
}

// NewTryElse compiles the last argument of try_files.
func (c *Compiler) NewTryElse(text string) (*TryElse, error) {
	switch {
	case strings.HasPrefix(text, "="):
		code, err := strconv.Atoi(text[1:])
		if err != nil || code < 200 || code > 999 {
			return nil, &CompileError{
				Text: "invalid status " + strconv.Quote(text) + " in try_files",
				Hint: "a final answer has a status from 200 to 999, as in =404",
			}
		}
		return &TryElse{Code: code}, nil
	case strings.HasPrefix(text, "@"):
		return &TryElse{Named: text}, checkNamed(text, "try_files")
	}
	t, err := c.Compile(text)
	if err != nil {
		return nil, err
	}
	return &TryElse{target: t}, nil
}

// Target renders a path to go to, for Env.SetInternal, if there is neither Code nor Named.
// It lives until the Env's Reset.
func (t *TryElse) Target(e *Env) []byte { return e.render(t.target) }
