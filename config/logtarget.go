package config

import (
	"slices"
	"strings"
	"time"
)

// LogTarget is where lines of a log go: a file, or a syslog server.
type LogTarget struct {
	// Path is absolute; empty if Syslog is set.
	Path   string
	Syslog *Syslog
	// Buffer is how many bytes of lines are gathered before they are written; 0 for none.
	Buffer int64
	// Flush is how long gathered lines wait at most; 0 means until the buffer is full.
	Flush time.Duration
	// Gzip is the compression level of what is written, 1 to 9; 0 for none.
	Gzip int
}

// Syslog is a syslog server and how its messages look (syslog:).
type Syslog struct {
	// Text is the destination as written, with "syslog:".
	Text   string
	Server Addr
	// Facility is 0 to 23 as in RFC 3164 section 4.1.1; Severity that of access log lines:
	// those of an error log have their own.
	Facility   int
	Severity   LogLevel
	Tag        string
	NoHostname bool
}

// syslogFacilities are nginx's names in the order of their numbers.
var syslogFacilities = []string{
	"kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp", "audit",
	"alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

const (
	syslogPort   = 514
	syslogTagMax = 32
	hintSyslog   = "write syslog:server=ADDRESS[:PORT][,facility=NAME][,severity=LEVEL][,tag=TAG][,nohostname]"
)

// logTarget reads the destination of a log. What is wrong with it is reported.
func (l *level) logTarget(n *node, text string) (t LogTarget, ok bool) {
	switch rest, syslog := strings.CutPrefix(text, "syslog:"); {
	case syslog:
		t.Syslog, ok = l.syslog(n, text, rest)
		return t, ok
	case text == "" || strings.ContainsRune(text, 0):
		l.invalid(n, text, "write a path")
	case strings.HasPrefix(text, "memory:"):
		l.add(Error, n.Position, "write a path", "%q of %q is not supported", text, n.name)
	case strings.Contains(text, "$"):
		l.add(Error, n.Position, "write a path without variables; if= chooses what a file gets",
			"variables in the path of %q are not supported", n.name)
	default:
		return LogTarget{Path: l.path(text)}, true
	}
	return t, false
}

// syslog reads the parameters behind "syslog:".
func (l *level) syslog(n *node, text, parameters string) (*Syslog, bool) {
	s := &Syslog{Text: text, Facility: slices.Index(syslogFacilities, "local7"), Severity: LevelInfo, Tag: "nginx"}
	seen := map[string]bool{}
	for _, p := range strings.Split(parameters, ",") {
		name, value, hasValue := strings.Cut(p, "=")
		if seen[name] {
			l.add(Error, n.Position, "remove one", "duplicate syslog parameter %q", name)
			return nil, false
		}
		seen[name] = true
		var fault, hint string
		switch {
		case name == "server" && hasValue:
			fault, hint = l.syslogServer(s, value)
		case name == "facility" && hasValue:
			if s.Facility = slices.Index(syslogFacilities, value); s.Facility < 0 {
				fault, hint = "unknown syslog facility", "write one of "+strings.Join(syslogFacilities, ", ")
			}
		case name == "severity" && hasValue:
			i := slices.Index(levelNames, value)
			s.Severity = LogLevel(max(i, 0))
			if i < 0 {
				fault, hint = "unknown syslog severity", "write one of "+strings.Join(levelNames, ", ")
			}
		case name == "tag" && hasValue:
			s.Tag = value
			fault, hint = syslogTagFault(value), "write at most 32 letters, digits and underscores"
		case p == "nohostname":
			s.NoHostname = true
		default:
			fault, hint, value = "unknown syslog parameter", hintSyslog, p
		}
		if fault != "" {
			l.add(Error, n.Position, hint, "%s %q", fault, value)
			return nil, false
		}
	}
	if !seen["server"] {
		l.add(Error, n.Position, hintSyslog, "no syslog server specified in %q", text)
		return nil, false
	}
	return s, true
}

// syslogServer reads the address of a syslog server; a name's first address is used.
func (l *level) syslogServer(s *Syslog, text string) (fault, hint string) {
	hint = "write server=ADDRESS[:PORT] or server=unix:PATH"
	if path, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		s.Server.Unix = path
		if fault = unixPathFault(path); fault != "" {
			fault += " in syslog server"
		}
		return fault, hint
	}
	host, port, fault := splitHostPort(text)
	if fault != "" {
		return fault + " in syslog server", hint
	}
	number := uint16(syslogPort)
	if port != "" {
		number, _ = parsePort(port)
	}
	addrs := l.lookup(host)
	if len(addrs) == 0 {
		return "host not found in syslog server", hint
	}
	s.Server = withPort(addrs[:1], number)[0]
	return "", ""
}

