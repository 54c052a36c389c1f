package config

import (
	"slices"
	"strconv"
	"strings"
)

// Match is a match block: tests that must all be passed.
type Match struct {
	Position
	Name string

	// Of http.
	Statuses []StatusTest
	Headers  []HeaderTest
	Bodies   []BodyTest

	// Of stream: Send goes to the server; Expect must be in what comes back, or Regexp match it.
	// nil and empty mean nothing.
	Send, Expect []byte
	Regexp       string
}

// StatusTest is a line "status [!] code[-code] ...".
type StatusTest struct {
	Not bool
	// Ranges are the first and the last status of each.
	Ranges [][2]int
}

// HeaderTest is a line "header NAME [operator value]" or "header ! NAME".
type HeaderTest struct {
	Name string
	// Op is empty, "!", "=", "!=", "~", "~*", "!~" or "!~*".
	Op string
	// Value is for = and !=, Regexp for package regexp for the others.
	Value, Regexp string
}

// BodyTest is a line "body OPERATOR regex".
type BodyTest struct {
	Not    bool
	Regexp string
}

func readMatch(l *level, n *node) {
	m := &Match{Position: n.Position, Name: n.args[0]}
	if first := l.matches[m.Name]; first != nil {
		l.add(Error, n.Position, "choose another name; the first is at "+first.Position.String(),
			"duplicate match %q", m.Name)
		return
	}
	if l.matches == nil {
		l.matches = map[string]*Match{}
	}
	l.matches[m.Name] = m
	hint, read := "write status, header or body", l.matchLine
	if l.ctx == CtxStream {
		hint, read = "write send or expect", l.streamMatchLine
	}
	for _, line := range n.block {
		switch {
		case line.isBlock:
			l.add(Error, line.Position, hint, `unexpected "{"`)
		case line.name == "require" && l.ctx != CtxStream:
			l.add(Error, line.Position, "test the response itself: write status, header or body",
				"%q of \"match\" is not supported", line.name)
		case !read(m, line):
			l.add(Error, line.Position, hint, "unknown test %q in \"match\" block", line.name)
		}
	}
}

// matchLine reads one line of a match of http. It tells whether there is such a test.
func (l *level) matchLine(m *Match, n *node) bool {
	switch n.name {
	case "status":
		if t, ok := l.statusTest(n); ok {
			m.Statuses = append(m.Statuses, t)
		}
	case "header":
		if t, ok := l.headerTest(n); ok {
			m.Headers = append(m.Headers, t)
		}
	case "body":
		if len(n.args) != 2 || !slices.Contains(matchOps, n.args[0]) {
			l.matchArgs(n, "body ~ REGEX; or body !~ REGEX;")
			break
		}
		if re, ok := l.matchRegex(n, n.args[0], n.args[1]); ok {
			m.Bodies = append(m.Bodies, BodyTest{Not: n.args[0][0] == '!', Regexp: re})
		}
	default:
		return false
	}
	return true
}

// matchOps are the operators with a regular expression behind them.
var matchOps = []string{"~", "~*", "!~", "!~*"}

func (l *level) matchRegex(n *node, op, pattern string) (string, bool) {
	return l.regex(n.Position, pattern, strings.HasSuffix(op, "*"))
}

func (l *level) matchArgs(n *node, hint string) {
	line := strings.Join(append([]string{n.name}, n.args...), " ")
	l.add(Error, n.Position, "write: "+hint, "invalid %q in \"match\" block", line)
}

func (l *level) statusTest(n *node) (t StatusTest, ok bool) {
	const hint = "status 200-399; or status ! 500 503;"
	args := n.args
	if len(args) > 0 && args[0] == "!" {
		t.Not, args = true, args[1:]
	}
	if len(args) == 0 {
		l.matchArgs(n, hint)
		return t, false
	}
	for _, arg := range args {
		first, last, isRange := strings.Cut(arg, "-")
		if !isRange {
			last = first
		}
		low, okLow := parseInt(first, 100)
		high, okHigh := parseInt(last, low)
		if !okLow || !okHigh || high > 999 {
			l.add(Error, n.Position, "write: "+hint, "invalid status %q in \"match\" block", arg)
			return t, false
		}
		t.Ranges = append(t.Ranges, [2]int{low, high})
	}
	return t, true
}

func (l *level) headerTest(n *node) (t HeaderTest, ok bool) {
	const hint = "header NAME; header ! NAME; header NAME = VALUE; or header NAME ~ REGEX;"
	switch {
	case len(n.args) == 1:
		t.Name = n.args[0]
	case len(n.args) == 2 && n.args[0] == "!":
		t.Op, t.Name = "!", n.args[1]
	case len(n.args) == 3 && (n.args[1] == "=" || n.args[1] == "!="):
		t.Name, t.Op, t.Value = n.args[0], n.args[1], n.args[2]
	case len(n.args) == 3 && slices.Contains(matchOps, n.args[1]):
		t.Name, t.Op = n.args[0], n.args[1]
		if t.Regexp, ok = l.matchRegex(n, t.Op, n.args[2]); !ok {
			return t, false
		}
	default:
		l.matchArgs(n, hint)
		return t, false
	}
	if !isToken(t.Name) {
		l.add(Error, n.Position, "write: "+hint, "invalid header name %q in \"match\" block", t.Name)
		return t, false
	}
	return t, true
}

// streamMatchLine reads one line of a match of stream. It tells whether there is such a test.
func (l *level) streamMatchLine(m *Match, n *node) bool {
	switch {
	case n.name == "send" && len(n.args) == 1:
		m.Send = l.unescaped(n, n.args[0])
	case n.name == "expect" && len(n.args) == 1:
		m.Expect = l.unescaped(n, n.args[0])
	case n.name == "expect" && len(n.args) == 2 && (n.args[0] == "~" || n.args[0] == "~*"):
		m.Regexp, _ = l.matchRegex(n, n.args[0], latin1(n.args[1]))
	case n.name == "send":
		l.matchArgs(n, "send TEXT;")
	case n.name == "expect":
		l.matchArgs(n, "expect TEXT; expect ~ REGEX; or expect ~* REGEX;")
	default:
		return false
	}
	return true
}

// latin1 has a character for each byte of s, with the byte's number: what a regular expression
// has to be to see bytes that are no UTF-8.
func latin1(s string) string {
	text := make([]rune, len(s))
	for i := range len(s) {
		text[i] = rune(s[i])
	}
	return string(text)
}

// unescaped replaces \x and two hexadecimal digits by the byte they stand for.
func (l *level) unescaped(n *node, s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) || s[i+1] != 'x' {
			b = append(b, s[i])
			continue
		}
		value, err := strconv.ParseUint(s[i+2:min(i+4, len(s))], 16, 8)
		if err != nil || i+4 > len(s) {
			l.add(Error, n.Position, `write \x and two hexadecimal digits, as in \x0a`,
				"invalid %q in \"match\" block", s[i:min(i+4, len(s))])
			return nil
		}
		b = append(b, byte(value))
		i += 3
	}
	return b
}
