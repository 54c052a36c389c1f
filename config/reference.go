package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const referenceHead = `# Directives

This page is written by the program itself (` + "`make docs`" + `);
` + "`holdfast directives NAME`" + ` prints one entry.

holdfast reads nginx.conf. Where nothing is said below, a directive means what it means in nginx, with the same
defaults, the same inheritance and the same value syntax (sizes ` + "`512`, `8k`, `1m`" + `; times ` +
	"`60s`, `1m30s`, `500ms`" + `).

- Relative paths: ` + "`include`" + ` looks beside the main configuration file; the rest is joined to the prefix,
  ` + "`" + DefaultPrefix + "`" + ` unless ` + "`-p`" + ` says otherwise.
- Times beyond 100 years count as 100 years.
- The order of directives within a block does not matter, but for that of rewrite, set, if, break and return.
- Regular expressions are those of RE2, which match in linear time: no lookaround, no backreferences.
- Names of servers are resolved once, when the configuration is read, unless the server has resolve.
- A directive of nginx that cannot change what a request does here is accepted with a warning. One that would
  change it is an error: nothing is silently different.

`

// WriteReference writes the directive reference as Markdown: the page
// docs/directives.md. It returns the first error of w.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceHead)
	all := Directives()
	writeSupported(&b, all)
	b.WriteString("## Accepted without effect\n\nEach is a warning, once.\n\n" +
		"| directive | why it has no effect |\n|---|---|\n")
	writeReasons(&b, all, NoEffect)
	b.WriteString("\n## Refused\n\nEach is an error, as is every other directive of nginx that is not on this page.\n\n" +
		"| directive | what to do |\n|---|---|\n")
	writeReasons(&b, all, Refused)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeSupported(b *strings.Builder, all []Directive) {
	b.WriteString("## Supported\n")
	for _, d := range all {
		if d.Support != Supported {
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n", d.Name)
		b.WriteString(d.Usage())
	}
	b.WriteByte('\n')
}

// Usage describes the directive in a few lines of Markdown.
func (d Directive) Usage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n\n", d.syntax())
	if d.Default != "" {
		fmt.Fprintf(&b, "- default: `%s`\n", d.Default)
	}
	fmt.Fprintf(&b, "- context: %s\n", d.Contexts)
	if d.Support != Supported {
		fmt.Fprintf(&b, "- %s\n", d.Support)
	}
	fmt.Fprintf(&b, "\n%s\n", d.Doc)
	if d.Deviation != "" {
		fmt.Fprintf(&b, "\n**Differs from nginx:** %s\n", d.Deviation)
	}
	return b.String()
}

// writeReasons writes one row per reason, in the order of the first name.
func writeReasons(b *strings.Builder, all []Directive, support Support) {
	names := map[string][]string{}
	var reasons []string
	for _, d := range all {
		if d.Support != support {
			continue
		}
		reason := d.Doc
		if d.Deviation != "" {
			reason += ". " + d.Deviation
		}
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		if name := "`" + d.Name + "`"; !slices.Contains(names[reason], name) {
			names[reason] = append(names[reason], name)
		}
	}
	for _, reason := range reasons {
		fmt.Fprintf(b, "| %s | %s |\n", strings.Join(names[reason], " "), reason)
	}
}
