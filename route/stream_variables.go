package route

import (
	"strconv"
	"strings"
	"time"
)

// streamVariable is a variable of the stream context. One with a hole gets its value in a
// log line only when the session ends.
type streamVariable struct {
	render varFunc
	hole   hole
}

// streamVariables are nginx's variables of stream that http does not have, or that are
// known late.
var streamVariables = map[string]streamVariable{
	"bytes_received":             {render: varStreamBytesReceived, hole: holeBytesReceived},
	"bytes_sent":                 {render: varBytesSent, hole: holeBytesSent},
	"msec":                       {render: varMsec, hole: holeMsec},
	"protocol":                   {render: varStreamProtocol},
	"session_time":               {render: varConnectionTime, hole: holeSessionTime},
	"ssl_preread_alpn_protocols": {render: varPrereadALPN},
	"ssl_preread_protocol":       {render: varPrereadProtocol},
	"ssl_preread_server_name":    {render: varPrereadServerName},
	"status":                     {render: varStatus, hole: holeStatus},
	"time_iso8601":               {render: varTimeISO8601, hole: holeTimeISO8601},
	"time_local":                 {render: varTimeLocal, hole: holeTimeLocal},
	"upstream_bytes_received":    {render: varUpstreamBytesReceived, hole: holeUpstreamBytesReceived},
	"upstream_bytes_sent":        {render: varUpstreamBytesSent, hole: holeUpstreamBytesSent},
	"upstream_first_byte_time":   {render: varUpstreamFirstByte, hole: holeUpstreamFirstByte},
	"upstream_session_time":      {render: varUpstreamSession, hole: holeUpstreamSession},
}

// sharedVariables mean the same in http and in stream; so do $ssl_… and $proxy_protocol_….
const sharedVariables = ` binary_remote_addr connection limit_conn_status realip_remote_addr ` +
	`realip_remote_port remote_addr remote_port server_addr server_port upstream_addr upstream_connect_time `

func isShared(name string) bool {
	return strings.Contains(sharedVariables, " "+name+" ") || isSharedPrefix(name) && name != "ssl_early_data"
}

func isSharedPrefix(name string) bool {
	return strings.HasPrefix(name, "ssl_") || strings.HasPrefix(name, "proxy_protocol_")
}

// streamVariable is the part that renders the built-in variable or that of a set directive.
func (c *Compiler) streamVariable(name string) (p part, found bool) {
	if v, ok := streamVariables[name]; ok {
		return part{render: v.render, arg: varArg{hole: v.hole}}, true
	}
	if render, ok := fixedVariables[name]; ok && isShared(name) {
		return part{render: render}, true
	}
	if slot, ok := c.sets[name]; ok {
		return part{render: varSet, arg: varArg{index: slot}}, true
	}
	return part{}, false
}

// eachStreamName passes the names of the variables of stream to yield.
func eachStreamName(yield func(string)) {
	for name := range streamVariables {
		yield(name)
	}
	for name := range fixedVariables {
		if isShared(name) {
			yield(name)
		}
	}
}

// isHTTPOnly tells whether a name is a variable of http that stream does not have.
func isHTTPOnly(name string) bool {
	if _, fixed := fixedVariables[name]; fixed {
		return true
	}
	for i := range prefixVariables {
		if rest, ok := strings.CutPrefix(name, prefixVariables[i].prefix); ok && rest != "" {
			return true
		}
	}
	return false
}

func varStreamProtocol(dst []byte, _ *Env, _ *varArg) ([]byte, bool) {
	return append(dst, "TCP"...), true
}

func varStreamBytesReceived(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return strconv.AppendInt(dst, e.Stream.BytesReceived, 10), true
}

func varPrereadServerName(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendPreread(dst, e.Stream.PrereadServerName)
}

func varPrereadALPN(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendPreread(dst, e.Stream.PrereadALPN)
}

func varPrereadProtocol(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendPreread(dst, e.Stream.PrereadProtocol)
}

// appendPreread appends what a hello says. As in nginx it is empty if there was nothing of
// the kind in it, and absent if there was no hello.
func appendPreread(dst, value []byte) ([]byte, bool) {
	return append(dst, value...), value != nil
}

func varUpstreamFirstByte(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendUpstreamTime(dst, e, e.Stream.UpstreamFirstByteMs)
}

func varUpstreamSession(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendUpstreamTime(dst, e, e.Stream.UpstreamSessionMs)
}

func appendMsec(dst []byte, nowNs int64) []byte {
	return appendSeconds(dst, nowNs/int64(time.Millisecond))
}
