package config

import (
	"strings"
	"time"
)

// Stream is what the stream context says: servers that pass on connections as they are.
type Stream struct {
	LogFormats []*LogFormat
	Maps       []*Map
	// Upstreams are the upstream blocks in file order, then one implicit upstream
	// per distinct address written directly in a proxy_pass.
	Upstreams []*Upstream
	// Servers are in file order. Stream is set in each.
	Servers []*Server
	// CaptureNames are the names of all named captures, sorted, without duplicates.
	CaptureNames []string
	// SetNames are the names of all variables that a set directive gives a value to,
	// without "$", sorted, without duplicates.
	SetNames []string
}

// StreamServer is what only a server of the stream context has. Its listeners, names
// and settings are those of its Server.
type StreamServer struct {
	// ProxyPass is where connections go; nil if Return answers. One of the two is set.
	ProxyPass *ProxyPass
	// Return is sent and the connection closed; nil if not written.
	Return *Text
	// HealthCheck is nil without health_check.
	HealthCheck *HealthCheck
	// Sets are the set directives, in file order.
	Sets []SetVariable
}

// SetVariable is one set directive.
type SetVariable struct {
	Position
	// Name is the variable's name without "$".
	Name string
	// Value may contain variables.
	Value string
}

// StreamSettings are the values that only the stream context and its servers have.
type StreamSettings struct {
	// ProxyTimeout bounds the silence of a session in both directions (proxy_timeout).
	ProxyTimeout time.Duration
	// HalfClose lets one direction live when the other has ended (proxy_half_close).
	HalfClose bool
	// NextUpstream tries the next server when one can't be connected to.
	NextUpstream bool
	// Bind is the local address of connections to the upstream (proxy_bind).
	Bind Bind
	// DownloadRate and UploadRate are bytes a second from and to the upstream, with
	// variables; empty or 0 for no limit.
	DownloadRate, UploadRate Text
	// ProxyProtocol is the version of the header that goes to the upstream first: 0 for
	// none, 1 or 2.
	ProxyProtocol uint8
	// ProxySSL speaks TLS with the upstream (proxy_ssl).
	ProxySSL bool
	// Preread looks at the client's first bytes for a TLS hello (ssl_preread).
	Preread bool
	// PrereadBufferSize and PrereadTimeout bound that look.
	PrereadBufferSize int64
	PrereadTimeout    time.Duration
	// CheckTimeout bounds a health check (health_check_timeout).
	CheckTimeout time.Duration
}

func defaultStreamSettings() StreamSettings {
	return StreamSettings{
		ProxyTimeout: 10 * time.Minute, HalfClose: true, NextUpstream: true,
		PrereadBufferSize: 16 << 10, PrereadTimeout: 30 * time.Second,
		CheckTimeout: 5 * time.Second,
	}
}

func readStream(l *level, n *node) {
	outer := l.scope
	l.scope = &l.stream
	inner := l.inner(CtxStream)
	inner.set.AccessLogs = nil
	inner.walk(n.block)
	l.scope = outer
}

func readStreamServer(l *level, n *node) {
	s := &Server{Position: n.Position, Stream: &StreamServer{}}
	inner := l.inner(CtxStreamServer)
	inner.server = s
	inner.walk(n.block)
	s.Settings = inner.settled()
	if len(s.Names) == 0 {
		s.Names = []ServerName{{Position: n.Position}}
	}
	inner.streamServerWhole(n)
	l.refusedIn[s] = inner.refused
	l.listensOf = append(l.listensOf, serverListens{s, inner.listens})
	l.cfg.Stream.Servers = append(l.cfg.Stream.Servers, s)
}

// streamServerWhole judges what is missing in a server of stream, or too much.
func (l *level) streamServerWhole(n *node) {
	s := l.server.Stream
	switch {
	case l.refused:
	case len(l.listens) == 0:
		l.add(Error, n.Position, "write: listen ADDRESS;", `no "listen" is defined for the server`)
	case s.ProxyPass == nil && s.Return == nil:
		l.add(Error, n.Position, "write: proxy_pass ADDRESS:PORT;", "no handler for the server")
	case s.ProxyPass != nil && s.Return != nil:
		l.add(Error, s.Return.Position, "remove one; proxy_pass is at "+s.ProxyPass.Position.String(),
			`"return" and "proxy_pass" in one server`)
	}
}

// streamListenRefused are the parameters of listen that stream does not have.
var streamListenRefused = map[string]string{
	"udp":   "datagrams are not supported: remove the server, or let another program do it",
	"http2": "it is about HTTP; remove it",
	"quic":  "it is about HTTP; remove it",
	"spdy":  "it is about HTTP; remove it",
}

func readStreamListen(l *level, n *node) {
	for _, arg := range n.args[1:] {
		if hint, refused := streamListenRefused[arg]; refused {
			l.refused = true
			l.add(Error, n.Position, hint, "%q of \"listen\" is not supported in stream", arg)
			return
		}
	}
	if !strings.HasPrefix(n.args[0], "unix:") && listenWithoutPort(n.args[0]) {
		l.refused = true
		l.add(Error, n.Position, "write the port behind the address", "no port in %q of the \"listen\" directive", n.args[0])
		return
	}
	readListen(l, n)
}

// listenWithoutPort tells an address alone from a port alone and from both.
func listenWithoutPort(s string) bool {
	last := s[strings.LastIndexByte(s, ']')+1:]
	return !strings.Contains(last, ":") && strings.Trim(s, "0123456789-") != ""
}

func readStreamReturn(l *level, n *node) {
	l.server.Stream.Return = &Text{Position: n.Position, Text: n.args[0]}
	l.text(n.Position, n.name, n.args[0])
}

func readSet(l *level, n *node) {
	if !variableName.MatchString(n.args[0]) {
		l.invalid(n, n.args[0], "write: set $NAME VALUE;")
		return
	}
	v := SetVariable{Position: n.Position, Name: n.args[0][1:], Value: n.args[1]}
	l.text(n.Position, n.name, v.Value)
	l.sets[v.Name] = true
	l.server.Stream.Sets = append(l.server.Stream.Sets, v)
}

func readStreamAccessLog(l *level, n *node) {
	if len(n.args) == 1 && n.args[0] != "off" {
		l.add(Error, n.Position, "write: access_log FILE FORMAT; and define the format with log_format",
			"log format is not specified")
		return
	}
	readAccessLog(l, n)
}

// checkStreamSharing reports servers of one stream address that no connection reaches:
// what a client asks for is known only where TLS is terminated or looked at.
func (l *loader) checkStreamSharing(li *Listener) {
	if li.Default.Stream == nil || li.SSL || li.Default.Settings.Stream.Preread {
		return
	}
	for _, server := range li.Servers {
		if server != li.Default {
			l.add(Error, server.Position, "give it an address of its own, or choose by server_name with ssl or ssl_preread",
				"duplicate %q address and port pair; the first is at %s", li.Addr, li.Default.Position)
		}
	}
}

// sameContext reports an address that http and stream both listen on.
func (l *loader) sameContext(li *Listener, server *Server, ln *listen) bool {
	if (li.Default.Stream == nil) == (server.Stream == nil) {
		return true
	}
	contexts := [2]string{"http", "stream"}
	if server.Stream == nil {
		contexts = [2]string{"stream", "http"}
	}
	l.add(Error, ln.Position, "choose another address", "%s is already listened on in %s, at %s; this is %s",
		li.Addr, contexts[0], li.Position, contexts[1])
	return false
}
