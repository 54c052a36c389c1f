package route

import (
	"bytes"

	"holdfast/httpparse"
)

// CookieFlags is one proxy_cookie_flags.
type CookieFlags struct {
	// Name is the cookie's name, which may have variables; Regexp is set instead for a
	// regular expression, in the syntax of package regexp.
	Name, Regexp string
	// Flags are secure, httponly, samesite=strict, samesite=lax, samesite=none, nosecure,
	// nohttponly, nosamesite, or texts with variables that yield one of them.
	Flags []string
}

// cookieFlags is a compiled CookieFlags.
type cookieFlags struct {
	name  Template
	regex *regex // nil: name is compared
	flags []Template
}

// cookieRecipe is what is changed in the upstream's Set-Cookie.
type cookieRecipe struct {
	domains, paths []replacement
	flags          []cookieFlags
}

// newCookieRecipe compiles what spec says about cookies; nil if it says nothing.
func (c *Compiler) newCookieRecipe(spec *ProxySpec) (*cookieRecipe, error) {
	if len(spec.CookieDomains)+len(spec.CookiePaths)+len(spec.CookieFlags) == 0 {
		return nil, nil
	}
	r := &cookieRecipe{}
	var err error
	if r.domains, err = c.newReplacements(spec.CookieDomains); err != nil {
		return nil, err
	}
	if r.paths, err = c.newReplacements(spec.CookiePaths); err != nil {
		return nil, err
	}
	for i := range spec.CookieFlags {
		one := &spec.CookieFlags[i]
		var f cookieFlags
		if one.Regexp != "" {
			f.regex, err = c.regex(one.Regexp)
		} else {
			f.name, err = c.Compile(one.Name)
		}
		if err != nil {
			return nil, err
		}
		for _, flag := range one.Flags {
			t, err := c.Compile(flag)
			if err != nil {
				return nil, err
			}
			f.flags = append(f.flags, t)
		}
		r.flags = append(r.flags, f)
	}
	return r, nil
}

// append appends the Set-Cookie field f, changed. As in nginx its attributes are written
// anew, with "; " between them, if any rule fits, and a cookie without "=" stays as it is.
func (r *cookieRecipe) append(dst []byte, e *Env, f *httpparse.Field) []byte {
	start := len(dst)
	value := f.Value.Of(e.RespHead)
	first, rest, more := cutAttribute(value)
	name, text, ok := cutEquals(first)
	if !ok {
		return appendField(dst, e.RespHead, f)
	}
	want, changed := r.wanted(e, name)
	dst = append(dst, f.Name.Of(e.RespHead)...)
	dst = append(dst, ": "...)
	dst = append(append(append(dst, name...), '='), text...)
	for more {
		var attribute []byte
		attribute, rest, more = cutAttribute(rest)
		key, text, hasValue := cutEquals(attribute)
		if want.drops(key) {
			continue
		}
		dst = append(dst, "; "...)
		if want.givesSite(key) && !httpparse.EqualFold(text, want.site.lower) {
			dst = append(dst, "SameSite"...) // as nginx writes it with a value of its own
		} else {
			dst = append(dst, key...)
		}
		if !hasValue && !want.givesSite(key) {
			want.has(key)
			continue
		}
		dst = append(dst, '=')
		at := len(dst)
		switch {
		case httpparse.EqualFold(key, "domain"):
			dst, ok = replaceDomain(dst, e, r.domains, text)
		case httpparse.EqualFold(key, "path"):
			dst, ok = replaceStart(dst, e, r.paths, text)
		default:
			dst, ok = want.replace(dst, key, text)
		}
		if changed = changed || ok; !ok {
			dst = append(dst[:at], text...)
		}
		dst = cleanFieldValue(dst, at)
	}
	if !changed {
		return appendField(dst[:start], e.RespHead, f)
	}
	dst = want.appendMissing(dst)
	return append(dst, "\r\n"...)
}

var equals = []byte("=")

// cutEquals is bytes.Cut at the first "=", without the blanks around that.
func cutEquals(attribute []byte) (key, value []byte, found bool) {
	key, value, found = bytes.Cut(attribute, equals)
	return bytes.TrimRight(key, " "), bytes.TrimLeft(value, " "), found
}

// cutAttribute takes what stands before the next ";" off text, without the blanks around
// it. more says that there was a ";".
func cutAttribute(text []byte) (attribute, rest []byte, more bool) {
	attribute, rest, more = bytes.Cut(text, semicolon)
	return bytes.Trim(attribute, " "), rest, more
}

var semicolon = []byte(";")

