package tidy

import (
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

const module = "holdfast"

// Policy is the import direction of the tree.
type Policy struct {
	// Ours names, per folder, the packages of the module its product files may
	// import. A folder that is not a key may not exist. "bench/*" is every folder
	// below bench.
	Ours map[string][]string
	// Theirs names, per import path prefix of another module, the folders that may
	// import it; product code may import no other module.
	Theirs map[string][]string
	// Std names, per restricted package of the standard library, the folders that
	// may import it. What is not a key is free for all.
	Std map[string][]string
}

// Imports checks the product files against the policy, and that tests and
// benches under test/ and bench/ import no product package.
func Imports(files []File, policy Policy) []Finding {
	var found []Finding
	for _, f := range files {
		if !f.isGo() || f.isTest() && f.top() != "test" && f.top() != "bench" {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, f.Path, f.Text, parser.ImportsOnly)
		if err != nil {
			found = append(found, Finding{Path: f.Path, Text: err.Error()})
			continue
		}
		key := policy.key(f.dir())
		if _, known := policy.Ours[key]; !known {
			found = append(found, Finding{Path: f.Path, Line: 1,
				Text: "the folder " + f.dir() + " is not in the import policy; add a row that says what it may import"})
			continue
		}
		for _, spec := range tree.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			if why := policy.refuse(f, key, imported); why != "" {
				found = append(found, Finding{Path: f.Path, Line: set.Position(spec.Pos()).Line, Text: why})
			}
		}
	}
	return found
}

// key is the row of the policy that speaks of a folder: its own, or that of its tree.
func (p Policy) key(dir string) string {
	if _, own := p.Ours[dir]; own {
		return dir
	}
	for _, tree := range []string{"bench", "test"} {
		if dir == tree || strings.HasPrefix(dir, tree+"/") {
			return tree + "/*"
		}
	}
	return dir
}

// refuse says why a file of the folder key may not import a package; "" when it may.
func (p Policy) refuse(f File, key, imported string) string {
	if ours, found := strings.CutPrefix(imported, module+"/"); found {
		if slices.Contains(p.Ours[key], ours) || slices.Contains(p.Ours[key], p.key(ours)) {
			return ""
		}
		return key + " must not import " + ours + " (import policy of internal/tidy)"
	}
	if !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
		if folders, limited := p.Std[imported]; limited && f.IsProduct() && !slices.Contains(folders, key) {
			return key + " must not import " + imported + "; only " + strings.Join(folders, ", ") + " may"
		}
		return ""
	}
	if !f.IsProduct() {
		return ""
	}
	for prefix, folders := range p.Theirs {
		if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
			if slices.Contains(folders, key) {
				return ""
			}
			return key + " must not import " + imported + "; only " + strings.Join(folders, ", ") + " may"
		}
	}
	return "no product package may import " + imported + " (import policy of internal/tidy)"
}
