package config

import crossplane "github.com/nginxinc/nginx-go-crossplane"

// Hints of refused directives that have something better to say than "later".
const (
	hintLater   = "it is not in this version; remove it"
	hintTLS     = "TLS is not in this version: let a terminator in front of holdfast do it"
	hintBalance = "this version balances by weighted round robin only; remove it"
	hintStream  = "holdfast proxies HTTP and WebSockets only"
	hintRewrite = "use location, map and return"
	hintAccess  = "access control is not in this version: do it in front of holdfast or behind it"
	hintHeaders = "let the upstream set cookies"
)

// refusedDirectives are the directives of nginx that would change what a request
// does, so that going on without them would be wrong.
func refusedDirectives() []Directive {
	return rows(Refused, []group{
		{CtxMain, "there are no modules to load; remove it", `load_module`},
		{CtxMain, hintLater, `worker_shutdown_timeout google_perftools_profiles`},
		{CtxMain, hintStream, `mail stream`},
		{CtxStream, hintStream, `pass preread_buffer_size preread_timeout proxy_download_rate proxy_half_close
			proxy_protocol proxy_protocol_timeout proxy_requests proxy_responses proxy_ssl proxy_ssl_alpn
			proxy_timeout proxy_upload_rate ssl_preread`},
		{CtxServer | CtxLocation | CtxIf, hintRewrite, `break if rewrite set`},
		{ctxAll, "files are only read, and sent as they are; remove it", `dav_access dav_methods empty_gif flv mp4
			random_index`},
		{ctxAll, "write all add_header of a level in it; a level with any inherits none", `add_header_inherit`},
		{ctxAll, "trailers come from the upstream only, with proxy_pass_trailers; remove it", `add_trailer
			add_trailer_inherit`},
		{ctxAll, "write the charset into types and default_type, as in \"text/html; charset=utf-8\"", `charset
			charset_map charset_types override_charset source_charset`},
		{ctxAll, hintHeaders, `userid userid_domain userid_expires userid_name userid_path`},
		{ctxAll, hintAccess, `allow auth_basic auth_basic_user_file auth_delay auth_jwt auth_request
			auth_request_set deny limit_except satisfy secure_link secure_link_md5 secure_link_secret
			valid_referers`},
		{ctxAll, "limits per key are not in this version: set them in front of holdfast", `limit_conn
			limit_conn_dry_run limit_conn_log_level limit_conn_status limit_conn_zone limit_rate
			limit_rate_after limit_req limit_req_dry_run limit_req_log_level limit_req_status limit_req_zone`},
		{ctxAll, "the client's address is that of the connection in this version; remove it", `real_ip_header
			real_ip_recursive set_real_ip_from`},
		{ctxAll, "redirects are absolute, with the Host of the request and the port; remove it", `absolute_redirect
			port_in_redirect server_name_in_redirect`},
		{ctxAll, "use map", `geo geoip_city geoip_country geoip_org geoip_proxy geoip_proxy_recursive
			split_clients`},
		{ctxAll, hintLater, `addition_types add_after_body add_before_body chunked_transfer_encoding
			gunzip gunzip_buffers mirror mirror_request_body post_action slice ssi sub_filter sub_filter_once
			sub_filter_types`},
		{ctxAll, "use admin in the main context, and its /metrics and /status", `status_zone stub_status`},
		{ctxAll, hintLater, `proxy_allow_upstream proxy_bind proxy_cache_purge proxy_cookie_domain
			proxy_cookie_flags proxy_cookie_path proxy_force_ranges proxy_ignore_client_abort proxy_limit_rate
			proxy_method proxy_pass_request_body proxy_pass_request_headers
			proxy_request_dynamic proxy_set_body proxy_store_access`},
		{ctxAll, "forward proxying by CONNECT is not supported; a WebSocket needs only proxy_pass", `
			tunnel_connect_timeout tunnel_next_upstream tunnel_next_upstream_timeout tunnel_next_upstream_tries
			tunnel_pass tunnel_read_timeout`},
		{ctxAll, "use proxy_pass to a server that speaks HTTP", `fastcgi_param fastcgi_pass grpc_pass
			memcached_pass scgi_param scgi_pass uwsgi_param uwsgi_pass`},
		{CtxUpstream, hintBalance, `hash ip_hash least_conn least_time ntlm queue random sticky
			sticky_cookie_insert`},
		{CtxUpstream, hintLater, `health_check match state`},
		{CtxHTTP | CtxServer, hintTLS, `ssl ssl_alpn ssl_certificate ssl_certificate_cache
			ssl_certificate_compression ssl_certificate_key ssl_client_certificate ssl_conf_command ssl_crl
			ssl_handshake_timeout ssl_key_log ssl_ocsp ssl_ocsp_cache ssl_ocsp_responder ssl_password_file
			ssl_reject_handshake ssl_stapling ssl_stapling_file ssl_stapling_responder ssl_stapling_verify
			ssl_trusted_certificate ssl_verify_client ssl_verify_depth`},
	})
}

// knownElsewhere says whether a word without a row is a directive of nginx or of
// one of its better-known modules.
func knownElsewhere(name string) bool {
	_, known := crossplane.DefaultDirectivesMatchFunc(name)
	return known
}
