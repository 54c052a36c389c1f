// Package tidy holds the repository's own rules as tests: which package may
// import which, how large files and functions may grow, what must be documented,
// and which words must not be left in the tree.
//
// The rules read the source with go/parser from the files themselves. They never
// ask a subprocess such as `go list`: the test cache does not see what a
// subprocess read, and would report a broken rule as passed.
package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// File is one file of the repository.
type File struct {
	Path string // slash-separated, relative to the repository's root
	Text string
}

// Finding is one broken rule.
type Finding struct {
	Path string
	Line int // 1-based; 0 when the whole file is meant
	Text string
}

// String is "path:line: text".
func (f Finding) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text)
}

// Root returns the absolute path of the folder that holds go.mod, searched
// upwards from dir.
func Root(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod in %s or above it", dir)
		}
		dir = parent
	}
}

// fileBytesMax keeps the walk away from large artefacts; what is larger is not source.
const fileBytesMax = 1 << 20

// notOurs are the folders that hold nothing the rules are about.
var notOurs = map[string]bool{".git": true, "bin": true, "out": true, "node_modules": true}

// ReadTree returns the repository's text files, sorted by path. Fuzz corpora and
// other test data are left out, as are build products and files over 1 MiB.
func ReadTree(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (notOurs[entry.Name()] || entry.Name() == "testdata"):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if err != nil || info.Size() > fileBytesMax {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil || strings.Contains(string(text), "\x00") {
			return err
		}
		rel, err := filepath.Rel(root, name)
		files = append(files, File{Path: filepath.ToSlash(rel), Text: string(text)})
		return err
	})
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return files, err
}

// source is a parsed Go file.
type source struct {
	File
	set *token.FileSet
	ast *ast.File
}

// parse parses f; a syntax error is itself a finding.
func parse(f File) (source, *Finding) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, f.Path, f.Text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, &Finding{Path: f.Path, Text: err.Error()}
	}
	return source{File: f, set: set, ast: tree}, nil
}

func (s source) line(pos token.Pos) int { return s.set.Position(pos).Line }

func (f File) isGo() bool   { return strings.HasSuffix(f.Path, ".go") }
func (f File) isTest() bool { return strings.HasSuffix(f.Path, "_test.go") }
func (f File) dir() string  { return path.Dir(f.Path) }
func (f File) top() string  { return strings.SplitN(f.Path, "/", 2)[0] }

// IsProduct tells whether f is part of the product, not of its tests or benches.
func (f File) IsProduct() bool {
	return f.isGo() && !f.isTest() && f.top() != "test" && f.top() != "bench"
}
