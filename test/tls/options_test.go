package tls_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/test/proc"
)

// A row is a server with some ssl_ directives, and what s_client must see of it.
type row struct {
	name       string
	directives string
	// bare leaves the certificate of host out.
	bare   bool
	sights []sight
}

// sight is one run of s_client: its arguments, where {pki} is the folder of the
// certificates, and texts that its output must have. In wants "!" before a text forbids it.
type sight struct {
	args  string
	wants []string
}

const (
	alertHandshakeFailure = "SSL alert number 40"
	alertProtocolVersion  = "SSL alert number 70"
	alertUnrecognizedName = "SSL alert number 112"
	alertNoApplication    = "SSL alert number 120"
)

var rows = []row{
	{name: "protocols_12", directives: "ssl_protocols TLSv1.2;", sights: []sight{
		{"-tls1_3", []string{alertProtocolVersion}},
		{"-tls1_2", []string{"New, TLSv1.2", "HTTP/1.1 200"}},
		{"", []string{"New, TLSv1.2", "HTTP/1.1 200"}},
	}},
	{name: "protocols_13", directives: "ssl_protocols TLSv1.3;", sights: []sight{
		{"-tls1_2", []string{alertProtocolVersion}},
		{"-tls1_3", []string{"New, TLSv1.3", "HTTP/1.1 200"}},
	}},
	{name: "protocols_both", directives: "ssl_protocols TLSv1.2 TLSv1.3;", sights: []sight{
		{"-tls1_1 -cipher DEFAULT@SECLEVEL=0", []string{alertProtocolVersion}},
		{"-tls1 -cipher DEFAULT@SECLEVEL=0", []string{alertProtocolVersion}},
		{"-no_ticket", []string{"New, TLSv1.3", "HTTP/1.1 200"}},
		{"-legacy_renegotiation -tls1_2", []string{"Secure Renegotiation IS supported", "HTTP/1.1 200"}},
		{"-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", []string{"Cipher is TLS_AES_128_GCM_SHA256"}},
		{"-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", []string{"Cipher is TLS_AES_256_GCM_SHA384"}},
		{"-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", []string{"Cipher is TLS_CHACHA20_POLY1305_SHA256"}},
		{"-maxfraglen 512 -tls1_2", []string{"HTTP/1.1 200"}},
	}},
	{name: "ciphers", directives: `ssl_protocols TLSv1.2;
		ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305;`, sights: []sight{
		{"-cipher ECDHE-ECDSA-AES128-GCM-SHA256", []string{alertHandshakeFailure}},
		{"-cipher ECDHE-RSA-AES256-GCM-SHA384", []string{alertHandshakeFailure}},
		{"-cipher ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305", []string{"Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"}},
	}},
	{name: "ciphers_aliases", directives: `ssl_prefer_server_ciphers off;
		ssl_ciphers ECDHE+AESGCM:!AES256:!aNULL:!MD5;`, sights: []sight{
		{"-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384", []string{alertHandshakeFailure}},
		{"-tls1_2", []string{"Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"}},
		{"-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", []string{"Cipher is TLS_AES_256_GCM_SHA384"}},
	}},
	{name: "ciphers_intermediate", directives: `ssl_prefer_server_ciphers off;
		ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:` +
		`ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:` +
		`DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384;`, sights: []sight{
		{"-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", []string{"Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"}},
		{"-tls1_2 -cipher AES128-SHA", []string{alertHandshakeFailure}},
	}},
	{name: "curves", directives: "ssl_ecdh_curve secp384r1;", sights: []sight{
		{"-groups X25519", []string{alertHandshakeFailure}},
		{"-tls1_2 -groups P-256", []string{alertHandshakeFailure}},
		{"-groups X25519:P-384", []string{"Server Temp Key: ECDH, secp384r1, 384 bits", "HTTP/1.1 200"}}, // a HelloRetryRequest
		{"-tls1_2 -groups P-384:P-256", []string{"Server Temp Key: ECDH, secp384r1, 384 bits", "HTTP/1.1 200"}},
	}},
	{name: "curves_list", directives: "ssl_ecdh_curve X25519:prime256v1;", sights: []sight{
		{"-groups P-521", []string{alertHandshakeFailure}},
		{"-groups P-256", []string{"Server Temp Key: ECDH, prime256v1, 256 bits"}},
		{"-groups X25519", []string{"Server Temp Key: X25519, 253 bits"}},
	}},
	{name: "two_keys", bare: true, directives: `ssl_certificate {{pki}}/rsa.pem; ssl_certificate_key {{pki}}/rsa.key;
		ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;`, sights: []sight{
		{"-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", []string{"Peer signature type: RSA-PSS", "Verification: OK"}},
		{"-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", []string{"Peer signature type: ECDSA", "Verification: OK"}},
		{"-tls1_3 -sigalgs rsa_pss_rsae_sha256", []string{"Peer signature type: RSA-PSS"}},
		{"-tls1_3 -sigalgs ecdsa_secp256r1_sha256", []string{"Peer signature type: ECDSA"}},
		{"-tls1_3", []string{"Peer signature type: ECDSA"}},
	}},
	{name: "password", bare: true, directives: `ssl_password_file {{pki}}/passwords;
		ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/locked.key;`, sights: []sight{
		{"", []string{"Verification: OK", "HTTP/1.1 200"}},
	}},
	{name: "stapling", directives: "ssl_stapling on; ssl_stapling_file {{pki}}/ocsp.der;", sights: []sight{
		{"-status -tls1_2", []string{"OCSP Response Status: successful (0x0)", "Cert Status: good"}},
		{"-status -tls1_3", []string{"OCSP Response Status: successful (0x0)", "Cert Status: good"}},
		{"", []string{"!OCSP Response Status", "HTTP/1.1 200"}},
	}},
	{name: "alpn", sights: []sight{
		{"-alpn h2", []string{alertNoApplication}},
		{"-alpn h2 -tls1_2", []string{alertNoApplication}},
		{"-alpn h2,http/1.1", []string{"ALPN protocol: http/1.1", "HTTP/1.1 200"}},
		{"-alpn http/1.1 -tls1_2", []string{"ALPN protocol: http/1.1", "HTTP/1.1 200"}},
		{"", []string{"No ALPN negotiated", "HTTP/1.1 200"}},
	}},
	{name: "plain_settings", directives: `ssl_session_cache shared:SSL:1m; ssl_session_timeout 10m; ssl_prefer_server_ciphers on;
		ssl_buffer_size 4k; ssl_early_data off;`, sights: []sight{
		{"", []string{"HTTP/1.1 200"}},
	}},
}

