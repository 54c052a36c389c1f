package config

import "slices"

// TunnelLog is one tunnel_log directive with a path, or what one without stands for.
type TunnelLog struct {
	Position
	LogTarget
	// Format is nil for lines of names and values.
	Format *LogFormat
	// Open and Close say when a line is written.
	Open, Close bool
}

// TunnelWhen says which lines of a tunnel go to the files of access_log.
type TunnelWhen uint8

// The values of tunnel_log without a path, in the order of their words.
const (
	TunnelUnset TunnelWhen = iota // not written: both
	TunnelOpen                    // the line of the 101
	TunnelClose                   // the line at the close
	TunnelBoth
	TunnelOff
)

var tunnelWords = []string{"", "open", "close", "both", "off"}

const hintTunnelLog = "write: tunnel_log open | close | both | off; or tunnel_log FILE [FORMAT] [open | close | both];"

// readTunnelLog reads "tunnel_log open|close|both|off", which is about the files of
// access_log, and "tunnel_log path [format] [open|close|both]", which names one more.
func readTunnelLog(l *level, n *node) {
	if l.first(n) {
		l.set.TunnelLogs, l.set.TunnelAccess = nil, TunnelUnset
	}
	if word := slices.Index(tunnelWords, n.args[0]); word > 0 {
		if len(n.args) > 1 {
			l.invalid(n, n.args[1], hintTunnelLog)
			return
		}
		l.set.TunnelAccess = TunnelWhen(word)
		return
	}
	target, ok := l.logTarget(n, n.args[0])
	if !ok {
		return
	}
	log := TunnelLog{Position: n.Position, LogTarget: target, Close: true}
	rest := n.args[1:]
	if len(rest) > 0 {
		if word := TunnelWhen(max(slices.Index(tunnelWords, rest[len(rest)-1]), 0)); word > TunnelUnset && word < TunnelOff {
			log.Open, log.Close = word != TunnelClose, word != TunnelOpen
			rest = rest[:len(rest)-1]
		}
	}
	switch len(rest) {
	case 0:
	case 1:
		if log.Format = l.formats[rest[0]]; log.Format == nil {
			l.add(Error, n.Position, "define it with log_format in http", "unknown log format %q", rest[0])
			return
		}
	default:
		l.invalid(n, rest[1], hintTunnelLog)
		return
	}
	l.set.TunnelLogs = append(l.set.TunnelLogs, log)
}

// settled are the final settings of a level. Without a tunnel_log that names a file, here
// or further out, the line at a tunnel's close goes to the files of the access logs.
func (l *level) settled() Settings {
	set := *l.set
	wanted := set.TunnelAccess == TunnelClose || set.TunnelAccess == TunnelBoth ||
		set.TunnelAccess == TunnelUnset && set.TunnelLogs == nil
	if wanted {
		set.TunnelLogs = slices.Clone(set.TunnelLogs)
		for _, log := range set.AccessLogs {
			same := func(t TunnelLog) bool {
				return t.Path == log.Path && t.Syslog == log.Syslog && t.Format == nil && t.Close
			}
			if !slices.ContainsFunc(set.TunnelLogs, same) {
				set.TunnelLogs = append(set.TunnelLogs, TunnelLog{Position: log.Position, LogTarget: log.LogTarget, Close: true})
			}
		}
	}
	return set
}
