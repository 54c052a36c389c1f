package config

import (
	"net/netip"
	"strings"
	"time"
)

// portRangeMax bounds the ports of one listen directive: each is a socket per shard.
const portRangeMax = 1000

// listen is one listen directive, or the one that a server without any has.
type listen struct {
	Position
	text      string
	addrs     []Addr
	options   ListenOptions
	isDefault bool
	// optionsSet says that an option of the socket was written: that may be done in
	// one server per address only.
	optionsSet bool
	// ssl and proxyProtocol are no options of the socket: any server may write them, and
	// they hold for all that share the address.
	ssl, proxyProtocol bool
}

func defaultListenOptions() ListenOptions {
	return ListenOptions{Backlog: 511, IPv6Only: true}
}

func readListen(l *level, n *node) {
	ln := &listen{Position: n.Position, text: n.args[0], options: defaultListenOptions()}
	if !l.listenAddress(ln, n) {
		l.refused = true
		return
	}
	quic := false
	for _, arg := range n.args[1:] {
		if arg == "quic" {
			quic = true
			continue
		}
		if !l.listenParameter(ln, n, arg) {
			l.refused = true
			return
		}
	}
	if quic {
		l.add(Warning, n.Position, "", "\"listen %s\" is left out: QUIC is not supported", strings.Join(n.args, " "))
		l.skippedQUIC = true
		return
	}
	l.listens = append(l.listens, ln)
}

// listenAddress reads the first argument: a port, a range of ports, an address
// with or without one, or unix:path.
func (l *level) listenAddress(ln *listen, n *node) bool {
	fault := func(text string) bool {
		l.add(Error, n.Position, "write an address such as 8080, 127.0.0.1:8080, [::]:8080 or unix:/path",
			"%s in %q of the \"listen\" directive", text, ln.text)
		return false
	}
	if path, ok := strings.CutPrefix(ln.text, "unix:"); ok {
		if text := unixPathFault(path); text != "" {
			return fault(text)
		}
		ln.addrs = []Addr{{Unix: path}}
		return true
	}
	host, low, high, text := splitListen(ln.text)
	if text != "" {
		return fault(text)
	}
	if high-low >= portRangeMax {
		return fault("more than 1000 ports")
	}
	addrs := []netip.Addr{netip.IPv4Unspecified()}
	if host != "*" {
		if addrs = l.lookup(host); addrs == nil {
			return fault("host not found")
		}
	}
	for port := int(low); port <= int(high); port++ {
		ln.addrs = append(ln.addrs, withPort(addrs, uint16(port))...)
	}
	return true
}

