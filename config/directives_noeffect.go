package config

import "strings"

// group is a set of directives that are treated alike for the same reason.
type group struct {
	contexts Context
	// reason is the Doc of every row.
	reason string
	// names are separated by blanks.
	names string
}

// rows turns groups into rows that check nothing but the place.
func rows(support Support, groups []group) []Directive {
	var all []Directive
	for _, g := range groups {
		for _, name := range strings.Fields(g.names) {
			all = append(all, Directive{
				Name: name, Contexts: g.contexts, Args: "...", Doc: g.reason, Support: support,
				max: -1, form: anyShape, repeat: true,
			})
		}
	}
	return all
}

// noEffectDirectives are the directives of nginx that cannot change what a request
// does here, so that a warning is enough.
func noEffectDirectives() []Directive {
	all := rows(NoEffect, []group{
		{CtxMain, "there are no modules to load; what holdfast has is built in", `load_module`},
		{CtxMain, "the kernel and the Go runtime place the threads", `worker_cpu_affinity worker_priority`},
		{CtxMain | CtxEvents, "there is nothing of this kind to set", `debug_points env lock_file pcre_jit
			ssl_engine ssl_object_cache_inheritable thread_pool timer_resolution worker_aio_requests
			worker_rlimit_core working_directory`},
		{CtxEvents, "every shard has its own listening sockets and its own epoll", `accept_mutex
			accept_mutex_delay multi_accept use`},
		{CtxEvents, "there is no debug log of single connections", `debug_connection`},
		{ctxAll, "files are read through the page cache, by sendfile or in small pieces", `aio aio_write directio
			directio_alignment output_buffers read_ahead sendfile_max_chunk`},
		{ctxAll, "nothing about files is remembered: each request opens its own", `open_file_cache
			open_file_cache_errors open_file_cache_events open_file_cache_min_uses open_file_cache_valid`},
		{ctxAll, "folders are not listed", `autoindex_exact_size autoindex_format autoindex_localtime`},
		{ctxAll, "files are sent as they are, without looking for a compressed one beside them", `gzip_static`},
		{ctxAll, "what is ready is written at once", `postpone_output send_lowat tcp_nopush`},
		{ctxAll, "responses pass as the upstream encoded them", `gzip gzip_buffers gzip_comp_level gzip_disable
			gzip_hash gzip_http_version gzip_min_length gzip_no_buffer gzip_proxied gzip_types gzip_vary
			gzip_window postpone_gzipping`},
		{ctxAll, "clients are answered in HTTP/1.1", `http2 http2_body_preread_size http2_chunk_size
			http2_idle_timeout http2_max_concurrent_pushes http2_max_concurrent_streams http2_max_field_size
			http2_max_header_size http2_max_requests http2_push http2_push_preload http2_recv_buffer_size
			http2_recv_timeout http3 http3_hq http3_max_concurrent_streams http3_max_table_capacity
			http3_stream_buffer_size quic_active_connection_id_limit quic_bpf quic_gso quic_host_key quic_retry`},
		{CtxHTTP | CtxServer | CtxLocation, "tables size themselves", `map_hash_bucket_size map_hash_max_size
			proxy_headers_hash_bucket_size proxy_headers_hash_max_size server_names_hash_bucket_size
			server_names_hash_max_size types_hash_bucket_size types_hash_max_size variables_hash_bucket_size
			variables_hash_max_size`},
		{ctxAll, noDisk, `client_body_in_file_only client_body_temp_path proxy_temp_file_write_size
			fastcgi_temp_path proxy_temp_path scgi_temp_path uwsgi_temp_path`},
		{ctxAll, "a response head may have 64 KiB, whatever is written", `proxy_buffer_size`},
		{ctxAll, "what is read is written on at once", `client_body_in_single_buffer proxy_busy_buffers_size
			proxy_send_lowat subrequest_output_buffer_size`},
		{ctxAll, "memory is managed differently", `connection_pool_size request_pool_size`},
		{ctxAll, "it is about browsers that are gone", `ancient_browser ancient_browser_value keepalive_disable
			modern_browser modern_browser_value msie_padding msie_refresh`},
		{ctxAll, "log files stay open, and their paths have no variables", `open_log_file_cache`},
		{ctxAll, "only requests of clients are logged", `log_subrequest`},
		{ctxAll, "nothing is cached", `proxy_cache_background_update proxy_cache_bypass proxy_cache_convert_head
			proxy_cache_key proxy_cache_lock proxy_cache_lock_age proxy_cache_lock_timeout
			proxy_cache_max_range_offset proxy_cache_methods proxy_cache_min_uses proxy_cache_path
			proxy_cache_revalidate proxy_cache_use_stale proxy_cache_valid proxy_no_cache`},
		{proxySSLPlaces, "certificates are kept until their files change", `proxy_ssl_certificate_cache`},
		{sslPlaces, "certificates are kept until their files change", `ssl_certificate_cache`},
		{sslPlaces, "certificates are sent as they are", `ssl_certificate_compression`},
		{sslPlaces, "responses are not fetched from the authority", `ssl_stapling_responder ssl_stapling_verify`},
		{sslPlaces, "authorities are not asked about clients", `ssl_ocsp_cache ssl_ocsp_responder`},
	})
	const nothing = "Accepted; nothing is cached or stored."
	const hint = "nothing is cached or stored: write off, or leave it out"
	return append(all, offDirective("proxy_cache", nothing, hint), offDirective("proxy_store", nothing, hint))
}

// offDirective is the row of a directive that is accepted only to say off.
func offDirective(name, doc, hint string) Directive {
	return Directive{
		Name: name, Contexts: ctxAll, Args: "off", Default: "off", min: 1, max: -1,
		Doc: doc, Deviation: "Anything but off is refused.",
		read: func(l *level, n *node) {
			if !strings.EqualFold(n.args[0], "off") || len(n.args) > 1 {
				l.refused = true
				l.add(Error, n.Position, hint, "%q is not supported", n.name)
			}
		},
	}
}
