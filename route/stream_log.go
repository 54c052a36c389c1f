package route

import (
	"bytes"
	"strconv"
	"time"
)

// StreamLog is a log format of the stream context, or of tunnel_log. Its line is written when
// a session ends, which may be months after it began; so that the session need not keep
// everything that a line may name, it is rendered when it begins, with holes for what its end
// brings.
type StreamLog struct {
	line   Template
	escape Escape
}

// StreamEnd is what the holes of a rendered line get at the end of a session.
type StreamEnd struct {
	NowNs   int64 // nanoseconds since 1970 (UTC)
	StartNs int64 // when the connection was accepted
	Status  int   // $status: 200, 400, 403, 500, 502 or 503
	// BytesSent went to the client, BytesReceived came from it.
	BytesSent, BytesReceived int64
	// Upstream says that an upstream was asked; else all that is about it is absent.
	Upstream                                   bool
	UpstreamBytesSent, UpstreamBytesReceived   int64
	UpstreamFirstByteMs, UpstreamSessionTimeMs int64 // -1 while unknown

	// What follows is about tunnels of http only. RequestNs is when the request began, and
	// OpenedNs when it became a tunnel. Side caused the end, for Reason. HeadSent is what of
	// BytesSent is no body.
	RequestNs, OpenedNs      int64
	Reason, Side             string
	Trail                    []byte
	BytesUp, BytesDown       uint64
	MessagesUp, MessagesDown uint32
	HeadSent                 int64
}

// hole is a place in a rendered line. In the line it is the byte 0 and the hole's number,
// with holeEmpty if what is absent is nothing instead of "-"; a byte 0 of the text stands
// as two.
type hole uint8

const (
	noHole hole = iota
	holeBytesReceived
	holeBytesSent
	holeMsec
	holeSessionTime
	holeStatus
	holeTimeISO8601
	holeTimeLocal
	holeUpstreamBytesReceived
	holeUpstreamBytesSent
	holeUpstreamFirstByte
	holeUpstreamSession
	holeBodyBytesSent
	holeRequestTime
	holeCompletion
	holeTunnelReason
	holeTunnelSide
	holeTunnelDuration
	holeTunnelTrail
	holeTunnelBytesUp
	holeTunnelBytesDown
	holeTunnelMessagesUp
	holeTunnelMessagesDown

	holeEmpty hole = 0x80
)

// tunnelHoles are the variables of http that only the end of a tunnel shows. In an access
// log, whose line is written at the 101, the $tunnel_ ones are absent.
var tunnelHoles = map[string]hole{
	"body_bytes_sent":          holeBodyBytesSent,
	"bytes_sent":               holeBytesSent,
	"connection_time":          holeSessionTime,
	"msec":                     holeMsec,
	"request_completion":       holeCompletion,
	"request_time":             holeRequestTime,
	"time_iso8601":             holeTimeISO8601,
	"time_local":               holeTimeLocal,
	"tunnel_bytes_down":        holeTunnelBytesDown,
	"tunnel_bytes_up":          holeTunnelBytesUp,
	"tunnel_duration":          holeTunnelDuration,
	"tunnel_messages_down":     holeTunnelMessagesDown,
	"tunnel_messages_up":       holeTunnelMessagesUp,
	"tunnel_reason":            holeTunnelReason,
	"tunnel_side":              holeTunnelSide,
	"tunnel_trail":             holeTunnelTrail,
	"upstream_bytes_received":  holeUpstreamBytesReceived,
	"upstream_bytes_sent":      holeUpstreamBytesSent,
	"upstream_response_length": holeTunnelBytesDown,
	"upstream_response_time":   holeUpstreamSession,
}

// NewTunnelLog compiles a log_format for the lines of tunnels (tunnel_log). The error is a
// *CompileError.
func (c *Compiler) NewTunnelLog(text string, esc Escape) (*StreamLog, error) {
	return c.NewStreamLog(text, esc)
}

// NewStreamLog compiles a log_format of the stream context. The error is a *CompileError.
func (c *Compiler) NewStreamLog(text string, esc Escape) (*StreamLog, error) {
	line, err := c.Compile(text)
	if err != nil {
		return nil, err
	}
	for i := range line.parts {
		if m := line.parts[i].arg.table; m != nil && m.isLate(map[*mapTable]bool{}) {
			return nil, &CompileError{
				Text: `the map "$` + m.name + `" depends on what only the end of a session shows`,
				Hint: "log that variable itself: a line is rendered when the session begins",
			}
		}
	}
	return &StreamLog{line: line, escape: esc}, nil
}

// knownAtOpen refuses a text that depends on what only the end of a session shows.
func (t Template) knownAtOpen(hint string) error {
	for i := range t.parts {
		arg := &t.parts[i].arg
		if arg.hole != noHole || arg.table != nil && arg.table.isLate(map[*mapTable]bool{}) {
			return &CompileError{Text: "the text depends on what only the end of a session shows", Hint: hint}
		}
	}
	return nil
}

// Append renders the line now, when the tunnel opens; what only its end shows is as in an
// access log. dst may grow; the result aliases it.
func (l *StreamLog) Append(dst []byte, e *Env) []byte {
	return append(l.line.AppendLog(dst, e, l.escape), '\n')
}

