package config

import "slices"

// limitDirectives are the rows about limits for each key, and about rates.
func limitDirectives() []Directive {
	return slices.Concat(limitConnDirectives(), limitReqDirectives(), limitRateDirectives())
}

func limitConnDirectives() []Directive {
	const everywhere = ctxAll | ctxStreams
	return []Directive{
		{
			Name: "limit_conn_zone", Contexts: CtxHTTP | CtxStream, Args: "key zone=name:size",
			Doc: "Names a table that counts connections for each value of the key. An empty value is not counted.",
			Deviation: "Names of zones are unique over http and stream. Where a table is full, connections with a new key " +
				"are refused, as in nginx.",
			min: 2, max: 2, repeat: true, read: readLimitConnZone,
		},
		{
			Name: "limit_conn", Contexts: everywhere, Args: "zone number",
			Doc:       "How many connections a value of the zone's key may have. A level with any inherits none from outside.",
			Deviation: "A tunnel counts for as long as it lives. Several limits are checked in the order written.",
			min:       2, max: 2, repeat: true, read: readLimitConn,
		},
		{
			Name: "limit_conn_status", Contexts: ctxAll, Args: "code", Default: "503",
			Doc: "The status for requests that limit_conn refuses.",
			min: 1, max: 1, read: limitStatus(func(s *LimitSettings) *int { return &s.ConnStatus }),
		},
		{
			Name: "limit_conn_log_level", Contexts: everywhere, Args: "info | notice | warn | error", Default: "error",
			Doc: "The level of the error log's line about a connection that limit_conn refuses.",
			min: 1, max: 1, read: limitLogLevel(func(s *LimitSettings) *LogLevel { return &s.ConnLogLevel }),
		},
		{
			Name: "limit_conn_dry_run", Contexts: everywhere, Args: "on | off", Default: "off",
			Doc: "Logs what limit_conn would refuse, and refuses nothing.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Limits.ConnDryRun }),
		},
	}
}

func limitReqDirectives() []Directive {
	return []Directive{
		{
			Name: "limit_req_zone", Contexts: CtxHTTP, Args: "key zone=name:size rate=rate [sync]",
			Doc: "Names a table of the rates of requests for each value of the key, and the rate they may have: 10r/s or " +
				"30r/m. An empty value is not limited.",
			Deviation: "Names of zones are unique over http and stream. Of a large full table a part, a 64th at least, " +
				"gives up the keys that were silent the longest. sync has no effect. A reload may change the key: the " +
				"table is empty then.",
			min: 3, max: 4, repeat: true, read: readLimitReqZone,
		},
		{
			Name: "limit_req", Contexts: ctxAll, Args: "zone=name [burst=number] [nodelay | delay=number]",
			Doc: "Delays requests that come faster than the rate of the zone, and refuses what is more than the burst " +
				"above it. A level with any inherits none from outside. Tunnels are limited when they begin.",
			min: 1, max: 3, repeat: true, read: readLimitReq,
		},
		{
			Name: "limit_req_status", Contexts: ctxAll, Args: "code", Default: "503",
			Doc: "The status for requests that limit_req refuses.",
			min: 1, max: 1, read: limitStatus(func(s *LimitSettings) *int { return &s.ReqStatus }),
		},
		{
			Name: "limit_req_log_level", Contexts: ctxAll, Args: "info | notice | warn | error", Default: "error",
			Doc: "The level of the error log's line about a request that limit_req refuses; for one that it delays the " +
				"next lower one.",
			min: 1, max: 1, read: limitLogLevel(func(s *LimitSettings) *LogLevel { return &s.ReqLogLevel }),
		},
		{
			Name: "limit_req_dry_run", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Counts, and logs what limit_req would delay or refuse, and does neither.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Limits.ReqDryRun }),
		},
	}
}

func limitRateDirectives() []Directive {
	return []Directive{
		{
			Name: "limit_rate", Contexts: ctxAll, Args: "rate", Default: "0",
			Doc: "How many bytes of an answer go to the client in a second; 0 means no limit. The first second's worth " +
				"goes at once. May have variables. Tunnels are not limited.",
			min: 1, max: 1, read: rate(func(s *Settings) *Text { return &s.Limits.Rate }),
		},
		{
			Name: "limit_rate_after", Contexts: ctxAll, Args: "size", Default: "0",
			Doc: "How much of an answer goes to the client before limit_rate holds. May have variables.",
			min: 1, max: 1, read: rate(func(s *Settings) *Text { return &s.Limits.RateAfter }),
		},
		{
			Name: "proxy_limit_rate", Contexts: ctxAll, Args: "rate", Default: "0",
			Doc: "How many bytes of a response are read from the upstream in a second, where proxy_buffering is on; 0 " +
				"means no limit. May have variables. Tunnels are not limited.",
			min: 1, max: 1, read: rate(func(s *Settings) *Text { return &s.Limits.ProxyRate }),
		},
	}
}
