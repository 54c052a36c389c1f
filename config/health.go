package config

import (
	"slices"
	"strings"
	"time"
)

// HealthCheck is a health_check directive.
type HealthCheck struct {
	Position
	// Interval is the time between two checks of a server, to which up to Jitter is added.
	Interval, Jitter time.Duration
	// Fails and Passes are how many results in a row make a server unhealthy and healthy.
	Fails, Passes int
	// URI is the target of the request; empty in stream.
	URI string
	// Mandatory keeps requests from servers that have not passed. Persistent has servers that
	// were healthy before a reload stay so.
	Mandatory, Persistent bool
	// Port takes the place of the server's; 0 for none.
	Port uint16
	// KeepaliveTime is how long one connection may be used for checks; 0 closes it after each.
	KeepaliveTime time.Duration
	// Match is nil without match=.
	Match *Match
}

// healthDirectives are the rows about active health checks.
func healthDirectives() []Directive {
	const common = "[interval=time] [jitter=time] [fails=number] [passes=number] [mandatory [persistent]] " +
		"[match=name] [port=number]"
	const deviation = "In the commercial nginx only. A server that is unhealthy before a reload stays so until it " +
		"passes. It needs no zone. docs/health.md has the rest. "
	return []Directive{
		{
			Name: "health_check", Contexts: CtxLocation, Args: common + " [uri=uri] [keepalive_time=time]",
			Doc: "Asks each server of the location's upstream at intervals; one that fails gets no requests until it " +
				"passes.",
			Deviation: deviation + "type=grpc is refused; proxy_pass must name an upstream block.",
			max:       -1, phase: phaseDescend, read: readHealthCheck,
		},
		{
			Name: "health_check", Contexts: CtxStreamServer, Args: common,
			Doc: "Connects to each server of the upstream at intervals; one that fails gets no connections until it " +
				"passes.",
			Deviation: deviation + "udp is refused; proxy_pass must name an upstream block.",
			max:       -1, phase: phaseDescend, read: readHealthCheck,
		},
		{
			Name: "health_check_timeout", Contexts: ctxStreams, Args: "timeout", Default: "5s",
			Doc:       "How long a health check of a stream's server may take.",
			Deviation: "In the commercial nginx only.",
			min:       1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.Stream.CheckTimeout }),
		},
		{
			Name: "match", Contexts: CtxHTTP, Args: "name { ... }",
			Doc: "Tests that the response to a health check must pass, each of them: status, header and body, as in " +
				"\"status 200-399;\", \"status ! 500;\", \"header X = value;\", \"header X ~ regex;\", \"header ! X;\", " +
				"\"body ~ regex;\".",
			Deviation: "In the commercial nginx only. require is refused. Regular expressions are those of RE2.",
			min:       1, max: 1, form: block, repeat: true, phase: phaseDefine, read: readMatch,
		},
		{
			Name: "match", Contexts: CtxStream, Args: "name { ... }",
			Doc: "What a health check sends to a server (send) and what must come back (expect): a text, or a regular " +
				"expression behind ~ or ~*. Both may have bytes as \\x and two hexadecimal digits.",
			Deviation: "In the commercial nginx only. The text may stand anywhere in what comes back. Regular expressions " +
				"are those of RE2, and see bytes.",
			min: 1, max: 1, form: block, repeat: true, phase: phaseDefine, read: readMatch,
		},
	}
}

const (
	hintCheck = "write interval=TIME, jitter=TIME, fails=NUMBER, passes=NUMBER, uri=URI, mandatory, persistent, " +
		"match=NAME, port=NUMBER or keepalive_time=TIME"
	hintStreamCheck = "write interval=TIME, jitter=TIME, fails=NUMBER, passes=NUMBER, mandatory, persistent, " +
		"match=NAME or port=NUMBER"
)

