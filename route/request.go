package route

import (
	"bytes"
	"strconv"
	"strings"

	"holdfast/httpparse"
)

// requestRecipe is how a request head for the upstream differs from the client's.
type requestRecipe struct {
	host       Template // $proxy_host unless proxy_set_header says otherwise
	set        []setField
	connection option
	upgrade    option
	te         option
	expect     option
	trailer    bool     // set has a Trailer
	noLength   bool     // a request without a body has no Content-Length
	drop       fieldSet // the client's fields that do not go on
}

// setField is a field that proxy_set_header asks for.
type setField struct {
	name  string
	value Template
}

// option is a field of this hop that proxy_set_header may mention.
type option struct {
	value   Template
	written bool
}

// RequestForm is what the caller has decided about a request to an upstream.
type RequestForm struct {
	// Framing delimits the body on the upstream connection: BodyNone, BodyLength or
	// BodyChunked.
	Framing httpparse.Framing
	// Upgrade is what the client asks for (httpparse.Request.Upgrade).
	Upgrade httpparse.UpgradeKind
	// Keepalive says that the upstream connection may be used again afterwards.
	Keepalive bool
	// Expect passes "Expect: 100-continue" on: the body waits for the upstream's word.
	Expect bool
	// Trailers says that trailers may follow the body and are wanted behind the
	// response's: TE: trailers goes on if the client sent it, and Trailer.
	Trailers bool
	// Get sends the request as a GET: of an error page that another method led to. A
	// HEAD stays one.
	Get bool
	// Subrequest has Get be so whatever the client's method is.
	Subrequest bool
}

// RequestSent is what AppendRequest wrote, as far as the caller must know.
type RequestSent struct {
	// Upgrade says that an upgrade was asked for, so that a 101 may come.
	Upgrade bool
	// Close says that "Connection: close" was sent: the connection ends after the response.
	Close bool
	// Expect says that the upstream was asked for a 100 before the body.
	Expect bool
	// Minor is the minor version in the request line.
	Minor uint8
	// Method is the method in the request line: it decides whether the response has a body.
	Method httpparse.MethodID
}

// newRequestRecipe compiles proxy_set_header.
func (c *Compiler) newRequestRecipe(headers []SetHeader) (requestRecipe, error) {
	r := requestRecipe{drop: newFieldSet(
		// Fields of the client's hop (RFC 9110 section 7.6.1), those that frame the
		// body, and what the caller answers by itself.
		httpparse.FieldHost, httpparse.FieldConnection, httpparse.FieldKeepAlive, httpparse.FieldProxyConnection,
		httpparse.FieldTE, httpparse.FieldTrailer, httpparse.FieldTransferEncoding, httpparse.FieldUpgrade,
		httpparse.FieldHTTP2Settings, httpparse.FieldContentLength, httpparse.FieldExpect,
	)}
	host := false
	for i := range headers {
		h := &headers[i]
		if emptyLength(h.Name, h.Value) {
			r.noLength = r.noLength || h.Value == "" && strings.EqualFold(h.Name, "content-length")
			continue
		}
		value, err := c.Compile(h.Value)
		if err == nil {
			err = checkFieldName("proxy_set_header", h.Name)
		}
		if err != nil {
			return r, &SetHeaderError{Index: i, Err: err}
		}
		r.drop.add(h.Name)
		switch httpparse.FieldIDOf([]byte(h.Name)) {
		case httpparse.FieldHost:
			r.host, host = value, true
		case httpparse.FieldConnection:
			r.connection = option{value: value, written: true}
		case httpparse.FieldUpgrade:
			r.upgrade = option{value: value, written: true}
		case httpparse.FieldTE:
			r.te = option{value: value, written: true}
		case httpparse.FieldExpect:
			r.expect = option{value: value, written: true}
		case httpparse.FieldTrailer:
			r.trailer = true
			r.set = append(r.set, setField{name: h.Name, value: value})
		default:
			r.set = append(r.set, setField{name: h.Name, value: value})
		}
	}
	if !host {
		r.host, _ = c.Compile("$proxy_host")
	}
	return r, nil
}

// AppendRequest appends the head of the request for the upstream to dst: the request
// line, Host, the fields of proxy_set_header, the body's framing, and of the client's
// fields all that are neither set anew nor meant for the client's own hop.
//
// "Upgrade: websocket" goes on whatever proxy_set_header says about Upgrade and
// Connection, unless Upgrade is written as empty text. Other protocols go on where
// proxy_set_header Upgrade renders them, h2c only where it is written out. A TE that
// goes on is listed in Connection (RFC 9110 section 10.1.4).
//
// e needs Head, Req, RawTarget, URI, Args, Server and Location, and after Resolve for
// a Dynamic proxy_pass. dst may grow; the result aliases it.
func (p *Proxy) AppendRequest(dst []byte, e *Env, form RequestForm) ([]byte, RequestSent) {
	e.tries.asking = true
	defer e.asked()
	sent := RequestSent{Minor: p.Minor}
	protocols := p.appendUpgrade(e.borrow(), e, form.Upgrade)
	if len(protocols) > 0 {
		sent.Upgrade, sent.Minor = true, 1
	}
	dst, sent.Method = p.appendMethod(dst, e, &form, sent.Upgrade)
	dst = append(dst, ' ')
	dst = p.appendURI(dst, e, form.Get)
	dst = append(dst, ' ', 'H', 'T', 'T', 'P', '/', '1', '.', '0'+sent.Minor, '\r', '\n')
	dst = p.appendHost(dst, e, sent.Minor)
	for i := range p.request.set {
		dst = appendRendered(dst, e, p.request.set[i].name, p.request.set[i].value)
	}
	at := len(dst)
	dst = p.appendTE(dst, e, form.Trailers && sent.Minor > 0)
	te := len(dst) > at
	h2c := false
	if sent.Upgrade {
		h2c = listsH2C(protocols)
		dst = append(dst, "Upgrade: "...)
		dst = append(dst, protocols...)
		dst = append(dst, "\r\nConnection: upgrade"...)
		if h2c {
			dst = append(dst, ", HTTP2-Settings"...)
		}
		if te {
			dst = append(dst, ", TE"...)
		}
		dst = append(dst, "\r\n"...)
	} else {
		dst, sent.Close = p.appendConnection(dst, e, form.Keepalive, te)
	}
	e.giveBack(protocols)
	if form.Framing.Length > 0 || !p.request.noLength || form.Framing.Kind != httpparse.BodyLength {
		dst = appendFraming(dst, form.Framing)
	}
	dst, sent.Expect = p.appendExpect(dst, e, form.Expect && sent.Minor > 0)
	dst = p.appendClientFields(dst, e, &form, h2c)
	return append(dst, "\r\n"...), sent
}