// front is the configuration of all rows, each on a port of its name.
func front(rows []row) string {
	var text strings.Builder
	text.WriteString(modern + upgradeMap)
	for _, r := range rows {
		fmt.Fprintf(&text, "server {\nlisten 127.0.0.1:{{port:%s}} ssl;\nserver_name test.example;\n%s\n", r.name, r.directives)
		if !r.bare {
			text.WriteString("ssl_certificate {{pki}}/ecdsa.pem;\nssl_certificate_key {{pki}}/ecdsa.key;\n")
		}
		text.WriteString(passing + "}\n")
	}
	return text.String()
}

// Every directive that decides what a handshake may be, seen by openssl s_client.
func TestOptions(t *testing.T) {
	t.Parallel()
	both(t, proc.Spec{HTTP: front(rows)}, func(t *testing.T, p *proc.Proxy) {
		t.Run("rows", func(t *testing.T) {
			for _, r := range rows {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					for _, s := range r.sights {
						look(t, p.Addr(r.name), s)
					}
				})
			}
		})
	})
}

// look runs s_client and compares what it says.
func look(t *testing.T, address string, s sight) {
	t.Helper()
	dir := theWorld(t).dir
	args := strings.Fields(strings.ReplaceAll(s.args, "{pki}", dir))
	out := sClient(t, address, closing("/tls"), append([]string{"-CAfile", dir + "/root.pem"}, args...)...)
	for _, want := range s.wants {
		text, forbidden := strings.CutPrefix(want, "!")
		if strings.Contains(out, text) == forbidden {
			t.Errorf("s_client %s: want %q in\n%s", s.args, want, brief(out))
		}
	}
}

