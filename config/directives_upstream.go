package config

// upstreamDirectives are the rows of upstream blocks.
func upstreamDirectives() []Directive {
	return []Directive{
		{
			Name: "upstream", Contexts: CtxHTTP, Args: "name { ... }",
			Doc:       "A group of servers, used in turn (weighted round robin).",
			Deviation: "Other balancing methods are refused.",
			min:       1, max: 1, form: block, repeat: true, phase: phaseDefine, read: readUpstream,
		},
		{
			Name: "server", Contexts: CtxUpstream,
			Args: "address [weight=number] [max_fails=number] [fail_timeout=time] [down] [backup]",
			Doc:  "A server of the group.",
			Deviation: "Names are resolved when the configuration is read. max_conns, slow_start, resolve, route, " +
				"service and drain are refused.",
			min: 1, max: -1, repeat: true, read: readUpstreamServer,
		},
		{
			Name: "keepalive", Contexts: CtxUpstream, Args: "connections", Default: "32",
			Doc:       "The number of idle connections to the group that each shard keeps.",
			Deviation: "On by default, as in recent nginx; 0 turns it off. Needs no proxy_set_header Connection.",
			min:       1, max: 1, read: readKeepalive,
		},
		{
			Name: "keepalive_requests", Contexts: CtxUpstream, Args: "number", Default: "1000",
			Doc: "The number of requests on one connection to the group.",
			min: 1, max: 1, read: readUpstreamRequests,
		},
		{
			Name: "keepalive_timeout", Contexts: CtxUpstream, Args: "timeout", Default: "60s",
			Doc: "How long an idle connection to the group is kept.",
			min: 1, max: 1, read: readUpstreamTimeout,
		},
		{
			Name: "keepalive_time", Contexts: CtxUpstream, Args: "time", Default: "1h",
			Doc: "How long a connection to the group may carry new requests.",
			min: 1, max: 1, read: readUpstreamTime,
		},
		{
			Name: "zone", Contexts: CtxUpstream, Args: "name [size]", Support: NoEffect,
			Doc: "the shards share the state of an upstream anyway",
			min: 1, max: 2,
		},
	}
}
