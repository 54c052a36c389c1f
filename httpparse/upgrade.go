package httpparse

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
)

// Upgrade says whether the request asks to switch protocols (RFC 9110 section 7.8):
// it is HTTP/1.1, Connection lists "upgrade", and Upgrade names at least one protocol.
// UpgradeWebSocket is a GET that names exactly "websocket" (RFC 6455 section 4.1); any
// other protocol, list of protocols, or method is UpgradeOther. A list with an element
// that is no protocol asks for nothing, as an Upgrade that a server ignores.
func (r *Request) Upgrade(buf []byte) UpgradeKind {
	protocols := ListTokens(buf, r.Fields, FieldUpgrade)
	first, ok := protocols.Next()
	if !ok || r.Minor == 0 || !isProtocol(first) || !ListHas(buf, r.Fields, FieldConnection, "upgrade") {
		return UpgradeNone
	}
	kind := UpgradeWebSocket
	if r.MethodID != MethodGet || !EqualFold(first, "websocket") {
		kind = UpgradeOther
	}
	for {
		protocol, more := protocols.Next()
		switch {
		case !more:
			return kind
		case !isProtocol(protocol):
			return UpgradeNone
		}
		kind = UpgradeOther
	}
}

// isProtocol is protocol-name ["/" protocol-version], both tokens (RFC 9110 section 7.8).
func isProtocol(text []byte) bool {
	if slash := bytes.IndexByte(text, '/'); slash >= 0 {
		return isToken(text[:slash]) && isToken(text[slash+1:])
	}
	return isToken(text)
}

// SwitchOK reports whether r is a valid answer to req's wish to switch: a 101 of
// HTTP/1.1, whose Connection lists "upgrade" and whose Upgrade is one of the protocols
// asked for (RFC 9110 section 7.8). buf and reqBuf are the buffers r and req were parsed
// from; req is as the upstream got it. Stricter than RFC 9110, which lets an answer list
// protocols that are layered: Upgrade names one, since nothing but a tunnel follows.
//
// With strict, a WebSocket's answer must also be one that its client would take (RFC
// 6455 section 4.1): where the request has one Sec-WebSocket-Key, Sec-WebSocket-Accept
// is there once and fits it; at most one Sec-WebSocket-Protocol, one that was asked for;
// and only extensions that were offered.
func (r *Response) SwitchOK(buf []byte, req *Request, reqBuf []byte, strict bool) bool {
	kind := req.Upgrade(reqBuf)
	if kind == UpgradeNone || r.Status != 101 || r.Minor == 0 ||
		!ListHas(buf, r.Fields, FieldConnection, "upgrade") {
		return false
	}
	protocols := ListTokens(buf, r.Fields, FieldUpgrade)
	chosen, ok := protocols.Next()
	if _, more := protocols.Next(); !ok || more || !asksFor(reqBuf, req.Fields, chosen) {
		return false
	}
	if !strict || kind != UpgradeWebSocket {
		return true
	}
	return r.acceptFits(buf, req, reqBuf) && r.subprotocolFits(buf, req, reqBuf) &&
		r.extensionsFit(buf, req, reqBuf)
}

func asksFor(buf []byte, fields []Field, protocol []byte) bool {
	asked := ListTokens(buf, fields, FieldUpgrade)
	for {
		name, ok := asked.Next()
		if !ok {
			return false
		}
		if equalFoldBytes(name, protocol) {
			return true
		}
	}
}

// acceptFits checks Sec-WebSocket-Accept. Without exactly one key there is nothing to
// compare with, and the client will judge for itself.
func (r *Response) acceptFits(buf []byte, req *Request, reqBuf []byte) bool {
	if req.Count(FieldSecWebSocketKey) != 1 {
		return true
	}
	if r.Count(FieldSecWebSocketAccept) != 1 {
		return false
	}
	key, _ := req.Find(reqBuf, FieldSecWebSocketKey)
	accept, _ := r.Find(buf, FieldSecWebSocketAccept)
	var room [acceptLen]byte
	return string(AcceptKey(room[:0], key)) == string(accept)
}

const (
	// acceptSuffix is the GUID of RFC 6455 section 1.3.
	acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	// acceptLen is the length in bytes of a Sec-WebSocket-Accept value.
	acceptLen = 28
)

// AcceptKey appends the Sec-WebSocket-Accept value, 28 bytes, for the
// Sec-WebSocket-Key key (RFC 6455 section 4.2.2) to dst. Beyond room in dst it
// allocates only for keys longer than the 24 bytes of a well-formed one.
func AcceptKey(dst, key []byte) []byte {
	var room [webSocketKeyLen + len(acceptSuffix)]byte
	text := append(append(room[:0], key...), acceptSuffix...)
	sum := sha1.Sum(text)
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}
