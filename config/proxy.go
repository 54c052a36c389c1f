package config

import (
	"net/netip"
	"strings"
	"time"
)

func readProxyPass(l *level, n *node) {
	pass := &ProxyPass{Position: n.Position, Text: n.args[0]}
	// Whatever is wrong with it: the location meant to answer.
	l.location.ProxyPass = pass
	if strings.Contains(pass.Text, "$") {
		pass.Variables = true
		if l.variablePass == nil {
			l.variablePass = pass
		}
		l.text(n.Position, n.name, pass.Text)
		return
	}
	scheme, rest, _ := strings.Cut(pass.Text, "://")
	pass.TLS = strings.EqualFold(scheme, "https")
	if !pass.TLS && !strings.EqualFold(scheme, "http") || rest == "" && !strings.HasSuffix(pass.Text, "://") {
		l.add(Error, n.Position, hintScheme(scheme, rest), "invalid URL prefix in %q", pass.Text)
		return
	}
	authority := l.splitProxyURL(pass, n, rest)
	switch l.location.Modifier {
	case Regex, RegexCaseless, NamedLocation:
		if pass.HasURI {
			l.add(Error, n.Position, "write it without "+pass.URI,
				`"proxy_pass" cannot have URI part in location given by regular expression, or inside named location`)
		}
	}
	if authority != "" {
		l.proxyUpstream(pass, n, authority)
	}
}

// hintScheme says what to write for the URL of a proxy_pass that begins with another scheme, or none.
func hintScheme(scheme, rest string) string {
	switch {
	case rest == "":
		return "write: proxy_pass http://" + scheme + ";"
	case strings.EqualFold(scheme, "ws"):
		return "WebSockets go through http, too; write: proxy_pass http://" + rest + ";"
	case strings.EqualFold(scheme, "wss"):
		return "WebSockets go through https, too; write: proxy_pass https://" + rest + ";"
	}
	return "write: proxy_pass http://ADDRESS;"
}

// splitProxyURL sets the URI of pass and returns the authority, or "" after an error.
func (l *level) splitProxyURL(pass *ProxyPass, n *node, rest string) string {
	if strings.HasPrefix(strings.ToLower(rest), "unix:") {
		path, uri, hasURI := strings.Cut(rest[5:], ":")
		pass.URI, pass.HasURI = uri, hasURI && uri != ""
		return "unix:" + path
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, pass.URI, pass.HasURI = rest[:i], rest[i:], true
	}
	if pass.HasURI && pass.URI[0] != '/' {
		l.add(Error, n.Position, "write: proxy_pass http://"+authority+"/"+pass.URI+";", "the URI %q has no path", pass.URI)
		return ""
	}
	if authority == "" {
		l.add(Error, n.Position, "write: proxy_pass http://ADDRESS;", "no host in upstream %q", rest)
	}
	return authority
}

// proxyUpstream finds the upstream block that an authority names, or makes an
// implicit one.
func (l *level) proxyUpstream(pass *ProxyPass, n *node, authority string) {
	host, port := authority, ""
	if !strings.HasPrefix(authority, "unix:") {
		var fault string
		if host, port, fault = splitHostPort(authority); fault != "" {
			l.add(Error, n.Position, "write: proxy_pass http://ADDRESS:PORT;", "%s in upstream %q", fault, authority)
			return
		}
	}
	key := strings.ToLower(host)
	if u := l.upstreams[key]; u != nil && !u.Implicit {
		if port != "" {
			l.add(Error, n.Position, "write the port in the upstream block at "+u.Position.String(),
				"upstream %q may not have port %s", host, port)
			return
		}
		pass.Upstream, pass.Host, pass.Port = u, host, defaultProxyPort(pass)
		return
	}
	pass.Host, pass.Port = proxyHost(authority, host, port, defaultProxyPort(pass))
	if pass.TLS && port == "" && !strings.HasPrefix(authority, "unix:") {
		authority += ":443" // a group of its own beside the one of http://
	}
	key = strings.ToLower(authority)
	if u := l.upstreams[key]; u != nil {
		pass.Upstream = u
		return
	}
	addrs, fault := l.upstreamAddrs(authority)
	if fault != "" {
		if !l.brokenAny || fault != hostNotFound {
			l.add(Error, n.Position, l.suggestUpstream(host,
				"write an address, or the name of an upstream block"), "%s in upstream %q", fault, authority)
		}
		return
	}
	u := defaultUpstream(n.Position, authority)
	u.Implicit = true
	u.Servers = []UpstreamServer{{
		Position: n.Position, Name: authority, Addrs: addrs, Weight: 1, MaxFails: 1, FailTimeout: defaultFailTimeout,
	}}
	l.upstreams[key] = u
	l.implicit = append(l.implicit, u)
	pass.Upstream = u
}

