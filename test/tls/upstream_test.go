package tls_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

var listening = regexp.MustCompile(`listening (\d+)\n`)

// scriptServer starts a server that says where it listens and returns its address.
func scriptServer(t *testing.T, path string, args ...string) string {
	t.Helper()
	output := filepath.Join(t.TempDir(), "output")
	p, err := proc.Launch(proc.Command{Path: path, Args: args, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	var address string
	t.Cleanup(func() {
		p.Kill()
		if text, _ := os.ReadFile(output); t.Failed() {
			t.Logf("%s says:\n%s", filepath.Base(path), text)
		}
	})
	proc.Until(t, "the server's port", func() error {
		text, err := os.ReadFile(output)
		if err != nil {
			return err
		}
		if p.Ended() {
			t.Fatalf("the server ended:\n%s", text)
		}
		found := listening.FindSubmatch(text)
		if found == nil {
			return fmt.Errorf("no port in %q", text)
		}
		address = "127.0.0.1:" + string(found[1])
		return nil
	})
	return address
}

// tlsServer serves a handler by Go over TLS and returns its address.
func tlsServer(t *testing.T, config *tls.Config, handler http.HandlerFunc) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(tls.NewListener(ln, config)) }()
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

// tell answers with what the server knows of the connection: version, suite, SNI, the
// client's certificate, whether it was resumed, the protocol.
func tell(w http.ResponseWriter, r *http.Request) {
	client := ""
	if len(r.TLS.PeerCertificates) > 0 {
		client = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	if r.URL.Query().Get("keep") == "" {
		w.Header().Set("Connection", "close")
	}
	fmt.Fprintf(w, "%s %s sni=%s client=%s resumed=%v alpn=%s", tls.VersionName(r.TLS.Version), tls.CipherSuiteName(r.TLS.CipherSuite),
		r.TLS.ServerName, client, r.TLS.DidResume, r.TLS.NegotiatedProtocol)
}

// upstreamServers are servers of several makes; each answers as blocks.Serve does.
var upstreamServers = map[string]func(t *testing.T, w *world) string{
	"node": func(t *testing.T, w *world) string {
		return scriptServer(t, program(t, "node"), filepath.Join(clientsDir, "http_server.js"), w.dir+"/ecdsa.pem", w.dir+"/ecdsa.key")
	},
	"python": func(t *testing.T, w *world) string {
		return scriptServer(t, python(t), "-B", filepath.Join(clientsDir, "http_server.py"), w.dir+"/rsa.pem", w.dir+"/rsa.key")
	},
	"go": func(t *testing.T, w *world) string {
		return tlsServer(t, &tls.Config{Certificates: []tls.Certificate{w.ecdsa.TLS()}}, serve)
	},
	"nginx": func(t *testing.T, _ *world) string {
		return proc.Start(t, proc.Nginx, proc.Spec{HTTP: matrixFront, Vars: withWorld(t, nil)}).Addr("rsa")
	},
}

// upstreamFront passes everything on over TLS, with verification, by each version.
const upstreamFront = modern + upgradeMap + `
upstream secure { server {{secure}}; keepalive 8; }
client_max_body_size 0;
proxy_http_version 1.1;
proxy_set_header Host test.example;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
proxy_ssl_verify on;
proxy_ssl_verify_depth 2;
proxy_ssl_trusted_certificate {{pki}}/root.pem;
proxy_ssl_name test.example;
proxy_ssl_server_name on;
server { listen 127.0.0.1:{{port:p12}}; proxy_ssl_protocols TLSv1.2; location / { proxy_pass https://secure; } }
server { listen 127.0.0.1:{{port:p13}}; proxy_ssl_protocols TLSv1.3; location / { proxy_pass https://secure; } }
server {
	listen 127.0.0.1:{{port:both}} ssl;
	ssl_certificate {{pki}}/ecdsa.pem; ssl_certificate_key {{pki}}/ecdsa.key;
	location / { proxy_pass https://secure; proxy_ssl_session_reuse off; proxy_request_buffering off; proxy_buffering off; }
}`

// Upstream servers of several makes over TLS, from plain and from TLS clients.
func TestUpstreamServers(t *testing.T) {
	t.Parallel()
	for name, start := range upstreamServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := proc.Spec{HTTP: upstreamFront, Vars: map[string]string{"secure": start(t, theWorld(t))}}
			both(t, spec, func(t *testing.T, p *proc.Proxy) {
				transport := &http.Transport{TLSClientConfig: goConfig(t, visit{})}
				client := &http.Client{Transport: transport, Timeout: 2 * proc.Patience}
				defer transport.CloseIdleConnections()
				for _, size := range []int64{0, 1, 16385, 1 << 20} {
					moveBodies(t, client, "http://"+p.Addr("p12"), size)
					moveBodies(t, client, "http://"+p.Addr("p13"), size)
					moveBodies(t, client, "https://"+p.Addr("both"), size)
				}
				if name == "go" || name == "nginx" {
					echoGorilla(t, "ws://"+p.Addr("p12")+"/", nil)
					echoGorilla(t, "ws://"+p.Addr("p13")+"/", nil)
					echoGorilla(t, "wss://"+p.Addr("both")+"/", goConfig(t, visit{}))
				}
			})
		})
	}
}

