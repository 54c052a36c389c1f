package httpparse

// MethodID is a well-known request method (RFC 9110 section 9, RFC 5789).
type MethodID uint8

// The well-known methods. Methods are case-sensitive: "get" is MethodOther.
const (
	MethodOther MethodID = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodConnect
	MethodOptions
	MethodTrace
	MethodPatch
)

// MaxMethod is the length in bytes of the longest method that is accepted; RFC 9112
// section 3 answers a longer one with 501. No registered method has more than 17.
const MaxMethod = 32

// MethodIDOf is the well-known method called name, or MethodOther.
func MethodIDOf(name []byte) MethodID {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "CONNECT":
		return MethodConnect
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "PATCH":
		return MethodPatch
	}
	return MethodOther
}
