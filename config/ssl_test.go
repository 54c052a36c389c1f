package config_test

import (
	"crypto/tls"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
	"holdfast/test/pki"
	"holdfast/test/port"
)

func TestSSLDefaults(t *testing.T) {
	set := mustLoad(t, inHTTP("server { listen 80; return 204; }")).HTTP.Servers[0].Settings
	want := config.SSLSettings{
		Protocols:      config.SSLProtocols{Min: tls.VersionTLS12, Max: tls.VersionTLS13},
		SessionTimeout: 5 * time.Minute, SessionTickets: true, VerifyDepth: 1, HandshakeTimeout: time.Minute,
	}
	if diff := cmp.Diff(want, set.SSL); diff != "" {
		t.Errorf("ssl (-want +got):\n%s", diff)
	}
	wantProxy := config.ProxySSLSettings{
		Protocols: config.SSLProtocols{Min: tls.VersionTLS12, Max: tls.VersionTLS13}, Depth: 1, SessionReuse: true,
	}
	if diff := cmp.Diff(wantProxy, set.Proxy.SSL); diff != "" {
		t.Errorf("proxy_ssl (-want +got):\n%s", diff)
	}
}

func paths(files []config.File) (list []string) {
	for _, f := range files {
		list = append(list, f.Path)
	}
	return list
}

// TestSSLInheritance proves that lists pass to levels without any of their own, and that
// relative names are looked for beside the main file.
func TestSSLInheritance(t *testing.T) {
	cfg := mustLoad(t, `events { ssl_handshakes active=7 queue=8 computing=2; }
http {
  ssl_certificate a.pem; ssl_certificate /b.pem; ssl_certificate_key a.key; ssl_certificate_key /b.key;
  ssl_session_ticket_key one; ssl_session_ticket_key two;
  ssl_protocols TLSv1.3; ssl_ecdh_curve X25519MLKEM768:prime256v1; ssl_verify_depth 3; ssl_session_timeout 1d;
  proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name $host;
  server { listen 443 ssl; listen 80; listen 8443 ssl; server_name a; location / { proxy_pass https://[::1]/x; proxy_ssl_server_name on; } }
  server { listen 443; server_name b; ssl_certificate c.pem; ssl_certificate_key c.key; ssl_protocols TLSv1.2; ssl_ecdh_curve auto;
    ssl_session_tickets off; ssl_verify_client optional_no_ca; location / { proxy_pass https://$host; proxy_ssl_verify off; } }
}`)
	if want := (config.Handshakes{Active: 7, Queue: 8, Computing: 2}); cfg.Events.Handshakes != want {
		t.Errorf("handshakes %+v", cfg.Events.Handshakes)
	}
	tlsOn := map[string]bool{}
	for _, l := range cfg.HTTP.Listeners {
		tlsOn[l.Addr.String()] = l.SSL
	}
	if diff := cmp.Diff(map[string]bool{"0.0.0.0:443": true, "0.0.0.0:80": false, "0.0.0.0:8443": true}, tlsOn); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
	a, b := cfg.HTTP.Servers[0].Settings.SSL, cfg.HTTP.Servers[1].Settings.SSL
	if !slices.Equal(paths(a.Certificates), []string{"/etc/h/a.pem", "/b.pem"}) || !slices.Equal(paths(a.Keys), []string{"/etc/h/a.key", "/b.key"}) ||
		!slices.Equal(paths(a.TicketKeys), []string{"/etc/h/one", "/etc/h/two"}) {
		t.Errorf("files of a: %v %v %v", a.Certificates, a.Keys, a.TicketKeys)
	}
	if !slices.Equal(paths(b.Certificates), []string{"/etc/h/c.pem"}) || !slices.Equal(paths(b.Keys), []string{"/etc/h/c.key"}) {
		t.Errorf("files of b: %v %v", b.Certificates, b.Keys)
	}
	if a.Protocols.Min != tls.VersionTLS13 || b.Protocols.Max != tls.VersionTLS12 || b.SessionTickets || b.VerifyDepth != 3 ||
		b.SessionTimeout != 24*time.Hour || b.VerifyClient != config.VerifyOptionalNoCA {
		t.Errorf("settings %+v, %+v", a, b)
	}
	if !slices.Equal(a.Curves, []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}) || b.Curves != nil {
		t.Errorf("curves %v, %v", a.Curves, b.Curves)
	}
	pass := cfg.HTTP.Servers[0].Locations[0].ProxyPass
	if !pass.TLS || pass.Host != "[::1]" || pass.Port != "443" || pass.Upstream.Name != "[::1]:443" ||
		pass.Upstream.Servers[0].Addrs[0].IP.Port() != 443 || pass.URI != "/x" {
		t.Errorf("proxy_pass %+v", pass)
	}
	first, second := cfg.HTTP.Servers[0].Locations[0].Settings.Proxy.SSL, cfg.HTTP.Servers[1].Locations[0].Settings.Proxy.SSL
	if !first.Verify || !first.SendName || first.Trusted.Path != "/etc/h/ca.pem" || first.Name.Text != "$host" || second.Verify {
		t.Errorf("proxy_ssl %+v, %+v", first, second)
	}
}

