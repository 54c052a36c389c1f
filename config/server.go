package config

import (
	"os"
	"strings"
)

func readServer(l *level, n *node) {
	s := &Server{Position: n.Position}
	inner := l.inner(CtxServer)
	inner.server = s
	inner.walk(n.block)
	s.Settings, s.Rewrite = inner.settled(), inner.rewrites()
	if len(s.Names) == 0 {
		s.Names = []ServerName{{Position: n.Position}}
	}
	if len(inner.listens) == 0 && !inner.refused && !inner.skippedQUIC {
		inner.listens = []*listen{l.implicitListen(n.Position)}
	}
	l.refusedIn[s] = inner.refused
	l.listensOf = append(l.listensOf, serverListens{s, inner.listens})
	l.cfg.HTTP.Servers = append(l.cfg.HTTP.Servers, s)
}

func readServerName(l *level, n *node) {
	for _, arg := range n.args {
		name := ServerName{Position: n.Position, Text: arg}
		if pattern, ok := strings.CutPrefix(arg, "~"); ok {
			if pattern == "" {
				l.add(Error, n.Position, "write ~ and a regex", "empty regex in server name %q", arg)
				continue
			}
			// The host is compared in lower case, so the regex must not care.
			re, ok := l.regex(n.Position, pattern, true)
			if !ok {
				continue
			}
			name.Kind, name.Regexp = NameRegex, re
		} else if !l.plainName(n, &name) {
			continue
		}
		l.server.Names = append(l.server.Names, name)
	}
}

// plainName completes a name that is no regex.
func (l *level) plainName(n *node, name *ServerName) bool {
	if name.Text == "$hostname" {
		host, err := os.Hostname()
		if err != nil {
			l.errorf(n.Position, "server name \"$hostname\": %v", err)
			return false
		}
		name.Text = host
	}
	name.Text = strings.ToLower(name.Text)
	if strings.Contains(name.Text, "/") {
		l.add(Warning, n.Position, "write a host name only", "server name %q has suspicious symbols", name.Text)
	}
	kind, ok := maskKind(name.Text)
	if !ok {
		l.add(Error, n.Position, "a * may only be the whole first or the whole last label",
			"invalid server name or wildcard %q", name.Text)
		return false
	}
	name.Kind = kind
	return true
}

// maskKind says what kind of host name or mask a text is (ngx_http_core_module,
// server_name; map with hostnames uses the same masks).
func maskKind(s string) (NameKind, bool) {
	kind, rest := NameExact, s
	switch {
	case strings.HasPrefix(s, "*."):
		kind, rest = NamePrefix, s[2:]
	case strings.HasPrefix(s, "."):
		kind, rest = NameDot, s[1:]
	case strings.HasSuffix(s, ".*"):
		kind, rest = NameSuffix, s[:len(s)-2]
	}
	bad := strings.ContainsAny(rest, "*\x00") || strings.Contains(rest, "..") || kind != NameExact && rest == ""
	return kind, !bad
}
