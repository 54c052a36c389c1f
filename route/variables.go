package route

import (
	"math/rand/v2"
	"strconv"

	"holdfast/httpparse"
)

// varArg is what a variable was compiled with.
type varArg struct {
	name  string // what follows the prefix, in lower case, "_" for "-"
	table *mapTable
	index int               // capture group or slot
	group bool              // it is $1 to $9
	under *part             // what a set directive's variable is while it is not set
	hole  hole              // in a log line of stream: known when the session ends only
	id    httpparse.FieldID // the field called name, if it is a known one
}

// fixedVariables are nginx's variables by name. $pid, $hostname and $nginx_version
// are missing because they are compiled in as text.
var fixedVariables = map[string]varFunc{
	"args":                       varArgs,
	"binary_remote_addr":         varBinaryRemoteAddr,
	"body_bytes_sent":            varBodyBytesSent,
	"bytes_sent":                 varBytesSent,
	"connection":                 varConnection,
	"connection_requests":        varConnectionRequests,
	"connection_time":            varConnectionTime,
	"content_length":             varContentLength,
	"content_type":               varContentType,
	"document_root":              varDocumentRoot,
	"document_uri":               varURI,
	"gzip_ratio":                 varAbsent, // nothing is compressed here
	"host":                       varHost,
	"http2":                      varEmpty,
	"http3":                      varEmpty,
	"https":                      varHTTPS,
	"invalid_referer":            varInvalidReferer,
	"is_args":                    varIsArgs,
	"is_request_port":            varIsRequestPort,
	"limit_conn_status":          varLimitConnStatus,
	"limit_rate":                 varLimitRate,
	"limit_req_status":           varLimitReqStatus,
	"msec":                       varMsec,
	"pipe":                       varPipe,
	"proxy_add_x_forwarded_for":  varProxyAddXForwardedFor,
	"proxy_host":                 varProxyHost,
	"proxy_port":                 varProxyPort,
	"proxy_protocol_addr":        varProxyProtocolAddr,
	"proxy_protocol_port":        varProxyProtocolPort,
	"proxy_protocol_server_addr": varProxyProtocolServerAddr,
	"proxy_protocol_server_port": varProxyProtocolServerPort,
	"query_string":               varArgs,
	"realip_remote_addr":         varRealIPRemoteAddr,
	"realip_remote_port":         varRealIPRemotePort,
	"remote_addr":                varRemoteAddr,
	"remote_port":                varRemotePort,
	"remote_user":                varRemoteUser,
	"request":                    varRequest,
	"request_completion":         varRequestCompletion,
	"request_filename":           varRequestFilename,
	"request_id":                 varRequestID,
	"request_length":             varRequestLength,
	"request_method":             varRequestMethod,
	"request_port":               varRequestPort,
	"request_time":               varRequestTime,
	"request_uri":                varRequestURI,
	"scheme":                     varScheme,
	"secure_link":                varSecureLink,
	"secure_link_expires":        varSecureLinkExpires,
	"server_addr":                varServerAddr,
	"server_name":                varServerName,
	"server_port":                varServerPort,
	"server_protocol":            varServerProtocol,
	"status":                     varStatus,
	"time_iso8601":               varTimeISO8601,
	"time_local":                 varTimeLocal,
	"upstream_addr":              varUpstreamAddr,
	"upstream_bytes_received":    varUpstreamBytesReceived,
	"upstream_bytes_sent":        varUpstreamBytesSent,
	"upstream_cache_status":      varAbsent, // nothing is cached here
	"upstream_connect_time":      varUpstreamConnectTime,
	"upstream_header_time":       varUpstreamHeaderTime,
	"upstream_response_length":   varUpstreamResponseLength,
	"upstream_response_time":     varUpstreamResponseTime,
	"upstream_status":            varUpstreamStatus,
	"uri":                        varURI,
}

type prefixVariable struct {
	prefix string
	render varFunc
}

// prefixVariables are the families of variables whose names end in a name of the user's.
var prefixVariables = [...]prefixVariable{
	{"http_", varRequestField},
	{"arg_", varArgument},
	{"cookie_", varCookie},
	{"sent_http_", varSentField},
	{"upstream_http_", varUpstreamField},
	{"upstream_cookie_", varUpstreamCookie},
	{"upstream_trailer_", varUpstreamTrailer},
	{"sent_trailer_", varSentTrailer},
}

func varEmpty(dst []byte, _ *Env, _ *varArg) ([]byte, bool)  { return dst, true }
func varAbsent(dst []byte, _ *Env, _ *varArg) ([]byte, bool) { return dst, false }

func varConnection(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return strconv.AppendUint(dst, e.Connection, 10), true
}

func varConnectionRequests(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return strconv.AppendUint(dst, uint64(e.ConnectionRequests), 10), true
}

func varRemoteAddr(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendRemoteAddr(dst, e.Remote), true
}

func varRemotePort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendRemotePort(dst, e.Remote), true
}

func varBinaryRemoteAddr(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	switch addr := e.Remote.Addr(); {
	case addr.Is4():
		b := addr.As4()
		return append(dst, b[:]...), true
	case addr.Is6():
		b := addr.As16()
		return append(dst, b[:]...), true
	}
	return varRemoteAddr(dst, e, a)
}

func varServerAddr(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if !e.Local.IsValid() {
		return append(append(dst, "unix:"...), e.LocalPath...), true
	}
	return e.Local.Addr().AppendTo(dst), true
}

func varServerPort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if !e.Local.IsValid() {
		return dst, true
	}
	return strconv.AppendUint(dst, uint64(e.Local.Port()), 10), true
}

func varServerName(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.Server == nil {
		return dst, true
	}
	return append(dst, e.Server.Name...), true
}

// varStatus pads to three digits, as nginx does: 000 if nothing was answered.
func varStatus(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.Status == 0 {
		return appendStatus(dst, e.ErrorStatus), true
	}
	return appendStatus(dst, e.Status), true
}

func varBytesSent(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return strconv.AppendInt(dst, e.BytesSent, 10), true
}

func varBodyBytesSent(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return strconv.AppendInt(dst, max(e.BodyBytesSent, 0), 10), true
}

func varPipe(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.Pipelined {
		return append(dst, 'p'), true
	}
	return append(dst, '.'), true
}

func varRequestCompletion(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if e.Completed {
		return append(dst, "OK"...), true
	}
	return dst, true
}

// requestID is $request_id once it was asked for: the same in all texts of a request.
type requestID struct {
	high, low uint64
	set       bool
}

func varRequestID(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if !e.id.set {
		e.id = requestID{high: rand.Uint64(), low: rand.Uint64(), set: true}
	}
	return appendHex64(appendHex64(dst, e.id.high), e.id.low), true
}

func appendHex64(dst []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&15])
	}
	return dst
}
