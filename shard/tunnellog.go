package shard

import (
	"bytes"
	"strconv"
	"time"

	"holdfast/internal/wheel"
	"holdfast/route"
)

// heldLine is a line whose end will be known when the session ends: of an access log of
// stream, or of a tunnel_log with a format. It is all that such a tunnel costs beside its
// record.
type heldLine struct {
	line      []byte // rendered when the session began, with holes
	file      int
	tryMs     int64 // when the upstream was asked
	startNs   int64 // when the connection was accepted
	requestNs int64 // when the request began; 0 in stream
	// What went each way before the tunnel, in bytes: to the client, of that as a head, to the
	// upstream and from it.
	sent, headSent, upSent, upReceived int64
}

// heldLines holds the lines that wait for the end of sessions, by slot. A session without
// such a log has none.
type heldLines map[uint32][]heldLine

// holdLine renders a line with holes, to be written when the session ends.
func (sh *Shard) holdLine(s *Session, r *Request, file int, log *route.StreamLog) {
	if sh.held == nil {
		sh.held = heldLines{}
	}
	sh.errors.scratch = log.AppendOpen(sh.errors.scratch[:0], &r.env)
	line := heldLine{
		line: bytes.Clone(sh.errors.scratch), file: file, tryMs: r.tryMs, startNs: r.env.ConnectionStartNs,
	}
	if r.stream == nil {
		line.requestNs, line.sent, line.headSent = r.env.StartNs, r.down.sent, r.headSent
		line.upSent, line.upReceived = r.up.sent, r.env.UpstreamBytesReceived
	}
	sh.held[s.slot] = append(sh.held[s.slot], line)
}

// logHeldLines writes the lines that waited for the end of a session.
func (sh *Shard) logHeldLines(s *Session) {
	lines := sh.held[s.slot]
	if lines == nil {
		return
	}
	delete(sh.held, s.slot)
	now := sh.wallNs()
	sh.errors.scratch = s.trail.Append(sh.errors.scratch[:0])
	end := route.StreamEnd{
		NowNs: now, Status: streamOK, Upstream: true, UpstreamFirstByteMs: -1,
		OpenedNs: now - int64(sh.tick-s.openedTick)*wheel.TickMs*int64(time.Millisecond),
		Reason:   s.reason.String(), Side: s.side.String(), Trail: sh.errors.scratch,
		BytesUp: s.Down.Bytes, BytesDown: s.Up.Bytes, MessagesUp: s.Down.Messages, MessagesDown: s.Up.Messages,
	}
	for i := range lines {
		l := &lines[i]
		end.StartNs, end.RequestNs, end.UpstreamSessionTimeMs = l.startNs, l.requestNs, sh.nowMs-l.tryMs
		end.BytesSent, end.HeadSent = l.sent+int64(s.Up.Bytes), l.headSent
		end.BytesReceived = int64(s.Down.Bytes)
		end.UpstreamBytesSent = l.upSent + int64(s.Down.Bytes)
		end.UpstreamBytesReceived = l.upReceived + int64(s.Up.Bytes)
		log := &sh.logs[l.file]
		log.buf = route.AppendStreamClose(log.buf, l.line, &end)
	}
}

// logTunnelOpen writes what tunnel_log says of the opening of a tunnel, and readies the
// lines of its close. The request's own line, in the access log, is written by endRequest.
func (sh *Shard) logTunnelOpen(s *Session, r *Request) {
	set := r.settings()
	r.quiet = set.TunnelQuiet
	if len(set.TunnelLines) == 0 {
		return
	}
	e := &r.env
	e.NowNs = sh.wallNs()
	e.BytesSent, e.UpstreamBytesSent = r.down.sent, r.up.sent
	e.BodyBytesSent = max(r.down.sent-r.headSent, 0)
	for i := range set.TunnelLines {
		l := &set.TunnelLines[i]
		log := &sh.logs[l.File]
		switch {
		case !l.Open:
		case l.Log == nil:
			log.buf = sh.appendTunnelOpen(log.buf, s)
		default:
			log.buf = l.Log.Append(log.buf, e)
		}
		if l.Close && l.Log != nil {
			sh.holdLine(s, r, l.File, l.Log)
		}
	}
}

// appendTunnelOpen appends the line at a tunnel's opening, in names and values.
func (sh *Shard) appendTunnelOpen(b []byte, s *Session) []byte {
	b = append(b, "tunnel_open connection="...)
	b = strconv.AppendUint(b, s.id, 10)
	b = append(b, " client="...)
	if client := sh.cold(s).env.Remote; client.IsValid() {
		b = client.Addr().AppendTo(b)
	} else {
		b = append(b, "unix:"...)
	}
	b = append(b, " upstream="...)
	return append(sh.appendPeer(b, s), '\n')
}

// LogSet is a small set of logs: their numbers + 1, none behind a 0.
type LogSet [8]uint16

// Add adds a log by its number. ok is false if the set is full.
func (l *LogSet) Add(log int) (ok bool) {
	for i := range l {
		if l[i] == 0 || int(l[i]) == log+1 {
			l[i] = uint16(log + 1)
			return log < 1<<16-1
		}
	}
	return false
}

// logTunnelClose writes the line at a tunnel's close, in names and values, to the logs that
// have no format of their own for it.
func (sh *Shard) logTunnelClose(s *Session) {
	p := sh.opt.Policies.At(s.policy)
	for _, number := range p.Logs {
		if number == 0 || int(number) > len(sh.logs) {
			return
		}
		log := &sh.logs[number-1]
		log.buf = sh.appendTunnelClose(log.buf, s)
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
	b = sh.appendPeer(b, s)
	b = append(b, " trail="...)
	b = s.trail.Append(b)
	return append(b, '\n')
}

// appendPeer appends the name of the peer that the session is connected to.
func (sh *Shard) appendPeer(b []byte, s *Session) []byte {
	if peer := sh.opt.Peers.ByID(s.peer); peer != nil {
		return append(b, peer.Name...)
	}
	return append(b, '-')
}
