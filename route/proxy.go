package route

import (
	"bytes"
	"strconv"

	"holdfast/httpparse"
)

// Proxy is a compiled proxy_pass with the proxy_ directives that shape the heads. It
// is immutable.
type Proxy struct {
	// Group is the index of the upstream group; meaningful unless Dynamic.
	Group int
	// Host and Port are $proxy_host and $proxy_port; meaningful unless Dynamic.
	Host, Port string
	// Minor is the minor HTTP version spoken to the upstream (proxy_http_version). A
	// request that asks for an upgrade is sent as HTTP/1.1 all the same.
	Minor uint8
	// TLS is 1 + the index of the settings for TLS with the upstream, 0: none. Where the
	// scheme of proxy_pass has variables, Target.TLS tells whether they are used.
	TLS int

	// ProxyProtocol is the version of the PROXY protocol's header that goes to the upstream
	// first: 0 for none, 1 or 2 (proxy_protocol).
	ProxyProtocol uint8

	dynamic  bool
	target   Template // the whole URL, if dynamic
	uri      string   // the URI part; empty if the client's target is passed on
	replaced int      // bytes of $uri that uri stands for
	request  requestRecipe
	response responseRecipe
	form     proxyForm
}

// ProxySpec is a proxy_pass and what belongs to it, for Compiler.NewProxy.
type ProxySpec struct {
	// URL is the argument of proxy_pass as written.
	URL string
	// Modifier and Pattern are those of the location it stands in.
	Modifier Modifier
	Pattern  string
	// Group is the index of the upstream group; ignored if URL has variables.
	Group int
	// Minor is 0 or 1 (proxy_http_version).
	Minor uint8
	// SetHeaders are the fields of proxy_set_header, in the order written.
	SetHeaders []SetHeader
	// HideHeaders and PassHeaders are the names of proxy_hide_header and proxy_pass_header.
	HideHeaders, PassHeaders []string
	// Redirects are the replacements in Location and Refresh, in the order written
	// (proxy_redirect). None means that of the URL by the location's prefix, where the URL has
	// no variables, unless RedirectOff says that nothing is replaced.
	Redirects   []Replacement
	RedirectOff bool
	// CookieDomains, CookiePaths and CookieFlags are what is changed in Set-Cookie
	// (proxy_cookie_domain, proxy_cookie_path, proxy_cookie_flags).
	CookieDomains, CookiePaths []Replacement
	CookieFlags                []CookieFlags
	// Ignored are the fields of responses that are not obeyed (proxy_ignore_headers).
	Ignored IgnoredFields
	// Method takes the place of the client's; empty for none (proxy_method).
	Method string
	// SetBody takes the place of the client's body (proxy_set_body); nil for none.
	SetBody *string
	// DropBody and DropFields keep the client's body and fields from the upstream
	// (proxy_pass_request_body, proxy_pass_request_headers off).
	DropBody, DropFields bool
	// Bind are the addresses of proxy_bind; none means any.
	Bind []string
	// BindTransparent allows addresses that are not this machine's.
	BindTransparent bool
	// ProxyProtocol is the version of the PROXY protocol's header to send, 0: none.
	ProxyProtocol uint8
}

// SetHeader is one proxy_set_header.
type SetHeader struct {
	Name string
	// Value may contain variables. A field whose value renders empty is not sent.
	Value string
}

// SetHeaderError is a proxy_set_header that was refused.
type SetHeaderError struct {
	Index int // into ProxySpec.SetHeaders
	Err   error
}

// Error is the reason; the caller knows the place.
func (err *SetHeaderError) Error() string { return err.Err.Error() }

// Unwrap gives the *CompileError.
func (err *SetHeaderError) Unwrap() error { return err.Err }

// NewProxy compiles spec. The error is a *CompileError about the URL, or a
// *SetHeaderError.
func (c *Compiler) NewProxy(spec *ProxySpec) (*Proxy, error) {
	p := &Proxy{Group: spec.Group, Minor: spec.Minor, ProxyProtocol: spec.ProxyProtocol}
	t, err := c.Compile(spec.URL)
	if err != nil {
		return nil, err
	}
	if _, constant := t.Const(); constant {
		err = p.setURL(spec)
	} else {
		p.dynamic, p.target, p.Group = true, t, -1
	}
	if err != nil {
		return nil, err
	}
	if p.request, err = c.newRequestRecipe(spec.SetHeaders); err != nil {
		return nil, err
	}
	if err = c.newProxyForm(p, spec); err != nil {
		return nil, err
	}
	if p.response, err = c.newResponseRecipe(spec); err != nil {
		return nil, err
	}
	p.addDefaultRedirects(spec)
	return p, nil
}

