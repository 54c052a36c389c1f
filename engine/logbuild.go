package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/config"
	"holdfast/observe"
	"holdfast/route"
	"holdfast/shard"
)

// logTarget is one log that shards write to: a file, or a syslog server that gets access log
// lines or error log lines.
type logTarget struct {
	config.LogTarget
	errors bool
}

// name is what the target is called in messages, and what tells it from others.
func (t *logTarget) name() string {
	switch {
	case t.Syslog == nil:
		return t.Path
	case t.errors:
		return t.Syslog.Text + " (errors)"
	}
	return t.Syslog.Text
}

// errorTarget is where an error_log leads.
func errorTarget(l *config.ErrorLog) logTarget {
	path := l.Path
	if path == "" && l.Syslog == nil {
		path = "stderr"
	}
	return logTarget{LogTarget: config.LogTarget{Path: path, Syslog: l.Syslog}, errors: true}
}

// logFile is the number of a log, for the life of the process. A file has the buffer of the first
// directive that gives it one.
func (b *builder) logFile(t logTarget) int {
	i := b.life.logs.number(strings.Clone(t.name()))
	known := b.logTargets[i]
	if known == nil {
		b.logTargets[i] = &t
		return i
	}
	if known.Buffer == 0 {
		known.Buffer, known.Flush, known.Gzip = t.Buffer, t.Flush, t.Gzip
	}
	return i
}

func (b *builder) logFormat(f *config.LogFormat) *route.LogFormat {
	if done := b.formats[f]; done != nil {
		return done
	}
	line, err := b.compiler.Compile(f.Text)
	if err != nil {
		b.fail(f.Position, err)
	}
	compiled := &route.LogFormat{Line: line, Escape: escapes[f.Escape]}
	b.formats[f] = compiled
	return compiled
}

var escapes = map[config.Escape]route.Escape{
	config.EscapeDefault: route.EscapeDefault, config.EscapeJSON: route.EscapeJSON, config.EscapeNone: route.EscapeNone,
}

// logs compiles the access_log and tunnel_log of a level into r.
func (b *builder) logs(r *route.Settings, s *config.Settings) {
	for _, l := range s.AccessLogs {
		ref := route.LogRef{File: b.logFile(logTarget{LogTarget: l.LogTarget}), Format: b.logFormat(l.Format)}
		ref.If = b.condition(b.compiler, &l)
		r.AccessLogs = append(r.AccessLogs, ref)
	}
	r.TunnelQuiet = s.TunnelAccess == config.TunnelClose || s.TunnelAccess == config.TunnelOff
	for _, l := range s.TunnelLogs {
		file := b.logFile(logTarget{LogTarget: l.LogTarget})
		if l.Format == nil && l.Close {
			r.TunnelLogs = append(r.TunnelLogs, file)
		}
		if l.Format != nil || l.Open {
			r.TunnelLines = append(r.TunnelLines, route.TunnelLogRef{
				File: file, Log: b.tunnelLog(l.Format), Open: l.Open, Close: l.Close,
			})
		}
	}
}

// condition compiles the if= of an access log; nil for none.
func (b *builder) condition(c *route.Compiler, l *config.AccessLog) *route.Template {
	if l.If == "" {
		return nil
	}
	text, err := c.CompileCondition(l.If)
	if err != nil {
		b.fail(l.Position, err)
	}
	return &text
}

// tunnelLog compiles a format for the lines of tunnels; nil for none.
func (b *builder) tunnelLog(f *config.LogFormat) *route.StreamLog {
	if f == nil {
		return nil
	}
	if done := b.streamLogs[f]; done != nil {
		return done
	}
	compiled, err := b.compiler.NewTunnelLog(f.Text, escapes[f.Escape])
	if err != nil {
		b.fail(f.Position, err)
		return nil
	}
	b.streamLogs[f] = compiled
	return compiled
}

// errorTargets are the error_log of a level as a policy has them.
func (b *builder) errorTargets(logs []config.ErrorLog) (targets shard.ErrorTargets) {
	used := 0
	for _, l := range logs {
		file := b.logFile(errorTarget(&l))
		// config counts levels from the most severe on, observe up to it.
		level, _ := observe.ParseLevel(l.Level.String())
		same := slices.IndexFunc(targets[:used], func(t shard.ErrorTarget) bool { return int(t.Log) == file })
		switch {
		case same >= 0:
			targets[same].Level = min(targets[same].Level, level)
		case used == len(targets):
			b.fail(l.Position, fmt.Errorf("more than %d \"error_log\" directives in one block", len(targets)))
		case file > 1<<16-1:
			b.fail(l.Position, errors.New("more than 65,536 log files are in use"))
		default:
			targets[used] = shard.ErrorTarget{Log: uint16(file), Level: level, Set: true}
			used++
		}
	}
	return targets
}
