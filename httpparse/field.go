package httpparse

// FieldID is a field name the proxy knows. A Field whose name it does not know has
// FieldOther.
type FieldID uint8

// The field names known.
const (
	FieldOther FieldID = iota
	FieldHost
	FieldConnection
	FieldUpgrade
	FieldContentLength
	FieldTransferEncoding
	FieldTE
	FieldTrailer
	FieldKeepAlive
	FieldProxyConnection
	FieldExpect
	FieldSecWebSocketKey
	FieldSecWebSocketVersion
	FieldSecWebSocketAccept
	FieldSecWebSocketProtocol
	FieldSecWebSocketExtensions
	FieldOrigin
	FieldDate
	FieldServer
	FieldContentType
	FieldContentEncoding
	FieldLocation
	FieldRefresh
	FieldSetCookie
	FieldCookie
	FieldUserAgent
	FieldReferer
	FieldAuthorization
	FieldProxyAuthorization
	FieldProxyAuthenticate
	FieldXForwardedFor
	FieldXForwardedProto
	FieldXForwardedHost
	FieldXRealIP
	FieldAcceptEncoding
	FieldCacheControl
	FieldETag
	FieldLastModified
	FieldVary
	FieldHTTP2Settings
	FieldXAccelRedirect
	FieldXAccelBuffering
	FieldXAccelExpires
	FieldXAccelCharset
	FieldXAccelLimitRate
	FieldXPad
	FieldStatus
	fieldCount
)

// FieldCount is the number of FieldID values, for arrays indexed by one.
const FieldCount = int(fieldCount)

var fieldNames = [...]string{
	FieldOther:                  "",
	FieldHost:                   "host",
	FieldConnection:             "connection",
	FieldUpgrade:                "upgrade",
	FieldContentLength:          "content-length",
	FieldTransferEncoding:       "transfer-encoding",
	FieldTE:                     "te",
	FieldTrailer:                "trailer",
	FieldKeepAlive:              "keep-alive",
	FieldProxyConnection:        "proxy-connection",
	FieldExpect:                 "expect",
	FieldSecWebSocketKey:        "sec-websocket-key",
	FieldSecWebSocketVersion:    "sec-websocket-version",
	FieldSecWebSocketAccept:     "sec-websocket-accept",
	FieldSecWebSocketProtocol:   "sec-websocket-protocol",
	FieldSecWebSocketExtensions: "sec-websocket-extensions",
	FieldOrigin:                 "origin",
	FieldDate:                   "date",
	FieldServer:                 "server",
	FieldContentType:            "content-type",
	FieldContentEncoding:        "content-encoding",
	FieldLocation:               "location",
	FieldRefresh:                "refresh",
	FieldSetCookie:              "set-cookie",
	FieldCookie:                 "cookie",
	FieldUserAgent:              "user-agent",
	FieldReferer:                "referer",
	FieldAuthorization:          "authorization",
	FieldProxyAuthorization:     "proxy-authorization",
	FieldProxyAuthenticate:      "proxy-authenticate",
	FieldXForwardedFor:          "x-forwarded-for",
	FieldXForwardedProto:        "x-forwarded-proto",
	FieldXForwardedHost:         "x-forwarded-host",
	FieldXRealIP:                "x-real-ip",
	FieldAcceptEncoding:         "accept-encoding",
	FieldCacheControl:           "cache-control",
	FieldETag:                   "etag",
	FieldLastModified:           "last-modified",
	FieldVary:                   "vary",
	FieldHTTP2Settings:          "http2-settings",
	FieldXAccelRedirect:         "x-accel-redirect",
	FieldXAccelBuffering:        "x-accel-buffering",
	FieldXAccelExpires:          "x-accel-expires",
	FieldXAccelCharset:          "x-accel-charset",
	FieldXAccelLimitRate:        "x-accel-limit-rate",
	FieldXPad:                   "x-pad",
	FieldStatus:                 "status",
}

// longestFieldName is the length of the longest name in fieldNames.
const longestFieldName = len("sec-websocket-extensions")

// fieldsByLength lists, for each length of a name, the fields whose name has it.
var fieldsByLength = groupFields()

func groupFields() (groups [longestFieldName + 1][]FieldID) {
	for id := FieldOther + 1; id < fieldCount; id++ {
		n := len(fieldNames[id])
		groups[n] = append(groups[n], id)
	}
	return groups
}

// Name is the field's name in lower case, or "" for FieldOther.
func (id FieldID) Name() string {
	if int(id) < len(fieldNames) {
		return fieldNames[id]
	}
	return ""
}

// FieldIDOf is the field called name in any case (RFC 9110 section 5.1), or FieldOther.
func FieldIDOf(name []byte) FieldID {
	if len(name) == 0 || len(name) > longestFieldName {
		return FieldOther
	}
	first := name[0] | 0x20
	for _, id := range fieldsByLength[len(name)] {
		if lower := fieldNames[id]; lower[0] == first && EqualFold(name, lower) {
			return id
		}
	}
	return FieldOther
}

// FindField is the value of the first field of fields with that id. The value
// aliases buf, the buffer fields were parsed from.
func FindField(buf []byte, fields []Field, id FieldID) (value []byte, ok bool) {
	for i := range fields {
		if fields[i].ID == id {
			return fields[i].Value.Of(buf), true
		}
	}
	return nil, false
}

// FindFieldName is the value of the first field of fields called name, in any case.
// The value aliases buf. Where the name has a FieldID, FindField is faster.
func FindFieldName(buf []byte, fields []Field, name []byte) (value []byte, ok bool) {
	for i := range fields {
		if fields[i].Name.Len() == len(name) && equalFoldBytes(fields[i].Name.Of(buf), name) {
			return fields[i].Value.Of(buf), true
		}
	}
	return nil, false
}

// CountField is the number of field lines of fields with that id.
func CountField(fields []Field, id FieldID) int {
	n := 0
	for i := range fields {
		if fields[i].ID == id {
			n++
		}
	}
	return n
}
