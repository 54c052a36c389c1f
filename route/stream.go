package route

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"

	"holdfast/httpparse"
)

// StreamServer is a server of the stream context: what it does with a connection whose
// bytes it does not look at. It is immutable. Times are in milliseconds, 0 means no limit.
type StreamServer struct {
	// Access says which clients are let in; nil for all (allow, deny).
	Access *Access
	// RealIP takes the client's address from the PROXY protocol's header before anything else
	// looks at it; nil where nobody is believed (set_real_ip_from).
	RealIP *RealIP
	// Limits are to be asked in this order before anything else is done (limit_conn).
	Limits Limits
	// Return is sent to the client, whose connection is then closed; nil if Proxy is set.
	Return *Template
	// Proxy is where the connection goes; nil if Return is set.
	Proxy *StreamProxy
	// Logs are the lines to write when a session ends (access_log).
	Logs []StreamLogRef
	// Preread has the client's hello looked at before a server is chosen and Sets are
	// applied: at most PrereadBufferSize bytes, at most for PrereadTimeout (ssl_preread).
	Preread           bool
	PrereadBufferSize int
	PrereadTimeout    int64
	// TCPNodelay sets TCP_NODELAY on both sides (tcp_nodelay).
	TCPNodelay bool
	// Policy is the number of what holds for the session, from the shards' table of policies.
	Policy uint16

	sets []streamSet
}

// StreamLogRef is one access_log: the index of a log file, and what goes into it.
type StreamLogRef struct {
	File int
	Log  *StreamLog
	// If is the if= of the directive; nil for always.
	If *Template
}

// Wanted reports whether the session is to be logged.
func (l *StreamLogRef) Wanted(e *Env) bool { return l.If.holds(e) }

// StreamProxy is a proxy_pass of the stream context with the directives beside it. It is
// immutable. Times are in milliseconds, 0 means no limit.
type StreamProxy struct {
	// Group is the index of the upstream group, -1 if Dynamic.
	Group int
	// ConnectTimeout bounds one try to connect (proxy_connect_timeout).
	ConnectTimeout int64
	// Timeout bounds the silence in both directions (proxy_timeout).
	Timeout int64
	// NextUpstream tries other peers, at most NextUpstreamTries (0: all) and within
	// NextUpstreamTimeout (proxy_next_upstream).
	NextUpstream        bool
	NextUpstreamTries   int32
	NextUpstreamTimeout int64
	// HalfClose lets one direction live when the other has ended (proxy_half_close).
	HalfClose bool
	// SocketKeepalive turns TCP keepalive on (proxy_socket_keepalive).
	SocketKeepalive bool
	// ProxyProtocol is the version of the header that goes first: 0 for none, 1 or 2.
	ProxyProtocol uint8
	// TLS is 1 + the index of the settings for TLS with the upstream, 0: none (proxy_ssl).
	TLS int
	// Resolver is 1 + the index of the resolver for names that variables yield, 0: none.
	Resolver int

	dynamic  bool
	target   Template
	bind     LocalAddrs
	download rate
	upload   rate
}

// StreamProxySpec are the texts of a StreamProxy, for Compiler.NewStreamProxy.
type StreamProxySpec struct {
	// Target is the argument of proxy_pass; it is compiled only if Dynamic.
	Target  string
	Dynamic bool
	// Bind are the addresses of proxy_bind; none means any. BindTransparent allows those that
	// are not this machine's.
	Bind            []string
	BindTransparent bool
	// Download and Upload are the arguments of proxy_download_rate and proxy_upload_rate;
	// empty for none.
	Download, Upload string
}

// NewStreamProxy compiles the texts of spec into p, which has everything else. The error is
// a *CompileError.
func (c *Compiler) NewStreamProxy(spec *StreamProxySpec, p StreamProxy) (*StreamProxy, error) {
	var err error
	if p.dynamic = spec.Dynamic; p.dynamic {
		p.Group = -1
		if p.target, err = c.Compile(spec.Target); err != nil {
			return nil, err
		}
	}
	if p.bind, err = c.NewLocalAddrs(spec.Bind, spec.BindTransparent); err != nil {
		return nil, err
	}
	if p.download, err = c.rate(spec.Download); err != nil {
		return nil, err
	}
	p.upload, err = c.rate(spec.Upload)
	return &p, err
}