// replaceDomain is replaceStart for a whole domain: case does not matter, nor a "." before
// it, which stays.
func replaceDomain(dst []byte, e *Env, rules []replacement, domain []byte) (out []byte, found bool) {
	bare := bytes.TrimPrefix(domain, dot)
	for i := range rules {
		r := &rules[i]
		if r.regex != nil {
			if dst, found = r.replaceMatch(dst, e, domain); found {
				return dst, true
			}
			continue
		}
		from := r.from.Append(e.borrow(), e)
		found = bytes.EqualFold(bare, from)
		e.giveBack(from)
		if found {
			dst = append(dst, domain[:len(domain)-len(bare)]...)
			return r.to.Append(dst, e), true
		}
	}
	return dst, false
}

var dot = []byte(".")

// flagWish is what a cookie's flags are to become.
type flagWish struct {
	secure, httpOnly, sameSite wish
	site                       sameSite // of sameSite, for wishOn
}

// sameSite is a value of SameSite, as it is written and in lower case.
type sameSite struct{ written, lower string }

var (
	siteStrict = sameSite{"Strict", "strict"}
	siteLax    = sameSite{"Lax", "lax"}
	siteNone   = sameSite{"None", "none"}
)

// wish is what is to become of one flag.
type wish uint8

const (
	wishNothing wish = iota
	wishOn
	wishOff
	wishMet // it was to be on, and is
)

// wanted is what the first of the flags that fits the cookie's name asks for.
func (r *cookieRecipe) wanted(e *Env, name []byte) (w flagWish, found bool) {
	for i := range r.flags {
		f := &r.flags[i]
		if f.regex != nil {
			found = f.regex.match(e, e.keep(name))
		} else {
			text := f.name.Append(e.borrow(), e)
			found = bytes.EqualFold(text, name)
			e.giveBack(text)
		}
		if !found {
			continue
		}
		for _, t := range f.flags {
			text := t.Append(e.borrow(), e)
			w.ask(text)
			e.giveBack(text)
		}
		return w, true
	}
	return w, false
}

// ask enters one flag; unknown ones ask for nothing.
func (w *flagWish) ask(flag []byte) {
	switch {
	case httpparse.EqualFold(flag, "secure"):
		w.secure = wishOn
	case httpparse.EqualFold(flag, "nosecure"):
		w.secure = wishOff
	case httpparse.EqualFold(flag, "httponly"):
		w.httpOnly = wishOn
	case httpparse.EqualFold(flag, "nohttponly"):
		w.httpOnly = wishOff
	case httpparse.EqualFold(flag, "samesite=strict"):
		w.sameSite, w.site = wishOn, siteStrict
	case httpparse.EqualFold(flag, "samesite=lax"):
		w.sameSite, w.site = wishOn, siteLax
	case httpparse.EqualFold(flag, "samesite=none"):
		w.sameSite, w.site = wishOn, siteNone
	case httpparse.EqualFold(flag, "nosamesite"):
		w.sameSite = wishOff
	}
}

// of is the wish about the attribute called key; nil for none.
func (w *flagWish) of(key []byte) *wish {
	switch {
	case httpparse.EqualFold(key, "secure"):
		return &w.secure
	case httpparse.EqualFold(key, "httponly"):
		return &w.httpOnly
	case httpparse.EqualFold(key, "samesite"):
		return &w.sameSite
	}
	return nil
}

// drops reports whether the attribute called key is not wanted.
func (w *flagWish) drops(key []byte) bool {
	wish := w.of(key)
	return wish != nil && *wish == wishOff
}

// givesSite reports whether the attribute called key is a SameSite that is to have a value.
func (w *flagWish) givesSite(key []byte) bool {
	return w.sameSite == wishOn && httpparse.EqualFold(key, "samesite")
}

// has notes that the cookie has the attribute called key already.
func (w *flagWish) has(key []byte) {
	if wish := w.of(key); wish != nil && *wish == wishOn {
		*wish = wishMet
	}
}

// replace appends the value that the attribute called key is to have instead of value.
func (w *flagWish) replace(dst, key, value []byte) (out []byte, found bool) {
	gives := w.givesSite(key)
	w.has(key)
	if gives && !httpparse.EqualFold(value, w.site.lower) {
		return append(dst, w.site.written...), true
	}
	return dst, false
}

// appendMissing appends the flags that are wanted and were not there.
func (w *flagWish) appendMissing(dst []byte) []byte {
	if w.secure == wishOn {
		dst = append(dst, "; Secure"...)
	}
	if w.httpOnly == wishOn {
		dst = append(dst, "; HttpOnly"...)
	}
	if w.sameSite == wishOn {
		dst = append(dst, "; SameSite="...)
		dst = append(dst, w.site.written...)
	}
	return dst
}
