package tidy_test

import (
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/tidy"
)

// expect compares findings with the fragments they must contain, in order.
func expect(t *testing.T, found []tidy.Finding, want ...string) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("findings %q, want %d of them: %q", found, len(want), want)
	}
	for i, fragment := range want {
		if !strings.Contains(found[i].String(), fragment) {
			t.Errorf("finding %q does not say %q", found[i], fragment)
		}
	}
}

func TestImportsRule(t *testing.T) {
	cases := []struct {
		name, path, imports string
		want                []string
	}{
		{"allowed", "relay/half.go", `"holdfast/pool"`, nil},
		{"upwards", "relay/half.go", `"holdfast/shard"`, []string{"relay/half.go:2: relay must not import shard"}},
		{"engine is for cmd only", "shard/loop.go", `"holdfast/engine"`, []string{"shard must not import engine"}},
		{"unix outside sys", "shard/loop.go", `"golang.org/x/sys/unix"`, []string{"only internal/sys may"}},
		{"unix in sys", "internal/sys/poller.go", `"golang.org/x/sys/unix"`, nil},
		{"restricted std", "httpparse/head.go", `"net"`, []string{"httpparse must not import net; only"}},
		{"net/netip is not net", "route/host.go", `"net/netip"`, nil},
		{"unknown module", "config/load.go", `"example.com/yaml"`, []string{"no product package may import example.com/yaml"}},
		{"test library in product", "upstream/peer.go", `"github.com/google/go-cmp/cmp"`, []string{"no product package"}},
		{"test library in a test", "upstream/peer_test.go", `"github.com/google/go-cmp/cmp"`, nil},
		{"bench links the product", "bench/hold/main.go", `"holdfast/shard"`, []string{"bench/* must not import shard"}},
		{"e2e test links the product", "test/e2e/a_test.go", `"holdfast/engine"`, []string{"test/* must not import engine"}},
		{"bench shares code", "bench/hold/main.go", `"holdfast/bench/ws"`, nil},
		{"bench uses a library", "bench/hold/main.go", `"github.com/panjf2000/gnet/v2"`, nil},
		{"new folder", "turbo/turbo.go", `"fmt"`, []string{"folder turbo is not in the import policy"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := tidy.File{Path: c.path, Text: "package p\nimport _ " + c.imports + "\n"}
			expect(t, tidy.Imports([]tidy.File{file}, policy), c.want...)
		})
	}
}

func TestSizeRule(t *testing.T) {
	limits := tidy.Limits{FileLines: 9, FunctionLines: 3, LineColumns: 30, Parameters: 2, LongMark: []string{"httpparse"}}
	long := "func f() {\n\n\n\n}\n"
	cases := []struct {
		name, path, body string
		want             []string
	}{
		{"small", "a/a.go", "func f(a, b int) {\n}\n", nil},
		{"long function", "a/a.go", long, []string{"a/a.go:2: f has 5 lines"}},
		{"table", "a/a.go", "func f() []int {\n\treturn []int{\n\t\t1,\n\t}\n}\n", nil},
		{"no table", "a/a.go", "func f() int {\n\treturn g(\n\t\t1,\n\t)\n}\n", []string{"f has 5 lines"}},
		{"marked where allowed", "httpparse/a.go", "//tidy:long a state loop\n" + long, nil},
		{"marked without a reason", "httpparse/a.go", "//tidy:long\n" + long, []string{"needs a reason"}},
		{"marked elsewhere", "a/a.go", "//tidy:long a state loop\n" + long, []string{"allowed only in httpparse"}},
		{"long line", "a/a.go", "// " + strings.Repeat("é", 28) + "\n", []string{"a/a.go:2: 31 columns"}},
		{"a tab is one", "a/a.go", "\t\t// " + strings.Repeat("x", 25) + "\n", nil},
		{"long file", "a/a.go", strings.Repeat("\n", 9), []string{"10 lines, the limit is 9"}},
		{"parameters", "a/a.go", "func f(a, b int, c int) {}\n", []string{"f has 3 parameters"}},
		{"parameters of a literal", "a/a.go", "var f = func(a, b, c int) {}\n", []string{"literal has 3 parameters"}},
		{"syntax", "a/a.go", "func {\n", []string{"a/a.go"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			expect(t, tidy.Size(tidy.File{Path: c.path, Text: "package p\n" + c.body}, limits), c.want...)
		})
	}
}

func TestDocumentedRule(t *testing.T) {
	cases := []struct {
		name, body string
		want       []string
	}{
		{"documented", "// F is.\nfunc F() {}\n", nil},
		{"function", "func F() {}\n", []string{"F is exported"}},
		{"method", "// T is.\ntype T int\nfunc (T) M() {}\n", []string{"M is exported"}},
		{"generic method", "// T is.\ntype T[A any] int\nfunc (t *T[A]) M() {}\n", []string{"M is exported"}},
		{"method of an unexported type", "type t int\nfunc (*t) M() {}\n", nil},
		{"type", "type T int\n", []string{"T is exported"}},
		{"group comment", "// The kinds.\nconst (\n\tA = 1\n\tB = 2\n)\n", nil},
		{"line comment", "const (\n\tA = 1 // first\n\tB = 2\n)\n", []string{"B is exported"}},
		{"directive is no comment", "//go:noinline\nfunc F() {}\n", []string{"F is exported"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			expect(t, tidy.Documented(tidy.File{Path: "a/a.go", Text: "package p\n" + c.body}), c.want...)
		})
	}
}

func TestPackageDocsRule(t *testing.T) {
	expect(t, tidy.PackageDocs([]tidy.File{
		{Path: "a/a.go", Text: "package a\n"},
		{Path: "a/doc.go", Text: "// Package a is.\npackage a\n"},
		{Path: "b/b.go", Text: "package b\n"},
	}), "b/b.go:1: no file of the package has a package comment")
}

func TestFileNamesRule(t *testing.T) {
	files := []tidy.File{{Path: "a/utils.go"}, {Path: "a/helper_test.go"}, {Path: "common/a.go"}, {Path: "a/commons.txt.md"},
		{Path: "a/utility.go"}}
	expect(t, tidy.FileNames(files, []string{"util", "helper", "common"}),
		"a/utils.go", "a/helper_test.go", "common/a.go", "a/commons.txt.md")
}

func TestWordsRule(t *testing.T) {
	files := []tidy.File{{Path: "a.md", Text: "fine\nnot foo bar\n"}}
	words := []tidy.Word{{Pattern: regexp.MustCompile(`\bfoo\b`), Instead: "say bar"}}
	expect(t, tidy.Words(files, words), `a.md:2: "foo": say bar`)
}
