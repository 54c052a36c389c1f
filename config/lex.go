package config

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	crossplane "github.com/nginxinc/nginx-go-crossplane"
)

// Limits that keep a broken or hostile file from exhausting the process.
const (
	depthMax      = 64
	statementsMax = 2_000_000
)

// node is one statement: a directive, or one line of a map.
type node struct {
	Position
	name    string
	args    []string
	block   []*node
	isBlock bool
	order   int // among the statements of its block
	// suspect is an argument that stands first in its line and is a directive, "" without one.
	suspect string
}

// parser turns files into statements. Tokens come from crossplane's lexer; the
// structure is read here, because an include inside a map, an include cycle and a
// missing ";" must each be reported at their own line.
type parser struct {
	*loader
	statements int
	// stack holds the files being read, for cycles.
	stack []string
}

const byteOrderMark = "\ufeff"

// The lexer takes for a blank what Unicode takes for one. nginx does not, and what looks like a
// blank and is none has to be shown: so these are other characters while the lexer runs.
var (
	otherSpaces = []string{
		"\v", "\f", "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
		"\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
	}
	hideSpaces = strings.NewReplacer(hidden(0, 1)...)
	showSpaces = strings.NewReplacer(hidden(1, 0)...)
)

// hidden are the pairs of a replacer: each of otherSpaces and a character for private use.
func hidden(from, to int) []string {
	var pairs []string
	for i, space := range otherSpaces {
		pair := [2]string{space, string(rune(0xf8d0 + i))}
		pairs = append(pairs, pair[from], pair[to])
	}
	return pairs
}

// stream is what is left of one file's tokens.
type stream struct {
	file   string
	tokens []crossplane.NgxToken
	// end is the line of the end of the file.
	end int
	// text is the whole file.
	text string
}

// text parses the text of one file, and with it everything that it includes.
func (p *parser) text(name, text string) []*node {
	if name != commandLine && !slices.ContainsFunc(p.files, func(f SourceFile) bool { return f.Name == name }) {
		p.files = append(p.files, SourceFile{Name: name, Text: text})
	}
	p.stack = append(p.stack, name)
	defer func() { p.stack = p.stack[:len(p.stack)-1] }()

	if nodes, ok := p.plain(name, text); ok {
		return nodes
	}
	if marked := strings.TrimPrefix(text, byteOrderMark); marked != text {
		p.add(Error, Position{name, 1}, "save the file as UTF-8 without one", "the file begins with a byte order mark")
		text = marked
	}
	s := &stream{file: name, end: strings.Count(text, "\n") + 1, text: text}
	badText := !utf8.ValidString(text)
	// The channel is always drained: crossplane's goroutine ends only then.
	lexed := hideSpaces.Replace(text)
	for t := range crossplane.Lex(strings.NewReader(lexed)) {
		if lexed != text {
			t.Value = showSpaces.Replace(t.Value)
		}
		if t.Error == nil && !t.IsQuoted && strings.HasPrefix(t.Value, "#") {
			continue
		}
		if badText && strings.ContainsRune(t.Value, utf8.RuneError) {
			p.syntax(Position{name, t.Line}, "write the file in UTF-8", "a byte that is not UTF-8")
		}
		s.tokens = append(s.tokens, t)
	}
	return p.block(s, 0)
}

