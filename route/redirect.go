package route

import (
	"bytes"
	"strconv"

	"holdfast/httpparse"
)

// RedirectForm says how a redirect to a path is made absolute. The zero value is nginx's
// default.
type RedirectForm struct {
	Relative   bool // it is not: absolute_redirect off
	NoPort     bool // without the port: port_in_redirect off
	ServerName bool // with the server's own name: server_name_in_redirect on
}

// Replacement is one proxy_redirect, proxy_cookie_domain or proxy_cookie_path.
type Replacement struct {
	// Default stands for the URL of proxy_pass, and the location's prefix in its place.
	Default bool
	// From is what is replaced; Regexp is set instead for a regular expression, in the
	// syntax of package regexp.
	From, Regexp string
	// To takes its place. Both texts may have variables.
	To string
}

// replacement is a compiled Replacement.
type replacement struct {
	from  Template
	regex *regex // nil: from is looked for
	to    Template
}

// newReplacements compiles list. The error is a *CompileError.
func (c *Compiler) newReplacements(list []Replacement) ([]replacement, error) {
	var all []replacement
	for i := range list {
		var r replacement
		var err error
		if list[i].Regexp != "" {
			r.regex, err = c.regex(list[i].Regexp)
		} else {
			r.from, err = c.Compile(list[i].From)
		}
		if err != nil {
			return nil, err
		}
		if r.to, err = c.Compile(list[i].To); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// literal is a template of a text that may have "$" in it.
func literal(text string) Template {
	if text == "" {
		return Template{}
	}
	return Template{parts: []part{{literal: text}}}
}

// addDefaultRedirects fills in what proxy_redirect default stands for, once the URL of
// proxy_pass is known.
func (p *Proxy) addDefaultRedirects(spec *ProxySpec) {
	usual := replacement{from: literal(spec.URL), to: literal(spec.Pattern)}
	if p.uri == "" {
		usual = replacement{from: literal(spec.URL + "/"), to: literal("/")}
	}
	for i := range spec.Redirects {
		if spec.Redirects[i].Default {
			p.response.redirects[i] = usual
		}
	}
	if len(spec.Redirects) == 0 && !spec.RedirectOff && !p.dynamic {
		p.response.redirects = []replacement{usual}
	}
}

// replaceStart appends value with its beginning replaced by the first of rules that fits; one
// that is a regular expression replaces all of it. Without such a rule found is false and
// dst as it was.
func replaceStart(dst []byte, e *Env, rules []replacement, value []byte) (out []byte, found bool) {
	for i := range rules {
		r := &rules[i]
		if r.regex != nil {
			if dst, found = r.replaceMatch(dst, e, value); found {
				return dst, true
			}
			continue
		}
		from := r.from.Append(e.borrow(), e)
		found = bytes.HasPrefix(value, from)
		if found {
			dst = r.to.Append(dst, e)
			dst = append(dst, value[len(from):]...)
		}
		e.giveBack(from)
		if found {
			return dst, true
		}
	}
	return dst, false
}

// replaceMatch appends what takes the place of value, if r's regular expression fits.
func (r *replacement) replaceMatch(dst []byte, e *Env, value []byte) (out []byte, found bool) {
	// Its captures may be used until the request's log line is written.
	if !r.regex.match(e, e.keep(value)) {
		return dst, false
	}
	return r.to.Append(dst, e), true
}

// appendRedirecting appends a Location or Refresh of the upstream (proxy_redirect).
func (p *Proxy) appendRedirecting(dst []byte, e *Env, f *httpparse.Field) []byte {
	value := f.Value.Of(e.RespHead)
	at := 0
	if f.ID == httpparse.FieldRefresh {
		if at = refreshURL(value); at < 0 {
			return appendField(dst, e.RespHead, f)
		}
	}
	url, found := replaceStart(e.borrow(), e, p.response.redirects, value[at:])
	if !found {
		e.giveBack(url)
		return appendField(dst, e.RespHead, f)
	}
	dst = append(dst, f.Name.Of(e.RespHead)...)
	dst = append(dst, ": "...)
	dst = append(dst, value[:at]...)
	if f.ID == httpparse.FieldLocation && len(url) > 0 && url[0] == '/' && e.absoluteRedirect() {
		dst = appendOrigin(dst, e)
	}
	dst = appendCleanURI(dst, url)
	e.giveBack(url)
	return append(dst, "\r\n"...)
}

// absoluteRedirect reports whether a redirect to a path gets scheme, host and port
// (absolute_redirect).
func (e *Env) absoluteRedirect() bool {
	s := e.settings()
	return s == nil || !s.Redirects.Relative
}

// appendOrigin appends scheme, host and port as nginx makes a redirect absolute: the
// requested host or the server's name (server_name_in_redirect), else our address, and the
// port of our address unless it is 80, or 443 with TLS (port_in_redirect).
func appendOrigin(dst []byte, e *Env) []byte {
	var form RedirectForm
	if s := e.settings(); s != nil {
		form = s.Redirects
	}
	dst = append(dst, e.scheme()...)
	dst = append(dst, "://"...)
	switch {
	case form.ServerName && e.Server != nil && e.Server.Name != "":
		dst = append(dst, e.Server.Name...)
	case len(e.Host) > 0 && !form.ServerName:
		dst = append(dst, e.Host...)
	case e.Local.Addr().Is6():
		dst = append(dst, '[')
		dst = e.Local.Addr().AppendTo(dst)
		dst = append(dst, ']')
	case e.Local.IsValid():
		dst = e.Local.Addr().AppendTo(dst)
	default:
		dst = append(dst, "localhost"...)
	}
	usual := uint16(80)
	if e.TLS != nil {
		usual = 443
	}
	if port := e.Local.Port(); port != 0 && port != usual && !form.NoPort {
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, uint64(port), 10)
	}
	return dst
}

// refreshURL is where the URL begins in a Refresh field, or -1.
func refreshURL(value []byte) int {
	for i := range value {
		if len(value)-i >= len(refreshMark) && bytes.EqualFold(value[i:i+len(refreshMark)], refreshMark) {
			return i + len(refreshMark)
		}
	}
	return -1
}

var refreshMark = []byte("url=")