// appendHost writes Host as configured. Where its variables render empty it is
// $proxy_host in HTTP/1.1, which can't do without (RFC 9112 section 3.2).
func (p *Proxy) appendHost(dst []byte, e *Env, minor uint8) []byte {
	at := len(dst)
	dst = appendRendered(dst, e, "Host", p.request.host)
	if _, literal := p.request.host.Const(); len(dst) > at || minor == 0 || literal {
		return dst
	}
	dst = append(dst, "Host: "...)
	if p.dynamic {
		dst = append(dst, e.target.hostField...)
	} else {
		dst = append(dst, p.Host...)
	}
	return append(dst, "\r\n"...)
}

// appendURI writes the request target by nginx's rules (proxy_pass): rendered with
// the URL if that has variables and a URI; the client's own if there is no URI; else
// the URI in the place of what the location matched.
func (p *Proxy) appendURI(dst []byte, e *Env, get bool) []byte {
	if p.dynamic && len(e.target.uri) > 0 {
		return appendURIPart(dst, e.target.uri)
	}
	raw := e.RawTarget
	switch {
	case e.internal:
	case string(raw) == "*" && get:
		return append(dst, '/') // only OPTIONS has a "*"
	case p.uri == "" && len(raw) > 0 && raw[0] == '/', string(raw) == "*":
		return append(dst, raw...)
	}
	rest := e.URI
	if !e.rewritten.whole {
		dst = append(dst, p.uri...)
		rest = rest[min(p.replaced, len(rest)):]
	}
	// nginx escapes only what it had to unescape, and what comes from inside.
	path, _, _ := bytes.Cut(raw, questionMark)
	if e.moved || bytes.IndexByte(path, '%') >= 0 {
		dst = httpparse.AppendEscapedPath(dst, rest)
	} else {
		dst = append(dst, rest...)
	}
	if len(e.Args) > 0 {
		dst = append(dst, '?')
		if e.internal {
			// Decoded bytes that a variable brought must not end the request line.
			return appendTarget(dst, e.Args)
		}
		dst = append(dst, e.Args...)
	}
	return dst
}

var questionMark = []byte("?")

// appendRendered appends a field, unless its value renders empty.
func appendRendered(dst []byte, e *Env, name string, value Template) []byte {
	start := len(dst)
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	at := len(dst)
	if dst = value.appendFieldValue(dst, e); len(dst) == at {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

func appendFraming(dst []byte, framing httpparse.Framing) []byte {
	switch framing.Kind {
	case httpparse.BodyLength:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, framing.Length, 10)
		return append(dst, "\r\n"...)
	case httpparse.BodyChunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	return dst
}

// appendClientFields appends the client's fields that go on.
func (p *Proxy) appendClientFields(dst []byte, e *Env, form *RequestForm, h2c bool) []byte {
	settings := e.settings()
	fields := e.Req.Fields
	listed := listsFields(e.Head, fields)
	for i := range fields {
		f := &fields[i]
		if h2c && f.ID == httpparse.FieldHTTP2Settings {
			dst = appendField(dst, e.Head, f)
			continue
		}
		if p.form.dropFields && !handshakeField(f.ID) || p.request.drop.has(e.Head, f) && !p.announces(f, form) {
			continue
		}
		name := f.Name.Of(e.Head)
		if form.Get && describesBody(name) {
			continue
		}
		if f.ID == httpparse.FieldOther && !settings.passableName(name) {
			continue
		}
		if listed && !endToEnd(f.ID) && httpparse.ConnectionLists(e.Head, fields, name) {
			continue
		}
		dst = appendField(dst, e.Head, f)
	}
	return dst
}

// handshakeField reports whether a field is part of a WebSocket handshake, which this proxy
// passes on whatever else it does (RFC 6455 section 4.1).
func handshakeField(id httpparse.FieldID) bool {
	switch id {
	case httpparse.FieldSecWebSocketKey, httpparse.FieldSecWebSocketVersion,
		httpparse.FieldSecWebSocketProtocol, httpparse.FieldSecWebSocketExtensions:
		return true
	}
	return false
}

// announces reports whether f names the trailers that follow the body.
func (p *Proxy) announces(f *httpparse.Field, form *RequestForm) bool {
	return f.ID == httpparse.FieldTrailer && form.Trailers && !p.request.trailer &&
		form.Framing.Kind == httpparse.BodyChunked
}

// describesBody reports whether a request field called name says something about the
// body, which is not sent (RFC 9110 section 15.4, RFC 9530).
func describesBody(name []byte) bool {
	const content = "content-"
	return len(name) > len(content) && httpparse.EqualFold(name[:len(content)], content) ||
		httpparse.EqualFold(name, "digest") || httpparse.EqualFold(name, "repr-digest")
}