func syslogTagFault(tag string) string {
	switch {
	case len(tag) > syslogTagMax:
		return "syslog tag length exceeds 32 in"
	case strings.ContainsFunc(tag, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}):
		return `syslog "tag" only allows alphanumeric characters and underscore, not`
	}
	return ""
}

// gzipBuffer is the buffer of gzip without buffer=, in bytes.
const gzipBuffer = 64 << 10

// logParameters reads what follows the format of an access log. rest are its words.
func (l *level) logParameters(n *node, log *AccessLog, rest []string) bool {
	for _, arg := range rest {
		name, value, hasValue := strings.Cut(arg, "=")
		ok := true
		switch {
		case name == "buffer" && hasValue:
			if log.Buffer, ok = parseSize(value); !ok || log.Buffer == 0 {
				l.add(Error, n.Position, hintSize, "invalid buffer size %q in %q directive", value, n.name)
				return false
			}
		case name == "flush" && hasValue:
			if log.Flush, ok = parseTime(value); !ok || log.Flush == 0 {
				l.add(Error, n.Position, hintTime, "invalid flush time %q in %q directive", value, n.name)
				return false
			}
		case name == "gzip":
			if log.Gzip = 1; hasValue {
				log.Gzip, ok = parseInt(value, 1)
			}
			if !ok || log.Gzip > 9 {
				l.add(Error, n.Position, "write gzip=1 to gzip=9", "invalid compression level %q in %q directive", value, n.name)
				return false
			}
		case name == "if" && hasValue:
			log.If = value
			l.text(n.Position, n.name, value)
		default:
			l.add(Error, n.Position, "write buffer=SIZE, flush=TIME, gzip[=LEVEL] or if=CONDITION behind the format",
				"invalid parameter %q in %q directive", arg, n.name)
			return false
		}
	}
	if log.Gzip > 0 && log.Buffer == 0 {
		log.Buffer = gzipBuffer
	}
	return l.bufferFits(n, log)
}

// bufferFits checks what nginx checks of a buffered log: a file has one buffer, whoever
// writes to it.
func (l *level) bufferFits(n *node, log *AccessLog) bool {
	switch {
	case log.Flush > 0 && log.Buffer == 0:
		l.add(Error, n.Position, "add buffer=SIZE, or remove flush=", "no buffer is defined for access_log %q", n.args[0])
		return false
	case log.Buffer == 0:
		return true
	case log.Syslog != nil:
		l.add(Error, n.Position, "remove buffer=, flush= and gzip", "logs to syslog cannot be buffered")
		return false
	}
	if l.buffered == nil {
		l.buffered = map[string]AccessLog{}
	}
	first, again := l.buffered[log.Path]
	if again && (first.Buffer != log.Buffer || first.Flush != log.Flush || first.Gzip != log.Gzip) {
		l.add(Error, n.Position, "write the same as at "+first.Position.String(),
			"access_log %q already defined with conflicting parameters", n.args[0])
		return false
	}
	if !again {
		l.buffered[log.Path] = *log
	}
	return true
}
