package route

import (
	"bytes"
	"strconv"

	"holdfast/httpparse"
)

// Facts are what some variables ask the shard for, since only it may look at the system.
type Facts interface {
	// Numbers are the connections of all shards.
	Numbers() StubNumbers
	// RealPath appends what path leads to once symbolic links are followed; ok is false if
	// it leads nowhere.
	RealPath(dst, path []byte) (out []byte, ok bool)
	// TCPInfo is what the kernel knows of the TCP socket fd; ok is false if it is none.
	TCPInfo(fd int32) (info TCPInfo, ok bool)
}

// TCPInfo is the part of the kernel's TCP_INFO that has variables: times in microseconds,
// the congestion window in segments, the receive space in bytes.
type TCPInfo struct{ RTT, RTTVar, SndCwnd, RcvSpace uint32 }

// uses are the variables of a configuration that cost something beside their rendering.
type uses struct {
	sent, body, connections, trailers bool
}

// note notes that a variable is used.
func (u *uses) note(name string) {
	switch name {
	case "request_body":
		u.body = true
	case "connections_active", "connections_reading", "connections_writing", "connections_waiting":
		u.connections = true
	}
}

// UsesConnections reports whether a text asks for the numbers of connections, so that shards
// have to tell each other theirs.
func (c *Compiler) UsesConnections() bool { return c.uses.connections }

func init() {
	for name, of := range map[string]func(*StubNumbers) uint64{
		"connections_active":  func(n *StubNumbers) uint64 { return n.Active },
		"connections_reading": func(n *StubNumbers) uint64 { return n.Reading },
		"connections_waiting": func(n *StubNumbers) uint64 { return n.Waiting },
		"connections_writing": func(n *StubNumbers) uint64 { return n.Writing },
	} {
		fixedVariables[name] = func(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
			if e.Facts == nil {
				return dst, false
			}
			n := e.Facts.Numbers()
			return strconv.AppendUint(dst, of(&n), 10), true
		}
	}
	for name, of := range map[string]func(*TCPInfo) uint32{
		"tcpinfo_rtt":       func(i *TCPInfo) uint32 { return i.RTT },
		"tcpinfo_rttvar":    func(i *TCPInfo) uint32 { return i.RTTVar },
		"tcpinfo_snd_cwnd":  func(i *TCPInfo) uint32 { return i.SndCwnd },
		"tcpinfo_rcv_space": func(i *TCPInfo) uint32 { return i.RcvSpace },
	} {
		fixedVariables[name] = func(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
			if e.Facts == nil {
				return dst, false
			}
			info, ok := e.Facts.TCPInfo(e.Socket)
			if !ok {
				return dst, false
			}
			return strconv.AppendUint(dst, uint64(of(&info)), 10), true
		}
	}
	for _, name := range []string{
		"tunnel_bytes_down", "tunnel_bytes_up", "tunnel_duration", "tunnel_messages_down", "tunnel_messages_up",
		"tunnel_reason", "tunnel_side", "tunnel_trail",
	} {
		fixedVariables[name] = varAbsent // but in the line of a tunnel's close
	}
	fixedVariables["realpath_root"] = varRealpathRoot
	fixedVariables["request_body"] = varRequestBody
	fixedVariables["request_body_file"] = varAbsent // bodies are never written to a file
}

// varRealpathRoot is $document_root without symbolic links.
func varRealpathRoot(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	s := e.files()
	if s == nil || e.Facts == nil {
		return dst, false
	}
	root := s.appendRoot(e.borrow(), e)
	dst, ok := e.Facts.RealPath(dst, root)
	e.giveBack(root)
	return dst, ok
}

// KeepsBody reports whether KeepBody is to be called with the bodies of requests.
func (s *Server) KeepsBody() bool { return s.keeps.body }

// KeepBody keeps a whole request body for $request_body, which is absent without one, and
// where a body is streamed.
func (e *Env) KeepBody(body []byte) { e.body = e.keep(body) }

func varRequestBody(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return append(dst, e.body...), len(e.body) > 0
}

// KeepTrailers keeps the trailer fields of a response: what the upstream has sent of them that
// may pass (proxy_pass_trailers), and the lines that go to the client.
func (e *Env) KeepTrailers(buf []byte, fields []httpparse.Field, sent []byte) {
	if e.Server == nil || !e.Server.keeps.trailers {
		return
	}
	lines := e.borrow()
	for i := range fields {
		lines = appendField(lines, buf, &fields[i])
	}
	e.upstreamTrailers, e.sentTrailers = e.keep(lines), e.keep(sent)
	e.giveBack(lines)
}

func varUpstreamTrailer(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	return appendLines(dst, e.upstreamTrailers, a)
}

func varSentTrailer(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	return appendLines(dst, e.sentTrailers, a)
}

// appendLines appends the values of the fields that a names in lines, joined as one list.
func appendLines(dst, lines []byte, a *varArg) ([]byte, bool) {
	found := false
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, crlf)
		name, value, isField := bytes.Cut(line, colon)
		if !isField || !variableNames(name, a.name, true) {
			continue
		}
		if found {
			dst = append(dst, ", "...)
		}
		dst = append(dst, httpTrim(value)...)
		found = true
	}
	return dst, found
}

// varUpstreamCookie is $upstream_cookie_name: the value of the last Set-Cookie of the
// upstream that sets it.
func varUpstreamCookie(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.Resp == nil {
		return dst, false
	}
	for i := len(e.Resp.Fields) - 1; i >= 0; i-- {
		f := &e.Resp.Fields[i]
		if f.ID != httpparse.FieldSetCookie {
			continue
		}
		if value, found := cookieValue(f.Value.Of(e.RespHead), a.name); found {
			return append(dst, value...), true
		}
	}
	return dst, false
}
