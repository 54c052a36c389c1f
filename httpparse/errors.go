package httpparse

// Error says why a message was refused. The zero value, OK, means it was not.
// It is a small number, not an error value, so that nothing on the data path
// allocates; a refused message carries no more detail than its reason.
type Error uint8

// The reasons for refusing a message.
const (
	OK Error = iota

	// The head as a whole.
	ErrHeadTooLarge  // more than MaxHead bytes without an end
	ErrEmptyLines    // more than MaxEmptyLines before the request line, RFC 9112 section 2.2
	ErrLineEnd       // a line that ends in LF without CR, RFC 9112 section 2.2
	ErrTooManyFields // more than MaxFields field lines

	// The start line.
	ErrMethod             // not a token followed by one space, RFC 9112 section 3.1
	ErrMethodTooLong      // more than MaxMethod bytes, RFC 9112 section 3
	ErrTarget             // not one of the four forms, RFC 9112 section 3.2
	ErrTargetMethod       // the form does not fit the method, RFC 9112 sections 3.2.3 and 3.2.4
	ErrVersion            // not HTTP/DIGIT.DIGIT at the end of the line, RFC 9112 section 2.3
	ErrVersionUnsupported // a major version other than 1
	ErrStatusLine         // RFC 9112 section 4

	// Field lines.
	ErrFieldName  // empty, or with a byte that is no token character, RFC 9112 section 5.1
	ErrFieldSpace // whitespace between name and colon, RFC 9112 section 5.1
	ErrFieldFold  // a line that begins with whitespace, RFC 9112 section 5.2
	ErrFieldValue // a control character, RFC 9110 section 5.5

	// What the fields say together.
	ErrHostMissing     // HTTP/1.1 without Host, RFC 9112 section 3.2
	ErrHostRepeated    // more than one Host, RFC 9112 section 3.2
	ErrHost            // not host [":" port], RFC 9110 section 7.2
	ErrLength          // Content-Length is not 1 to 18 digits, RFC 9112 section 6.3
	ErrLengthRepeated  // more than one Content-Length, RFC 9112 section 6.3
	ErrLengthAndCoding // Content-Length beside Transfer-Encoding, RFC 9112 section 6.1
	ErrCoding          // chunked missing, repeated or not alone, RFC 9112 section 6.3
	ErrCodingUnknown   // a transfer coding other than chunked, RFC 9112 section 6.1
	ErrCodingVersion   // Transfer-Encoding in HTTP/1.0, RFC 9112 section 6.1

	// The chunked body.
	ErrChunkSize      // not 1 to 15 hexadecimal digits, RFC 9112 section 7.1
	ErrChunkExtension // malformed, or more than maxChunkExtension bytes, RFC 9112 section 7.1.1
	ErrChunkEnd       // chunk data not followed by CRLF, RFC 9112 section 7.1
	ErrTrailer        // malformed trailer section, RFC 9112 section 7.1.2
	ErrTrailerTooLong // more than MaxTrailer bytes of trailers

	// The path.
	ErrPath       // relative, or with a raw control character, a space, "?" or "#"
	ErrPathEscape // "%" without two hexadecimal digits, or %00, RFC 3986 section 2.1
	ErrPathRoot   // more ".." than segments before them, RFC 3986 section 5.2.4

	// The opening handshake of a WebSocket, RFC 6455 section 4.2.1.
	ErrWebSocketMethod      // not GET
	ErrWebSocketHTTPVersion // HTTP/1.0
	ErrWebSocketBody        // with a body
	ErrWebSocketProtocol    // Upgrade names a version of it, or only such
	ErrWebSocketVersion     // Sec-WebSocket-Version is not there once as 13
	ErrWebSocketKey         // Sec-WebSocket-Key is not there once as 16 bytes in base64

	errorCount
)

// ErrorCount is the number of Error values, for arrays indexed by one.
const ErrorCount = int(errorCount)

var errorTexts = [...]string{
	OK:                    "ok",
	ErrHeadTooLarge:       "head too large",
	ErrEmptyLines:         "too many empty lines before the request line",
	ErrLineEnd:            "line ends without CR",
	ErrTooManyFields:      "too many header fields",
	ErrMethod:             "malformed method",
	ErrMethodTooLong:      "method too long",
	ErrTarget:             "malformed request target",
	ErrTargetMethod:       "request target does not fit the method",
	ErrVersion:            "malformed HTTP version",
	ErrVersionUnsupported: "unsupported HTTP version",
	ErrStatusLine:         "malformed status line",
	ErrFieldName:          "malformed field name",
	ErrFieldSpace:         "whitespace between field name and colon",
	ErrFieldFold:          "folded field line",
	ErrFieldValue:         "control character in a field value",
	ErrHostMissing:        "no Host field",
	ErrHostRepeated:       "several Host fields",
	ErrHost:               "malformed host",
	ErrLength:             "malformed Content-Length",
	ErrLengthRepeated:     "several Content-Length fields",
	ErrLengthAndCoding:    "both Content-Length and Transfer-Encoding",
	ErrCoding:             "malformed Transfer-Encoding",
	ErrCodingUnknown:      "unknown transfer coding",
	ErrCodingVersion:      "Transfer-Encoding in HTTP/1.0",
	ErrChunkSize:          "malformed chunk size",
	ErrChunkExtension:     "malformed chunk extension",
	ErrChunkEnd:           "chunk data without final CRLF",
	ErrTrailer:            "malformed trailer section",
	ErrTrailerTooLong:     "trailer section too long",
	ErrPath:               "malformed path",
	ErrPathEscape:         "malformed percent-encoding in the path",
	ErrPathRoot:           "path leaves the root",

	ErrWebSocketMethod:      "WebSocket handshake is not a GET",
	ErrWebSocketHTTPVersion: "WebSocket handshake in HTTP/1.0",
	ErrWebSocketBody:        "WebSocket handshake with a body",
	ErrWebSocketProtocol:    "WebSocket handshake with a version in Upgrade",
	ErrWebSocketVersion:     "unsupported WebSocket version",
	ErrWebSocketKey:         "malformed Sec-WebSocket-Key",
}

// String is the reason in a few words, for logs.
func (e Error) String() string {
	if int(e) < len(errorTexts) {
		return errorTexts[e]
	}
	return "invalid"
}

// Status is the HTTP status that answers a request refused with e: 400, 426, 431,
// 501 or 505; 0 for OK. An answer with 426 names the version that would do, as
// Sec-WebSocket-Version: 13 (RFC 6455 section 4.2.2). A response refused with e is answered with 502 by the caller.
func (e Error) Status() int {
	switch e {
	case OK:
		return 0
	case ErrWebSocketVersion:
		return 426
	case ErrHeadTooLarge, ErrTooManyFields, ErrTrailerTooLong:
		return 431
	case ErrMethodTooLong, ErrCodingUnknown:
		return 501
	case ErrVersionUnsupported:
		return 505
	}
	return 400
}