// isLate says whether the map's value depends on a variable with a hole.
func (m *mapTable) isLate(seen map[*mapTable]bool) bool {
	if m.late {
		return true
	}
	seen[m] = true
	for _, other := range m.depends {
		if !seen[other] && other.isLate(seen) {
			return true
		}
	}
	return false
}

// AppendOpen appends the line with its holes. The result needs nothing else to be completed
// by AppendStreamClose. dst may grow; the result aliases it.
func (l *StreamLog) AppendOpen(dst []byte, e *Env) []byte {
	scratch := e.borrow()
	for i := range l.line.parts {
		p := &l.line.parts[i]
		if p.arg.hole != noHole {
			number := p.arg.hole
			if number.listsTries() {
				dst = e.appendEarlierTries(dst, number)
			}
			if l.escape != EscapeDefault {
				number |= holeEmpty
			}
			dst = append(dst, 0, byte(number))
			continue
		}
		one := Template{parts: l.line.parts[i : i+1]}
		scratch = one.AppendLog(scratch[:0], e, l.escape)
		dst = appendDoubled(dst, scratch)
	}
	e.giveBack(scratch)
	return dst
}

// appendDoubled appends text with each byte 0 written twice.
func appendDoubled(dst, text []byte) []byte {
	for {
		at := bytes.IndexByte(text, 0)
		if at < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:at]...), 0, 0)
		text = text[at+1:]
	}
}

// AppendStreamClose appends the line that AppendOpen rendered, its holes filled, and a
// newline. dst may grow; the result aliases it.
func AppendStreamClose(dst, rendered []byte, end *StreamEnd) []byte {
	for {
		at := bytes.IndexByte(rendered, 0)
		if at < 0 || at+1 == len(rendered) {
			return append(append(dst, rendered...), '\n')
		}
		dst = append(dst, rendered[:at]...)
		number := hole(rendered[at+1])
		rendered = rendered[at+2:]
		if number == noHole {
			dst = append(dst, 0)
			continue
		}
		dst = end.fill(dst, number)
	}
}

// fill appends what a hole stands for.
func (end *StreamEnd) fill(dst []byte, number hole) []byte {
	if number&^holeEmpty >= holeBodyBytesSent {
		return end.fillTunnel(dst, number&^holeEmpty)
	}
	switch number &^ holeEmpty {
	case holeBytesReceived:
		return strconv.AppendInt(dst, end.BytesReceived, 10)
	case holeBytesSent:
		return strconv.AppendInt(dst, end.BytesSent, 10)
	case holeMsec:
		return appendMsec(dst, end.NowNs)
	case holeSessionTime:
		return appendMsec(dst, end.NowNs-end.StartNs)
	case holeStatus:
		return appendStatus(dst, end.Status)
	case holeTimeISO8601:
		return time.Unix(0, end.NowNs).AppendFormat(dst, isoTime)
	case holeTimeLocal:
		return time.Unix(0, end.NowNs).AppendFormat(dst, localTime)
	}
	if !end.Upstream {
		if number&holeEmpty != 0 {
			return dst
		}
		return append(dst, '-')
	}
	switch number &^ holeEmpty {
	case holeUpstreamBytesReceived:
		return strconv.AppendInt(dst, end.UpstreamBytesReceived, 10)
	case holeUpstreamBytesSent:
		return strconv.AppendInt(dst, end.UpstreamBytesSent, 10)
	case holeUpstreamFirstByte:
		return appendMaybe(dst, end.UpstreamFirstByteMs)
	case holeUpstreamSession:
		return appendMaybe(dst, end.UpstreamSessionTimeMs)
	}
	return dst
}

// appendMaybe appends a time that may be unknown.
func appendMaybe(dst []byte, ms int64) []byte {
	if ms < 0 {
		return append(dst, '-')
	}
	return appendSeconds(dst, ms)
}

// fillTunnel appends what a hole stands for that only tunnels of http have.
func (end *StreamEnd) fillTunnel(dst []byte, number hole) []byte {
	switch number {
	case holeBodyBytesSent:
		return strconv.AppendInt(dst, end.BytesSent-end.HeadSent, 10)
	case holeRequestTime:
		return appendMsec(dst, end.NowNs-end.RequestNs)
	case holeCompletion:
		return append(dst, "OK"...)
	case holeTunnelReason:
		return append(dst, end.Reason...)
	case holeTunnelSide:
		return append(dst, end.Side...)
	case holeTunnelDuration:
		return appendMsec(dst, end.NowNs-end.OpenedNs)
	case holeTunnelTrail:
		return append(dst, end.Trail...)
	case holeTunnelBytesUp:
		return strconv.AppendUint(dst, end.BytesUp, 10)
	case holeTunnelBytesDown:
		return strconv.AppendUint(dst, end.BytesDown, 10)
	case holeTunnelMessagesUp:
		return strconv.AppendUint(dst, uint64(end.MessagesUp), 10)
	case holeTunnelMessagesDown:
		return strconv.AppendUint(dst, uint64(end.MessagesDown), 10)
	}
	return dst
}
