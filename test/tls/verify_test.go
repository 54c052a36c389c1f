package tls_test

import (
	"strings"
	"testing"

	"holdfast/test/proc"
)

// verifying is a server that asks for certificates of clients. What is wrong with one is
// told by a location behind error_page on the port NAME_told.
func verifying(name, directives string) string {
	server := `
server {
	listen 127.0.0.1:{{port:` + name + `}} ssl;
	server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	` + directives + `
	PAGE
	location = /v { return 200 "$ssl_client_verify|$ssl_client_s_dn\n"; }
	location = /told { return 200 "$status|$ssl_client_verify\n"; }
}`
	told := strings.Replace(server, name, name+"_told", 1)
	return strings.Replace(server, "PAGE", "", 1) + strings.Replace(told, "PAGE", "error_page 495 496 = /told;", 1)
}

const goodName = "CN=good client,OU=R\\+D,O=Tests\\, Inc.,C=DE"

// pages are what nginx answers by itself.
const (
	pageCertificate   = "<center>The SSL certificate error</center>"
	pageNoCertificate = "<center>No required SSL certificate was sent</center>"
)

// pageOf is what the answer has: holdfast's own pages tell the status only.
func pageOf(p *proc.Proxy, says string) string {
	if p.Kind == proc.Holdfast && strings.HasPrefix(says, "<center>") {
		return "<h1>400 Bad Request</h1>"
	}
	return says
}

// Five certificates and none, by ssl_verify_client: nginx's 400 pages, and what
// $ssl_client_verify says, with both versions of TLS.
func TestVerifyClient(t *testing.T) {
	t.Parallel()
	const ca = "ssl_client_certificate {{pki}}/root.pem;"
	spec := proc.Spec{HTTP: modern + verifying("on", "ssl_verify_client on;"+ca) +
		verifying("optional", "ssl_verify_client optional;"+ca) +
		verifying("no_ca", "ssl_verify_client optional_no_ca;"+ca) +
		verifying("crl", "ssl_verify_client on; ssl_crl {{pki}}/crl.pem;"+ca) +
		verifying("depth", "ssl_verify_client on; ssl_verify_depth 0;"+ca) +
		verifying("trusted", "ssl_verify_client on; ssl_trusted_certificate {{pki}}/root.pem; ssl_client_certificate {{pki}}/middle.pem;") +
		verifying("off", "")}
	cases := []struct {
		port, client string
		says, told   string // in the answer of the port, and of the port with error_page
	}{
		{"off", "", "NONE|", ""},
		{"off", "good", "NONE|", ""},
		{"on", "", pageNoCertificate, "|NONE"},
		{"on", "good", "SUCCESS|" + goodName, ""},
		{"on", "rsa", "SUCCESS|CN=rsa client", ""},
		{"on", "deep", "SUCCESS|CN=deep client", ""},
		{"on", "expired", pageCertificate, "|FAILED:certificate has expired"},
		{"on", "stranger", pageCertificate, "|FAILED:unable to verify the first certificate"},
		{"on", "revoked", "SUCCESS|CN=revoked client", ""},
		{"optional", "", "NONE|", ""},
		{"optional", "good", "SUCCESS|" + goodName, ""},
		{"optional", "expired", pageCertificate, "|FAILED:certificate has expired"},
		{"optional", "stranger", pageCertificate, "|FAILED:unable to verify the first certificate"},
		{"no_ca", "", "NONE|", ""},
		{"no_ca", "good", "SUCCESS|" + goodName, ""},
		{"no_ca", "stranger", "FAILED:unable to verify the first certificate|CN=strange client", ""},
		{"no_ca", "expired", pageCertificate, "|FAILED:certificate has expired"},
		{"crl", "good", "SUCCESS|" + goodName, ""},
		{"crl", "deep", "SUCCESS|CN=deep client", ""},
		{"crl", "revoked", pageCertificate, "|FAILED:certificate revoked"},
		{"depth", "good", "SUCCESS|" + goodName, ""},
		{"depth", "deep", pageCertificate, "|FAILED:"}, // OpenSSL 3.0 doesn't say that the chain is too long
		{"trusted", "good", "SUCCESS|" + goodName, ""},
		{"trusted", "deep", "SUCCESS|CN=deep client", ""},
	}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		t.Run("cases", func(t *testing.T) {
			for _, version := range []string{"1.2", "1.3"} {
				for _, c := range cases {
					t.Run(version+"_"+c.port+"_"+c.client, func(t *testing.T) {
						t.Parallel()
						got := present(t, p.Addr(c.port), version, c.client, "/v")
						if says := pageOf(p, c.says); !strings.Contains(got, says) {
							t.Errorf("%q, want %q", got, says)
						}
						if c.told == "" {
							return
						}
						if !strings.Contains(got, "<head><title>400 ") {
							t.Errorf("the page is %q", got)
						}
						if got = present(t, p.Addr(c.port+"_told"), version, c.client, "/v"); !strings.Contains(got, c.told) {
							t.Errorf("told %q, want %q", got, c.told)
						}
					})
				}
			}
		})
	})
}

