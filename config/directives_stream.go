package config

import (
	"slices"
	"strings"
	"time"
)

// ctxStreams is where most settings of stream go.
const ctxStreams = CtxStream | CtxStreamServer

// alsoInStream are the directives of http that mean the same in stream, and where.
var alsoInStream = map[Context]string{
	CtxStream: `map log_format map_hash_bucket_size map_hash_max_size variables_hash_bucket_size
		variables_hash_max_size server_names_hash_bucket_size server_names_hash_max_size`,
	CtxStreamServer: `server_name`,
	ctxStreams: `error_log proxy_connect_timeout proxy_next_upstream_timeout proxy_next_upstream_tries
		proxy_socket_keepalive tcp_nodelay tunnel_send_timeout`,
}

// tlsOfHTTP are the directives about TLS that stream does not have.
var tlsOfHTTP = []string{"ssl", "ssl_early_data", "ssl_buffer_size"}

// widenToStream adds the contexts of stream to the rows that mean the same there.
func widenToStream(all []Directive) {
	widen := map[string]Context{}
	for ctx, names := range alsoInStream {
		for _, name := range strings.Fields(names) {
			widen[name] = ctx
		}
	}
	for i := range all {
		d := &all[i]
		isTLS := strings.HasPrefix(d.Name, "ssl_") || strings.HasPrefix(d.Name, "proxy_ssl_")
		switch {
		case d.Contexts&(CtxHTTP|CtxServer|CtxUpstream) == 0:
		case isTLS && !slices.Contains(tlsOfHTTP, d.Name):
			d.Contexts |= ctxStreams
		default:
			d.Contexts |= widen[d.Name]
		}
	}
}

// streamDirectives are the rows that only stream has, or that mean something else there.
func streamDirectives() []Directive {
	all := slices.Concat(streamBlocks(), streamProxyDirectives(), streamPrereadDirectives())
	all = append(all, rows(NoEffect, []group{
		{ctxStreams, "a shard has one buffer for all its sessions", `proxy_buffer_size`},
	})...)
	return all
}

func streamBlocks() []Directive {
	return []Directive{
		{
			Name: "stream", Contexts: CtxMain, Args: "{ ... }",
			Doc:  "The block of servers that pass on connections as they are.",
			form: block, phase: phaseDescend, read: readStream,
		},
		{
			Name: "server", Contexts: CtxStream, Args: "{ ... }", Doc: "A server of plain connections.",
			form: block, repeat: true, phase: phaseDescend, read: readStreamServer,
		},
		{
			Name: "listen", Contexts: CtxStreamServer,
			Args: "address:port[-port] | port[-port] | unix:path [parameters]",
			Doc:  "An address that the server accepts connections on. The parameters are those of listen in http.",
			Deviation: "udp is refused. Several servers may share an address where ssl or ssl_preread tells what a " +
				"client asks for.",
			min: 1, max: -1, repeat: true, read: readStreamListen,
		},
		{
			Name: "upstream", Contexts: CtxStream, Args: "name { ... }",
			Doc: "A group of servers, as in http. It may have the name of one there.",
			min: 1, max: 1, form: block, repeat: true, phase: phaseDefine, read: readStreamUpstream,
		},
		{
			Name: "server", Contexts: CtxStreamUpstream,
			Args: serverArgs, Doc: "A server of the group.",
			Deviation: serverDeviation,
			min:       1, max: -1, repeat: true, read: readStreamUpstreamServer,
		},
		{
			Name: "return", Contexts: CtxStreamServer, Args: "value", Doc: "Sends the text and closes the connection.",
			min: 1, max: 1, read: readStreamReturn,
		},
		{
			Name: "set", Contexts: CtxStreamServer, Args: "$variable value",
			Doc: "Gives a variable a value, once a connection's first bytes were looked at.",
			min: 2, max: 2, repeat: true, read: readSet,
		},
		{
			Name: "access_log", Contexts: ctxStreams, Default: "off",
			Args: "path format [buffer=size] [gzip[=level]] [flush=time] [if=condition] | " +
				"syslog:parameters format [if=condition] | off",
			Doc: "Where sessions are logged when they end, and how.",
			Deviation: "Rendered when the session begins but for what only its end shows; if= can't ask about that. " +
				"Variables in the path are refused.",
			min: 1, max: -1, repeat: true, read: readStreamAccessLog,
		},
	}
}

