package config

import (
	"fmt"
	"slices"
)

// Severity says what a Problem means for the start.
type Severity uint8

// The severities.
const (
	Warning Severity = iota // the configuration runs; something in it has no effect
	Error                   // the configuration is refused
)

// String is "warning" or "error".
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Problem is one thing wrong with a configuration.
type Problem struct {
	File string
	// Line counts from 1; 0 means the file as a whole.
	Line     int
	Severity Severity
	// Text says what is wrong.
	Text string
	// Hint says what to write instead; it may be empty.
	Hint string
}

// String is "file:line: error: text; hint".
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = Position{p.File, p.Line}.String()
	}
	s := where + ": " + p.Severity.String() + ": " + p.Text
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// HasErrors says whether any of the problems is an Error.
func HasErrors(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error })
}

// report collects the problems of one load.
type report struct {
	problems []Problem
	// known holds the problems so far: a file included twice says things twice.
	known map[Problem]bool
	// warned holds the directives whose having no effect was already said.
	warned map[string]bool
}

func (r *report) add(sev Severity, at Position, hint, format string, args ...any) {
	p := Problem{File: at.File, Line: at.Line, Severity: sev, Text: fmt.Sprintf(format, short(args)...), Hint: hint}
	if !r.known[p] {
		r.known[p] = true
		r.problems = append(r.problems, p)
	}
}

// errorf reports an Error; the text carries its own hint if it needs one.
func (r *report) errorf(at Position, format string, args ...any) {
	r.add(Error, at, "", format, args...)
}

// sorted returns the problems in the order of files, then lines.
func (r *report) sorted(files []SourceFile) []Problem {
	order := make(map[string]int, len(files))
	for i, f := range files {
		order[f.Name] = i + 1
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if d := order[a.File] - order[b.File]; d != 0 {
			return d
		}
		return a.Line - b.Line
	})
	return r.problems
}