func readHealthCheck(l *level, n *node) {
	c := &HealthCheck{Position: n.Position, Interval: 5 * time.Second, Fails: 1, Passes: 1}
	if l.ctx == CtxLocation {
		c.URI = "/"
	}
	for _, arg := range n.args {
		if !l.checkParameter(c, n, arg) {
			return
		}
	}
	if c.Persistent && !c.Mandatory {
		l.add(Error, n.Position, "write: mandatory persistent", "\"persistent\" of %q without \"mandatory\"", n.name)
		return
	}
	pass := l.checkedPass(n)
	if pass == nil || pass.Upstream == nil {
		return
	}
	if pass.Upstream.Implicit {
		l.add(Error, n.Position, "write: upstream NAME { server "+pass.Upstream.Name+"; } and pass to that name",
			"no upstream block for %q", n.name)
		return
	}
	pass.Upstream.CheckMandatory = pass.Upstream.CheckMandatory || c.Mandatory
	if l.ctx == CtxLocation {
		l.location.HealthCheck = c
	} else {
		l.server.Stream.HealthCheck = c
	}
}

// checkedPass is the proxy_pass beside a health_check, or nil after an error.
func (l *level) checkedPass(n *node) *ProxyPass {
	var pass *ProxyPass
	if l.ctx == CtxLocation {
		pass = l.location.ProxyPass
	} else {
		pass = l.server.Stream.ProxyPass
	}
	switch {
	case pass == nil && l.refused:
	case pass == nil:
		l.add(Error, n.Position, "write proxy_pass beside it, or remove it", "%q without \"proxy_pass\"", n.name)
	case pass.Variables:
		l.add(Error, n.Position,
			"name an upstream block in proxy_pass: which servers to ask must be known before a request comes",
			"%q beside \"proxy_pass\" with variables", n.name)
	default:
		return pass
	}
	return nil
}

// checkRefused are the parameters of health_check that nginx has and why they are refused.
var checkRefused = map[string]string{
	"type":         "gRPC is not passed on, so it is not checked either; remove it",
	"grpc_service": "gRPC is not passed on, so it is not checked either; remove it",
	"grpc_status":  "gRPC is not passed on, so it is not checked either; remove it",
	"udp":          "datagrams are not passed on; remove it",
}

// checkParameter reads one parameter of health_check.
func (l *level) checkParameter(c *HealthCheck, n *node, arg string) (ok bool) {
	name, value, hasValue := strings.Cut(arg, "=")
	hint := hintCheck
	if l.ctx != CtxLocation {
		hint = hintStreamCheck
	}
	if why := checkRefused[name]; why != "" {
		l.add(Error, n.Position, why, "%q of %q is not supported", arg, n.name)
		return false
	}
	switch {
	case arg == "mandatory":
		c.Mandatory, ok = true, true
	case arg == "persistent":
		c.Persistent, ok = true, true
	case name == "match" && hasValue:
		if c.Match = l.matches[value]; c.Match == nil {
			if !l.brokenAny {
				l.add(Error, n.Position, "define it beside the servers: match "+value+" { ... }",
					"unknown match %q in %q", value, n.name)
			}
			return false
		}
		return true
	case hasValue && (l.ctx == CtxLocation || !slices.Contains([]string{"uri", "keepalive_time"}, name)):
		hint, ok = c.value(name, value, hint)
	}
	if !ok {
		l.add(Error, n.Position, hint, "invalid parameter %q in %q directive", arg, n.name)
	}
	return ok
}

// value reads a parameter with a value; hint is for a name that is unknown, and then comes back.
func (c *HealthCheck) value(name, value, hint string) (string, bool) {
	ok := false
	switch name {
	case "interval":
		hint = "write a time above 0, such as 5s"
		c.Interval, ok = parseTime(value)
		ok = ok && c.Interval > 0
	case "jitter":
		hint = hintTime
		c.Jitter, ok = parseTime(value)
	case "keepalive_time":
		hint = hintTime
		c.KeepaliveTime, ok = parseTime(value)
	case "fails":
		hint = "write a number above 0"
		c.Fails, ok = parseInt(value, 1)
	case "passes":
		hint = "write a number above 0"
		c.Passes, ok = parseInt(value, 1)
	case "port":
		hint = "write a number from 1 to 65535"
		c.Port, ok = parsePort(value)
		ok = ok && c.Port != 0
	case "uri":
		hint = "write a path that begins with /, without blanks"
		c.URI = value
		ok = strings.HasPrefix(value, "/") && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	}
	return hint, ok
}
