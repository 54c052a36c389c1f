package route

import (
	"bytes"
	"encoding/base64"

	"holdfast/httpparse"
)

// Auth asks clients for a name and a password (auth_basic). It is immutable.
type Auth struct {
	// Users is the index of the file of users in the caller's table (auth_basic_user_file).
	Users int

	realm Template
}

// NewAuth compiles an auth_basic whose users are at that index. off as the realm gives nil.
// The error is a *CompileError.
func (c *Compiler) NewAuth(realm string, users int) (*Auth, error) {
	t, err := c.Compile(realm)
	if err != nil {
		return nil, err
	}
	if constant, isConst := t.Const(); isConst && constant == authOff {
		return nil, nil
	}
	return &Auth{Users: users, realm: t}, nil
}

// authOff is the realm that asks nobody.
const authOff = "off"

// Off reports whether the realm came out as off, so that this request is asked for nothing.
func (a *Auth) Off(e *Env) bool {
	if _, isConst := a.realm.Const(); isConst {
		return false
	}
	realm := a.realm.Append(e.borrow(), e)
	off := string(realm) == authOff
	e.giveBack(realm)
	return off
}

// Challenge has the answers to the request say what is asked for: WWW-Authenticate, and for
// a CONNECT Proxy-Authenticate (RFC 9110 sections 11.6.1 and 11.7.1). A realm that is written
// goes out as it is, as in nginx, and may bring parameters of its own; one with variables is
// quoted.
func (a *Auth) Challenge(e *Env) {
	field := e.borrow()
	if e.asksProxy() {
		field = append(field, "Proxy-Authenticate: "...)
	} else {
		field = append(field, "WWW-Authenticate: "...)
	}
	field = append(field, `Basic realm="`...)
	realm := a.realm.Append(e.borrow(), e)
	_, isConst := a.realm.Const()
	for _, c := range realm {
		switch {
		case c < ' ' && c != '\t', c == 0x7f:
			continue
		case !isConst && (c == '"' || c == '\\'):
			field = append(field, '\\')
		}
		field = append(field, c)
	}
	e.giveBack(realm)
	field = append(field, "\"\r\n"...)
	e.challenge = e.keep(field)
	e.giveBack(field)
}

// asksProxy reports whether the credentials for us are those for a proxy.
func (e *Env) asksProxy() bool { return e.Req != nil && e.Req.MethodID == httpparse.MethodConnect }

// CredentialsField counts the fields that AppendCredentials reads. With more than one it is
// in doubt who is meant.
func (e *Env) CredentialsField() int {
	if e.Req == nil {
		return 0
	}
	return e.Req.Count(e.credentialsID())
}

// credentialsID is Authorization, for a CONNECT Proxy-Authorization (RFC 9110 section 11.7.2).
func (e *Env) credentialsID() httpparse.FieldID {
	if e.asksProxy() {
		return httpparse.FieldProxyAuthorization
	}
	return httpparse.FieldAuthorization
}

// AppendCredentials appends the user, ":" and the password that the client has sent to dst
// (RFC 7617 section 2). ok is false where there is no user, or they are not encoded properly.
func AppendCredentials(dst []byte, e *Env) (out []byte, ok bool) {
	if e.Req == nil {
		return dst, false
	}
	value, _ := e.Req.Find(e.Head, e.credentialsID())
	const basic = "basic "
	if len(value) < len(basic) || !httpparse.EqualFold(value[:len(basic)], basic) {
		return dst, false
	}
	at := len(dst)
	encoded := bytes.TrimRight(bytes.TrimLeft(value[len(basic):], " "), "=") // nginx does not need the padding
	out, err := base64.RawStdEncoding.AppendDecode(dst, encoded)
	if err != nil || bytes.IndexByte(out[at:], ':') <= 0 || bytes.IndexByte(out[at:], 0) >= 0 {
		return dst, false
	}
	return out, true
}

// varRemoteUser is the user of HTTP Basic authentication, whether or not anybody asked for it.
func varRemoteUser(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	at := len(dst)
	dst = AppendUser(dst, e)
	return dst, len(dst) > at
}

// AppendUser appends the user that the client says it is, if it does.
func AppendUser(dst []byte, e *Env) []byte {
	at := len(dst)
	out, ok := AppendCredentials(dst, e)
	if !ok {
		return dst
	}
	return out[:at+bytes.IndexByte(out[at:], ':')]
}
