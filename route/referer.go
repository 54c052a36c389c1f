package route

import (
	"bytes"

	"holdfast/httpparse"
)

// Referers are the valid_referers of a level. It is immutable.
type Referers struct {
	none, blocked bool
	names         hostnames[string] // the beginning of the path, as written; empty for any
	serverRegexes []*regex
	regexes       []*regex
}

// ReferersSpec is what NewReferers compiles.
type ReferersSpec struct {
	// None lets requests without a Referer pass, Blocked those whose Referer has no http:// or https://.
	None, Blocked bool
	Names         []RefererName
	// ServerNames are those of server_names.
	ServerNames []ServerName
	// Regexps are patterns in the syntax of package regexp; what follows the scheme has to match one.
	Regexps []string
}

// RefererName is a host name or a mask, and what the path begins with; empty for any.
type RefererName struct{ Host, URI string }

// NewReferers compiles a valid_referers. The error is a *CompileError.
func (c *Compiler) NewReferers(spec *ReferersSpec) (*Referers, error) {
	r := &Referers{none: spec.None, blocked: spec.Blocked}
	for _, name := range spec.Names {
		if !r.names.add(name.Host, name.URI) {
			return nil, &CompileError{Text: `conflicting parameter "` + name.Host + name.URI + `"`, Hint: "remove one"}
		}
	}
	for _, name := range spec.ServerNames {
		if name.Regexp == "" {
			r.names.add(name.Text, "") // as the name of a referer it is there already, perhaps
			continue
		}
		re, err := c.regex(name.Regexp)
		if err != nil {
			return nil, err
		}
		r.serverRegexes = append(r.serverRegexes, re)
	}
	for _, pattern := range spec.Regexps {
		re, err := c.regex(pattern)
		if err != nil {
			return nil, err
		}
		r.regexes = append(r.regexes, re)
	}
	return r, nil
}

// hostMax bounds a referer's host, as in nginx.
const hostMax = 256

// valid judges the Referer of the request (ngx_http_referer_module).
func (r *Referers) valid(e *Env) bool {
	if e.Req == nil {
		return r.none
	}
	referer, found := e.Req.Find(e.Head, httpparse.FieldReferer)
	if !found {
		return r.none
	}
	rest, ok := cutScheme(referer)
	if !ok {
		return r.blocked
	}
	end := bytes.IndexAny(rest, "/:")
	if end < 0 {
		end = len(rest)
	}
	if end > hostMax {
		return false
	}
	host := lower(append(e.borrow(), rest[:end]...))
	defer e.giveBack(host)
	if uri, found := r.names.find(host); found {
		path := rest[end:]
		if slash := bytes.IndexByte(path, '/'); slash >= 0 {
			path = path[slash:]
		} else {
			path = nil
		}
		return hasPrefix(path, uri)
	}
	return matchesAny(r.serverRegexes, host) || matchesAny(r.regexes, rest)
}

// matchesAny asks regular expressions whose captures nobody uses.
func matchesAny(list []*regex, subject []byte) bool {
	for _, re := range list {
		if re.re.Match(subject) {
			return true
		}
	}
	return false
}

// cutScheme takes http:// or https:// off a referer that is long enough to have a host, as nginx
// sees it.
func cutScheme(referer []byte) (rest []byte, ok bool) {
	const shortest = len("http://i.ru")
	if len(referer) < shortest {
		return nil, false
	}
	for _, scheme := range [...]string{"http://", "https://"} {
		if httpparse.EqualFold(referer[:len(scheme)], scheme) {
			return referer[len(scheme):], true
		}
	}
	return nil, false
}

// varInvalidReferer is 1 where the Referer is not one of valid_referers, else empty.
func varInvalidReferer(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if set := e.settings(); set != nil && set.Referers != nil && !set.Referers.valid(e) {
		dst = append(dst, '1')
	}
	return dst, true
}
