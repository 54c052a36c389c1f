package config

import (
	"cmp"
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// pcreOnly are the constructs of PCRE that RE2, and so package regexp, does not
// have, with what to do instead.
var pcreOnly = []struct{ mark, what string }{
	{"(?=", "lookahead"},
	{"(?!", "negative lookahead"},
	{"(?<=", "lookbehind"},
	{"(?<!", "negative lookbehind"},
	{"(?>", "an atomic group"},
	{"(?|", "a branch reset"},
	{"(?(", "a condition"},
	{"(?R)", "recursion"},
	{"(?&", "recursion"},
	{`\k`, "a backreference"},
	{`\g`, "a backreference"},
	{`\K`, `\K`},
	{`\G`, `\G`},
	{`\R`, `\R`},
	{`\h`, `\h`},
	{`\Z`, `\Z`},
	{"++", "a possessive quantifier"},
	{"*+", "a possessive quantifier"},
	{"?+", "a possessive quantifier"},
	{"(?'", "a group named with quotes; (?<name>...) is supported"},
}

// regexHints say what to write instead of what package regexp refuses.
var regexHints = map[syntax.ErrorCode]string{
	syntax.ErrMissingParen:          `add the ")", or write "\(" for the character itself`,
	syntax.ErrUnexpectedParen:       `add the "(", or write "\)" for the character itself`,
	syntax.ErrMissingBracket:        `add the "]", or write "\[" for the character itself`,
	syntax.ErrMissingRepeatArgument: `write what is repeated before it, as in ".*", or "\*" for the character itself`,
	syntax.ErrTrailingBackslash:     `write "\\" for the character itself`,
	syntax.ErrInvalidRepeatSize:     "write at most 1000 repetitions",
}

var backreference = regexp.MustCompile(`\\[1-9]`)

// regex checks a regular expression of nginx.conf, notes its named captures, and
// returns it for package regexp.
func (l *loader) regex(at Position, pattern string, caseless bool) (string, bool) {
	re := pattern
	if caseless {
		re = "(?i)" + re
	}
	compiled, err := regexp.Compile(re)
	if err != nil {
		l.regexError(at, pattern, err)
		return "", false
	}
	names := compiled.SubexpNames()
	for i, name := range names {
		if name == "" {
			continue
		}
		if slices.Contains(names[:i], name) {
			l.add(Error, at, "rename one", "regex %q has two groups named %q", pattern, name)
			return "", false
		}
		l.captures[name] = true
	}
	return re, true
}

func (l *loader) regexError(at Position, pattern string, err error) {
	const hint = "write it without; regular expressions are those of RE2, which match in linear time"
	for _, c := range pcreOnly {
		if strings.Contains(pattern, c.mark) {
			l.add(Error, at, hint, "regex %q uses %s, which is not supported", pattern, c.what)
			return
		}
	}
	if backreference.MatchString(pattern) {
		l.add(Error, at, hint, "regex %q uses a backreference, which is not supported", pattern)
		return
	}
	text, instead := err.Error(), ""
	var fault *syntax.Error
	if errors.As(err, &fault) {
		text, instead = string(fault.Code), regexHints[fault.Code]
		if part := strings.TrimPrefix(fault.Expr, "(?i)"); part != pattern {
			text += ": " + part
		}
	}
	l.add(Error, at, cmp.Or(instead, "see the syntax of RE2"), "regex %q: %s", pattern, text)
}
