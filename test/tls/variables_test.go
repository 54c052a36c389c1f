package tls_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/test/proc"
)

// The variables of ngx_http_ssl_module in nginx 1.22, but for $ssl_session_id, which is
// another one for every connection.
var sslVariables = []string{"protocol", "cipher", "ciphers", "curve", "curves", "server_name", "session_reused", "early_data", "alpn_protocol",
	"client_verify", "client_s_dn", "client_s_dn_legacy", "client_i_dn", "client_i_dn_legacy", "client_serial", "client_fingerprint",
	"client_cert", "client_raw_cert", "client_escaped_cert", "client_v_start", "client_v_end", "client_v_remain"}

// Every $ssl_ variable is what it is in nginx, for the same clients.
func TestVariables(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(modern + "server {\nlisten 127.0.0.1:{{port:plain}};\nlisten 127.0.0.1:{{port:front}} ssl;\nserver_name test.example;\n" +
		"ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;\n" +
		"ssl_verify_client optional; ssl_client_certificate {{pki}}/root.pem;\nssl_ecdh_curve X25519:prime256v1;\n")
	for _, name := range sslVariables {
		fmt.Fprintf(&text, "location = /%s { return 200 \"[$ssl_%s]\\n\"; }\n", name, name)
	}
	text.WriteString("location = /session_id { return 200 \"$ssl_session_id\\n\"; }\n" +
		"location = /https { return 200 \"$https|$scheme|$server_port\\n\"; }\n}\n")
	only(t, proc.Nginx)
	only(t, proc.Holdfast) // it takes both
	spec := proc.Spec{HTTP: text.String(), Vars: withWorld(t, nil)}
	theirs, ours := proc.Start(t, proc.Nginx, spec), proc.Start(t, proc.Holdfast, spec)
	for _, c := range []struct{ version, client string }{{"1.2", ""}, {"1.2", "good"}, {"1.3", ""}, {"1.3", "good"}, {"1.3", "rsa"}, {"1.3", "deep"}} {
		for _, name := range sslVariables {
			var pinned []string
			if name == "cipher" { // which of the client's ones it is, is the server's choice
				pinned = []string{"--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384", "--tls13-ciphers", "TLS_AES_256_GCM_SHA384"}
			}
			want := present(t, theirs.Front(), c.version, c.client, "/"+name, pinned...)
			got := present(t, ours.Front(), c.version, c.client, "/"+name, pinned...)
			if got != want {
				t.Errorf("TLS %s, client %q: $ssl_%s is %q, nginx's %q", c.version, c.client, name, got, want)
			}
		}
		if got := present(t, ours.Front(), c.version, c.client, "/https"); got != "on|https|"+ours.Port("front")+"\n" {
			t.Errorf("$https|$scheme|$server_port is %q", got)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, name := range sslVariables {
		var answers [2]string
		for i, p := range []*proc.Proxy{theirs, ours} {
			text, _, err := fetch(client, "http://"+p.Addr("plain")+"/"+name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			answers[i] = text
		}
		if answers[0] != answers[1] {
			t.Errorf("without TLS: $ssl_%s is %q, nginx's %q", name, answers[1], answers[0])
		}
	}
}
