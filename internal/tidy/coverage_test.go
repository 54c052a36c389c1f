package tidy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/internal/tidy"
)

// unobserved are the accepted directives that no test of behaviour mentions, with the reason.
var unobserved = map[string]string{
	"tunnels_min":             "it decides about the start only; a test of engine has both outcomes",
	"tunnel_socket_keepalive": "a tunnel has it from the age of 30 s on; shard tests of DeadPeers advance the clock",
}

// TestEveryDirectiveIsObserved looks for each accepted directive in the configuration texts of
// the tests that move bytes: those of test/ with their testdata, and those of packages on the data
// path. Packages config, engine and cmd test that a directive is read, and what becomes of it.
func TestEveryDirectiveIsObserved(t *testing.T) {
	root, files := readTree(t)
	var texts []string
	for _, f := range files {
		texts = append(texts, configTexts(f)...)
	}
	for _, pattern := range []string{"test/*/testdata/*.txt", "test/*/testdata/*.conf"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	all := strings.Join(texts, "\n;\n")
	names := map[string]bool{}
	for _, d := range config.Directives() {
		if d.Support == config.Supported {
			names[d.Name] = true
		}
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range names {
			if !yield(name) {
				return
			}
		}
	}) {
		_, excused := unobserved[name]
		statement := regexp.MustCompile(`(?:^|[;{}\n])\s*` + name + `(?:\s[^;{}]*)?[;{]`)
		if observed := statement.MatchString(all); observed == excused {
			t.Errorf("%s: observed by a test: %v, excused: %v", name, observed, excused)
		}
	}
}

// configTexts are the texts of a test that may be configurations: its string constants,
// concatenated where the test does so.
func configTexts(f tidy.File) []string {
	for _, folder := range []string{"config/", "engine/", "cmd/", "internal/"} {
		if strings.HasPrefix(f.Path, folder) {
			return nil
		}
	}
	isTest := strings.HasSuffix(f.Path, "_test.go") || strings.HasPrefix(f.Path, "test/")
	if !isTest || !strings.HasSuffix(f.Path, ".go") {
		return nil
	}
	tree, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Text, 0)
	if err != nil {
		return nil
	}
	var texts []string
	ast.Inspect(tree, func(n ast.Node) bool {
		expr, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		text, ok := constant(expr)
		if ok && strings.ContainsAny(text, ";{") {
			texts = append(texts, text)
		}
		return !ok
	})
	return texts
}

// constant is the text of a string constant or of a concatenation with one in it, where what is
// no constant is an X.
func constant(expr ast.Expr) (string, bool) {
	switch e := expr.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, ok := constant(e.X)
		right, ok2 := constant(e.Y)
		if !ok {
			left = "X"
		}
		if !ok2 {
			right = "X"
		}
		return left + right, ok || ok2
	}
	return "", false
}