// brief is what s_client says without the certificates.
func brief(out string) string {
	var lines []string
	inside := false
	for _, line := range strings.Split(out, "\n") {
		inside = inside || strings.HasPrefix(line, "-----BEGIN")
		if !inside && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "    00") {
			lines = append(lines, line)
		}
		inside = inside && !strings.HasPrefix(line, "-----END")
	}
	return strings.Join(lines, "\n")
}

// nginx 1.22 is linked with an OpenSSL that has no hybrid of ML-KEM.
func TestPostQuantumCurve(t *testing.T) {
	t.Parallel()
	p := holdfast(t, proc.Spec{HTTP: front([]row{
		{name: "hybrid", directives: "ssl_ecdh_curve X25519MLKEM768;"},
		{name: "first", directives: "ssl_ecdh_curve X25519MLKEM768:X25519;"},
		{name: "auto", directives: "ssl_ecdh_curve auto;"},
	})})
	for _, c := range []struct {
		port   string
		curves []tls.CurveID
		want   tls.CurveID
		alert  string
	}{
		{"hybrid", []tls.CurveID{tls.X25519MLKEM768}, tls.X25519MLKEM768, ""},
		{"hybrid", []tls.CurveID{tls.X25519}, 0, "handshake failure"},
		{"first", nil, tls.X25519MLKEM768, ""},
		{"first", []tls.CurveID{tls.X25519}, tls.X25519, ""},
		{"auto", nil, tls.X25519MLKEM768, ""},
		{"auto", []tls.CurveID{tls.CurveP256}, tls.CurveP256, ""},
	} {
		config := goConfig(t, visit{version: "1.3"})
		config.CurvePreferences = c.curves
		conn, err := tls.Dial("tcp", p.Addr(c.port), config)
		if c.alert != "" {
			if err == nil || !strings.Contains(err.Error(), c.alert) {
				t.Errorf("%s %v: %v, want an alert %s", c.port, c.curves, err, c.alert)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %v: %v", c.port, c.curves, err)
			continue
		}
		equal(t, c.port, conn.ConnectionState().CurveID, c.want)
		conn.Close()
	}
}

// A handshake that doesn't end in its time ends without an answer. In nginx's http module
// client_header_timeout bounds it; ssl_handshake_timeout is a directive of its stream module.
func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	hello := clientHello(t, goConfig(t, visit{}))
	for kind, directive := range map[proc.Kind]string{proc.Nginx: "client_header_timeout 1s;", proc.Holdfast: "ssl_handshake_timeout 1s;"} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			only(t, kind)
			p := proc.Start(t, kind, proc.Spec{HTTP: front([]row{{name: "slow", directives: directive}}), Vars: withWorld(t, nil)})
			for what, sent := range map[string][]byte{"nothing": nil, "part of a hello": hello[:100], "a hello": hello} {
				c, err := net.Dial("tcp", p.Addr("slow"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = c.Write(sent)
				_ = c.SetDeadline(time.Now().Add(proc.Patience))
				got, err := io.ReadAll(c)
				if errors.Is(err, errTimeout) || what != "a hello" && len(got) > 0 {
					t.Errorf("%s: got %d bytes, %v", what, len(got), err)
				}
			}
			if p.Kind == proc.Holdfast && !strings.Contains(p.ErrorLog(), "timed out") {
				t.Errorf("the log has no word of it:\n%s", p.ErrorLog())
			}
		})
	}
}

// names are servers that a client chooses among by SNI.
const names = modern + `
server { listen 127.0.0.1:{{port:names}} ssl; server_name one.test.example;
	ssl_certificate {{pki}}/one.pem; ssl_certificate_key {{pki}}/one.key; return 200 "one\n"; }
server { listen 127.0.0.1:{{port:names}} ssl default_server; server_name _;
	ssl_certificate {{pki}}/default.pem; ssl_certificate_key {{pki}}/default.key; return 200 "default\n"; }
server { listen 127.0.0.1:{{port:names}} ssl; server_name *.wild.test.example;
	ssl_certificate {{pki}}/wild.pem; ssl_certificate_key {{pki}}/wild.key; return 200 "wild\n"; }
server { listen 127.0.0.1:{{port:names}} ssl; server_name ~^re\d+\.test\.example$;
	ssl_certificate {{pki}}/regex.pem; ssl_certificate_key {{pki}}/regex.key; return 200 "regex\n"; }

server { listen 127.0.0.1:{{port:reject}} ssl default_server; server_name _; ssl_reject_handshake on; }
server { listen 127.0.0.1:{{port:reject}} ssl; server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key; return 200 "named\n"; }
`

