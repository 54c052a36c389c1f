package config

import (
	"slices"
	"strings"
)

// FileSettings are the values of answering with files.
type FileSettings struct {
	Root Root
	// Index are the names of index, in file order; never empty.
	Index []Text
	// Types are the media types by the ending of a file's name. Never nil.
	Types *Types
	// MaxRanges bounds the ranges of one answer: 0 turns ranges off, -1 means that
	// no bound was written.
	MaxRanges int
	// ETag adds the ETag of a file.
	ETag bool
	// IfModifiedSince is how If-Modified-Since is compared.
	IfModifiedSince IfModifiedSince
	// Sendfile lets the kernel copy files; true unless written otherwise (a deviation
	// from nginx).
	Sendfile bool
	// LogNotFound logs files that are not there.
	LogNotFound bool
}

// Text is a text with variables and where it was written.
type Text struct {
	Position
	Text string
}

// Root is a root or an alias.
type Root struct {
	// Position is empty for the default.
	Position
	// Path is the folder, with variables. It is absolute unless it begins with one, or
	// the prefix has a "$" in it.
	Path string
	// Alias says that Path stands for what the location of Modifier and Pattern has
	// matched; that is the one in which alias was written, not one inside it.
	Alias    bool
	Modifier Modifier
	Pattern  string
}

// Types are media types by the ending of a file's name: without ".", in lower case.
type Types struct{ ByEnding map[string]string }

// TryFiles is a try_files directive. It is not inherited.
type TryFiles struct {
	Position
	// Files are the arguments without the last, with variables.
	Files []string
	// Last is the last argument: a path with variables, @name, or =status.
	Last string
}

// IfModifiedSince is how the time of a file is compared (if_modified_since).
type IfModifiedSince uint8

// The values of if_modified_since.
const (
	IfModifiedExact  IfModifiedSince = iota // equal times
	IfModifiedOff                           // never: the field is ignored
	IfModifiedBefore                        // not later
)

var ifModifiedNames = []string{"exact", "off", "before"}

func defaultFileSettings() FileSettings {
	return FileSettings{
		Index: []Text{{Text: "index.html"}},
		Types: &Types{ByEnding: map[string]string{
			"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg",
		}},
		MaxRanges: -1, ETag: true, Sendfile: true, LogNotFound: true,
	}
}

// readRoot reads root and alias, of which a block may have one.
func readRoot(l *level, n *node) {
	for _, other := range []string{"root", "alias"} {
		if first, written := l.seen[other]; written && other != n.name {
			l.add(Error, n.Position, "remove one of the two", "%q beside the %q at %s", n.name, other, first)
			return
		}
	}
	path := n.args[0]
	if path == "" || strings.ContainsRune(path, 0) {
		l.invalid(n, path, "write a folder")
		return
	}
	for _, name := range []string{"document_root", "realpath_root"} {
		if strings.Contains(path, "$"+name) || strings.Contains(path, "${"+name) {
			l.add(Error, n.Position, "write the folder itself", "the variable \"$%s\" cannot be used in %q", name, n.name)
			return
		}
	}
	root := Root{Position: n.Position, Path: l.folder(path), Alias: n.name == "alias"}
	if root.Alias {
		if l.location.Modifier == NamedLocation {
			l.add(Error, n.Position, "write root", "\"alias\" cannot be used in a named location")
			return
		}
		root.Modifier, root.Pattern = l.location.Modifier, l.location.Pattern
	} else if len(root.Path) > 1 {
		root.Path = strings.TrimSuffix(root.Path, "/")
	}
	l.text(n.Position, n.name, path)
	l.set.Files.Root = root
}

// folder joins a relative path to the prefix. A "/" at its end, which counts in an
// alias, stays.
func (l *loader) folder(path string) string {
	prefix := l.cfg.Main.Prefix
	if path[0] == '/' || path[0] == '$' || strings.Contains(prefix, "$") {
		return path
	}
	return strings.TrimSuffix(prefix, "/") + "/" + path
}

func readIndex(l *level, n *node) {
	if l.first(n) {
		l.set.Files.Index = nil
	}
	for i, name := range n.args {
		if name == "" || strings.ContainsRune(name, 0) {
			l.invalid(n, name, "write the name of a file")
			return
		}
		if name[0] == '/' && i < len(n.args)-1 {
			l.add(Warning, n.Position, "put it last", "only the last name of \"index\" should be absolute, not %q", name)
		}
		l.text(n.Position, n.name, name)
		l.set.Files.Index = append(l.set.Files.Index, Text{n.Position, name})
	}
}

func readTypes(l *level, n *node) {
	types := l.set.Files.Types
	if l.first(n) {
		types = &Types{ByEnding: map[string]string{}}
		l.set.Files.Types = types
	}
	for _, line := range n.block {
		if line.isBlock {
			l.add(Error, line.Position, "write: MIME-TYPE ENDING ...;", `unexpected "{"`)
			return
		}
		if !isFieldValue(line.name) || line.name == "" {
			l.add(Error, line.Position, "write: MIME-TYPE ENDING ...;", "invalid media type %q", line.name)
			return
		}
		for _, ending := range line.args {
			ending = strings.ToLower(ending)
			if old, again := types.ByEnding[ending]; again && old != line.name {
				l.add(Warning, line.Position, "remove one", "the ending %q was %q before", ending, old)
			}
			types.ByEnding[ending] = line.name
		}
	}
}

func readTryFiles(l *level, n *node) {
	last := len(n.args) - 1
	try := &TryFiles{Position: n.Position, Files: slices.Clone(n.args[:last]), Last: n.args[last]}
	for _, file := range try.Files {
		if strings.HasPrefix(file, "@") || strings.HasPrefix(file, "=") {
			l.add(Warning, n.Position, "put it last", "%q of \"try_files\" is looked for as a file: it is not the last", file)
		}
		l.text(n.Position, n.name, file)
	}
	switch {
	case strings.HasPrefix(try.Last, "="):
		if code, ok := parseInt(try.Last[1:], 200); !ok || code > 599 {
			l.invalid(n, try.Last, "write =404, or another status from 200 to 599")
			return
		}
	case strings.HasPrefix(try.Last, "@"):
		if strings.Contains(try.Last, "$") {
			l.invalid(n, try.Last, hintNamed)
			return
		}
	case try.Last == "":
		l.invalid(n, try.Last, "write a path, @name or =404")
		return
	default:
		l.text(n.Position, n.name, try.Last)
	}
	if l.location != nil {
		l.location.TryFiles = try
		return
	}
	l.server.TryFiles = try
}

func readMaxRanges(l *level, n *node) {
	count, ok := parseInt(n.args[0], 0)
	if !ok {
		l.invalid(n, n.args[0], hintNumber)
		return
	}
	l.set.Files.MaxRanges = count
}

func readIfModifiedSince(l *level, n *node) {
	i := slices.Index(ifModifiedNames, strings.ToLower(n.args[0]))
	if i < 0 {
		l.invalid(n, n.args[0], "write off, exact or before")
		return
	}
	l.set.Files.IfModifiedSince = IfModifiedSince(i)
}

func readInternal(l *level, _ *node) { l.location.Internal = true }
