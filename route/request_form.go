package route

import (
	"net/netip"

	"holdfast/httpparse"
)

// proxyForm is what the configuration puts in the place of parts of a request and of its
// connection.
type proxyForm struct {
	method     Template
	body       Template
	bind       LocalAddrs
	hasMethod  bool
	hasBody    bool // body takes the place of the client's
	dropBody   bool
	dropFields bool
	ignored    IgnoredFields
}

// newProxyForm compiles that part of spec. The error is a *CompileError.
func (c *Compiler) newProxyForm(p *Proxy, spec *ProxySpec) (err error) {
	f := &p.form
	f.ignored = spec.Ignored
	f.dropBody, f.dropFields = spec.DropBody, spec.DropFields
	if f.hasMethod = spec.Method != ""; f.hasMethod {
		if f.method, err = c.Compile(spec.Method); err != nil {
			return err
		}
	}
	if f.hasBody = spec.SetBody != nil; f.hasBody {
		if f.body, err = c.Compile(*spec.SetBody); err != nil {
			return err
		}
	}
	f.bind, err = c.NewLocalAddrs(spec.Bind, spec.BindTransparent)
	return err
}

// ReplacesBody reports whether the upstream never gets the client's body (proxy_set_body,
// proxy_pass_request_body off).
func (p *Proxy) ReplacesBody() bool { return p.form.hasBody || p.form.dropBody }

// Body is what the upstream gets in the place of the client's body where ReplacesBody says
// so; nil for none. It lives until the Env's Reset.
func (p *Proxy) Body(e *Env) []byte {
	if !p.form.hasBody {
		return nil
	}
	return e.render(p.form.body)
}

// HasOwnBody reports whether there is a proxy_set_body: an empty body has a length.
func (p *Proxy) HasOwnBody() bool { return p.form.hasBody }

// Bind are the local addresses of connections to the upstream (proxy_bind).
func (p *Proxy) Bind() *LocalAddrs { return &p.form.bind }

// appendMethod writes the method: that of proxy_method, else the client's, or GET where the
// request has become one. An upgrade keeps its own.
func (p *Proxy) appendMethod(dst []byte, e *Env, form *RequestForm, upgrade bool) (out []byte, id httpparse.MethodID) {
	if p.form.hasMethod && !upgrade {
		at := len(dst)
		dst = p.form.method.Append(dst, e)
		if method := dst[at:]; isMethod(method) {
			return dst, httpparse.MethodIDOf(method)
		}
		dst = dst[:at]
	}
	if form.Get && (form.Subrequest || e.Req.MethodID != httpparse.MethodHead) {
		return append(dst, "GET"...), httpparse.MethodGet
	}
	return append(dst, e.Req.Method.Of(e.Head)...), e.Req.MethodID
}

// isMethod reports whether text can be sent as a method: a CONNECT would make a tunnel.
func isMethod(text []byte) bool {
	for _, c := range text {
		if !isTokenByte(c) {
			return false
		}
	}
	return len(text) > 0 && string(text) != "CONNECT"
}

// LocalAddrs are the addresses that proxy_bind lists. They are immutable; the zero value
// has none.
type LocalAddrs struct {
	// Transparent says that they need not be this machine's (IP_TRANSPARENT).
	Transparent bool

	list    []localAddr
	key     []byte
	dynamic bool
}

// NewLocalAddrs compiles addresses, with or without a port, each of which may have
// variables. The error is a *CompileError.
func (c *Compiler) NewLocalAddrs(texts []string, transparent bool) (LocalAddrs, error) {
	l := LocalAddrs{Transparent: transparent}
	for _, text := range texts {
		addr, err := c.localAddr(text, "proxy_bind")
		if err != nil {
			return LocalAddrs{}, err
		}
		l.list = append(l.list, addr)
		l.key = append(append(l.key, text...), ' ')
		l.dynamic = l.dynamic || addr.dynamic
	}
	return l, nil
}

// Len is the number of addresses.
func (l *LocalAddrs) Len() int { return len(l.list) }

// Key is the same for the same addresses.
func (l *LocalAddrs) Key() []byte { return l.key }

// Dynamic reports whether an address depends on the request, so that its connections are of
// no use to others.
func (l *LocalAddrs) Dynamic() bool { return l.dynamic }

// Pick is the address for a connection: turn counts the connections, and of the addresses of
// the wanted family each gets its turn. ok is false if there is none of that family; an
// address that is not valid means any. A text that yields no address means any, as in nginx.
func (l *LocalAddrs) Pick(e *Env, turn uint32, v6 bool) (addr netip.AddrPort, ok bool) {
	n := uint32(len(l.list))
	for i := range n {
		addr = l.list[(turn%n+i)%n].value(e)
		if !addr.IsValid() || addr.Addr().Is6() == v6 {
			return addr, true
		}
	}
	return netip.AddrPort{}, false
}

// emptyLength reports whether a proxy_set_header asks for a framing that is right anyway:
// no Content-Length or Transfer-Encoding where there is no body, or the client's own.
func emptyLength(name, value string) bool {
	switch httpparse.FieldIDOf([]byte(name)) {
	case httpparse.FieldContentLength:
		return value == "" || value == "$content_length" || value == "$http_content_length"
	case httpparse.FieldTransferEncoding:
		return value == "" || value == "$http_transfer_encoding"
	}
	return false
}
