package config

import "time"

// noDisk is why nothing about temporary files has an effect.
const noDisk = "bodies are never written to disk: what is larger than the buffers is streamed"

// proxyDirectives are the rows of proxying.
func proxyDirectives() []Directive {
	return []Directive{
		{
			Name: "proxy_pass", Contexts: CtxLocation, Args: "http[s]://address[uri]",
			Doc: "Where the requests of the location go: an address, unix:path:, or an upstream block.",
			Deviation: "WebSocket upgrades pass without proxy_set_header Upgrade and Connection. " +
				"Names are resolved when the configuration is read; one that only a variable yields is that of an " +
				"upstream block, or is asked of the resolver.",
			min: 1, max: 1, read: readProxyPass,
		},
		{
			Name: "proxy_http_version", Contexts: ctxAll, Args: "1.0 | 1.1", Default: "1.1",
			Doc: "The HTTP version spoken to the upstream.",
			Deviation: "The default is 1.1, as in recent nginx; upgrades are sent as 1.1 whatever is written. " +
				"With 1.0 a chunked request body is refused with 411 where it is larger than client_body_buffer_size " +
				"or proxy_request_buffering is off: its length is not known then.",
			min: 1, max: 1, read: readHTTPVersion,
		},
		{
			Name: "proxy_set_header", Contexts: ctxAll, Args: "field value",
			Default: "Host $proxy_host",
			Doc:     "Sets a field of the request to the upstream. A level with any inherits none from outside.",
			Deviation: "Not needed for WebSockets. Upgrade: h2c passes only where it is written out. " +
				"Connection: upgrade is dropped from requests that are no upgrade. Content-Length and Transfer-Encoding may " +
				"be \"\" or the client's own: they say what is sent, whatever is written.",
			min: 2, max: 2, repeat: true, read: readSetHeader,
		},
		{
			Name: "proxy_connect_timeout", Contexts: ctxAll, Args: "time", Default: "60s",
			Doc: "How long one try to connect to the upstream may take.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.Proxy.ConnectTimeout }),
		},
		{
			Name: "proxy_read_timeout", Contexts: ctxAll, Args: "time", Default: "60s; none for tunnels",
			Doc:       "How long the upstream may pause sending.",
			Deviation: "A tunnel has this timeout only where it is written, here or at an outer level.",
			min:       1, max: 1, read: readProxyReadTimeout,
		},
		{
			Name: "proxy_send_timeout", Contexts: ctxAll, Args: "time", Default: "60s; none for tunnels",
			Doc:       "How long the upstream may pause reading.",
			Deviation: "A tunnel has this timeout only where it is written, here or at an outer level.",
			min:       1, max: 1, read: readProxySendTimeout,
		},
		{
			Name: "proxy_socket_keepalive", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc:       "TCP keepalive on connections to the upstream.",
			Deviation: "The default is on, for tunnels, at times as with so_keepalive of listen.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.SocketKeepalive }),
		},
	}
}

// bufferDirectives are the rows of what is held of bodies, and of trailers.
func bufferDirectives() []Directive {
	return []Directive{
		{
			Name: "proxy_buffering", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc:       "Whether a response is read ahead of a client that reads slowly, up to proxy_buffers.",
			Deviation: "The first byte never waits for the last. What does not fit stays with the upstream.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.Buffering }),
		},
		{
			Name: "proxy_buffers", Contexts: ctxAll, Args: "number size", Default: "8 8k",
			Doc:       "How much of a response is read ahead: number times size.",
			Deviation: "At most 128k together. There are no temporary files behind them.",
			min:       2, max: 2, read: readBuffers,
		},
		{
			Name: "proxy_request_buffering", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Whether a request body is held until it is whole before an upstream is asked.",
			Deviation: "Held in memory up to client_body_buffer_size; a larger body is streamed and never written to disk. " +
				"What is held can be sent to a second server if the first one fails.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.RequestBuffering }),
		},
		{
			Name: "proxy_max_temp_file_size", Contexts: ctxAll, Args: "size", Default: "0",
			Doc: "Accepted; " + noDisk + ".", Deviation: "Anything but 0 is a warning.",
			min: 1, max: 1, read: readTempFileSize,
		},
		{
			Name: "proxy_pass_trailers", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Passes trailer fields, those of requests and of responses.",
			Deviation: "In nginx those of responses only. Fields about framing, routing, authentication, caching and " +
				"content are dropped.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.PassTrailers }),
		},
		{
			Name: "proxy_intercept_errors", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Lets error_page answer for the upstream's answers from 300 on, too.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.InterceptErrors }),
		},
	}
}

// proxyFailureDirectives are the rows of what happens when a server fails, and of the
// response fields that are hidden, passed or rewritten.
func proxyFailureDirectives() []Directive {
	return []Directive{
		{
			Name: "proxy_next_upstream", Contexts: ctxAll,
			Args:    "error | timeout | invalid_header | http_code | non_idempotent | off ...",
			Default: "error timeout",
			Doc: "After which failures the next server of the upstream is tried. The codes are http_500, http_502, http_503, " +
				"http_504, http_403, http_404 and http_429.",
			Deviation: "Methods that nobody defined count as non-idempotent too. A body that is not held whole " +
				"(client_body_buffer_size) is not sent twice.",
			min: 1, max: -1, repeat: true, read: readNextUpstream,
		},
		{
			Name: "proxy_next_upstream_tries", Contexts: ctxAll, Args: "number", Default: "0",
			Doc: "The number of servers tried; 0 means no limit.",
			min: 1, max: 1, read: readNextTries,
		},
		{
			Name: "proxy_next_upstream_timeout", Contexts: ctxAll, Args: "time", Default: "0",
			Doc: "How long all tries may take together; 0 means no limit.",
			min: 1, max: 1,
			read: duration(func(s *Settings) *time.Duration { return &s.Proxy.NextUpstreamTimeout }),
		},
		{
			Name: "proxy_pass_header", Contexts: ctxAll, Args: "field",
			Doc: "Passes a response field that is hidden otherwise, such as Server.",
			min: 1, max: 1, repeat: true,
			read: headerList(func(s *Settings) *[]string { return &s.Proxy.PassHeaders }),
		},
		{
			Name: "proxy_hide_header", Contexts: ctxAll, Args: "field",
			Doc: "Hides a response field from the client.",
			min: 1, max: 1, repeat: true,
			read: headerList(func(s *Settings) *[]string { return &s.Proxy.HideHeaders }),
		},
	}
}
