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

// AccessLog is one access_log directive.
type AccessLog struct {
	Position
	LogTarget
	Format *LogFormat
	// If is a text with variables: where it is empty or "0" nothing is logged. Empty as
	// written means always.
	If string
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
	// Path is absolute; empty means standard error, or Syslog if that is set.
	Path   string
	Syslog *Syslog
	Level  LogLevel
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
	target, ok := l.logTarget(n, path)
	if !ok {
		return
	}
	log := AccessLog{Position: n.Position, LogTarget: target, Format: l.formats["combined"]}
	if len(n.args) > 1 {
		if log.Format = l.formats[n.args[1]]; log.Format == nil {
			where := "http"
			if l.scope == &l.stream {
				where = "stream"
			}
			hint := suggestKey(n.args[1], l.formats, "define it with log_format in "+where)
			l.add(Error, n.Position, hint, "unknown log format %q", n.args[1])
			return
		}
		if !l.logParameters(n, &log, n.args[2:]) {
			return
		}
	}
	if _, off := l.seen["access_log off"]; !off {
		l.set.AccessLogs = append(l.set.AccessLogs, log)
	}
}

// readErrorLog reads an error_log. Those of the main context are the process's; a level
// further in that has any of its own inherits none.
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
		target, ok := l.logTarget(n, n.args[0])
		if !ok {
			return
		}
		log.Path, log.Syslog = target.Path, target.Syslog
	}
	if l.ctx == CtxMain {
		l.cfg.Main.ErrorLogs = append(l.cfg.Main.ErrorLogs, log)
		return
	}
	if l.first(n) {
		l.set.ErrorLogs = nil
	}
	l.set.ErrorLogs = append(l.set.ErrorLogs, log)
}
