package tls_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"sync"
	"testing"

	"holdfast/test/pki"
	"holdfast/test/proc"
)

// A key of a certificate for upstreams may be locked, and a list may take the upstream's own
// certificate back.
func TestUpstreamLockedKeyAndRevocation(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	revoked := w.root.Issue(t, pki.Request{Name: host, Hosts: []string{host}})
	lists := t.TempDir()
	pki.WriteFile(t, lists, "revoked.pem", w.root.CRL(t, revoked))
	pki.WriteFile(t, lists, "empty.pem", w.root.CRL(t))
	serve := func(pair pki.Pair) string {
		return tlsServer(t, &tls.Config{Certificates: []tls.Certificate{pair.TLS()}, ClientAuth: tls.RequestClientCert}, tell)
	}
	const text = modern + `
proxy_ssl_trusted_certificate {{pki}}/root.pem; proxy_ssl_name test.example; proxy_ssl_session_reuse off;
server {
	listen 127.0.0.1:{{port:front}};
	location /locked { proxy_pass https://{{secure}}; proxy_ssl_password_file {{pki}}/passwords;
		proxy_ssl_certificate {{pki}}/ecdsa.pem; proxy_ssl_certificate_key {{pki}}/locked.key; }
	location /listed { proxy_pass https://{{secure}}; proxy_ssl_verify on; proxy_ssl_crl {{lists}}/revoked.pem; }
	location /unlisted { proxy_pass https://{{secure}}; proxy_ssl_verify on; proxy_ssl_crl {{lists}}/empty.pem; }
}`
	both(t, proc.Spec{HTTP: text, Vars: map[string]string{"secure": serve(revoked), "lists": lists}}, func(t *testing.T, p *proc.Proxy) {
		p.Tolerate("upstream SSL certificate verify error")
		for path, want := range map[string]string{
			"/locked": "client=" + host, "/listed": "502 Bad Gateway", "/unlisted": "client= ",
		} {
			if text, _, err := fetch(client(), "http://"+p.Front()+path, nil, 0); !strings.Contains(text, want) {
				t.Errorf("%s: %q, %v, want %q in it", path, text, err, want)
			}
		}
	})
}

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * proc.Patience}
}

// What only OpenSSL would heed is accepted, and everything works beside it; with ssl_ktls the
// kernel takes over what it can, or nothing; handshakes past the bound of ssl_handshakes wait.
func TestAcceptedWords(t *testing.T) {
	t.Parallel()
	const text = modern + upgradeMap + `
server {
	listen 127.0.0.1:{{port:front}} ssl;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	ssl_dhparam {{pki}}/none.pem; ssl_ocsp off; ssl_conf_command Options PrioritizeChaCha;
	proxy_ssl_conf_command Options PrioritizeChaCha;
	` + passing + `}`
	p := holdfast(t, proc.Spec{HTTP: text, Main: "ssl_handshakes active=1 queue=100 computing=1; ssl_ktls on;"})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			transport := &http.Transport{TLSClientConfig: goConfig(t, visit{}), DisableKeepAlives: true}
			moveBodies(t, &http.Client{Transport: transport, Timeout: 2 * proc.Patience}, "https://"+p.Front(), 1000)
		})
	}
	all.Wait()
	echoGorilla(t, "wss://"+p.Front()+"/", goConfig(t, visit{}))
}