// openssl s_server answers every request with a page about the connection.
func TestUpstreamOpenSSL(t *testing.T) {
	t.Parallel()
	w, openssl := theWorld(t), program(t, "openssl")
	address := port.Address(t)
	server, err := proc.Launch(proc.Command{Path: openssl, Output: filepath.Join(t.TempDir(), "output"), Args: []string{
		"s_server", "-accept", address, "-cert", w.dir + "/ecdsa.pem", "-key", w.dir + "/ecdsa.key", "-cert_chain", w.dir + "/middle.pem", "-www"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	both(t, proc.Spec{HTTP: upstreamFront, Vars: map[string]string{"secure": address}}, func(t *testing.T, p *proc.Proxy) {
		proc.Until(t, "the server", func() error {
			for port, version := range map[string]string{"p12": "TLSv1.2", "p13": "TLSv1.3"} {
				text, _, err := fetch(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+p.Addr(port)+"/", nil, 0)
				if err != nil {
					return err
				}
				if !strings.Contains(text, version) {
					return fmt.Errorf("%s: %s", version, text)
				}
			}
			return nil
		})
	})
}

// directives are locations of a proxy with what each asks of the upstream. nginx resumes
// the sessions of a peer whatever the location, so they are off but for one.
const directives = modern + `
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_ssl_trusted_certificate {{pki}}/root.pem;
proxy_ssl_session_reuse off;
map $arg_x $where { default {{secure}}; }
server {
	listen 127.0.0.1:{{port:front}};
	location /plain { proxy_pass https://{{secure}}; }
	location /verified { proxy_pass https://{{secure}}; proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_name test.example; }
	location /another_name { proxy_pass https://{{secure}}; proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_name other.example; }
	location /stranger { proxy_pass https://{{secure}}; proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_name test.example;
		proxy_ssl_trusted_certificate {{pki}}/client-stranger.pem; }
	location /sni { proxy_pass https://{{secure}}; proxy_ssl_server_name on; proxy_ssl_name sni.$arg_x; }
	location /certificate { proxy_pass https://{{secure}}; proxy_ssl_certificate {{pki}}/client-good.pem; proxy_ssl_certificate_key {{pki}}/client-good.key; }
	location /old { proxy_pass https://{{secure}}; proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384; }
	location /variable { proxy_pass https://$where; }
	location /no_tls { proxy_pass https://{{origin}}; }
	location /fresh { proxy_pass https://{{secure}}; }
	location /reused { proxy_pass https://{{secure}}; proxy_ssl_session_reuse on; }
}`

// What the proxy_ssl_ directives make of the connection, as the upstream sees it.
func TestUpstreamDirectives(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	address := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{w.ecdsa.TLS()}, ClientAuth: tls.RequestClientCert}, tell)
	const nobody = "sni= client= resumed=false alpn="
	cases := []struct{ target, says string }{
		{"/plain", nobody},
		{"/verified", nobody},
		{"/another_name", "502"},
		{"/stranger", "502"},
		{"/sni?x=example", "sni=sni.example client= resumed=false alpn="},
		{"/certificate", "sni= client=good client resumed=false alpn="},
		{"/variable", nobody},
		{"/no_tls", "502"},
		{"/old", "TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 " + nobody},
		{"/fresh", nobody},
		{"/fresh", nobody},
	}
	// Connections that stay open are used again by requests with the same settings only.
	for range 2 {
		for _, target := range []string{"/plain", "/certificate", "/sni?x=a", "/sni?x=b", "/old", "/verified"} {
			mark := "?"
			if strings.Contains(target, mark) {
				mark = "&"
			}
			says := map[string]string{"/certificate": "client=good client ", "/sni?x=a": "sni=sni.a client= ", "/sni?x=b": "sni=sni.b client= ",
				"/old": "TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 sni= client= "}[target]
			if says == "" {
				says = "sni= client= "
			}
			cases = append(cases, struct{ target, says string }{target + mark + "keep=1", says})
		}
	}
	both(t, proc.Spec{HTTP: directives, Vars: map[string]string{"secure": address}}, func(t *testing.T, p *proc.Proxy) {
		for _, c := range cases {
			if got := said(t, p, c.target); !strings.Contains(got, c.says) {
				t.Errorf("%s: %q, want %q", c.target, got, c.says)
			}
		}
		// The ticket of TLS 1.3 may be a moment late.
		proc.Until(t, "a resumed session", func() error {
			if got := said(t, p, "/reused"); !strings.Contains(got, "resumed=true") {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		})
	})
}

// said is the answer to a request, its status where that is none of success.
func said(t *testing.T, p *proc.Proxy, target string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: proc.Patience}
	text, resp, err := fetch(client, "http://"+p.Front()+target, nil, 0)
	if resp != nil && resp.StatusCode != http.StatusOK {
		return fmt.Sprint(resp.StatusCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}
