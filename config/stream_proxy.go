package config

import (
	"slices"
	"strings"
)

func readStreamProxyPass(l *level, n *node) {
	pass := &ProxyPass{Position: n.Position, Text: n.args[0]}
	l.server.Stream.ProxyPass = pass
	if strings.Contains(pass.Text, "$") {
		pass.Variables = true
		l.text(n.Position, n.name, pass.Text)
		return
	}
	const hint = "write an address with a port, unix:PATH, or the name of an upstream block"
	host, port, fault := pass.Text, "-", unixPathFault(strings.TrimPrefix(pass.Text, "unix:"))
	if !strings.HasPrefix(pass.Text, "unix:") {
		host, port, fault = splitHostPort(pass.Text)
	}
	switch {
	case strings.Contains(host, "/") && port != "-":
		fault = "invalid host"
	case fault == "" && port == "" && l.upstreams[strings.ToLower(host)] == nil:
		fault = "no port"
	}
	if fault != "" {
		if _, address, isURL := strings.Cut(pass.Text, "://"); isURL {
			l.add(Error, n.Position, "write: proxy_pass "+address+";", "a URL in upstream %q", pass.Text)
			return
		}
		l.add(Error, n.Position, l.suggestUpstream(pass.Text, hint), "%s in upstream %q", fault, pass.Text)
		return
	}
	l.proxyUpstream(pass, n, pass.Text)
}

func readStreamUpstreamServer(l *level, n *node) {
	isService := slices.ContainsFunc(n.args, func(arg string) bool { return strings.HasPrefix(arg, "service=") })
	if !strings.HasPrefix(n.args[0], "unix:") && !isService {
		if _, port, fault := splitHostPort(n.args[0]); fault == "" && port == "" {
			l.refused = true
			l.add(Error, n.Position, "write the port behind the address", "no port in upstream %q", n.args[0])
			return
		}
	}
	readUpstreamServer(l, n)
}

// readStreamUpstream is readUpstream without what only HTTP has.
func readStreamUpstream(l *level, n *node) {
	before := len(l.blocks)
	l.readUpstreamBlock(n, CtxStreamUpstream)
	for _, u := range l.blocks[before:] {
		u.Keepalive = 0
	}
}

func readStreamNextUpstream(l *level, n *node) { l.set.Stream.NextUpstream = isOn(n.args[0]) }

// readBind reads proxy_bind: addresses, perhaps with ports, or off.
func readBind(l *level, n *node) { l.bindList(n, &l.set.Stream.Bind) }

// rate reads a number of bytes a second, or a text with variables that yields one.
func rate(field func(*Settings) *Text) func(*level, *node) {
	return func(l *level, n *node) {
		if _, ok := parseSize(n.args[0]); !ok && !strings.Contains(n.args[0], "$") {
			l.invalid(n, n.args[0], hintSize)
			return
		}
		l.text(n.Position, n.name, n.args[0])
		*field(l.set) = Text{Position: n.Position, Text: n.args[0]}
	}
}

// readStreamProxyProtocol reads on, which is version 1, off, v1 or v2.
func readStreamProxyProtocol(l *level, n *node) {
	versions := []string{"off", "v1", "v2"}
	arg := strings.ToLower(n.args[0])
	if arg == "on" {
		arg = "v1"
	}
	version := slices.Index(versions, arg)
	if version < 0 {
		l.invalid(n, n.args[0], "write on, off, v1 or v2")
		return
	}
	l.set.Stream.ProxyProtocol = uint8(version)
}
