package config

import (
	"slices"
	"strings"
)

// Escape says how a log format escapes the values of its variables.
type Escape uint8

// The values of log_format's escape= parameter.
const (
	EscapeDefault Escape = iota // \xXX for control characters, `"` and `\`
	EscapeJSON                  // as inside a JSON string
	EscapeNone                  // not at all
)

var escapeNames = []string{"default", "json", "none"}

// LogFormat is a log_format directive, or the built-in "combined".
type LogFormat struct {
	Position
	Name   string
	Escape Escape
	// Text is the line without its final newline, with variables.
	Text string
}

// AccessLog is one file of an access_log directive.
type AccessLog struct {
	Position
	// Path is absolute.
	Path   string
	Format *LogFormat
}

// LogLevel is the lowest severity that an error log takes.
type LogLevel uint8

// The levels of error_log, most severe first, as in nginx.
const (
	LevelEmerg LogLevel = iota
	LevelAlert
	LevelCrit
	LevelError
	LevelWarn
	LevelNotice
	LevelInfo
	LevelDebug
)

var levelNames = []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

// String is the level as written in error_log.
func (l LogLevel) String() string { return levelNames[l] }

// ErrorLog is one error_log directive.
type ErrorLog struct {
	Position
	// Path is absolute; empty means standard error.
	Path  string
	Level LogLevel
}

// combinedFormat is the log format that nginx has built in.
func combinedFormat() *LogFormat {
	return &LogFormat{
		Name: "combined",
		Text: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent ` +
			`"$http_referer" "$http_user_agent"`,
	}
}

func (l *loader) defineFormat(f *LogFormat) {
	l.formats[f.Name] = f
	l.logFormats = append(l.logFormats, f)
}

func readLogFormat(l *level, n *node) {
	f := &LogFormat{Position: n.Position, Name: n.args[0]}
	parts := n.args[1:]
	if name, ok := strings.CutPrefix(parts[0], "escape="); ok {
		i := slices.Index(escapeNames, name)
		if i < 0 {
			l.add(Error, n.Position, "write escape=default, escape=json or escape=none",
				"unknown log format escaping %q", name)
			return
		}
		f.Escape = Escape(i)
		parts = parts[1:]
	}
	f.Text = strings.Join(parts, "")
	if first := l.formats[f.Name]; first != nil {
		hint := "choose another name; this one is built in"
		if first.File != "" {
			hint = "choose another name; the first is at " + first.Position.String()
		}
		l.add(Error, n.Position, hint, "duplicate \"log_format\" name %q", f.Name)
		return
	}
	l.text(f.Position, n.name, f.Text)
	l.defineFormat(f)
}

func readAccessLog(l *level, n *node) {
	if l.first(n) {
		l.set.AccessLogs = nil
	}
	path := n.args[0]
	if path == "off" {
		if len(n.args) > 1 {
			l.invalid(n, n.args[1], "write: access_log off;")
			return
		}
		l.seen["access_log off"] = n.Position
		l.set.AccessLogs = nil
		return
	}
	if !l.logPath(n, path) {
		return
	}
	log := AccessLog{Position: n.Position, Path: l.path(path), Format: l.formats["combined"]}
	if len(n.args) > 1 {
		if log.Format = l.formats[n.args[1]]; log.Format == nil {
			l.add(Error, n.Position, "define it with log_format in http", "unknown log format %q", n.args[1])
			return
		}
		if !l.accessLogParameters(n) {
			return
		}
	}
	if _, off := l.seen["access_log off"]; !off {
		l.set.AccessLogs = append(l.set.AccessLogs, log)
	}
}

// accessLogParameters reads what follows the format.
func (l *level) accessLogParameters(n *node) bool {
	buffered := false
	for _, arg := range n.args[2:] {
		switch name, _, hasValue := strings.Cut(arg, "="); {
		case hasValue && (name == "buffer" || name == "flush"):
			buffered = buffered || name == "buffer"
			l.add(Warning, n.Position, "", "%q of \"access_log\" has no effect: logs are written in batches anyway", arg)
		case name == "gzip", hasValue && name == "if":
			l.add(Error, n.Position, "remove it", "%q of \"access_log\" is not supported", name)
			return false
		default:
			l.add(Error, n.Position, "write: access_log FILE [FORMAT];", "invalid parameter %q", arg)
			return false
		}
	}
	if len(n.args) > 2 && !buffered {
		l.add(Error, n.Position, "remove flush=", "no buffer is defined for access_log %q", n.args[0])
	}
	return true
}

// logPath refuses the destinations of a log that are not files.
func (l *level) logPath(n *node, path string) bool {
	switch {
	case path == "" || strings.ContainsRune(path, 0):
		l.invalid(n, path, "write a path")
	case strings.HasPrefix(path, "syslog:"), strings.HasPrefix(path, "memory:"):
		l.add(Error, n.Position, "write a path", "%q of %q is not supported", path, n.name)
	case strings.Contains(path, "$"):
		l.add(Error, n.Position, "write a path without variables", "variables in the path of %q are not supported", n.name)
	default:
		return true
	}
	return false
}

func readTunnelLog(l *level, n *node) {
	l.set.TunnelLogs = []string{}
	if n.args[0] != "off" && l.logPath(n, n.args[0]) {
		l.set.TunnelLogs = []string{l.path(n.args[0])}
	}
}

// settled are the final settings of a level. Without any tunnel_log, here or further
// out, the line at a tunnel's close goes to the files of the access logs.
func (l *level) settled() Settings {
	set := *l.set
	if set.TunnelLogs == nil {
		for _, log := range set.AccessLogs {
			if !slices.Contains(set.TunnelLogs, log.Path) {
				set.TunnelLogs = append(set.TunnelLogs, log.Path)
			}
		}
	}
	return set
}

func readErrorLog(l *level, n *node) {
	log := ErrorLog{Position: n.Position, Level: LevelError}
	if len(n.args) > 1 {
		i := slices.Index(levelNames, n.args[1])
		if i < 0 {
			l.invalid(n, n.args[1], "write one of "+strings.Join(levelNames, ", "))
			return
		}
		log.Level = LogLevel(i)
	}
	if n.args[0] != "stderr" {
		if !l.logPath(n, n.args[0]) {
			return
		}
		log.Path = l.path(n.args[0])
	}
	if l.ctx != CtxMain {
		l.warnNoEffect(n, "there is one error log for all; write it in the main context")
		return
	}
	l.cfg.Main.ErrorLogs = append(l.cfg.Main.ErrorLogs, log)
}
