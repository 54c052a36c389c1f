package tidy_test

import (
	"regexp"
	"testing"

	"holdfast/internal/tidy"
)

func TestArchitecturesRule(t *testing.T) {
	skipped := regexp.MustCompile(`/(bench|cmd)(/|$)`)
	test := tidy.File{Path: "a/a_test.go", Text: "package a\n"}
	amd := tidy.File{Path: "a/fast_amd64.go", Text: "package a\nconst n = 1\n"}
	cases := []struct {
		name  string
		files []tidy.File
		want  []string
	}{
		{"a twin by name", []tidy.File{amd, {Path: "a/fast_arm64.go", Text: "package a\nconst n = 2\n"}, test}, nil},
		{"a portable twin", []tidy.File{amd, {Path: "a/slow.go", Text: "//go:build !amd64\n\npackage a\nconst n = 2\n"}, test}, nil},
		{"a twin by build line", []tidy.File{
			{Path: "a/x.go", Text: "//go:build amd64 && linux\n\npackage a\nfunc (t *T) f() {}\n"},
			{Path: "a/y.go", Text: "//go:build !amd64\n\npackage a\nfunc (t T) f() {}\n"}, test}, nil},
		{"no twin", []tidy.File{amd, test}, []string{"a/fast_amd64.go: n has no twin for arm64"}},
		{"no twin for amd64", []tidy.File{{Path: "a/b_arm64.go", Text: "package a\ntype t int\n"}, test}, []string{"t has no twin for amd64"}},
		{"a twin of another folder", []tidy.File{amd, test, {Path: "b/fast_arm64.go", Text: "package b\n"}, {Path: "b/b_test.go"}},
			[]string{"n has no twin"}},
		{"a twin that lacks something", []tidy.File{
			{Path: "a/x_amd64.go", Text: "package a\nfunc f() {}\nvar a, b int\n"},
			{Path: "a/x_arm64.go", Text: "package a\nfunc f() {}\nvar a int\n"}, test}, []string{"b has no twin for arm64"}},
		{"no test", []tidy.File{amd, {Path: "a/fast_arm64.go", Text: "package a\nconst n = 2\n"}}, []string{"and no test"}},
		{"not under the emulator", []tidy.File{
			{Path: "cmd/x/x_amd64.go", Text: "package x\n"}, {Path: "cmd/x/x_test.go", Text: "package x\n"}},
			[]string{"no test of which runs under the emulator"}},
		{"a tag of our own", []tidy.File{{Path: "a/on.go", Text: "//go:build verify\n\npackage a\n"}}, nil},
		{"a choice at run time", []tidy.File{{Path: "a/a.go", Text: "package a\nvar x = runtime.GOARCH == \"amd64\"\n"}},
			[]string{"chooses by runtime.GOARCH"}},
		{"assembly", []tidy.File{{Path: "a/a_amd64.s"}}, []string{"assembly"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, tidy.Architectures(c.files, skipped), c.want...) })
	}
}

// TestEveryArchitectureHasItsTwin reads from scripts/arm64.sh itself which packages are not
// tested under the emulator.
func TestEveryArchitectureHasItsTwin(t *testing.T) {
	_, files := readTree(t)
	filter := regexp.MustCompile(`go list \./\.\.\. \| grep -vE '([^']+)'`)
	for _, f := range files {
		if f.Path != "scripts/arm64.sh" {
			continue
		}
		m := filter.FindStringSubmatch(f.Text)
		if m == nil {
			t.Fatal("scripts/arm64.sh does not say any more which packages it leaves out")
		}
		report(t, tidy.Architectures(files, regexp.MustCompile(m[1])))
		return
	}
	t.Fatal("there is no scripts/arm64.sh")
}
