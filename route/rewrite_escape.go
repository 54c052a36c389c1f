package route

import (
	"bytes"
	"strings"
)

// quotedPath reports whether the path that the client sent has a percent-encoding or a "+".
func (e *Env) quotedPath() bool {
	path, _, _ := bytes.Cut(e.RawTarget, questionMark)
	return bytes.IndexByte(path, '%') >= 0 || bytes.IndexByte(path, '+') >= 0
}

// escapesInArgs are the printable bytes that nginx escapes in a capture (NGX_ESCAPE_ARGS).
const escapesInArgs = "\"#%&+;<>?\\^`{|}"

// escapeArgsFrom escapes dst[at:] as nginx does a capture that goes into arguments.
func escapeArgsFrom(dst []byte, at int, e *Env) []byte {
	raw := append(e.borrow(), dst[at:]...)
	dst = dst[:at]
	for _, c := range raw {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(escapesInArgs, c) >= 0 {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	e.giveBack(raw)
	return dst
}

// unescapeRedirect resolves in place the percent-encodings of visible characters above "%", up
// to a "?", as nginx does with the URL of a redirect (NGX_UNESCAPE_REDIRECT). An encoding that
// is none loses its "%" and a digit behind it.
func unescapeRedirect(url []byte) []byte {
	to := 0
	for from := 0; from < len(url); from++ {
		c := url[from]
		if c == '%' {
			digits := url[from+1:]
			if len(digits) > 2 {
				digits = digits[:2]
			}
			code, used := hexPair(digits)
			from += used
			if code < 0 {
				if used == 1 && hexDigit(digits[0]) < 0 {
					url[to] = digits[0]
					to++
				}
				continue
			}
			if code <= '%' || code >= 0x7f {
				to += copy(url[to:], []byte{'%', digits[0], digits[1]})
				continue
			}
			c = byte(code)
		}
		url[to] = c
		to++
		if c == '?' {
			to += copy(url[to:], url[from+1:])
			break
		}
	}
	return url[:to]
}

// hexPair reads two digits; used are the bytes looked at. code is -1 unless both are digits.
func hexPair(digits []byte) (code, used int) {
	for _, c := range digits {
		used++
		value := hexDigit(c)
		if value < 0 {
			return -1, used
		}
		code = code<<4 | value
	}
	if used < 2 {
		return -1, used
	}
	return code, used
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// note keeps a line for the error log (rewrite_log).
func (r *rewriting) note(parts ...any) {
	line := r.e.borrow()
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			line = append(line, p...)
		case []byte:
			line = append(line, p...)
		}
	}
	r.out.Notices = append(r.out.Notices, r.e.keep(line))
	r.e.giveBack(line)
}

func (r *rewriting) noteMatch(pattern string, subject []byte, found bool) {
	verb := `" does not match "`
	if found {
		verb = `" matches "`
	}
	r.note(`"`, pattern, verb, subject, `"`)
}

func (r *rewriting) noteRewritten() {
	r.note(`rewritten data: "`, r.e.URI, `", args: "`, r.e.Args, `"`)
}
