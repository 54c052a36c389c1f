package shard

import (
	"bytes"
	"net/netip"
	"time"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
)

// LogSink takes whole lines off the shard's hands: it keeps the buffer it is given
// and returns an empty one. It must not block.
type LogSink interface {
	Swap(full []byte) (empty []byte)
}

type logBuffer struct {
	sink LogSink
	buf  []byte
}

// errorLog is the shard's share of the error log.
type errorLog struct {
	log    *observe.ErrorLog
	lines  logBuffer
	entry  observe.Entry
	text   []byte // scratch for Client
	words  []byte // scratch for Text
	lineNs int64  // time of the last line, written or suppressed
	// scratch is a line under construction.
	scratch []byte
}

// ErrorTarget is one error_log of a level: the number of its log, and the lowest level that
// it takes. The zero value is none.
type ErrorTarget struct {
	Log   uint16
	Level observe.Level
	Set   bool
}

// ErrorTargets are the error_log of a level, in order, none behind one that is not Set.
// Without any, lines go to the process's own.
type ErrorTargets [4]ErrorTarget

// takes reports whether one of the targets takes lines of this level.
func (t *ErrorTargets) takes(level observe.Level) bool {
	for i := range t {
		if t[i].Set && level >= t[i].Level {
			return true
		}
	}
	return false
}

func (sh *Shard) openLogs() {
	for _, sink := range sh.opt.Logs {
		sh.logs = append(sh.logs, logBuffer{sink: sink})
	}
	// Which levels are written, errorTargets says.
	sh.errors.log = observe.NewErrorLog(observe.LevelDebug, sh.opt.Pid, sh.opt.Index)
	sh.errors.lines.sink = sh.opt.Errors
}

// flushLogs hands over the lines of this turn.
func (sh *Shard) flushLogs() {
	for i := range sh.logs {
		sh.logs[i].flush()
	}
	sh.errors.lines.flush()
}

func (l *logBuffer) flush() {
	if len(l.buf) > 0 {
		l.buf = l.sink.Swap(l.buf)
	}
}

// errorTargets are the error_log that hold for a session; nil means the process's own. ok is
// false if none of them takes lines of this level.
func (sh *Shard) errorTargets(s *Session, level observe.Level) (targets *ErrorTargets, ok bool) {
	if s != nil {
		if targets = &sh.opt.Policies.At(s.policy).Errors; targets[0].Set {
			return targets, targets.takes(level)
		}
	}
	return nil, level >= sh.opt.ErrorLevel
}

// logError writes an error log line about a session, or about the shard where s is
// nil. message is constant text, by which repeated lines are limited.
func (sh *Shard) logError(s *Session, level observe.Level, message string, detail []byte) {
	sh.logEntry(s, observe.Entry{Level: level, Message: message, Detail: detail})
}

// words is where the text of a line is put together, for logText and logRefusal.
func (sh *Shard) words() []byte { return sh.errors.words[:0] }

// logText is logError with a text that stands in the message's place.
func (sh *Shard) logText(s *Session, level observe.Level, message string, text []byte) {
	sh.errors.words = text
	sh.logEntry(s, observe.Entry{Level: level, Message: message, Text: text})
}

// logRefusal is logError for a client that may not come in or asks too much. Programs count these
// lines by the client, so they are never limited: what the log's writer drops it counts.
func (sh *Shard) logRefusal(s *Session, level observe.Level, message string, detail []byte) {
	sh.logEntry(s, observe.Entry{Level: level, Message: message, Detail: detail, Always: true})
}

// logEntry writes a line with what is known of the session behind it.
func (sh *Shard) logEntry(s *Session, entry observe.Entry) {
	el, level := &sh.errors, entry.Level
	targets, ok := sh.errorTargets(s, level)
	if !ok {
		return
	}
	e := &el.entry
	*e = entry
	e.NowNs = sh.wallNs()
	if s != nil {
		e.Conn = s.id
		sh.describe(s, e)
	}
	el.lineNs = e.NowNs
	sh.houseSoon()
	if targets == nil {
		el.lines.buf = el.log.Append(el.lines.buf, e)
		return
	}
	el.scratch = el.log.Append(el.scratch[:0], e)
	for _, t := range targets {
		if t.Set && level >= t.Level {
			log := &sh.logs[t.Log]
			log.buf = append(log.buf, el.scratch...)
		}
	}
}

