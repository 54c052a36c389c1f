package tidy

import (
	"go/ast"
	"go/build/constraint"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// architectures are the two the product is tested on.
var architectures = [2]string{"amd64", "arm64"}

var choosesArch = regexp.MustCompile(`runtime\.GOARCH (==|!=)|switch runtime\.GOARCH`)

// Architectures checks the product files that are built for one architecture only: the
// folder must declare the same names for the other one, hold a test, and be among the
// packages that are tested under the emulator, which are those that skipped does not
// match. A choice by runtime.GOARCH is no way around it.
func Architectures(files []File, skipped *regexp.Regexp) []Finding {
	var found []Finding
	folders := map[string]*[2]map[string]string{} // folder → architecture → name → file
	tested := map[string]bool{}
	for _, f := range files {
		tested[f.dir()] = tested[f.dir()] || f.isTest()
		if !f.IsProduct() {
			if strings.HasSuffix(f.Path, ".s") {
				found = append(found, Finding{Path: f.Path, Text: "assembly needs a rule here, for its twin and its test"})
			}
			continue
		}
		if choosesArch.MatchString(f.Text) {
			found = append(found, Finding{Path: f.Path, Text: "chooses by runtime.GOARCH; use a file for each architecture"})
		}
		on := [2]bool{f.builtFor(architectures[0]), f.builtFor(architectures[1])}
		if on[0] == on[1] {
			continue
		}
		if folders[f.dir()] == nil {
			folders[f.dir()] = &[2]map[string]string{{}, {}}
		}
		only := 0
		if on[1] {
			only = 1
		}
		for _, name := range f.declares() {
			folders[f.dir()][only][name] = f.Path
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		names := folders[dir]
		found = append(found, twins(names[0], names[1], architectures[1])...)
		found = append(found, twins(names[1], names[0], architectures[0])...)
		switch {
		case !tested[dir]:
			found = append(found, Finding{Path: dir, Text: "has code for one architecture and no test"})
		case skipped.MatchString(module + "/" + dir):
			found = append(found, Finding{Path: dir,
				Text: "has code for one architecture, no test of which runs under the emulator"})
		}
	}
	return found
}

// twins reports what one architecture's files declare and the other's don't.
func twins(these, others map[string]string, missing string) (found []Finding) {
	for _, name := range slices.Sorted(maps.Keys(these)) {
		if others[name] == "" {
			found = append(found, Finding{Path: these[name], Text: name + " has no twin for " + missing})
		}
	}
	return found
}

// builtFor tells whether a Go file is part of the build for an architecture on Linux, by its
// name and its //go:build line. Tags of our own, like verify, are taken as not set.
func (f File) builtFor(arch string) bool {
	stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.Path), ".go"), "_test")
	if words := strings.Split(stem, "_"); len(words) > 1 {
		last := words[len(words)-1]
		if slices.Contains(architectures[:], last) && last != arch {
			return false
		}
	}
	for line := range strings.Lines(f.Text) {
		if strings.HasPrefix(line, "package ") {
			break
		}
		if !constraint.IsGoBuild(line) {
			continue
		}
		expr, err := constraint.Parse(strings.TrimSpace(line))
		return err == nil && expr.Eval(func(tag string) bool { return tag == arch || tag == "linux" || tag == "unix" })
	}
	return true
}

// declares lists the names at the top of a file; methods as Type.Method.
func (f File) declares() (names []string) {
	s, bad := parse(f)
	if bad != nil {
		return nil // another rule says so
	}
	for _, d := range s.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil && len(d.Recv.List) == 1 {
				t := d.Recv.List[0].Type
				if star, ok := t.(*ast.StarExpr); ok {
					t = star.X
				}
				if id, ok := t.(*ast.Ident); ok {
					name = id.Name + "." + name
				}
			}
			names = append(names, name)
		case *ast.GenDecl:
			if d.Tok != token.IMPORT {
				names = append(names, specNames(d.Specs)...)
			}
		}
	}
	return names
}

func specNames(specs []ast.Spec) (names []string) {
	for _, spec := range specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			names = append(names, spec.Name.Name)
		case *ast.ValueSpec:
			for _, n := range spec.Names {
				names = append(names, n.Name)
			}
		}
	}
	return names
}
