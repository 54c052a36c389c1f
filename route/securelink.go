package route

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
)

// SecureLink is how a level verifies links. It is immutable.
type SecureLink struct {
	secret    string
	link, md5 Template
	complete  bool // link and md5 are there
}

// SecureLinkSpec is what NewSecureLink compiles: a Secret alone (secure_link_secret), or the texts
// of secure_link and secure_link_md5.
type SecureLinkSpec struct{ Secret, Link, MD5 string }

// NewSecureLink compiles spec; nil if there is nothing in it. The error is a *CompileError.
func (c *Compiler) NewSecureLink(spec *SecureLinkSpec) (*SecureLink, error) {
	if *spec == (SecureLinkSpec{}) {
		return nil, nil
	}
	s := &SecureLink{secret: spec.Secret, complete: spec.Link != "" && spec.MD5 != ""}
	var err error
	if s.link, err = c.Compile(spec.Link); err != nil {
		return nil, err
	}
	s.md5, err = c.Compile(spec.MD5)
	return s, err
}

// linkState is what $secure_link came to. It is judged once a request, as in nginx.
type linkState struct {
	judged, found bool
	value         []byte
	expires       []byte // as written; nil unless the link has an end
}

var linkGood, linkExpired = []byte("1"), []byte("0")

// varSecureLink is absent where the checksum is not right, 0 where the link has ended, else 1, or
// with a secret the link itself (ngx_http_secure_link_module).
func varSecureLink(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	state := e.secureLink()
	return append(dst, state.value...), state.found
}

// varSecureLinkExpires is the end of the link as the request has it.
func varSecureLinkExpires(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	state := e.secureLink()
	return append(dst, state.expires...), state.expires != nil
}

func (e *Env) secureLink() *linkState {
	state := &e.link
	if state.judged {
		return state
	}
	state.judged = true // also for the texts of the link itself
	if set := e.settings(); set == nil || set.SecureLink == nil {
		return state
	} else if s := set.SecureLink; s.secret != "" {
		state.value, state.found = s.old(e)
	} else if s.complete {
		state.value, state.found = s.judge(e, state)
	}
	return state
}

// judge compares the checksum of the request with that of the text.
func (s *SecureLink) judge(e *Env, state *linkState) (value []byte, found bool) {
	given, end, hasEnd := bytes.Cut(e.render(s.link), []byte(","))
	seconds := int64(0)
	if hasEnd {
		if seconds = parseEpoch(end); seconds <= 0 {
			return nil, false
		}
		state.expires = end
	}
	const encodedMax = 24
	if len(given) > encodedMax {
		return nil, false
	}
	var sum [encodedMax]byte
	n, err := base64.RawURLEncoding.Decode(sum[:], bytes.TrimRight(given, "="))
	if err != nil || n != md5.Size {
		return nil, false
	}
	text := s.md5.Append(e.borrow(), e)
	wanted := md5.Sum(text)
	e.giveBack(text)
	switch {
	case [md5.Size]byte(sum[:md5.Size]) != wanted:
		return nil, false
	case hasEnd && seconds < e.NowNs/1e9:
		return linkExpired, true
	}
	return linkGood, true
}

// parseEpoch reads seconds since 1970: digits only; 0 for anything else.
func parseEpoch(text []byte) (seconds int64) {
	const digitsMax = 18
	if len(text) > digitsMax {
		return 0
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0
		}
		seconds = seconds*10 + int64(c-'0')
	}
	return seconds
}

// old finds the link in /prefix/hash/link, where the hash is that of link and secret.
func (s *SecureLink) old(e *Env) (link []byte, found bool) {
	path := e.RawTarget
	if len(path) < 2 {
		return nil, false
	}
	_, path, found = bytes.Cut(path[1:], []byte("/"))
	if !found {
		return nil, false
	}
	hash, link, found := bytes.Cut(path, []byte("/"))
	if !found || len(hash) != hex.EncodedLen(md5.Size) || len(link) == 0 {
		return nil, false
	}
	text := append(append(e.borrow(), link...), s.secret...)
	wanted := md5.Sum(text)
	e.giveBack(text)
	var given [md5.Size]byte
	if _, err := hex.Decode(given[:], hash); err != nil || given != wanted {
		return nil, false
	}
	return link, true
}
