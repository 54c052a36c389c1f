package config

// httpDirectives are the rows of the http structure: servers, locations, names and
// logs.
func httpDirectives() []Directive {
	return []Directive{
		{
			Name: "server", Contexts: CtxHTTP, Args: "{ ... }", Doc: "A virtual server.",
			form: block, repeat: true, phase: phaseDescend, read: readServer,
		},
		{
			Name: "listen", Contexts: CtxServer, Default: "*:80, or *:8000 if not root",
			Args: "address[:port[-port]] | port[-port] | unix:path [default_server] [ssl] [proxy_protocol] " +
				"[reuseport] [shared] [backlog=number] " +
				"[rcvbuf=size] [sndbuf=size] [so_keepalive=on|off|[idle]:[interval]:[count]] [deferred] " +
				"[fastopen=number] [ipv6only=on|off] [bind]",
			Doc: "An address that the server answers on.",
			Deviation: "TCP keepalive is on by default: tunnels are probed after 64 to 127 s of silence, then every " +
				"10 to 15 s, each at times of its own, and given up after 240 s; values in so_keepalive hold for all " +
				"alike. A second process on the same address is an error unless both say shared (not in nginx). " +
				"reuseport changes nothing: every shard has its own socket. http2 has no effect, quic leaves the " +
				"listener out. A range has at most 1000 ports.",
			min: 1, max: -1, repeat: true, read: readListen,
		},
		{
			Name: "server_name", Contexts: CtxServer, Args: "name ...", Default: `""`,
			Doc:       "The names of the server: exact, *.example.com, example.*, .example.com or ~regex.",
			Deviation: "Regular expressions are those of RE2: no lookaround, no backreferences.",
			min:       1, max: -1, repeat: true, read: readServerName,
		},
		{
			Name: "location", Contexts: CtxServer | CtxLocation, Args: "[= | ~ | ~* | ^~] uri { ... } | @name { ... }",
			Doc:       "What to do with the requests of a path.",
			Deviation: "Regular expressions are those of RE2: no lookaround, no backreferences.",
			min:       1, max: 2, form: block, repeat: true, phase: phaseDescend, read: readLocation,
		},
		{
			Name: "map", Contexts: CtxHTTP, Args: "string $variable { ... }",
			Doc:       "Defines a variable whose value depends on another text.",
			Deviation: "Regular expressions are those of RE2: no lookaround, no backreferences.",
			min:       2, max: 2, form: block, repeat: true, phase: phaseDefine, read: readMap,
		},
		{
			Name: "log_format", Contexts: CtxHTTP, Args: "name [escape=default|json|none] string ...",
			Default:   "combined",
			Doc:       "Names a form of access log lines.",
			Deviation: "May be written behind the access_log that uses it.",
			min:       2, max: -1, repeat: true, phase: phaseDefine, read: readLogFormat,
		},
		{
			Name: "access_log", Contexts: ctxAll, Default: "logs/access.log combined",
			Args: "path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition]] | syslog:parameters " +
				"[format [if=condition]] | off",
			Doc: "Where requests are logged, and how.",
			Deviation: "Variables in the path are refused. Lines are written by a thread of their own, which never holds " +
				"up a connection: what it can't write in time is dropped and counted. A tunnel has a line when it opens and " +
				"one when it closes (tunnel_log).",
			min: 1, max: -1, repeat: true, read: readAccessLog,
		},
		{
			Name: "tunnel_log", Contexts: ctxAll, Default: "both",
			Args: "open | close | both | off | path [format] [open | close | both]",
			Doc: "Which lines of a tunnel go to the files of access_log: that of its 101, that at its close, both or none. " +
				"A path names one more file for the lines at the close; those of access_log have only the first then, unless " +
				"a tunnel_log without a path says otherwise. Without a format a line is names and values. A format may have " +
				"the $tunnel_ variables; a tunnel then keeps its line, rendered when it opens, until it closes: about 150 " +
				"bytes and the line.",
			Deviation: "Not in nginx.",
			min:       1, max: 3, repeat: true, read: readTunnelLog,
		},
	}
}