// setURL takes a proxy_pass without variables apart.
func (p *Proxy) setURL(spec *ProxySpec) error {
	target, ok := parseURL([]byte(spec.URL))
	if !ok {
		return &CompileError{
			Text: "invalid URL " + strconv.Quote(spec.URL) + " in proxy_pass",
			Hint: `write "http://name", "http://address:port" or "http://unix:/path", each with or without a URI`,
		}
	}
	p.Host, p.Port = string(target.hostField), string(target.port)
	p.uri = string(appendURIPart(nil, target.uri))
	if p.uri == "" {
		return nil
	}
	switch spec.Modifier {
	case Regex, RegexCaseless, NamedLocation:
		return &CompileError{
			Text: "proxy_pass cannot have a URI part in a location given by a regular expression or a name",
			Hint: `leave out "` + p.uri + `"`,
		}
	}
	p.replaced = len(spec.Pattern)
	return nil
}

// Dynamic reports whether proxy_pass has variables, so that Resolve must say for each
// request where it leads.
func (p *Proxy) Dynamic() bool { return p.dynamic }

// Endpoint is where a proxy_pass with variables leads for one request. Its slices
// live until the Env's Reset.
type Endpoint struct {
	// Name is the host as rendered, with ":port" if there is one: the name of an
	// upstream group, or an address to connect to.
	Name []byte
	// Host and Port are the same apart; Port is "80" if none was rendered, or "443" with TLS.
	Host, Port []byte
	// Unix is the path of a unix-domain socket; then the others are empty.
	Unix []byte
	// TLS says that the scheme is https.
	TLS bool
}

// endpoint is a proxy_pass URL taken apart.
type endpoint struct {
	Endpoint
	hostField []byte // $proxy_host: Name without the default port, or "localhost"
	port      []byte // $proxy_port
	uri       []byte // the URI part; empty if there is none
}

// Resolve renders a proxy_pass with variables; ok is false if the result is no URL to
// pass a request to, which nginx answers with 500. Call it once per request, after
// e.Location is set and before AppendRequest.
func (p *Proxy) Resolve(e *Env) (target Endpoint, ok bool) {
	e.target, ok = parseURL(e.render(p.target))
	return e.target.Endpoint, ok
}

// What a URL without a port, and one of a unix-domain socket, stand for.
var (
	plainPort = []byte("80")
	tlsPort   = []byte("443")
	noPort    = []byte{}
	unixHost  = []byte("localhost")
)

// parseURL takes apart http://host[:port][uri] or http://unix:path[:uri], or the same with
// https. The results alias url.
func parseURL(url []byte) (endpoint, bool) {
	const plain, secure = "http://", "https://"
	rest, defaultPort, isTLS := url, plainPort, false
	switch {
	case hasPrefixFold(url, plain):
		rest = url[len(plain):]
	case hasPrefixFold(url, secure):
		rest, defaultPort, isTLS = url[len(secure):], tlsPort, true
	}
	if len(rest) == len(url) || len(rest) == 0 {
		return endpoint{}, false
	}
	t, ok := parseAuthority(rest, defaultPort)
	t.TLS = isTLS
	return t, ok
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && httpparse.EqualFold(b[:len(prefix)], prefix)
}

// parseAuthority takes apart what follows the scheme.
func parseAuthority(rest, defaultPort []byte) (endpoint, bool) {
	if hasPrefix(rest, "unix:") {
		return parseUnixURL(rest[len("unix:"):])
	}
	end := 0
	for end < len(rest) && rest[end] != '/' && rest[end] != '?' {
		end++
	}
	host, port, err := httpparse.ParseHost(rest[:end])
	if err != httpparse.OK {
		return endpoint{}, false
	}
	t := endpoint{uri: rest[end:]}
	t.Name, t.Host, t.Port = rest[:end], host, port
	t.hostField = t.Name
	if len(port) == 0 {
		t.Port = defaultPort
	}
	if bytes.Equal(t.Port, defaultPort) {
		t.hostField = host
	}
	t.port = t.Port
	return t, true
}

// parseUnixURL takes apart what follows "unix:".
func parseUnixURL(rest []byte) (endpoint, bool) {
	path, uri := rest, []byte(nil)
	if end := bytes.IndexByte(rest, ':'); end >= 0 {
		path, uri = rest[:end], rest[end+1:]
	}
	if len(path) == 0 {
		return endpoint{}, false
	}
	return endpoint{Endpoint: Endpoint{Unix: path}, hostField: unixHost, port: noPort, uri: uri}, true
}

// appendURIPart appends the URI part of a URL as a request line needs it.
func appendURIPart(dst, uri []byte) []byte {
	if len(uri) > 0 && uri[0] == '?' {
		dst = append(dst, '/')
	}
	return appendTarget(dst, uri)
}