// SNI chooses the server as server_name does for Host, and with it the certificate.
func TestServerNames(t *testing.T) {
	t.Parallel()
	both(t, proc.Spec{HTTP: names}, func(t *testing.T, p *proc.Proxy) {
		for name, want := range map[string]string{
			"one.test.example": "one", "ONE.test.example": "one", "a.wild.test.example": "wild", "b.a.wild.test.example": "wild",
			"wild.test.example": "default", "re42.test.example": "regex", "re.test.example": "default", "": "default",
		} {
			sni := []string{"-servername", name}
			if name == "" {
				sni = []string{"-noservername"}
			}
			out := sClient(t, p.Addr("names"), closing("/"), sni...)
			if !strings.Contains(out, "subject=CN = cert-"+want+"\n") {
				t.Errorf("SNI %q: want %s in\n%s", name, want, brief(out))
			}
		}
		for _, sni := range [][]string{{"-servername", "other.example"}, {"-noservername"}, {"-noservername", "-tls1_2"}} {
			if out := sClient(t, p.Addr("reject"), closing("/"), sni...); !strings.Contains(out, alertUnrecognizedName) {
				t.Errorf("%v: no %s in\n%s", sni, alertUnrecognizedName, brief(out))
			}
		}
		equal(t, "the named server", bodyOf(sClient(t, p.Addr("reject"), closing("/"))), "named")
		// Host may name another server than SNI did, where neither asks for certificates.
		out := curl(t, p.Addr("names"), "-k", "-H", "Host: one.test.example", "{}/")
		equal(t, "another Host", out, "one\n")
	})
}

// Sessions resume with and without tickets as the directives say, at two processes that
// share keys, and where a second key opens the tickets of the first.
func TestTickets(t *testing.T) {
	t.Parallel()
	first, second := ticketKeys(t, 1, 80), ticketKeys(t, 2, 48)
	key := func(name string, files ...string) row {
		r := row{name: name}
		for _, file := range files {
			r.directives += "ssl_session_ticket_key " + file + ";"
		}
		return r
	}
	spec := proc.Spec{HTTP: front([]row{
		key("own"), key("first", first), key("second", second), key("rotated", second, first),
		{name: "off", directives: "ssl_session_tickets off;"},
	}), Workers: 3}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		other := proc.Start(t, p.Kind, proc.Spec{HTTP: spec.HTTP, Vars: withWorld(t, nil)})
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			for _, c := range []struct {
				from, to string
				want     string
			}{
				{p.Addr("own"), p.Addr("own"), "Reused"},
				{p.Addr("own"), other.Addr("own"), "New"},
				{p.Addr("first"), other.Addr("first"), "Reused"},
				{p.Addr("second"), other.Addr("second"), "Reused"},
				{p.Addr("first"), other.Addr("rotated"), "Reused"},
				{p.Addr("rotated"), other.Addr("second"), "Reused"},
				{p.Addr("rotated"), other.Addr("first"), "New"},
				{p.Addr("off"), p.Addr("off"), "New"},
			} {
				session := filepath.Join(t.TempDir(), "session")
				_ = sClient(t, c.from, closing("/tls"), version, "-sess_out", session)
				out := sClient(t, c.to, closing("/tls"), version, "-sess_in", session)
				if c.from == p.Addr("off") && strings.Contains(out, "Can't open session file") {
					continue // there was no session to keep
				}
				if !strings.Contains(out, c.want+", TLSv1") || !strings.Contains(out, "HTTP/1.1 200") {
					t.Errorf("%s from %s to %s: want %s in\n%s", version, name(p, c.from), name(other, c.to), c.want, brief(out))
				}
			}
		}
	})
}

// name is the port's name of an address.
func name(p *proc.Proxy, address string) string {
	for _, r := range []string{"own", "first", "second", "rotated", "off"} {
		if p.Addr(r) == address {
			return r
		}
	}
	return address
}
