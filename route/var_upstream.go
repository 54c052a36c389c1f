package route

import "bytes"

func appendUpstreamTime(dst []byte, e *Env, ms int64) ([]byte, bool) {
	switch {
	case e.UpstreamAddr == "":
		return dst, false
	case ms < 0:
		return append(dst, '-'), true
	}
	return appendSeconds(dst, ms), true
}

// varUpstreamField is $upstream_http_name.
func varUpstreamField(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if e.Resp == nil {
		return dst, false
	}
	return appendFields(dst, e.RespHead, e.Resp.Fields, a, true)
}

// varSentField is $sent_http_name: the fields of the head that went to the client,
// which was kept for this because some text of the configuration asks for it.
func varSentField(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	_, fields, _ := bytes.Cut(e.sent, crlf)
	return appendLines(dst, fields, a)
}

var (
	crlf  = []byte("\r\n")
	colon = []byte(":")
)

// httpTrim is value without the spaces and tabs around it (OWS, RFC 9110 section 5.6.3).
func httpTrim(value []byte) []byte { return bytes.Trim(value, " \t") }

func varProxyHost(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	switch {
	case e.Location == nil || e.Location.Proxy == nil:
		return dst, false
	case e.Location.Proxy.Dynamic():
		return append(dst, e.target.hostField...), e.target.hostField != nil
	}
	return append(dst, e.Location.Proxy.Host...), true
}

func varProxyPort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	switch {
	case e.Location == nil || e.Location.Proxy == nil:
		return dst, false
	case e.Location.Proxy.Dynamic():
		return append(dst, e.target.port...), e.target.port != nil
	}
	return append(dst, e.Location.Proxy.Port...), true
}