// present asks for a target with one of the clients' certificates.
func present(t *testing.T, address, version, client, target string, more ...string) string {
	t.Helper()
	args := append([]string{"--tlsv" + version, "--tls-max", version}, more...)
	if client != "" {
		base := theWorld(t).dir + "/client-" + client
		args = append(args, "--cert", base+".pem", "--key", base+".key")
	}
	return curl(t, address, append(args, "{}"+target)...)
}

// A certificate that was shown to one server does not open another, and a resumed
// session is still that of its client.
func TestVerifyClientResumed(t *testing.T) {
	t.Parallel()
	spec := proc.Spec{HTTP: modern + verifying("on", "ssl_verify_client on; ssl_client_certificate {{pki}}/root.pem;")}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		base := theWorld(t).dir + "/client-good"
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			session := t.TempDir() + "/session"
			out := sClient(t, p.Addr("on"), closing("/v"), version, "-cert", base+".pem", "-key", base+".key", "-sess_out", session)
			equal(t, "full", strings.TrimSpace(bodyOf(out)), "SUCCESS|"+goodName)
			out = sClient(t, p.Addr("on"), closing("/v"), version, "-sess_in", session)
			if !strings.Contains(out, "Reused, ") {
				t.Errorf("%s: not resumed:\n%s", version, brief(out))
			}
			equal(t, "resumed", strings.TrimSpace(bodyOf(out)), "SUCCESS|"+goodName)
		}
	})
}

// Plain HTTP on a port for TLS is answered by 400, or by what error_page 497 says.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	const server = `
server {
	listen 127.0.0.1:{{port:page}} ssl;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	return 200 "secret\n";
}
server {
	listen 127.0.0.1:{{port:redirect}} ssl;
	server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	error_page 497 =301 https://$host:$server_port$request_uri;
	location / { return 200 "$https $scheme $server_port\n"; }
	location = /away { return 301 /there; }
	add_header Strict-Transport-Security "max-age=31536000" always;
}`
	both(t, proc.Spec{HTTP: modern + server}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Addr("page"))
		c.Send("GET / HTTP/1.1\r\nHost: test.example\r\n\r\n")
		body := string(c.Body(c.Response(400)))
		if !strings.Contains(body, pageOf(p, "<center>The plain HTTP request was sent to HTTPS port</center>")) {
			t.Errorf("the page is %q", body)
		}
		c.ExpectEnd()
		c = proc.Dial(t, p.Addr("redirect"))
		c.Send("GET /x?y HTTP/1.1\r\nHost: test.example\r\n\r\n")
		h := c.Response(301)
		equal(t, "Location", h.Get("Location"), "https://test.example:"+p.Port("redirect")+"/x?y")
		out := curl(t, p.Addr("redirect"), "-i", "{}/x")
		if !strings.Contains(out, "\r\nStrict-Transport-Security: max-age=31536000\r\n") || !strings.HasSuffix(out, "\r\non https "+p.Port("redirect")+"\n") {
			t.Errorf("over TLS: %q", out)
		}
		if out = curl(t, p.Addr("redirect"), "-i", "{}/away"); !strings.Contains(out, "\r\nLocation: https://test.example:"+p.Port("redirect")+"/there\r\n") {
			t.Errorf("a redirect: %q", out)
		}
	})
}