// splitListen splits host:port for listen, where the host or the port may be
// missing and the port may be a range.
func splitListen(s string) (host string, low, high uint16, fault string) {
	host, ports := s, "80"
	if strings.HasPrefix(s, "[") {
		end := strings.LastIndexByte(s, ']')
		if end > 0 && strings.HasPrefix(s[end+1:], ":") {
			host, ports = s[:end+1], s[end+2:]
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, ports = s[:i], s[i+1:]
	} else if s != "" && strings.Trim(s, "0123456789-") == "" {
		host, ports = "*", s
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	low, okLow := parsePort(first)
	high, okHigh := parsePort(last)
	if !okLow || !okHigh || low > high {
		return "", 0, 0, "invalid port"
	}
	if host == "*" {
		return host, low, high, ""
	}
	host, _, fault = splitHostPort(host)
	return host, low, high, fault
}

// listenParameter reads one argument behind the address.
func (l *level) listenParameter(ln *listen, n *node, arg string) bool {
	if arg == "default_server" || arg == "default" {
		ln.isDefault = true
		return true
	}
	switch arg {
	case "ssl":
		ln.ssl = true
		return true
	case "proxy_protocol":
		ln.proxyProtocol = true
		return true
	case "http2", "spdy":
		if !l.warned["listen http2"] {
			l.warned["listen http2"] = true
			l.add(Warning, n.Position, "", `%q of "listen" has no effect: clients are answered in HTTP/1.1`, arg)
		}
		return true
	}
	name, value, hasValue := strings.Cut(arg, "=")
	if hint, refused := listenRefused[name]; refused {
		l.add(Error, n.Position, hint, "%q of \"listen\" is not supported", arg)
		return false
	}
	parameter, known := listenParameters[name]
	if !known || hasValue != parameter.hasValue {
		l.add(Error, n.Position, suggest(name, listenWords, "write "+strings.Join(listenWords, ", ")),
			"invalid parameter %q in \"listen\" directive", arg)
		return false
	}
	if !parameter.read(&ln.options, value) {
		l.add(Error, n.Position, parameter.hint, "invalid value in %q of the \"listen\" directive", arg)
		return false
	}
	ln.optionsSet = true
	return true
}

// listenRefused are the parameters that would change who may connect or what a
// connection carries.
var listenRefused = map[string]string{
	"setfib":        "it exists on FreeBSD only; remove it",
	"accept_filter": "it exists on FreeBSD only; write deferred",
	"multipath":     "remove it",
	"protocol":      "remove it",
}

// listenWords are all parameters, as one writes them.
var listenWords = []string{
	"default_server", "ssl", "proxy_protocol", "bind", "reuseport", "deferred", "shared", "backlog=", "fastopen=",
	"rcvbuf=", "sndbuf=", "ipv6only=", "so_keepalive=",
}

type listenParam struct {
	hasValue bool
	hint     string
	read     func(o *ListenOptions, value string) bool
}

const hintKeepalive = "write on, off, or IDLE:INTERVAL:COUNT such as 2m:30s:4, at most 32767:32767:127"

// listenParameters are the options of the socket.
var listenParameters = map[string]listenParam{
	"bind":         {read: func(o *ListenOptions, _ string) bool { o.Bind = true; return true }},
	"reuseport":    {read: func(o *ListenOptions, _ string) bool { o.Reuseport = true; return true }},
	"deferred":     {read: func(o *ListenOptions, _ string) bool { o.Deferred = true; return true }},
	"shared":       {read: func(o *ListenOptions, _ string) bool { o.Shared = true; return true }},
	"backlog":      {true, "write a number from 1 on", readBacklog},
	"fastopen":     {true, hintNumber, readFastOpen},
	"rcvbuf":       {true, hintSize, func(o *ListenOptions, v string) bool { return bufferSize(v, &o.Rcvbuf) }},
	"sndbuf":       {true, hintSize, func(o *ListenOptions, v string) bool { return bufferSize(v, &o.Sndbuf) }},
	"ipv6only":     {true, "write on or off", readIPv6Only},
	"so_keepalive": {true, hintKeepalive, readSoKeepalive},
}

func readBacklog(o *ListenOptions, value string) (ok bool) {
	o.Backlog, ok = parseInt(value, 1)
	return ok
}

func readFastOpen(o *ListenOptions, value string) (ok bool) {
	o.FastOpen, ok = parseInt(value, 0)
	return ok
}

func bufferSize(value string, field *int64) bool {
	v, ok := parseSize(value)
	*field = v
	return ok && v < 1<<31
}

func readIPv6Only(o *ListenOptions, value string) bool {
	o.IPv6Only = value == "on"
	return value == "on" || value == "off"
}

// readSoKeepalive reads on, off or idle:interval:count, where any of the three may
// be left out but not all.
func readSoKeepalive(o *ListenOptions, value string) bool {
	if value == "on" || value == "off" {
		o.Keepalive = Keepalive{Off: value == "off"}
		return true
	}
	idle, rest, _ := strings.Cut(value, ":")
	interval, count, _ := strings.Cut(rest, ":")
	okIdle, okInterval, okCount := true, true, true
	k := &o.Keepalive
	if idle != "" {
		k.Idle, okIdle = parseSeconds(idle)
	}
	if interval != "" {
		k.Interval, okInterval = parseSeconds(interval)
	}
	if count != "" {
		k.Count, okCount = parseInt(count, 0)
	}
	return okIdle && okInterval && okCount && *k != Keepalive{} &&
		k.Idle <= keepaliveMax && k.Interval <= keepaliveMax && k.Count <= keepaliveCountMax
}

// The kernel takes no more, tcp(7).
const (
	keepaliveMax      = 32767 * time.Second
	keepaliveCountMax = 127
)
