package config

// proxyHeadDirectives are the rows of what an upstream is sent and of what comes back of its
// response's head.
func proxyHeadDirectives() []Directive {
	return []Directive{
		{
			Name: "proxy_redirect", Contexts: ctxAll, Args: "default | off | redirect replacement", Default: "default",
			Doc: "What is replaced at the beginning of a URL in Location and Refresh; redirect may be a ~regex or " +
				"~*regex. The first that fits is used. default is the proxy_pass URL and the location's prefix.",
			min: 1, max: 2, repeat: true, read: readRedirect,
		},
		{
			Name: "proxy_cookie_domain", Contexts: ctxAll, Args: "off | domain replacement", Default: "off",
			Doc: "What replaces the Domain of the upstream's cookies; domain may be a ~regex.",
			min: 1, max: 2, repeat: true, read: readCookieDomain,
		},
		{
			Name: "proxy_cookie_path", Contexts: ctxAll, Args: "off | path replacement", Default: "off",
			Doc: "What replaces the beginning of the Path of the upstream's cookies; path may be a ~regex or ~*regex.",
			min: 1, max: 2, repeat: true, read: readCookiePath,
		},
		{
			Name: "proxy_cookie_flags", Contexts: ctxAll, Args: "off | cookie [flag ...]", Default: "off",
			Doc: "Flags that are added to or taken off the upstream's cookies of a name, which may be a ~regex: secure, " +
				"httponly, samesite=strict|lax|none, nosecure, nohttponly, nosamesite.",
			Deviation: "A flag without variables that is none of these is refused; nginx says so when a cookie comes.",
			min:       1, max: -1, repeat: true, read: readCookieFlags,
		},
		{
			Name: "proxy_ignore_headers", Contexts: ctxAll, Args: "field ...",
			Doc:       "Fields of the response that are not obeyed: X-Accel-Redirect, X-Accel-Limit-Rate, X-Accel-Buffering.",
			Deviation: "The others that nginx knows are accepted. They are about caching, and X-Accel-Charset; none is obeyed.",
			min:       1, max: -1, repeat: true, read: readIgnoreHeaders,
		},
		{
			Name: "proxy_method", Contexts: ctxAll, Args: "method",
			Doc: "The method that the upstream sees.",
			Deviation: "An upgrade keeps its GET, and so does a request whose variables give no method. A GET whose upstream " +
				"was asked for a HEAD has an empty body.",
			min: 1, max: 1, read: readMethod,
		},
		{
			Name: "proxy_set_body", Contexts: ctxAll, Args: "value",
			Doc: "The body that the upstream gets in the place of the client's, which is read and dropped.",
			min: 1, max: 1, read: readSetBody,
		},
		{
			Name: "proxy_pass_request_body", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc:       "Whether the upstream gets the client's body.",
			Deviation: "With off the request has no Content-Length, so that the upstream does not wait for one.",
			min:       1, max: 1, form: onOffOnly, read: readPassBody,
		},
		{
			Name: "proxy_pass_request_headers", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc:       "Whether the upstream gets the client's fields.",
			Deviation: "Those of a WebSocket handshake go on.",
			min:       1, max: 1, form: onOffOnly, read: readPassFields,
		},
		{
			Name: "proxy_bind", Contexts: ctxAll, Args: "address ... [transparent] | off", Default: "off",
			Doc: "The local address of connections to the upstream, perhaps with a port.",
			Deviation: "Several addresses multiply the ports at hand: each new connection takes the next one of the server's " +
				"family. Kept connections serve requests with the same proxy_bind only, and none where it has variables. " +
				"transparent takes CAP_NET_RAW in the running process, which user does not keep.",
			min: 1, max: -1, read: readProxyBind,
		},
		{
			Name: "proxy_ignore_client_abort", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Whether a request goes on when its client closes the connection before the response begins.",
			min: 1, max: 1, form: onOffOnly,
			read: onOff(func(s *Settings) *bool { return &s.Proxy.Heads.IgnoreClientAbort }),
		},
	}
}
