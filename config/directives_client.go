package config

import "time"

// clientDirectives are the rows about client connections and their tunnels.
func clientDirectives() []Directive {
	return []Directive{
		{
			Name: "keepalive_timeout", Contexts: ctxAll, Args: "timeout [header_timeout]", Default: "75s",
			Doc: "How long an idle client connection stays open; 0 turns keep-alive off.",
			min: 1, max: 2, read: readKeepaliveTimeout,
		},
		{
			Name: "keepalive_requests", Contexts: ctxAll, Args: "number", Default: "1000",
			Doc: "The number of requests on one client connection.",
			min: 1, max: 1, read: readKeepaliveRequests,
		},
		{
			Name: "keepalive_time", Contexts: ctxAll, Args: "time", Default: "1h",
			Doc: "How long a client connection may carry new requests.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.KeepaliveTime }),
		},
		{
			Name: "keepalive_min_timeout", Contexts: ctxAll, Args: "time", Default: "0",
			Doc: "How long an idle client connection stays open when holdfast wants to end.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.KeepaliveMinTimeout }),
		},
		{
			Name: "reset_timedout_connection", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Ends the connections of clients that don't read with a reset, which frees what the kernel holds.",
			Deviation: "The default is on: else the kernel would hold unread answers for minutes. Clients that get a " +
				"408 are not reset, nor are those of return 444.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.ResetTimedout }),
		},
		{
			Name: "tunnel_frames", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Follows WebSocket frames in tunnels: messages are counted, and a connection that ends inside a frame is " +
				"told from an orderly end. Off, a tunnel's bytes are not looked at, and streams of small frames are spliced, too.",
			Deviation: "Not in nginx, which looks at no tunnel's bytes.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.TunnelFrames }),
		},
		{
			Name: "websocket_strict", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc:       "Refuses WebSocket handshakes that break RFC 6455: of a client with 400 or 426, of an upstream with 502.",
			Deviation: "Not in nginx, which looks at neither side's handshake.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.WebsocketStrict }),
		},
		{
			Name: "send_timeout", Contexts: ctxAll, Args: "time", Default: "60s",
			Doc: "How long a client may pause reading a response.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.SendTimeout }),
		},
		{
			Name: "lingering_close", Contexts: ctxAll, Args: "off | on | always", Default: "on",
			Doc: "Whether to read on after the last response, so that the client gets to see it.",
			min: 1, max: 1, read: readLingeringClose,
		},
		{
			Name: "lingering_time", Contexts: ctxAll, Args: "time", Default: "30s",
			Doc: "How long a lingering close may take.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.LingeringTime }),
		},
		{
			Name: "lingering_timeout", Contexts: ctxAll, Args: "time", Default: "5s",
			Doc: "How long a lingering close waits for more data.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.LingeringTimeout }),
		},
		{
			Name: "tcp_nodelay", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "TCP_NODELAY on both sides.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.TCPNodelay }),
		},
		{
			Name: "tunnel_send_timeout", Contexts: ctxAll, Args: "time", Default: "240s",
			Doc:       "How long one direction of a tunnel may stay blocked because its receiver does not read.",
			Deviation: "In nginx, where it is 60s, it is about the tunnels of CONNECT and their upstreams only.",
			min:       1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.TunnelSendTimeout }),
		},
	}
}

// requestDirectives are the rows about reading requests.
func requestDirectives() []Directive {
	const srv = CtxHTTP | CtxServer
	return []Directive{
		{
			Name: "client_header_timeout", Contexts: srv, Args: "time", Default: "60s",
			Doc:       "How long a client may take for a whole request head.",
			Deviation: "Answered with 408 if a part of the head has come.",
			min:       1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.ClientHeaderTimeout }),
		},
		{
			Name: "client_body_timeout", Contexts: ctxAll, Args: "time", Default: "60s",
			Doc: "How long a client may pause within a request body.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.ClientBodyTimeout }),
		},
		{
			Name: "client_max_body_size", Contexts: ctxAll, Args: "size", Default: "1m",
			Doc: "The largest request body; 0 means no limit. Beyond it: 413.",
			min: 1, max: 1, read: size(0, func(s *Settings) *int64 { return &s.ClientMaxBodySize }),
		},
		{
			Name: "client_body_buffer_size", Contexts: ctxAll, Args: "size", Default: "16k",
			Doc:       "How much of a request body is held before an upstream is asked (proxy_request_buffering).",
			Deviation: "At most 128k. A larger body is streamed, never written to disk.",
			min:       1, max: 1, read: readBodyBuffer,
		},
		{
			Name: "max_headers", Contexts: srv, Args: "number", Default: "200",
			Doc:       "The header field lines of a request. Beyond it: 431.",
			Deviation: "The default is 200, in nginx 1000. At most 10000.",
			min:       1, max: 1, read: readMaxHeaders,
		},
		{
			Name: "client_header_buffer_size", Contexts: srv, Args: "size", Default: "1k",
			Doc: "The first buffer for a request head.",
			min: 1, max: 1, read: readHeaderBuffer,
		},
		{
			Name: "large_client_header_buffers", Contexts: srv, Args: "number size", Default: "4 8k",
			Doc: "What a request head may grow to. Beyond it: 414 for a long request line, else 400 or 431.",
			min: 2, max: 2, read: readLargeBuffers,
		},
		{
			Name: "merge_slashes", Contexts: srv, Args: "on | off", Default: "on",
			Doc: "Whether several slashes in a row count as one when a location is looked for.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.MergeSlashes }),
		},
		{
			Name: "underscores_in_headers", Contexts: srv, Args: "on | off", Default: "off",
			Doc: "Whether header field names may have underscores.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.UnderscoresInHeaders }),
		},
		{
			Name: "ignore_invalid_headers", Contexts: srv, Args: "on | off", Default: "on",
			Doc: "Whether header fields with unusual names are dropped.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.IgnoreInvalidHeaders }),
		},
	}
}
