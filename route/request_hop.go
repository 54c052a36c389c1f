package route

import (
	"bytes"

	"holdfast/httpparse"
)

// appendUpgrade appends the protocols to ask the upstream for; none means no upgrade.
func (p *Proxy) appendUpgrade(dst []byte, e *Env, kind httpparse.UpgradeKind) []byte {
	configured := &p.request.upgrade
	text, literal := configured.value.Const()
	switch {
	case kind == httpparse.UpgradeNone, configured.written && literal && text == "":
		return dst
	case kind == httpparse.UpgradeWebSocket:
		return append(dst, "websocket"...)
	case !configured.written:
		return dst
	}
	buf := configured.value.appendFieldValue(e.borrow(), e)
	for rest := buf; ; {
		var protocol []byte
		if protocol, rest = httpparse.NextToken(rest); protocol == nil {
			break
		}
		if !asksFor(e, protocol) || !literal && isH2C(protocol) {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, protocol...)
	}
	e.giveBack(buf)
	return dst
}

// isH2C reports whether protocol is HTTP/2 by one of its names, with or without a version
// (RFC 9110 section 7.8: protocol-name ["/" protocol-version]).
func isH2C(protocol []byte) bool {
	name, _, _ := bytes.Cut(protocol, slash)
	return httpparse.EqualFold(name, "h2c") || httpparse.EqualFold(name, "h2")
}

var slash = []byte("/")

func listsH2C(protocols []byte) bool {
	for {
		var protocol []byte
		if protocol, protocols = httpparse.NextToken(protocols); protocol == nil {
			return false
		}
		if isH2C(protocol) {
			return true
		}
	}
}

// asksFor reports whether the client's Upgrade lists protocol.
func asksFor(e *Env, protocol []byte) bool {
	asked := httpparse.ListTokens(e.Head, e.Req.Fields, httpparse.FieldUpgrade)
	for {
		name, ok := asked.Next()
		if !ok {
			return false
		}
		if bytes.EqualFold(name, protocol) {
			return true
		}
	}
}

// appendConnection writes the Connection field of a request that is no upgrade; te says
// that it must list TE.
func (p *Proxy) appendConnection(dst []byte, e *Env, keepalive, te bool) (out []byte, closes bool) {
	configured := &p.request.connection
	start := len(dst)
	dst = append(dst, "Connection: "...)
	at := len(dst)
	listsTE, empty := false, false
	if configured.written {
		buf := configured.value.appendFieldValue(e.borrow(), e)
		empty = len(buf) == 0
		for rest := buf; ; {
			var token []byte
			if token, rest = httpparse.NextToken(rest); token == nil {
				break
			}
			// There is no Upgrade for it to point to.
			if httpparse.EqualFold(token, "upgrade") {
				continue
			}
			closes = closes || httpparse.EqualFold(token, "close")
			listsTE = listsTE || httpparse.EqualFold(token, "te")
			dst = appendListed(dst, at, token)
		}
		e.giveBack(buf)
	}
	if len(dst) == at && !keepalive && !empty {
		dst, closes = append(dst, "close"...), true
	}
	if te && !listsTE {
		dst = appendListed(dst, at, teToken)
	}
	if len(dst) == at {
		return dst[:start], false
	}
	return append(dst, "\r\n"...), closes
}

var teToken = []byte("TE")

// appendListed appends token to the list that begins at dst[at].
func appendListed(dst []byte, at int, token []byte) []byte {
	if len(dst) > at {
		dst = append(dst, ", "...)
	}
	return append(dst, token...)
}

// appendTE writes what trailers and codings the upstream may use: as configured or, if
// trailers are wanted here and by the client, that they are.
func (p *Proxy) appendTE(dst []byte, e *Env, trailers bool) []byte {
	switch {
	case p.request.te.written:
		return appendRendered(dst, e, "TE", p.request.te.value)
	case trailers && !p.form.dropFields && httpparse.ListHas(e.Head, e.Req.Fields, httpparse.FieldTE, "trailers"):
		return append(dst, "TE: trailers\r\n"...)
	}
	return dst
}

// appendExpect writes Expect, as configured or because the client awaits a 100, and
// reports whether the upstream will send one before it gets the body.
func (p *Proxy) appendExpect(dst []byte, e *Env, awaited bool) (out []byte, asked bool) {
	const expect, value = "Expect: ", "100-continue"
	if !p.request.expect.written {
		if !awaited {
			return dst, false
		}
		return append(dst, expect+value+"\r\n"...), true
	}
	at := len(dst)
	dst = appendRendered(dst, e, "Expect", p.request.expect.value)
	if len(dst) == at {
		return dst, false
	}
	return dst, awaited && httpparse.EqualFold(dst[at+len(expect):len(dst)-len("\r\n")], value)
}
