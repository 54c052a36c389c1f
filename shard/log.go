package shard

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"holdfast/internal/sys"
	"holdfast/internal/wheel"
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
	lineNs int64  // time of the last line, written or suppressed
}

func (sh *Shard) openLogs() {
	for _, sink := range sh.opt.Logs {
		sh.logs = append(sh.logs, logBuffer{sink: sink})
	}
	sh.errors.log = observe.NewErrorLog(sh.opt.ErrorLevel, sh.opt.Pid, sh.opt.Index)
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

// logError writes an error log line about a session, or about the shard where s is
// nil. message is constant text, by which repeated lines are limited.
func (sh *Shard) logError(s *Session, level observe.Level, message string, detail []byte) {
	el := &sh.errors
	if !el.log.Enabled(level) {
		return
	}
	e := &el.entry
	*e = observe.Entry{NowNs: sh.wallNs(), Level: level, Message: message, Detail: detail}
	if s != nil {
		e.Conn = s.id
		sh.describe(s, e)
	}
	el.lines.buf = el.log.Append(el.lines.buf, e)
	el.lineNs = e.NowNs
	sh.houseSoon()
}

// logSuppressed writes how many lines were suppressed in seconds that are over. It
// reports whether the present second may leave some.
func (sh *Shard) logSuppressed() (more bool) {
	el := &sh.errors
	nowNs := sh.wallNs()
	el.lines.buf = el.log.AppendSuppressed(el.lines.buf, nowNs)
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
	if r.peer != nil {
		e.Upstream = r.peer.Name
		e.Scheme = r.upstreamScheme()
		e.URI = r.env.RawTarget
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

// logErrno is logError for a failed system call.
func (sh *Shard) logErrno(s *Session, level observe.Level, message string, errno sys.Errno) {
	if !sh.errors.log.Enabled(level) {
		return
	}
	var text [128]byte
	b := append(text[:0], '(')
	b = strconv.AppendInt(b, int64(errno), 10)
	b = append(b, ": "...)
	b = append(b, errno.Error()...)
	sh.logError(s, level, message, append(b, ')'))
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
func (sh *Shard) endRequest(r *Request) {
	sh.countPeerBytes(r)
	e := &r.env
	e.BytesSent = r.down.sent
	e.BodyBytesSent = max(r.down.sent-r.headSent, 0)
	e.UpstreamBytesSent = r.up.sent
	if r.stream != nil {
		if e.Status != streamOK || r.answered || r.peer == nil {
			sh.logStream(r) // else it is logged when the tunnel ends
		}
		return
	}
	sh.counters.HTTPBytesUp += uint64(r.up.sent)
	sh.counters.HTTPBytesDown += uint64(r.down.sent)
	if e.Status == 0 {
		if r.req.HeadLen == 0 {
			return
		}
		e.Status = statusClientClosed
	}
	e.NowNs = sh.wallNs()
	for _, l := range r.settings().AccessLogs {
		sh.logs[l.File].buf = l.Format.Append(sh.logs[l.File].buf, e)
	}
}

// statusClientClosed is nginx's status for a client that left before the answer.
const statusClientClosed = 499

// logTunnelClose writes the line at a tunnel's close, in key=value form.
func (sh *Shard) logTunnelClose(s *Session) {
	p := sh.opt.Policies.At(s.policy)
	for i, set := 0, p.Logs; set != 0; i, set = i+1, set>>1 {
		if set&1 != 0 && i < len(sh.logs) {
			sh.logs[i].buf = sh.appendTunnelClose(sh.logs[i].buf, s)
		}
	}
}

func (sh *Shard) appendTunnelClose(b []byte, s *Session) []byte {
	b = append(b, "tunnel_close connection="...)
	b = strconv.AppendUint(b, s.id, 10)
	b = append(b, " reason="...)
	b = append(b, s.reason.String()...)
	b = append(b, " side="...)
	b = append(b, s.side.String()...)
	b = append(b, " seconds="...)
	ms := uint64(sh.tick-s.openedTick) * wheel.TickMs
	b = strconv.AppendUint(b, ms/1000, 10)
	b = append(b, '.', byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10))
	b = append(b, " bytes_up="...)
	b = strconv.AppendUint(b, s.Down.Bytes, 10)
	b = append(b, " bytes_down="...)
	b = strconv.AppendUint(b, s.Up.Bytes, 10)
	b = append(b, " messages_up="...)
	b = strconv.AppendUint(b, uint64(s.Down.Messages), 10)
	b = append(b, " messages_down="...)
	b = strconv.AppendUint(b, uint64(s.Up.Messages), 10)
	b = append(b, " upstream="...)
	if peer := sh.opt.Peers.ByID(s.peer); peer != nil {
		b = append(b, peer.Name...)
	} else {
		b = append(b, '-')
	}
	b = append(b, " trail="...)
	b = s.trail.Append(b)
	return append(b, '\n')
}

// wallNs is the time of day of this turn, in nanoseconds since 1970.
func (sh *Shard) wallNs() int64 {
	if sh.wallAtMs != sh.nowMs {
		sh.wallAtMs, sh.wall = sh.nowMs, time.Now().UnixNano()
	}
	return sh.wall
}
