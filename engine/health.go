package engine

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/health"
	"holdfast/observe"
	"holdfast/shard"
	"holdfast/upstream"
)

// checkFields are the fields of a check's request that proxy_set_header can't set: they say how
// the message ends, or ask for something that a check does not want.
var checkFields = []string{
	"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}

// healthChecks makes the checks of all servers, once their settings are compiled.
func (b *builder) healthChecks() {
	eachCheck(b.cfg, func(s *config.Server, l *config.Location) {
		if l != nil {
			b.checks = append(b.checks, b.httpCheck(s, l))
		} else {
			b.checks = append(b.checks, b.streamCheck(s))
		}
	})
}

// eachCheck calls do for every health_check: with its location, or nil in a server of stream.
func eachCheck(cfg *config.Config, do func(*config.Server, *config.Location)) {
	var walk func(s *config.Server, list []*config.Location)
	walk = func(s *config.Server, list []*config.Location) {
		for _, l := range list {
			if l.HealthCheck != nil {
				do(s, l)
			}
			walk(s, l.Nested)
		}
	}
	for _, s := range cfg.HTTP.Servers {
		walk(s, s.Locations)
		walk(s, s.Named)
	}
	for _, s := range cfg.Stream.Servers {
		if s.Stream.HealthCheck != nil {
			do(s, nil)
		}
	}
}

func (b *builder) httpCheck(s *config.Server, l *config.Location) *health.Check {
	p := &l.Settings.Proxy
	c := b.check(l.HealthCheck, l.ProxyPass, p.Heads.Bind.Addrs)
	c.ConnectTimeout, c.Timeout = p.ConnectTimeout, p.ReadTimeout
	c.Greeting = localGreeting(p.ProxyProtocol)
	known := checkVariables(l.ProxyPass, s)
	c.HTTP = httpTests(l.HealthCheck)
	c.HTTP.Request = b.checkRequest(l, known)
	secured := b.checkTLS(c, b.proxyTLS(l), cmp.Or(p.SSL.Name.Text, "$proxy_host"), known)
	c.Key = fmt.Sprintf("http %s %v %v %q %q %s", c.Key, c.ConnectTimeout, c.Timeout, c.HTTP.Request, c.Greeting, secured)
	return c
}

func (b *builder) streamCheck(s *config.Server) *health.Check {
	hc, pass, set := s.Stream.HealthCheck, s.Stream.ProxyPass, &s.Settings
	c := b.check(hc, pass, set.Stream.Bind.Addrs)
	c.ConnectTimeout, c.Timeout = set.Proxy.ConnectTimeout, set.Stream.CheckTimeout
	c.Greeting = localGreeting(set.Stream.ProxyProtocol)
	c.Stream = &health.Stream{}
	if m := hc.Match; m != nil {
		c.Stream.Send, c.Stream.Expect, c.Stream.Pattern = m.Send, m.Expect, checkPattern(m.Regexp)
	}
	secured := b.checkTLS(c, b.streamTLS(pass, set), cmp.Or(set.Proxy.SSL.Name.Text, pass.Text), checkVariables(pass, s))
	c.Key = fmt.Sprintf("stream %s %v %v %q %s", c.Key, c.ConnectTimeout, c.Timeout, c.Greeting, secured)
	return c
}

// check is what checks of http and stream have in common. Its Key is to be completed.
func (b *builder) check(hc *config.HealthCheck, pass *config.ProxyPass, bind []string) *health.Check {
	c := &health.Check{
		Group: b.sn.Groups[b.groups[pass.Upstream]], Upstream: pass.Upstream.Name,
		Interval: hc.Interval, Jitter: hc.Jitter, Fails: hc.Fails, Passes: hc.Passes,
		Mandatory: hc.Mandatory, Persistent: hc.Persistent, Port: hc.Port,
	}
	c.Key = fmt.Sprintf("%q %v %v %d %d %v %v %d %v", c.Upstream, c.Interval, c.Jitter, c.Fails, c.Passes, c.Mandatory,
		c.Persistent, c.Port, hc.KeepaliveTime)
	if m := hc.Match; m != nil {
		c.Match = m.Name
		c.Key += fmt.Sprintf(" %q %+v %+v %+v %q %q %q", m.Name, m.Statuses, m.Headers, m.Bodies, m.Send, m.Expect, m.Regexp)
	}
	for _, text := range bind { // one with variables is for requests only
		if addr, err := netip.ParseAddr(text); err == nil && !c.Local.IsValid() {
			c.Local = addr
			c.Key += " from " + text
		}
	}
	return c
}

// checkTLS has the check speak TLS as requests do: with the settings of that number, and a name
// with variables. The result belongs to the check's Key.
func (b *builder) checkTLS(c *health.Check, number int, name string, known map[string]string) string {
	if number == 0 {
		return ""
	}
	u := b.sn.UpstreamTLS[number-1]
	name = expandKnown(name, known)
	c.TLS = func() *tls.Config { return u.Config(name) }
	return fmt.Sprintf("tls %d %q", u.ID, name)
}

// checkVariables are the values that variables have in a check; all others are empty.
func checkVariables(pass *config.ProxyPass, server *config.Server) map[string]string {
	known := map[string]string{"proxy_host": pass.Host, "proxy_port": pass.Port, "scheme": "http"}
	if server != nil && len(server.Names) > 0 && server.Names[0].Kind == config.NameExact {
		known["server_name"] = server.Names[0].Text
	}
	known["host"] = cmp.Or(known["server_name"], pass.Host)
	known["http_host"] = known["host"]
	return known
}

// expandKnown renders a text with variables.
func expandKnown(text string, known map[string]string) string {
	return os.Expand(text, func(name string) string { return known[name] })
}

// checkRequest is the request of a check: a GET with the fields of proxy_set_header.
func (b *builder) checkRequest(l *config.Location, known map[string]string) []byte {
	p := &l.Settings.Proxy
	set := map[string]bool{}
	fields := ""
	for _, h := range p.SetHeaders {
		name := strings.ToLower(h.Name)
		value := expandKnown(h.Value, known)
		if slices.Contains(checkFields, name) {
			continue
		}
		set[name] = true
		if name == "host" {
			value = cmp.Or(value, known["proxy_host"])
		}
		if value != "" {
			fields += h.Name + ": " + value + "\r\n"
		}
	}
	minor := p.HTTPMinor
	head := ""
	if !set["host"] {
		head = "Host: " + known["proxy_host"] + "\r\n"
	}
	switch keep := l.HealthCheck.KeepaliveTime > 0; {
	case !keep:
		head += "Connection: close\r\n"
	case minor == 0:
		head += "Connection: keep-alive\r\n"
	}
	if !set["user-agent"] {
		fields += "User-Agent: " + cmp.Or("holdfast/"+b.version, "holdfast") + " (health check)\r\n"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.%d\r\n%s%s\r\n", l.HealthCheck.URI, minor, head, fields)
}

// localGreeting is the header of the PROXY protocol of a connection that the proxy opens on its
// own account.
func localGreeting(version uint8) []byte {
	switch version {
	case 1:
		return []byte("PROXY UNKNOWN\r\n")
	case 2:
		return []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00") // LOCAL, without addresses
	}
	return nil
}

// httpTests translates the tests of a response.
func httpTests(hc *config.HealthCheck) *health.HTTP {
	h := &health.HTTP{KeepaliveTime: hc.KeepaliveTime}
	if hc.Match == nil {
		return h
	}
	for _, t := range hc.Match.Statuses {
		h.Statuses = append(h.Statuses, health.StatusTest{Not: t.Not, Ranges: t.Ranges})
	}
	for _, t := range hc.Match.Headers {
		h.Headers = append(h.Headers, health.HeaderTest{
			Name: t.Name, Op: headerOps[t.Op], Value: t.Value, Pattern: checkPattern(t.Regexp),
		})
	}
	for _, t := range hc.Match.Bodies {
		h.Bodies = append(h.Bodies, health.BodyTest{Not: t.Not, Pattern: regexp.MustCompile(t.Regexp)})
	}
	return h
}

var headerOps = map[string]health.HeaderOp{
	"": health.HeaderPresent, "!": health.HeaderAbsent, "=": health.HeaderEqual, "!=": health.HeaderNotEqual,
	"~": health.HeaderMatches, "~*": health.HeaderMatches, "!~": health.HeaderNotMatch, "!~*": health.HeaderNotMatch,
}

// checkPattern compiles what config has compiled before; nil for no text.
func checkPattern(text string) *regexp.Regexp {
	if text == "" {
		return nil
	}
	return regexp.MustCompile(text)
}

// newHealth makes the set of checks; Update starts them.
func (e *engine) newHealth() *health.Set {
	return health.NewSet(health.Options{
		Log:   func(level observe.Level, format string, args ...any) { e.logger.Log(level, format, args...) },
		NowMs: shard.NowMs,
	})
}

// healthInfo is what the checks say about a peer, nil if there are none.
func healthInfo(p *upstream.Peer) *admin.HealthInfo {
	h := &p.Health
	if h.Checkers.Load() == 0 {
		return nil
	}
	state := "up"
	switch {
	case h.Failing.Load() > 0:
		state = "unhealthy"
	case h.Checking.Load() > 0:
		state = "checking"
	}
	return &admin.HealthInfo{
		State: state, Checks: h.Checks.Load(), Fails: h.Fails.Load(), Unhealthy: h.Unhealthy.Load(),
		LastPassed: h.LastPassed.Load(),
	}
}

// checkDescriptors is how many descriptors the checks of a configuration need at a time.
func checkDescriptors(cfg *config.Config) int {
	checked, kept := 0, 0
	eachCheck(cfg, func(s *config.Server, l *config.Location) {
		var hc *config.HealthCheck
		var pass *config.ProxyPass
		if l != nil {
			hc, pass = l.HealthCheck, l.ProxyPass
		} else {
			hc, pass = s.Stream.HealthCheck, s.Stream.ProxyPass
		}
		for i := range pass.Upstream.Servers {
			n := max(len(pass.Upstream.Servers[i].Addrs), 1)
			checked += n
			if hc.KeepaliveTime > 0 {
				kept += n
			}
		}
	})
	return kept + min(checked, health.ActiveMax)
}
