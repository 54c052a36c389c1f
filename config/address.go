package config

import (
	"net/netip"
	"slices"
	"strings"
)

// unixPathMax is the longest path of a unix-domain socket (unix(7), sun_path
// without its final zero byte).
const unixPathMax = 107

// unixPathFault says what is wrong with the path of a unix-domain socket, or "".
func unixPathFault(path string) string {
	switch {
	case path == "":
		return "no path in the unix domain socket"
	case len(path) > unixPathMax:
		return "too long path in the unix domain socket"
	case strings.ContainsRune(path, 0):
		return "a zero byte in the path of the unix domain socket"
	}
	return ""
}

// parsePort reads a port number from 1 to 65535.
func parsePort(s string) (uint16, bool) {
	n, ok := parseInt(s, 1)
	return uint16(n), ok && n <= 65535
}

// splitHostPort splits host:port, [v6]:port, host or [v6]. The brackets are no
// part of host; port is empty if there is none. fault says what is wrong, or is "".
func splitHostPort(s string) (host, port, fault string) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return "", "", "no closing bracket"
		}
		host, port = rest[:end], rest[end+1:]
		if addr, err := netip.ParseAddr(host); err != nil || !addr.Is6() {
			return "", "", "invalid IPv6 address"
		}
		if port == "" {
			return host, "", ""
		}
		if port[0] != ':' {
			return "", "", "invalid host"
		}
		port = port[1:]
	} else {
		var hasPort bool
		host, port, hasPort = strings.Cut(s, ":")
		if host == "" {
			return "", "", "no host"
		}
		if !hasPort {
			return host, "", ""
		}
	}
	if _, ok := parsePort(port); !ok {
		return "", "", "invalid port"
	}
	return host, port, ""
}

// lookup turns a host, an address or a name, into addresses; nil if it has none.
// Names are asked for once per load.
func (l *loader) lookup(host string) []netip.Addr {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}
	}
	if known, ok := l.resolved[host]; ok {
		return known
	}
	var addrs []netip.Addr
	if !strings.ContainsAny(host, " \t\r\n\x00/") {
		found, err := l.opt.Resolve(host)
		if err != nil {
			found = nil
		}
		for _, a := range found {
			if a = a.Unmap(); a.IsValid() && !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
	}
	l.resolved[host] = addrs
	return addrs
}

// withPort pairs each address with the port.
func withPort(addrs []netip.Addr, port uint16) []Addr {
	out := make([]Addr, len(addrs))
	for i, a := range addrs {
		out[i] = Addr{IP: netip.AddrPortFrom(a, port)}
	}
	return out
}
