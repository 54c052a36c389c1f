package e2e_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

// sameVariables have the same values here and in nginx 1.22, but for ports and process ids.
var sameVariables = strings.Fields(`arg_a arg_none args body_bytes_sent connection_requests content_length content_type
	cookie_c cookie_none document_root document_uri host hostname http_host http_upgrade http_x_one http_none https
	is_args limit_rate nginx_version_off pipe proxy_add_x_forwarded_for proxy_host proxy_port proxy_protocol_addr
	proxy_protocol_port proxy_protocol_server_addr proxy_protocol_server_port query_string realip_remote_addr
	realip_remote_port realpath_root remote_addr remote_port remote_user request request_body request_body_file
	request_completion request_filename request_length request_method request_uri scheme sent_http_content_type
	sent_http_x_up sent_http_none sent_trailer_none server_addr server_name server_port server_protocol ssl_cipher
	ssl_ciphers ssl_client_cert ssl_client_escaped_cert ssl_client_fingerprint ssl_client_i_dn
	ssl_client_i_dn_legacy ssl_client_raw_cert ssl_client_s_dn ssl_client_s_dn_legacy ssl_client_serial
	ssl_client_v_end ssl_client_v_remain ssl_client_v_start ssl_client_verify ssl_curve ssl_curves ssl_early_data
	ssl_protocol ssl_server_name ssl_session_id ssl_session_reused status upstream_addr upstream_bytes_received
	upstream_cache_status upstream_cookie_s upstream_cookie_none upstream_http_x_up upstream_http_none
	upstream_response_length upstream_status upstream_trailer_none uri binary_remote_addr
	limit_conn_status limit_req_status invalid_referer http_via`)

// formVariables have values of their own; what they look like is the same.
var formVariables = map[string]string{
	"bytes_sent": `\d+`, "connection": `\d+`, "connection_time": `\d+\.\d{3}`, "connections_active": `\d+`,
	"connections_reading": `\d+`, "connections_waiting": `\d+`, "connections_writing": `\d+`, "msec": `\d{10}\.\d{3}`, "pid": `\d+`,
	"nginx_version": `\S+`, "request_id": `[0-9a-f]{32}`, "request_time": `\d+\.\d{3}`, "tcpinfo_rcv_space": `\d+`,
	"tcpinfo_rtt": `\d+`, "tcpinfo_rttvar": `\d+`, "tcpinfo_snd_cwnd": `\d+`,
	"time_iso8601":          `20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d`,
	"time_local":            `\d\d/[A-Z][a-z]{2}/20\d\d:\d\d:\d\d:\d\d [+-]\d{4}`,
	"upstream_connect_time": `\d+\.\d{3}`, "upstream_header_time": `\d+\.\d{3}`, "upstream_response_time": `\d+\.\d{3}`,
	"upstream_bytes_sent": `\d+`, "sent_http_server": `\S+`, "sent_http_connection": `\S+`,
}

// newerVariables are unknown to nginx 1.22; the value is what its documentation says.
var newerVariables = map[string]string{
	"is_request_port": "", "request_port": "-", "ssl_alpn_protocol": "-", "proxy_protocol_tlv_alpn": "-", "ssl_sigalg": "-",
	"ssl_client_sigalg": "-", "tunnel_reason": "-", "tunnel_bytes_up": "-",
}

// Every variable that a log format may have, rendered by nginx and here for the same request.
func TestLogVariablesAsNginx(t *testing.T) {
	b := proc.NewBackend(t, proc.Answer(200, "hello", "X-Up: one", "Set-Cookie: s=cook; path=/", "Content-Type: text/x"))
	format := func(names []string) string {
		var text strings.Builder
		for _, name := range names {
			if name == "nginx_version_off" {
				continue
			}
			fmt.Fprintf(&text, "%s=$%s|", name, name)
		}
		return text.String()
	}
	var forms []string
	for name := range formVariables {
		forms = append(forms, name)
	}
	var newer []string
	for name := range newerVariables {
		newer = append(newer, name)
	}
	const server = `
    server { listen 127.0.0.1:{{port:front}}; server_name test.example;
        access_log logs/same.log same; access_log logs/forms.log forms; {{newer}}
        valid_referers none test.example; limit_conn c 9; limit_req zone=r burst=5;
        location / { root {{dir}}/logs; proxy_pass http://{{backend}}; proxy_http_version 1.1; } }`
	lines := map[proc.Kind]map[string]string{}
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		t.Run(string(kind), func(t *testing.T) {
			only(t, kind)
			v := vars("backend", b.Addr, "newer", "")
			http := "log_format same '" + format(sameVariables) + "';\nlog_format forms '" + format(forms) + "';\n" +
				"limit_conn_zone $server_name zone=c:1m; limit_req_zone $server_name zone=r:1m rate=100r/s;\n"
			if kind == proc.Holdfast {
				http += "log_format newer '" + format(newer) + "';\n"
				v["newer"] = "access_log logs/newer.log newer;"
			}
			p := proc.Start(t, kind, proc.Spec{HTTP: http + server, Vars: v})
			c := proc.Dial(t, p.Front())
			_, from, _ := net.SplitHostPort(c.Conn().LocalAddr().String())
			c.Send("POST /x/%41?a=1&b HTTP/1.1\r\nHost: test.example\r\nX-One: a\"b\r\nCookie: c=d; e=f\r\nUpgrade: none\r\n" +
				"X-Forwarded-For: 192.0.2.1\r\nContent-Type: text/y\r\nContent-Length: 4\r\nReferer: http://a/\r\n\r\nbody")
			c.Body(c.Response(200))
			c.Close()
			same := logged(t, p, "same.log", 1)[0]
			_, up, _ := net.SplitHostPort(b.Addr)
			own := map[string]string{}
			for _, pair := range strings.Split(strings.TrimSuffix(same, "|"), "|") {
				name, value, _ := strings.Cut(pair, "=")
				value = strings.NewReplacer(from, "FROM", p.Port("front"), "PORT", up, "UP", p.Dir, "DIR").Replace(value)
				own[name] = value
			}
			lines[kind] = own
			for _, pair := range strings.Split(strings.TrimSuffix(logged(t, p, "forms.log", 1)[0], "|"), "|") {
				name, value, _ := strings.Cut(pair, "=")
				if want := formVariables[name]; !regexp.MustCompile("^" + want + "$").MatchString(value) {
					t.Errorf("$%s is %q, want %s", name, value, want)
				}
			}
			if kind == proc.Nginx {
				return
			}
			for _, pair := range strings.Split(strings.TrimSuffix(logged(t, p, "newer.log", 1)[0], "|"), "|") {
				if name, value, _ := strings.Cut(pair, "="); value != newerVariables[name] {
					t.Errorf("$%s is %q, want %q", name, value, newerVariables[name])
				}
			}
		})
	}
	if len(lines) == 2 {
		for name, want := range lines[proc.Nginx] {
			equal(t, "$"+name, lines[proc.Holdfast][name], want)
		}
	}
}