// defaultProxyPort is the port of a URL that names none.
func defaultProxyPort(pass *ProxyPass) string {
	if pass.TLS {
		return "443"
	}
	return "80"
}

// proxyHost is what $proxy_host and $proxy_port are for an address; usual is the port
// that a URL need not name.
func proxyHost(authority, host, port, usual string) (string, string) {
	if strings.HasPrefix(authority, "unix:") {
		return "localhost", ""
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		host = "[" + host + "]"
	}
	if port == "" || port == usual {
		return host, usual
	}
	return host + ":" + port, port
}

func readHTTPVersion(l *level, n *node) {
	switch n.args[0] {
	case "1.0":
		l.set.Proxy.HTTPMinor = 0
	case "1.1":
		l.set.Proxy.HTTPMinor = 1
	default:
		l.invalid(n, n.args[0], "write 1.0 or 1.1")
	}
}

func readSetHeader(l *level, n *node) {
	if l.first(n) {
		l.set.Proxy.SetHeaders = nil
	}
	if !isToken(n.args[0]) {
		l.invalid(n, n.args[0], "write the name of a header field")
		return
	}
	if strings.ContainsAny(n.args[1], "\r\n\x00") {
		l.invalid(n, n.args[1], "write the value without line ends")
		return
	}
	l.text(n.Position, n.name, n.args[1])
	l.set.Proxy.SetHeaders = append(l.set.Proxy.SetHeaders, SetHeader{n.Position, n.args[0], n.args[1]})
}

// headerList reads a directive that adds one field name to a list.
func headerList(field func(*Settings) *[]string) func(*level, *node) {
	return func(l *level, n *node) {
		list := field(l.set)
		if l.first(n) {
			*list = nil
		}
		if !isToken(n.args[0]) {
			l.invalid(n, n.args[0], "write the name of a header field")
			return
		}
		*list = append(*list, n.args[0])
	}
}

// isToken says whether s may be the name of a header field (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func readProxyReadTimeout(l *level, n *node) {
	duration(func(s *Settings) *time.Duration { return &s.Proxy.ReadTimeout })(l, n)
	l.set.Proxy.ReadTimeoutSet = true
}

func readProxySendTimeout(l *level, n *node) {
	duration(func(s *Settings) *time.Duration { return &s.Proxy.SendTimeout })(l, n)
	l.set.Proxy.SendTimeoutSet = true
}

func readBuffers(l *level, n *node) {
	count, ok := parseInt(n.args[0], 2)
	if !ok {
		l.invalid(n, n.args[0], "write a number from 2 on")
		return
	}
	bytes, ok := parseSize(n.args[1])
	if !ok || bytes == 0 {
		l.invalid(n, n.args[1], hintSize)
		return
	}
	total := int64(bufferedMax) + 1
	if bytes <= total/int64(count) {
		total = bytes * int64(count)
	}
	l.set.Proxy.BuffersSize = l.held(n, total)
}

// readTempFileSize accepts the 0 that turns nginx's temporary files off.
func readTempFileSize(l *level, n *node) {
	bytes, ok := parseSize(n.args[0])
	switch {
	case !ok:
		l.invalid(n, n.args[0], hintSize)
	case bytes > 0:
		l.warnNoEffect(n, noDisk)
	}
}

// nextUpstreams are the words of proxy_next_upstream.
var nextUpstreams = map[string]NextUpstream{
	"error": NextOnError, "timeout": NextOnTimeout, "invalid_header": NextOnInvalidHeader,
	"http_500": NextOn500, "http_502": NextOn502, "http_503": NextOn503, "http_504": NextOn504,
	"http_403": NextOn403, "http_404": NextOn404, "http_429": NextOn429, "non_idempotent": NextNonIdempotent,
}

func readNextUpstream(l *level, n *node) {
	const off = "proxy_next_upstream off"
	set := l.set.Proxy.NextUpstream
	if l.first(n) {
		set = 0
	}
	for _, arg := range n.args {
		if arg == "off" {
			l.seen[off] = n.Position
			continue
		}
		member := nextUpstreams[strings.ToLower(arg)]
		if member == 0 {
			l.invalid(n, arg, "write error, timeout, invalid_header, http_500, http_502, http_503, http_504, http_403, "+
				"http_404, http_429, non_idempotent or off")
			return
		}
		set |= member
	}
	if _, isOff := l.seen[off]; isOff {
		set = 0
	}
	l.set.Proxy.NextUpstream = set
}

func readNextTries(l *level, n *node) {
	var ok bool
	if l.set.Proxy.NextUpstreamTries, ok = parseInt(n.args[0], 0); !ok {
		l.invalid(n, n.args[0], hintNumber)
	}
}
