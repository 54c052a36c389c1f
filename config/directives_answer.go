package config

// answerFormDirectives are the rows of how answers are made: redirects, codings, and the
// small contents of a location.
func answerFormDirectives() []Directive {
	return []Directive{
		{
			Name: "absolute_redirect", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Whether a redirect to a path is sent with scheme, host and port before it.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Redirects.Absolute }),
		},
		{
			Name: "port_in_redirect", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Whether an absolute redirect has the port that the client connected to, where it is not the usual one.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Redirects.Port }),
		},
		{
			Name: "server_name_in_redirect", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Whether an absolute redirect has the first server_name in the place of the host that the client named.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Redirects.ServerName }),
		},
		{
			Name: "chunked_transfer_encoding", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Whether a response of unknown length is sent in chunks; without them the connection's end is its end.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Chunked }),
		},
		{
			Name: "add_trailer", Contexts: ctxAll, Args: "name value [always]",
			Doc: "Adds a field behind the body of a response with status 200, 201, 204, 206, 301 to 304, 307 and 308, or " +
				"any with always; the response is sent in chunks then. A level with any inherits none from outside.",
			Deviation: "Only for responses of an upstream, to clients that speak HTTP/1.1.",
			min:       2, max: 3, repeat: true, read: readAddTrailer,
		},
		{
			Name: "empty_gif", Contexts: CtxLocation,
			Doc: "Answers with a transparent picture of one pixel.",
			min: 0, max: 0, read: func(l *level, _ *node) { l.location.Handler = HandlerGIF },
		},
		{
			Name: "stub_status", Contexts: CtxServer | CtxLocation, Args: "[on]",
			Doc: "Answers with the numbers of connections and requests, in nginx's text.",
			Deviation: "Waiting counts idle connections between two requests, Writing all others with a request, tunnels " +
				"among them. The numbers are those of the last turn of each shard's loop.",
			min: 0, max: 1, read: readStubStatus,
		},
	}
}

func readStubStatus(l *level, _ *node) {
	if l.location != nil {
		l.location.Handler = HandlerStatus
		return
	}
	l.server.Handler = HandlerStatus
}
