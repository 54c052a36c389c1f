package route

import "strconv"

// statusTexts are the reason phrases of the statuses that holdfast itself may answer
// with, by return or by itself (RFC 9110 section 15, RFC 6585, RFC 7725, RFC 7538).
var statusTexts = map[int]string{
	200: "OK",
	201: "Created",
	202: "Accepted",
	203: "Non-Authoritative Information",
	204: "No Content",
	205: "Reset Content",
	206: "Partial Content",
	300: "Multiple Choices",
	301: "Moved Permanently",
	302: "Found",
	303: "See Other",
	304: "Not Modified",
	307: "Temporary Redirect",
	308: "Permanent Redirect",
	400: "Bad Request",
	401: "Unauthorized",
	402: "Payment Required",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	406: "Not Acceptable",
	407: "Proxy Authentication Required",
	408: "Request Timeout",
	409: "Conflict",
	410: "Gone",
	411: "Length Required",
	412: "Precondition Failed",
	413: "Content Too Large",
	414: "URI Too Long",
	415: "Unsupported Media Type",
	416: "Range Not Satisfiable",
	417: "Expectation Failed",
	421: "Misdirected Request",
	422: "Unprocessable Content",
	425: "Too Early",
	426: "Upgrade Required",
	428: "Precondition Required",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	451: "Unavailable For Legal Reasons",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
	507: "Insufficient Storage",
	511: "Network Authentication Required",
}

// appendStatus appends three digits.
func appendStatus(dst []byte, status int) []byte {
	if status < 100 {
		dst = append(dst, '0')
	}
	if status < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(status), 10)
}

// appendStatusLine appends an HTTP/1.1 status line. The space before an empty reason
// phrase is required (RFC 9112 section 4).
func appendStatusLine(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = appendStatus(dst, status)
	dst = append(dst, ' ')
	dst = append(dst, statusTexts[status]...)
	return append(dst, "\r\n"...)
}

// isRedirect reports whether return with this code takes a URL (return).
func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// bodyless reports whether a response of this status has no body (RFC 9110 section 6.4.1).
func bodyless(status int) bool { return status < 200 || status == 204 || status == 304 }
