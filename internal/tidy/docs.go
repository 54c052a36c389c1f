package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

// Documented checks that every exported identifier of a file has a comment: its
// own, its group's, or (for a field or constant) one at the end of its line.
func Documented(f File) []Finding {
	src, bad := parse(f)
	if bad != nil {
		return []Finding{*bad}
	}
	var found []Finding
	missing := func(pos token.Pos, name string) {
		text := name + " is exported and has no comment"
		found = append(found, Finding{Path: f.Path, Line: src.line(pos), Text: text})
	}
	for _, decl := range src.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && exportedReceiver(d) && !said(d.Doc) {
				missing(d.Pos(), d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				undocumentedSpec(d, spec, missing)
			}
		}
	}
	return found
}

func undocumentedSpec(d *ast.GenDecl, spec ast.Spec, missing func(token.Pos, string)) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && !said(s.Doc) && !said(d.Doc) {
			missing(s.Pos(), s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && !said(s.Doc) && !said(s.Comment) && !said(d.Doc) {
				missing(name.Pos(), name.Name)
			}
		}
	}
}

// exportedReceiver is false for methods that only an unexported type has.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return true
	}
	receiver := fn.Recv.List[0].Type
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
		case *ast.IndexExpr:
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return true
		}
	}
}

// said tells whether a comment says something beyond directives like //go:embed.
func said(group *ast.CommentGroup) bool {
	return group != nil && strings.TrimSpace(group.Text()) != ""
}

// PackageDocs checks that each folder with Go files has a package comment.
func PackageDocs(files []File) []Finding {
	documented := map[string]bool{}
	first := map[string]string{}
	for _, f := range files {
		if !f.isGo() || f.isTest() {
			continue
		}
		src, bad := parse(f)
		if bad != nil {
			return []Finding{*bad}
		}
		if _, seen := first[f.dir()]; !seen {
			first[f.dir()] = f.Path
		}
		documented[f.dir()] = documented[f.dir()] || said(src.ast.Doc)
	}
	var found []Finding
	for dir, name := range first {
		if !documented[dir] {
			found = append(found, Finding{Path: name, Line: 1, Text: "no file of the package has a package comment"})
		}
	}
	return found
}