// logSuppressed writes how many lines were suppressed in seconds that are over. It
// reports whether the present second may leave some.
func (sh *Shard) logSuppressed() (more bool) {
	el := &sh.errors
	nowNs := sh.wallNs()
	el.scratch = el.log.AppendSuppressed(el.scratch[:0], nowNs)
	for line := range bytes.Lines(el.scratch) {
		if observe.LineLevel(line) >= sh.opt.ErrorLevel {
			el.lines.buf = append(el.lines.buf, line...)
		}
	}
	const second = int64(time.Second)
	return nowNs/second == el.lineNs/second
}

// describe adds what is known of the session's request to an entry.
func (sh *Shard) describe(s *Session, e *observe.Entry) {
	el := &sh.errors
	var client netip.AddrPort
	if s.request == 0 {
		client = sh.remoteAddr(s)
	} else {
		client = sh.cold(s).env.Remote
	}
	el.text = append(el.text[:0], "unix:"...)
	if client.IsValid() {
		el.text = client.Addr().AppendTo(el.text[:0])
	}
	e.Client = el.text
	if s.request == 0 {
		return
	}
	r := sh.cold(s)
	e.Server = r.server.Name
	buf := sh.headBuf(r)
	e.Request = requestLine(buf.B[:buf.W])
	if host, ok := r.req.Find(buf.B, fieldHost); ok {
		e.Host = host
	}
	e.Referrer, _ = r.req.Find(buf.B, httpparse.FieldReferer)
	if r.peer != nil {
		e.Upstream = r.peer.Name
		e.Scheme = r.upstreamScheme()
		if e.URI = r.env.RawTarget; r.internal {
			e.URI = r.env.URI
		}
	}
}

// upstreamScheme is how the upstream is spoken to, as the error log has it.
func (r *Request) upstreamScheme() string {
	switch {
	case r.stream != nil || r.connect:
		return "tcp://"
	case r.tls != nil:
		return "https://"
	}
	return "http://"
}

// requestLineMax bounds what a log line shows of a request line, in bytes.
const requestLineMax = 4096

// requestLine is the first line of a head, as far as it has come.
func requestLine(head []byte) []byte {
	head = bytes.TrimLeft(head, "\r\n")
	if end := bytes.IndexAny(head, "\r\n"); end >= 0 {
		head = head[:end]
	}
	return head[:min(len(head), requestLineMax)]
}

// logErrno logs an alert about a failed system call that is about no session.
func (sh *Shard) logErrno(message string, errno sys.Errno) {
	sh.logText(nil, observe.LevelAlert, message, appendErrno(append(append(sh.words(), message...), ' '), errno))
}

// countPeerBytes adds what moved since the last call to the account of the peer.
func (sh *Shard) countPeerBytes(r *Request) {
	if r.peer == nil {
		return
	}
	moved := r.up.sent + r.env.UpstreamBytesReceived
	r.peer.Bytes.Add(uint64(moved - r.counted))
	r.counted = moved
}

// endRequest books the end of a request and writes the access log lines of one whose
// head was understood, or that got an answer.
func (sh *Shard) endRequest(s *Session, r *Request) {
	sh.countPeerBytes(r)
	sh.forgetCount(r)
	e := &r.env
	if r.sub != nil { // the client left meanwhile
		e.Return(&r.sub.mark)
		e.ForgetUpstream()
		r.location, r.sub = e.Location, nil
	}
	e.BytesSent = r.down.sent
	e.BodyBytesSent = max(r.down.sent-r.headSent, 0)
	e.UpstreamBytesSent = r.up.sent
	if r.stream != nil {
		if e.Status != streamOK || r.answered || r.peer == nil {
			sh.logStream(r) // else it is logged when the tunnel ends
		}
		return
	}
	r.noteChunked()
	sh.counters.HTTPBytesUp += uint64(r.up.sent)
	sh.counters.HTTPBytesDown += uint64(r.down.sent)
	if e.Status == 0 {
		if r.req.HeadLen == 0 {
			return
		}
		e.Status = statusClientClosed
	}
	e.NowNs = sh.wallNs()
	if r.quiet {
		return
	}
	sh.logged = s
	logs := r.settings().AccessLogs
	for i := range logs {
		if l := &logs[i]; l.Wanted(e) {
			sh.logs[l.File].buf = l.Format.Append(sh.logs[l.File].buf, e)
		}
	}
	sh.logged = nil
}

// statusClientClosed is nginx's status for a client that left before the answer.
const statusClientClosed = 499

// wallNs is the time of day of this turn, in nanoseconds since 1970.
func (sh *Shard) wallNs() int64 {
	if sh.wallAtMs != sh.nowMs {
		sh.wallAtMs, sh.wall = sh.nowMs, time.Now().UnixNano()
	}
	return sh.wall
}
