package config

// mainDirectives are the rows of the main and events contexts.
func mainDirectives() []Directive {
	return []Directive{
		{
			Name: "worker_processes", Contexts: CtxMain, Args: "number | auto", Default: "1",
			Doc:       "The number of shards: event loops, each on a thread of its own.",
			Deviation: "Shards are threads of one process; auto follows the CPU quota of the container.",
			min:       1, max: 1, read: readWorkerProcesses,
		},
		{
			Name: "worker_rlimit_nofile", Contexts: CtxMain, Args: "number",
			Doc:       "The limit of open files to ask for at start.",
			Deviation: "Without it the limit is raised to what worker_connections needs. A higher limit is never lowered.",
			min:       1, max: 1, read: readRlimit,
		},
		{
			Name: "error_log", Contexts: CtxMain | ctxAll, Args: "file | stderr | syslog:parameters [level]",
			Default: "logs/error.log error",
			Doc:     "Where errors are logged, from which level on.",
			Deviation: "memory: is refused. The main context's gets what is about no connection; debug shows no more than " +
				"info. Of one message a shard writes ten lines a second and then how many more there were, but all lines about " +
				"clients that access rules, passwords or limits have refused.",
			min: 1, max: 2, repeat: true, read: readErrorLog,
		},
		{
			Name: "pid", Contexts: CtxMain, Args: "file", Default: "logs/holdfast.pid",
			Doc: "The file with the process id, written once the ports listen.",
			min: 1, max: 1, read: readPID,
		},
		{
			Name: "user", Contexts: CtxMain, Args: "user [group]",
			Doc:       "Whom the process becomes once its ports are bound.",
			Deviation: "Without it the process keeps the user it was started by.",
			min:       1, max: 2, read: readUser,
		},
		{
			Name: "daemon", Contexts: CtxMain, Args: "on | off",
			Doc:       "Accepted; holdfast stays in the foreground.",
			Deviation: "There is no background mode: on is a warning.",
			min:       1, max: 1, form: onOffOnly, read: readNoDaemon,
		},
		{
			Name: "master_process", Contexts: CtxMain, Args: "on | off",
			Doc:       "Accepted; holdfast is one process.",
			Deviation: "There is no master process: on is a warning.",
			min:       1, max: 1, form: onOffOnly, read: readNoMaster,
		},
		{
			Name: "tunnels_min", Contexts: CtxMain, Args: "number",
			Doc:       "The start fails if this many tunnels could not be held.",
			Deviation: "Not in nginx.",
			min:       1, max: 1, read: readTunnelsMin,
		},
		{
			Name: "worker_shutdown_timeout", Contexts: CtxMain, Args: "time",
			Doc: "How long QUIT waits for requests and tunnels to end; then they are closed. Without it there is no limit.",
			min: 1, max: 1, read: readShutdownTimeout,
		},
		{
			Name: "admin", Contexts: CtxMain, Args: "address:port | port | unix:path | off", Default: "off",
			Doc:       "Where metrics and status are served. A port alone means 127.0.0.1.",
			Deviation: "Not in nginx.",
			min:       1, max: 1, read: readAdmin,
		},
		{
			Name: "events", Contexts: CtxMain, Args: "{ ... }",
			Doc:       "The block of the connection settings.",
			Deviation: "May be left out.",
			form:      block, phase: phaseDescend, read: readEvents,
		},
		{
			Name: "worker_connections", Contexts: CtxEvents, Args: "number", Default: "512",
			Doc: "The number of connections per shard.",
			Deviation: "Counts client connections with what belongs to them, not sockets. Past it an idle keep-alive " +
				"connection gives way; where there is none, requests are answered with 503 and Retry-After.",
			min: 1, max: 1, read: readWorkerConnections,
		},
		{
			Name: "listen_steering", Contexts: CtxEvents, Args: "hash | cpu | least", Default: "hash",
			Doc: "How the kernel chooses the shard that gets a new connection and keeps it.",
			Deviation: "Not in nginx. hash: by addresses and ports; the fullest of 8 shards has about 1.1 times the mean of " +
				"1,000 tunnels, and 1.5 times that of 64. least: the shard with the fewest sessions, which keeps all even; needs " +
				"root or CAP_BPF and CAP_NET_ADMIN at start, and Linux 5.8. cpu: by the CPU that handles the SYN, modulo " +
				"worker_processes; only for a network card that spreads new connections evenly over as many CPUs. Where it " +
				"can't be had, a warning is logged and hash is used. Without effect on addresses with shared, and on unix: " +
				"sockets, whose connections are dealt in turn.",
			min: 1, max: 1, read: readListenSteering,
		},
		{
			Name: "http", Contexts: CtxMain, Args: "{ ... }", Doc: "The block of everything HTTP.",
			form: block, phase: phaseDescend, read: readHTTP,
		},
		{
			Name: "include", Contexts: ctxNginx &^ CtxMail, Args: "file | mask",
			Doc: "Reads the file, or all files that match the mask, in its place. Also allowed in map.",
			min: 1, max: 1, repeat: true, form: anyShape, read: readStrayInclude,
		},
	}
}

// readStrayInclude sees only what the parser did not take for an include.
func readStrayInclude(l *level, n *node) {
	l.add(Error, n.Position, "write: include FILE;", `directive "include" is not terminated by ";"`)
}
