package config

// upstreamDirectives are the rows of upstream blocks.
func upstreamDirectives() []Directive {
	return []Directive{
		{
			Name: "upstream", Contexts: CtxHTTP, Args: "name { ... }",
			Doc: "A group of servers. Without a balancing method in it they are used in turn (weighted round robin).",
			min: 1, max: 1, form: block, repeat: true, phase: phaseDefine, read: readUpstream,
		},
		{
			Name: "server", Contexts: CtxUpstream,
			Args:      serverArgs + " [drain] [route=string]",
			Doc:       "A server of the group.",
			Deviation: serverDeviation,
			min:       1, max: -1, repeat: true, read: readUpstreamServer,
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
	}
}

const serverArgs = "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] " +
	"[slow_start=time] [backup] [down] [resolve] [service=name]"

const serverDeviation = "Without resolve a name is resolved when the configuration is read. max_conns, max_fails and " +
	"slow_start hold over all shards. Twice the same address is one server with both weights. slow_start, drain, route, " +
	"resolve and service are those of the commercial nginx."

// balanceDirectives are the rows of the balancing methods.
func balanceDirectives() []Directive {
	const both = CtxUpstream | CtxStreamUpstream
	return []Directive{
		{
			Name: "least_conn", Contexts: both,
			Doc: "Chooses the server with the fewest requests in progress for its weight.",
			Deviation: "A tunnel counts for as long as it lives, also when the configuration changes. The counts are those " +
				"of all shards.",
			repeat: true, read: readLeastConn,
		},
		{
			Name: "ip_hash", Contexts: CtxUpstream,
			Doc:       "Chooses by the client's address: the first three octets of IPv4, all of IPv6.",
			Deviation: "The choices are those of nginx. An IPv4 client of an IPv6 listener counts as what it is.",
			repeat:    true, read: readIPHash,
		},
		{
			Name: "hash", Contexts: both, Args: "key [consistent]",
			Doc:       "Chooses by a key with variables. With consistent, few keys move when a server comes or goes.",
			Deviation: "The choices are those of nginx, on every instance. With consistent the weights may add up to 131,072.",
			min:       1, max: 2, repeat: true, read: readHash,
		},
		{
			Name: "random", Contexts: both, Args: "[two [method]]",
			Doc: "Chooses any server; with two, the better of two by least_conn or least_time=header | last_byte; in stream " +
				"least_time=connect.",
			Deviation: "least_time is in the commercial nginx only; see least_time.",
			max:       2, repeat: true, read: readRandom,
		},
		{
			Name: "least_time", Contexts: both, Args: "header | last_byte | connect [inflight]",
			Doc: "Chooses the server with the lowest product of its average time and its requests in progress for its weight.",
			Deviation: "In the commercial nginx only, which does not tell its formula; docs/balancing.md has ours. " +
				"In stream it is connect, in http the others; first_byte is refused.",
			min: 1, max: 2, repeat: true, read: readLeastTime,
		},
		{
			Name: "zone", Contexts: both, Args: "name [size]",
			Doc:       "Names the memory that nginx's processes share an upstream's state in.",
			Deviation: "Changes nothing: the shards share the state of every upstream.",
			min:       1, max: 2, repeat: true, read: readZone,
		},
	}
}