// Dynamic reports whether proxy_pass has variables, so that Resolve must say for each
// session where it leads.
func (p *StreamProxy) Dynamic() bool { return p.dynamic }

// Resolve renders a proxy_pass with variables: the name of an upstream group, which has no
// port, an address with a port, or a unix-domain socket. ok is false if the result is none
// of these. The slices live until the Env's Reset.
func (p *StreamProxy) Resolve(e *Env) (target Endpoint, ok bool) {
	text := e.render(p.target)
	if hasPrefix(text, "unix:") {
		return Endpoint{Unix: text[len("unix:"):]}, len(text) > len("unix:")
	}
	host, port, err := httpparse.ParseHost(text)
	return Endpoint{Name: text, Host: host, Port: port}, err == httpparse.OK && len(host) > 0
}

// Bind are the local addresses of connections to the upstream (proxy_bind). As in nginx, a
// text that yields no address binds nothing.
func (p *StreamProxy) Bind() *LocalAddrs { return &p.bind }

// parseBind reads an address with or without a port. Values come from variables, so they
// are checked for length before a string is made of them.
func parseBind(text []byte) (netip.AddrPort, bool) {
	const longest = 64
	if len(text) > longest {
		return netip.AddrPort{}, false
	}
	if addr, err := netip.ParseAddrPort(string(text)); err == nil {
		return addr, addr.Addr().Zone() == ""
	}
	addr, err := netip.ParseAddr(string(bytes.Trim(text, "[]")))
	if err != nil || addr.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, 0), true
}

// Rates are the bytes a second that may be read from the upstream and from the client; 0
// means no limit. A text that yields no number means no limit.
func (p *StreamProxy) Rates(e *Env) (download, upload int64) {
	return p.download.value(e), p.upload.value(e)
}

// rate is a number of bytes a second, or a text that yields one.
type rate struct {
	constant int64
	text     Template
	dynamic  bool
}

func (c *Compiler) rate(text string) (rate, error) {
	t, err := c.Compile(text)
	if err != nil {
		return rate{}, err
	}
	constant, isConstant := t.Const()
	if !isConstant {
		return rate{text: t, dynamic: true}, nil
	}
	if constant == "" {
		return rate{}, nil
	}
	n, ok := parseSize([]byte(constant))
	if !ok {
		return rate{}, &CompileError{Text: "invalid rate " + strconv.Quote(text), Hint: "write a size such as 512, 8k or 1m"}
	}
	return rate{constant: n}, nil
}

func (r *rate) value(e *Env) int64 {
	if !r.dynamic {
		return r.constant
	}
	buf := r.text.Append(e.borrow(), e)
	n, _ := parseSize(buf)
	e.giveBack(buf)
	return n
}

// parseSize reads digits with k, m or g behind them; 0 if text is nothing of the kind.
func parseSize(text []byte) (int64, bool) {
	if len(text) == 0 {
		return 0, false
	}
	shift := 0
	switch text[len(text)-1] | 0x20 {
	case 'k':
		shift = 10
	case 'm':
		shift = 20
	case 'g':
		shift = 30
	}
	if shift > 0 {
		text = text[:len(text)-1]
	}
	const digitsMax = 9 // with g, what still fits
	if len(text) == 0 || len(text) > digitsMax {
		return 0, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n << shift, true
}

// AddStreamServer adds a server of the stream context, whose names were compiled with c:
// FindServer then chooses among the servers of an address by the name that the client asks
// for in its TLS hello. The error is a *CompileError about a regular expression.
func (b *Builder) AddStreamServer(c *Compiler, names []ServerName, listens []ListenUse, s *StreamServer) error {
	if len(names) == 0 {
		names = []ServerName{{}}
	}
	server := &Server{Name: strings.TrimPrefix(names[0].Text, "."), Stream: s, Settings: s.settings()}
	regexes := make([]*regex, len(names))
	for i := range names {
		if names[i].Regexp == "" {
			continue
		}
		var err error
		if regexes[i], err = c.regex(names[i].Regexp); err != nil {
			return err
		}
	}
	for _, use := range listens {
		b.addTo(use, server, names, regexes)
	}
	return nil
}
