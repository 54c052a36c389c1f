package httpparse

// AsksWebSocket reports whether a request of any method and version asks for a
// WebSocket: Connection lists "upgrade" and Upgrade lists "websocket".
func (r *Request) AsksWebSocket(buf []byte) bool { return false }

// CheckWebSocket judges the opening handshake of a request that AsksWebSocket (RFC 6455
// section 4.2.1): GET, HTTP/1.1, no body, one Sec-WebSocket-Version that is 13, one
// Sec-WebSocket-Key of 16 bytes in base64. OK, or the reason to refuse with 400 or, for
// the version, 426.
func (r *Request) CheckWebSocket(buf []byte) Error { return OK }
