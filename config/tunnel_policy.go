package config

import (
	"strings"
	"time"
)

// TunnelLimits say which tunnels may begin, and how long they live.
type TunnelLimits struct {
	// Origins is nil if any will do (websocket_origin).
	Origins *Origins
	// Max is nil without tunnels_max.
	Max *TunnelsMax
	// Lifetime is the age at which tunnels are ended, 0 for none; Jitter is how many percent of
	// it a tunnel may live less or more (tunnel_max_lifetime).
	Lifetime time.Duration
	Jitter   int
}

// Origins are the Origin fields that WebSocket handshakes may have (websocket_origin).
type Origins struct {
	Position
	// None lets handshakes without an Origin pass, Same those whose Origin is the host they ask
	// for, Null those of documents that have no origin.
	None, Same, Null bool
	// Values are origins and masks as written.
	Values []Text
	// Regexps are patterns for package regexp.
	Regexps []Text
}

// TunnelsMax is a tunnels_max directive. All levels that inherit it share one count.
type TunnelsMax struct {
	Position
	// Number is how many tunnels there may be.
	Number int
	// RetryAfter is what those are told that come when there are as many, in whole seconds.
	RetryAfter time.Duration
	// Server is where it stands; nil in http.
	Server *Server
	// Location has the modifiers and patterns of the location it stands in; empty outside.
	Location string
}

func defaultTunnelLimits() TunnelLimits { return TunnelLimits{Jitter: 10} }

// tunnelPolicyDirectives are the rows about which tunnels may begin, and how long they live.
func tunnelPolicyDirectives() []Directive {
	return []Directive{
		{
			Name: "websocket_origin", Contexts: ctxAll, Args: "value ... | off", Default: "off",
			Doc: "The Origin fields that WebSocket handshakes may have, else: 403. Exact (https://example.com), masks " +
				"(https://*.example.com, *.example.com), ~regex and ~*regex, same (the host that is asked for), null, none " +
				"(no such field). A level with any inherits none from outside.",
			Deviation: "Not in nginx.",
			min:       1, max: -1, repeat: true, read: readOrigin,
		},
		{
			Name: "tunnels_max", Contexts: ctxAll, Args: "number [retry_after=time]", Default: "0",
			Doc: "How many tunnels there may be, over all shards, in the places that share this line; 0 means no limit. " +
				"Beyond it: 503 with Retry-After, which is retry_after (10s) and up to half as much more.",
			Deviation: "Not in nginx.",
			min:       1, max: 2, read: readTunnelsMax,
		},
		{
			Name: "tunnel_max_lifetime", Contexts: ctxAll | ctxStreams, Args: "time [jitter=percent] | off", Default: "off",
			Doc: "The age at which tunnels are ended, less or more by up to jitter (10%), which differs from tunnel to " +
				"tunnel. Both ends of a WebSocket get a Close frame with the status 1001.",
			Deviation: "Not in nginx.",
			min:       1, max: 2, read: readTunnelLifetime,
		},
	}
}

const hintOrigin = "write an origin such as https://example.com, https://*.example.com, *.example.com, ~REGEX, same, " +
	"none, null or off"

func readOrigin(l *level, n *node) {
	limits := &l.set.TunnelLimits
	if n.args[0] == "off" && len(n.args) == 1 {
		if !l.first(n) {
			l.add(Error, n.Position, "remove one of the two", `"off" beside other "websocket_origin" directives`)
		}
		limits.Origins = nil
		return
	}
	switch {
	case l.first(n):
		limits.Origins = &Origins{Position: n.Position}
	case limits.Origins == nil:
		l.add(Error, n.Position, "remove one of the two", `%q beside "websocket_origin off"`, n.args[0])
		return
	}
	for _, arg := range n.args {
		l.origin(n, limits.Origins, arg)
	}
}

// origin reads one value of websocket_origin.
func (l *level) origin(n *node, o *Origins, arg string) {
	switch arg {
	case "none":
		o.None = true
		return
	case "same":
		o.Same = true
		return
	case "null":
		o.Null = true
		return
	case "off", "~", "~*":
		l.invalid(n, arg, hintOrigin)
		return
	}
	if !strings.HasPrefix(arg, "~") {
		o.Values = append(o.Values, Text{Position: n.Position, Text: arg})
		return
	}
	pattern, caseless := strings.CutPrefix(arg[1:], "*")
	re, ok := l.regex(n.Position, pattern, caseless)
	if !ok {
		return
	}
	if !strings.HasPrefix(pattern, "^") || !strings.HasSuffix(pattern, "$") {
		l.add(Warning, n.Position, "begin it with ^ and end it with $",
			"regex %q lets every Origin pass that has a match somewhere in it", pattern)
	}
	o.Regexps = append(o.Regexps, Text{Position: n.Position, Text: re})
}

// retryAfterMax bounds retry_after.
const retryAfterMax = 24 * time.Hour

func readTunnelsMax(l *level, n *node) {
	m := &TunnelsMax{Position: n.Position, RetryAfter: 10 * time.Second, Server: l.server, Location: l.place}
	var ok bool
	if m.Number, ok = parseInt(n.args[0], 0); !ok {
		l.invalid(n, n.args[0], "write a number of tunnels, such as 10000, or 0 for no limit")
		return
	}
	if len(n.args) > 1 {
		text, named := strings.CutPrefix(n.args[1], "retry_after=")
		d, ok := parseTime(text)
		if !named || !ok || d < time.Second || d > retryAfterMax {
			l.invalid(n, n.args[1], "write retry_after=TIME, from 1s to 1d")
			return
		}
		m.RetryAfter = (d + time.Second - 1).Truncate(time.Second)
	}
	if l.set.TunnelLimits.Max = m; m.Number == 0 {
		l.set.TunnelLimits.Max = nil
	}
}

// jitterMax bounds the jitter of tunnel_max_lifetime, in percent.
const jitterMax = 50

func readTunnelLifetime(l *level, n *node) {
	limits := &l.set.TunnelLimits
	if n.args[0] == "off" && len(n.args) == 1 {
		limits.Lifetime = 0
		return
	}
	d, ok := parseTime(n.args[0])
	if !ok || d < time.Second {
		l.invalid(n, n.args[0], "write a time of at least 1s, such as 12h, or off")
		return
	}
	jitter := defaultTunnelLimits().Jitter
	if len(n.args) > 1 {
		text, named := strings.CutPrefix(n.args[1], "jitter=")
		jitter, ok = parseInt(strings.TrimSuffix(text, "%"), 0)
		if !named || !ok || jitter > jitterMax {
			l.invalid(n, n.args[1], "write jitter=PERCENT, from 0% to 50%")
			return
		}
	}
	limits.Lifetime, limits.Jitter = d, jitter
}
