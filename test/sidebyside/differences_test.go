package sidebyside_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/differences.md anew")

const differencesIntro = `# Differences from nginx

This page is written by a test (` + "`make docs`" + `). ` + "`test/sidebyside`" + ` gives nginx 1.22 and holdfast the same
configurations and the same requests, and compares what the backends saw, what the clients got and what was logged.
Each difference below is there on purpose, and the case that is named holds it: lines with "-" are nginx's, lines
with "+" are holdfast's. What else differs is said at each directive in [directives.md](directives.md).

Two things are made equal before the comparison: the looks of pages that nobody wrote, with their reason phrases, and
whether a connection to an upstream is kept. The cases that show them are below as well.
`

// TestDifferences keeps docs/differences.md what the cases say.
func TestDifferences(t *testing.T) {
	cases, err := readCases()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString(differencesIntro)
	group := ""
	for _, c := range cases {
		if c.reason == "" {
			continue
		}
		if c.group != group {
			group = c.group
			text.WriteString("\n## " + strings.ToUpper(group[:1]) + group[1:] + "\n")
		}
		text.WriteString("\n### " + c.name + "\n\n" + folded(c.reason) + "\n\n```diff\n" + strings.Join(c.diff, "\n") + "\n```\n")
	}
	path := filepath.Join("..", "..", "docs", "differences.md")
	if *update {
		write(t, path, text.String())
		return
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != text.String() {
		t.Errorf("docs/differences.md is not what the cases say: run make docs")
	}
}

// folded breaks a text into lines of at most 120 columns.
func folded(text string) string {
	const most = 120
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > most {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return strings.Join(append(lines, line), "\n")
}
