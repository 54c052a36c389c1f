package config

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the directive reference")

const referencePage = "../docs/directives.md"

// TestReferenceIsCurrent compares the page with the table; -update writes it.
func TestReferenceIsCurrent(t *testing.T) {
	var page bytes.Buffer
	if err := WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(referencePage, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), page.String()); diff != "" {
		t.Errorf("%s is stale, run: go generate ./config (-page +table):\n%s", referencePage, diff)
	}
}

// TestTableIsSound checks what every row must have.
func TestTableIsSound(t *testing.T) {
	meanings := map[string]Context{}
	for _, d := range Directives() {
		if meanings[d.Name]&d.Contexts != 0 {
			t.Errorf("%s has two rows in %s", d.Name, meanings[d.Name]&d.Contexts)
		}
		meanings[d.Name] |= d.Contexts
		if d.Doc == "" || d.Contexts == 0 || strings.Contains(d.Doc, "\n") {
			t.Errorf("%s: doc %q, contexts %q", d.Name, d.Doc, d.Contexts)
		}
		if (d.read == nil) && d.Support == Supported || d.read != nil && d.Support == Refused {
			t.Errorf("%s is %s and has a read function: %v", d.Name, d.Support, d.read != nil)
		}
		if d.form == onOffOnly && (d.min != 1 || d.max != 1) {
			t.Errorf("%s is a flag with %d to %d arguments", d.Name, d.min, d.max)
		}
		if d.max >= 0 && d.min > d.max {
			t.Errorf("%s takes %d to %d arguments", d.Name, d.min, d.max)
		}
	}
}

// TestKnowsNginx checks that every directive of nginx's own test suite has a row:
// supported, without effect, or refused with something to do instead.
func TestKnowsNginx(t *testing.T) {
	index := newDirectiveIndex()
	for _, name := range strings.Fields(nginxDirectives) {
		if index[name] == nil {
			t.Errorf("no row for %s", name)
		}
	}
}

// nginxDirectives are the names used in the configurations of nginx's test suite.
const nginxDirectives = `
absolute_redirect access_log add_header add_trailer alias allow auth_basic auth_basic_user_file
auth_delay auth_request auth_request_set break chunked_transfer_encoding client_body_buffer_size
client_body_in_file_only client_body_in_single_buffer client_body_temp_path
client_header_buffer_size client_max_body_size connection_pool_size debug_connection deny
disable_symlinks early_hints empty_gif error_log error_page events expires geo hash http if
if_modified_since ignore_invalid_headers include index internal ip_hash keepalive keepalive_disable
keepalive_requests keepalive_time keepalive_timeout large_client_header_buffers least_conn
least_time limit_conn limit_conn_dry_run limit_conn_log_level limit_conn_status limit_conn_zone
limit_except limit_rate limit_rate_after limit_req limit_req_dry_run limit_req_log_level
limit_req_status limit_req_zone listen location log_format log_not_found log_subrequest map
max_headers merge_slashes mirror mirror_request_body open_file_cache open_file_cache_errors
open_file_cache_min_uses open_file_cache_valid open_log_file_cache pass pid port_in_redirect
post_action preread_buffer_size preread_timeout proxy_bind proxy_buffer_size proxy_buffering
proxy_buffers proxy_connect_timeout proxy_cookie_domain proxy_cookie_flags proxy_cookie_path
proxy_download_rate proxy_half_close proxy_hide_header proxy_http_version proxy_intercept_errors
proxy_limit_rate proxy_max_temp_file_size proxy_method proxy_next_upstream
proxy_next_upstream_timeout proxy_next_upstream_tries proxy_pass proxy_pass_header
proxy_pass_request_body proxy_pass_request_headers proxy_pass_trailers proxy_protocol
proxy_read_timeout proxy_redirect proxy_request_buffering proxy_set_body proxy_set_header proxy_ssl
proxy_ssl_alpn proxy_ssl_certificate proxy_ssl_certificate_cache proxy_ssl_certificate_key
proxy_ssl_conf_command proxy_ssl_crl proxy_ssl_name proxy_ssl_password_file proxy_ssl_server_name
proxy_ssl_session_reuse proxy_ssl_trusted_certificate proxy_ssl_verify proxy_ssl_verify_depth
proxy_temp_path proxy_timeout proxy_upload_rate random random_index real_ip_header
real_ip_recursive resolver resolver_timeout return rewrite root satisfy secure_link secure_link_md5
secure_link_secret send_timeout server server_name server_name_in_redirect
server_names_hash_bucket_size server_tokens set set_real_ip_from split_clients ssl_alpn
ssl_certificate ssl_certificate_cache ssl_certificate_compression ssl_certificate_key ssl_ciphers
ssl_client_certificate ssl_conf_command ssl_crl ssl_ecdh_curve ssl_object_cache_inheritable
ssl_ocsp ssl_ocsp_cache ssl_ocsp_responder ssl_password_file ssl_prefer_server_ciphers ssl_preread
ssl_protocols ssl_reject_handshake ssl_session_cache ssl_session_ticket_key ssl_session_tickets
ssl_session_timeout ssl_stapling ssl_stapling_file ssl_stapling_responder ssl_stapling_verify
ssl_trusted_certificate ssl_verify_client ssl_verify_depth sticky stream stub_status tcp_nodelay
try_files tunnel_connect_timeout tunnel_next_upstream tunnel_next_upstream_timeout
tunnel_next_upstream_tries tunnel_pass tunnel_read_timeout underscores_in_headers upstream
valid_referers worker_processes worker_shutdown_timeout zone
`