// The lists of tries: ", " between peers, " : " where an internal redirect led to another
// upstream.
func TestUpstreamListsAsNginx(t *testing.T) {
	good := proc.NewBackend(t, proc.Answer(200, "good"))
	bad := proc.NewBackend(t, proc.Answer(503, "bad!!"))
	const http = `
    log_format l '$request_uri $status addr=$upstream_addr status=$upstream_status length=$upstream_response_length '
                 'received=$upstream_bytes_received times=$upstream_connect_time;$upstream_header_time;$upstream_response_time';
    upstream two { server {{refuses}} max_fails=0; server {{good}} max_fails=0; }
    upstream none { server {{refuses}} max_fails=0; server {{other}} max_fails=0; }
    upstream down { server {{refuses}} max_fails=1 fail_timeout=99s; server {{other}} down; }
    server { listen 127.0.0.1:{{port:front}}; access_log logs/l.log l; proxy_connect_timeout 20s;
        location /two { proxy_pass http://two; }
        location /none { proxy_pass http://none; }
        location /down { proxy_pass http://down; }
        location /bad { proxy_pass http://{{bad}}; proxy_intercept_errors on; error_page 503 = @good; }
        location /gone { proxy_pass http://{{refuses}}; error_page 502 = /two; }
        location /own { return 200 x; }
        location @good { proxy_pass http://{{good}}; } }`
	v := vars("good", good.Addr, "bad", bad.Addr, "refuses", port.Address(t), "other", port.Address(t))
	lines := map[proc.Kind][]string{}
	numbers := regexp.MustCompile(`\d+\.\d{3}`)
	both(t, proc.Spec{HTTP: http, Vars: v, Workers: 1}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, path := range []string{"/two", "/two", "/none", "/down", "/down", "/bad", "/gone", "/gone", "/own"} {
			c.Send(get(path))
			h := c.Head()
			c.Body(h)
		}
		c.Close()
		for _, line := range logged(t, p, "l.log", 9) {
			lines[p.Kind] = append(lines[p.Kind], numbers.ReplaceAllString(line, "T"))
		}
	})
	if len(lines) == 2 {
		for i, want := range lines[proc.Nginx] {
			equal(t, "line", lines[proc.Holdfast][i], want)
		}
	}
}

// Trailer fields that pass are in $upstream_trailer_ and $sent_trailer_; a body that is
// streamed is in no $request_body.
func TestTrailerAndBodyVariables(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		if x.Head.ContentLength() > 0 {
			x.Body(x.Head)
		}
		x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 12\r\nX-Sum: 13\r\n\r\n")
		x.Keep = true
	})
	p := holdfast(t, proc.Spec{Vars: vars("backend", b.Addr), HTTP: `
    log_format l '$uri|$upstream_trailer_x_sum|$sent_trailer_x_sum|$sent_trailer_none|$request_body|$request_body_file';
    server { listen 127.0.0.1:{{port:front}}; access_log logs/l.log l; proxy_http_version 1.1; client_body_buffer_size 8;
        location /pass { proxy_pass_trailers on; proxy_pass http://{{backend}}; }
        location /drop { proxy_pass http://{{backend}}; } }`})
	c := proc.Dial(t, p.Front())
	for _, request := range []string{
		get("/pass"), get("/drop"),
		"POST /drop/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nsome",
		"POST /drop/3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
	} {
		c.Send(request)
		h := c.Response(200)
		c.Body(h)
	}
	c.Close()
	want := "/pass|12, 13|12, 13|-|-|-\n/drop|-|-|-|-|-\n/drop/2|-|-|-|some|-\n/drop/3|-|-|-|abc|-\n"
	if text := untilLog(t, p, "l.log", func(text string) bool { return len(text) >= len(want) }); text != want {
		t.Errorf("got  %q\nwant %q", text, want)
	}
}
