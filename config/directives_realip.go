package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// RealIPSettings say from whom a client's address is believed, and where it stands.
type RealIPSettings struct {
	// From are the peers that are believed, UnixFrom those of unix-domain sockets; a level
	// with any inherits none (set_real_ip_from).
	From     []netip.Prefix
	UnixFrom bool
	// Header is the name of the request field that has the address; empty for that of the
	// PROXY protocol's header (real_ip_header). In stream it is always that.
	Header string
	// Recursive skips the believed ones among several addresses (real_ip_recursive).
	Recursive bool
}

// proxyProtocolWord is the value of real_ip_header that means no field of a request.
const proxyProtocolWord = "proxy_protocol"

func defaultRealIP() RealIPSettings { return RealIPSettings{Header: "X-Real-IP"} }

// proxyHeaderTimeout is how long the PROXY protocol's header may take, as in nginx.
const proxyHeaderTimeout = 30 * time.Second

// realIPDirectives are the rows about clients that come through other proxies, and about the
// PROXY protocol.
func realIPDirectives() []Directive {
	return []Directive{
		{
			Name: "set_real_ip_from", Contexts: ctxAll | ctxStreams, Args: "address | network | name | unix:",
			Doc: "A peer that is believed about its client's address. A level with any inherits none from outside.",
			min: 1, max: 1, repeat: true, read: readRealIPFrom,
		},
		{
			Name: "real_ip_header", Contexts: ctxAll, Args: "field | X-Real-IP | X-Forwarded-For | proxy_protocol",
			Default: "X-Real-IP", Doc: "Where the client's address stands.",
			Deviation: "The field's name may have any case. An IPv4 address that is written as an IPv6 one counts as IPv4.",
			min:       1, max: 1, read: readRealIPHeader,
		},
		{
			Name: "real_ip_recursive", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Takes the last address of a list that is not a believed peer's, instead of the last one.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.RealIP.Recursive }),
		},
		{
			Name: "proxy_protocol", Contexts: ctxAll, Args: "off | v1 | v2", Default: "off",
			Doc: "Sends the header of the PROXY protocol to the upstream first, with the addresses of the client's " +
				"connection; v2 also with what TLS with the client found out.",
			Deviation: "Not in nginx, which has it in stream only. Each request has a connection of its own then.",
			min:       1, max: 1, read: readProxyProtocol,
		},
		{
			Name: "proxy_protocol_timeout", Contexts: CtxHTTP | CtxServer | ctxStreams, Args: "time", Default: "30s",
			Doc:       "How long the header of the PROXY protocol may take (listen … proxy_protocol).",
			Deviation: "In nginx in stream only. Of the servers of one address the default server's counts.",
			min:       1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.ProxyProtocolTimeout }),
		},
	}
}

func readRealIPFrom(l *level, n *node) {
	from := &l.set.RealIP
	if l.first(n) {
		from.From, from.UnixFrom = nil, false
	}
	text := n.args[0]
	if text == "unix:" {
		from.UnixFrom = true
		return
	}
	if isName(text) {
		addrs := l.lookup(text)
		if addrs == nil {
			l.add(Error, n.Position, "write an address, a network such as 10.0.0.0/8, or unix:",
				"host not found in %q of the \"set_real_ip_from\" directive", text)
		}
		for _, a := range addrs {
			from.From = append(from.From, netip.PrefixFrom(a, a.BitLen()))
		}
		return
	}
	if prefix, ok := l.prefix(n, text); ok {
		from.From = append(from.From, prefix)
	}
}

// isName says whether a text can't be meant as an address or a network.
func isName(text string) bool {
	last := text[strings.LastIndexByte(text, '.')+1:]
	return !strings.ContainsAny(text, ":/") && strings.Trim(last, "0123456789") != ""
}

func readRealIPHeader(l *level, n *node) {
	switch name := n.args[0]; {
	case strings.EqualFold(name, proxyProtocolWord):
		l.set.RealIP.Header = ""
	case name == "" || !isToken(name):
		l.invalid(n, name, "write proxy_protocol or the name of a field such as X-Forwarded-For")
	default:
		l.set.RealIP.Header = name
	}
}

func readProxyProtocol(l *level, n *node) {
	version := slices.Index([]string{"off", "v1", "v2"}, strings.ToLower(n.args[0]))
	if version < 0 {
		l.invalid(n, n.args[0], "write off, v1 or v2")
		return
	}
	l.set.Proxy.ProxyProtocol = uint8(version)
}
