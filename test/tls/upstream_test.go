package tls_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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

// tlsServer serves a handler by Go over TLS, and remembers what its clients said.
type tlsServer struct {
	address string
	mu      sync.Mutex
	states  []tls.ConnectionState
}

func newTLSServer(t *testing.T, config *tls.Config) *tlsServer {
	t.Helper()
	s := &tlsServer{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = ln.Addr().String()
	config.VerifyConnection = func(state tls.ConnectionState) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.states = append(s.states, state)
		return nil
	}
	server := &http.Server{Handler: http.HandlerFunc(serve), ErrorLog: nil}
	go func() { _ = server.Serve(tls.NewListener(ln, config)) }()
	t.Cleanup(func() { server.Close() })
	return s
}

// last is what the newest connection's client said, of how many.
func (s *tlsServer) last() (tls.ConnectionState, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.states) == 0 {
		return tls.ConnectionState{}, 0
	}
	return s.states[len(s.states)-1], len(s.states)
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
		return newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{w.ecdsa.TLS()}}).address
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
	location /variable { set $where {{secure}}; proxy_pass https://$where; }
	location /no_tls { proxy_pass https://{{origin}}; }
	location /fresh { proxy_pass https://{{secure}}; }
	location /reused { proxy_pass https://{{secure}}; proxy_ssl_session_reuse on; }
}`

// What the proxy_ssl_ directives make of the connection, as the upstream sees it.
func TestUpstreamDirectives(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			only(t, kind)
			s := newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{w.ecdsa.TLS()}, ClientAuth: tls.RequestClientCert})
			p := proc.Start(t, kind, proc.Spec{HTTP: directives, Vars: withWorld(t, map[string]string{"secure": s.address})})
			for _, c := range []struct {
				target string
				status int
				check  func(tls.ConnectionState) error
			}{
				{"/plain", 200, expectState("", "", false)},
				{"/verified", 200, expectState("", "", false)},
				{"/another_name", 502, nil},
				{"/stranger", 502, nil},
				{"/sni?x=example", 200, expectState("sni.example", "", false)},
				{"/certificate", 200, expectState("", "good client", false)},
				{"/variable", 200, expectState("", "", false)},
				{"/no_tls", 502, nil},
				{"/old", 200, func(state tls.ConnectionState) error {
					if state.Version != tls.VersionTLS12 || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
						return fmt.Errorf("%s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
					}
					return nil
				}},
				{"/fresh", 200, expectState("", "", false)},
				{"/fresh", 200, expectState("", "", false)},
			} {
				equal(t, c.target, status(t, p, c.target), c.status)
				state, _ := s.last()
				if c.check != nil {
					if err := c.check(state); err != nil {
						t.Errorf("%s: %v", c.target, err)
					}
				}
			}
			// Each connection is closed behind its answer, so later ones resume: the ticket of TLS
			// 1.3 may be a moment late.
			proc.Until(t, "a resumed session", func() error {
				equal(t, "/reused", status(t, p, "/reused"), 200)
				state, _ := s.last()
				return expectState("", "", true)(state)
			})
		})
	}
}

func expectState(name, client string, resumed bool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		shown := ""
		if len(state.PeerCertificates) > 0 {
			shown = state.PeerCertificates[0].Subject.CommonName
		}
		if state.ServerName != name || shown != client || state.DidResume != resumed || state.NegotiatedProtocol != "" {
			return fmt.Errorf("SNI %q, certificate %q, resumed %v, protocol %q", state.ServerName, shown, state.DidResume, state.NegotiatedProtocol)
		}
		return nil
	}
}

func status(t *testing.T, p *proc.Proxy, target string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: proc.Patience}
	resp, err := client.Get("http://" + p.Front() + target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
