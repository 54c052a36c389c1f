package tls_test

import (
	"strings"
	"testing"

	"holdfast/test/proc"
)

const hosts = `
server { listen 127.0.0.1:{{port:open}} ssl default_server; server_name first.test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key; return 200 "first\n"; }
server { listen 127.0.0.1:{{port:open}} ssl; server_name test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key; return 200 "named\n"; }

server { listen 127.0.0.1:{{port:judged}} ssl default_server; server_name first.test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	ssl_verify_client on; ssl_client_certificate {{pki}}/root.pem; return 200 "first\n"; }
server { listen 127.0.0.1:{{port:judged}} ssl; server_name same.test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	ssl_verify_client optional; ssl_client_certificate {{pki}}/root.pem; return 200 "same\n"; }
server { listen 127.0.0.1:{{port:judged}} ssl; server_name strict.test.example;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	ssl_verify_client on; ssl_client_certificate {{pki}}/root.pem; ssl_crl {{pki}}/crl.pem; return 200 "strict\n"; }
`

// Host chooses the server, whatever the client named in its handshake; without a server of
// that name it is the default.
func TestHostBesideSNI(t *testing.T) {
	t.Parallel()
	both(t, proc.Spec{HTTP: hosts}, func(t *testing.T, p *proc.Proxy) {
		for host, want := range map[string]string{
			"test.example": "named", "test.example.": "named", "first.test.example": "first", "unknown.example": "first",
		} {
			out := sClient(t, p.Addr("open"), "GET / HTTP/1.0\r\nHost: "+host+"\r\n\r\n")
			equal(t, "Host "+host, bodyOf(out), want)
		}
	})
}

// A certificate that the default server has judged by its rules, since the client named none,
// opens no server with other ones.
func TestJudgedByOtherRules(t *testing.T) {
	t.Parallel()
	p := holdfast(t, proc.Spec{HTTP: hosts})
	client := theWorld(t).dir + "/client-revoked"
	for host, want := range map[string]string{
		"first.test.example": " 200 ", "same.test.example": " 200 ", "strict.test.example": " 421 ",
	} {
		out := sClient(t, p.Addr("judged"), "GET / HTTP/1.0\r\nHost: "+host+"\r\n\r\n",
			"-noservername", "-cert", client+".pem", "-key", client+".key")
		if !strings.Contains(out, "HTTP/1.1"+want) {
			t.Errorf("Host %s: no%sin\n%s", host, want, brief(out))
		}
	}
}
