package tidy

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits bound the size of Go source.
type Limits struct {
	FileLines     int
	FunctionLines int
	LineColumns   int // characters; a tab is one
	Parameters    int
	// LongMark names the folders where "//tidy:long REASON" above a function lifts
	// the limit on its lines.
	LongMark []string
}

const longMark = "//tidy:long"

// Size checks one Go file against the limits.
func Size(f File, limits Limits) []Finding {
	found := longLines(f, limits.LineColumns)
	if n := strings.Count(f.Text, "\n"); n > limits.FileLines {
		found = append(found, Finding{Path: f.Path, Text: fmt.Sprintf(
			"%d lines, the limit is %d; split it by what it knows", n, limits.FileLines)})
	}
	src, bad := parse(f)
	if bad != nil {
		return append(found, *bad)
	}
	ast.Inspect(src.ast, func(node ast.Node) bool {
		switch fn := node.(type) {
		case *ast.FuncDecl:
			found = append(found, functionSize(src, fn, limits)...)
		case *ast.FuncLit:
			found = append(found, parameters(src, fn.Type, "the function literal", limits.Parameters)...)
		}
		return true
	})
	return found
}

func longLines(f File, columns int) []Finding {
	var found []Finding
	for i, line := range strings.Split(f.Text, "\n") {
		if n := utf8.RuneCountInString(line); n > columns {
			found = append(found, Finding{Path: f.Path, Line: i + 1,
				Text: fmt.Sprintf("%d columns, the limit is %d", n, columns)})
		}
	}
	return found
}

func functionSize(src source, fn *ast.FuncDecl, limits Limits) []Finding {
	found := parameters(src, fn.Type, fn.Name.Name, limits.Parameters)
	if reason, marked := mark(fn); marked {
		if !slices.Contains(limits.LongMark, src.dir()) {
			return append(found, Finding{Path: src.Path, Line: src.line(fn.Pos()),
				Text: longMark + " is allowed only in " + strings.Join(limits.LongMark, ", ")})
		}
		if reason == "" {
			return append(found, Finding{Path: src.Path, Line: src.line(fn.Pos()),
				Text: longMark + " needs a reason behind it"})
		}
		return found
	}
	if isTable(fn) {
		return found
	}
	if n := src.line(fn.End()) - src.line(fn.Pos()) + 1; n > limits.FunctionLines {
		found = append(found, Finding{Path: src.Path, Line: src.line(fn.Pos()), Text: fmt.Sprintf(
			"%s has %d lines, the limit is %d", fn.Name.Name, n, limits.FunctionLines)})
	}
	return found
}

// isTable tells whether a function does nothing but return a literal: that is data,
// wrapped in a function to escape an initialisation cycle.
func isTable(fn *ast.FuncDecl) bool {
	if fn.Body == nil || len(fn.Body.List) != 1 {
		return false
	}
	ret, ok := fn.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return false
	}
	_, ok = ret.Results[0].(*ast.CompositeLit)
	return ok
}

// mark returns the reason behind a //tidy:long line in the function's comment.
func mark(fn *ast.FuncDecl) (reason string, marked bool) {
	if fn.Doc == nil {
		return "", false
	}
	for _, comment := range fn.Doc.List {
		if reason, found := strings.CutPrefix(comment.Text, longMark); found {
			return strings.TrimSpace(reason), true
		}
	}
	return "", false
}

func parameters(src source, fn *ast.FuncType, name string, limit int) []Finding {
	if n := fn.Params.NumFields(); n > limit {
		return []Finding{{Path: src.Path, Line: src.line(fn.Pos()),
			Text: fmt.Sprintf("%s has %d parameters, the limit is %d; group them in a struct", name, n, limit)}}
	}
	return nil
}