// block reads statements up to the "}" of the block, or to the end of the file at
// depth 0.
func (p *parser) block(s *stream, depth int) []*node {
	var nodes []*node
	for len(s.tokens) > 0 && !p.broken[s.file] {
		t := s.tokens[0]
		switch {
		case t.Error != nil:
			p.lexError(s, t)
			return nodes
		case t.IsQuoted:
		case t.Value == "}":
			s.tokens = s.tokens[1:]
			return nodes
		case t.Value == ";" || t.Value == "{":
			hint := "remove it"
			if t.Value == "{" {
				hint = "write the name of the block before it"
			}
			p.syntax(Position{s.file, t.Line}, hint, "unexpected %q", t.Value)
			return nodes
		}
		n := p.statement(s, depth)
		if n == nil {
			return nodes
		}
		if n.name == "include" && !n.isBlock {
			nodes = append(nodes, p.include(n)...)
		} else {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// statement reads a name, its arguments and its block. It returns nil after a
// syntax error, which it has reported.
func (p *parser) statement(s *stream, depth int) *node {
	n := &node{Position: Position{s.file, s.tokens[0].Line}, name: unescape(s.tokens[0].Value)}
	if p.statements++; p.statements > statementsMax || depth > depthMax {
		p.syntax(n.Position, "", "the configuration is nested too deeply or has too many statements")
		return nil
	}
	line := n.Line
	for s.tokens = s.tokens[1:]; len(s.tokens) > 0; s.tokens = s.tokens[1:] {
		t := s.tokens[0]
		if t.Line > line && n.suspect == "" && !t.IsQuoted && p.index[t.Value] != nil {
			n.suspect = t.Value
		}
		line = t.Line
		switch {
		case t.Error != nil:
			p.lexError(s, t)
			return nil
		case t.IsQuoted:
		case t.Value == ";":
			s.tokens = s.tokens[1:]
			return n
		case t.Value == "{":
			s.tokens = s.tokens[1:]
			n.isBlock = true
			n.block = p.block(s, depth+1)
			return n
		case t.Value == "}":
			p.syntax(Position{s.file, t.Line}, `end the statement before it with ";", or quote a pattern that has braces`,
				`unexpected "}"`)
			return nil
		}
		n.args = append(n.args, unescape(t.Value))
	}
	p.syntax(Position{s.file, s.end}, unclosed(s.text),
		`unexpected end of file, expecting ";" or "}"`)
	return nil
}

// syntax reports an error after which the rest of the file has no sure meaning.
func (p *parser) syntax(at Position, hint, format string, args ...any) {
	p.add(Error, at, hint, format, args...)
	p.broken[at.File] = true
	p.brokenAny = true
}

func (p *parser) lexError(s *stream, t crossplane.NgxToken) {
	what, line := t.Error.Error(), t.Line
	var perr *crossplane.ParseError
	if errors.As(t.Error, &perr) {
		what = perr.What
		if perr.Line != nil {
			line = min(*perr.Line, s.end)
		}
	}
	hint := ""
	switch {
	case strings.Contains(what, "end of file"):
		hint = unclosed(s.text)
	case what == `unexpected "}"`:
		hint = "remove it: all blocks are closed already"
	case what == `unexpected ";"`:
		hint = "remove it"
	}
	p.syntax(Position{s.file, line}, hint, "%s", what)
}

// include returns the statements of the files that an include names.
func (p *parser) include(n *node) []*node {
	if len(n.args) != 1 {
		p.add(Error, n.Position, "write: include FILE;", `invalid number of arguments in "include" directive`)
		return nil
	}
	pattern := n.args[0]
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(p.confDir, pattern)
	}
	paths := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if paths, err = p.opt.Glob(pattern); err != nil {
			p.errorf(n.Position, "include %q: %v", n.args[0], err)
			return nil
		}
		slices.Sort(paths)
	}
	var nodes []*node
	for _, path := range paths {
		if slices.Contains(p.stack, path) || len(p.stack) > depthMax {
			p.add(Error, n.Position, "remove one of the two", "include %q: the file includes itself", n.args[0])
			continue
		}
		text, err := p.opt.ReadFile(path)
		if err != nil {
			p.errorf(n.Position, "include %q: %v", n.args[0], err)
			continue
		}
		nodes = append(nodes, p.text(path, string(text))...)
	}
	return nodes
}

// unescape resolves what a backslash means in nginx.conf: itself before a quote or
// a backslash, a control character before t, r and n, and nothing special before
// anything else, so that regular expressions need no doubled backslashes.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case '"', '\'', '\\':
			out = append(out, s[i])
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'n':
			out = append(out, '\n')
		default:
			out = append(out, '\\', s[i])
		}
	}
	return string(out)
}
