package config

import (
	"net/netip"
	"strings"
	"time"
)

// TunnelPass is a tunnel_pass directive: CONNECT requests become tunnels.
type TunnelPass struct {
	Position
	// Text is the argument as written; "$host:$request_port" if there is none.
	Text string
	// Variables says that Text has variables. Else Upstream is where the tunnels go.
	Variables bool
	Upstream  *Upstream
}

// TunnelSettings are the values of tunnel_pass's companions.
type TunnelSettings struct {
	// ConnectTimeout bounds one try to connect.
	ConnectTimeout time.Duration
	// ReadTimeout bounds the silence of a tunnel; it counts only if ReadTimeoutSet.
	ReadTimeout    time.Duration
	ReadTimeoutSet bool

	NextUpstream NextUpstream
	// NextUpstreamTries is the number of peers tried; 0 means no limit.
	NextUpstreamTries int
	// NextUpstreamTimeout bounds all tries together; 0 means no limit.
	NextUpstreamTimeout time.Duration
	// SocketKeepalive turns TCP keepalive on for the connections of tunnels.
	SocketKeepalive bool
	// Bind is the local address of the connections, with variables; empty for any.
	Bind Text

	// AllowPorts are the ports that may be asked for.
	AllowPorts []PortRange
	// AllowHosts are the hosts that may be asked for; empty means any.
	AllowHosts []ServerName
	// AllowPrivate lets tunnels go to addresses that are not for the public.
	AllowPrivate bool
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ Low, High uint16 }

func defaultTunnelSettings() TunnelSettings {
	return TunnelSettings{
		ConnectTimeout: 60 * time.Second, NextUpstream: NextOnError | NextOnTimeout, SocketKeepalive: true,
		AllowPorts: []PortRange{{443, 443}},
	}
}

func readTunnelPass(l *level, n *node) {
	pass := &TunnelPass{Position: n.Position, Text: "$host:$request_port"}
	if len(n.args) > 0 {
		pass.Text = n.args[0]
	}
	target := &l.server.TunnelPass
	if l.location != nil {
		target = &l.location.TunnelPass
	}
	*target = pass
	if pass.Variables = strings.Contains(pass.Text, "$"); pass.Variables {
		l.text(n.Position, n.name, pass.Text)
		return
	}
	if host, port, _ := splitHostPort(pass.Text); port == "" && !strings.HasPrefix(pass.Text, "unix:") &&
		l.upstreams[strings.ToLower(host)] == nil {
		l.add(Error, n.Position, "write an address with a port, unix:PATH, or the name of an upstream block",
			"no port in upstream %q", pass.Text)
		return
	}
	var found ProxyPass
	l.proxyUpstream(&found, n, pass.Text)
	pass.Upstream = found.Upstream
}

// checkContent reports a location that has two ways to answer.
func (l *level) checkContent(loc *Location) {
	if loc.TunnelPass != nil && loc.ProxyPass != nil {
		l.add(Error, loc.TunnelPass.Position, "remove one of the two", `"tunnel_pass" beside the "proxy_pass" at %s`,
			loc.ProxyPass.Position)
	}
}

func readAllowPorts(l *level, n *node) {
	if l.first(n) {
		l.set.Tunnel.AllowPorts = nil
	}
	for _, arg := range n.args {
		first, last, isRange := strings.Cut(arg, "-")
		if !isRange {
			last = first
		}
		if arg == "all" {
			first, last = "1", "65535"
		}
		low, okLow := parsePort(first)
		high, okHigh := parsePort(last)
		if !okLow || !okHigh || low > high {
			l.invalid(n, arg, "write ports such as 443 or 8000-8999, or all")
			return
		}
		l.set.Tunnel.AllowPorts = append(l.set.Tunnel.AllowPorts, PortRange{low, high})
	}
}

// readAllowHosts reads names as server_name has them.
func readAllowHosts(l *level, n *node) {
	if l.first(n) {
		l.set.Tunnel.AllowHosts = nil
	}
	for _, arg := range n.args {
		name := ServerName{Position: n.Position, Text: strings.ToLower(arg)}
		var ok bool
		switch pattern, isRegex := strings.CutPrefix(arg, "~"); {
		case isRegex:
			name.Kind, name.Text = NameRegex, arg
			if name.Regexp, ok = l.regex(n.Position, pattern, true); !ok {
				return
			}
		default:
			if name.Kind, ok = maskKind(name.Text); !ok || name.Text == "" {
				l.invalid(n, arg, "write a name, *.NAME, .NAME, NAME.*, ~REGEX or an address")
				return
			}
		}
		l.set.Tunnel.AllowHosts = append(l.set.Tunnel.AllowHosts, name)
	}
}

func readTunnelReadTimeout(l *level, n *node) {
	duration(func(s *Settings) *time.Duration { return &s.Tunnel.ReadTimeout })(l, n)
	l.set.Tunnel.ReadTimeoutSet = true
}

func readTunnelNextUpstream(l *level, n *node) {
	var set NextUpstream
	for _, arg := range n.args {
		switch strings.ToLower(arg) {
		case "error":
			set |= NextOnError
		case "timeout":
			set |= NextOnTimeout
		case "off":
			l.set.Tunnel.NextUpstream = 0
			return
		default:
			l.invalid(n, arg, "write error, timeout or off")
			return
		}
	}
	l.set.Tunnel.NextUpstream = set
}

func readTunnelTries(l *level, n *node) {
	var ok bool
	if l.set.Tunnel.NextUpstreamTries, ok = parseInt(n.args[0], 0); !ok {
		l.invalid(n, n.args[0], hintNumber)
	}
}

func readTunnelBind(l *level, n *node) {
	l.set.Tunnel.Bind = l.bind(n, l.set.Tunnel.Bind)
}

// bind reads the argument of a directive that names a local address: an address, perhaps
// with a port, or off. After an error it is what was.
func (l *level) bind(n *node, was Text) Text {
	if len(n.args) > 1 {
		l.add(Error, n.Position, "remove "+n.args[1], "%q of %q is not supported", n.args[1], n.name)
		return was
	}
	text := n.args[0]
	if text == "off" {
		return Text{}
	}
	if !strings.Contains(text, "$") {
		_, errPort := netip.ParseAddrPort(text)
		_, errAddr := netip.ParseAddr(strings.Trim(text, "[]"))
		if errPort != nil && errAddr != nil {
			l.invalid(n, text, "write an IP address of this machine, or off")
			return was
		}
	}
	l.text(n.Position, n.name, text)
	return Text{Position: n.Position, Text: text}
}
