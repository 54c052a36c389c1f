package config

import crossplane "github.com/nginxinc/nginx-go-crossplane"

// Hints of refused directives that have something better to say than "later".
const (
	hintLater   = "it is not in this version; remove it"
	hintStream  = "holdfast proxies HTTP, WebSockets and plain streams only"
	hintAccess  = "use auth_basic or auth_request"
	hintHeaders = "let the upstream set cookies"
)

// refusedDirectives are the directives of nginx that would change what a request
// does, so that going on without them would be wrong.
func refusedDirectives() []Directive {
	return rows(Refused, []group{
		{CtxMain, hintLater, `google_perftools_profiles`},
		{CtxMain, hintStream, `mail`},
		{CtxStream | CtxStreamServer, "write proxy_pass to the address of the other server", `pass`},
		{CtxStream | CtxStreamServer, "it is about datagrams, which are not supported; remove it", `
			proxy_requests proxy_responses`},
		{CtxStream | CtxStreamServer, hintLater, `proxy_ssl_alpn`},
		{ctxAll, "files are only read, and sent as they are; remove it", `dav_access dav_methods flv mp4
			random_index`},
		{ctxAll, "write all add_header of a level in it; a level with any inherits none", `add_header_inherit
			add_trailer_inherit`},
		{ctxAll, "write the charset into types and default_type, as in \"text/html; charset=utf-8\"", `charset
			charset_map charset_types override_charset source_charset`},
		{ctxAll, hintHeaders, `userid userid_domain userid_expires userid_name userid_path`},
		{ctxAll, hintAccess, `auth_delay auth_jwt`},
		{ctxAll, "use geo with the networks, or a field that the network before holdfast adds", `
			geoip_city geoip_country geoip_org geoip_proxy geoip_proxy_recursive`},
		{ctxAll, hintLater, `addition_types add_after_body add_before_body
			gunzip gunzip_buffers post_action slice ssi sub_filter sub_filter_once
			sub_filter_types`},
		{ctxAll, "use admin in the main context, and its /metrics and /status", `status_zone`},
		{ctxAll, hintLater, `proxy_allow_upstream proxy_cache_purge
			proxy_request_dynamic proxy_store_access`},
		{ctxAll, "ranges of a response are the upstream's to answer; remove it", `proxy_force_ranges`},
		{ctxAll, "use proxy_pass to a server that speaks HTTP", `fastcgi_param fastcgi_pass grpc_pass
			memcached_pass scgi_param scgi_pass uwsgi_param uwsgi_pass`},
		{CtxUpstream, "requests do not wait for a server; remove it, and write a larger max_conns", `queue`},
		{CtxUpstream, "connections to an upstream are not bound to clients; remove it", `ntlm`},
		{CtxUpstream, "write: sticky cookie NAME;", `sticky_cookie_insert`},
		{CtxUpstream | CtxStreamUpstream, hintLater, `state`},
		{sslPlaces, "write ssl behind the address in listen: listen 443 ssl;", `ssl`},
		{sslPlaces | proxySSLPlaces, "secrets are not written down; remove it", `proxy_ssl_key_log ssl_key_log`},
		{sslPlaces, "clients get HTTP/1.1, and stream takes what they ask for; remove it", `ssl_alpn`},
	})
}

// knownElsewhere says whether a word without a row is a directive of nginx or of
// one of its better-known modules.
func knownElsewhere(name string) bool {
	_, known := crossplane.DefaultDirectivesMatchFunc(name)
	return known
}