// TestCiphers compares what lists of OpenSSL mean with what openssl ciphers says, as far as
// suites are supported.
func TestCiphers(t *testing.T) {
	for _, tc := range []struct{ list, want string }{
		{"HIGH:!aNULL:!MD5", "ecdsa128 rsa128 ecdsa256 rsa256 ecdsaChaCha rsaChaCha"},
		{"ECDHE-RSA-AES128-GCM-SHA256", "rsa128"},
		{"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
			"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384",
			"ecdsa128 rsa128 ecdsa256 rsa256 ecdsaChaCha rsaChaCha -DHE-RSA-AES128-GCM-SHA256 -DHE-RSA-AES256-GCM-SHA384"},
		{"EECDH+AESGCM:EDH+AESGCM", "ecdsa128 rsa128 ecdsa256 rsa256 -EDH+AESGCM"},
		{"ECDHE+CHACHA20,ECDHE+AES256", "ecdsaChaCha rsaChaCha ecdsa256 rsa256"},
		{"ALL:!aECDSA:-CHACHA20", "rsa128 rsa256"},
		{"ECDHE+aRSA:+AES128", "rsa256 rsaChaCha rsa128"},
		{"RSA+AESGCM", "static128 static256"},
		{"AES128-GCM-SHA256:HIGH:!CHACHA20:!AES256:!ECDSA", "static128 rsa128"},
		{"!AES128:ALL:@SECLEVEL=2 AES128", "ecdsa256 rsa256 ecdsaChaCha rsaChaCha"},
		{"RC4:3DES:NULL", ""},
		{"ECDHE+:+:!:AES128+AESGCM+aRSA", "rsa128 -ECDHE+"},
		{"TLS_AES_128_GCM_SHA256", ""},
	} {
		cfg, problems := config.LoadText("/etc/h/nginx.conf", inHTTP("ssl_ciphers '"+tc.list+"';"), hermetic(nil))
		if cfg == nil {
			if tc.want != "" {
				t.Errorf("%s: %s", tc.list, lines(problems))
			}
			continue
		}
		var got []string
		for _, id := range cfg.HTTP.Settings.SSL.Ciphers {
			got = append(got, suiteWords[id])
		}
		for _, p := range problems {
			_, list, _ := strings.Cut(p.Text, "not supported: ")
			for _, name := range strings.Fields(list) {
				got = append(got, "-"+name)
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", tc.list, got, tc.want)
		}
	}
}

var suiteWords = map[uint16]string{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ecdsa128", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "rsa128",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ecdsa256", tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "rsa256",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ecdsaChaCha", tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "rsaChaCha",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256: "static128", tls.TLS_RSA_WITH_AES_256_GCM_SHA384: "static256",
}

func TestSSLProblems(t *testing.T) {
	const pair = "ssl_certificate a; ssl_certificate_key b;\n"
	for _, tc := range []struct{ name, conf, want string }{
		{"no certificate", inHTTP("server { listen 443 ssl;\nreturn 204; }"), `
nginx.conf:2: error: no "ssl_certificate" is defined for the "listen ... ssl" directive of 0.0.0.0:443; ` +
			`write ssl_certificate FILE; and ssl_certificate_key FILE; in the server or in http`},
		{"no certificate beside one that has", inHTTP("server { listen 443 ssl; " + pair + "return 204; }\n" +
			"server { listen 443; server_name b; return 204; }"), ""},
		{"no certificate beside one that rejects", inHTTP("server { listen 443 ssl; ssl_reject_handshake on; return 204; }\n" +
			"server { listen 443 ssl; server_name b; return 204; }"), `
nginx.conf:3: error: no "ssl_certificate" is defined for the "listen ... ssl" directive of 0.0.0.0:443; ` +
			`write ssl_certificate FILE; and ssl_certificate_key FILE; in the server or in http`},
		{"no key", inHTTP("server { listen 443 ssl; ssl_certificate a; ssl_certificate_key b;\nssl_certificate c; return 204; }"), `
nginx.conf:3: error: no "ssl_certificate_key" is defined for certificate "/etc/h/c"; write ssl_certificate_key FILE; for each ssl_certificate`},
		{"variables and data", inHTTP("server { listen 443 ssl;\nssl_certificate $ssl_server_name.pem;\nssl_certificate_key data:$key;\n" +
			"return 204; }"), `
nginx.conf:3: error: variables in "ssl_certificate" are not supported; write a server for each name, or one certificate with ` +
			`all names; certificates are chosen by SNI among servers
nginx.conf:4: error: data: in "ssl_certificate_key" is not supported; write the name of a file`},
		{"old versions, used", inHTTP("ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;\n" + pair + "server { listen 443 ssl; return 204; }"), `
nginx.conf:2: error: TLSv1 TLSv1.1 of "ssl_protocols": not spoken any more, it is broken (RFC 8996); write: ssl_protocols TLSv1.2 TLSv1.3;`},
		{"old versions, unused", inHTTP("ssl_protocols TLSv1 TLSv1.2;\nserver { listen 80; return 204; }"), `
nginx.conf:2: warning: TLSv1 of "ssl_protocols": not spoken any more, it is broken (RFC 8996); write: ssl_protocols TLSv1.2;`},
		{"old versions only", inHTTP("ssl_protocols SSLv3 TLSv1.1;\nproxy_ssl_protocols TLSv1;"), `
nginx.conf:2: error: SSLv3 TLSv1.1 of "ssl_protocols": not spoken any more, it is broken (RFC 8996); write: ssl_protocols TLSv1.2 TLSv1.3;
nginx.conf:3: error: TLSv1 of "proxy_ssl_protocols": not spoken any more, it is broken (RFC 8996); write: proxy_ssl_protocols TLSv1.2 TLSv1.3;`},
		{"ciphers", inHTTP("ssl_ciphers RC4:AES256-SHA;\nproxy_ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA;"), `
nginx.conf:2: error: no cipher match: of "RC4:AES256-SHA" in "ssl_ciphers" nothing is supported; write ECDHE+AESGCM:ECDHE+CHACHA20, or leave it out
nginx.conf:3: warning: "proxy_ssl_ciphers": not supported: AES256-SHA; what remains is ECDHE-RSA-AES128-GCM-SHA256`},
		{"curves", inHTTP("ssl_ecdh_curve X448:X25519;\nserver { listen 80; ssl_ecdh_curve nosuch; return 204; }"), `
nginx.conf:2: warning: "ssl_ecdh_curve": not supported: X448; the others remain
nginx.conf:3: error: invalid value "nosuch" in "ssl_ecdh_curve" directive; write auto, or of X25519MLKEM768, SecP256r1MLKEM768, ` +
			`SecP384r1MLKEM1024, X25519, prime256v1, secp384r1 and secp521r1 what is wanted, joined by colons`},
		{"ssl on", inHTTP("server { listen 443;\nssl on; return 204; }"), `
nginx.conf:3: error: "ssl" is not supported; write ssl behind the address in listen: listen 443 ssl;`},
		{"no authority", inHTTP("server { listen 443 ssl; ssl_verify_client on;\n" + pair + "return 204; }"), `
nginx.conf:2: error: no ssl_client_certificate for ssl_verify_client; write ssl_client_certificate FILE; with the authorities`},
		{"stapling", inHTTP("server { listen 443 ssl; ssl_stapling on; ssl_stapling_verify on;\n" + pair + "return 204; }"), `
nginx.conf:2: warning: "ssl_stapling_verify" has no effect: responses are not fetched from the authority
nginx.conf:2: warning: "ssl_stapling" has no effect: responses are not fetched from the authority; write ssl_stapling_file FILE;, or remove it`},
		{"commands of OpenSSL", inHTTP("ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;\nssl_conf_command MinProtocol TLSv1;\nssl_early_data on;"), `
nginx.conf:2: warning: "ssl_conf_command" has no effect: TLS 1.3 always has its three suites
nginx.conf:3: error: "MinProtocol" of "ssl_conf_command" is not supported; use the directives of the same purpose
nginx.conf:4: warning: "ssl_early_data" has no effect: early data can be replayed and is never taken; clients send it again`},
		{"upstream", inServer("proxy_ssl_verify on;\nproxy_ssl_certificate c;\nlocation /a {\nproxy_pass https://127.0.0.1;\n}\n" +
			"location /b {\nproxy_pass http://127.0.0.1;\n}"), `
nginx.conf:4: error: no "proxy_ssl_certificate_key" is defined for certificate "/etc/h/c"; write proxy_ssl_certificate_key FILE;
nginx.conf:6: error: no proxy_ssl_trusted_certificate for proxy_ssl_verify; write proxy_ssl_trusted_certificate FILE; with the authorities`},
		{"http2, said once", inHTTP("server { listen 80 http2;\nlisten 81 http2; return 204; }"), `
nginx.conf:2: warning: "http2" of "listen" has no effect: clients are answered in HTTP/1.1`},
		{"handshakes", "ssl_handshakes active=0;\nevents { ssl_handshakes lots=1; }", `
nginx.conf:1: error: invalid value "active=0" in "ssl_handshakes" directive; write active=, queue= or computing= with a number from 1 on
nginx.conf:2: error: invalid value "lots=1" in "ssl_handshakes" directive; write active=, queue= or computing= with a number from 1 on`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, problems := config.LoadText("/etc/h/nginx.conf", tc.conf, hermetic(nil))
			want := strings.TrimPrefix(tc.want, "\n")
			if want != "" {
				want += "\n"
			}
			if diff := cmp.Diff(want, lines(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// sslVerdicts are bodies of the http context on which nginx and holdfast must agree, as
// verdicts are. CERT is a certificate with its key, CA the file of an authority.
var sslVerdicts = struct{ good, bad []string }{
	good: []string{
		`server { listen 127.0.0.1:PORT ssl; CERT }`,
		`CERT server { listen 127.0.0.1:PORT ssl; }`,
		`server { listen 127.0.0.1:PORT ssl http2; CERT } server { listen 127.0.0.1:PORT; server_name b; }`,
		`server { listen 127.0.0.1:PORT ssl; ssl_reject_handshake on; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers HIGH:!aNULL; ssl_ecdh_curve prime256v1:X25519; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_session_cache shared:S:10m; ssl_session_timeout 1d; ssl_session_tickets off; }`,
		`ssl_session_cache none; ssl_prefer_server_ciphers on; ssl_buffer_size 4k; ssl_early_data off; ssl_verify_depth 0;`,
		`ssl_session_cache builtin:1000; server { listen 127.0.0.1:PORT; ssl_session_cache off; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_verify_client on; ssl_client_certificate CA; ssl_trusted_certificate CA; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_verify_client optional_no_ca; ssl_conf_command Options PrioritizeChaCha; }`,
		`server { listen 127.0.0.1:PORT ssl proxy_protocol; CERT error_page 495 496 497 /x; add_header A "$ssl_cipher $ssl_client_s_dn_legacy"; }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; proxy_ssl_trusted_certificate CA; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass https://127.0.0.1:1/a; proxy_ssl_name $host; proxy_ssl_server_name on; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass https://$host; proxy_ssl_session_reuse off; proxy_ssl_protocols TLSv1.3; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass https://unix:/a/b:/; proxy_ssl_ciphers DEFAULT; proxy_ssl_verify_depth 2; } }`,
		`upstream u { server 127.0.0.1:1; } server { listen 127.0.0.1:PORT; location / { proxy_pass https://u; } }`,
		`proxy_ssl_verify on; server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1:1; } }`,
	},
	bad: []string{
		`server { listen 127.0.0.1:PORT ssl; }`,
		`server { listen 127.0.0.1:PORT ssl; ssl_reject_handshake on; } server { listen 127.0.0.1:PORT ssl; server_name b; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_certificate CA; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_verify_client on; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_verify_client maybe; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_protocols TLSv1.4; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_ciphers NOSUCH; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_ecdh_curve nosuch; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_session_cache shared:S; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_session_cache shared:S:1k; }`,
		`server { listen 127.0.0.1:PORT ssl; CERT ssl_session_cache what; }`,
		`ssl_session_timeout x;`, `ssl_verify_depth x;`, `ssl_session_tickets maybe;`, `ssl_buffer_size x;`,
		`ssl_prefer_server_ciphers maybe;`, `ssl_early_data maybe;`, `ssl_protocols;`, `ssl_certificate;`, `ssl_certificate a b;`,
		`server { listen 127.0.0.1:PORT; location / { ssl_protocols TLSv1.2; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass https://; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; } }`,
		`server { listen 127.0.0.1:PORT; location / { proxy_pass https://127.0.0.1; proxy_ssl_protocols TLSv9; } }`,
		`server { listen 127.0.0.1:PORT; location ~ a { proxy_pass https://127.0.0.1/x; } }`,
		`server { listen 127.0.0.1:PORT ssl=on; }`,
	},
}

// certificateFiles writes a certificate with its key, and its authority.
func certificateFiles(t *testing.T) (certificate, key, authority string) {
	ca := pki.NewAuthority(t, "authority")
	pair := ca.Issue(t, pki.Request{Hosts: []string{"a.test"}})
	dir := t.TempDir()
	return pki.WriteFile(t, dir, "a.pem", pair.PEM()), pki.WriteFile(t, dir, "a.key", pair.KeyPEM(t)),
		pki.WriteFile(t, dir, "ca.pem", ca.PEM())
}

func TestSSLVerdictsOfNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is not on PATH, and HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx is not on PATH")
	}
	certificate, key, authority := certificateFiles(t)
	replace := strings.NewReplacer("PORT", strconv.Itoa(port.Take(t)),
		"CERT", "ssl_certificate "+certificate+"; ssl_certificate_key "+key+";", "CA", authority).Replace
	for i, list := range [][]string{sslVerdicts.good, sslVerdicts.bad} {
		for _, body := range list {
			checkVerdict(t, nginx, replace(body), i == 0)
		}
	}
}
