package observe

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Entry is one event for the error log. Empty fields are left out of the line. The
// slices are only read during Append.
type Entry struct {
	NowNs   int64 // Unix time in nanoseconds
	Level   Level
	Conn    uint64 // connection number, $connection; 0: none
	Message string // constant text: lines are limited for each Message
	Detail  []byte // variable text behind it
	Text    []byte // if set, written instead of Message and Detail
	Always  bool   // the line is not limited: programs that read logs count it

	Client   []byte // address of the client
	Server   string // server_name
	Request  []byte // request line
	Scheme   string // what stands before Upstream; empty for http://
	Upstream string // address of the peer, as upstream.Peer.Name
	URI      []byte // what the peer was asked for
	Host     []byte // Host header field
	Referrer []byte // Referer header field
}

// ErrorLog formats error log lines in nginx's shape and limits repeated ones. It
// belongs to one thread: a shard has its own and appends to its own buffer, so
// nothing is locked, shared or allocated.
type ErrorLog struct {
	level   Level
	prefix  []byte // "PID#TID: "
	limiter limiter
}

// NewErrorLog returns a log that writes lines of at least the given level. pid and tid
// are the numbers a line shows: of the process and of the thread or shard.
func NewErrorLog(level Level, pid, tid int) *ErrorLog {
	prefix := strconv.AppendInt(nil, int64(pid), 10)
	prefix = strconv.AppendInt(append(prefix, '#'), int64(tid), 10)
	return &ErrorLog{level: level, prefix: append(prefix, ": "...)}
}

// Enabled tells whether lines of this level are written: worth asking before a costly
// Entry is put together.
func (l *ErrorLog) Enabled(level Level) bool { return level >= l.level }

// Append appends the line of e to dst, or nothing if the level is too low or, unless it is to be
// written always, more than 10 lines with this message were written in the same second. The first line
// afterwards is preceded by one that tells how many were left out. The line is
//
//	2026/11/21 07:30:00 [error] 17#17: *3 message, client: 10.0.0.9, server: example.org, request: "GET / HTTP/1.1",
//	upstream: "http://10.0.0.1:80/", host: "example.org"
//
// in one piece; no byte of a value can end it or look like another field.
func (l *ErrorLog) Append(dst []byte, e *Entry) []byte {
	if e.Level < l.level {
		return dst
	}
	if !e.Always {
		before, ok := l.limiter.allow(e.NowNs, e.Level, e.Message)
		if before.suppressed > 0 {
			dst = l.appendSuppressed(dst, e.NowNs, before)
		}
		if !ok {
			return dst
		}
	}
	dst = l.appendHead(dst, e.NowNs, e.Level)
	if e.Conn != 0 {
		dst = append(dst, '*')
		dst = strconv.AppendUint(dst, e.Conn, 10)
		dst = append(dst, ' ')
	}
	dst = appendMessage(dst, e)
	dst = appendContext(dst, e)
	return append(dst, '\n')
}

// AppendSuppressed appends a line for each message that was left out in a second that
// is over. A shard calls it now and then, so that the last count of a burst is
// written too. It costs one comparison if there is none.
func (l *ErrorLog) AppendSuppressed(dst []byte, nowNs int64) []byte {
	for l.limiter.pending > 0 {
		class, ok := l.limiter.over(nowNs)
		if !ok {
			break
		}
		dst = l.appendSuppressed(dst, nowNs, class)
	}
	return dst
}

func (l *ErrorLog) appendSuppressed(dst []byte, nowNs int64, c class) []byte {
	dst = l.appendHead(dst, nowNs, c.level)
	dst = strconv.AppendUint(dst, c.suppressed, 10)
	dst = append(dst, " similar messages suppressed: "...)
	dst = appendText(dst, c.message)
	return append(dst, '\n')
}

// LineLevel is the level of a line that Append or AppendSuppressed made; of any other
// line it is LevelEmerg, so that no log leaves it out.
func LineLevel(line []byte) Level {
	const stamp = len("2006/01/02 15:04:05 [")
	if len(line) > stamp && line[stamp-1] == '[' {
		if end := bytes.IndexByte(line[stamp:], ']'); end > 0 {
			if level, ok := ParseLevel(string(line[stamp : stamp+end])); ok {
				return level
			}
		}
	}
	return LevelEmerg
}

func (l *ErrorLog) appendHead(dst []byte, nowNs int64, level Level) []byte {
	dst = time.Unix(0, nowNs).AppendFormat(dst, "2006/01/02 15:04:05 [")
	dst = append(dst, level.String()...)
	dst = append(dst, "] "...)
	return append(dst, l.prefix...)
}

func appendMessage(dst []byte, e *Entry) []byte {
	if e.Text != nil {
		return appendBounded(dst, e.Text, textBytesMax)
	}
	dst = appendText(dst, e.Message)
	if len(e.Detail) > 0 {
		if e.Message != "" {
			dst = append(dst, ' ')
		}
		dst = appendText(dst, e.Detail)
	}
	return dst
}

func appendContext(dst []byte, e *Entry) []byte {
	if len(e.Client) > 0 {
		dst = append(dst, ", client: "...)
		dst = appendValue(dst, e.Client)
	}
	if e.Server != "" || len(e.Request) > 0 { // nginx shows a server without a name too
		dst = append(dst, ", server: "...)
		dst = appendValue(dst, e.Server)
	}
	if len(e.Request) > 0 {
		dst = append(dst, `, request: "`...)
		dst = append(appendValue(dst, e.Request), '"')
	}
	if e.Upstream != "" {
		dst = append(dst, `, upstream: "`...)
		dst = append(dst, cmp.Or(e.Scheme, "http://")...)
		dst = appendValue(dst, e.Upstream)
		if strings.HasPrefix(e.Upstream, "unix:") {
			dst = append(dst, ':')
		}
		dst = append(appendValue(dst, e.URI), '"')
	}
	if len(e.Host) > 0 {
		dst = append(dst, `, host: "`...)
		dst = append(appendValue(dst, e.Host), '"')
	}
	if len(e.Referrer) > 0 {
		dst = append(dst, `, referrer: "`...)
		dst = append(appendValue(dst, e.Referrer), '"')
	}
	return dst
}
