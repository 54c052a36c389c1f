package httpparse

import "bytes"

// webSocketKeyLen is the length in bytes of 16 bytes in base64, two of them padding.
const webSocketKeyLen = 24

// AsksWebSocket reports whether a request of any method and version asks for a
// WebSocket: Connection lists "upgrade" and Upgrade lists "websocket", with or without
// a version of the protocol.
func (r *Request) AsksWebSocket(buf []byte) bool {
	protocols := ListTokens(buf, r.Fields, FieldUpgrade)
	for {
		protocol, ok := protocols.Next()
		if !ok {
			return false
		}
		if name, _, _ := bytes.Cut(protocol, slash); EqualFold(name, "websocket") {
			return ListHas(buf, r.Fields, FieldConnection, "upgrade")
		}
	}
}

var slash = []byte("/")

// CheckWebSocket judges the opening handshake of a request that AsksWebSocket (RFC 6455
// section 4.2.1): GET, HTTP/1.1, no body, an Upgrade without a version of the protocol, one
// Sec-WebSocket-Version that is 13, one Sec-WebSocket-Key of 16 bytes in base64. OK, or
// the reason to refuse with 400 or, for the version, 426 with the version that would do
// (section 4.2.2); where the body has no one length, what Framing answers.
//
// The version is judged before the key: an older client, whose key looks otherwise,
// learns which version to speak. "Content-Length: 0" is no body.
func (r *Request) CheckWebSocket(buf []byte) Error {
	version, _ := r.Find(buf, FieldSecWebSocketVersion)
	key, _ := r.Find(buf, FieldSecWebSocketKey)
	framing, err := r.Framing(buf)
	switch {
	case r.MethodID != MethodGet:
		return ErrWebSocketMethod
	case r.Minor == 0:
		return ErrWebSocketHTTPVersion
	case err != OK:
		return err
	case framing.Kind == BodyChunked || framing.Length > 0:
		return ErrWebSocketBody
	case !ListHas(buf, r.Fields, FieldUpgrade, "websocket"):
		return ErrWebSocketProtocol
	case r.Count(FieldSecWebSocketVersion) != 1 || string(version) != "13":
		return ErrWebSocketVersion
	case r.Count(FieldSecWebSocketKey) != 1 || !validWebSocketKey(key):
		return ErrWebSocketKey
	}
	return OK
}

// validWebSocketKey is 22 base64 digits and "==" (RFC 4648 section 4). Of the last digit
// four bits carry nothing; as most decoders do, it takes any.
func validWebSocketKey(key []byte) bool {
	if len(key) != webSocketKeyLen || key[22] != '=' || key[23] != '=' {
		return false
	}
	for _, c := range key[:22] {
		if c-'0' > 9 && lowerByte(c)-'a' >= 26 && c != '+' && c != '/' {
			return false
		}
	}
	return true
}

// subprotocolFits is RFC 6455 section 4.1: the answer names no subprotocol, or one of
// those the client asked for. Subprotocols are compared byte by byte.
func (r *Response) subprotocolFits(buf []byte, req *Request, reqBuf []byte) bool {
	chosen, ok := r.Find(buf, FieldSecWebSocketProtocol)
	if !ok {
		return true
	}
	if r.Count(FieldSecWebSocketProtocol) != 1 {
		return false
	}
	asked := ListTokens(reqBuf, req.Fields, FieldSecWebSocketProtocol)
	for {
		name, more := asked.Next()
		if !more {
			return false
		}
		if string(name) == string(chosen) {
			return true
		}
	}
}

// extensionsFit is RFC 6455 section 4.1: the answer uses only extensions that the client
// offered. Their parameters are the client's business. A comma within a quoted parameter
// can't be one of RFC 6455 section 9.1 and is taken for the end of the extension.
func (r *Response) extensionsFit(buf []byte, req *Request, reqBuf []byte) bool {
	used := ListTokens(buf, r.Fields, FieldSecWebSocketExtensions)
	for {
		extension, ok := used.Next()
		if !ok {
			return true
		}
		if !offersExtension(reqBuf, req.Fields, webSocketExtensionName(extension)) {
			return false
		}
	}
}

func offersExtension(buf []byte, fields []Field, name []byte) bool {
	offered := ListTokens(buf, fields, FieldSecWebSocketExtensions)
	for {
		extension, ok := offered.Next()
		if !ok {
			return false
		}
		if equalFoldBytes(webSocketExtensionName(extension), name) {
			return true
		}
	}
}

// webSocketExtensionName is what stands before the parameters of an extension.
func webSocketExtensionName(extension []byte) []byte {
	for i, c := range extension {
		if c == ';' {
			return trimSpace(extension[:i])
		}
	}
	return extension
}
