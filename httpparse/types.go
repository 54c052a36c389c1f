// Package httpparse turns bytes of HTTP/1.x into offsets (RFC 9112).
//
// It is pure: no clock, no I/O, no allocation once a Request or Response has
// grown its field slice. Every result is a Span into the caller's buffer, so the
// buffer may be moved or grown between two calls of Parse, as long as the bytes
// already given stay at the same offsets.
package httpparse

// Span is a half-open byte range [Start, End) of the buffer that was parsed.
type Span struct{ Start, End uint32 }

// Of returns the bytes of the span. The result aliases buf.
func (s Span) Of(buf []byte) []byte { return buf[s.Start:s.End] }

// Len is the number of bytes in the span.
func (s Span) Len() int { return int(s.End - s.Start) }

// Field is one header field line: its name, its value without the optional
// whitespace around it, and which well-known field it is.
type Field struct {
	Name, Value Span
	ID          FieldID
}

// Request is a request head. The zero value is ready; Reset makes it ready again
// and keeps the memory of Fields.
type Request struct {
	Method Span
	Target Span
	// Fields in the order received. At most MaxFields.
	Fields []Field
	// MaxFields bounds len(Fields); 0 means DefaultMaxFields.
	MaxFields int
	// HeadLen is the length of the head with its final empty line, once done.
	HeadLen int
	// MethodID is the well-known method, or MethodOther.
	MethodID MethodID
	// Minor is the minor version: 0 or 1 (the major version is always 1).
	Minor uint8

	scan scanner
}

// Response is a response head, as Request is a request's.
type Response struct {
	// Status is the three-digit status code, 100 to 999.
	Status int
	// Reason is the reason phrase, often empty.
	Reason    Span
	Fields    []Field
	MaxFields int
	HeadLen   int
	Minor     uint8

	scan scanner
}

// DefaultMaxFields bounds the header fields of a head when nothing else is set.
const DefaultMaxFields = 200

// BodyKind says how the end of a body is found (RFC 9112 section 6.3).
type BodyKind uint8

// The ways a message body can be delimited.
const (
	BodyNone    BodyKind = iota // no body at all
	BodyLength                  // exactly Framing.Length bytes
	BodyChunked                 // chunked transfer coding
	BodyClose                   // until the connection closes; responses only
)

// Framing is how a message's body is delimited.
type Framing struct {
	Kind   BodyKind
	Length int64 // bytes, for BodyLength
}

// UpgradeKind says what an upgrade request asks for (RFC 9110 section 7.8).
type UpgradeKind uint8

// What a request asks to switch to.
const (
	UpgradeNone      UpgradeKind = iota // not an upgrade request
	UpgradeWebSocket                    // exactly one protocol, "websocket"
	UpgradeOther                        // any other protocol or list
)