func streamProxyDirectives() []Directive {
	return []Directive{
		{
			Name: "proxy_pass", Contexts: CtxStreamServer, Args: "address:port | unix:path | upstream",
			Doc:       "Where connections go. With variables, they must yield an address or the name of an upstream.",
			Deviation: "A name that variables yield is resolved by the resolver of the server.",
			min:       1, max: 1, read: readStreamProxyPass,
		},
		{
			Name: "proxy_timeout", Contexts: ctxStreams, Args: "timeout", Default: "10m",
			Doc: "How long a session may be silent in both directions.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.Stream.ProxyTimeout }),
		},
		{
			Name: "proxy_half_close", Contexts: ctxStreams, Args: "on | off", Default: "on",
			Doc:       "Lets one direction live when the other has ended.",
			Deviation: "The default is on: an end is passed on, and nothing is cut.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Stream.HalfClose }),
		},
		{
			Name: "proxy_next_upstream", Contexts: ctxStreams, Args: "on | off", Default: "on",
			Doc: "Tries the next server when one can't be connected to.",
			min: 1, max: 1, form: onOffOnly, read: readStreamNextUpstream,
		},
		{
			Name: "proxy_bind", Contexts: ctxStreams, Args: "address ... [transparent] | off",
			Doc: "The local address of connections to the upstream, perhaps with a port.",
			Deviation: "Several addresses multiply the ports at hand: each connection takes the next one of the " +
				"server's family.",
			min: 1, max: -1, read: readBind,
		},
		{
			Name: "proxy_download_rate", Contexts: ctxStreams, Args: "rate", Default: "0",
			Doc: "How many bytes a second are read from the upstream; 0 means no limit.",
			min: 1, max: 1, read: rate(func(s *Settings) *Text { return &s.Stream.DownloadRate }),
		},
		{
			Name: "proxy_upload_rate", Contexts: ctxStreams, Args: "rate", Default: "0",
			Doc: "How many bytes a second are read from the client; 0 means no limit.",
			min: 1, max: 1, read: rate(func(s *Settings) *Text { return &s.Stream.UploadRate }),
		},
		{
			Name: "proxy_protocol", Contexts: ctxStreams, Args: "on | off | v1 | v2", Default: "off",
			Doc:       "Sends the header of the PROXY protocol to the upstream first.",
			Deviation: "v2 is not in nginx; on is version 1.",
			min:       1, max: 1, read: readStreamProxyProtocol,
		},
		{
			Name: "proxy_ssl", Contexts: ctxStreams, Args: "on | off", Default: "off",
			Doc: "Speaks TLS with the upstream.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Stream.ProxySSL }),
		},
	}
}

func streamPrereadDirectives() []Directive {
	return []Directive{
		{
			Name: "ssl_preread", Contexts: ctxStreams, Args: "on | off", Default: "off",
			Doc: "Looks at the client's TLS hello, without answering it, for the $ssl_preread_ variables and server_name.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Stream.Preread }),
		},
		{
			Name: "preread_buffer_size", Contexts: ctxStreams, Args: "size", Default: "16k",
			Doc:       "How many bytes may be looked at. Beyond it the connection is closed.",
			Deviation: "At least 1k, at most 64k.",
			min:       1, max: 1, read: readPrereadBuffer,
		},
		{
			Name: "preread_timeout", Contexts: ctxStreams, Args: "timeout", Default: "30s",
			Doc: "How long the first bytes may take. Beyond it the connection is closed.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.Stream.PrereadTimeout }),
		},
	}
}

// readPrereadBuffer keeps the size within what a shard's buffer holds.
func readPrereadBuffer(l *level, n *node) {
	v, ok := parseSize(n.args[0])
	if !ok {
		l.invalid(n, n.args[0], hintSize)
		return
	}
	l.set.Stream.PrereadBufferSize = min(max(v, 1<<10), 64<<10)
}
