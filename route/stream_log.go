package route

import (
	"bytes"
	"strconv"
	"time"
)

// StreamLog is a log format of the stream context. Its line is written when a session ends,
// which may be months after it began; so that the session need not keep everything that a
// line may name, it is rendered when it begins, with holes for what its end brings.
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

	holeEmpty hole = 0x80
)

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
