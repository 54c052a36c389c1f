package config

import (
	"net/netip"
	"strings"
)

// ProxyHeads are the proxy_* values about what an upstream is sent and what comes back of
// its head.
type ProxyHeads struct {
	// Redirects, CookieDomains, CookiePaths and CookieFlags rewrite Location, Refresh and
	// Set-Cookie. Without any Redirects proxy_redirect default holds where it can.
	Redirects, CookieDomains, CookiePaths Replacements
	CookieFlags                           CookieFlagsList
	// Ignored are the fields of responses that are not obeyed (proxy_ignore_headers).
	Ignored IgnoredFields
	// Method takes the place of the client's; empty for none (proxy_method).
	Method Text
	// Body takes the place of the client's; nil for none (proxy_set_body).
	Body *Text
	// DropBody and DropFields keep the client's body and fields from the upstream
	// (proxy_pass_request_body, proxy_pass_request_headers off).
	DropBody, DropFields bool
	// Bind is the local address of connections to the upstream (proxy_bind).
	Bind Bind
	// IgnoreClientAbort goes on without the client (proxy_ignore_client_abort).
	IgnoreClientAbort bool
}

// IgnoredFields is a set of response fields that steer nginx.
type IgnoredFields uint16

// The members of IgnoredFields.
const (
	IgnoreAccelRedirect IgnoredFields = 1 << iota
	IgnoreAccelExpires
	IgnoreAccelLimitRate
	IgnoreAccelBuffering
	IgnoreAccelCharset
	IgnoreExpires
	IgnoreCacheControl
	IgnoreSetCookie
	IgnoreVary
)

var ignorable = []string{
	"X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset",
	"Expires", "Cache-Control", "Set-Cookie", "Vary",
}

// Bind is where connections to an upstream come from.
type Bind struct {
	Position
	// Addrs are IP addresses, perhaps with a port, or texts with variables that yield one.
	// With more than one each new connection takes the next. Empty means any address.
	Addrs []string
	// Transparent allows addresses that are not this machine's (IP_TRANSPARENT).
	Transparent bool
}

func readIgnoreHeaders(l *level, n *node) {
	set := &l.set.Proxy.Heads.Ignored
	if l.first(n) {
		*set = 0
	}
	for _, arg := range n.args {
		member := IgnoredFields(0)
		for i, name := range ignorable {
			if strings.EqualFold(arg, name) {
				member = 1 << i
			}
		}
		switch {
		case member == 0:
			l.invalid(n, arg, "write one of "+strings.Join(ignorable, ", "))
			return
		case *set&member != 0:
			l.add(Warning, n.Position, "remove it", "duplicate value %q", arg)
		}
		*set |= member
	}
}

func readMethod(l *level, n *node) {
	method := n.args[0]
	switch {
	case strings.Contains(method, "$"):
		l.text(n.Position, n.name, method)
	case !isToken(method) || method == "CONNECT":
		l.invalid(n, method, "write a method such as GET or POST")
		return
	}
	l.set.Proxy.Heads.Method = Text{n.Position, method}
}

func readSetBody(l *level, n *node) {
	l.text(n.Position, n.name, n.args[0])
	l.set.Proxy.Heads.Body = &Text{n.Position, n.args[0]}
}

func readPassBody(l *level, n *node)   { l.set.Proxy.Heads.DropBody = !isOn(n.args[0]) }
func readPassFields(l *level, n *node) { l.set.Proxy.Heads.DropFields = !isOn(n.args[0]) }

func readProxyBind(l *level, n *node) { l.bindList(n, &l.set.Proxy.Heads.Bind) }

// bindList reads off, or addresses and perhaps "transparent". After an error set is what
// it was.
func (l *level) bindList(n *node, set *Bind) {
	const hint = "write an IP address of this machine, several of them, or off"
	b := Bind{Position: n.Position}
	args := n.args
	if len(args) == 1 && args[0] == "off" {
		*set = b
		return
	}
	if last := len(args) - 1; last > 0 && args[last] == "transparent" {
		b.Transparent, args = true, args[:last]
	}
	for _, arg := range args {
		_, errPort := netip.ParseAddrPort(arg)
		_, errAddr := netip.ParseAddr(strings.Trim(arg, "[]"))
		if !strings.Contains(arg, "$") && errPort != nil && errAddr != nil {
			l.invalid(n, arg, hint)
			return
		}
		l.text(n.Position, n.name, arg)
		b.Addrs = append(b.Addrs, arg)
	}
	*set = b
}

// Handler is what answers in a location without proxy_pass or files.
type Handler uint8

// The handlers.
const (
	HandlerNone   Handler = iota
	HandlerGIF            // empty_gif
	HandlerStatus         // stub_status
)
